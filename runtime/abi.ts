/**
 * The binary interface between compiler, wasm program and host: where everything stands in linear memory. The compiler
 * writes the image with these constants, the emitted program reads it, the host patches it; none has a copy of its own.
 * All words are little-endian u32 unless a field says otherwise; offsets are absolute in linear memory, 0 means "none"
 * (the header stands at 0, so no record can). Batches have their own drawing in batch.ts.
 *
 *   0         image header                                       IMAGE
 *             per namespace: net record                          NET
 *                            device records                      DEVICE
 *                            IPv6 addresses                      ADDRESS6
 *                            table descriptors                   TABLE
 *                            look-up structures                  runtime/lpm
 *                            FIB entries, each followed by aliases   FIB_ENTRY, FIB_ALIAS
 *                            next hops                           NEXT_HOP
 *                            sets and maps of chains             MAP, runtime/maps/structure.ts
 *                            neighbour table                     NEIGHBOUR_TABLE, NEIGHBOUR
 *   worker    what packets leave behind, `workerBytes`             WORKER
 *             per namespace: counters                            COUNTERS
 *                            chain counters, limits              FILTER_COUNTER, LIMIT
 *                            scratch memory of chains
 *             long rule lists                                    RULE_LIST, RULE
 *   heap      the host's: batches, trace region, neighbour tables that outgrew their place
 *
 * In a module that several threads share (threads.ts) each of them has an area as large as that at `worker`, as a processor has its
 * per-CPU area in the kernel: what stands at A in the image is for a thread at A + BATCH_HEADER.worker. Only LIMITs are there once.
 *
 * What may change while packets flow is in memory (device flags, routes, next hops, neighbours); what the program text
 * fixes (short rule lists, chains) is code. Numbers are append-only: a reader of version N reads every later N.
 */
import type { Hook } from "./hooks.ts";
import type { Family } from "./net/ip.ts";
import { DropReason, Verdict } from "./verdict.ts";

/** `IMAGE.magic`: "VRFC" as the bytes stand in memory. */
export const IMAGE_MAGIC = 0x43465256;
/** Incremented when a program and a host of different versions would misunderstand each other. */
export const ABI_VERSION = 9;
/** Every record and region starts at a multiple of this many bytes. */
export const IMAGE_ALIGN = 16;
/** DEVICEs, TABLEs and NEXT_HOPs have lines of their own: of a packet of a VRF that has not been asked lately each is a miss. */
export const CACHE_LINE = 64;

/**
 *      0          4          8          12
 *   0  magic      version    nets       netsOffset       nets: count; netsOffset: first NET record
 *  16  heap       traceCursor traceEnd  traceLost
 *  32  any (16 bytes)                                    the unspecified address, ::
 *  48  loopback (16 bytes)                               the loopback address, ::1
 *  64  worker     workerBytes                            what each thread has for itself
 *
 * `heap` is the first byte that the host may use. The trace build appends records at `traceCursor`, never beyond
 * `traceEnd`; a record that does not fit sets `traceLost` to 1 and is not written. The host sets all three before a call.
 */
export const IMAGE = {
  magic: 0,
  version: 4,
  nets: 8,
  netsOffset: 12,
  heap: 16,
  traceCursor: 20,
  traceEnd: 24,
  traceLost: 28,
  any: 32,
  loopback: 48,
  worker: 64,
  workerBytes: 68,
} as const;
export const IMAGE_BYTES = 80;

/** At the start of a thread's area: the trace region of a module for several threads, as IMAGE has it for others. */
export const WORKER = { traceCursor: 0, traceEnd: 4, traceLost: 8 } as const;
export const WORKER_BYTES = 16;

