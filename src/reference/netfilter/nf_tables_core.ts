/**
 * Chains run: what dsl/chain-model.ts says of their meaning.
 * k:net/netfilter/nf_tables_core.c nft_do_chain; nft_cmp.c, nft_range.c, nft_lookup.c, nft_counter.c, nft_limit.c, nft_log.c, nft_meta.c
 * nft_meta_set_eval.
 *
 *   nft_do_chain   base chain -> nft_do_rules -> policy
 *   nft_do_rules   rule -> steps; a jump remembers the next rule on a stack, a goto does not. Programs run by it too (programs/bpf_prog.ts)
 */
import type {
  Chain,
  ChainId,
  Decision,
  Expr,
  MetaSetKey,
  Verdict as NftVerdict,
  Program,
  Reject,
  SetId,
  Step,
  TcAction,
  XdpAction,
} from "../../../dsl/chain-model.ts";
import type { RuleDecision } from "../../../runtime/trace.ts";
import type { SkBuff } from "../skb.ts";
import { nf_dup_netdev_egress } from "./nf_dup_netdev.ts";
import { evaluate, meta_length, nft_lookup_eval, PACKET_TYPES } from "./nft_expr.ts";
import { nft_exthdr_tcp_set_eval } from "./nft_exthdr_set.ts";
import { nft_payload_set_eval } from "./nft_payload_set.ts";
import type { PktInfo } from "./pktinfo.ts";

/** How a base chain ends for a packet. `device`: ifindex. */
export type ChainVerdict =
  | { readonly kind: "accept" | "drop" }
  | Reject
  | { readonly kind: "fwd"; readonly device: number };

/** How a program ends a packet's stay, or a chain that only programs lead to. `device`: ifindex. */
export type ProgramVerdict =
  | { readonly kind: "xdp"; readonly action: XdpAction }
  | { readonly kind: "tc"; readonly action: TcAction }
  | { readonly kind: "redirect"; readonly device: number };

/** How a rule ends. */
type RuleVerdict =
  | ChainVerdict
  | ProgramVerdict
  | { readonly kind: "continue" | "return" }
  | { readonly kind: "jump" | "goto"; readonly chain: ChainId };

/** What has rules, one after the other. */
type RuleList = Chain | Program;
const isChain = (list: RuleList): list is Chain => "base" in list;

interface Place {
  readonly list: RuleList;
  readonly next: number;
}

export function nft_do_chain(base: Chain, pkt: PktInfo): ChainVerdict {
  pkt.net.record({ step: "nft_chain", chain: base.id });
  const verdict = nft_do_rules(base, pkt) ?? policy(base, pkt);
  if (isOfProgram(verdict)) throw new RangeError(`${verdict.kind} in a chain of a hook`);
  return verdict;
}

const isOfProgram = (verdict: ChainVerdict | ProgramVerdict): verdict is ProgramVerdict =>
  verdict.kind === "xdp" || verdict.kind === "tc" || verdict.kind === "redirect";

/** From the first rule of `root` on. @returns null: no rule decided */
export function nft_do_rules(root: RuleList, pkt: PktInfo): ChainVerdict | ProgramVerdict | null {
  const { chains } = pkt.net.netfilter.model;
  const stack: Place[] = [];
  let place: Place = { list: root, next: 0 };
  for (;;) {
    const { list, next } = place;
    const verdict = next < list.rules.length ? nft_do_rule(list, next, pkt) : RETURN;
    switch (verdict.kind) {
      case "continue":
        place = { list, next: next + 1 };
        break;
      case "jump":
        stack.push({ list, next: next + 1 });
        place = { list: chains[verdict.chain], next: 0 };
        break;
      case "goto":
        place = { list: chains[verdict.chain], next: 0 };
        break;
      case "return": {
        const back = stack.pop();
        if (back === undefined) return null;
        place = back;
        break;
      }
      default:
        return verdict;
    }
  }
}

const RETURN = { kind: "return" } as const;
const CONTINUE = { kind: "continue" } as const;

function policy({ id, base }: Chain, pkt: PktInfo): ChainVerdict {
  pkt.net.record({ step: "nft_policy", chain: id, policy: base!.policy });
  return { kind: base!.policy };
}

/** The steps of a rule, one after the other; a rule that one of them ends leaves no trace, but its effects. */
function nft_do_rule(list: RuleList, rule: number, pkt: PktInfo): RuleVerdict {
  let verdict: RuleVerdict = CONTINUE;
  for (const [at, step] of list.rules[rule].steps.entries()) {
    if (step.kind === "log") nf_log_packet(list, rule, at, pkt);
    const outcome = nft_do_step(step, pkt);
    if (outcome === false) return CONTINUE;
    if (outcome === true) continue;
    verdict = outcome;
    break;
  }
  record_rule(list, rule, verdict, pkt);
  return verdict;
}

