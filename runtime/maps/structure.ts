/**
 * The structure that a set or map is searched by, and its bytes in the image. A search gives the number of the first element
 * that holds the key, plus 1; 0: none does. What an element gives (a value, a decision) stands in an array of its own.
 *
 *   compares   few elements: the tests are code, nothing is in the image
 *   interval   one field, sorted disjoint ranges: binary search
 *                  first [2^k]       padded, so that the search needs no look at the end
 *                  last [count]
 *                  element [count]   u32, number plus 1
 *   hash       keys without ranges, of any fields: open addressing
 *                  slots, each       u32 number plus 1 (0: free), then the key's words
 *   list       keys of several fields with ranges: one element after the other
 *                  rows, each        for each field first, last
 *   array      key 0 .. size - 1 is the element's number itself, plus 1
 *
 * Bounds of ranges stand as the pieces of the field (4, 8, or 8 and 8 bytes), keys of hashes as words of 32 bits, least significant
 * first, one field after the other.
 */

/** A number to 32 bits, a bigint above. */
export type Value = number | bigint;
/** Inclusive; equal for a single value. */
export interface KeyRange {
  readonly first: Value;
  readonly last: Value;
}
/** For each field of the key a range. */
export interface Keyed {
  readonly key: readonly KeyRange[];
}

/** What decides about the structure of a set or map (SetDef of the checked model is one). */
export interface SetShape {
  readonly key: readonly { readonly bits: number }[];
  /** null: stands between braces, and does not change. */
  readonly name: string | null;
  readonly interval: boolean;
  readonly storage: string | null;
  readonly size: number | null;
}

export const SET_KINDS = ["compares", "interval", "hash", "list", "array"] as const;
export type SetKind = (typeof SET_KINDS)[number];

/** More elements than these are not compared one by one. */
export const MOST_COMPARES = 8;

export interface SetStructure {
  readonly kind: SetKind;
  /** Why this one, for readers of the plan. */
  readonly why: string;
  /** Rows of `interval` and `list`, slots of `hash`, length of `array`. */
  readonly rows: number;
  readonly bytes: Uint8Array;
}

/** @param elements the first one that holds a key decides; of an `lpm_trie` they come in the order of lpmOrder */
export function setStructure(set: SetShape, elements: readonly Keyed[]): SetStructure {
  const { key } = set;
  const nothing = { rows: elements.length, bytes: new Uint8Array(0) };
  if (set.name !== null || isArray(set.storage)) return changing(set, elements);
  const count = `${elements.length} element${elements.length === 1 ? "" : "s"}`;
  if (elements.length <= MOST_COMPARES) return { ...nothing, kind: "compares", why: count };
  const single = elements.every((element) => element.key.every(({ first, last }) => first === last));
  if (single) return { ...hashOf(set, elements), kind: "hash", why: `${count}, no ranges` };
  if (key.length === 1)
    return { ...intervalsOf(set, elements), kind: "interval", why: `${count}, ranges of one field` };
  return { ...listOf(set, elements), kind: "list", why: `${count}, ranges of ${key.length} fields` };
}

/** A named set changes while packets flow, so what it is searched by follows from its declaration alone. */
function changing(set: SetShape, elements: readonly Keyed[]): SetStructure {
  const why = "named, it may change";
  switch (kindOfNamed(set)) {
    case "array":
      return { kind: "array", why: "the key is an index", rows: set.size ?? 0, bytes: new Uint8Array(0) };
    case "interval":
      return { ...intervalsOf(set, elements), kind: "interval", why };
    case "list":
      return { ...listOf(set, elements), kind: "list", why };
    case "hash":
      return { ...hashOf(set, elements), kind: "hash", why };
  }
}

/** BPF_MAP_TYPE_ARRAY and its like: all elements are there. */
export const isArray = (storage: string | null): boolean =>
  storage === "array" || storage === "devmap" || storage === "counters";

/** What a named set or map is searched by. */
export function kindOfNamed({ storage, interval, key }: Omit<SetShape, "name" | "size">): Exclude<SetKind, "compares"> {
  if (isArray(storage)) return "array";
  if (!interval && storage !== "lpm_trie") return "hash";
  return key.length === 1 ? "interval" : "list";
}

/** Longest prefix first: where the first element that holds a key decides, it is the longest. */
export const lpmOrder = <T extends Keyed>(elements: readonly T[]): T[] =>
  elements.toSorted(({ key: [a] }, { key: [b] }) => {
    const [one, other] = [BigInt(a.last) - BigInt(a.first), BigInt(b.last) - BigInt(b.first)];
    return one < other ? -1 : one > other ? 1 : 0;
  });

/** Bytes of a bound, or a value, of this width. */
export const boundBytes = (bits: number): 4 | 8 | 16 => (bits <= 32 ? 4 : bits <= 64 ? 8 : 16);
export const wordCount = (bits: number): number => Math.max(1, Math.ceil(bits / 32));

/** Writes a value as its pieces stand in memory, most significant piece first. */
export function writeValue(view: DataView, at: number, value: Value, bits: number): void {
  if (bits <= 32) view.setUint32(at, Number(value), true);
  else if (bits <= 64) view.setBigUint64(at, BigInt(value), true);
  else {
    view.setBigUint64(at, BigInt(value) >> 64n, true);
    view.setBigUint64(at + 8, BigInt.asUintN(64, BigInt(value)), true);
  }
}

