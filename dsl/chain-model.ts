/**
 * What checked chains, programs, sets, maps, counters and limits mean. Everything nft leaves to be understood is written
 * out: `tcp dport 22` becomes a test of the L4 protocol and then of two bytes, names of devices are ifindexes, symbols
 * are numbers, sets between braces are sets of their own. So an engine needs to know nothing of nftables' language.
 *
 *   Netfilter = tables, chains, sets, counters, limits, programs       each a dense list, ids are indexes
 *   Chain     = { base } rules                                         base: the hook, device, priority, policy
 *   Rule      = { Step }                                               one after the other, until one says no
 *   Step      = Test | Effect | Verdict
 *   Test      = compare Expr op constant | range Expr | lookup Exprs in set | limit
 *   Effect    = counter | count | log | set meta | write payload | write option | dup
 *   Verdict   = accept | drop | jump | goto | return | continue | vmap | reject | fwd | XDP and tc verdicts
 *   Expr      = const | payload | exthdr | meta | fib | ct | bitwise | shift | map
 *
 * Evaluation, as nft_do_chain (net/netfilter/nf_tables_core.c) has it
 *
 *   - The steps of a rule run in order. A test that says no, or an expression without a value ("breaks": NFT_BREAK), ends
 *     the rule; the next rule of the chain follows. Steps before it have had their effect: a counter that stands in front
 *     of a test counts what the test refuses.
 *   - `jump` remembers the next rule of this chain (at most JUMP_DEPTH_MAX deep, checked), `goto` does not. `return`, or the
 *     end of a chain, goes back to the remembered rule, or, with nothing remembered, to the base chain's policy.
 *   - `accept` ends this base chain; the hook's next base chain still sees the packet. `drop` ends the packet.
 *   - The verdict of a hook with several base chains: each in the order of `Netfilter.hooks`, until one drops it.
 *   - Counters count packets and bytes, a packet's bytes being `meta length` where it stands (nft_counter_do_eval).
 *
 * Values are unsigned integers of `bits` width, most significant byte first as on the wire, and are compared as numbers:
 * a JavaScript number to 32 bits, a bigint above (Ethernet addresses too). Bits beyond the width are zero.
 */
import type { Brand, IfIndex } from "../runtime/brand.ts";
import type { Hook, MapKind, ProgramHook } from "../runtime/hooks.ts";
import type { Origin } from "./model.ts";
import type { Span } from "./span.ts";

export type ChainId = Brand<number, "ChainId">;
export type SetId = Brand<number, "SetId">;
export type CounterId = Brand<number, "CounterId">;
export type LimitId = Brand<number, "LimitId">;
export type ProgramId = Brand<number, "ProgramId">;

export const chainId = (n: number): ChainId => n as ChainId;
export const setId = (n: number): SetId => n as SetId;
export const counterId = (n: number): CounterId => n as CounterId;
export const limitId = (n: number): LimitId => n as LimitId;
export const programId = (n: number): ProgramId => n as ProgramId;

/** A number to 32 bits, a bigint above. */
export type Value = number | bigint;

/** Which packets a table's chains see: `inet` both IP families, `netdev` every frame of a device. */
export const TABLE_FAMILIES = ["ip", "ip6", "inet", "netdev"] as const;
export type TableFamily = (typeof TABLE_FAMILIES)[number];

/** Kernel: `NFT_JUMP_STACK_SIZE`. A chain of jumps from a base chain is at most this long. */
export const JUMP_DEPTH_MAX = 16;

/** Chains, sets, counters and programs of one network namespace. */
export interface Netfilter {
  /** Only for printing: chains, sets, ... name their table by its index here. */
  readonly tables: readonly FilterTable[];
  readonly chains: readonly Chain[];
  readonly sets: readonly SetDef[];
  /** Named ones and those of `counter` in a rule; those of rules stand in the order of the text. */
  readonly counters: readonly Counter[];
  readonly limits: readonly Limit[];
  readonly programs: readonly Program[];
  /**
   * Base chains in the order in which a packet meets them. Lower priorities first; among equals the one that was added
   * *last* comes first (nf_hook_entries_grow inserts before equals). Chains of `inet` are in the lists of both families.
   */
  readonly hooks: readonly HookChains[];
}

