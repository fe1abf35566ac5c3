/**
 * array: key 0 .. size - 1 is the place of a value, and all are there, 0 at first (BPF_MAP_TYPE_ARRAY).
 *
 *   structure   value [size]
 *
 * Of a `devmap` 0 is no device: such an element is not there.
 */
import { type Element, type Key, readWords, type SetShape, type Value, valueWordsOf, writeWords } from "./shape.ts";
import type { Built, MapRecord, MemoryStore } from "./store.ts";

export function arrayOf(set: SetShape, elements: readonly Element[]): Built {
  const rows = set.size ?? 0;
  const width = valueWordsOf(set);
  const words = new Uint32Array(rows * width);
  for (const { key, value } of elements) writeWords(words, Number(key[0].first) * width, value, width);
  const stride = 4 * width;
  return { words, rows, room: rows, count: rows, values: 0, stride, valueBytes: rows * stride, columns: 0 };
}

/** Holds the element that a key of `devmap` names a value? */
const isThere = ({ storage }: Pick<SetShape, "storage">, value: Value): boolean => storage !== "devmap" || value !== 0;

/** Values in the image that change in place. */
export class ArrayStore implements MemoryStore {
  readonly #set: SetShape;
  readonly #record: MapRecord;
  readonly #width: number;

  constructor(set: SetShape, record: MapRecord) {
    this.#set = set;
    this.#record = record;
    this.#width = valueWordsOf(set);
  }

  get size(): number {
    if (this.#set.storage !== "devmap") return this.#record.get("rows");
    let size = 0;
    for (const _ of this.entries()) size++;
    return size;
  }

  get(key: Key): Value | undefined {
    const value = this.#read(Number(key[0].first));
    return isThere(this.#set, value) ? value : undefined;
  }

  set(key: Key, value: Value): void {
    writeWords(this.#record.memory.words, this.#at(Number(key[0].first)), value, this.#width);
  }

  delete(key: Key): boolean {
    if (this.#set.storage !== "devmap")
      throw new RangeError(`${this.#set.name} is an array: its elements stay, their values change`);
    const found = this.get(key) !== undefined;
    this.set(key, 0);
    return found;
  }

  replace(elements: readonly Element[]): void {
    const from = this.#at(0);
    this.#record.memory.words.fill(0, from, from + this.#record.get("rows") * this.#width);
    for (const { key, value } of elements) this.set(key, value);
  }

  *entries(): Iterable<Element> {
    for (let i = 0; i < this.#record.get("rows"); i++) {
      const value = this.#read(i);
      if (isThere(this.#set, value)) yield { key: [{ first: i, last: i }], value };
    }
  }

  /** It changes where it stands. */
  release(): void {}

  #at = (i: number): number => (this.#record.get("values") >>> 2) + i * this.#width;
  #read = (i: number): Value => readWords(this.#record.memory.words, this.#at(i), this.#width);
}
