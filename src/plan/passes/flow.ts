/**
 * Facts carried forward through structured steps, for passes that rewrite as they go: what is known before a step, how the
 * step changes it, and what is left where paths meet. The checker has its own (validate-flow.ts) and shares none of this.
 *
 * Loops are taken in one go: everything that a round may set is forgotten before the first.
 */
import type { Effects } from "../callgraph.ts";
import type { Expr, Reg, Step } from "../ir.ts";
import { allOperands, callsIn, expressions, hasCall, mapBodies, setIn } from "../visit.ts";

/** Facts about registers by key; null: no path comes here. */
export type Facts<T> = ReadonlyMap<string, T> | null;

export interface ForwardPass<T> {
  /** Rewrites a step under the facts before it, those inside it not yet. An empty list drops it. */
  rewrite(step: Step, facts: ReadonlyMap<string, T>): readonly Step[];
  /** Facts after a `set` and a `guard`; the pass forgets what it must. */
  afterSet(facts: ReadonlyMap<string, T>, reg: Reg, value: Expr): ReadonlyMap<string, T>;
  afterGuard(facts: ReadonlyMap<string, T>, cursor: Reg, bytes: number): ReadonlyMap<string, T>;
  /** Facts when these registers may have changed. */
  forget(facts: ReadonlyMap<string, T>, changed: ReadonlySet<string>): ReadonlyMap<string, T>;
  /** What two paths agree on, or null. */
  meet(a: T, b: T): T | null;
}

export function forward<T>(
  pass: ForwardPass<T>,
  effects: ReadonlyMap<string, Effects>,
  entry: ReadonlyMap<string, T>,
  body: readonly Step[],
): readonly Step[] {
  return new Forward(pass, effects).steps(entry, body).steps;
}

class Forward<T> {
  readonly #pass: ForwardPass<T>;
  readonly #effects: ReadonlyMap<string, Effects>;
  readonly #breaks = new Map<string, Facts<T>>();

  constructor(pass: ForwardPass<T>, effects: ReadonlyMap<string, Effects>) {
    this.#pass = pass;
    this.#effects = effects;
  }

  /** What follows a step that never ends is left as it is: nothing is known there. */
  steps(facts: Facts<T>, body: readonly Step[]): { facts: Facts<T>; steps: readonly Step[] } {
    const steps: Step[] = [];
    let changed = false;
    for (const step of body) {
      const rewritten = facts === null ? [step] : this.#pass.rewrite(step, facts);
      for (const one of rewritten) {
        const [after, made]: [Facts<T>, Step] = facts === null ? [null, one] : this.#step(facts, one);
        facts = after;
        steps.push(made);
        changed ||= made !== step;
      }
      changed ||= rewritten.length !== 1;
    }
    return { facts, steps: changed ? steps : body };
  }

  #step(facts: ReadonlyMap<string, T>, step: Step): [Facts<T>, Step] {
    const before = this.#afterCalls(facts, expressions(step));
    switch (step.kind) {
      case "set":
        return [this.#pass.afterSet(before, step.reg, step.value), step];
      case "guard":
        return [
          this.#pass.afterGuard(before, step.cursor, step.bytes),
          mapBodies(step, (body) => this.steps(before, body).steps),
        ];
      case "if": {
        let after: Facts<T> = null;
        const made = mapBodies(step, (body) => {
          const side = this.steps(before, body);
          after = this.#meet(after, side.facts);
          return side.steps;
        });
        return [after, made];
      }
      case "block":
      case "repeat": {
        const start = step.kind === "block" ? before : this.#pass.forget(before, changedBy(step.body, this.#effects));
        this.#breaks.set(step.label, null);
        const inside = this.steps(start, step.body);
        const end = step.kind === "block" ? inside.facts : start;
        const after = this.#meet(end, this.#breaks.get(step.label) ?? null);
        return [after, mapBodies(step, () => inside.steps)];
      }
      case "break":
        this.#breaks.set(step.label, this.#meet(this.#breaks.get(step.label) ?? null, before));
        return [null, step];
      case "return":
        return [null, step];
      default:
        return [before, step];
    }
  }

  #afterCalls(facts: ReadonlyMap<string, T>, parts: readonly Expr[]): ReadonlyMap<string, T> {
    const changed = changedByCalls(parts, this.#effects);
    return changed.size === 0 ? facts : this.#pass.forget(facts, changed);
  }

  #meet(a: Facts<T>, b: Facts<T>): Facts<T> {
    if (a === null || b === null) return a ?? b;
    const both = new Map<string, T>();
    for (const [key, mine] of a) {
      const theirs = b.get(key);
      const fact = theirs === undefined ? null : this.#pass.meet(mine, theirs);
      if (fact !== null) both.set(key, fact);
    }
    return both;
  }
}

/** Keys of all registers that the steps may set, themselves or through calls. */
function changedBy(body: readonly Step[], effects: ReadonlyMap<string, Effects>): ReadonlySet<string> {
  const changed = new Set(setIn(body));
  for (const proc of callsIn(body)) for (const key of effects.get(proc)?.sets ?? []) changed.add(key);
  return changed;
}

const NOTHING: ReadonlySet<string> = new Set();

function changedByCalls(parts: readonly Expr[], effects: ReadonlyMap<string, Effects>): ReadonlySet<string> {
  if (!parts.some(hasCall)) return NOTHING;
  const changed = allOperands(parts).flatMap((e) => (e.kind === "call" ? [...(effects.get(e.proc)?.sets ?? [])] : []));
  return new Set(changed);
}
