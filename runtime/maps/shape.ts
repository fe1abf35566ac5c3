/** What sets and maps are made of: keys, values, how wide they are, and how they stand in memory. */

/** A number to 32 bits, a bigint above. */
export type Value = number | bigint;

/** Inclusive; equal for a single value. */
export interface KeyRange {
  readonly first: Value;
  readonly last: Value;
}

/** For each field a range. */
export type Key = readonly KeyRange[];

export interface Element {
  readonly key: Key;
  /** 0: a set's. Of a verdict map the number of the decision; of a map of counters `counterValue`. */
  readonly value: Value;
}

/** What decides about the structure of a set or map (SetDef of the checked model, and MapManifest, are one). */
export interface SetShape {
  /** null: stands between braces, and does not change. */
  readonly name: string | null;
  readonly key: readonly { readonly bits: number }[];
  readonly value: { readonly bits: number } | "verdict" | null;
  readonly interval: boolean;
  readonly storage: string | null;
  /** Most elements; of arrays the length. null: no limit. */
  readonly size: number | null;
}

/** A counter as a value of 128 bits: packets above, bytes below. */
export const counterValue = (packets: bigint, bytes: bigint): bigint => (packets << 64n) | bytes;
export const readCounter = (value: Value): { packets: bigint; bytes: bigint } => ({
  packets: BigInt(value) >> 64n,
  bytes: BigInt.asUintN(64, BigInt(value)),
});

/** Words of a bound, or a value, of this width: one, two, or four. */
export const pieceWords = (bits: number): 1 | 2 | 4 => (bits <= 32 ? 1 : bits <= 64 ? 2 : 4);

/** Bytes of the same. */
export const boundBytes = (bits: number): 4 | 8 | 16 => (4 * pieceWords(bits)) as 4 | 8 | 16;

/** Words of an element's value; 0: it has none. */
export const valueWordsOf = ({ value }: Pick<SetShape, "value">): 0 | 1 | 2 | 4 =>
  value === null ? 0 : value === "verdict" ? 1 : pieceWords(value.bits);

/** Writes a value as its pieces stand in memory, the most significant first. @param width words, 0: nothing is written */
export function writeWords(words: Uint32Array, at: number, value: Value, width: number): void {
  if (width === 1) {
    words[at] = Number(value);
  } else if (width > 0) {
    const big = BigInt(value);
    const piece = (from: number, shift: bigint): void => {
      words[from] = Number((big >> shift) & WORD);
      words[from + 1] = Number((big >> (shift + 32n)) & WORD);
    };
    if (width === 4) piece(at, 64n);
    piece(at + width - 2, 0n);
  }
}

/** What `writeWords` wrote. */
export function readWords(words: Uint32Array, at: number, width: number): Value {
  if (width === 0) return 0;
  if (width === 1) return words[at];
  const piece = (from: number): bigint => (BigInt(words[from + 1]) << 32n) | BigInt(words[from]);
  return width === 2 ? piece(at) : (piece(at) << 64n) | piece(at + 2);
}

const WORD = 0xffff_ffffn;

/** A number or a bigint, as the width asks. */
export const asWidth = (value: bigint, bits: number): Value => (bits <= 32 ? Number(value) : value);

export const isSingle = ({ first, last }: KeyRange): boolean => first === last;
