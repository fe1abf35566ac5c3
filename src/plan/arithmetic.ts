/**
 * What the operators of a plan compute, in JavaScript: i32 as numbers in -2^31 .. 2^31-1, i64 as bigints in
 * -2^63 .. 2^63-1, as wasm does (vectors: vector.ts). Shared by the interpreter and constant folding; wasm itself is the check on both.
 */
import type { BinaryOp, UnaryOp, ValueType } from "./ir.ts";

export type Value = number | bigint;

export const wrapTo = (type: ValueType, value: Value): Value =>
  type === "i32"
    ? Number(value) | 0
    : type === "i64"
      ? BigInt.asIntN(64, BigInt(value))
      : BigInt.asUintN(128, BigInt(value));

export function evalUnary(op: UnaryOp, value: Value): Value {
  return typeof value === "bigint" ? unary64(op, value) : unary32(op, value);
}

/** @throws RangeError when the divisor of `div` or `rem` is 0 */
export function evalBinary(op: BinaryOp, left: Value, right: Value): Value {
  if (typeof left === "bigint" && typeof right === "bigint") return binary64(op, left, right);
  return binary32(op, Number(left), Number(right));
}

function unary32(op: UnaryOp, x: number): Value {
  switch (op) {
    case "eqz":
      return x === 0 ? 1 : 0;
    case "clz":
      return Math.clz32(x);
    case "popcnt":
      return popcnt(BigInt.asUintN(32, BigInt(x)));
    case "extend":
      return BigInt(x >>> 0);
    case "extend_s":
      return BigInt(x);
    case "bswap16":
      return ((x & 0xff) << 8) | ((x >>> 8) & 0xff);
    case "bswap32":
      return (x << 24) | ((x & 0xff00) << 8) | ((x >>> 8) & 0xff00) | (x >>> 24);
    case "wrap":
      return x | 0;
    case "bswap64":
      throw new TypeError(`${op} of an i32`);
    default:
      return op satisfies never;
  }
}

function unary64(op: UnaryOp, x: bigint): Value {
  const bits = BigInt.asUintN(64, x);
  switch (op) {
    case "eqz":
      return x === 0n ? 1 : 0;
    case "clz":
      return BigInt(bits === 0n ? 64 : 64 - bits.toString(2).length);
    case "popcnt":
      return BigInt(popcnt(bits));
    case "wrap":
      return Number(BigInt.asIntN(32, x));
    case "bswap64":
      return BigInt.asIntN(
        64,
        Array.from({ length: 8 }, (_, i) => ((bits >> BigInt(8 * i)) & 0xffn) << BigInt(56 - 8 * i)).reduce(
          (a, b) => a | b,
        ),
      );
    default:
      throw new TypeError(`${op} of an i64`);
  }
}

const popcnt = (bits: bigint): number => bits.toString(2).replaceAll("0", "").length;

function binary32(op: BinaryOp, a: number, b: number): number {
  const [x, y] = [a >>> 0, b >>> 0];
  switch (op) {
    case "add":
      return (a + b) | 0;
    case "sub":
      return (a - b) | 0;
    case "mul":
      return Math.imul(a, b);
    case "and":
      return a & b;
    case "or":
      return a | b;
    case "xor":
      return a ^ b;
    case "shl":
      return a << b;
    case "shr":
      return (a >>> b) | 0;
    case "shr_s":
      return a >> b;
    case "rotl":
      return (a << b) | (b % 32 === 0 ? 0 : a >>> -b);
    case "lt_s":
      return a < b ? 1 : 0;
    case "gt_s":
      return a > b ? 1 : 0;
    case "div":
    case "rem":
      if (y === 0) throw new RangeError("division by 0");
      return (op === "div" ? x / y : x % y) | 0;
    default:
      return compare(op, x, y);
  }
}

function binary64(op: BinaryOp, a: bigint, b: bigint): Value {
  const [x, y] = [BigInt.asUintN(64, a), BigInt.asUintN(64, b)];
  const shift = y % 64n;
  const wrap = (value: bigint) => BigInt.asIntN(64, value);
  switch (op) {
    case "add":
      return wrap(a + b);
    case "sub":
      return wrap(a - b);
    case "mul":
      return wrap(a * b);
    case "and":
      return a & b;
    case "or":
      return a | b;
    case "xor":
      return a ^ b;
    case "shl":
      return wrap(a << shift);
    case "shr":
      return wrap(x >> shift);
    case "shr_s":
      return a >> shift;
    case "rotl":
      return wrap((x << shift) | (x >> (64n - shift)));
    case "lt_s":
      return a < b ? 1 : 0;
    case "gt_s":
      return a > b ? 1 : 0;
    case "div":
    case "rem":
      return wrap(op === "div" ? x / y : x % y);
    default:
      return compare(op, x, y);
  }
}

/** Of unsigned values. */
function compare(op: "eq" | "ne" | "lt" | "le" | "gt" | "ge", x: Value, y: Value): number {
  switch (op) {
    case "eq":
      return x === y ? 1 : 0;
    case "ne":
      return x !== y ? 1 : 0;
    case "lt":
      return x < y ? 1 : 0;
    case "le":
      return x <= y ? 1 : 0;
    case "gt":
      return x > y ? 1 : 0;
    case "ge":
      return x >= y ? 1 : 0;
    default:
      return op satisfies never;
  }
}