function nf_log_packet(list: RuleList, rule: number, at: number, { net }: PktInfo): void {
  if (isChain(list)) net.record({ step: "nft_log", chain: list.id, rule, at });
  else net.record({ step: "program_log", program: list.id, rule, at });
}

function record_rule(list: RuleList, rule: number, verdict: RuleVerdict, { net }: PktInfo): void {
  const decision = decisionOf(verdict);
  const target = verdict.kind === "redirect" ? verdict.device : "chain" in verdict ? verdict.chain : null;
  if (isChain(list)) net.record({ step: "nft_rule", chain: list.id, rule, decision, target });
  else net.record({ step: "program_rule", program: list.id, rule, decision, target });
}

function decisionOf(verdict: RuleVerdict): RuleDecision {
  if (verdict.kind === "redirect") return "REDIRECT";
  return verdict.kind === "xdp" || verdict.kind === "tc" ? verdict.action : verdict.kind;
}

/** @returns true: go on; false: NFT_BREAK, the rule ends here */
function nft_do_step(step: Step, pkt: PktInfo): boolean | RuleVerdict {
  const { skb } = pkt;
  const { netfilter } = pkt.net;
  switch (step.kind) {
    case "compare": {
      const left = evaluate(step.left, pkt);
      return left !== null && COMPARE[step.op](left, BigInt(step.right));
    }
    case "range": {
      const left = evaluate(step.left, pkt);
      return left !== null && (BigInt(step.first) <= left && left <= BigInt(step.last)) !== step.not;
    }
    case "lookup": {
      const element = nft_lookup_eval(step.set, step.key, pkt);
      return element !== "break" && (element !== null) !== step.not;
    }
    case "limit":
      return netfilter.take(step.limit, meta_length(pkt));
    case "counter":
      netfilter.count(step.counter, meta_length(pkt));
      return true;
    case "count":
      return nft_objref_map_eval(step.map, step.key, pkt);
    case "log":
      return true;
    case "set meta": {
      const value = evaluate(step.value, pkt);
      if (value !== null) nft_meta_set_eval(skb, step.key, Number(value));
      return value !== null;
    }
    case "write payload": {
      const value = evaluate(step.value, pkt);
      return value !== null && nft_payload_set_eval(step, value, pkt);
    }
    case "write option": {
      const value = evaluate(step.value, pkt);
      return value !== null && nft_exthdr_tcp_set_eval(step, Number(value), pkt);
    }
    case "dup": {
      const device = evaluate(step.device, pkt);
      if (device !== null) nf_dup_netdev_egress(pkt, Number(device));
      return device !== null;
    }
    default:
      return nft_verdict(step, pkt);
  }
}

/** @returns false: the map has no counter for the key */
function nft_objref_map_eval(map: SetId, key: readonly Expr[], pkt: PktInfo): boolean {
  const element = nft_lookup_eval(map, key, pkt);
  if (element === null || element === "break") return false;
  pkt.net.netfilter.countElement(map, element, meta_length(pkt));
  return true;
}

function nft_verdict(step: NftVerdict, pkt: PktInfo): boolean | RuleVerdict {
  switch (step.kind) {
    case "vmap": {
      const element = nft_lookup_eval(step.map, step.key, pkt);
      return element !== "break" && element !== null && (element.value as Decision);
    }
    case "fwd": {
      const device = evaluate(step.device, pkt);
      return device !== null && { kind: "fwd", device: Number(device) };
    }
    case "redirect": {
      const device = evaluate(step.device, pkt);
      return device !== null && { kind: "redirect", device: Number(device) };
    }
    default:
      return step;
  }
}

const COMPARE = {
  eq: (a: bigint, b: bigint) => a === b,
  ne: (a: bigint, b: bigint) => a !== b,
  lt: (a: bigint, b: bigint) => a < b,
  le: (a: bigint, b: bigint) => a <= b,
  gt: (a: bigint, b: bigint) => a > b,
  ge: (a: bigint, b: bigint) => a >= b,
} as const;

/** A packet type is changed only among the first four (skb_pkt_type_ok). */
function nft_meta_set_eval(skb: SkBuff, key: MetaSetKey, value: number): void {
  switch (key) {
    case "mark":
      skb.mark = value;
      break;
    case "priority":
      skb.priority = value;
      break;
    case "pkttype":
      if (skb.pkt_type !== "LOOPBACK" && value < PACKET_TYPES.length) skb.pkt_type = PACKET_TYPES[value];
      break;
  }
}
