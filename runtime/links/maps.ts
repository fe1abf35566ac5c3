/**
 * The named sets and maps of a program that runs. Their MAP records are in its state, where offsets count from its start as it is compiled;
 * what they say must lead into memory, as a host that changes them writes it.
 */
import { MAP } from "../abi/netfilter.ts";
import { COUNTER_TYPE } from "../hooks.ts";
import type { MapManifest } from "../manifest.ts";
import { inherit, isAlike } from "../maps/inherit.ts";
import { type MapDevice, NamedMap } from "../maps/map.ts";
import { openStore } from "../maps/open.ts";
import type { MapMemory, MemoryStore } from "../maps/store.ts";
import type { Place } from "../snapshot.ts";

/** A named set or map that a program asks. */
export interface LinkedSet {
  readonly name: string;
  /** `record` counts from the start of the program's state. */
  readonly map: MapManifest;
}

/** What a MAP record says in places. */
const PLACES = ["structure", "values", "columns"] as const;

/** Makes the records of a program's state, as they are compiled, lead into memory. @param words all of it */
export function relocate(words: Uint32Array, state: number, sets: readonly LinkedSet[]): void {
  for (const { map } of sets)
    for (const field of PLACES) {
      const at = (state + map.record + MAP[field]) >>> 2;
      if (words[at] !== 0) words[at] += state;
    }
}

/** The places of the counters that maps hold. @param word of memory, by its offset */
export const counterPlaces = (maps: readonly MapManifest[], word: (offset: number) => number): Place[] =>
  maps
    .filter(({ value }) => typeof value === "object" && value?.type === COUNTER_TYPE)
    .map(({ record }) => ({ offset: word(record + MAP.values), bytes: word(record + MAP.valueBytes) }));

interface Opened {
  readonly map: NamedMap;
  readonly store: MemoryStore;
}

export class ProgramMaps {
  readonly #sets: readonly LinkedSet[];
  readonly #memory: MapMemory;
  readonly #devices: readonly MapDevice[];
  readonly #opened = new Map<string, Opened>();

  /** @param sets their records in memory */
  constructor(sets: readonly LinkedSet[], memory: MapMemory, devices: readonly MapDevice[]) {
    this.#sets = sets;
    this.#memory = memory;
    this.#devices = devices;
  }

  /** @throws RangeError when the program has none of this name */
  open(name: string): NamedMap {
    const known = this.#opened.get(name);
    if (known !== undefined) return known.map;
    const set = this.#sets.find((one) => one.name === name);
    if (set === undefined) throw new RangeError(`no set or map ${name} in this program`);
    const store = openStore(name, set.map, this.#memory);
    const map = new NamedMap(name, set.map, store, this.#devices);
    this.#opened.set(name, { map, store });
    return map;
  }

  /** Takes over the contents of those that are alike. @throws RangeError when one has not the room: what were its contents are that still */
  inherit(before: ProgramMaps): void {
    for (const { name, map } of this.#sets) {
      const old = before.#sets.find((one) => one.name === name);
      if (old !== undefined && isAlike(map, old.map)) inherit(this.open(name), before.open(name));
    }
  }

  /** Gives back what changes have taken. */
  release(): void {
    for (const { store } of this.#opened.values()) store.release();
    this.#opened.clear();
  }
}