interface Built {
  readonly rows: number;
  readonly bytes: Uint8Array;
}

// ---- interval

/** Disjoint ranges in ascending order, each with the number of the element that decides there. */
export interface Interval {
  readonly first: bigint;
  readonly last: bigint;
  readonly element: number;
}

/** Of elements that may overlap the first one decides. */
export function disjoint(elements: readonly Keyed[]): Interval[] {
  const ranges = elements.map(({ key: [{ first, last }] }, element) => ({
    first: BigInt(first),
    last: BigInt(last),
    element,
  }));
  const starts = ranges.toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const points = [...new Set(ranges.flatMap(({ first, last }) => [first, last + 1n]))].sort((a, b) => (a < b ? -1 : 1));
  const open = new Set<Interval>();
  const out: Interval[] = [];
  let next = 0;
  for (const [i, first] of points.entries()) {
    while (next < starts.length && starts[next].first === first) open.add(starts[next++]);
    for (const range of open) if (range.last < first) open.delete(range);
    if (open.size === 0) continue;
    const element = Math.min(...[...open].map((range) => range.element));
    const last = points[i + 1] - 1n;
    const before = out.at(-1);
    if (before !== undefined && before.element === element && before.last + 1n === first)
      out[out.length - 1] = { ...before, last };
    else out.push({ first, last, element });
  }
  return out;
}

/** Of `count` ranges: entries of `first`. */
export const paddedRows = (count: number): number => 2 ** Math.ceil(Math.log2(count + 1));

function intervalsOf(set: SetShape, elements: readonly Keyed[]): Built {
  const [{ bits }] = set.key;
  const size = boundBytes(bits);
  const intervals = disjoint(elements);
  const padded = paddedRows(intervals.length) * size;
  const bytes = new Uint8Array(padded + intervals.length * (size + 4));
  const view = new DataView(bytes.buffer);
  for (const [i, { first, last, element }] of intervals.entries()) {
    writeValue(view, i * size, bits <= 32 ? Number(first) : first, bits);
    writeValue(view, padded + i * size, bits <= 32 ? Number(last) : last, bits);
    view.setUint32(padded + intervals.length * size + i * 4, element + 1, true);
  }
  return { rows: intervals.length, bytes };
}

// ---- hash

/** Knuth's multiplicative constant, 2^32 / golden ratio. */
export const SET_HASH_FACTOR = 0x9e3779b1;
export const SET_HASH_ROTATE = 5;

/** The program computes the same. */
export function setHash(words: readonly number[]): number {
  let hash = 0;
  for (const word of words)
    hash = Math.imul(((hash << SET_HASH_ROTATE) | (hash >>> (32 - SET_HASH_ROTATE))) ^ word, SET_HASH_FACTOR);
  return (hash ^ (hash >>> 16)) >>> 0;
}

export const slotBytes = (set: Pick<SetShape, "key">): number =>
  4 * (1 + set.key.reduce((sum, { bits }) => sum + wordCount(bits), 0));

function keyWords(set: Pick<SetShape, "key">, key: readonly KeyRange[]): number[] {
  return set.key.flatMap(({ bits }, i) =>
    Array.from({ length: wordCount(bits) }, (_, k) => Number((BigInt(key[i].first) >> BigInt(32 * k)) & 0xffff_ffffn)),
  );
}

/** At most half of the slots are taken, so that a search ends soon. */
function hashOf(set: SetShape, elements: readonly Keyed[]): Built {
  const rows = 2 ** Math.ceil(Math.log2(2 * elements.length + 1));
  const size = slotBytes(set);
  const bytes = new Uint8Array(rows * size);
  const view = new DataView(bytes.buffer);
  for (const [number, { key }] of elements.entries()) {
    const words = keyWords(set, key);
    const same = (at: number) => words.every((word, i) => view.getUint32(at + 4 + 4 * i, true) === word);
    let slot = setHash(words) & (rows - 1);
    while (view.getUint32(slot * size, true) !== 0 && !same(slot * size)) slot = (slot + 1) & (rows - 1);
    if (view.getUint32(slot * size, true) !== 0) continue;
    view.setUint32(slot * size, number + 1, true);
    for (const [i, word] of words.entries()) view.setUint32(slot * size + 4 + 4 * i, word, true);
  }
  return { rows, bytes };
}

// ---- list

export const rowBytes = (set: Pick<SetShape, "key">): number =>
  set.key.reduce((sum, { bits }) => sum + 2 * boundBytes(bits), 0);

function listOf(set: SetShape, elements: readonly Keyed[]): Built {
  const size = rowBytes(set);
  const bytes = new Uint8Array(elements.length * size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { key } of elements)
    for (const [i, { bits }] of set.key.entries()) {
      writeValue(view, at, key[i].first, bits);
      writeValue(view, at + boundBytes(bits), key[i].last, bits);
      at += 2 * boundBytes(bits);
    }
  return { rows: elements.length, bytes };
}