/**
 *      0          4          8          12
 *   0  devices    deviceCount tables    tableCount       first DEVICE; first TABLE
 *  16  neighbours counters   addresses  tables6           the NEIGHBOUR_TABLE in use; COUNTERS
 *  32  tableCount6 filterState filterStateBytes           tables: of IPv4; tables6: of IPv6; filterState: first FILTER_COUNTER
 *  48  clock (u64)           linked                       linked: a bit for each of LINK_POINTS where programs are attached
 *  64  links                                              first LINK of each of LINK_POINTS, in their order
 *                                   120 ruleList   ruleList6        RULE_LIST of each family; 0: the rules are code
 *
 * From `filterState` on stand the FILTER_COUNTERs and, behind them, the LIMITs: all that chains remember from packet to packet.
 * `clock` is the host's, in nanoseconds.
 * `addresses` is a TABLE of this host's IPv4 addresses; a look-up gives the DEVICE that has the address. Those of IPv6 stand
 * with their devices.
 */
export const NET = {
  devices: 0,
  deviceCount: 4,
  tables: 8,
  tableCount: 12,
  neighbours: 16,
  counters: 20,
  addresses: 24,
  tables6: 28,
  tableCount6: 32,
  filterState: 36,
  filterStateBytes: 40,
  clock: 48,
  linked: 56,
  links: 64,
  ruleList: 120,
  ruleList6: 124,
} as const;

/** Where programs can be attached to a module: the hooks of the IP layer, each for both IP versions, and of devices. At xdp see links/links.ts. */
export const LINK_POINTS = [
  ...(["prerouting", "input", "forward", "output", "postrouting"] as const).flatMap((hook) =>
    ([4, 6] as const).map((family) => ({ hook, family })),
  ),
  ...(["netdev ingress", "netdev egress", "tc ingress", "tc egress"] as const).map((hook) => ({ hook, family: null })),
] as const;
export type LinkPoint = (typeof LINK_POINTS)[number];
/** Its place in LINK_POINTS; -1: programs are not attached there. */
export const linkPoint = (hook: Hook, family: Family | null): number =>
  LINK_POINTS.findIndex((point) => point.hook === hook && point.family === family);

/** Behind the last of LINK_POINTS, rounded up. */
export const NET_BYTES = 128;

/**
 * A program attached at a point of a namespace, in the order in which they run. Written by the host.
 *
 *      0          4          8          12
 *   0  next       place      device     priority         next: LINK; place: of its entry in the module's table, of that for traces one more
 *  16  id                                                device: ifindex, 0 at the hooks of the IP layer; priority: signed
 */
export const LINK = { next: 0, place: 4, device: 8, priority: 12, id: 16 } as const;
export const LINK_BYTES = 32;
/** At one point, at the most (as BPF_MPROG_MAX). */
export const MOST_LINKS = 64;

/** What a program's entry says of the packet. */
export const LinkResult = {
  /** The next program, or the next chain, is asked. */
  NEXT: 0,
  /** It has got its verdict, or another device has it to send. */
  ENDED: 1,
  /** At tc: it goes on, no further program is asked. */
  OK: 2,
} as const;

/**
 * Registers of the packet in flight that a module exports for programs, each an i32: names as the compiler has them (src/plan/build/skb.ts,
 * netfilter/registers.ts). Programs may set those of the second list.
 */
export const PROGRAM_REGISTERS = {
  reads: [
    ...["tail", "row", "stride", "slot", "l3", "iif", "l3slave", "doredirect", "ignore_df", "mc_loop"],
    ...["hook_in", "hook_out", "protocol", "mac_header", "sk_owner", "sending", "sk_bound", "batch_base"],
  ],
  sets: [
    ...["mac", "dev", "pkt_type", "mark", "priority", "xmit_recursion", "next"],
    ...["dst_input", "dst_output", "dst_dev", "dst_gateway", "dst_idev", "dst_type", "dst_mtu", "dst_error"],
    ...["redirect_device", "nf_skip_egress", "dup_recursion"],
  ],
} as const;

/**
 * Registers that the host gives to a program for several threads, each i32, another one in each thread: how far what the thread has for itself is
 * behind that of the program's state (ProgramManifest.state), and where the thread's area of the module is (WORKER).
 */
export const THREAD_REGISTERS = { own: "own", area: "area" } as const;

