/**
 * One `Trace` type for every engine: the steps that one packet took, in order. Two traces can be compared step by
 * step. Ids (`RuleId`, `RouteId`, `TableId`, `IfIndex`) are those of the namespace's model, so that whoever has the
 * model (explain, tests) finds the text that caused a step.
 *
 * Steps are named for the kernel function that takes them.
 */
import type { IfIndex, RouteId, RuleId, TableId } from "./brand.ts";
import type { Hook, ProgramHook } from "./hooks.ts";
import type { Ip } from "./net/ip.ts";
import type { DropReason, Errno } from "./verdict.ts";

/** Selectors of a rule in the order in which `fib_rule_match` and `fib4_rule_match` test them. */
export const SELECTORS = [
  "iif",
  "oif",
  "fwmark",
  "l3mdev",
  "uidrange",
  "from",
  "to",
  "tos",
  "ipproto",
  "sport",
  "dport",
] as const;
export type Selector = (typeof SELECTORS)[number];

/** Why a look-up is made. link_scope (IPv6): straight in a VRF's table, without rules (vrf_ip6_route_lookup). nft_fib: by an expression of a chain. */
export const LOOKUPS = ["input", "output", "source", "vrf_xmit", "link_scope", "nft_fib"] as const;
export type LookupKind = (typeof LOOKUPS)[number];

/** The flow as rules and tables see it, after `l3mdev_update_flow` (a VRF bound as oif has become `l3mdev`, oif 0). */
export interface Flow {
  readonly iif: IfIndex;
  readonly oif: IfIndex;
  /** The VRF device whose table the l3mdev rule uses; 0: none. */
  readonly l3mdev: IfIndex;
  readonly saddr: Ip;
  readonly daddr: Ip;
  readonly mark: number;
  readonly tos: number;
  readonly protocol: number;
  readonly sport: number;
  readonly dport: number;
  readonly uid: number;
}

/**
 * What a rule of a chain or program decides, and a program on the whole. `continue`: the next rule. In capitals: XDP_* and
 * TC_ACT_*, of programs and of the chains that only they lead to.
 */
export const RULE_DECISIONS = [
  "continue",
  "accept",
  "drop",
  "return",
  "jump",
  "goto",
  "reject",
  "fwd",
  "PASS",
  "DROP",
  "TX",
  "REDIRECT",
  "ABORTED",
  "OK",
  "SHOT",
  "UNSPEC",
] as const;
export type RuleDecision = (typeof RULE_DECISIONS)[number];

/** How a program ends. UNSPEC: a tc program says nothing, the next one is asked. */
export type ProgramDecision = Extract<
  RuleDecision,
  "PASS" | "DROP" | "TX" | "REDIRECT" | "ABORTED" | "OK" | "SHOT" | "UNSPEC"
>;

