/**
 * A named set or map of a loaded module, read and changed by the host between batches.
 *
 *   const blocklist = dataplane.map("blocklist");
 *   blocklist.add("203.0.113.0/24", "DROP");
 *
 * The elements are the host's; the program sees a structure (structure.ts) and values made of them. A change builds both anew beside
 * the old ones and publishes them by the stores to the MAP record; what was there before is used again. A change that is refused
 * leaves everything as it was. Costs time in proportion to the elements: many changes are better made by one `update`.
 */
import { MAP } from "../abi.ts";
import type { MapManifest } from "../manifest.ts";
import type { RecordPool } from "../routes/pool.ts";
import { type DeviceByName, formatRange, formatValue, parseRange, parseValue } from "./keys.ts";
import {
  boundBytes,
  isArray,
  type KeyRange,
  lpmOrder,
  paddedRows,
  setStructure,
  type Value,
  writeValue,
} from "./structure.ts";

/** Text in nft's words, or a number; of several fields, text with " . " between, or a list. */
export type MapKey = string | Value | readonly (string | Value)[];
/** Text, a number; of a verdict map one of its words: "accept", "DROP", "jump NAME". */
export type MapValue = string | Value;

/** Linear memory, as the dataplane gives it. */
export interface MapMemory {
  readonly memory: WebAssembly.Memory;
  allocate(bytes: number): number;
  setWord(offset: number, value: number): void;
}

interface Element {
  readonly key: readonly KeyRange[];
  readonly value: bigint | null;
}

export class DataplaneMap {
  readonly name: string;
  readonly #manifest: MapManifest;
  readonly #owner: MapMemory;
  readonly #pool: RecordPool;
  readonly #device: DeviceByName;
  /** By their keys as text. */
  #elements: Map<string, Element>;
  /** What this map has taken from the pool. */
  #place: { readonly offset: number; readonly bytes: number } | null = null;

  /** @param pool shared by all maps of a dataplane; use `Dataplane.map` */
  constructor(name: string, manifest: MapManifest, owner: MapMemory, pool: RecordPool, device: DeviceByName) {
    this.name = name;
    this.#manifest = manifest;
    this.#owner = owner;
    this.#pool = pool;
    this.#device = device;
    const read = ([first, last]: readonly [string, string], field: number): KeyRange =>
      manifest.key[field].bits <= 32
        ? { first: Number(first), last: Number(last) }
        : { first: BigInt(first), last: BigInt(last) };
    const elements = manifest.elements.map(
      ({ key, value }): Element => ({
        key: key.map(read),
        value: value === null ? null : BigInt(value),
      }),
    );
    this.#elements = new Map(elements.map((element) => [this.#text(element.key), element]));
  }

  /** Elements; of an array those that were given a value. */
  get size(): number {
    return this.#elements.size;
  }

  /**
   * Adds an element, or gives the one with this key another value.
   * @throws RangeError when key or value is malformed, overlaps another range, or the map is full; nothing has changed then
   */
  add(key: MapKey, value?: MapValue): void {
    this.update([[key, value]]);
  }

