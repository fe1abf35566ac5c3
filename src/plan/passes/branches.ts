/**
 * branches: what never runs, or runs without a choice.
 *
 *     if 1 { A } else { B }              ->   A
 *     if c { } else { B }                ->   if eqz(c) { B }
 *     if c { }                           ->   (nothing, when c makes no call)
 *     block L { A }                      ->   A              no break L inside
 *     block L { A; break L }             ->   block L { A }
 *     repeat 0 L { A }                   ->   (nothing)
 *     return / break, then A             ->   return / break
 */
import type { Plan, Step } from "../ir.ts";
import { eqz } from "../ir.ts";
import { bodies, hasCall, mapSteps, procMapper } from "../visit.ts";
import type { Only } from "./pass.ts";
import { simplifyExpr } from "./simplify.ts";

const mapProcs = procMapper();

export function branches(plan: Plan, only?: Only): Plan {
  const procs = mapProcs(plan.procs, (body) => reachable(mapSteps(body, (step) => branch(cut(step)))), only);
  return procs === plan.procs ? plan : { ...plan, procs };
}

/** The step with what cannot be reached in the lists inside it left out. */
function cut(step: Step): Step {
  const inner = bodies(step);
  if (inner.every((body) => reachable(body) === body)) return step;
  switch (step.kind) {
    case "if":
      return { ...step, then: reachable(step.then), otherwise: reachable(step.otherwise) };
    case "guard":
      return { ...step, otherwise: reachable(step.otherwise) };
    case "block":
    case "repeat":
      return { ...step, body: reachable(step.body) };
    default:
      return step;
  }
}

function branch(step: Step): readonly Step[] {
  switch (step.kind) {
    case "if": {
      const { condition, then, otherwise } = step;
      if (condition.kind === "const") return Number(condition.value) !== 0 ? then : otherwise;
      if (then.length > 0) return [step];
      if (otherwise.length > 0)
        return [{ ...step, condition: simplifyExpr(eqz(condition)), then: otherwise, otherwise: [] }];
      return hasCall(condition) ? [step] : [];
    }
    case "block": {
      const last = step.body.at(-1);
      const body = last?.kind === "break" && last.label === step.label ? step.body.slice(0, -1) : step.body;
      if (!breaksOut(body, step.label)) return body;
      return [body === step.body ? step : { ...step, body }];
    }
    case "repeat": {
      const never = step.times.kind === "const" && step.times.value === 0;
      return never || (step.body.length === 0 && !hasCall(step.times)) ? [] : [step];
    }
    default:
      return [step];
  }
}

/** Up to and with the first step that is never passed. */
function reachable(body: readonly Step[]): readonly Step[] {
  const last = body.findIndex(leaves);
  return last < 0 || last === body.length - 1 ? body : body.slice(0, last + 1);
}

/** True when the step after this one is never reached. */
function leaves(step: Step): boolean {
  switch (step.kind) {
    case "break":
    case "return":
      return true;
    case "if":
      return step.then.some(leaves) && step.otherwise.some(leaves);
    case "block":
      return step.body.some(leaves) && !breaksOut(step.body, step.label);
    default:
      return false;
  }
}

const breaksOut = (body: readonly Step[], label: string): boolean =>
  body.some((step) =>
    step.kind === "break" ? step.label === label : bodies(step).some((inner) => breaksOut(inner, label)),
  );