/** The chains of one hook, for one family, and on one device where the hook is a device's. */
export interface HookChains {
  readonly hook: ChainHook;
  /** The packets that pass here: of this IP version; null at the hooks of a device, where all frames pass. */
  readonly family: 4 | 6 | null;
  /** For netdev hooks: the device; null at the hooks of the IP layer. */
  readonly device: IfIndex | null;
  readonly chains: readonly ChainId[];
}

export type ChainHook = Extract<
  Hook,
  "prerouting" | "input" | "forward" | "output" | "postrouting" | "netdev ingress" | "netdev egress"
>;

export interface FilterTable {
  readonly family: TableFamily;
  /** Null: the chains and sets that stand outside of any table. */
  readonly name: string | null;
}

export interface Chain {
  readonly id: ChainId;
  readonly table: number;
  readonly name: string;
  /** Null: a regular chain, reached by jump and goto only. */
  readonly base: BaseChain | null;
  readonly rules: readonly FilterRule[];
  readonly origin: Origin;
}

export interface BaseChain {
  /** `filter`, or `route`: after it a changed mark, address or TOS has the packet routed anew (nf_route_table_hook4). */
  readonly type: "filter" | "route";
  readonly hook: ChainHook;
  /** Devices of netdev hooks; empty otherwise. */
  readonly devices: readonly IfIndex[];
  /** Signed 32 bits. */
  readonly priority: number;
  readonly policy: "accept" | "drop";
}

export interface FilterRule {
  readonly steps: readonly Step[];
  /** `comment "..."`. */
  readonly comment: string | null;
  readonly origin: Origin;
}

/** Where in the text a step or expression comes from: implied steps point at what implies them. */
interface Spanned {
  readonly span: Span;
}

// Expressions.

/** `bits` is the width of the value. */
export type Expr = Spanned & { readonly bits: number } & (
    | { readonly kind: "const"; readonly value: Value }
    | Payload
    | ExtensionHeader
    | Meta
    | Fib
    | Conntrack
    | Bitwise
    | Shift
    | MapLookup
  );

/**
 * `length` bytes at `offset` behind a header's start (nft_payload_eval). Breaks when a byte is not in the packet.
 *   link       the Ethernet header, as received or about to be sent. Breaks where the packet has none (nothing has set
 *              skb->mac_header: packets of local sockets at output and postrouting). A VLAN tag that the host holds aside is
 *              where it was on the wire.
 *   network    the IP header; at netdev hooks what follows the Ethernet header
 *   transport  behind the IPv4 header, or the last extension header of IPv6 (ipv6_find_hdr). Breaks for fragments but
 *              the first, and where there is none (see the meta key `l4proto`). But 1, 2 or 4 bytes at a multiple of
 *              their length are read from any fragment (nft_payload_fast_eval, as of 6.1): of an IPv4 one behind its IP
 *              header, of an IPv6 one from the start of what the hook sees (`data`: the IP header, at netdev egress Ethernet's)
 *   inner      behind the UDP header, or the TCP header with its options; breaks for other protocols
 */
export interface Payload {
  readonly kind: "payload";
  readonly base: "link" | "network" | "transport" | "inner";
  /** Bytes. */
  readonly offset: number;
  readonly length: number;
}

/**
 * Bytes of an IPv6 extension header, an IPv4 option or a TCP option (nft_exthdr.c). `present`: 1 when there is such a
 * header, else 0, and never breaks for want of it; otherwise breaks when there is none or when it is too short.
 */
export interface ExtensionHeader {
  readonly kind: "exthdr";
  readonly op: "ipv6" | "ipv4" | "tcp";
  /** Next-header number, or option kind. */
  readonly type: number;
  readonly offset: number;
  readonly length: number;
  readonly present: boolean;
}