/** Of a chain's rule, or named; in the order of their ids. Both u64. */
export const FILTER_COUNTER = { packets: 0, bytes: 8 } as const;
export const FILTER_COUNTER_BYTES = 16;

/**
 * A named set or map, which the host may change between calls (runtime/maps: a file for each structure, with its drawing):
 *
 *      0          4          8          12
 *   0  structure  rows       values     half             half: of an interval structure, half of its room
 *  16  room       count      valueBytes columns          for the host alone; columns: of an lpm structure
 *
 * `values` is where the value of place 1 stands; how far apart they are follows from the structure. `valueBytes` counts from there to
 * the end of the last value. `count`: elements. A program that changes values (counters) does so at those places.
 */
export const MAP = {
  structure: 0,
  rows: 4,
  values: 8,
  half: 12,
  room: 16,
  count: 20,
  valueBytes: 24,
  columns: 28,
} as const;
export const MAP_BYTES = 32;

/**
 * What a program's module has of its own (links/), in a region that the host gives it: `self` is where that region is. Offsets of its MAP
 * records, counters and limits count from there, what the records say counts from the start of memory.
 */
export const STATE = { self: 0 } as const;
/** Structures are addressed from a little before their start, so nothing else stands here. */
export const STATE_BYTES = 64;

/** A token bucket, u64: the clock, in nanoseconds, when it will be full again if nothing is taken from it. 0: it is full. */
export const LIMIT = { full: 0 } as const;
export const LIMIT_BYTES = 8;

/**
 *      0          4          8          12
 *   0  ifindex    flags      master     table            master: DEVICE of the VRF (0: no slave);
 *  16  tableId    mtu        group      rpFilter         table: TABLE of a VRF, and of its slaves, for IPv4 (0: it has no route)
 *  32  mac (6 bytes, as on the wire), 2 bytes 0          tableId: RT_TABLE of a VRF, 0 otherwise
 *  40  sourceHost sourceLink                             inet_select_addr(device, 0, scope) for IPv4, 0: none
 *  48  sourceUniverse table6 addresses6 addressCount6    table6: as table, for IPv6; addresses6: first ADDRESS6
 *  64  groups6    groupCount6                            groups6: IPv6 groups that the device has joined, 16 bytes each, as on the wire
 *
 * The records of a net stand in the order of the model's devices, so `lo` is first. What the short way reads is in the first cache line.
 */
export const DEVICE = {
  ifindex: 0,
  flags: 4,
  master: 8,
  table: 12,
  tableId: 16,
  mtu: 20,
  group: 24,
  rpFilter: 28,
  mac: 32,
  sourceHost: 40,
  sourceLink: 44,
  sourceUniverse: 48,
  table6: 52,
  addresses6: 56,
  addressCount6: 60,
  groups6: 64,
  groupCount6: 68,
} as const;
export const DEVICE_BYTES = 2 * CACHE_LINE;
export const GROUP6_BYTES = 16;

/**
 * An IPv6 address of a device, in the order in which they were added, with what source address selection (RFC 6724) asks of it.
 *
 *      0          4          8          12
 *   0  address (16 bytes, as on the wire)
 *  16  prefixLength scope    label      orchid           scope: as ipv6_addr_src_scope; orchid: 0 or 1
 */
export const ADDRESS6 = { address: 0, prefixLength: 16, scope: 20, label: 24, orchid: 28 } as const;
export const ADDRESS6_BYTES = 32;

