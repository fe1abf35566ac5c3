/**
 * guards: a guard whose bytes are known already is dropped, else and all.
 *
 *     guard l3 20 else { return 3 }        guard l3 20 else { return 3 }
 *     guard l3 8 else { return 4 }    ->
 *     set l4 = l3 + 12                     set l4 = l3 + 12
 *     guard l4 8 else { return 5 }
 *
 * What is known is a span around each cursor (span.ts).
 */
import { callOrder, effectsOf, effectsOfCallees } from "../callgraph.ts";
import type { Expr, Plan } from "../ir.ts";
import { tail } from "../ir.ts";
import { covers, intersection, type Span, shift, span, union } from "../span.ts";
import { hasCall, procMapper, regKey } from "../visit.ts";
import { type ForwardPass, forward } from "./flow.ts";
import type { Only } from "./pass.ts";

const mapProcs = procMapper();

export function guards(plan: Plan, only?: Only): Plan {
  const { order } = callOrder(plan);
  const effects = effectsOf(order ?? []);
  const procs = mapProcs(
    plan.procs,
    (body, proc) => {
      const required = proc.requires.map(({ cursor, bytes }) => [regKey(cursor), span(0, bytes)] as const);
      return forward(PASS, effects, new Map(required), body);
    },
    only,
    (proc) => effectsOfCallees(proc, effects),
  );
  return procs === plan.procs ? plan : { ...plan, procs };
}

const TAIL = regKey(tail);

const PASS: ForwardPass<Span> = {
  rewrite: (step, facts) =>
    step.kind === "guard" && covers(facts.get(regKey(step.cursor)), span(0, step.bytes)) ? [] : [step],
  afterSet: (facts, reg, value) => {
    const key = regKey(reg);
    if (key === TAIL) return new Map();
    const known = spanOf(facts, value);
    if (known === undefined && !facts.has(key)) return facts;
    const after = new Map(facts);
    if (known === undefined) after.delete(key);
    else after.set(key, known);
    return after;
  },
  afterGuard: (facts, cursor, bytes) => {
    const key = regKey(cursor);
    return new Map(facts).set(key, union(facts.get(key), span(0, bytes)));
  },
  forget: (facts, changed) => new Map(changed.has(TAIL) ? [] : [...facts].filter(([key]) => !changed.has(key))),
  meet: intersection,
};

/** Of a cursor that is another one moved by a constant. */
function spanOf(facts: ReadonlyMap<string, Span>, e: Expr): Span | undefined {
  if (hasCall(e)) return undefined;
  if (e.kind === "reg") return facts.get(regKey(e.reg));
  if (e.kind !== "binary" || (e.op !== "add" && e.op !== "sub") || e.right.kind !== "const") return undefined;
  const by = Number(e.right.value);
  const known = spanOf(facts, e.left);
  return known && shift(known, e.op === "add" ? by : -by);
}
