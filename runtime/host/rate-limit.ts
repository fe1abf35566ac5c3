/**
 * How often a host tells a peer that its packets have no route: ip_error keeps a token bucket for each peer (net/ipv4/
 * route.c ip_rt_error_cost, ip_rt_error_burst; struct inet_peer.rate_tokens), five errors at once, then one a second.
 *
 * Every ICMP error to the peer draws on the same bucket (inet_peer_xrlim_allow). With net.ipv4.icmp_ratelimit = 0, which
 * the lab assumes, it is always allowed, and empties the bucket: so the next ip_error within a second is silent.
 */
import type { Ipv4 } from "../net/ip.ts";
import { type Clock, SECOND } from "./events.ts";

const ERROR_COST = SECOND;
const ERROR_BURST = 5 * SECOND;

interface Peer {
  /** In microseconds, as jiffies in the kernel. */
  tokens: number;
  last: number;
}

export class ErrorRateLimit {
  readonly #peers = new Map<string, Peer>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** ip_error: may it send one more to this peer (an address within an l3mdev domain)? */
  allowRouteError(address: Ipv4, domain: number): boolean {
    const peer = this.#peer(address, domain);
    peer.tokens = Math.min(peer.tokens + this.#clock.now - peer.last, ERROR_BURST);
    peer.last = this.#clock.now;
    if (peer.tokens < ERROR_COST) return false;
    peer.tokens -= ERROR_COST;
    return true;
  }

  /** inet_peer_xrlim_allow with a timeout of 0, when an ICMP error goes out. */
  sentError(address: Ipv4, domain: number): void {
    const peer = this.#peer(address, domain);
    peer.tokens = 0;
    peer.last = this.#clock.now;
  }

  /** inet_getpeer: a new peer starts with a full bucket. */
  #peer(address: Ipv4, domain: number): Peer {
    const key = `${address} ${domain}`;
    let peer = this.#peers.get(key);
    if (peer === undefined) {
      peer = { tokens: ERROR_BURST, last: this.#clock.now };
      this.#peers.set(key, peer);
    }
    return peer;
  }
}
