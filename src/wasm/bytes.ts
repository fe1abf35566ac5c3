/**
 * Packet bytes stand in network order and wasm is little-endian: reading and writing them, and comparing without turning
 * them round. Where both sides of an equality can be had turned for less than one turn costs, both stay turned:
 *
 *     packet 2 l2[12] == 0x0800               i32.load16_u == 0x0008
 *     packet 4 l3[12] & 0xff000000            (i32.load & 0xff) as a condition
 *     put 4 l3[16] = packet 4 l3[12]          i32.store (i32.load)
 */
import { evalUnary } from "../plan/arithmetic.ts";
import type { Expr } from "../plan/ir.ts";
import type { Node, WasmModule } from "./binaryen.ts";

/** What the byte emission needs of the proc under emission. */
export interface ByteContext {
  readonly module: WasmModule;
  /** Turns comparisons instead of packets. */
  readonly turned: boolean;
  value(e: Expr): Node;
  /** Address of a packet byte: a node that adds up with the immediate. */
  address(e: Expr & { kind: "packet" }): { base: () => Node; offset: number };
  /** Evaluates once what `use` gets to read often, in a local of the type. */
  once(type: "i32" | "i64", value: Node, use: (first: Node, again: () => Node) => Node): Node;
}

const EVEN = 0x00ff00ff;
const ODD_TURN = 24;
const EVEN_TURN = 8;

/** 0xAABBCCDD gives 0xDDCCBBAA: (0x00BB00DD rotl 24) is 0xDD00BB00, (0xBBCCDDAA & 0x00ff00ff) is 0x00CC00AA. */
export function bswap32(context: ByteContext, value: Node): Node {
  const { module: m } = context;
  const constant = (n: number) => m.constant("i32", n);
  return context.once("i32", value, (first, again) => {
    const odd = m.numeric("i32", "rotl", m.numeric("i32", "and", first, constant(EVEN)), constant(ODD_TURN));
    const even = m.numeric("i32", "and", m.numeric("i32", "rotl", again(), constant(EVEN_TURN)), constant(EVEN));
    return m.numeric("i32", "or", odd, even);
  });
}

/** The low two bytes turned, the others dropped. */
export function bswap16(context: ByteContext, value: Node): Node {
  const { module: m } = context;
  const constant = (n: number) => m.constant("i32", n);
  return context.once("i32", value, (first, again) => {
    const high = m.numeric("i32", "shl", m.numeric("i32", "and", first, constant(0xff)), constant(8));
    const low = m.numeric("i32", "and", m.numeric("i32", "shr_u", again(), constant(8)), constant(0xff));
    return m.numeric("i32", "or", high, low);
  });
}

/** Two i32 nodes as one i64. */
const join = (m: WasmModule, high: Node, low: Node): Node =>
  m.numeric(
    "i64",
    "or",
    m.numeric("i64", "shl", m.numeric("i64", "extend_u", high), m.constant("i64", 32)),
    m.numeric("i64", "extend_u", low),
  );

export function bswap64(context: ByteContext, value: Node): Node {
  const { module: m } = context;
  return context.once("i64", value, (first, again) => {
    const high = bswap32(context, m.numeric("i32", "wrap", first));
    const low = m.numeric("i32", "wrap", m.numeric("i64", "shr_u", again(), m.constant("i64", 32)));
    return join(m, high, bswap32(context, low));
  });
}

export function readPacket(context: ByteContext, e: Expr & { kind: "packet" }): Node {
  const { module: m } = context;
  const { base, offset } = context.address(e);
  switch (e.bytes) {
    case 1:
      return m.load(1, offset, base());
    case 2: {
      const high = m.numeric("i32", "shl", m.load(1, offset, base()), m.constant("i32", 8));
      return m.numeric("i32", "or", high, m.load(1, offset + 1, base()));
    }
    case 4:
      return bswap32(context, m.load(4, offset, base()));
    case 8:
      return join(m, bswap32(context, m.load(4, offset, base())), bswap32(context, m.load(4, offset + 4, base())));
    default:
      return e.bytes satisfies never;
  }
}

