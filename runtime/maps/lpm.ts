/**
 * lpm: prefixes of one field, of which the longest that holds a key decides (BPF_MAP_TYPE_LPM_TRIE).
 *
 *   structure   `blocks` (runtime/lpm/blocks.ts): what it gives for a key is the place of a value, 0: no prefix holds the key.
 *               Keys of up to 32 bits stand at the top of 32 (a port in the upper half), others at the top of 128.
 *   values      value [room]: each different value once, so that prefixes which say the same share blocks (counters: one each)
 *   columns     for the host alone, as compiled; 0 once the host has changed the map
 *                  key [count]       one word, or four, the most significant first
 *                  place [count]     u32
 *                  length [count]    u8, bits of the field
 *
 * A change mends the blocks in place (runtime/lpm/blocks-update.ts), from the bottom up; the store into the root makes it seen. The
 * host's side is a trie of the prefixes, made of the columns when the map is first asked; when it is first changed the blocks are
 * built anew in a form that can change.
 */

import { COUNTER_TYPE } from "../hooks.ts";
import { buildBlocks } from "../lpm/blocks.ts";
import type { PrefixColumns } from "../lpm/columns.ts";
import { PrefixTrie } from "../lpm/prefix-trie.ts";
import { key6, PrefixTrie6 } from "../lpm/prefix-trie6.ts";
import { UpdatableTable } from "../lpm/table.ts";
import type { Node, Trie } from "../lpm/trie.ts";
import type { Family } from "../net/ip.ts";
import {
  type Element,
  type Key,
  type KeyRange,
  readWords,
  type SetShape,
  type Value,
  valueWordsOf,
  writeWords,
} from "./shape.ts";
import { type Built, checkRoom, type MapRecord, type MemoryStore } from "./store.ts";

/** Which of the look-ups is asked for keys of this width. */
export const lpmFamily = (bits: number): Family => (bits <= 32 ? 4 : 6);
const keyWords = (bits: number): 1 | 4 => (bits <= 32 ? 1 : 4);

/** Counters are one for each element; other values are shared. */
const isCounted = ({ value }: SetShape): boolean =>
  typeof value === "object" && value !== null && "type" in value && value.type === COUNTER_TYPE;

/** A number of 32 bits, or four words: a key at the top of them. */
type Address = number | Uint32Array;

const addressOf = (value: Value, bits: number): Address =>
  bits <= 32 ? (Number(value) << (32 - bits)) >>> 0 : key6(BigInt(value) << BigInt(128 - bits));

/** @param range a prefix */
function lengthOf({ first, last }: KeyRange, bits: number): number {
  const host = bits <= 32 ? 32 - Math.clz32(Number(last) - Number(first)) : bitLength(BigInt(last) - BigInt(first));
  return bits - host;
}
const bitLength = (value: bigint): number => (value === 0n ? 0 : value.toString(2).length);

/** The range of a prefix whose key stands in words. */
function rangeOf(words: Uint32Array, at: number, length: number, bits: number): KeyRange {
  if (bits <= 32) {
    const first = bits === 32 ? words[at] : words[at] >>> (32 - bits);
    return { first, last: first + 2 ** (bits - length) - 1 };
  }
  const whole = words.subarray(at, at + 4).reduce((value, word) => (value << 32n) | BigInt(word), 0n);
  const first = whole >> BigInt(128 - bits);
  return { first, last: first + (1n << BigInt(bits - length)) - 1n };
}

/** @param elements prefixes; of equal ones the first counts */
export function lpmOf(set: SetShape, elements: readonly Element[]): Built {
  const [{ bits }] = set.key;
  const distinct = new Map<string, Element>();
  for (const element of elements) {
    const [{ first, last }] = element.key;
    if (!distinct.has(`${first}-${last}`)) distinct.set(`${first}-${last}`, element);
  }
  const kept = [...distinct.values()];
  const places = new Places(set);
  const [width, count] = [keyWords(bits), kept.length];
  const columns: PrefixColumns = {
    family: lpmFamily(bits),
    words: new Uint32Array(count * width),
    lengths: Uint8Array.from(kept, ({ key }) => lengthOf(key[0], bits)),
    values: Uint32Array.from(kept, ({ value }) => places.take(value)),
  };
  for (const [i, { key }] of kept.entries()) {
    const address = addressOf(key[0].first, bits);
    columns.words.set(typeof address === "number" ? [address] : address, i * width);
  }
  return assemble(set, columns, places.values);
}