/** Bits of `DEVICE.flags`: interface flags and the per-device sysctls that packets ask for. */
export const DeviceFlag = {
  UP: 1 << 0,
  LOOPBACK: 1 << 1,
  /** An L3 master: a VRF device. */
  VRF: 1 << 2,
  /** IFF_NOARP or IFF_LOOPBACK: sends to its own link-layer address, without a neighbour entry. */
  NOARP: 1 << 3,
  FORWARDING: 1 << 4,
  ACCEPT_LOCAL: 1 << 5,
  ROUTE_LOCALNET: 1 << 6,
  BC_FORWARDING: 1 << 7,
  SEND_REDIRECTS: 1 << 8,
  DROP_UNICAST_IN_L2_MULTICAST: 1 << 9,
  /** A VRF without a qdisc of its own: vrf_l3_out goes direct. */
  QDISC_DEFAULT: 1 << 10,
  /** Has an address (kernel: in_dev->ifa_list is not empty). */
  HAS_ADDRESS: 1 << 11,
  /** One end of a veth: frames larger than its MTU and a VLAN tag do not arrive (is_skb_forwardable). */
  VETH: 1 << 12,
  FORWARDING6: 1 << 13,
  /** net.ipv6.conf.DEVICE.drop_unicast_in_l2_multicast */
  DROP_UNICAST_IN_L2_MULTICAST6: 1 << 14,
  /** net.ipv6.conf.DEVICE.disable_ipv6 */
  DISABLE_IPV6: 1 << 15,
  /** net.ipv4.conf.DEVICE.ignore_routes_with_linkdown */
  IGNORE_LINKDOWN: 1 << 16,
} as const;

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
 *   0  type       error      tos        route            type: RouteTypeCode; error: errno of a reject route, or 0
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

