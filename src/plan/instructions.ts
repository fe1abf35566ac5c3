/**
 * How many wasm instructions a step or an expression of a plan takes by itself, as src/wasm emits it at level 0: without what stands
 * inside of it, which has its own. One table for the bound (cost.ts) and for the count (interpret.ts); test/plan/instructions.test.ts
 * holds it against what is emitted.
 *
 * Counted is what is executed: `block`, `loop`, `else` and `end` are where branches lead and take nothing.
 */
import { type Bytes, type Expr, type Step, typeOf, type UnaryOp } from "./ir.ts";
import type { VectorOp } from "./vector.ts";
import { hasCall } from "./visit.ts";

/** Turning the bytes of a value in a register: src/wasm/bytes.ts bswap16, bswap32, bswap64. */
const TURN: Readonly<Record<Bytes, number>> = { 1: 0, 2: 11, 4: 11, 8: 33 };
/** Loads of a packet's bytes, without their addresses, and what puts them together. */
const READ: Readonly<Record<Bytes, number>> = { 1: 1, 2: 5, 4: 12, 8: 29 };
/** Loads of those: each has an address. */
const LOADS: Readonly<Record<Bytes, number>> = { 1: 1, 2: 2, 4: 1, 8: 2 };
const UNARY: Readonly<Partial<Record<UnaryOp, number>>> = {
  bswap16: TURN[2],
  bswap32: TURN[4],
  bswap64: TURN[8],
};
const VECTOR: Readonly<Partial<Record<VectorOp, number>>> = { widen1: 2, equal1: 2, equal2: 2 };

/** local.get; and for bytes in front of the cursor i32.const, i32.add. */
const address = (offset: number): number => (offset < 0 ? 3 : 1);
/** global.get, i32.add: a program's state is where its host has put it. A constant address is an immediate. */
const place = ({ space, base }: { readonly space: string; readonly base: Expr }): number =>
  space === "state" && base.kind !== "const" ? 2 : 0;

/** Of the node itself: its operands come on top. */
export function instructionsOfExpr(e: Expr): number {
  switch (e.kind) {
    case "const":
    case "reg":
    case "binary":
    case "select":
    case "call":
      return 1;
    case "vector":
      return e.op === "splat" && e.args[0].kind === "const" ? 0 : (VECTOR[e.op] ?? 1); // such a splat is the constant
    case "load":
      return 1 + place(e);
    case "packet":
      return READ[e.bytes] + LOADS[e.bytes] * address(e.offset);
    case "unary":
      return UNARY[e.op] ?? 1;
    default:
      return e satisfies never;
  }
}

/** Of the step itself: its expressions and the steps inside of it come on top. Of a `repeat` what comes before the first round. */
export function instructionsOfStep(step: Step): number {
  switch (step.kind) {
    case "set":
    case "if":
    case "break":
    case "return":
      return 1;
    case "store":
      return 1 + place(step);
    case "put":
      return TURN[step.bytes] + address(step.offset) + 1 + (hasCall(step.value) ? 2 : 0);
    case "guard":
      return GUARD;
    case "block":
      return 0;
    case "repeat":
      return 1;
    case "do":
      return DROP;
    case "trace":
      return step.args.reduce((sum, arg) => sum + (typeOf(arg) === "i64" ? WORDS.i64 : WORDS.i32), RECORD);
    default:
      return step satisfies never;
  }
}

/** Two extended registers, the sum with a constant, a comparison, a branch. */
const GUARD = 8;
/** The cursor of the trace region read and compared, the header written, the cursor moved. */
const RECORD = 18;
/** The address and the store of an argument; of an i64, whose halves are two words, its shift and wraps too. */
const WORDS = { i32: 2, i64: 8 } as const;

/** A round of `repeat`: the test and the countdown in front, the jump behind. */
export const ROUND = { enter: 7, again: 1 } as const;
/** The test that finds no round left. */
export const NO_ROUND = 3;
/** Of a result that nobody wants; a proc without one takes nothing here. */
const DROP = 1;
