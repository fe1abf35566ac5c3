/**
 * planCost: the most instructions that a call of each proc can take, estimated from the structure of the plan.
 *
 * Counted are wasm instructions as src/wasm emits them without its optimiser, calls with what they call. Of the paths
 * through a proc the dearest counts: a branch is its dearer side, and what is behind a `return` or `break` is not
 * counted on that path.
 *
 * A loop counts as often as its count can be, where the form of the count bounds it (`x & 3`, a byte, a constant). A
 * count that is read from a table bounds nothing: such loops are taken to run `tableRounds` times.
 */
import { callOrder } from "./callgraph.ts";
import type { Bytes, Expr, Plan, Proc, Step, UnaryOp } from "./ir.ts";
import { possibleBits } from "./passes/simplify.ts";
import { hasCall, operands } from "./visit.ts";

export const DEFAULT_TABLE_ROUNDS = 8;
/** A form that allows more rounds than this is no bound that anybody meant. */
const MOST_ROUNDS = 1024;

export function planCost(plan: Plan, tableRounds = DEFAULT_TABLE_ROUNDS): ReadonlyMap<string, number> {
  const costs = new Map<string, number>();
  for (const proc of callOrder(plan).order ?? []) costs.set(proc.name, new ProcCost(costs, tableRounds).of(proc));
  return costs;
}

/** Reading and turning the bytes of a packet, and only turning them (src/wasm/bytes.ts). */
const PACKET: Readonly<Record<Bytes, number>> = { 1: 2, 2: 7, 4: 11, 8: 28 };
const TURN: Readonly<Record<Bytes, number>> = { 1: 0, 2: 9, 4: 9, 8: 26 };
const UNARY: Readonly<Partial<Record<UnaryOp, number>>> = { bswap16: 9, bswap32: 9 };
/** Two extended registers, a sum, a comparison, a branch. */
const GUARD = 8;
/** Loading, comparing and moving the cursor of the trace region. */
const TRACE = 14;
/** Test, countdown and the jump back of a round. */
const ROUND = 8;

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
  readonly #tableRounds: number;

  constructor(costs: ReadonlyMap<string, number>, tableRounds: number) {
    this.#costs = costs;
    this.#tableRounds = tableRounds;
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
    switch (step.kind) {
      case "set":
        return through(this.#expr(step.value) + 1);
      case "store":
        return through(this.#expr(step.base) + this.#expr(step.value) + 1);
      case "put":
        return through(this.#expr(step.value) + TURN[step.bytes] + (hasCall(step.value) ? 4 : 2));
      case "guard": {
        const { out } = this.#steps(step.otherwise);
        return { end: GUARD, out: later(out, GUARD) };
      }
      case "if":
        return this.#if(step);
      case "block": {
        const { end, out } = this.#steps(step.body);
        return { end: Math.max(end, out.get(step.label) ?? NOWHERE), out: without(out, step.label) };
      }
      case "break":
        return { end: NOWHERE, out: new Map([[step.label, 1]]) };
      case "repeat":
        return this.#repeat(step);
      case "do":
        return through(this.#expr(step.call) + 1);
      case "return":
        return { end: NOWHERE, out: new Map([[RETURN, 1 + (step.value === null ? 0 : this.#expr(step.value))]]) };
      case "trace":
        return through(step.args.reduce((sum, arg) => sum + this.#expr(arg) + 2, TRACE));
      default:
        return step satisfies never;
    }
  }

  #if({ condition, then, otherwise }: Step & { kind: "if" }): Ways {
    const test = this.#expr(condition) + 1;
    const sides = [this.#steps(then), this.#steps(otherwise)];
    const end = Math.max(...sides.map((side) => side.end));
    return { end: end + test, out: later(merged(sides[0].out, sides[1].out), test) };
  }

  /** Every way out may be taken in the last round. */
  #repeat({ times, label, body }: Step & { kind: "repeat" }): Ways {
    const start = this.#expr(times) + 1;
    const rounds = this.#rounds(times);
    const round = this.#steps(body);
    const full = Math.max(round.end, 0) + ROUND;
    const last = start + Math.max(rounds - 1, 0) * full + ROUND;
    const out = rounds === 0 ? new Map<string, number>() : later(round.out, last);
    return { end: Math.max(start + rounds * full + ROUND, out.get(label) ?? NOWHERE), out: without(out, label) };
  }

  #rounds(times: Expr): number {
    if (times.kind === "const") return Number(times.value) >>> 0;
    const most = Number(possibleBits(times));
    return most <= MOST_ROUNDS ? most : this.#tableRounds;
  }

  #expr(e: Expr): number {
    const inside = operands(e).reduce((sum, part) => sum + this.#expr(part), 0);
    if (e.kind === "packet") return PACKET[e.bytes];
    if (e.kind === "call") return inside + 1 + (this.#costs.get(e.proc) ?? 0);
    return inside + (e.kind === "unary" ? (UNARY[e.op] ?? 1) : 1);
  }
}

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
