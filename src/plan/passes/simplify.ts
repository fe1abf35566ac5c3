/**
 * simplify: constants folded, and the rewrites below applied bottom-up until none matches.
 *
 * Afterwards a constant operand stands on the right, comparisons with 0 are `eqz` or gone, and sums of constants are one.
 */
import { remembered } from "../../remember.ts";
import type { Expr, Plan, Step } from "../ir.ts";
import { typeOf } from "../ir.ts";
import { mapExpressions, mapOperands, mapSteps, operands, procMapper } from "../visit.ts";
import type { Only } from "./pass.ts";
import { type Bindings, constantOf, foldBinary, foldUnary, type Rewrite, rewriterOf } from "./pattern.ts";

const swapped: readonly Rewrite[] = [
  { rule: "(add C x) -> (add x C)" },
  { rule: "(mul C x) -> (mul x C)" },
  { rule: "(and C x) -> (and x C)" },
  { rule: "(or C x) -> (or x C)" },
  { rule: "(xor C x) -> (xor x C)" },
  { rule: "(eq C x) -> (eq x C)" },
  { rule: "(ne C x) -> (ne x C)" },
  { rule: "(lt C x) -> (gt x C)" },
  { rule: "(le C x) -> (ge x C)" },
  { rule: "(gt C x) -> (lt x C)" },
  { rule: "(ge C x) -> (le x C)" },
  { rule: "(lt_s C x) -> (gt_s x C)" },
  { rule: "(gt_s C x) -> (lt_s x C)" },
];

const neutral: readonly Rewrite[] = [
  { rule: "(add x 0) -> x" },
  { rule: "(sub x 0) -> x" },
  { rule: "(or x 0) -> x" },
  { rule: "(xor x 0) -> x" },
  { rule: "(shl x 0) -> x" },
  { rule: "(shr x 0) -> x" },
  { rule: "(shr_s x 0) -> x" },
  { rule: "(rotl x 0) -> x" },
  { rule: "(and x -1) -> x" },
  { rule: "(mul x 1) -> x" },
  { rule: "(div x 1) -> x" },
  { rule: "(and x x) -> x" },
  { rule: "(or x x) -> x" },
  { rule: "(select c x x) -> x" },
  { rule: "(wrap (extend x)) -> x" },
  { rule: "(wrap (extend_s x)) -> x" },
  { rule: "(bswap32 (bswap32 x)) -> x" },
  { rule: "(bswap64 (bswap64 x)) -> x" },
];

const constant: readonly Rewrite[] = [
  { rule: "(mul x 0) -> 0" },
  { rule: "(and x 0) -> 0" },
  { rule: "(or x -1) -> -1" },
  { rule: "(rem x 1) -> 0" },
  { rule: "(sub x x) -> 0" },
  { rule: "(xor x x) -> 0" },
  { rule: "(eq x x) -> 1" },
  { rule: "(ne x x) -> 0" },
  { rule: "(lt x x) -> 0" },
  { rule: "(gt x x) -> 0" },
  { rule: "(le x x) -> 1" },
  { rule: "(ge x x) -> 1" },
  { rule: "(lt x 0) -> 0" },
  { rule: "(ge x 0) -> 1" },
  { rule: "(le x -1) -> 1" },
  { rule: "(gt x -1) -> 0" },
];

const reassociated: readonly Rewrite[] = [
  { rule: "(sub x C) -> (add x (sub 0 C))" },
  { rule: "(add (add x C) D) -> (add x (add C D))" },
  { rule: "(and (and x C) D) -> (and x (and C D))" },
  { rule: "(or (or x C) D) -> (or x (or C D))" },
  { rule: "(xor (xor x C) D) -> (xor x (xor C D))" },
  { rule: "(mul (mul x C) D) -> (mul x (mul C D))" },
  // x + 2 == 7 -> x == 5: wrapping addition is a bijection
  { rule: "(eq (add x C) D) -> (eq x (sub D C))" },
  { rule: "(ne (add x C) D) -> (ne x (sub D C))" },
];

const compared: readonly Rewrite[] = [
  { rule: "(eq x 0) -> (eqz x)" },
  { rule: "(gt x 0) -> (ne x 0)" },
  { rule: "(le x 0) -> (eqz x)" },
  { rule: "(lt x 1) -> (eqz x)" },
  { rule: "(ge x 1) -> (ne x 0)" },
  { rule: "(eqz (eq x y)) -> (ne x y)" },
  { rule: "(eqz (ne x y)) -> (eq x y)" },
  { rule: "(eqz (lt x y)) -> (ge x y)" },
  { rule: "(eqz (ge x y)) -> (lt x y)" },
  { rule: "(eqz (gt x y)) -> (le x y)" },
  { rule: "(eqz (le x y)) -> (gt x y)" },
  { rule: "(select (eqz c) x y) -> (select c y x)", where: ({ c }) => (typeOf(c) === "i32" ? {} : null) },
];

