/**
 * Rules as code (k:net/netfilter/nf_tables_core.c nft_do_chain).
 *
 *     block rule_3 {                     a test that says no breaks to the end of the block: the next rule follows
 *       if tests fail { break rule_3 }
 *       counters, logs, writes
 *       trace nft_rule
 *       return accept | jump: v = call chain.5; if v { return v } | ...
 *     }
 */
import type {
  Chain,
  Decision,
  Effect,
  FilterRule,
  Step as RuleStep,
  Test,
  Verdict,
} from "../../../../dsl/chain-model.ts";
import { NET } from "../../../../runtime/abi/net.ts";
import { FILTER_COUNTER, FILTER_COUNTER_BYTES, LIMIT, LIMIT_BYTES } from "../../../../runtime/abi/netfilter.ts";
import { TraceEvent } from "../../../../runtime/abi/trace.ts";
import { RULE_DECISIONS, type RuleDecision } from "../../../../runtime/trace.ts";
import type { RuleList } from "../../../netfilter/classifier/segments.ts";
import {
  add,
  and,
  binary,
  block,
  call,
  type Expr,
  eq,
  eqz,
  expr,
  i32,
  i64,
  le,
  leave,
  load,
  local,
  lt,
  mul,
  type Operand,
  repeat,
  ret,
  type Space,
  type Step,
  select,
  set,
  store,
  sub,
  trace,
  unary,
  when,
} from "../../ir.ts";
import { atomicAdd, atomicCmpxchg, atomicFetchAdd } from "../atomic.ts";
import { ownPlace, runNet, sharedInMemory } from "../context.ts";
import { mark, PacketType, pktType } from "../skb.ts";
import { type ChainContext, RuleCode } from "./code.ts";
import { evaluate, lookUp, skbLength } from "./expr.ts";
import { writeOption } from "./exthdr_set.ts";
import { writePayload } from "./payload_set.ts";
import { priority, redirectDevice } from "./registers.ts";
import { rejectResult } from "./reject.ts";
import { elementPlace, elementValue, spaceOf, within } from "./sets.ts";
import { below, constantOf, equal, type Wide } from "./wide.ts";

/** What a chain's proc returns. */
export const ChainResult = {
  /** The chain's end, or `return`: the caller's next rule. A base chain never says so. */
  CONTINUE: 0,
  ACCEPT: 1,
  DROP: 2,
  /** At a device's hook: `redirect_device` has the frame to send. */
  FWD: 3,
  /** REJECT (reject.ts) and above: dropped, and the sender is told. In programs PROGRAM_RESULT and above. */
} as const;
/** And the place in RULE_DECISIONS of what a rule of a program says. */
export const PROGRAM_RESULT = 0x100;

/** A rule's place, for traces and for what comes after it. */
interface Place {
  readonly list: RuleList;
  readonly index: Operand;
  readonly label: string;
}

const result = local("result");

export function ruleSteps(context: ChainContext, list: RuleList, rule: FilterRule, index: number): Step {
  const steps = rule.steps.map((step, at) => ({ step, at }));
  return actionSteps(context, { list, index, label: `rule_${index}` }, steps);
}

/**
 * @param steps with their places in their rule
 * @param own a counter among the steps that is elsewhere than it says
 */
export function actionSteps(
  context: ChainContext,
  place: Place,
  steps: readonly { readonly step: RuleStep; readonly at: number }[],
  own: { readonly step: number; readonly counter: Expr } | null = null,
): Step {
  const code = new RuleCode(context, place.label);
  let decided = false;
  for (const [i, { step, at }] of steps.entries()) {
    if (i === own?.step) countAt(code, context.layout.space, own.counter, 0);
    else decided = compileStep(code, place, step, at) || decided;
  }
  if (!decided) code.add(traceRule(place, "continue"));
  return block(place.label, code.steps);
}

const isChain = (list: RuleList): list is Chain => "base" in list;

export const traceRule = (
  { list, index }: Pick<Place, "list" | "index">,
  decision: RuleDecision,
  target: Operand | null = null,
): Step =>
  trace(
    isChain(list) ? TraceEvent.nft_rule : TraceEvent.program_rule,
    [list.id, index, RULE_DECISIONS.indexOf(decision), target === null ? 0 : add(target, 1)],
    `${list.name} rule ${index}: ${decision}`,
  );