/** The value of `e` with its bytes turned, ready for a little-endian store of `bytes`. */
export function networkOrder(context: ByteContext, bytes: 1 | 2 | 4 | 8, e: Expr): Node {
  if (bytes === 1) return context.value(e);
  const turned = context.turned ? turn(context, bytes, e) : null;
  if (turned !== null) return turned();
  return { 2: bswap16, 4: bswap32, 8: bswap64 }[bytes](context, context.value(e));
}

/** `bswap16(e)`, `bswap32(e)` or `bswap64(e)` where that undoes the turning of `e`; null elsewhere. */
export function turned(context: ByteContext, bytes: 2 | 4 | 8, e: Expr): Node | null {
  return context.turned && readsNetworkOrder(e) ? (turn(context, bytes, e)?.() ?? null) : null;
}

/** `left == right` or its contrary over turned operands, or null when that saves nothing. */
export function turnedEquality(context: ByteContext, left: Expr, right: Expr): readonly [Node, Node] | null {
  if (!context.turned) return null;
  for (const bytes of [2, 4, 8] as const) {
    if (!readsNetworkOrder(left) && !readsNetworkOrder(right)) continue;
    const [a, b] = [turn(context, bytes, left), turn(context, bytes, right)];
    if (a !== null && b !== null) return [a(), b()];
  }
  return null;
}

/** A node that is zero exactly when `e` is: its bytes may be turned. */
export function zeroOrNot(context: ByteContext, e: Expr): Node {
  if (context.turned && readsNetworkOrder(e))
    for (const bytes of [2, 4, 8] as const) {
      const turned = turn(context, bytes, e);
      if (turned !== null) return turned();
    }
  return context.value(e);
}

const readsNetworkOrder = (e: Expr): boolean =>
  (e.kind === "packet" && e.bytes !== 1) ||
  (e.kind === "unary" && (e.op === "bswap64" || e.op === "bswap32" || e.op === "bswap16")) ||
  (e.kind === "binary" && isBitwise(e) && (readsNetworkOrder(e.left) || readsNetworkOrder(e.right)));

const isBitwise = (e: Expr & { kind: "binary" }): boolean => e.op === "and" || e.op === "or" || e.op === "xor";

/**
 * How to make `e` with its `bytes` bytes turned without turning anything, or null. For 2 bytes `e` must be below 2^16,
 * so that turning is a bijection and equality survives it.
 */
function turn(context: ByteContext, bytes: 2 | 4 | 8, e: Expr): (() => Node) | null {
  const { module: m } = context;
  switch (e.kind) {
    case "const": {
      if (e.type !== (bytes === 8 ? "i64" : "i32")) return null;
      if (bytes === 8) return () => m.constant("i64", evalUnary("bswap64", BigInt(e.value)));
      const value = Number(e.value) >>> 0;
      if (bytes === 2) return value > 0xffff ? null : () => m.constant("i32", turn16(value));
      return () => m.constant("i32", (turn16(value & 0xffff) << 16) | turn16(value >>> 16) | 0);
    }
    case "packet": {
      if (e.bytes !== bytes) return null;
      const { base, offset } = context.address(e);
      return () => m.load(bytes, offset, base());
    }
    case "unary":
      if (bytes !== 2) return e.op === `bswap${8 * bytes}` ? () => context.value(e.value) : null;
      if (e.op !== "bswap16") return null;
      if (fitsTwoBytes(e.value)) return () => context.value(e.value);
      return () => m.numeric("i32", "and", context.value(e.value), m.constant("i32", 0xffff));
    case "binary": {
      if (!isBitwise(e)) return null;
      const [left, right] = [turn(context, bytes, e.left), turn(context, bytes, e.right)];
      if (left === null || right === null) return null;
      return () => m.numeric(bytes === 8 ? "i64" : "i32", e.op as "and" | "or" | "xor", left(), right());
    }
    default:
      return null;
  }
}

const fitsTwoBytes = (e: Expr): boolean => (e.kind === "load" || e.kind === "packet") && e.bytes <= 2;

const turn16 = (value: number): number => ((value & 0xff) << 8) | (value >>> 8);