export const META_KEYS = {
  /** skb->len: bytes from the network header on; at `netdev egress` from the Ethernet header on. */
  length: 32,
  /** EtherType behind VLAN tags that were taken off (skb->protocol). */
  protocol: 16,
  /** 2 IPv4, 10 IPv6 (`NFPROTO_*`), 5 at netdev hooks. */
  nfproto: 8,
  /**
   * IPv4: the protocol field. IPv6: the header behind the extension headers; breaks when they are malformed. At netdev
   * hooks the IP header is checked first (nft_set_pktinfo_ipv4_validate); breaks for other frames and bad headers.
   */
  l4proto: 8,
  mark: 32,
  priority: 32,
  /** Ifindex of the hook's input or output device, 0: none (`iifname ""`). At prerouting in=VRF it is the VRF. */
  iif: 32,
  oif: 32,
  /** Slave that the packet came in by when `iif` is its VRF device (inet_sdif); 0 otherwise. */
  sdif: 32,
  /** ARPHRD_*; breaks without a device. `iftype`: of the device that the packet is on now (skb->dev). */
  iiftype: 16,
  oiftype: 16,
  iftype: 16,
  /** Breaks without a device. */
  iifgroup: 32,
  oifgroup: 32,
  /** 0 host, 1 broadcast, 2 multicast, 3 otherhost (skb->pkt_type; a looped-back packet: by its destination). */
  pkttype: 8,
  /** Owner of the socket that sends; breaks without one. */
  skuid: 32,
  skgid: 32,
} as const;
export type MetaKey = keyof typeof META_KEYS;

export interface Meta {
  readonly kind: "meta";
  readonly key: MetaKey;
}

/** What `meta ... set` may write (nft_meta_set_eval). `pkttype`: only among host, broadcast, multicast, otherhost. */
export type MetaSetKey = Extract<MetaKey, "mark" | "priority" | "pkttype">;

/**
 * A route look-up of the packet (nft_fib4_eval, nft_fib6_eval; nft_fib4_eval_type for `type`).
 *   type   RTN_* of the address (1 unicast, 2 local, 3 broadcast, 4 anycast, 5 multicast, ... 0 none)
 *   oif    ifindex that the route leaves by, 0: no route, or with `iif`/`oif` among the flags not by that device
 *          `oifname` is the same: names are ifindexes here
 */
export interface Fib {
  readonly kind: "fib";
  readonly result: "type" | "oif";
  readonly address: "saddr" | "daddr";
  readonly mark: boolean;
  readonly iif: boolean;
  readonly oif: boolean;
  /** `check`: 1 when the result is not 0 (NFTA_FIB_F_PRESENT), in 8 bits. */
  readonly present: boolean;
}

/** There is no connection tracking: every packet is `untracked` (IP_CT_UNTRACKED), value 64 of `ct state`. */
export interface Conntrack {
  readonly kind: "ct";
  readonly key: "state";
}

/** `(operand & mask) ^ xor`, of the operand's width (nft_bitwise_eval). */
export interface Bitwise {
  readonly kind: "bitwise";
  readonly operand: Expr;
  readonly mask: Value;
  readonly xor: Value;
}

/**
 * `operand` shifted by a constant number of bits, of width `bits`: a field that does not end at a byte, as a number. Of one that is shifted
 * right the width may be less than the operand's.
 */
export interface Shift {
  readonly kind: "shift";
  readonly operand: Expr;
  readonly direction: "left" | "right";
  readonly by: number;
}

/** The value that a map gives for a key; breaks when the key is not in it (nft_lookup_eval). */
export interface MapLookup {
  readonly kind: "map";
  readonly map: SetId;
  /** One for each field of the map's key. */
  readonly key: readonly Expr[];
}

// Steps.

export type Step = Test | Effect | Verdict;

export type Test = Spanned &
  (
    | { readonly kind: "compare"; readonly op: CompareOp; readonly left: Expr; readonly right: Value }
    /** Inclusive; `not`: outside of it. */
    | {
        readonly kind: "range";
        readonly not: boolean;
        readonly left: Expr;
        readonly first: Value;
        readonly last: Value;
      }
    /** `not`: the key is in no element. */
    | { readonly kind: "lookup"; readonly not: boolean; readonly set: SetId; readonly key: readonly Expr[] }
    | { readonly kind: "limit"; readonly limit: LimitId }
  );
