/**
 * How often a host tells a peer what is wrong with its packets: the two limiters that share struct inet_peer (net/ipv4/
 * route.c, icmp.c), one peer for each address in each l3mdev domain.
 *
 *   ip_error               a bucket of tokens: five errors at once, then one a second (ip_rt_error_burst, ip_rt_error_cost)
 *   ip_rt_send_redirect    nine redirects, each after twice the pause of the one before, then silence for 20 s
 *                          (ip_rt_redirect_number, ip_rt_redirect_load, ip_rt_redirect_silence); the first empties the bucket
 *   icmpv4_xrlim_allow     with net.ipv4.icmp_ratelimit = 0, which the lab assumes, always allows; but it empties the bucket
 *                          for the types of net.ipv4.icmp_ratemask
 */
import { IcmpType, Unreachable } from "../net/icmp.ts";
import type { Ipv4 } from "../net/ip.ts";
import { type Clock, SECOND } from "./events.ts";

const ERROR_COST = SECOND;
const ERROR_BURST = 5 * SECOND;

const REDIRECT_NUMBER = 9;
const REDIRECT_LOAD = SECOND / 50;
const REDIRECT_SILENCE = REDIRECT_LOAD * 2 ** (REDIRECT_NUMBER + 1);

/** net.ipv4.icmp_ratemask by default: the types that are limited. */
const RATE_MASK: ReadonlySet<number> = new Set([
  IcmpType.DEST_UNREACH,
  IcmpType.SOURCE_QUENCH,
  IcmpType.TIME_EXCEEDED,
  IcmpType.PARAMETER_PROBLEM,
]);

interface Peer {
  /** In microseconds, as jiffies in the kernel. */
  tokens: number;
  last: number;
  redirects: number;
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

  /** ip_rt_send_redirect: may it send one more? If so, `sentRedirect` follows. */
  allowRedirect(address: Ipv4, domain: number): boolean {
    const peer = this.#peer(address, domain);
    const { now } = this.#clock;
    if (now > peer.last + REDIRECT_SILENCE) {
      peer.tokens = 0;
      peer.redirects = 0;
    }
    if (peer.redirects >= REDIRECT_NUMBER) {
      peer.last = now;
      return false;
    }
    return peer.redirects === 0 || now > peer.last + REDIRECT_LOAD * 2 ** peer.redirects;
  }

  sentRedirect(address: Ipv4, domain: number): void {
    const peer = this.#peer(address, domain);
    peer.last = this.#clock.now;
    peer.redirects++;
  }

  /** inet_peer_xrlim_allow with a timeout of 0, when an ICMP error has a route and goes out. */
  sentError(address: Ipv4, domain: number, type: number, code: number): void {
    if (!RATE_MASK.has(type) || (type === IcmpType.DEST_UNREACH && code === Unreachable.FRAG_NEEDED)) return;
    const peer = this.#peer(address, domain);
    peer.tokens = 0;
    peer.last = this.#clock.now;
  }

  /** inet_getpeer: a new peer was last heard of long ago, so that it has a full bucket and no redirect behind it. */
  #peer(address: Ipv4, domain: number): Peer {
    const key = `${address} ${domain}`;
    let peer = this.#peers.get(key);
    if (peer === undefined) {
      peer = { tokens: 0, last: this.#clock.now - 60 * SECOND, redirects: 0 };
      this.#peers.set(key, peer);
    }
    return peer;
  }
}
