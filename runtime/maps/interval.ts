/**
 * interval: ranges of one field that do not overlap, in ascending order, searched by halves.
 *
 *   structure   first [room]      bounds; room is a power of two, so that the search needs no look at the end
 *               last [room]
 *               value [room]
 *
 * `room - 1` ranges fit, and the MAP record's `half` is room / 2. A range that comes or goes moves those behind it by one place: a
 * copy inside memory of at most 3 * room bounds, so a change costs time in proportion to the ranges behind it, if a small one (100,000
 * ranges of IPv4: some 25 us); of many changes at once the structure is built anew, once.
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

/** Disjoint ranges in ascending order, each with the number of the element that decides there. */
export interface Interval {
  readonly first: bigint;
  readonly last: bigint;
  readonly element: number;
}

/** Of elements that may overlap the first one decides. */
export function disjoint(elements: readonly Pick<Element, "key">[]): Interval[] {
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
const paddedRows = (count: number): number => 2 ** Math.ceil(Math.log2(count + 1));

/** @param elements of those that overlap the first one decides */
export function intervalsOf(set: SetShape, elements: readonly Element[]): Built {
  const ranges = disjoint(elements).map(({ first, last, element }) => ({
    key: [{ first, last }],
    value: elements[element].value,
  }));
  return rangesOf(set, ranges, paddedRows(ranges.length));
}

/** @param ranges disjoint, ascending */
function rangesOf(set: SetShape, ranges: readonly Element[], room: number): Built {
  const rows = new Ranges(set);
  const words = new Uint32Array(rows.words(room));
  rows.look(words, 0, room);
  for (const [i, { key, value }] of ranges.entries()) rows.put(i, key[0].first, key[0].last, value);
  const { length } = ranges;
  const [values, valueBytes] = [rows.values(room) * 4, room * rows.stride];
  return { words, rows: length, room, count: length, values, stride: rows.stride, valueBytes, columns: 0 };
}

/** A look at the three arrays. */
class Ranges {
  readonly #bound: number;
  readonly #value: number;
  #words: Uint32Array = new Uint32Array(0);
  #base = 0;
  #room = 0;

  constructor(set: SetShape) {
    this.#bound = pieceWords(set.key[0].bits);
    this.#value = valueWordsOf(set);
  }

  get stride(): number {
    return 4 * this.#value;
  }

  words(room: number): number {
    return room * (2 * this.#bound + this.#value);
  }

  values(room: number): number {
    return 2 * room * this.#bound;
  }

  look(words: Uint32Array, base: number, room: number): void {
    this.#words = words;
    this.#base = base;
    this.#room = room;
  }

  first = (i: number): Value => readWords(this.#words, this.#base + i * this.#bound, this.#bound);
  last = (i: number): Value => readWords(this.#words, this.#base + (this.#room + i) * this.#bound, this.#bound);
  value = (i: number): Value => readWords(this.#words, this.#valueAt(i), this.#value);

  #valueAt = (i: number): number => this.#base + this.values(this.#room) + i * this.#value;

  put(i: number, first: Value, last: Value, value: Value): void {
    this.setValue(i, value);
    writeWords(this.#words, this.#base + (this.#room + i) * this.#bound, last, this.#bound);
    writeWords(this.#words, this.#base + i * this.#bound, first, this.#bound);
  }

  setValue(i: number, value: Value): void {
    writeWords(this.#words, this.#valueAt(i), value, this.#value);
  }

  /** Moves ranges [from, to) by one place. */
  shift(from: number, to: number, by: 1 | -1): void {
    const move = (base: number, size: number): void => {
      this.#words.copyWithin(base + (from + by) * size, base + from * size, base + to * size);
    };
    move(this.#base, this.#bound);
    move(this.#base + this.#room * this.#bound, this.#bound);
    move(this.#valueAt(0), this.#value);
  }
}

/** Ranges in the image or heap that change in place. */
export class IntervalStore implements MemoryStore {
  readonly #set: SetShape;
  readonly #record: MapRecord;
  readonly #ranges: Ranges;
  readonly #describe: (key: Key) => string;

  constructor(set: SetShape, record: MapRecord, describe: (key: Key) => string) {
    this.#set = set;
    this.#record = record;
    this.#ranges = new Ranges(set);
    this.#describe = describe;
  }

  get size(): number {
    return this.#record.get("rows");
  }

  get([range]: Key): Value | undefined {
    this.#look();
    const i = this.#startingUpTo(range.first) - 1;
    return this.#isAt(i, range) ? this.#ranges.value(i) : undefined;
  }

  set(key: Key, value: Value): void {
    this.#look();
    const [range] = key;
    const at = this.#startingUpTo(range.first);
    if (this.#isAt(at - 1, range)) {
      this.#ranges.setValue(at - 1, value);
      return;
    }
    if (at > 0 && this.#ranges.last(at - 1) >= range.first) this.#overlap(key, at - 1);
    if (at < this.size && this.#ranges.first(at) <= range.last) this.#overlap(key, at);
    const count = this.size + 1;
    checkRoom(this.#set, count);
    if (count >= this.#record.get("room")) {
      this.#record.publish(rangesOf(this.#set, [...this.entries()], 2 * this.#record.get("room")));
      this.#look();
    }
    this.#ranges.shift(at, count - 1, 1);
    this.#ranges.put(at, range.first, range.last, value);
    this.#count(count);
  }

  delete([range]: Key): boolean {
    this.#look();
    const i = this.#startingUpTo(range.first) - 1;
    if (!this.#isAt(i, range)) return false;
    this.#ranges.shift(i + 1, this.size, -1);
    this.#count(this.size - 1);
    return true;
  }

  replace(elements: readonly Element[]): void {
    this.#become([], elements);
  }

  update(elements: readonly Element[]): void {
    this.#become([...this.entries()], elements);
  }

  *entries(): Iterable<Element> {
    for (let i = 0; i < this.size; i++) {
      this.#look();
      yield { key: [{ first: this.#ranges.first(i), last: this.#ranges.last(i) }], value: this.#ranges.value(i) };
    }
  }

  release(): void {
    this.#record.release();
  }

  /** Old and new elements, of those with the same range the last one. */
  #become(old: readonly Element[], elements: readonly Element[]): void {
    // toSorted is stable: of equal ranges the later stays behind the earlier, and is kept.
    const sorted = [...old, ...elements].toSorted(({ key: [a] }, { key: [b] }) =>
      a.first < b.first ? -1 : a.first > b.first ? 1 : 0,
    );
    const kept: Element[] = [];
    for (const element of sorted) {
      const before = kept.at(-1);
      const [range] = element.key;
      if (before === undefined || before.key[0].last < range.first) kept.push(element);
      else if (before.key[0].first === range.first && before.key[0].last === range.last)
        kept[kept.length - 1] = element;
      else
        throw new RangeError(
          `${this.#set.name}: ${this.#describe(element.key)} overlaps ${this.#describe(before.key)}`,
        );
    }
    checkRoom(this.#set, kept.length);
    this.#record.publish(rangesOf(this.#set, kept, paddedRows(kept.length)));
  }

  #look(): void {
    this.#ranges.look(this.#record.memory.words, this.#record.get("structure") >>> 2, this.#record.get("room"));
  }

  #count(count: number): void {
    this.#record.set("rows", count);
    this.#record.set("count", count);
  }

  /** How many ranges start at or before a value. */
  #startingUpTo(value: Value): number {
    let [low, high] = [0, this.size];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ranges.first(middle) <= value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #isAt = (i: number, { first, last }: Key[number]): boolean =>
    i >= 0 && this.#ranges.first(i) === first && this.#ranges.last(i) === last;

  #overlap(key: Key, i: number): never {
    const other = [{ first: this.#ranges.first(i), last: this.#ranges.last(i) }];
    throw new RangeError(`${this.#set.name}: ${this.#describe(key)} overlaps ${this.#describe(other)}`);
  }
}