/** @returns whether the step ends the rule */
function compileStep(code: RuleCode, place: Place, step: RuleStep, at: number): boolean {
  switch (step.kind) {
    case "compare":
    case "range":
    case "lookup":
      code.add(when(eqz(test(code, step)), code.breaks));
      return false;
    case "limit":
      code.add(when(eqz(limit(code, step.limit)), code.breaks));
      return false;
    case "counter":
    case "count":
    case "log":
    case "set meta":
    case "write payload":
    case "write option":
    case "dup":
      effect(code, place, step, at);
      return false;
    default:
      verdict(code, place, step);
      return true;
  }
}

// ---- tests

/** 1 or 0. */
function test(code: RuleCode, step: Test & { kind: "compare" | "range" | "lookup" }): Expr {
  if (step.kind === "lookup") {
    const element = lookUp(code, step.set, step.key);
    return step.not ? eqz(element) : element;
  }
  const { bits } = step.left;
  const left = evaluate(code, step.left);
  if (step.kind === "compare")
    return compare(step.op, bits <= 64 ? left : code.holdAll(left), constantOf(step.right, bits));
  const inside = within(code.holdAll(left), step.first, step.last, bits);
  return step.not ? eqz(inside) : inside;
}

function compare(op: (Test & { kind: "compare" })["op"], left: Wide, right: Wide): Expr {
  switch (op) {
    case "eq":
      return equal(left, right);
    case "ne":
      return eqz(equal(left, right));
    case "lt":
      return below(left, right);
    case "ge":
      return eqz(below(left, right));
    case "gt":
      return below(right, left);
    case "le":
      return eqz(below(right, left));
  }
}

/** Whoever lost to other threads so often in a row finds the bucket empty: a loop ends, and no limit is exceeded. */
const LIMIT_TRIES = 16;

/** nft_limit_eval: 1 when the packet may pass. */
function limit(code: RuleCode, id: number): Expr {
  const { unit, rate, per, over, max } = code.chain.context.net.netfilter.limits[id];
  const { space, limits } = code.chain.layout;
  const { threads, layout } = code.chain.context;
  const bucket = limits + id * LIMIT_BYTES;
  const shared = sharedInMemory(code.chain.context, bucket + LIMIT.full);
  const now = local("now", "i64");
  const full = local("full", "i64");
  const later = local("later", "i64");
  const cost = local("cost", "i64");
  const enough = local("enough");
  const bytes = unary("extend", skbLength(code));
  // max - (full - now) nanoseconds are in the bucket; the packet takes `cost` of them.
  const asked = [
    set(full, load(space, 8, bucket, LIMIT.full)),
    set(later, add(select(lt(full, now), now, full), cost)),
    set(enough, le(sub(later, now), i64(max))),
  ];
  code.add(
    set(now, load("image", 8, layout.offset, NET.clock)),
    set(cost, unit === "packets" ? i64(per / rate) : binary("div", mul(i64(per), bytes), i64(rate))),
    ...(threads
      ? [
          set(enough, 0),
          repeat(LIMIT_TRIES, "tried", [
            ...asked,
            when(eqz(enough), [leave("tried")]),
            when(eq(atomicCmpxchg(shared, full, later), full), [leave("tried")]),
            set(enough, 0),
          ]),
        ]
      : [...asked, when(enough, [store(space, 8, bucket, LIMIT.full, later)])]),
  );
  return over ? eqz(enough) : expr(enough);
}

// ---- effects

function effect(code: RuleCode, { list, index }: Place, step: Effect, at: number): void {
  switch (step.kind) {
    case "counter": {
      const { space, counters } = code.chain.layout;
      countAt(code, space, ownPlace(code.chain.context, counters + step.counter * FILTER_COUNTER_BYTES), 0);
      break;
    }
    case "count": {
      const layout = code.chain.layout.sets[step.map];
      const place = code.hold(lookUp(code, step.map, step.key));
      code.add(when(eqz(place), code.breaks));
      const [base, offset] = elementPlace(layout, place);
      if (code.chain.context.threads) countAtomically(code, code.hold(add(base, offset)));
      else countAt(code, spaceOf(layout), code.hold(base), offset);
      break;
    }
    case "log":
      code.add(trace(isChain(list) ? TraceEvent.nft_log : TraceEvent.program_log, [list.id, index, at], step.prefix));
      break;
    case "set meta": {
      const [value] = evaluate(code, step.value);
      code.add(...setMeta(code, step.key, value));
      break;
    }
    case "write payload":
      writePayload(code, step);
      break;
    case "write option":
      writeOption(code, step);
      break;
    case "dup": {
      const [device] = evaluate(code, step.device);
      code.add(runNet(code.chain.context, "nf_dup_netdev_egress", device));
      break;
    }
  }
}

