/**
 * A named set or map of an engine, read and changed by the host between batches.
 *
 *   const blocklist = engine.map("blocklist");
 *   blocklist.add("203.0.113.0/24", "DROP");
 *
 * This is the door: text in nft's words becomes keys and values, and what does not fit is refused before anything has changed. The elements
 * are behind it (store.ts): in linear memory, where a change is made in place and costs as the structure's file says; in the reference a list.
 */

import { COUNTER_TYPE, isArray } from "../hooks.ts";
import type { MapManifest } from "../manifest.ts";
import { prefixLength } from "../net/ip.ts";
import { type DeviceByName, formatRange, formatValue, parseRange, parseValue } from "./keys.ts";
import { counterValue, type Element, type Key, readCounter, type Value } from "./shape.ts";
import type { MapStore } from "./store.ts";

/** Text in nft's words, or a number; of several fields, text with " . " between, or a list. */
export type MapKey = string | Value | readonly (string | Value)[];
export interface MapCounter {
  readonly packets: bigint;
  readonly bytes: bigint;
}
/** Text, a number; of a verdict map one of its words: "accept", "DROP", "jump NAME"; of a map of counters what it has counted. */
export type MapValue = string | Value | MapCounter;

/** What the door must know of a map. */
export type MapDescription = Omit<MapManifest, "record">;

export class NamedMap {
  readonly name: string;
  readonly #about: MapDescription;
  readonly #store: MapStore;
  readonly #device: DeviceByName;
  /** Ifindexes of the devices that there are. */
  readonly #hasDevice: (ifindex: number) => boolean;

  /** Use `Engine.map`. */
  constructor(name: string, about: MapDescription, store: MapStore, devices: readonly MapDevice[]) {
    this.name = name;
    this.#about = about;
    this.#store = store;
    this.#device = (named) => devices.find((one) => one.name === named)?.ifindex ?? null;
    this.#hasDevice = (ifindex) => devices.some((one) => one.ifindex === ifindex);
  }

  /** `kind` of its declaration; null: a set or map of chains. */
  get kind(): MapDescription["storage"] {
    return this.#about.storage;
  }

  /** Elements; an array has all of its own, a `devmap` those that were given a device. */
  get size(): number {
    return this.#store.size;
  }

  /**
   * Adds an element, or gives the one with this key another value. A counter starts at 0 unless it is given what it has counted.
   * @throws RangeError when key or value is malformed, the key overlaps another range, or the map is full; nothing has changed then
   */
  add(key: MapKey, value?: MapValue): void {
    this.#store.set(this.#parseKey(key), this.#parseValue(value));
  }

