/**
 * Rewrites as data: a left and a right side in a small notation, matched against expressions.
 *
 *   side  = "(" OPERATOR { side } ")"       a unary or binary operator of ir.ts, or `select` condition then otherwise
 *         | x                               a small letter: any expression; the same letter twice: equal expressions
 *         | C                               a capital: any constant
 *         | NUMBER                          that constant, of the type that its place has
 *
 *     "(add (add x C) D) -> (add x (add C D))"          (constants fold when the right side is built)
 *
 * A rewrite that would drop, double or reorder something with a call in it does not match.
 */
import { evalBinary, evalUnary } from "../arithmetic.ts";
import type { BinaryOp, Expr, UnaryOp, ValueType } from "../ir.ts";
import { typeOf } from "../ir.ts";
import { hasCall, operands, regKey } from "../visit.ts";

export interface Rewrite {
  /** "LEFT -> RIGHT" */
  readonly rule: string;
  /** A further condition on what matched; may bind letters that only the right side has. Null: does not apply. */
  readonly where?: (bound: Bindings) => Bindings | null;
}

/** What each letter stands for. */
export type Bindings = Readonly<Record<string, Expr>>;

type Side =
  | { readonly kind: "apply"; readonly op: string; readonly args: readonly Side[] }
  | { readonly kind: "letter"; readonly name: string; readonly constant: boolean }
  | { readonly kind: "number"; readonly value: bigint; readonly number: number };

/** A rewrite ready for use: the rewritten expression, or null when it does not apply. */
export type Rewriter = (e: Expr) => Expr | null;

/** Rewriters for `rules`, tried in their order; each looks only at expressions of its left side's operator. */
export function rewriterOf(rules: readonly Rewrite[]): Rewriter {
  const byOperator = new Map<string, Rewriter[]>();
  for (const one of rules) {
    const operator = one.rule.slice(1, one.rule.indexOf(" "));
    byOperator.set(operator, [...(byOperator.get(operator) ?? []), rewriter(one)]);
  }
  return (e) => {
    const operator = e.kind === "unary" || e.kind === "binary" ? e.op : e.kind;
    for (const rewrite of byOperator.get(operator) ?? []) {
      const next = rewrite(e);
      if (next !== null) return next;
    }
    return null;
  };
}

export function rewriter({ rule, where }: Rewrite): Rewriter {
  const [left, right] = rule.split(" -> ").map(parseSide);
  const inOrder = letters(left).join() === letters(right).join();
  return (e) => {
    const bound: Record<string, Expr> = {};
    if (!matches(left, e, bound)) return null;
    if (!inOrder && Object.values(bound).some(hasCall)) return null;
    const all = where === undefined ? bound : where(bound);
    return all && build(right, { ...bound, ...all }, typeOf(e));
  };
}

function parseSide(text: string): Side {
  const tokens = text.match(/[()]|[^\s()]+/g) ?? [];
  let at = 0;
  const side = (): Side => {
    const token = tokens[at++];
    if (token !== "(") return leaf(token);
    const op = tokens[at++];
    const args: Side[] = [];
    while (tokens[at] !== ")") args.push(side());
    at++;
    return { kind: "apply", op, args };
  };
  return side();
}

const leaf = (token: string): Side =>
  /^-?\d+$/.test(token)
    ? { kind: "number", value: BigInt(token), number: Number(token) }
    : { kind: "letter", name: token, constant: token === token.toUpperCase() };

/** Letters for what may have calls, in order of evaluation. */
function letters(side: Side): string[] {
  if (side.kind === "letter") return side.constant ? [] : [side.name];
  if (side.kind === "number") return [];
  const [condition, ...values] = side.args;
  return (side.op === "select" ? [...values, condition] : side.args).flatMap(letters);
}

function matches(side: Side, e: Expr, bound: Record<string, Expr>): boolean {
  switch (side.kind) {
    case "number":
      return e.kind === "const" && (e.value === side.number || e.value === side.value);
    case "letter": {
      if (side.constant && e.kind !== "const") return false;
      const before = bound[side.name];
      bound[side.name] = e;
      return before === undefined || equalExprs(before, e);
    }
    case "apply": {
      const parts = operandsOf(side.op, e);
      return parts?.every((part, i) => matches(side.args[i], part, bound)) ?? false;
    }
    default:
      return side satisfies never;
  }
}

