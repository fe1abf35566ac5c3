/**
 * hash: keys without ranges, of any fields. Open addressing: a key stands in the first free slot from its hash on, wrapping.
 *
 *   structure   slots [rows], rows a power of two, each
 *                  +0        u32 1, or 0: the slot is free, and ends a search
 *                  +4        the key: words of 32 bits, of each field the least significant first, one field after the other
 *                  behind    the value
 *
 * At most half of the slots are taken, so that a search ends soon; a map that grows beyond moves to twice the slots. A slot that
 * is emptied is filled from behind (Knuth, TAOCP 6.4, algorithm R), so there are no marks of what was, and a search is never longer
 * than the elements that are there make it.
 *
 *   10.0.0.7 in 8 slots: hash 0x...2, slot 2 taken by another, slot 3 free     slot 3 = { 1, 0x0a000007, value }
 */
import {
  type Element,
  type Key,
  pieceWords,
  readWords,
  type SetShape,
  type Value,
  valueWordsOf,
  writeWords,
} from "./shape.ts";
import { type Built, checkRoom, type MapRecord, type MemoryStore } from "./store.ts";

/** Knuth's multiplicative constant, 2^32 / golden ratio. */
export const SET_HASH_FACTOR = 0x9e3779b1;
export const SET_HASH_ROTATE = 5;

