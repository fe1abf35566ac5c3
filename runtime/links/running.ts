/**
 * A program that runs: an instance of its module over the memory of the one that it is attached to, with a region of that for its
 * counters, buckets and sets.
 */
import { FILTER_COUNTER, FILTER_COUNTER_BYTES, PROGRAM_REGISTERS, registerExport, STATE } from "../abi.ts";
import type { RuleCounter } from "../engine.ts";
import type { MapDevice } from "../maps/map.ts";
import type { MapMemory } from "../maps/store.ts";
import { snapshot } from "../snapshot.ts";
import { PROGRAM_IMPORTS, type Program, ProgramError, type ProgramManifest } from "./manifest.ts";
import { ProgramMaps, relocate } from "./maps.ts";

/** What programs need of the module that they are attached to. */
export interface ProgramHost {
  readonly memory: WebAssembly.Memory;
  readonly exports: WebAssembly.Exports;
  word(offset: number): number;
  setWord(offset: number, value: number): void;
  allocate(bytes: number): number;
}

export interface Running {
  readonly manifest: ProgramManifest;
  readonly exports: WebAssembly.Exports;
  /** Its region. */
  readonly state: number;
  readonly maps: ProgramMaps;
}

/** Starts and stops programs; what one leaves is the next one's, so that memory stays as it is. */
export class Runner {
  readonly #host: ProgramHost;
  readonly #memory: MapMemory;
  readonly #devices: readonly MapDevice[];

  /** @param memory where programs have their regions, and what their maps grow to */
  constructor(host: ProgramHost, memory: MapMemory, devices: readonly MapDevice[]) {
    this.#host = host;
    this.#memory = memory;
    this.#devices = devices;
  }

  /** @throws ProgramError when the module does not take what it is given */
  start({ module, manifest, state: initial }: Program): Running {
    const { memory, exports } = this.#host;
    const { bytes } = manifest.state;
    const state = this.#memory.allocate(bytes);
    placeState(this.#memory.words, state, manifest, initial);
    const registers = [...PROGRAM_REGISTERS.reads, ...PROGRAM_REGISTERS.sets].map(registerExport);
    const imports = {
      ...Object.fromEntries(registers.map((name) => [name, exports[name]])),
      [PROGRAM_IMPORTS.memory]: memory,
      [PROGRAM_IMPORTS.state]: new WebAssembly.Global({ value: "i32", mutable: false }, state),
    };
    try {
      const instance = new WebAssembly.Instance(module, { [PROGRAM_IMPORTS.module]: imports });
      const sets = manifest.sets.map(({ name, map }) => ({ name, map: { ...map, record: state + map.record } }));
      return { manifest, exports: instance.exports, state, maps: new ProgramMaps(sets, this.#memory, this.#devices) };
    } catch (error) {
      this.#memory.free(state, bytes);
      throw new ProgramError("wrong-imports", `${error instanceof Error ? error.message : error}`);
    }
  }

  /** @returns what its counters have counted */
  stop(running: Running): RuleCounter[] {
    const counted = this.counters(running);
    running.maps.release();
    this.#memory.free(running.state, running.manifest.state.bytes);
    return counted;
  }

  counters({ manifest, state }: Running): RuleCounter[] {
    const view = new DataView(this.#host.memory.buffer, state + manifest.state.counters);
    return manifest.counters.map((_, i) => {
      const read = (offset: number) => view.getBigUint64(i * FILTER_COUNTER_BYTES + offset, true);
      return { packets: read(FILTER_COUNTER.packets), bytes: read(FILTER_COUNTER.bytes) };
    });
  }

  /**
   * Counters with a name that both programs have go on where the first one's are; of several of a name each where its like is. Maps that are
   * alike have the contents of the first one's.
   * @throws RangeError when a map has not the room
   */
  inherit(from: Running, to: Running): void {
    to.maps.inherit(from.maps);
    const bytes = new Uint8Array(this.#host.memory.buffer);
    const at = ({ state, manifest }: Running, i: number) => state + manifest.state.counters + i * FILTER_COUNTER_BYTES;
    const places = ({ manifest }: Running, name: string): number[] =>
      [...manifest.counters.keys()].filter((i) => manifest.counters[i].name === name);
    for (const name of new Set(to.manifest.counters.flatMap((counter) => counter.name ?? []))) {
      const before = places(from, name);
      for (const [nth, i] of places(to, name).entries())
        if (nth < before.length)
          bytes.copyWithin(at(to, i), at(from, before[nth]), at(from, before[nth]) + FILTER_COUNTER_BYTES);
    }
  }

  /** @returns what puts the state of the programs back as it is now */
  snapshot(programs: readonly Running[]): () => void {
    const places = programs.flatMap(({ state: offset, manifest, maps }) => [
      { offset, bytes: manifest.state.bytes },
      ...maps.counterPlaces(),
    ]);
    return snapshot(this.#host.memory, places);
  }
}

/** A program's state as it begins. @param words all of memory */
export function placeState(
  words: Uint32Array,
  state: number,
  { sets }: Pick<ProgramManifest, "sets">,
  initial: Uint8Array,
): void {
  new Uint8Array(words.buffer).set(initial, state);
  words[(state + STATE.self) >>> 2] = state;
  relocate(words, state, sets);
}
