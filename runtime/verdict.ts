/** What became of a packet, and why. Numbers are part of the ABI (runtime/ABI.md): append, never renumber. */

/** Column `verdict` of a batch. */
export const Verdict = {
  /** Not processed yet. */
  NONE: 0,
  /** A finished Ethernet frame: send `length` bytes at `data` out of `outDevice`. */
  TRANSMIT: 1,
  /** For a socket of this host: the IP packet starts at `l3`; `skbDevice` is the device it came in by (the VRF for a slave), `sdif` the slave. */
  LOCAL: 2,
  /** Discarded; `reason` says why. Nothing is sent. */
  DROP: 3,
  /** The host writes an ICMP error: `error` = type << 8 | code, `info` = the error's 32-bit field (MTU, gateway, pointer). */
  ICMP_ERROR: 4,
  /** No link-layer address for `nextHop` on `outDevice`: the host resolves it and re-enters by `Entry.NEIGHBOUR`. */
  UNRESOLVED: 5,
  /** A local send failed before any hook, or a route look-up: `error` holds the errno (ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL). */
  SEND_ERROR: 6,
  /** `Entry.LOOKUP` and `Entry.ROUTE_INPUT`: the route was found; `outDevice`, `nextHop`, `route` and, for LOOKUP, `source` are set. */
  FOUND: 7,
  /** Not IP, or IP that this program does not handle (ARP, IPv6 without a v6 program, ...): the host looks at it. */
  PASS: 8,
  /**
   * Past POSTROUTING and larger than the MTU (`info`, bytes): the host cuts the IP packet at `l3` (ip_do_fragment) and re-enters each
   * fragment by `Entry.NEIGHBOUR` with the same `outDevice` and `nextHop`.
   */
  FRAGMENT: 9,
  /**
   * A chain rejects a TCP segment: the host answers the packet at `l3` with a reset (nf_send_reset), by Entry.OUTPUT with `device` =
   * `outDevice` (the VRF that the answer is routed in, 0: none) and PacketFlag.ANYSRC.
   */
  TCP_RESET: 10,
  /**
   * A chain of a device rejects the Ethernet frame at `data`, whose packet starts at `l3`: the host answers it out of `outDevice` by
   * Entry.XMIT, to the link-layer address that it came from. `error` = type << 8 | code of the ICMP error, 0: a TCP reset.
   */
  REJECT_FRAME: 11,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/**
 * Column `reason`: names of `enum skb_drop_reason` (k:include/net/dropreason.h) without the SKB_DROP_REASON_ prefix,
 * and, below the line, places where the kernel frees a packet without one of those names.
 */
export const DropReason = {
  NOT_SPECIFIED: 0,
  OTHERHOST: 1,
  IP_CSUM: 2,
  IP_INHDR: 3,
  IP_RPFILTER: 4,
  UNICAST_IN_L2_MULTICAST: 5,
  PKT_TOO_SMALL: 6,
  PKT_TOO_BIG: 7,
  IP_NOPROTO: 8,
  UNHANDLED_PROTO: 9,
  DEV_HDR: 10,
  DEV_READY: 11,
  IP_OUTNOROUTES: 12,
  NETFILTER_DROP: 13,
  /** `IP_INADDRERRORS`: no forwarding on the receiving device, or a destination that may not be forwarded. */
  IP_INADDRERRORS: 14,
  /** net.ipv6.conf.DEV.disable_ipv6. */
  IPV6DISABLED: 15,
  /** An XDP program: XDP_DROP, or XDP_REDIRECT to a device that cannot take the frame. */
  XDP: 16,
  /** A tc program at ingress or egress: TC_ACT_SHOT. */
  TC_INGRESS: 17,
  TC_EGRESS: 18,
  // -- no name in 6.1: what the packet failed
  /** fib_validate_source found no acceptable reverse route (martian source). */
  MARTIAN_SOURCE: 32,
  /** ip_route_input_slow refused the destination (0/8, 127/8 without route_localnet). */
  MARTIAN_DESTINATION: 33,
  /** A `blackhole` route or rule. */
  BLACKHOLE: 34,
  /** The receiving or sending device is down. */
  DEVICE_DOWN: 36,
  /** Multicast or broadcast that nobody here joined. */
  NOT_JOINED: 37,
  /** Passed through this host more often than a TTL allows (a bound, not a kernel counter). */
  RECURSION: 38,
  /** An XDP program gave up: XDP_ABORTED. */
  XDP_ABORTED: 39,
} as const;
export type DropReason = (typeof DropReason)[keyof typeof DropReason];

/** Column `entry`: where a packet enters the program. */
export const Entry = {
  /** An Ethernet frame received by `device`. */
  RECEIVE: 0,
  /** An IP packet of a local socket: `device` is the socket's bound device (0: none); a source of 0.0.0.0 is chosen and filled in. */
  OUTPUT: 1,
  /** Like OUTPUT, but only the route lookup of connect(): nothing is sent and no hook is passed. */
  LOOKUP: 2,
  /** An IP packet past POSTROUTING, waiting for the link-layer address of `nextHop` on `device`. */
  NEIGHBOUR: 3,
  /**
   * Like RECEIVE, but only the route look-up of an IP packet that `device` received (ip_route_input_noref): martians, rules, source
   * validation, no hook, no delivery. FOUND or SEND_ERROR.
   */
  ROUTE_INPUT: 4,
  /**
   * The copy of a broadcast or multicast IP packet that this host sent by `device`: comes back in by it (dev_loopback_xmit), for this
   * host and without being routed.
   */
  LOOPBACK: 5,
  /** An IPv6 packet of neighbour discovery: leaves by `device` to its destination, a neighbour, without a route (ndisc_send_skb). */
  NDISC: 6,
  /**
   * An IPv4 packet for this host that the host has put together from fragments, as if received by `device` (skb->dev, a VRF for its
   * slaves): passes the INPUT hook (ip_local_deliver). LOCAL.
   */
  LOCAL_IN: 7,
  /** An XDP program has judged the frame: its verdict and the columns beside it stand, nothing is done. */
  JUDGED: 8,
  /** A finished Ethernet frame of this host, past all of IP: leaves by `device` (dev_queue_xmit), past its egress chains and programs. */
  XMIT: 9,
} as const;
export type Entry = (typeof Entry)[keyof typeof Entry];

/** errno values that route lookups, sockets and changes of routes return (asm-generic/errno.h). */
export const Errno = {
  EPERM: 1,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EINVAL: 22,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  EHOSTUNREACH: 113,
  EXDEV: 18,
  ENODEV: 19,
  ESRCH: 3,
  ENOENT: 2,
  EEXIST: 17,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
} as const;
export type Errno = (typeof Errno)[keyof typeof Errno];

/** Name of a number in one of the tables above, e.g. `nameOf(Verdict, 3)` is "DROP". */
export function nameOf(table: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(table).find((key) => table[key] === value) ?? `${value}`;
}