/** The program computes the same. */
function setHash(words: ArrayLike<number>): number {
  let hash = 0;
  for (let i = 0; i < words.length; i++)
    hash = Math.imul(((hash << SET_HASH_ROTATE) | (hash >>> (32 - SET_HASH_ROTATE))) ^ words[i], SET_HASH_FACTOR);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Words of a field in a slot: as many as its width needs. */
const fieldWords = (bits: number): number => Math.max(1, Math.ceil(bits / 32));
const keyWordsOf = ({ key }: Pick<SetShape, "key">): number => key.reduce((sum, { bits }) => sum + fieldWords(bits), 0);

export const slotBytes = (set: Pick<SetShape, "key" | "value">): number =>
  4 * (1 + keyWordsOf(set) + valueWordsOf(set));

export function hashOf(set: SetShape, elements: readonly Element[]): Built {
  const rows = rowsFor(elements.length);
  const slots = new Slots(set);
  const words = new Uint32Array((rows * slotBytes(set)) / 4);
  let count = 0;
  for (const { key, value } of elements) {
    slots.aim(words, 0, rows, key);
    if (slots.isTaken) continue;
    slots.put(value);
    count++;
  }
  return built(set, words, rows, count);
}

/** Slots for so many elements. */
const rowsFor = (elements: number): number => 2 ** Math.ceil(Math.log2(2 * elements + 1));

function built(set: SetShape, words: Uint32Array, rows: number, count: number): Built {
  const [stride, values] = [slotBytes(set), 4 * (1 + keyWordsOf(set))];
  return { words, rows, room: 0, count, values, stride, valueBytes: rows * stride - values, columns: 0 };
}

/** A look at slots in words; `aim` goes to the slot that holds a key, or the one where it would stand. */
class Slots {
  readonly key: Uint32Array;
  readonly #set: SetShape;
  readonly #size: number;
  readonly #valueWords: number;
  #words: Uint32Array = new Uint32Array(0);
  #at = 0;

  constructor(set: SetShape) {
    this.#set = set;
    this.key = new Uint32Array(keyWordsOf(set));
    this.#size = slotBytes(set) / 4;
    this.#valueWords = valueWordsOf(set);
  }

  /** @param base word of slot 0 */
  aim(words: Uint32Array, base: number, rows: number, key: Key): void {
    this.#setKey(key);
    this.#seek(words, base, rows);
  }

  #setKey(key: Key): void {
    let word = 0;
    for (let i = 0; i < key.length; i++) {
      const { first } = key[i];
      if (typeof first === "number") this.key[word++] = first;
      else
        for (let left = fieldWords(this.#set.key[i].bits), rest = first; left > 0; left--, rest >>= 32n)
          this.key[word++] = Number(rest & 0xffff_ffffn);
    }
  }

  #seek(words: Uint32Array, base: number, rows: number): void {
    this.#words = words;
    const mask = rows - 1;
    let slot = setHash(this.key) & mask;
    while (words[base + slot * this.#size] !== 0 && !this.#holds(words, base + slot * this.#size + 1))
      slot = (slot + 1) & mask;
    this.#at = base + slot * this.#size;
  }

  #holds(words: Uint32Array, at: number): boolean {
    const { key } = this;
    for (let i = 0; i < key.length; i++) if (words[at + i] !== key[i]) return false;
    return true;
  }

  get isTaken(): boolean {
    return this.#words[this.#at] !== 0;
  }

  get value(): Value {
    return readWords(this.#words, this.#at + 1 + this.key.length, this.#valueWords);
  }

  /** The word that says that the slot is taken comes last. */
  put(value: Value): void {
    writeWords(this.#words, this.#at + 1 + this.key.length, value, this.#valueWords);
    this.#words.set(this.key, this.#at + 1);
    this.#words[this.#at] = 1;
  }

  /** Empties the slot; those behind it that may stand in its place move up. */
  clear(base: number, rows: number): void {
    const words = this.#words;
    const size = this.#size;
    const mask = rows - 1;
    let gap = (this.#at - base) / size;
    for (let slot = (gap + 1) & mask; words[base + slot * size] !== 0; slot = (slot + 1) & mask) {
      const at = base + slot * size;
      const home = setHash(words.subarray(at + 1, at + 1 + this.key.length)) & mask;
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      words.copyWithin(base + gap * size, at, at + size);
      gap = slot;
    }
    words[base + gap * size] = 0;
  }

  /** The same slots in another number of them. */
  spread(words: Uint32Array, base: number, rows: number, into: Uint32Array, intoRows: number): void {
    for (let at = base; at < base + rows * this.#size; at += this.#size) {
      if (words[at] === 0) continue;
      this.key.set(words.subarray(at + 1, at + 1 + this.key.length));
      this.#seek(into, 0, intoRows);
      into.set(words.subarray(at, at + this.#size), this.#at);
    }
  }

  *entries(words: Uint32Array, base: number, rows: number): Iterable<Element> {
    for (let at = base; at < base + rows * this.#size; at += this.#size)
      if (words[at] !== 0)
        yield { key: this.#keyAt(words, at + 1), value: readWords(words, at + 1 + this.key.length, this.#valueWords) };
  }

  #keyAt(words: Uint32Array, at: number): Key {
    let word = at;
    return this.#set.key.map(({ bits }) => {
      let value: Value = words[word++];
      for (let k = 1; k < fieldWords(bits); k++) value = BigInt(value) | (BigInt(words[word++]) << BigInt(32 * k));
      if (pieceWords(bits) > 1) value = BigInt(value);
      return { first: value, last: value };
    });
  }
}

/** A hash in the image or heap that changes in place. */
export class HashStore implements MemoryStore {
  readonly #set: SetShape;
  readonly #record: MapRecord;
  readonly #slots: Slots;

  constructor(set: SetShape, record: MapRecord) {
    this.#set = set;
    this.#record = record;
    this.#slots = new Slots(set);
  }

  get size(): number {
    return this.#record.get("count");
  }

  get(key: Key): Value | undefined {
    this.#aim(key);
    return this.#slots.isTaken ? this.#slots.value : undefined;
  }

  set(key: Key, value: Value): void {
    this.#aim(key);
    if (!this.#slots.isTaken) {
      const count = this.size + 1;
      checkRoom(this.#set, count);
      if (2 * count > this.#record.get("rows")) {
        this.#grow();
        this.#aim(key);
      }
      this.#record.set("count", count);
    }
    this.#slots.put(value);
  }

  delete(key: Key): boolean {
    this.#aim(key);
    if (!this.#slots.isTaken) return false;
    this.#slots.clear(this.#base, this.#record.get("rows"));
    this.#record.set("count", this.size - 1);
    return true;
  }

  replace(elements: readonly Element[]): void {
    const all = hashOf(this.#set, elements.toReversed()); // of equal keys the last one counts
    checkRoom(this.#set, all.count);
    this.#record.publish(all);
  }

  entries(): Iterable<Element> {
    return this.#slots.entries(this.#record.memory.words, this.#base, this.#record.get("rows"));
  }

  release(): void {
    this.#record.release();
  }

  get #base(): number {
    return this.#record.get("structure") >>> 2;
  }

  #aim(key: Key): void {
    this.#slots.aim(this.#record.memory.words, this.#base, this.#record.get("rows"), key);
  }

  #grow(): void {
    const before = this.#record.get("rows");
    const rows = before * 2;
    const words = new Uint32Array((rows * slotBytes(this.#set)) / 4);
    this.#slots.spread(this.#record.memory.words, this.#base, before, words, rows);
    this.#record.publish(built(this.#set, words, rows, this.size));
  }
}
