/**
 * propagate: where a register is known to hold a constant, or the same as another register, that is read instead.
 *
 *     set a = 7            set a = 7
 *     set skb.l3 = b  ->   set skb.l3 = b
 *     set c = a + skb.l3   set c = 7 + b
 *
 * The sets that nobody reads any more are left to dead-sets. A register that a guard, a packet access or a `requires`
 * names is not replaced: what is known of the packet is known by its name.
 */
import { remembered } from "../../remember.ts";
import { callOrder, type Effects, effectsOf, effectsOfCallees } from "../callgraph.ts";
import type { Expr, Plan, Proc, Reg } from "../ir.ts";
import { tail } from "../ir.ts";
import { interned } from "../remember.ts";
import { allExpressions, allSteps, mapExpr, mapExpressions, procMapper, readBy, regKey } from "../visit.ts";
import { type ForwardPass, forward } from "./flow.ts";
import type { Only } from "./pass.ts";

const mapProcs = procMapper();

/** What a register holds: a constant or a register. */
type Value = Expr & { kind: "const" | "reg" };

export function propagate(plan: Plan, only?: Only): Plan {
  const { order } = callOrder(plan);
  const effects: ReadonlyMap<string, Effects> = effectsOf(order ?? []);
  const shared = interned(
    new Set(
      plan.procs.flatMap((proc) =>
        cursorsOf(proc)
          .filter((reg) => reg.scope === "skb")
          .map(regKey),
      ),
    ),
  );
  const procs = mapProcs(
    plan.procs,
    (body, proc) => {
      const cursors = new Set([...shared, ...cursorsOf(proc).map(regKey), regKey(tail)]);
      return forward(propagation(cursors), effects, new Map(), body);
    },
    only,
    (proc) => [shared, ...effectsOfCallees(proc, effects)],
  );
  return procs === plan.procs ? plan : { ...plan, procs };
}

/** Registers that the proc uses to reach into the packet. */
const cursorsOf: (proc: Proc) => readonly Reg[] = remembered(({ requires, body }) => {
  const cursors = requires.map(({ cursor }) => cursor);
  for (const step of allSteps(body)) if (step.kind === "guard" || step.kind === "put") cursors.push(step.cursor);
  for (const e of allExpressions(body)) if (e.kind === "packet") cursors.push(e.cursor);
  return cursors;
});

const propagation = (cursors: ReadonlySet<string>): ForwardPass<Value> => ({
  rewrite: (step, facts) => {
    if (!readBy(step).some((reg) => facts.has(regKey(reg)))) return [step];
    const part = replacement(facts);
    return [mapExpressions(step, (e) => mapExpr(e, part))];
  },
  afterSet: (facts, reg, value) => {
    const key = regKey(reg);
    const after = without(facts, new Set([key]));
    // Reading a local costs less than reading the packet in flight, so never the other way round.
    const holds = value.kind === "const" || (value.kind === "reg" && value.reg.scope === "local");
    return holds && !cursors.has(key) && !isSelf(value, key) ? new Map(after).set(key, value as Value) : after;
  },
  afterGuard: (facts) => facts,
  forget: without,
  meet: (a, b) => (equalValues(a, b) ? a : null),
});

/**
 * Replaces register readings of one step, given in order of evaluation. A call ends it: what is read behind it may have
 * been changed by it.
 */
function replacement(facts: ReadonlyMap<string, Value>): (part: Expr) => Expr {
  let called = false;
  return (part) => {
    called ||= part.kind === "call";
    return part.kind === "reg" && !called ? (facts.get(regKey(part.reg)) ?? part) : part;
  };
}

/** Drops what is known of these registers, and what is said to equal them. */
function without(facts: ReadonlyMap<string, Value>, changed: ReadonlySet<string>): ReadonlyMap<string, Value> {
  let fresh: Map<string, Value> | null = null;
  for (const [key, value] of facts) {
    if (!changed.has(key) && !(value.kind === "reg" && changed.has(regKey(value.reg)))) continue;
    fresh ??= new Map(facts);
    fresh.delete(key);
  }
  return fresh ?? facts;
}

const isSelf = (value: Expr, key: string): boolean => value.kind === "reg" && regKey(value.reg) === key;

const equalValues = (a: Value, b: Value): boolean =>
  a.kind === "reg" ? b.kind === "reg" && regKey(a.reg) === regKey(b.reg) : b.kind === "const" && a.value === b.value;