  /** Adds many at once. @throws RangeError as `add`; none was added then */
  update(elements: Iterable<readonly [MapKey, (MapValue | undefined)?]>): void {
    const next = new Map(this.#elements);
    for (const [key, value] of elements) {
      const element = { key: this.#parseKey(key), value: this.#parseValue(value) };
      next.set(this.#text(element.key), element);
    }
    this.#become(next);
  }

  /** All elements at once, the old ones gone. @throws RangeError as `add`; nothing has changed then */
  replace(elements: Iterable<readonly [MapKey, (MapValue | undefined)?]>): void {
    const next = new Map<string, Element>();
    for (const [key, value] of elements) {
      const element = { key: this.#parseKey(key), value: this.#parseValue(value) };
      next.set(this.#text(element.key), element);
    }
    this.#become(next);
  }

  /** @returns whether there was such an element @throws RangeError when the key is malformed, or of an array, whose keys stay */
  delete(key: MapKey): boolean {
    const text = this.#text(this.#parseKey(key));
    if (this.#isArray) throw new RangeError(`${this.name} is an array: its elements stay, their values change`);
    if (!this.#elements.has(text)) return false;
    const next = new Map(this.#elements);
    next.delete(text);
    this.#become(next);
    return true;
  }

  clear(): void {
    this.#become(new Map());
  }

  /** The value of the element with exactly this key, null: a set's, undefined: there is none. */
  get(key: MapKey): MapValue | null | undefined {
    const element = this.#elements.get(this.#text(this.#parseKey(key)));
    if (element !== undefined) return this.#format(element.value);
    return this.#isArray ? this.#format(0n) : undefined;
  }

  /** Is there an element with exactly this key? */
  has(key: MapKey): boolean {
    return this.get(key) !== undefined;
  }

  /** Keys and values as text. */
  *entries(): Iterable<readonly [string, MapValue | null]> {
    for (const [key, { value }] of this.#elements) yield [key, this.#format(value)];
  }

  get #isArray(): boolean {
    return isArray(this.#manifest.storage);
  }

  // ---- text

  #parseKey(key: MapKey): KeyRange[] {
    const { key: fields, interval, storage } = this.#manifest;
    const parts = typeof key === "string" ? key.split(/\s+\.\s+/) : Array.isArray(key) ? key : [key as Value];
    if (parts.length !== fields.length)
      throw new RangeError(`a key of ${this.name} has ${fields.length} fields, not ${parts.length}`);
    const ranges = interval || storage === "lpm_trie";
    const parsed = fields.map((field, i) => parseRange(field, parts[i], ranges, this.#device));
    if (this.#isArray && Number(parsed[0].first) >= (this.#manifest.size ?? 0))
      throw new RangeError(`${this.name} has ${this.#manifest.size} elements, and no ${parsed[0].first}`);
    return parsed;
  }

  #text = (key: readonly KeyRange[]): string =>
    key.map((range, i) => formatRange(this.#manifest.key[i], range)).join(" . ");

  #parseValue(value: MapValue | undefined): bigint | null {
    const { value: field, decisions } = this.#manifest;
    if (field === null) {
      if (value !== undefined) throw new RangeError(`${this.name} is a set: its elements have no value`);
      return null;
    }
    if (value === undefined) throw new RangeError(`${this.name} is a map: an element needs a value`);
    if (field !== "verdict") return parseValue(field, value, this.#device);
    const number = decisions.indexOf(`${value}`);
    if (number < 0) throw new RangeError(`${this.name} can say ${decisions.join(", ")}, not ${value}`);
    return BigInt(number);
  }

  #format(value: bigint | null): MapValue | null {
    const { value: field, decisions } = this.#manifest;
    if (value === null || field === null) return null;
    if (field === "verdict") return decisions[Number(value)];
    return field.bits <= 32 && /^(integer|mark|.*iface.*|ifname|device)$/.test(field.type)
      ? Number(value)
      : formatValue(field, value);
  }

  // ---- memory

  /** @throws RangeError when the elements cannot stand together; nothing has changed then */
  #become(next: Map<string, Element>): void {
    const { size, storage } = this.#manifest;
    if (size !== null && next.size > size) throw new RangeError(`${this.name} is full: it holds ${size} elements`);
    const drawn = [...next.values()];
    const elements = storage === "lpm_trie" ? lpmOrder(drawn) : drawn;
    if (storage === null) this.#refuseOverlap(elements);
    const { bytes, rows } = setStructure({ ...this.#manifest, name: this.name }, elements);
    const values = this.#values(elements, rows);
    const needed = roundUp(bytes.length) + roundUp(values.length);
    const old = this.#place;
    const place = { offset: this.#pool.allocate(slab(needed)), bytes: slab(needed) };
    const memory = new Uint8Array(this.#owner.memory.buffer);
    memory.set(bytes, place.offset);
    memory.set(values, place.offset + roundUp(bytes.length));
    const { record } = this.#manifest;
    this.#owner.setWord(record + MAP.structure, place.offset);
    this.#owner.setWord(record + MAP.rows, rows);
    this.#owner.setWord(record + MAP.values, place.offset + roundUp(bytes.length));
    this.#owner.setWord(record + MAP.half, paddedRows(rows) / 2);
    this.#elements = next;
    this.#place = place;
    if (old !== null) this.#pool.free(old.offset, old.bytes);
  }

  /** nft refuses ranges of one field that overlap; of several fields it takes them, and the first decides. */
  #refuseOverlap(elements: readonly Element[]): void {
    if (this.#manifest.key.length > 1) return;
    const sorted = elements.map(({ key: [range] }) => range).sort((a, b) => (a.first < b.first ? -1 : 1));
    for (let i = 1; i < sorted.length; i++)
      if (sorted[i].first <= sorted[i - 1].last) {
        const [a, b] = [this.#text([sorted[i - 1]]), this.#text([sorted[i]])];
        throw new RangeError(`${this.name}: ${b} overlaps ${a}`);
      }
  }

  /** By element number, or by index. */
  #values(elements: readonly Element[], rows: number): Uint8Array {
    const { value: field } = this.#manifest;
    if (field === null) return new Uint8Array(0);
    const bits = field === "verdict" ? 32 : field.bits;
    const bytes = new Uint8Array((this.#isArray ? rows : elements.length) * boundBytes(bits));
    const view = new DataView(bytes.buffer);
    for (const [i, { key, value }] of elements.entries()) {
      const at = this.#isArray ? Number(key[0].first) : i;
      writeValue(view, at * boundBytes(bits), bits <= 32 ? Number(value) : (value ?? 0n), bits);
    }
    return bytes;
  }
}

const roundUp = (bytes: number): number => (bytes + 15) & ~15;
/** Sizes that come back: powers of two. */
const slab = (bytes: number): number => 2 ** Math.max(4, Math.ceil(Math.log2(Math.max(1, bytes))));
