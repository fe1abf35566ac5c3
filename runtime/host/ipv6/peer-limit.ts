/**
 * How often a host tells a peer something over ICMPv6: a bucket of tokens for each address (inet_peer_xrlim_allow; unlike IPv4's, one
 * for all VRFs). A redirect costs a second twice, of the destination's bucket and of the source's; an error costs
 * net.ipv6.icmp.ratelimit, which the lab takes for 0, so that it is always sent but empties the bucket.
 */
import type { Ipv6 } from "../../net/ip.ts";
import { type Clock, SECOND } from "../events.ts";

/** Messages that a full bucket holds. */
const XRLIM_BURST_FACTOR = 6;
/** inet_getpeer: a new peer was last heard of so long ago. */
const NEW_PEER_AGE = 60 * SECOND;
export const REDIRECT_COST = SECOND;
export const ERROR_COST = 0;

interface Bucket {
  /** In microseconds, as jiffies in the kernel. */
  tokens: number;
  last: number;
}

export class PeerLimit {
  readonly #buckets = new Map<Ipv6, Bucket>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** inet_peer_xrlim_allow: takes `cost` microseconds out of the peer's bucket, if they are there. */
  allow(address: Ipv6, cost: number): boolean {
    const { now } = this.#clock;
    const bucket = this.#buckets.get(address) ?? { tokens: 0, last: now - NEW_PEER_AGE };
    this.#buckets.set(address, bucket);
    const tokens = Math.min(bucket.tokens + now - bucket.last, XRLIM_BURST_FACTOR * cost);
    const allowed = tokens >= cost;
    bucket.tokens = allowed ? tokens - cost : tokens;
    bucket.last = now;
    return allowed;
  }
}
