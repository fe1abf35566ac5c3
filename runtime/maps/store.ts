/** What stands behind a named map (map.ts): its elements, in linear memory or wherever an engine keeps them. */
import { MAP } from "../abi/netfilter.ts";
import type { Memory } from "../lpm/block-store.ts";
import type { Element, Key, SetShape, Value } from "./shape.ts";

export interface MapStore {
  /** Elements. */
  readonly size: number;
  /** The value of the element with exactly this key; undefined: there is none. */
  get(key: Key): Value | undefined;
  /** @throws RangeError when it is full, or the key overlaps another; nothing has changed then */
  set(key: Key, value: Value): void;
  /** @returns whether there was such an element */
  delete(key: Key): boolean;
  /** @throws RangeError as `set`; nothing has changed then */
  replace(elements: readonly Element[]): void;
  /** Many at once, where that is cheaper than one after the other. @throws RangeError as `set`; nothing has changed then */
  update?(elements: readonly Element[]): void;
  entries(): Iterable<Element>;
}

/** One whose elements are in linear memory. */
export interface MemoryStore extends MapStore {
  /** Gives back the memory that changes have taken; nothing may be asked of it afterwards. */
  release(): void;
}

/** Memory for structures: words of all of it, good until the next `allocate`. */
export interface MapMemory extends Memory {
  readonly words: Uint32Array;
}

/** What a builder makes of a whole map. */
export interface Built {
  readonly words: Uint32Array;
  /** Ranges of `interval`, rows of `list`, slots of `hash`, length of `array`, prefixes of `lpm`. */
  readonly rows: number;
  /** Rows that there is room for. */
  readonly room: number;
  /** Elements. */
  readonly count: number;
  /** Byte of `words` where the value of place 1 stands, and bytes from one value to the next. */
  readonly values: number;
  readonly stride: number;
  /** Bytes from `values` to the end of the last value. */
  readonly valueBytes: number;
  /** Byte of `words` where columns for the host alone stand; 0: there are none. */
  readonly columns: number;
}

/** What a MAP record says of a structure that stands at `offset`. */
export const recordOf = (built: Built, offset: number): Record<keyof typeof MAP, number> => ({
  structure: offset,
  rows: built.rows,
  values: offset + built.values,
  half: built.room >>> 1,
  room: built.room,
  count: built.count,
  valueBytes: built.valueBytes,
  columns: built.columns === 0 ? 0 : offset + built.columns,
});

/** A MAP record, and the region that its map has taken from memory: what the image brought is never given back. */
export class MapRecord {
  readonly memory: MapMemory;
  readonly #offset: number;
  #region: { readonly offset: number; readonly bytes: number } | null = null;

  constructor(memory: MapMemory, offset: number) {
    this.memory = memory;
    this.#offset = offset;
  }

  get(field: keyof typeof MAP): number {
    return this.memory.words[(this.#offset + MAP[field]) >>> 2];
  }

  set(field: keyof typeof MAP, value: number): void {
    this.memory.words[(this.#offset + MAP[field]) >>> 2] = value;
  }

  /** Gives the map a structure in a region of its own; the old region is free afterwards. */
  publish(built: Built): void {
    const before = this.#region;
    const bytes = Math.max(4, built.words.length * 4);
    const offset = this.memory.allocate(bytes);
    this.memory.words.set(built.words, offset >>> 2);
    this.#region = { offset, bytes };
    for (const [field, value] of Object.entries(recordOf(built, offset))) this.set(field as keyof typeof MAP, value);
    if (before !== null) this.memory.free(before.offset, before.bytes);
  }

  /** Gives the region back: what the record says now stands elsewhere. */
  release(): void {
    if (this.#region !== null) this.memory.free(this.#region.offset, this.#region.bytes);
    this.#region = null;
  }
}

/** @throws RangeError when a map may not hold so many elements */
export function checkRoom({ name, size }: Pick<SetShape, "name" | "size">, elements: number): void {
  if (size !== null && elements > size) throw new RangeError(`${name} is full: it holds ${size} elements`);
}
