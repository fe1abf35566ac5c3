/**
 * Values wider than a register. A value of `bits` width is a list of pieces, most significant first:
 *
 *     to 32 bits      one i32
 *     33 to 64        one i64                              an Ethernet address
 *     65 to 128       two i64: what is above bit 64, and the lower 64 bits        an IPv6 address
 *
 * Bits beyond the width are 0.
 */
import type { Value } from "../../../../dsl/chain-model.ts";
import {
  add,
  and,
  binary,
  type Expr,
  eq,
  i32,
  i64,
  lt,
  or,
  packet,
  type Reg,
  shl,
  shr,
  typeOf,
  unary,
  type ValueType,
  xor,
} from "../../ir.ts";

export type Wide = readonly Expr[];

const ones = (bits: number): bigint => (1n << BigInt(bits)) - 1n;
const LOW = ones(64);

export const pieceTypes = (bits: number): readonly ValueType[] =>
  bits <= 32 ? ["i32"] : bits <= 64 ? ["i64"] : ["i64", "i64"];

/** Pieces of a constant as numbers. */
export function constantPieces(value: Value, bits: number): readonly (number | bigint)[] {
  const big = BigInt(value);
  if (bits <= 32) return [Number(BigInt.asIntN(32, big))];
  return bits <= 64 ? [big] : [big >> 64n, big & LOW];
}

export const constantOf = (value: Value, bits: number): Wide =>
  constantPieces(value, bits).map((piece) => (typeof piece === "number" ? i32(piece) : i64(piece)));

/** `length` bytes (1 to 16) at `cursor[offset]`, which a guard covers. */
export function packetBytes(cursor: Reg, offset: number, length: number): Wide {
  if (length <= 4) return [word(cursor, offset, length)];
  if (length <= 8) return [long(cursor, offset, length)];
  return [long(cursor, offset, length - 8), packet(cursor, offset + length - 8, 8)];
}

/** 1 to 4 bytes as an i32. */
function word(cursor: Reg, offset: number, length: number): Expr {
  if (length !== 3) return packet(cursor, offset, length as 1 | 2 | 4);
  return or(shl(packet(cursor, offset, 2), 8), packet(cursor, offset + 2, 1));
}

/** 1 to 8 bytes as an i64. */
function long(cursor: Reg, offset: number, length: number): Expr {
  if (length === 8) return packet(cursor, offset, 8);
  if (length <= 4) return unary("extend", word(cursor, offset, length));
  const high = unary("extend", word(cursor, offset, length - 4));
  return or(shl64(high, 32), unary("extend", packet(cursor, offset + length - 4, 4)));
}

const shl64 = (value: Expr, by: number): Expr => binary("shl", value, i64(BigInt(by)));
const shr64 = (value: Expr, by: number): Expr => binary("shr", value, i64(BigInt(by)));

/** 1 or 0. */
export const equal = (a: Wide, b: Wide): Expr => a.map((piece, i) => eq(piece, b[i])).reduce(and);

/** 1 or 0. Pieces of values of two are evaluated twice. */
export const below = (a: Wide, b: Wide): Expr =>
  a.length === 1 ? lt(a[0], b[0]) : or(lt(a[0], b[0]), and(eq(a[0], b[0]), lt(a[1], b[1])));

const pairwise =
  (op: (a: Expr, b: Expr) => Expr) =>
  (a: Wide, b: Wide): Wide =>
    a.map((piece, i) => op(piece, b[i]));
export const wideAnd = pairwise(and);
export const wideXor = pairwise(xor);

/** `value` of `bits` width shifted by a constant; what leaves the width is lost. Pieces of values of two are evaluated twice. */
export function shifted(value: Wide, bits: number, direction: "left" | "right", by: number): Wide {
  if (by >= bits) return constantOf(0, bits);
  if (by === 0) return value;
  const moved = value.length === 2 ? shiftedPair(value, direction, by) : shiftedPiece(value, direction, by);
  return direction === "right" || bits === 32 || bits === 64 || bits === 128
    ? moved
    : wideAnd(moved, constantOf(ones(bits), bits));
}

function shiftedPiece([value]: Wide, direction: "left" | "right", by: number): Wide {
  const count = typeOf(value) === "i64" ? i64(BigInt(by)) : i32(by);
  return [direction === "left" ? shl(value, count) : shr(value, count)];
}

function shiftedPair([high, low]: Wide, direction: "left" | "right", by: number): Wide {
  if (direction === "left")
    return by >= 64 ? [shl64(low, by - 64), i64(0n)] : [or(shl64(high, by), shr64(low, 64 - by)), shl64(low, by)];
  return by >= 64 ? [i64(0n), shr64(high, by - 64)] : [shr64(high, by), or(shr64(low, by), shl64(high, 64 - by))];
}

/** The same number in another width; a narrower one keeps the low bits. */
export function resized(value: Wide, from: number, to: number): Wide {
  if (from === to) return value;
  const [fromTypes, toTypes] = [pieceTypes(from), pieceTypes(to)];
  const low = value[value.length - 1];
  const lowest = toTypes[0] === "i32" && fromTypes[0] === "i64" ? unary("wrap", low) : low;
  const extended = toTypes[0] === "i64" && fromTypes[0] === "i32" ? unary("extend", lowest) : lowest;
  const pieces = toTypes.length === 1 ? [extended] : [value.length === 2 ? value[0] : i64(0n), extended];
  return to < from ? wideAnd(pieces, constantOf(ones(to), to)) : pieces;
}

/** 32-bit words of a value, least significant first, all that its width needs. Pieces are evaluated once for each word. */
export function wordsOf(value: Wide, bits: number): Expr[] {
  if (bits <= 32) return [value[0]];
  const words = [...value].reverse().flatMap((piece) => [unary("wrap", piece), unary("wrap", shr64(piece, 32))]);
  return words.slice(0, Math.ceil(bits / 32));
}

/** The 16-bit words of `length` bytes added up, a last odd byte as the high one of its word (RFC 1071). At most 16 bytes. */
export function sumOf(value: Wide, length: number): Expr {
  const bits = 8 * length;
  const even = length % 2 === 0 ? value : shifted(resized(value, bits, bits + 8), bits + 8, "left", 8);
  return wordsOf(even, 16 * Math.ceil(length / 2))
    .map((part) => add(and(part, 0xffff), shr(part, 16)))
    .reduce(add);
}