  /** Adds many at once. @throws RangeError as `add`; none was added then */
  update(elements: Iterable<readonly [MapKey, (MapValue | undefined)?]>): void {
    const parsed = this.#parse(elements);
    if (this.#store.update !== undefined) this.#store.update(parsed);
    else this.#oneByOne(parsed);
  }

  /** All elements at once, the old ones gone. @throws RangeError as `add`; nothing has changed then */
  replace(elements: Iterable<readonly [MapKey, (MapValue | undefined)?]>): void {
    this.#store.replace(this.#parse(elements));
  }

  /** @returns whether there was such an element @throws RangeError when the key is malformed, or of an array, whose elements stay */
  delete(key: MapKey): boolean {
    const parsed = this.#parseKey(key);
    if (isArray(this.#about.storage) && this.#about.storage !== "devmap")
      throw new RangeError(`${this.name} is an array: its elements stay, their values change`);
    return this.#store.delete(parsed);
  }

  /** Takes all elements out; the values of an array become 0. */
  clear(): void {
    this.#store.replace([]);
  }

  /** Sets counters to 0, one or all; the elements stay. @throws RangeError when this is no map of counters, or has no such element */
  reset(key?: MapKey): void {
    if (!this.#isCounter) throw new RangeError(`${this.name} has no counters`);
    if (key === undefined) {
      this.#store.replace([...this.#store.entries()].map((element) => ({ key: element.key, value: 0n })));
    } else {
      const parsed = this.#parseKey(key);
      if (this.#store.get(parsed) === undefined) throw new RangeError(`${this.name} has no ${this.#text(parsed)}`);
      this.#store.set(parsed, 0n);
    }
  }

  /** The value of the element with exactly this key, null: a set's, undefined: there is none. @throws RangeError when the key is malformed */
  get(key: MapKey): MapValue | null | undefined {
    const value = this.#store.get(this.#parseKey(key));
    return value === undefined ? undefined : this.#format(value);
  }

  /** Is there an element with exactly this key? */
  has(key: MapKey): boolean {
    return this.get(key) !== undefined;
  }

  /** Keys as text, and values, in no particular order. Good as long as nothing changes. */
  *entries(): Iterable<readonly [string, MapValue | null]> {
    for (const { key, value } of this.#store.entries()) yield [this.#text(key), this.#format(value)];
  }

  /** What was done is undone when one of them is refused. */
  #oneByOne(elements: readonly Element[]): void {
    const undo: { readonly key: Key; readonly value: Value | undefined }[] = [];
    try {
      for (const { key, value } of elements) {
        const before = this.#store.get(key);
        this.#store.set(key, value);
        undo.push({ key, value: before });
      }
    } catch (error) {
      for (const { key, value } of undo.reverse())
        if (value === undefined) this.#store.delete(key);
        else this.#store.set(key, value);
      throw error;
    }
  }

  // ---- text

  #parse(elements: Iterable<readonly [MapKey, (MapValue | undefined)?]>): Element[] {
    return Array.from(elements, ([key, value]) => ({ key: this.#parseKey(key), value: this.#parseValue(value) }));
  }

  #parseKey(key: MapKey): Key {
    const { key: fields, interval, storage, size } = this.#about;
    const parts =
      typeof key === "string"
        ? key.split(fields.length > 1 ? /\s+\.\s+/ : "\0")
        : Array.isArray(key)
          ? key
          : [key as Value];
    if (parts.length !== fields.length)
      throw new RangeError(`a key of ${this.name} has ${fields.length} fields, not ${parts.length}`);
    const ranges = interval || storage === "lpm_trie";
    const parsed = fields.map((field, i) => parseRange(field, parts[i], ranges, this.#device));
    if (isArray(storage) && Number(parsed[0].first) >= (size ?? 0))
      throw new RangeError(`${this.name} has ${size} elements, and no ${parsed[0].first}`);
    if (storage === "lpm_trie" && prefixLength(parsed[0], fields[0].bits) === null)
      throw new RangeError(`${this.name} holds prefixes, and ${this.#text(parsed)} is none`);
    return parsed;
  }

  #text = (key: Key): string => key.map((range, i) => formatRange(this.#about.key[i], range)).join(" . ");

  get #isCounter(): boolean {
    const { value } = this.#about;
    return typeof value === "object" && value?.type === COUNTER_TYPE;
  }

  #parseValue(value: MapValue | undefined): Value {
    const { value: field, decisions, storage } = this.#about;
    if (field === null) {
      if (value !== undefined) throw new RangeError(`${this.name} is a set: its elements have no value`);
      return 0;
    }
    if (this.#isCounter) return this.#parseCounter(value);
    if (value === undefined) throw new RangeError(`${this.name} is a map: an element needs a value`);
    if (typeof value === "object") throw new RangeError(`${this.name} has no counters`);
    if (field === "verdict") {
      const number = decisions.indexOf(`${value}`);
      if (number < 0) throw new RangeError(`${this.name} can say ${decisions.join(", ")}, not ${value}`);
      return number;
    }
    const parsed = parseValue(field, value, this.#device);
    if (storage === "devmap" && !this.#hasDevice(Number(parsed))) throw new RangeError(`${value}: no such device`);
    return parsed;
  }

  #parseCounter(value: MapValue | undefined): bigint {
    if (value === undefined) return 0n;
    const { packets, bytes } = Object(value) as Partial<MapCounter>;
    const isCount = (count: unknown): count is bigint =>
      typeof count === "bigint" && count >= 0n && count === BigInt.asUintN(64, count);
    if (isCount(packets) && isCount(bytes)) return counterValue(packets, bytes);
    throw new RangeError(`${this.name} counts: a value is { packets, bytes }, two bigints, or nothing`);
  }

  #format(value: Value): MapValue | null {
    const { value: field, decisions } = this.#about;
    if (field === null) return null;
    if (field === "verdict") return decisions[Number(value)];
    if (this.#isCounter) return readCounter(value);
    return field.bits <= 32 && /^(integer|mark|.*iface.*|ifname|device)$/.test(field.type)
      ? Number(value)
      : formatValue(field, value);
  }
}

export interface MapDevice {
  readonly name: string;
  readonly ifindex: number;
}