export type CompareOp = "eq" | "ne" | "lt" | "le" | "gt" | "ge";

export type Effect = Spanned &
  (
    | { readonly kind: "counter"; readonly counter: CounterId }
    /** The counter that a map has for the key (nft_objref_map_eval); breaks when the key is not in it. */
    | { readonly kind: "count"; readonly map: SetId; readonly key: readonly Expr[] }
    /** Says it and goes on. The level is syslog's number, 4 (warning) by default. */
    | { readonly kind: "log"; readonly prefix: string; readonly level: number }
    | { readonly kind: "set meta"; readonly key: MetaSetKey; readonly value: Expr }
    | PayloadWrite
    | OptionWrite
    /** A copy leaves by the device whose ifindex this is (nft_dup_netdev_eval); nothing for a device that is not there. */
    | { readonly kind: "dup"; readonly device: Expr }
  );

/**
 * Writes `value` (of `8 * length` bits; bits of a byte that are not the field's have been read before) and mends the
 * checksums (nft_payload_set_eval). Breaks, and writes nothing, where `Payload` would.
 *   checksum   Internet checksum field at this offset of the same header: replaced by RFC 1624 for the changed bytes, also a
 *              UDP one of 0, which says that there is none; what becomes 0 is written as 0xffff (CSUM_MANGLED_0)
 *   pseudo     the bytes are in the pseudo header: the TCP, UDP, UDP-Lite (or ICMPv6) checksum is mended as well
 *              (nft_payload_l4csum_update), not in fragments but the first
 */
export interface PayloadWrite {
  readonly kind: "write payload";
  readonly base: Payload["base"];
  readonly offset: number;
  readonly length: number;
  readonly value: Expr;
  readonly checksum: number | null;
  readonly pseudo: boolean;
}

/**
 * Writes `value` into `length` bytes at `offset` of the first TCP option of this kind, and mends the TCP checksum (nft_exthdr_tcp_set_eval).
 * Goes on without writing when there is no such option, when it holds the value already, and when the segment size (TCPOPT_MSS) would
 * grow. Breaks when there is no whole TCP header, or when the option runs over its end or is shorter than what is written.
 */
export interface OptionWrite {
  readonly kind: "write option";
  readonly type: number;
  readonly offset: number;
  readonly length: 2 | 4;
  readonly value: Expr;
}

/** Ends the rule. `continue` is what a rule without a verdict does; only verdict maps say it. */
export type Verdict = Spanned &
  (
    | Decision
    /** The element's decision; the rule ends without one when the key is in no element. */
    | { readonly kind: "vmap"; readonly map: SetId; readonly key: readonly Expr[] }
    | Reject
    /** The frame leaves by this device and is gone from here (nft_fwd_netdev_eval): NF_STOLEN. netdev hooks only. */
    | { readonly kind: "fwd"; readonly device: Expr }
    /** XDP_REDIRECT, TC_ACT_REDIRECT: to the device of this ifindex; one that is not there: dropped. Programs only. */
    | { readonly kind: "redirect"; readonly device: Expr }
  );

/** What a rule, a verdict map's element or a policy decides. */
export type Decision =
  | { readonly kind: "accept" | "drop" | "return" | "continue" }
  | { readonly kind: "jump" | "goto"; readonly chain: ChainId }
  | { readonly kind: "xdp"; readonly action: XdpAction }
  | { readonly kind: "tc"; readonly action: TcAction };

/** `REDIRECT` has a device, see Verdict. */
export const XDP_ACTIONS = ["ABORTED", "DROP", "PASS", "TX"] as const;
export type XdpAction = (typeof XDP_ACTIONS)[number];
export const TC_ACTIONS = ["OK", "SHOT"] as const;
export type TcAction = (typeof TC_ACTIONS)[number];

