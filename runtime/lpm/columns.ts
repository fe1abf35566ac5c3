/**
 * Prefixes as columns: what the builders of the look-up structures read. A table of a million routes is three typed
 * arrays and no objects.
 *
 *              word 0      word 1      word 2      word 3       length   value
 *   IPv4       0x0a000000                                       8        3          10.0.0.0/8 -> 3
 *   IPv6       0x20010db8  0x00000000  0x00000000  0x00000000   32       7          2001:db8::/32 -> 7
 *
 * Words are in host order, most significant first, so that bit d of an address (0 is the first on the wire) is bit
 * 31 - d % 32 of word d / 32 for both families.
 */
import { bitsOf, type Family, network } from "../net/ip.ts";
import type { LpmEntry } from "./lpm.ts";

export interface PrefixColumns {
  readonly family: Family;
  /** `wordsOf(family)` words a prefix. */
  readonly words: Uint32Array;
  /** Bits: 0 .. 32 or 0 .. 128. */
  readonly lengths: Uint8Array;
  /** 1 .. 2^31-1. */
  readonly values: Uint32Array;
}

/** Greatest value of an entry: it must fit an i32 that is never negative. */
export const MAX_VALUE = 0x7fffffff;

export const wordsOf = (family: Family): 1 | 4 => (family === 4 ? 1 : 4);

/** @throws RangeError when an entry is not of the family, has host bits, or a value outside 1 .. MAX_VALUE */
export function columnsOf(family: Family, entries: readonly LpmEntry[]): PrefixColumns {
  const width = wordsOf(family);
  const words = new Uint32Array(entries.length * width);
  const lengths = new Uint8Array(entries.length);
  const values = new Uint32Array(entries.length);
  entries.forEach((entry, i) => {
    checkEntry(family, entry);
    if (typeof entry.address === "number") words[i] = entry.address;
    else for (let w = 0; w < 4; w++) words[i * 4 + w] = Number((entry.address >> BigInt(96 - 32 * w)) & 0xffffffffn);
    lengths[i] = entry.length;
    values[i] = entry.value;
  });
  return { family, words, lengths, values };
}

function checkEntry(family: Family, { address, length, value }: LpmEntry): void {
  const good =
    typeof address === (family === 4 ? "number" : "bigint") &&
    Number.isInteger(length) &&
    length >= 0 &&
    length <= bitsOf(family) &&
    network(address, length) === address &&
    Number.isInteger(value) &&
    value >= 1 &&
    value <= MAX_VALUE;
  if (!good) throw new RangeError(`not an IPv${family} entry: address ${address}, length ${length}, value ${value}`);
}

/** Ordered by address, then by length: a prefix stands right before the ones inside it. The input itself when it is. */
export function sortColumns(columns: PrefixColumns): PrefixColumns {
  if (isSorted(columns)) return columns;
  const order = sortedOrder(columns);
  const width = wordsOf(columns.family);
  const words = new Uint32Array(columns.words.length);
  for (let i = 0; i < order.length; i++)
    for (let w = 0; w < width; w++) words[i * width + w] = columns.words[order[i] * width + w];
  const { lengths, values, family } = columns;
  return {
    family,
    words,
    lengths: Uint8Array.from(order, (from) => lengths[from]),
    values: Uint32Array.from(order, (from) => values[from]),
  };
}

function isSorted({ family, words, lengths }: PrefixColumns): boolean {
  const width = wordsOf(family);
  for (let i = 1; i < lengths.length; i++) {
    let w = 0;
    while (w < width && words[i * width + w] === words[(i - 1) * width + w]) w++;
    const before = w < width ? words[(i - 1) * width + w] : lengths[i - 1];
    const here = w < width ? words[i * width + w] : lengths[i];
    if (before > here) return false;
  }
  return true;
}

/** Least-significant-digit radix sort, a byte at a time: linear, where a comparison sort calls back 20 million times. */
function sortedOrder({ family, words, lengths }: PrefixColumns): Uint32Array {
  const width = wordsOf(family);
  let order = Uint32Array.from(lengths, (_, i) => i);
  let spare = new Uint32Array(order.length);
  const byDigit = (digit: (i: number) => number): void => {
    const next = new Uint32Array(257);
    for (let i = 0; i < order.length; i++) next[digit(i) + 1]++;
    for (let d = 0; d < 256; d++) next[d + 1] += next[d];
    for (let k = 0; k < order.length; k++) spare[next[digit(order[k])]++] = order[k];
    [order, spare] = [spare, order];
  };
  byDigit((i) => lengths[i]);
  for (let w = width - 1; w >= 0; w--)
    for (let shift = 0; shift < 32; shift += 8) byDigit((i) => (words[i * width + w] >>> shift) & 255);
  return order;
}
