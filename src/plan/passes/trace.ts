/** withoutTrace: the hot build, in which nobody looks on. Registers kept for traces alone go when it is optimised. */
import type { Plan } from "../ir.ts";
import { mapSteps, procMapper } from "../visit.ts";

const mapProcs = procMapper();

export function withoutTrace(plan: Plan): Plan {
  const procs = mapProcs(plan.procs, (body) => mapSteps(body, (step) => (step.kind === "trace" ? [] : [step])));
  return procs === plan.procs ? plan : { ...plan, procs };
}