/** `FIB_ALIAS.type` and column `routeType`: the kernel's RTN_* numbers. */
export const RouteTypeCode = {
  unspec: 0,
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
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

/**
 *      0          4          8          12
 *   0  mask       used       changes                     mask: slots - 1 (a power of two - 1); used: slots not free
 *  16  slots, NEIGHBOUR_BYTES each
 *
 * `changes` counts, from 1 to MOST_CHANGES and round again: who changes a neighbour, or flags, MTU or MAC of a DEVICE, counts it up, as next hops
 * remember both. A table that takes the place of another goes on behind its count.
 *
 * Open addressing: an entry stands at the first free or reused slot from `neighbourHash & mask` on, wrapping. At least
 * one slot is free, so that a search ends.
 */
export const NEIGHBOUR_TABLE = { mask: 0, used: 4, changes: 8, slots: 16 } as const;
export const MOST_CHANGES = 0x7fffffff;

/**
 *      0          4          8          12
 *   0  device     family     mac (6 bytes, as on the wire), 2 bytes 0
 *  16  address (16 bytes, as on the wire; IPv4 in the first 4, the rest 0)
 *
 * `device` is an ifindex; 0: the slot is free, and ends a search; NEIGHBOUR_GONE: forgotten, and does not.
 */
export const NEIGHBOUR = { device: 0, family: 4, mac: 8, address: 16 } as const;
export const NEIGHBOUR_BYTES = 32;
export const NEIGHBOUR_GONE = 0xffffffff;

/** Knuth's multiplicative constant, 2^32 / golden ratio. */
export const NEIGHBOUR_HASH_FACTOR = 0x9e3779b1;

/**
 * Where the search for an address starts, before the mask: its four words (little-endian, as they stand in
 * `NEIGHBOUR.address`) and the ifindex, folded and spread. What neighbours differ in, the last byte of 10.0.0.x, is highest in its word: it
 * comes down before the multiplication, which only carries upwards, and again behind it. The program computes the same.
 */
export function neighbourHash(ifindex: number, words: readonly [number, number, number, number]): number {
  const folded = words[0] ^ words[1] ^ words[2] ^ words[3] ^ ifindex;
  const spread = Math.imul(folded ^ (folded >>> 16), NEIGHBOUR_HASH_FACTOR);
  return (spread ^ (spread >>> 16)) >>> 0;
}

/**
 * A rule list that is too long for code, and which of its rules a flow may match (src/rules/classifier.ts says how):
 *
 *      0          4          8          12
 *   0  first      end        count      pages            first, end: RULEs; pages: of 4,096 rules
 *  16  dimensions: { lpm, none, wild }                   lpm: structure of `blocks` that gives a class; none: the class of values that it
 *                                                        does not have; wild: the rules that do not ask, a page behind the other
 *
 *   class   offset of its vector of each page
 *   vector  summary, { word }                            u64 each; a word is 64 rules, the first in the highest bit. The summary says
 *                                                        which words are not 0; of a class only those are there, of `wild` all 64
 */
export const RULE_LIST = { first: 0, end: 4, count: 8, pages: 12, dimensions: 16 } as const;
export const RULE_DIMENSION = { lpm: 0, none: 4, wild: 8 } as const;
export const RULE_DIMENSION_BYTES = 12;
/** Of a list at most. */
export const RULE_DIMENSIONS = 6;
export const RULES_OF_WORD = 64;
export const WORDS_OF_PAGE = 64;
export const RULES_OF_PAGE = RULES_OF_WORD * WORDS_OF_PAGE;
/** A page of `wild`. */
export const RULE_PAGE_BYTES = 8 + 8 * WORDS_OF_PAGE;
export const RULE_LIST_BYTES = RULE_LIST.dimensions + RULE_DIMENSIONS * RULE_DIMENSION_BYTES;

/**
 *      0          4          8          12
 *   0  id         selectors  iif        oif              selectors: RuleSelector; the fields of those that are not set are 0
 *  16  mark       markMask   uidFirst   uidLast
 *  32  tos        ipproto    sportFirst sportLast
 *  48  dportFirst dportLast  action     argument         action: RuleActionCode, which says what the argument is
 *  64  table      suppress   ifgroup                     table: RT_TABLE of a look-up; suppress: prefix lengths below it, 0: none;
 *                                                        ifgroup: 0xffffffff: none
 *  80  from       fromMask   to         toMask           16 bytes each: IPv4 in host order in the first 4, IPv6 as on the wire
 */
export const RULE = {
  id: 0,
  selectors: 4,
  iif: 8,
  oif: 12,
  mark: 16,
  markMask: 20,
  uidFirst: 24,
  uidLast: 28,
  tos: 32,
  ipproto: 36,
  sportFirst: 40,
  sportLast: 44,
  dportFirst: 48,
  dportLast: 52,
  action: 56,
  argument: 60,
  table: 64,
  suppress: 68,
  ifgroup: 72,
  from: 80,
  fromMask: 96,
  to: 112,
  toMask: 128,
} as const;
export const RULE_BYTES = 144;

/** Bits of `RULE.selectors`: which are set, and how they are read. */
export const RuleSelector = {
  iif: 1 << 0,
  oif: 1 << 1,
  fwmark: 1 << 2,
  l3mdev: 1 << 3,
  uidrange: 1 << 4,
  from: 1 << 5,
  to: 1 << 6,
  tos: 1 << 7,
  ipproto: 1 << 8,
  sport: 1 << 9,
  dport: 1 << 10,
  /** Not all of the selectors shall match. */
  NOT: 1 << 11,
  /** Since 6.15: iif, oif is a VRF and means its domain. */
  IIF_DOMAIN: 1 << 12,
  OIF_DOMAIN: 1 << 13,
  /** The classifier does not know all of the rule's selectors: they are to be tested. */
  TEST: 1 << 14,
} as const;

export const RuleActionCode = {
  /** argument: TABLE, or 0 for a table without routes. */
  lookup: 0,
  /** The table of the flow's VRF. */
  lookupVrf: 1,
  /** argument: RULE, or 0 for a target that is not there. */
  goto: 2,
  /** argument: errno. */
  refuse: 3,
} as const;

/** u64 per verdict, then u64 per drop reason, in the order of their numbers. */
export const COUNTERS = { verdicts: 0, reasons: 16 * 8 } as const;
export const COUNTERS_BYTES = (16 + 64) * 8;
if (Math.max(...Object.values(Verdict)) >= 16 || Math.max(...Object.values(DropReason)) >= 64)
  throw new RangeError("COUNTERS has no room for the last verdict or drop reason");

/**
 * Trace records, one after the other from the start of the trace region:
 *
 *      0          4 ..
 *   0  event | args << 8     args words
 *
 * Events carry the fields of the TraceStep of the same name, in its order, as words. Devices are ifindexes; an id that may be
 * null is stored plus 1, null as 0; a selector as its index in SELECTORS plus 1; a hook, look-up kind as its index in
 * HOOKS, LOOKUPS; an address that may be of both families as five words: family (0: null) and the address as four words,
 * highest first, each in host order (an IPv4 address in the first).
 */
export const TraceEvent = {
  /** A packet of the batch starts: its index. */
  packet: 1,
  hook: 2,
  vrf_l3_rcv: 3,
  vrf_l3_out: 4,
  vrf_xmit: 5,
  vrf_local_xmit: 6,
  /** kind and the fields of Flow, with IPv4 addresses as one word each. */
  lookup: 7,
  rule: 8,
  fib: 9,
  suppress: 10,
  result: 11,
  /** device, gateway (five words), source (IPv4). */
  route: 12,
  fib_validate_source: 13,
  ip_forward: 14,
  ip_local_deliver: 15,
  /** device, next hop (five words), resolved. */
  neighbour: 16,
  transmit: 17,
  icmp_send: 18,
  send_error: 19,
  drop: 20,
  ip_fragment: 21,
  /** As lookup, with IPv6 addresses as four words each. */
  lookup6: 22,
  /** As route, with an IPv6 source as four words. */
  route6: 23,
  ip6_input: 24,
  ip6_forward: 25,
  icmpv6_send: 26,
  ip6_fragment: 27,
  /** chain. */
  nft_chain: 28,
  /** chain, rule, decision (index in RULE_DECISIONS), target + 1 (0: none). */
  nft_rule: 29,
  /** chain, policy (index in RULE_DECISIONS: accept or drop). */
  nft_policy: 30,
  /** chain, rule, place of the step in the rule. */
  nft_log: 31,
  nf_send_reset: 32,
  /** hook, device, program. */
  program: 33,
  /** program, rule, decision (index in RULE_DECISIONS), target + 1 (0: none). */
  program_rule: 34,
  /** program, rule, place of the step in the rule. */
  program_log: 35,
  /** program, decision (index in RULE_DECISIONS). */
  program_end: 36,
  /** id of a link, whose program begins. */
  link: 37,
  /** type << 8 | code of an ICMP error; 0: a TCP reset. */
  nft_reject_netdev: 38,
} as const;
export type TraceEvent = (typeof TraceEvent)[keyof typeof TraceEvent];

export const TRACE_WORD_BYTES = 4;
export const traceHeader = (event: number, args: number): number => event | (args << 8);
export const traceEventOf = (header: number): number => header & 0xff;
export const traceArgsOf = (header: number): number => header >>> 8;

/**
/**
 * Names of the module's exports. `process(net, batch, count)`, `trace(net, batch, count)`: judge packets 0 .. count-1; `table`: of functions,
 * where attached programs stand. The registers of PROGRAM_REGISTERS are exported under `register(name)`. `initialize()`, of a module for
 * several threads alone: puts the image into the memory that was imported; to be called once, in the first instance.
 */
export const EXPORTS = {
  memory: "memory",
  process: "process",
  trace: "trace",
  table: "programs",
  initialize: "initialize",
} as const;
/** What a module for several threads, and a program's, imports. */
export const MEMORY_IMPORT = { module: "vrfc", memory: "memory" } as const;
export const registerExport = (name: string): string => `skb.${name}`;
/** Names of a program's exports, `name(copy)`: of its entry for the packets of an IP version, or frames; and of that which traces. */
export const programEntry = (family: Family | null): string =>
  family === null ? "frame" : family === 4 ? "ip" : "ip6";
export const tracedEntry = (entry: string): string => `${entry}.trace`;
/** Index of a net in the module, offset of a batch, packets. */
export type ProcessExport = (net: number, batch: number, count: number) => void;

/** Rounds up to IMAGE_ALIGN. */
export const align = (offset: number): number => (offset + IMAGE_ALIGN - 1) & -IMAGE_ALIGN;

/** Bytes of an address. */
export const addressBytes = (family: Family): 4 | 16 => (family === 4 ? 4 : 16);
