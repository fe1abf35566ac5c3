/**
 * planCost: the most wasm instructions that a call of each proc can take.
 *
 *   cost(a; b)           cost(a) + cost(b)
 *   cost(if)             the dearer side; what is behind a `return` or `break` is not on that side's way
 *   cost(call)           what it calls: calls form no cycle
 *   cost(repeat n)       n rounds and what leaves the last one; n is what bounds the loop:
 *                          its `most` (ir.ts), by the Limits; else a constant count, or the most that the form of the count allows
 *                          (`x & 3`, a byte); else nothing does, and the cost is Infinity
 *
 * It is the longest path through the plan's text, exact as far as every path can be taken: that a test makes another one superfluous is
 * not seen. Counted are instructions as src/wasm emits them at level 0 (instructions.ts); what its optimiser leaves is less.
 */
import { remembered } from "../remember.ts";
import { callOrder } from "./callgraph.ts";
import { instructionsOfExpr, instructionsOfStep, NO_ROUND, ROUND } from "./instructions.ts";
import { type Bound, type Expr, type Plan, type Proc, type Step, typeOf } from "./ir.ts";
import { possibleBits } from "./passes/simplify.ts";
import { allOperands } from "./visit.ts";

/** A form that allows more rounds than this is no bound that anybody meant. */
const MOST_ROUNDS = 1024;

/** What the loops of a plan are bounded by, besides constants. */
export type Limits = Readonly<Record<Extract<Bound, string>, number>>;

/**
 * @param limits absent: those loops have no bound
 * @param shunned procs that the paths in question do not come to; where none is left the cost is -Infinity
 */
export function planCost(
  plan: Plan,
  limits: Partial<Limits> = {},
  shunned: readonly string[] = [],
): ReadonlyMap<string, number> {
  const costs = new Map<string, number>(shunned.map((name) => [name, NOWHERE]));
  for (const proc of callOrder(plan).order ?? [])
    if (!costs.has(proc.name)) costs.set(proc.name, new ProcCost(costs, limits).of(proc));
  return costs;
}

/** The dearest way to the end of some steps (-Infinity: none gets there), and to each way out of them. */
interface Ways {
  readonly end: number;
  readonly out: ReadonlyMap<string, number>;
}

const RETURN = "";
const NOWHERE = Number.NEGATIVE_INFINITY;
const through = (end: number): Ways => ({ end, out: new Map() });

class ProcCost {
  readonly #costs: ReadonlyMap<string, number>;
  readonly #limits: Partial<Limits>;

  constructor(costs: ReadonlyMap<string, number>, limits: Partial<Limits>) {
    this.#costs = costs;
    this.#limits = limits;
  }

  of(proc: Proc): number {
    const { end, out } = this.#steps(proc.body);
    return Math.max(end, out.get(RETURN) ?? NOWHERE);
  }

  #steps(steps: readonly Step[]): Ways {
    let ways = through(0);
    for (const step of steps) {
      if (ways.end === NOWHERE) break;
      const next = this.#step(step);
      ways = { end: ways.end + next.end, out: merged(ways.out, later(next.out, ways.end)) };
    }
    return ways;
  }

  #step(step: Step): Ways {
    const own = instructionsOfStep(step);
    switch (step.kind) {
      case "set":
      case "put":
        return through(own + this.#expr(step.value));
      case "store":
        return through(own + this.#expr(step.base) + this.#expr(step.value));
      case "guard":
        return { end: own, out: later(this.#steps(step.otherwise).out, own) };
      case "if":
        return this.#if(step, own + this.#expr(step.condition));
      case "block": {
        const { end, out } = this.#steps(step.body);
        return { end: Math.max(end, out.get(step.label) ?? NOWHERE), out: without(out, step.label) };
      }
      case "break":
        return { end: NOWHERE, out: new Map([[step.label, own]]) };
      case "repeat":
        return this.#repeat(step, own + this.#expr(step.times));
      case "do":
        return through(own + this.#expr(step.call));
      case "return":
        return { end: NOWHERE, out: new Map([[RETURN, own + (step.value === null ? 0 : this.#expr(step.value))]]) };
      case "trace":
        // An i64 is evaluated for each of its two words.
        return through(step.args.reduce((sum, arg) => sum + this.#expr(arg) * (typeOf(arg) === "i64" ? 2 : 1), own));
      default:
        return step satisfies never;
    }
  }

  #if({ then, otherwise }: Step & { kind: "if" }, test: number): Ways {
    const sides = [this.#steps(then), this.#steps(otherwise)];
    const end = Math.max(...sides.map((side) => side.end));
    return { end: end + test, out: later(merged(sides[0].out, sides[1].out), test) };
  }

  /** Every way out may be taken in the last round; a body that no way gets through is entered once. */
  #repeat(step: Step & { kind: "repeat" }, start: number): Ways {
    const rounds = this.#rounds(step);
    if (rounds === 0) return through(start + NO_ROUND);
    const { end, out } = this.#steps(step.body);
    const full = ROUND.enter + end + ROUND.again;
    const before = end === NOWHERE || rounds === 1 ? 0 : (rounds - 1) * full;
    const left = later(out, start + before + ROUND.enter);
    const exhausted = start + NO_ROUND + (end === NOWHERE ? 0 : rounds * full);
    return { end: Math.max(exhausted, left.get(step.label) ?? NOWHERE), out: without(left, step.label) };
  }

  #rounds({ times, most }: Step & { kind: "repeat" }): number {
    const said = typeof most === "string" ? this.#limits[most] : most;
    const possible = times.kind === "const" ? Number(times.value) >>> 0 : Number(possibleBits(times));
    const formal = times.kind === "const" || possible <= MOST_ROUNDS ? possible : Number.POSITIVE_INFINITY;
    return Math.min(said ?? Number.POSITIVE_INFINITY, formal);
  }

  #expr(e: Expr): number {
    if (e.kind === "const" || e.kind === "reg") return instructionsOfExpr(e);
    const { own, calls } = partsOf(e);
    return calls.reduce((sum, proc) => sum + (this.#costs.get(proc) ?? 0), own);
  }
}

/** An expression's own instructions, and the procs that it calls. */
const partsOf: (e: Expr) => { readonly own: number; readonly calls: readonly string[] } = remembered((e) => {
  const all = allOperands([e]);
  return {
    own: all.reduce((sum, part) => sum + instructionsOfExpr(part), 0),
    calls: all.flatMap((part) => (part.kind === "call" ? [part.proc] : [])),
  };
});

const later = (out: ReadonlyMap<string, number>, by: number): ReadonlyMap<string, number> =>
  new Map([...out].map(([label, cost]) => [label, cost + by]));

function merged(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const both = new Map(a);
  for (const [label, cost] of b) both.set(label, Math.max(cost, both.get(label) ?? NOWHERE));
  return both;
}

function without(out: ReadonlyMap<string, number>, label: string): ReadonlyMap<string, number> {
  const rest = new Map(out);
  rest.delete(label);
  return rest;
}