const computed: readonly Rewrite[] = [
  { rule: "(select C x y) -> t", where: ({ C, x, y }) => ({ t: isZero(C) ? y : x }) },
  { rule: "(mul x C) -> (shl x K)", where: powerOfTwo },
  { rule: "(div x C) -> (shr x K)", where: powerOfTwo },
  { rule: "(rem x C) -> (and x M)", where: powerOfTwo },
  // x & C -> x where C keeps every bit that x can have: packet 1 l3[0] & 255
  { rule: "(and x C) -> x", where: ({ x, C }) => ((possibleBits(x) & ~bits(C)) === 0n ? {} : null) },
  // an eqz of a comparison is one already: (eqz (eqz x)) -> x where x is 0 or 1
  { rule: "(eqz (eqz x)) -> x", where: ({ x }) => (isBoolean(x) ? {} : null) },
  { rule: "(eqz (eqz x)) -> (ne x 0)" },
  { rule: "(ne x 0) -> x", where: ({ x }) => (isBoolean(x) ? {} : null) },
];

export const REWRITES: readonly Rewrite[] = [
  ...swapped,
  ...neutral,
  ...constant,
  ...reassociated,
  ...compared,
  ...computed,
];

/** In a condition only zero or not matters. */
export const CONDITION_REWRITES: readonly Rewrite[] = [
  { rule: "(ne x 0) -> x", where: ({ x }) => (typeOf(x) === "i32" ? {} : null) },
];

const mapProcs = procMapper();

export function simplify(plan: Plan, only?: Only): Plan {
  const procs = mapProcs(plan.procs, (body) => mapSteps(body, (step) => [simplifyStep(step)]), only);
  return procs === plan.procs ? plan : { ...plan, procs };
}

function simplifyStep(step: Step): Step {
  const simple = mapExpressions(step, simplifyExpr);
  if (simple.kind !== "if") return simple;
  const condition = rewriteCondition(simple.condition);
  return condition === null ? simple : { ...simple, condition };
}

const simplified: (e: Expr) => Expr = remembered((e) => settle(mapOperands(e, simplifyExpr)));

export const simplifyExpr = (e: Expr): Expr => (operands(e).length === 0 ? e : simplified(e));

/** `e` over simple operands; what a rewrite builds may be simplified again, inside too. */
function settle(e: Expr): Expr {
  const folded = fold(e);
  const next = rewrite(folded);
  return next === null ? folded : simplifyExpr(next);
}

function fold(e: Expr): Expr {
  if (e.kind === "unary" && e.value.kind === "const") return foldUnary(e.op, e.value);
  if (e.kind === "binary" && e.left.kind === "const" && e.right.kind === "const")
    return foldBinary(e.op, e.left, e.right);
  if (e.kind !== "select") return e;
  const condition = rewriteCondition(e.condition);
  return condition === null ? e : { ...e, condition };
}

const rewrite = rewriterOf(REWRITES);
const rewriteCondition = rewriterOf(CONDITION_REWRITES);

// ---- what the conditions ask

const widthOf = (e: Expr): bigint => (typeOf(e) === "i32" ? 32n : 64n);
/** Unsigned value of a constant, or 0. */
const bits = (e: Expr): bigint => (e.kind === "const" ? BigInt.asUintN(Number(widthOf(e)), BigInt(e.value)) : 0n);
const isZero = (e: Expr): boolean => bits(e) === 0n;
const isBoolean = (e: Expr): boolean => typeOf(e) === "i32" && possibleBits(e) <= 1n;

/** C = 2^K, and M = C - 1. */
function powerOfTwo({ C }: Bindings): Bindings | null {
  const value = bits(C);
  if (value === 0n || (value & (value - 1n)) !== 0n) return null;
  const type = typeOf(C);
  return { K: constantOf(type, value.toString(2).length - 1), M: constantOf(type, value - 1n) };
}

const COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge", "lt_s", "gt_s"];

/** Bits that may be set in the value, as a mask. */
export function possibleBits(e: Expr): bigint {
  const all = (1n << widthOf(e)) - 1n;
  switch (e.kind) {
    case "const":
      return bits(e);
    case "load":
    case "packet":
      return (1n << BigInt(8 * e.bytes)) - 1n;
    case "select":
      return possibleBits(e.then) | possibleBits(e.otherwise);
    case "unary":
      if (e.op === "eqz") return 1n;
      if (e.op === "extend") return possibleBits(e.value);
      return e.op === "bswap16" ? 0xffffn : all;
    case "binary":
      return COMPARISONS.includes(e.op) ? 1n : bitsOfBinary(e) & all;
    default:
      return all;
  }
}

function bitsOfBinary({ op, left, right }: Expr & { kind: "binary" }): bigint {
  const [a, b] = [possibleBits(left), possibleBits(right)];
  const count = right.kind === "const" ? bits(right) % widthOf(right) : null;
  if (op === "and") return a & b;
  if (op === "or" || op === "xor") return a | b;
  if (op === "shl" && count !== null) return a << count;
  if (op === "shr" && count !== null) return a >> count;
  return (1n << 64n) - 1n;
}
