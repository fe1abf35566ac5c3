/** Tables, their prefixes, routes and next hops. */
import { CACHE_LINE } from "./image.ts";

/**
 *      0          4          8          12
 *   0  id         kind       image      prefixes         kind: LpmKind; image: offset of the look-up structure
 *  16  shape      network    mask       networks         shape: for which the module has straight-line code, from 1; 0: it has none;
 *                                                        IPv4: no prefix matches an address with (address ^ network) & mask
 *  32  trie       root       results                     IPv4: where entries are shared; trie 0: each prefix has one of its own
 *
 * A look-up gives the offset of a FIB entry, or 0. Whoever gives a table a structure of another shape stores 0 there, and whoever
 * adds a prefix makes `mask` as much shorter as it needs.
 *
 * `networks`: for the host alone, what it needs to change the table: the offset of the first FIB_ENTRY, then the network address
 * of each of the `prefixes` entries, which stand in a row: one word, or four, the most significant first.
 *
 * A table whose routes came from files, or that has changed, shares entries: prefixes that say the same have one (FibEntryFlag.IN_TRIE),
 * and `networks` is of no more use. Its prefixes are FIB_NODEs,
 * node n at `trie` + n * FIB_NODE_BYTES, the first `root`; `results` is where the offset of the entry of a number stands.
 */
export const TABLE = {
  id: 0,
  kind: 4,
  image: 8,
  prefixes: 12,
  shape: 16,
  network: 20,
  mask: 24,
  networks: 28,
  trie: 32,
  root: 36,
  results: 40,
} as const;
export const TABLE_BYTES = CACHE_LINE;

/**
 * A node of a table's trie of prefixes (runtime/lpm/prefix-trie.ts).
 *
 *      0          4          8          12
 *   0  key        length     result     below0           result: number of its FIB_ENTRY; 0: no prefix, a fork;
 *  16  below1     above      route                       below, above: nodes, 0: none; route: RouteId + 1, where the entry is shared
 */
export const FIB_NODE = { key: 0, length: 4, result: 8, below: 12, above: 20, route: 24 } as const;
export const FIB_NODE_BYTES = 32;

/**
 * One prefix of one table; its aliases follow, in the order in which fib_table_lookup tries them.
 *
 *      0          4            8          12
 *   0  cover      prefixLength aliases    flags          aliases: count
 *
 * `cover` is the entry of the longest shorter prefix of the same table that contains this one, 0: none. A look-up whose
 * aliases are all rejected goes on there (the kernel's back-tracking).
 *
 * IN_TRIE: `cover` is the TABLE, whose trie says what is around a prefix. With one alias the entry is that of all prefixes which say
 * the same: its `route` is 0, and the length one that rules and packets treat as they treat those of all.
 */
export const FIB_ENTRY = { cover: 0, prefixLength: 4, aliases: 8, flags: 12 } as const;
export const FIB_ENTRY_BYTES = 16;

export const FibEntryFlag = {
  /**
   * IPv4: the first alias with its first next hop is the answer to every flow that has no oif. IPv6: the entry has one next hop
   * in all, and it is the answer to every flow that does not insist on a device.
   */
  SETTLED: 1,
  /** Of a table that shares entries. */
  IN_TRIE: 2,
  /** IPv4: SETTLED, and the first alias is a unicast route with one next hop, which has no IPv6 gateway: the short way takes it. */
  FORWARDS: 4,
} as const;

/**
 * One route.
 *
 *      0          4          8          12
 *   0  type       error      tos        route            type: RouteTypeCode of net/route-types.ts; error: errno of a reject route, or 0
 *  16  nextHops   hopCount   prefsrc    scope            nextHops: first NEXT_HOP; route: RouteId + 1
 *  32  metric     mtu        flags      protocol          mtu: 0 when the device's holds; flags: Route6Flag;
 *                                                        protocol: RTPROT_*, for the host alone
 *  48  prefsrc6 (16 bytes, as on the wire)                IPv6 alone: an IPv4 alias ends before it
 *
 * 0 as prefsrc: none. An IPv6 route that refuses has one next hop: lo.
 */
export const FIB_ALIAS = {
  type: 0,
  error: 4,
  tos: 8,
  route: 12,
  nextHops: 16,
  hopCount: 20,
  prefsrc: 24,
  scope: 28,
  metric: 32,
  mtu: 36,
  flags: 40,
  protocol: 44,
  prefsrc6: 48,
} as const;
export const FIB_ALIAS_BYTES = 48;
export const FIB_ALIAS6_BYTES = 64;

/** Bits of `FIB_ALIAS.flags`, of IPv6 routes alone. */
export const Route6Flag = {
  /** RTF_LOCAL or RTF_ANYCAST: for this host, by way of the VRF device or lo. An anycast route by hand is not marked so. */
  OWN_ADDRESS: 1,
  /** Multicast, link-local and loopback prefixes: the device counts (rt6_need_strict). */
  NEED_STRICT: 2,
  MULTICAST: 4,
} as const;

/**
 *      0          4          8          12
 *   0  device     flags      scope      upperBound       device: DEVICE
 *  16  gateway (16 bytes, as on the wire; IPv4 in the first 4, then 4 bytes 0, mtu, changes)
 *  32  family     source     weight     ifindex          family of the gateway: 4, 6, 0: the destination is on the link;
 *  48  mac (6 bytes), 2 bytes 0                           weight: for the host alone; ifindex: the device's
 *  56  sender (6 bytes), EtherType                        as on the wire: what a frame to the gateway has behind its first MAC
 *
 * `source` is what fib_result_prefsrc gives for an IPv4 route without prefsrc. A hash of 31 bits picks the first next hop of a
 * multipath route with hash <= upperBound as signed numbers (fib_select_multipath); -1: never picked. A multipath route of IPv6 is
 * all next hops with a gateway of all aliases of one metric (siblings).
 *
 * `mtu` (the device's), `changes`, `mac` (the gateway's) and `sender` are the program's, of what has no IPv6 gateway: what it has found of a device
 * that sends and a neighbour that is known (the kernel's hh_cache). They hold while `changes` is the NEIGHBOUR_TABLE's; that with its
 * highest bit changed says the same of a next hop whose destinations are on the link, but for `mac`.
 */
export const NEXT_HOP = {
  device: 0,
  flags: 4,
  scope: 8,
  upperBound: 12,
  gateway: 16,
  mtu: 24,
  changes: 28,
  family: 32,
  source: 36,
  weight: 40,
  ifindex: 44,
  mac: 48,
  sender: 56,
} as const;
export const NEXT_HOP_BYTES = CACHE_LINE;

export const NextHopFlag = {
  /** RTNH_F_DEAD: never used. */
  DEAD: 1,
  ONLINK: 4,
} as const;
