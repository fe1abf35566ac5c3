/**
 * adopt: a plan whose procs are those of an earlier one wherever they are equal. What is remembered of a proc, and what was made of
 * it, then holds of the later plan too: passes, checks and encoders find by the object what they found before.
 */
import type { Plan, Proc } from "./ir.ts";

export function adopt(plan: Plan, earlier: ReadonlyMap<string, Proc>): Plan {
  const procs = plan.procs.map((proc) => {
    const known = earlier.get(proc.name);
    return known !== undefined && equal(proc, known) ? known : proc;
  });
  return { ...plan, procs };
}

/** By content: plans are trees of plain values. */
function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => equal(item, b[i]));
  const [mine, theirs] = [a as Record<string, unknown>, b as Record<string, unknown>];
  let fields = 0;
  for (const field in mine) {
    fields++;
    if (!equal(mine[field], theirs[field])) return false;
  }
  for (const _ in theirs) fields--;
  return fields === 0;
}
