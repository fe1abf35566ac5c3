/** Who calls whom in a plan, and what a call may change in the packet in flight. */
import { remembered } from "../remember.ts";
import { isExtern, type Plan, type Proc } from "./ir.ts";
import { rememberedOfProc } from "./remember.ts";
import { allExpressions, allSteps, regKey, skbSetIn } from "./visit.ts";

/** What a proc by itself says of these things. */
interface ProcFacts {
  /** How often it calls whom, in order of first appearance. */
  readonly calls: ReadonlyMap<string, number>;
  /** Steps, those inside steps included. */
  readonly size: number;
  readonly own: Effects;
}

const factsOf: (proc: Proc) => ProcFacts = remembered((proc) => {
  const { body, shared } = proc;
  if (isExtern(proc)) {
    const sets = new Set(shared!.sets.map(regKey));
    return { calls: new Map(), size: Number.POSITIVE_INFINITY, own: { sets, writes: true } };
  }
  const calls = new Map<string, number>();
  for (const e of allExpressions(body)) if (e.kind === "call") calls.set(e.proc, (calls.get(e.proc) ?? 0) + 1);
  const steps = allSteps(body);
  const writes = steps.some(({ kind }) => kind === "store" || kind === "put" || kind === "trace");
  return { calls, size: steps.length, own: { sets: skbSetIn(body), writes } };
});

/** Names that a proc calls, and how often, in order of first appearance. */
export const callsOf = (proc: Proc): ReadonlyMap<string, number> => factsOf(proc).calls;
export const calleesOf: (proc: Proc) => readonly string[] = remembered((proc) => [...callsOf(proc).keys()]);
/** Steps of a proc, those inside steps included. */
export const sizeOf = (proc: Proc): number => factsOf(proc).size;

export const procsByName = (plan: Plan): ReadonlyMap<string, Proc> =>
  new Map(plan.procs.map((proc) => [proc.name, proc]));

export type CallOrder =
  /** Every proc after all that it calls. */
  | { readonly order: readonly Proc[]; readonly cycle: null }
  /** Names of procs that call each other in a circle, first and last the same. */
  | { readonly order: null; readonly cycle: readonly string[] };

/** Depth-first from each proc; a name that is met while it is still open closes a cycle. Unknown callees are skipped. */
export function callOrder(plan: Plan): CallOrder {
  const procs = procsByName(plan);
  const order: Proc[] = [];
  const done = new Set<string>();
  const open: string[] = [];
  const visit = (proc: Proc): readonly string[] | null => {
    if (done.has(proc.name)) return null;
    if (open.includes(proc.name)) return [...open.slice(open.indexOf(proc.name)), proc.name];
    open.push(proc.name);
    for (const name of calleesOf(proc)) {
      const callee = procs.get(name);
      const cycle = callee === undefined ? null : visit(callee);
      if (cycle !== null) return cycle;
    }
    open.pop();
    done.add(proc.name);
    order.push(proc);
    return null;
  };
  for (const proc of plan.procs) {
    const cycle = visit(proc);
    if (cycle !== null) return { order: null, cycle };
  }
  return { order, cycle: null };
}

/** What each proc may change, itself or through its callees. */
export interface Effects {
  /** Keys of skb registers that may be set. */
  readonly sets: ReadonlySet<string>;
  /** True when the image, a batch or a packet may be written, or a trace record made. */
  readonly writes: boolean;
}

/** @param order callees first, see `callOrder` */
export function effectsOf(order: readonly Proc[]): ReadonlyMap<string, Effects> {
  const effects = new Map<string, Effects>();
  for (const proc of order) {
    const callees = effectsOfCallees(proc, effects);
    effects.set(
      proc.name,
      knownEffects(proc, callees, () => {
        const all = [factsOf(proc).own, ...callees];
        const sets = new Set(all.flatMap((effect) => [...effect.sets]));
        return { sets, writes: all.some(({ writes }) => writes) };
      }),
    );
  }
  return effects;
}
const knownEffects = rememberedOfProc<Effects>();

/** Of the procs that it calls: what passes must know of them. */
export const effectsOfCallees = (proc: Proc, effects: ReadonlyMap<string, Effects>): Effects[] =>
  calleesOf(proc).flatMap((name) => effects.get(name) ?? []);
