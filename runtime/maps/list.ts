/**
 * list: keys of several fields with ranges, one element after the other; the first that holds the key decides.
 *
 *   structure   row [room], each      for each field first, last
 *               value [room]
 *
 * A look-up costs time in proportion to the elements, and so does a change (it looks for the key, and a row that goes is filled from behind,
 * in order).
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

const rowWords = ({ key }: Pick<SetShape, "key">): number =>
  key.reduce((sum, { bits }) => sum + 2 * pieceWords(bits), 0);
export const rowBytes = (set: Pick<SetShape, "key">): number => 4 * rowWords(set);

export const listOf = (set: SetShape, elements: readonly Element[]): Built => rowsOf(set, elements, elements.length);

function rowsOf(set: SetShape, elements: readonly Element[], room: number): Built {
  const [row, value] = [rowWords(set), valueWordsOf(set)];
  const words = new Uint32Array(room * (row + value));
  for (const [i, element] of elements.entries()) {
    writeRow(words, i * row, set, element.key);
    writeWords(words, room * row + i * value, element.value, value);
  }
  const count = elements.length;
  const [values, stride] = [4 * room * row, 4 * value];
  return { words, rows: count, room, count, values, stride, valueBytes: room * stride, columns: 0 };
}

function writeRow(words: Uint32Array, at: number, { key: fields }: SetShape, key: Key): void {
  let word = at;
  for (const [i, { first, last }] of key.entries()) {
    const size = pieceWords(fields[i].bits);
    writeWords(words, word, first, size);
    writeWords(words, word + size, last, size);
    word += 2 * size;
  }
}

/** A list in the image or heap that changes in place. */
export class ListStore implements MemoryStore {
  readonly #set: SetShape;
  readonly #record: MapRecord;
  readonly #row: number;
  readonly #value: number;
  /** A key as it stands in a row. */
  readonly #sought: Uint32Array;

  constructor(set: SetShape, record: MapRecord) {
    this.#set = set;
    this.#record = record;
    this.#row = rowWords(set);
    this.#value = valueWordsOf(set);
    this.#sought = new Uint32Array(this.#row);
  }

  get size(): number {
    return this.#record.get("rows");
  }

  get(key: Key): Value | undefined {
    const i = this.#find(key);
    return i < 0 ? undefined : readWords(this.#words, this.#valueAt(i), this.#value);
  }

  set(key: Key, value: Value): void {
    let i = this.#find(key);
    if (i < 0) {
      i = this.size;
      checkRoom(this.#set, i + 1);
      if (i === this.#record.get("room"))
        this.#record.publish(rowsOf(this.#set, [...this.entries()], Math.max(4, 2 * i)));
      writeRow(this.#words, this.#base + i * this.#row, this.#set, key);
      this.#count(i + 1);
    }
    writeWords(this.#words, this.#valueAt(i), value, this.#value);
  }

  delete(key: Key): boolean {
    const i = this.#find(key);
    if (i < 0) return false;
    const count = this.size;
    const [base, row] = [this.#base, this.#row];
    this.#words.copyWithin(base + i * row, base + (i + 1) * row, base + count * row);
    this.#words.copyWithin(this.#valueAt(i), this.#valueAt(i + 1), this.#valueAt(count));
    this.#count(count - 1);
    return true;
  }

  replace(elements: readonly Element[]): void {
    const byKey = new Map(
      elements.map((element) => [element.key.map(({ first, last }) => `${first}-${last}`).join(), element]),
    );
    checkRoom(this.#set, byKey.size);
    this.#record.publish(listOf(this.#set, [...byKey.values()]));
  }

  *entries(): Iterable<Element> {
    for (let i = 0; i < this.size; i++)
      yield { key: this.#keyAt(i), value: readWords(this.#words, this.#valueAt(i), this.#value) };
  }

  release(): void {
    this.#record.release();
  }

  get #words(): Uint32Array {
    return this.#record.memory.words;
  }

  get #base(): number {
    return this.#record.get("structure") >>> 2;
  }

  #valueAt(i: number): number {
    return (this.#record.get("values") >>> 2) + i * this.#value;
  }

  #count(count: number): void {
    this.#record.set("rows", count);
    this.#record.set("count", count);
  }

  /** Place of the row with exactly this key, from 0; -1: there is none. */
  #find(key: Key): number {
    const [words, sought, count] = [this.#words, this.#sought, this.size];
    writeRow(sought, 0, this.#set, key);
    for (let i = 0, at = this.#base; i < count; i++, at += this.#row) {
      let k = 0;
      while (k < sought.length && words[at + k] === sought[k]) k++;
      if (k === sought.length) return i;
    }
    return -1;
  }

  #keyAt(i: number): Key {
    let word = this.#base + i * this.#row;
    return this.#set.key.map(({ bits }) => {
      const size = pieceWords(bits);
      const range = { first: readWords(this.#words, word, size), last: readWords(this.#words, word + size, size) };
      word += 2 * size;
      return range;
    });
  }
}
