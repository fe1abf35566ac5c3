/**
 * Chains run: what dsl/chain-model.ts says of their meaning.
 * k:net/netfilter/nf_tables_core.c nft_do_chain; nft_cmp.c, nft_range.c, nft_lookup.c, nft_counter.c, nft_limit.c, nft_log.c, nft_meta.c
 * nft_meta_set_eval.
 *
 *   nft_do_chain   base chain -> rule -> steps; a jump remembers the next rule on a stack, a goto does not
 */
import type {
  Chain,
  ChainId,
  Decision,
  MetaSetKey,
  Verdict as NftVerdict,
  Reject,
  Step,
} from "../../../dsl/chain-model.ts";
import type { SkBuff } from "../skb.ts";
import { nf_dup_netdev_egress } from "./nf_dup_netdev.ts";
import { evaluate, nft_lookup_eval, PACKET_TYPES } from "./nft_expr.ts";
import { nft_payload_set_eval } from "./nft_payload_set.ts";
import type { PktInfo } from "./pktinfo.ts";

/** How a base chain ends for a packet. `device`: ifindex. */
export type ChainVerdict =
  | { readonly kind: "accept" | "drop" }
  | Reject
  | { readonly kind: "fwd"; readonly device: number };

/** How a rule ends. */
type RuleVerdict =
  | ChainVerdict
  | { readonly kind: "continue" | "return" }
  | { readonly kind: "jump" | "goto"; readonly chain: ChainId };

interface Place {
  readonly chain: Chain;
  readonly next: number;
}

export function nft_do_chain(base: Chain, pkt: PktInfo): ChainVerdict {
  const { chains } = pkt.net.netfilter.model;
  const stack: Place[] = [];
  let place: Place = { chain: base, next: 0 };
  pkt.net.record({ step: "nft_chain", chain: base.id });
  for (;;) {
    const { chain, next } = place;
    const verdict = next < chain.rules.length ? nft_do_rule(chain, next, pkt) : RETURN;
    switch (verdict.kind) {
      case "continue":
        place = { chain, next: next + 1 };
        break;
      case "jump":
        stack.push({ chain, next: next + 1 });
        place = { chain: chains[verdict.chain], next: 0 };
        break;
      case "goto":
        place = { chain: chains[verdict.chain], next: 0 };
        break;
      case "return": {
        const back = stack.pop();
        if (back === undefined) return policy(base, pkt);
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
function nft_do_rule(chain: Chain, rule: number, pkt: PktInfo): RuleVerdict {
  let verdict: RuleVerdict = CONTINUE;
  for (const [at, step] of chain.rules[rule].steps.entries()) {
    if (step.kind === "log") pkt.net.record({ step: "nft_log", chain: chain.id, rule, at });
    const outcome = nft_do_step(step, pkt);
    if (outcome === false) return CONTINUE;
    if (outcome === true) continue;
    verdict = outcome;
    break;
  }
  const target = "chain" in verdict ? verdict.chain : null;
  pkt.net.record({ step: "nft_rule", chain: chain.id, rule, decision: verdict.kind, target });
  return verdict;
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
      return netfilter.take(step.limit, skb.len);
    case "counter":
      netfilter.count(step.counter, skb.len);
      return true;
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
    case "dup": {
      const device = evaluate(step.device, pkt);
      if (device !== null) nf_dup_netdev_egress(pkt, Number(device));
      return device !== null;
    }
    default:
      return nft_verdict(step, pkt);
  }
}

function nft_verdict(step: NftVerdict, pkt: PktInfo): boolean | RuleVerdict {
  switch (step.kind) {
    case "vmap": {
      const element = nft_lookup_eval(step.map, step.key, pkt);
      return element !== "break" && element !== null && decide(element.value as Decision);
    }
    case "fwd": {
      const device = evaluate(step.device, pkt);
      return device !== null && { kind: "fwd", device: Number(device) };
    }
    case "reject":
      return step;
    case "redirect":
      throw new RangeError("redirect in a chain");
    default:
      return decide(step);
  }
}

function decide(decision: Decision): RuleVerdict {
  if (decision.kind === "xdp" || decision.kind === "tc") throw new RangeError(`${decision.kind} in a chain`);
  return decision;
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
