/**
 * inline: the body of a proc in place of its call, when that is the only one, or the body is tiny.
 *
 *     proc twice(a): i32 {              set skb.l3 = call twice(7)
 *       if a == 0 { return 0 }     ->
 *       return a + a                    block inline~1 {
 *     }                                   set a~1 = 7
 *                                         if a~1 == 0 { set result~1 = 0; break inline~1 }
 *                                         set result~1 = a~1 + a~1; break inline~1
 *                                       }
 *                                       set skb.l3 = result~1
 *
 * A call deep in an expression is taken out first when what is evaluated before it are constants and locals, which no
 * callee changes. Registers and labels of the body get a number that is new in the proc.
 */
import { calleesOf, callsOf, procsByName, sizeOf } from "../callgraph.ts";
import type { Expr, Plan, Proc, Reg, Step } from "../ir.ts";
import { expr, isExtern, local } from "../ir.ts";
import { allSteps, expressions, hasCall, mapExpr, mapExpressions, mapSteps, operands, procMapper } from "../visit.ts";
import type { Only } from "./pass.ts";

const mapProcs = procMapper();

type Call = Expr & { kind: "call" };

/** Steps of a proc that is called once, at most. Beyond, code far from the hot path would sit in the middle of it. */
const ONCE_STEPS = 80;
/** Steps of a proc that is inlined wherever it is called. */
const TINY_STEPS = 3;

export function inline(plan: Plan, only?: Only): Plan {
  const candidates = candidatesOf(plan);
  if (candidates.size === 0) return plan;
  const procs = mapProcs(
    plan.procs,
    (body) => {
      let number: number | null = null;
      return mapSteps(body, (step) => {
        const call = firstCall(step);
        const callee = call && candidates.get(call.proc);
        if (!callee) return [step];
        number = (number ?? highestNumber(body)) + 1;
        return splice(step, call, callee, number);
      });
    },
    only,
    (proc) => calleesOf(proc).map((name) => candidates.get(name)),
  );
  return procs === plan.procs ? plan : { ...plan, procs };
}

function candidatesOf(plan: Plan): ReadonlyMap<string, Proc> {
  const calls = new Map<string, number>();
  for (const proc of plan.procs)
    for (const [name, times] of callsOf(proc)) calls.set(name, (calls.get(name) ?? 0) + times);
  const fits = (proc: Proc): boolean =>
    !proc.exported &&
    !isExtern(proc) &&
    proc.atomic === undefined &&
    sizeOf(proc) <= (calls.get(proc.name) === 1 ? ONCE_STEPS : TINY_STEPS);
  // Leaves first: a proc that calls another candidate waits for the next round, so that no body is copied twice in one.
  const fitting = new Map([...procsByName(plan)].filter(([name, proc]) => calls.has(name) && fits(proc)));
  return new Map([...fitting].filter(([, proc]) => !calleesOf(proc).some((name) => fitting.has(name))));
}

/** The call that the step makes first, if it can be made before the step. */
function firstCall(step: Step): Call | null {
  for (const e of expressions(step)) {
    if (hasCall(e)) return movable(e) ? callIn(e) : null;
    if (!isStable(e)) return null;
  }
  return null;
}

/** Nothing that a callee could change is evaluated before the first call. */
function movable(e: Expr): boolean {
  if (e.kind === "call" && !e.args.some(hasCall)) return true;
  for (const part of operands(e)) {
    if (hasCall(part)) return movable(part);
    if (!isStable(part)) return false;
  }
  return false;
}

const isStable = (e: Expr): boolean => e.kind === "const" || (e.kind === "reg" && e.reg.scope === "local");

/** The first call in order of evaluation whose arguments make none. */
function callIn(e: Expr): Call | null {
  for (const part of operands(e)) {
    const found = callIn(part);
    if (found !== null) return found;
  }
  return e.kind === "call" ? e : null;
}

/** The callee's body, then the step with the result in place of the call. */
function splice(step: Step, call: Call, callee: Proc, number: number): readonly Step[] {
  const result = callee.result === null ? null : local(`result~${number}`, callee.result);
  const label = `inline~${number}`;
  const rename = renaming(number);
  const params = callee.params.map((param, i): Step => ({ kind: "set", reg: rename.reg(param), value: call.args[i] }));
  const body = mapSteps(callee.body, (inner) => {
    const renamed = rename.step(inner);
    if (renamed.kind !== "return") return [renamed];
    const leave: Step = { kind: "break", label };
    return renamed.value === null || result === null
      ? [leave]
      : [{ kind: "set", reg: result, value: renamed.value }, leave];
  });
  const block: Step = { kind: "block", label, body: [...params, ...body] };
  if (step.kind === "do" && step.call === call) return [block];
  const replaced = mapExpressions(step, (e) =>
    mapExpr(e, (part) => (part === call && result !== null ? expr(result) : part)),
  );
  return [block, replaced];
}

/** Gives the locals and labels of a body their number. */
function renaming(number: number): { reg: (reg: Reg) => Reg; step: (step: Step) => Step } {
  const reg = (r: Reg): Reg => (r.scope === "skb" ? r : { ...r, name: numbered(r.name, number) });
  const inExpr = (e: Expr): Expr => {
    if (e.kind === "reg") return { ...e, reg: reg(e.reg) };
    return e.kind === "packet" ? { ...e, cursor: reg(e.cursor) } : e;
  };
  const step = (s: Step): Step => {
    const renamed = mapExpressions(s, (e) => mapExpr(e, inExpr));
    switch (renamed.kind) {
      case "set":
        return { ...renamed, reg: reg(renamed.reg) };
      case "put":
      case "guard":
        return { ...renamed, cursor: reg(renamed.cursor) };
      case "block":
      case "break":
      case "repeat":
        return { ...renamed, label: numbered(renamed.label, number) };
      default:
        return renamed;
    }
  };
  return { reg, step };
}

/** Numbers add up (`a~1~3`): two names that differ must not become one. */
const numbered = (name: string, number: number): string => `${name}~${number}`;
const numberIn = (name: string): number => Number(/~(\d+)$/.exec(name)?.[1] ?? 0);

/** The largest number that a register or label of a body has. */
function highestNumber(body: readonly Step[]): number {
  let highest = 0;
  for (const step of allSteps(body)) {
    if (step.kind === "set") highest = Math.max(highest, numberIn(step.reg.name));
    if ("label" in step) highest = Math.max(highest, numberIn(step.label));
  }
  return highest;
}