export type TraceStep =
  /** A hook is passed with these devices; 0 where the hook has no such device. What is attached to it follows. */
  | { readonly step: "hook"; readonly hook: Hook; readonly in: IfIndex; readonly out: IfIndex }
  /** l3mdev_ip_rcv -> vrf_l3_rcv: the packet's device becomes the VRF. */
  | { readonly step: "vrf_l3_rcv"; readonly device: IfIndex; readonly vrf: IfIndex }
  /** l3mdev_l3_out -> vrf_l3_out: a locally sent packet whose route leaves by a slave. `direct` unless the VRF has a qdisc. */
  | { readonly step: "vrf_l3_out"; readonly device: IfIndex; readonly vrf: IfIndex; readonly direct: boolean }
  | { readonly step: "vrf_xmit"; readonly vrf: IfIndex }
  | { readonly step: "vrf_local_xmit"; readonly vrf: IfIndex }
  /** __fib_lookup starts; the `rule` and `fib` steps up to its `result` belong to it. */
  | { readonly step: "lookup"; readonly kind: LookupKind; readonly flow: Flow }
  /** fib_rule_match; `failed` is the first selector that did not match (for an inverted rule, null). */
  | { readonly step: "rule"; readonly rule: RuleId; readonly matched: boolean; readonly failed: Selector | null }
  /** fib_table_lookup: the route that decided, or null and the errno (EAGAIN: nothing here, go on with the next rule). */
  | { readonly step: "fib"; readonly table: TableId; readonly route: RouteId | null; readonly error: Errno | 0 }
  /** fib4_rule_suppress threw the found route away. */
  | { readonly step: "suppress"; readonly rule: RuleId; readonly route: RouteId }
  /** End of __fib_lookup: the deciding rule and route, or an errno. */
  | { readonly step: "result"; readonly rule: RuleId | null; readonly route: RouteId | null; readonly error: Errno | 0 }
  /** The next hop and source that the look-up settled on; gateway null when the destination is on the link. */
  | { readonly step: "route"; readonly device: IfIndex; readonly gateway: Ip | null; readonly source: Ip }
  /** __fib_validate_source: error 0, EXDEV (rp_filter) or EINVAL (martian source). */
  | { readonly step: "fib_validate_source"; readonly device: IfIndex; readonly error: Errno | 0 }
  | { readonly step: "ip_forward"; readonly ttl: number }
  /** ip_local_deliver: `device` is the VRF for a slave, `sdif` then the slave. */
  | { readonly step: "ip_local_deliver"; readonly device: IfIndex; readonly sdif: IfIndex }
  /** ip_finish_output2: link-layer address found or not. */
  | { readonly step: "neighbour"; readonly device: IfIndex; readonly nextHop: Ip; readonly resolved: boolean }
  | { readonly step: "transmit"; readonly device: IfIndex }
  | { readonly step: "icmp_send"; readonly type: number; readonly code: number }
  | { readonly step: "send_error"; readonly error: Errno }
  | { readonly step: "drop"; readonly reason: DropReason }
  /** ip_fragment: larger than `mtu` (bytes) and may be cut; the host does that. */
  | { readonly step: "ip_fragment"; readonly device: IfIndex; readonly mtu: number }
  // -- IPv6's own, with the meaning of ip_local_deliver, ip_forward, icmp_send, ip_fragment
  | { readonly step: "ip6_input"; readonly device: IfIndex; readonly sdif: IfIndex }
  | { readonly step: "ip6_forward"; readonly hopLimit: number }
  /** icmpv6_send, icmpv6_param_prob; a redirect (type 137, ndisc_send_redirect) besides. */
  | { readonly step: "icmpv6_send"; readonly type: number; readonly code: number }
  | { readonly step: "ip6_fragment"; readonly device: IfIndex; readonly mtu: number }
  // -- chains; `chain` is the id of a chain in the model, `rule` the place of a rule in its chain
  /** nft_do_chain: a base chain of the hook begins. */
  | { readonly step: "nft_chain"; readonly chain: number }
  /** All tests of a rule said yes and its effects are done; `target`: of jump and goto. Rules that do not match leave no step. */
  | {
      readonly step: "nft_rule";
      readonly chain: number;
      readonly rule: number;
      readonly decision: RuleDecision;
      readonly target: number | null;
    }
  /** No rule of the base chain decided. */
  | { readonly step: "nft_policy"; readonly chain: number; readonly policy: "accept" | "drop" }
  /** nf_log_packet: `at` is the place of the `log` among the steps of the rule. */
  | { readonly step: "nft_log"; readonly chain: number; readonly rule: number; readonly at: number }
  /** nf_send_reset, nf_send_reset6: the host answers with a TCP reset. */
  | { readonly step: "nf_send_reset" }
  /** nft_reject_netdev_eval: the host answers the frame by the way it came; `error` = type << 8 | code of an ICMP error, 0: a TCP reset. */
  | { readonly step: "nft_reject_netdev"; readonly error: number }
  // -- programs; `program` is the id of a program in the model. Chains that they lead to have the nft_ steps
  /** bpf_prog_run_xdp, cls_bpf_classify: a program begins, behind the `hook` that it stands on. */
  | { readonly step: "program"; readonly hook: ProgramHook; readonly device: IfIndex; readonly program: number }
  /** As nft_rule. `target`: of jump and goto the chain, of REDIRECT the ifindex. */
  | {
      readonly step: "program_rule";
      readonly program: number;
      readonly rule: number;
      readonly decision: RuleDecision;
      readonly target: number | null;
    }
  /** As nft_log. */
  | { readonly step: "program_log"; readonly program: number; readonly rule: number; readonly at: number }
  /** The program has ended with this, by a rule or because none decided. */
  | { readonly step: "program_end"; readonly program: number; readonly decision: ProgramDecision }
  /** A program that is attached (links/links.ts) begins: ids up to its end are those of its own manifest. */
  | { readonly step: "link"; readonly link: number };

export type Trace = readonly TraceStep[];
