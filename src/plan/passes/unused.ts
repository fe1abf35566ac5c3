/**
 * unused: procs that no exported proc reaches, and `do` of procs that change nothing.
 */
import { calleesOf, callOrder, effectsOf, effectsOfCallees, procsByName } from "../callgraph.ts";
import type { Plan, Step } from "../ir.ts";
import { hasCall, mapSteps, procMapper } from "../visit.ts";
import type { Only } from "./pass.ts";

const mapProcs = procMapper();

export function unused(plan: Plan, only?: Only): Plan {
  const effects = effectsOf(callOrder(plan).order ?? []);
  const idle = (step: Step): boolean => {
    if (step.kind !== "do" || step.call.args.some(hasCall)) return false;
    const callee = effects.get(step.call.proc);
    return callee !== undefined && !callee.writes && callee.sets.size === 0;
  };
  const kept = reached(plan);
  const procs = mapProcs(
    plan.procs.filter((proc) => kept.has(proc.name)),
    (body) => mapSteps(body, (step) => (idle(step) ? [] : [step])),
    only,
    (proc) => effectsOfCallees(proc, effects),
  );
  const same = procs.length === plan.procs.length && procs.every((proc, i) => proc === plan.procs[i]);
  return same ? plan : { ...plan, procs };
}

function reached(plan: Plan): ReadonlySet<string> {
  const procs = procsByName(plan);
  const found = new Set<string>();
  const visit = (name: string): void => {
    const proc = procs.get(name);
    if (proc === undefined || found.has(name)) return;
    found.add(name);
    for (const callee of calleesOf(proc)) visit(callee);
  };
  for (const proc of plan.procs) if (proc.exported) visit(proc.name);
  return found;
}
