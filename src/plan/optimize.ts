/**
 * optimize: the same plan with less to do. Results, memory, registers of the packet in flight that anyone reads, and the
 * trace (its steps, their order and arguments) stay as they are; so does everything that validatePlan asserts.
 */
import { calleesOf, procsByName } from "./callgraph.ts";
import type { Plan } from "./ir.ts";
import { branches } from "./passes/branches.ts";
import { deadSets } from "./passes/dead-sets.ts";
import { guards } from "./passes/guards.ts";
import { inline } from "./passes/inline.ts";
import type { Only, Run } from "./passes/pass.ts";
import { propagate } from "./passes/propagate.ts";
import { simplify } from "./passes/simplify.ts";
import { withoutTrace } from "./passes/trace.ts";
import { unused } from "./passes/unused.ts";

export { withoutTrace };

/** 0: as built; 1: without changing who calls whom; 2: and inlined. */
export type Level = 0 | 1 | 2;

export interface Pass {
  readonly name: string;
  /** The lowest level that runs it. */
  readonly level: Level;
  readonly run: Run;
}

/**
 * In the order of a round:
 *   inline     first, so that the others see arguments beside the code that uses them
 *   propagate  before simplify: it puts constants into expressions, which then fold
 *   simplify   before branches: a condition must be a constant before its branch is dead; and before guards, which
 *              recognise a moved cursor by its simple form
 *   branches   before guards: fewer paths meet, so more is known behind them
 *   guards     drops the elses, and with them readers of registers
 *   dead-sets  after all that drop readers
 *   unused     last: calls are gone by now
 * Each makes work for the others, so rounds are repeated until one changes nothing. A round looks at what the one before
 * changed, and at its callers; the last one looks at everything.
 */
export const PASSES: readonly Pass[] = [
  { name: "inline", level: 2, run: inline },
  { name: "propagate", level: 1, run: propagate },
  { name: "simplify", level: 1, run: simplify },
  { name: "branches", level: 1, run: branches },
  { name: "guards", level: 1, run: guards },
  { name: "dead-sets", level: 1, run: deadSets },
  { name: "unused", level: 1, run: unused },
];

/** Chains of calls inline a link a round; nothing else needs nearly as many. */
const MAX_ROUNDS = 60;

export function optimize(plan: Plan, level: Level): Plan {
  if (level === 0) return plan;
  const passes = PASSES.filter((pass) => pass.level <= level);
  let only: Only = null;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const next = passes.reduce((before, pass) => pass.run(before, only), plan);
    if (next === plan && only === null) break;
    only = next === plan ? null : worthALook(plan, next);
    plan = next;
  }
  return plan;
}

/**
 * The hot build, untraced and optimised, when that with the trace has been optimised already: procs that are the same in both start from
 * there, as what was done to them holds without trace steps too.
 * @param built as buildPlan made it, procs in common with `traced.built`
 */
export function optimizeHot(
  built: Plan,
  traced: { readonly built: Plan; readonly optimized: Plan },
  level: Level,
): Plan {
  const common = new Set(traced.built.procs);
  const done = procsByName(traced.optimized);
  const procs = built.procs.map((proc) => (common.has(proc) ? (done.get(proc.name) ?? proc) : proc));
  return optimize(withoutTrace({ ...built, procs }), level);
}

/** Names of procs that changed, and of those that call them: arguments and effects show there. */
function worthALook(before: Plan, after: Plan): ReadonlySet<string> {
  const unchanged = new Set(before.procs);
  const changed = new Set(after.procs.filter((proc) => !unchanged.has(proc)).map(({ name }) => name));
  const callers = after.procs.filter((proc) => calleesOf(proc).some((name) => changed.has(name)));
  return new Set([...changed, ...callers.map(({ name }) => name)]);
}