/** nft_counter_do_eval: one packet and its bytes more at a FILTER_COUNTER. */
export function countPacket(space: Space, base: Expr, length: Expr, at = 0): Step[] {
  const more = (field: number, by: Expr): Step =>
    store(space, 8, base, at + field, add(load(space, 8, base, at + field), by));
  return [more(FILTER_COUNTER.packets, i64(1n)), more(FILTER_COUNTER.bytes, unary("extend", length))];
}

const countAt = (code: RuleCode, space: Space, base: Expr, at: number): void =>
  code.add(...countPacket(space, base, skbLength(code), at));

/** The same of a counter that all threads have: one word after the other, the upper with what the lower carries. */
function countAtomically(code: RuleCode, base: Expr): void {
  const before = local("before");
  const more = (field: number, by: Expr): Step[] => [
    set(before, atomicFetchAdd(add(base, field), by)),
    when(lt(add(before, by), by), [atomicAdd(add(base, field + 4), 1)]),
  ];
  code.add(...more(FILTER_COUNTER.packets, i32(1)), ...more(FILTER_COUNTER.bytes, code.hold(skbLength(code))));
}

/** nft_meta_set_eval; a packet's type changes only between those four. */
function setMeta(code: RuleCode, key: (Effect & { kind: "set meta" })["key"], value: Expr): Step[] {
  if (key === "mark") return [set(mark, value)];
  if (key === "priority") return [set(priority, value)];
  const type = code.hold(value);
  const ok = and(lt(type, PacketType.OTHERHOST + 1), lt(pktType, PacketType.OTHERHOST + 1));
  return [set(pktType, select(ok, type, pktType))];
}

// ---- verdicts

function verdict(code: RuleCode, place: Place, step: Verdict): void {
  switch (step.kind) {
    case "vmap": {
      const layout = code.chain.layout.sets[step.map];
      const element = code.hold(lookUp(code, step.map, step.key));
      code.add(when(eqz(element), code.breaks));
      const number = code.hold(elementValue(layout, element, 32)[0]);
      for (const [i, decision] of layout.decisions.entries())
        code.add(when(eq(number, i), decide(code, place, decision)));
      break;
    }
    case "reject":
      code.add(traceRule(place, "reject"), ret(rejectResult(step, code.chain.view) ?? ChainResult.DROP));
      break;
    case "redirect": {
      const [device] = evaluate(code, step.device);
      code.add(
        set(redirectDevice, device),
        traceRule(place, "REDIRECT", redirectDevice),
        ret(programResult("REDIRECT")),
      );
      break;
    }
    case "fwd": {
      const [device] = evaluate(code, step.device);
      code.add(set(redirectDevice, device), traceRule(place, "fwd"), ret(ChainResult.FWD));
      break;
    }
    default:
      code.add(...decide(code, place, step));
  }
}

function decide(code: RuleCode, place: Place, decision: Decision): Step[] {
  const { list, label } = place;
  switch (decision.kind) {
    case "accept":
      return [traceRule(place, "accept"), ret(ChainResult.ACCEPT)];
    case "drop":
      return [traceRule(place, "drop"), ret(ChainResult.DROP)];
    case "continue":
      return [traceRule(place, "continue"), leave(label)];
    case "return":
      return [traceRule(place, "return"), ...listEnd(list)];
    case "jump":
    case "goto": {
      const target = code.chain.chainProc(decision.chain);
      return [
        traceRule(place, decision.kind, decision.chain),
        set(result, call(target, [])),
        when(result, [ret(result)]),
        ...(decision.kind === "jump" ? [leave(label)] : listEnd(list)),
      ];
    }
    case "xdp":
    case "tc":
      return [traceRule(place, decision.action), ret(programResult(decision.action))];
  }
}

const programResult = (decision: RuleDecision): number => PROGRAM_RESULT + RULE_DECISIONS.indexOf(decision);

const listEnd = (list: RuleList): Step[] => (isChain(list) ? chainEnd(list) : [ret(ChainResult.CONTINUE)]);

/** No rule decides: back to the rule behind the jump, or in a base chain its policy. */
export function chainEnd({ id, base }: Chain): Step[] {
  if (base === null) return [ret(ChainResult.CONTINUE)];
  return [
    trace(TraceEvent.nft_policy, [id, RULE_DECISIONS.indexOf(base.policy)], base.policy),
    ret(base.policy === "accept" ? ChainResult.ACCEPT : ChainResult.DROP),
  ];
}