/** Blocks, values, columns, one behind the other. */
function assemble(set: SetShape, columns: PrefixColumns, values: readonly Value[]): Built {
  const { bytes } = buildBlocks(columns);
  const [width, count] = [valueWordsOf(set), columns.lengths.length];
  const room = Math.max(1, values.length);
  const valuesAt = Math.ceil(bytes.length / 64) * 16;
  const columnsAt = valuesAt + room * width;
  const words = new Uint32Array(columnsAt + columns.words.length + count + Math.ceil(count / 4));
  new Uint8Array(words.buffer).set(bytes);
  for (const [i, value] of values.entries()) writeWords(words, valuesAt + i * width, value, width);
  words.set(columns.words, columnsAt);
  words.set(columns.values, columnsAt + columns.words.length);
  new Uint8Array(words.buffer).set(columns.lengths, 4 * (columnsAt + columns.words.length + count));
  const stride = 4 * width;
  const at = { values: 4 * valuesAt, columns: 4 * columnsAt };
  return { words, rows: count, room, count, stride, valueBytes: room * stride, ...at };
}

/** Which places hold which values, and how many prefixes lead to each. */
class Places {
  /** By place, less 1. */
  readonly values: Value[] = [];
  readonly #isCounted: boolean;
  readonly #places = new Map<Value, number>();
  readonly #users: number[] = [];
  readonly #free: number[] = [];

  constructor(set: SetShape) {
    this.#isCounted = isCounted(set);
  }