/**
 * The packet is dropped and its sender told (nft_reject_inet_eval, nf_send_unreach, nf_send_reset).
 *   icmp       for IPv4: type 3 and this code
 *   icmp6      for IPv6: type 1 and this code
 *   tcp reset  for TCP, of either family; for what is not TCP nothing is sent
 * Both `icmp` and `icmp6` stand where packets of both families can come (`icmpx`, or no `with` at all).
 */
export interface Reject {
  readonly kind: "reject";
  readonly icmp: number | null;
  readonly icmp6: number | null;
  readonly tcpReset: boolean;
}

// Sets and maps.

/** A part of a key, or a map's value: its width, and its nft type for printing and for the host side. */
export interface Field {
  readonly type: string;
  readonly bits: number;
}

/**
 * A set (value null), a map (value a field; of type `counter`: packets in the upper 64 bits, bytes in the lower) or a verdict map (value
 * "verdict"). An element holds for a key when each field
 * lies in its range; the first element that does decides. Elements of a set of one field do not overlap and are sorted.
 */
export interface SetDef {
  readonly id: SetId;
  readonly table: number;
  /** Null: stands between braces in a rule, and cannot change. */
  readonly name: string | null;
  readonly key: readonly Field[];
  readonly value: Field | "verdict" | null;
  /** `flags interval`: elements may be ranges. */
  readonly interval: boolean;
  /** `kind ...`: what the host side may do with it, in eBPF's words; null for sets and maps of chains. */
  readonly storage: MapKind | null;
  /** `size`: most elements, null: no limit. For arrays the length. */
  readonly size: number | null;
  readonly elements: readonly SetElement[];
  readonly origin: Origin;
}

export { MAP_KINDS, type MapKind } from "../runtime/hooks.ts";

export interface SetElement {
  readonly key: readonly KeyRange[];
  /** As the set's `value` says: a Value, a Decision, or null. */
  readonly value: Value | Decision | null;
}

/** Inclusive; equal for a single value. */
export interface KeyRange {
  readonly first: Value;
  readonly last: Value;
}

// State.

export interface Counter {
  readonly id: CounterId;
  readonly table: number;
  /** Null: of a rule. */
  readonly name: string | null;
  /** What it starts with: `counter packets 5 bytes 300`. */
  readonly packets: bigint;
  readonly bytes: bigint;
  readonly span: Span;
}

/**
 * A token bucket filled with time (nft_limit_eval): `tokens` nanoseconds, at first `max`. For a packet
 *
 *     tokens = min(max, tokens + now - last); last = now
 *     tokens >= cost ? (tokens -= cost; says !over) : says over
 *
 * where a packet costs floor(per / rate) ns (unit "packets"), or floor(per * meta length / rate) ns (unit "bytes").
 */
export interface Limit {
  readonly id: LimitId;
  readonly table: number;
  readonly name: string | null;
  readonly unit: "packets" | "bytes";
  /** Units for each `per` nanoseconds. */
  readonly rate: bigint;
  readonly per: bigint;
  readonly burst: number;
  /** `rate over`: says yes to what is too much. */
  readonly over: boolean;
  /** Size of the bucket in nanoseconds: packets floor(per / rate) * burst, bytes floor(per * (rate + burst) / rate). */
  readonly max: bigint;
  readonly span: Span;
}

// Programs.

/** `program NAME on xdp DEV { ... }`: rules as in a chain, judged frame by frame before (XDP) or beside (tc) the IP layer. */
export interface Program {
  readonly id: ProgramId;
  readonly name: string;
  readonly hook: ProgramHook;
  readonly device: IfIndex;
  /** tc: programs of a hook run in this order, lower first, equal ones as they stand in the text. XDP: 0, there is one a device. */
  readonly priority: number;
  readonly rules: readonly FilterRule[];
  /**
   * When no rule decides; `return` ends the program with it. Null: not said, which is PASS of an XDP program, and nothing of a
   * tc program (TC_ACT_UNSPEC): the next one is asked, and after the last the packet goes on.
   */
  readonly policy: Decision | null;
  readonly origin: Origin;
}

export const EMPTY_NETFILTER: Netfilter = {
  tables: [],
  chains: [],
  sets: [],
  counters: [],
  limits: [],
  programs: [],
  hooks: [],
};