/** The operands as the notation writes them, or null when `e` is not an application of `op`. */
function operandsOf(op: string, e: Expr): readonly Expr[] | null {
  if (e.kind === "select" && op === "select") return [e.condition, e.then, e.otherwise];
  if (e.kind === "unary" && e.op === op) return [e.value];
  if (e.kind === "binary" && e.op === op) return [e.left, e.right];
  return null;
}

/** @param type of the result, for a number */
function build(side: Side, bound: Bindings, type: ValueType): Expr {
  switch (side.kind) {
    case "number":
      return constantOf(type, side.value);
    case "letter":
      return bound[side.name];
    case "apply": {
      if (side.args.length === 1) return foldUnary(side.op as UnaryOp, build(side.args[0], bound, type));
      if (side.op === "select") {
        const [condition, then, otherwise] = side.args;
        const values = [build(then, bound, type), build(otherwise, bound, type)] as const;
        return { kind: "select", condition: build(condition, bound, "i32"), then: values[0], otherwise: values[1] };
      }
      return buildBinary(side.op as BinaryOp, side.args, bound, type);
    }
    default:
      return side satisfies never;
  }
}

/** A number beside something takes its type: the operands of a comparison need not have the result's. */
function buildBinary(op: BinaryOp, args: readonly Side[], bound: Bindings, type: ValueType): Expr {
  const typed = args.find((arg) => arg.kind !== "number");
  const own = typed === undefined ? type : typeOf(build(typed, bound, type));
  return foldBinary(op, build(args[0], bound, own), build(args[1], bound, own));
}

export const constantOf = (type: ValueType, value: number | bigint): Expr =>
  type === "i32"
    ? { kind: "const", type, value: Number(BigInt.asIntN(32, BigInt(value))) }
    : { kind: "const", type, value: BigInt.asIntN(64, BigInt(value)) };

const ofValue = (value: number | bigint): Expr => constantOf(typeof value === "bigint" ? "i64" : "i32", value);

export const foldUnary = (op: UnaryOp, value: Expr): Expr =>
  value.kind === "const" ? ofValue(evalUnary(op, value.value)) : { kind: "unary", op, value };

/** A division by 0 stays as it is. */
export function foldBinary(op: BinaryOp, left: Expr, right: Expr): Expr {
  const divides = op === "div" || op === "rem";
  const defined = right.kind === "const" && !(divides && BigInt(right.value) === 0n);
  return left.kind === "const" && right.kind === "const" && defined
    ? ofValue(evalBinary(op, left.value, right.value))
    : { kind: "binary", op, left, right };
}

/** The same computation, though not the same object. */
function equalExprs(a: Expr, b: Expr): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind || typeOf(a) !== typeOf(b)) return false;
  const [mine, theirs] = [operands(a), operands(b)];
  return sameHead(a, b) && mine.length === theirs.length && mine.every((part, i) => equalExprs(part, theirs[i]));
}

/** Equal but for the operands. */
function sameHead(a: Expr, b: Expr): boolean {
  switch (a.kind) {
    case "const":
      return b.kind === "const" && a.value === b.value;
    case "reg":
      return b.kind === "reg" && regKey(a.reg) === regKey(b.reg);
    case "load":
      return b.kind === "load" && a.bytes === b.bytes && a.offset === b.offset;
    case "packet":
      return (
        b.kind === "packet" && a.bytes === b.bytes && a.offset === b.offset && regKey(a.cursor) === regKey(b.cursor)
      );
    case "unary":
      return b.kind === "unary" && a.op === b.op;
    case "binary":
      return b.kind === "binary" && a.op === b.op;
    case "select":
      return true;
    case "call":
      return b.kind === "call" && a.proc === b.proc;
    case "vector":
      return b.kind === "vector" && a.op === b.op && a.offset === b.offset && a.lane === b.lane;
    default:
      return a satisfies never;
  }
}