  /** A use of the place of a value. */
  take(value: Value): number {
    const known = this.#isCounted ? undefined : this.#places.get(value);
    const place = known ?? this.#free.pop() ?? this.values.length + 1;
    if (known === undefined) {
      this.values[place - 1] = value;
      this.#users[place - 1] = 0;
      if (!this.#isCounted) this.#places.set(value, place);
    }
    this.#users[place - 1]++;
    return place;
  }

  release(place: number): void {
    if (--this.#users[place - 1] > 0) return;
    if (!this.#isCounted) this.#places.delete(this.values[place - 1]);
    this.#free.push(place);
  }
}

/** Prefixes in the image or heap that change in place. */
export class LpmStore implements MemoryStore {
  readonly #set: SetShape;
  readonly #record: MapRecord;
  readonly #bits: number;
  readonly #width: number;
  #trie: Trie<unknown> | null = null;
  #places: Places;
  /** What the program reads, once it has changed. */
  #table: UpdatableTable<unknown> | null = null;
  /** The values' own region, once they have changed. */
  #region: { readonly offset: number; readonly bytes: number } | null = null;

  constructor(set: SetShape, record: MapRecord) {
    this.#set = set;
    this.#record = record;
    this.#bits = set.key[0].bits;
    this.#width = valueWordsOf(set);
    this.#places = new Places(set);
  }

  get size(): number {
    return this.#record.get("count");
  }

  get([range]: Key): Value | undefined {
    const node = this.#find(range);
    return node === 0 ? undefined : this.#read(this.#prefixes.valueOf(node));
  }

  set([range]: Key, value: Value): void {
    const node = this.#find(range);
    if (node === 0) checkRoom(this.#set, this.size + 1);
    const before = node === 0 ? 0 : this.#prefixes.valueOf(node);
    const table = this.#changing();
    if (before !== 0 && isCounted(this.#set)) {
      this.#write(before, value);
      return;
    }
    const place = this.#places.take(value);
    try {
      this.#write(place, value);
      table.set(addressOf(range.first, this.#bits), lengthOf(range, this.#bits), place);
    } catch (error) {
      this.#places.release(place);
      throw error;
    }
    if (before !== 0) this.#places.release(before);
    else this.#count(1);
  }

  delete([range]: Key): boolean {
    const node = this.#find(range);
    if (node === 0) return false;
    const place = this.#prefixes.valueOf(node);
    this.#changing().delete(node);
    this.#places.release(place);
    this.#count(-1);
    return true;
  }

  replace(elements: readonly Element[]): void {
    const built = lpmOf(this.#set, elements.toReversed()); // of equal keys the last one counts
    checkRoom(this.#set, built.count);
    this.#record.publish(built);
    this.#leaveChanged();
  }

  update(elements: readonly Element[]): void {
    const isNew = ({ key: [range] }: Element): boolean => this.#find(range) === 0;
    const added = new Set(elements.filter(isNew).map(({ key: [{ first, last }] }) => `${first}-${last}`));
    checkRoom(this.#set, this.size + added.size);
    if (elements.length * MANY_TIMES < this.size) for (const { key, value } of elements) this.set(key, value);
    else this.replace([...this.entries(), ...elements]);
  }

  *entries(): Iterable<Element> {
    const trie = this.#prefixes;
    const nodes: Node[] = [];
    trie.forEach((node) => {
      nodes.push(node);
    });
    const words = new Uint32Array(4);
    for (const node of nodes) {
      trie.writeKey(node, words, 0);
      yield { key: [rangeOf(words, 0, trie.lengthOf(node), this.#bits)], value: this.#read(trie.valueOf(node)) };
    }
  }

  release(): void {
    this.#record.release();
    this.#leaveChanged();
  }

  /** Gives back the form that can change: the record says something else. */
  #leaveChanged(): void {
    this.#table?.dispose();
    if (this.#region !== null) this.#record.memory.free(this.#region.offset, this.#region.bytes);
    this.#trie = null;
    this.#table = null;
    this.#region = null;
  }

  #find = (range: KeyRange): Node =>
    this.#prefixes.find(addressOf(range.first, this.#bits), lengthOf(range, this.#bits));

  #count(by: number): void {
    this.#record.set("count", this.size + by);
    this.#record.set("rows", this.size);
  }

  /** Read from the columns when it is first needed. */
  get #prefixes(): Trie<unknown> {
    if (this.#trie !== null) return this.#trie;
    const trie: Trie<unknown> = this.#bits <= 32 ? new PrefixTrie() : new PrefixTrie6();
    const { words } = this.#record.memory;
    const [count, width] = [this.size, keyWords(this.#bits)];
    const keys = this.#record.get("columns") >>> 2;
    const places = keys + count * width;
    const lengths = new Uint8Array(words.buffer, 4 * (places + count), count);
    for (let i = 0; i < count; i++) {
      const at = keys + i * width;
      trie.set(width === 1 ? words[at] : words.slice(at, at + 4), lengths[i], words[places + i]);
    }
    this.#trie = trie;
    return trie;
  }

  /** The structure in a form that can change. The first time it is built beside that of the image. */
  #changing(): UpdatableTable<unknown> {
    if (this.#table !== null) return this.#table;
    const trie = this.#prefixes;
    this.#ownValues(trie);
    const places = this.#places;
    this.#table = new UpdatableTable<unknown>(this.#record.memory, trie, {
      get maxValue() {
        return Math.max(1, places.values.length);
      },
      widest: WIDEST,
      publish: (table) => this.#record.set("structure", table.image),
    });
    this.#record.set("columns", 0);
    this.#record.release();
    return this.#table;
  }

  /** The places as the prefixes have them, and the values in a region of their own. */
  #ownValues(trie: Trie<unknown>): void {
    const before = trie.size === 0 ? 0 : this.#record.get("room");
    const values = Array.from({ length: before }, (_, i) => this.#read(i + 1));
    this.#places = new Places(this.#set);
    // One after the other, so that each value has the place again that it had.
    const uses = new Uint32Array(before);
    trie.forEach((node) => {
      uses[trie.valueOf(node) - 1]++;
    });
    for (const [i, value] of values.entries()) for (let n = 0; n < uses[i]; n++) this.#places.take(value);
    this.#moveValues(Math.max(4, before));
  }

  #moveValues(room: number): void {
    const { memory } = this.#record;
    const [old, from] = [this.#region, this.#record.get("values") >>> 2];
    const bytes = Math.max(4, room * this.#width * 4);
    const offset = memory.allocate(bytes);
    const kept = Math.min(room, this.#record.get("room")) * this.#width;
    memory.words.copyWithin(offset >>> 2, from, from + kept);
    this.#region = { offset, bytes };
    this.#record.set("values", offset);
    this.#record.set("room", room);
    this.#record.set("valueBytes", room * this.#width * 4);
    if (old !== null) memory.free(old.offset, old.bytes);
  }

  #read = (place: number): Value =>
    readWords(this.#record.memory.words, (this.#record.get("values") >>> 2) + (place - 1) * this.#width, this.#width);

  #write(place: number, value: Value): void {
    if (place > this.#record.get("room")) this.#moveValues(2 * this.#record.get("room"));
    const at = (this.#record.get("values") >>> 2) + (place - 1) * this.#width;
    writeWords(this.#record.memory.words, at, value, this.#width);
  }
}

/** A change writes a block of each level anew: blocks of 4096 cells would cost ten times what these do. */
const WIDEST = { root: 16, below: 8 } as const;
/** Changes that are so many beside the prefixes that there are build the structure once. */
const MANY_TIMES = 4;
