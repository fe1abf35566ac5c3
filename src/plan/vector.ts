/**
 * Vectors of plans: 128 bits that wasm's SIMD proposal works on at once, here always as four words of 32. Used where one
 * computation goes over many addresses (src/lpm/blocks-simd.ts); a plan that has one needs an engine with SIMD.
 *
 *   splat(i32)               the word four times
 *   load(i32) offset         16 bytes of the tables or of a batch, little endian
 *   add, and, or (v, v)      word by word
 *   shl, shr (v, i32)        each word, by the same count modulo 32; shr is unsigned
 *   word(v) lane             word `lane` as an i32
 *   mix(v, w)                v's word 0, w's word 0, v's word 1, w's word 1; mixHigh: of words 2 and 3
 *   low, high (v, w)         v's words 0 and 1, or 2 and 3, then w's
 *   halves (v) lane          bytes 8 * lane .. 8 * lane + 7 as halves, without sign
 *   widen1, widen2 (v) lane  bytes, or halves, 4 * lane .. 4 * lane + 3 as words, without sign
 *   equal1, equal2 (v, w)    an i32 whose bit i says whether byte i, or half i, of both is the same
 *   load1, load2, load4 (i32, v) offset, lane    the vector with one element of so many bytes read from memory: byte 0..15, half 0..7, word 0..3
 *
 * In the interpreter a vector is a bigint of 0 .. 2^128 - 1, word 0 the lowest.
 */
interface Signature {
  readonly takes: readonly ("i32" | "v128")[];
  readonly gives: "i32" | "v128";
  /** Elements that `lane` counts; 1: the operation has none. */
  readonly lanes: 1 | 2 | 4 | 8 | 16;
  /** Bytes read from memory at the first operand plus `offset`; 0: none. */
  readonly reads: 0 | 1 | 2 | 4 | 16;
}

export const VECTOR_OPS = {
  splat: { takes: ["i32"], gives: "v128", lanes: 1, reads: 0 },
  load: { takes: ["i32"], gives: "v128", lanes: 1, reads: 16 },
  add: { takes: ["v128", "v128"], gives: "v128", lanes: 1, reads: 0 },
  and: { takes: ["v128", "v128"], gives: "v128", lanes: 1, reads: 0 },
  or: { takes: ["v128", "v128"], gives: "v128", lanes: 1, reads: 0 },
  shl: { takes: ["v128", "i32"], gives: "v128", lanes: 1, reads: 0 },
  shr: { takes: ["v128", "i32"], gives: "v128", lanes: 1, reads: 0 },
  mix: { takes: ["v128", "v128"], gives: "v128", lanes: 1, reads: 0 },
  mixHigh: { takes: ["v128", "v128"], gives: "v128", lanes: 1, reads: 0 },
  low: { takes: ["v128", "v128"], gives: "v128", lanes: 1, reads: 0 },
  high: { takes: ["v128", "v128"], gives: "v128", lanes: 1, reads: 0 },
  widen1: { takes: ["v128"], gives: "v128", lanes: 4, reads: 0 },
  widen2: { takes: ["v128"], gives: "v128", lanes: 2, reads: 0 },
  halves: { takes: ["v128"], gives: "v128", lanes: 2, reads: 0 },
  equal1: { takes: ["v128", "v128"], gives: "i32", lanes: 1, reads: 0 },
  equal2: { takes: ["v128", "v128"], gives: "i32", lanes: 1, reads: 0 },
  word: { takes: ["v128"], gives: "i32", lanes: 4, reads: 0 },
  load1: { takes: ["i32", "v128"], gives: "v128", lanes: 16, reads: 1 },
  load2: { takes: ["i32", "v128"], gives: "v128", lanes: 8, reads: 2 },
  load4: { takes: ["i32", "v128"], gives: "v128", lanes: 4, reads: 4 },
} as const satisfies Readonly<Record<string, Signature>>;
export type VectorOp = keyof typeof VECTOR_OPS;

/** Words of the operations that only move some: 0 to 3 of the first operand, 4 to 7 of the second. */
export const WORD_MOVES = { mix: [0, 4, 1, 5], mixHigh: [2, 6, 3, 7], low: [0, 1, 4, 5], high: [2, 3, 6, 7] } as const;

/**
 * @param values of the operands
 * @param read bytes of memory at an address, little endian
 */
export function evalVector(
  op: VectorOp,
  values: readonly (number | bigint)[],
  { lane, offset }: { readonly lane: number; readonly offset: number },
  read: (address: number, bytes: number) => bigint,
): number | bigint {
  const [a, b] = values.map(BigInt);
  const address = Number(BigInt.asUintN(32, a)) + offset;
  switch (op) {
    case "splat":
      return words(() => a);
    case "load":
      return read(address, 16);
    case "add":
      return words((i) => wordOf(a, i) + wordOf(b, i));
    case "and":
      return a & b;
    case "or":
      return a | b;
    case "shl":
      return words((i) => wordOf(a, i) << (b & 31n));
    case "shr":
      return words((i) => wordOf(a, i) >> (b & 31n));
    case "mix":
    case "mixHigh":
    case "low":
    case "high":
      return words((i) => wordOf(WORD_MOVES[op][i] < 4 ? a : b, WORD_MOVES[op][i] & 3));
    case "widen1":
      return words((i) => elementOf(a, 1, 4 * lane + i));
    case "widen2":
      return words((i) => elementOf(a, 2, 4 * lane + i));
    case "halves":
      return elements(2, (i) => elementOf(a, 1, 8 * lane + i));
    case "equal1":
      return mask(16, (i) => elementOf(a, 1, i) === elementOf(b, 1, i));
    case "equal2":
      return mask(8, (i) => elementOf(a, 2, i) === elementOf(b, 2, i));
    case "word":
      return Number(BigInt.asIntN(32, a >> BigInt(32 * lane)));
    case "load1":
    case "load2":
    case "load4": {
      const { reads } = VECTOR_OPS[op];
      const at = BigInt(8 * reads * lane);
      const element = (1n << BigInt(8 * reads)) - 1n;
      return (b & ~(element << at)) | (read(address, reads) << at);
    }
    default:
      return op satisfies never;
  }
}

const elementOf = (vector: bigint, bytes: 1 | 2 | 4, i: number): bigint =>
  BigInt.asUintN(8 * bytes, vector >> BigInt(8 * bytes * i));
const wordOf = (vector: bigint, i: number): bigint => elementOf(vector, 4, i);

const elements = (bytes: 2 | 4, of: (i: number) => bigint): bigint =>
  Array.from({ length: 16 / bytes }, (_, i) => BigInt.asUintN(8 * bytes, of(i)) << BigInt(8 * bytes * i)).reduce(
    (vector, element) => vector | element,
  );
const words = (of: (i: number) => bigint): bigint => elements(4, of);

const mask = (bits: number, of: (i: number) => boolean): number =>
  Array.from({ length: bits }, (_, i) => (of(i) ? 2 ** i : 0)).reduce((a, b) => a + b);
