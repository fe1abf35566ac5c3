/**
 * A program that runs: an instance of its module over the memory of the one that it is attached to, with a region of that for its
 * counters, buckets and sets. Of several threads each has an instance, and counters, of its own.
 */
import { FILTER_COUNTER, FILTER_COUNTER_BYTES } from "../abi/netfilter.ts";
import { PROGRAM_REGISTERS, registerExport, STATE, THREAD_REGISTERS } from "../abi/program.ts";
import type { RuleCounter } from "../engine.ts";
import type { MapDevice } from "../maps/map.ts";
import type { MapMemory } from "../maps/store.ts";
import { Share } from "../share.ts";
import { type Place, snapshot } from "../snapshot.ts";
import { PROGRAM_IMPORTS, type Program, ProgramError, type ProgramManifest } from "./manifest.ts";
import { counterPlaces, type LinkedSet, ProgramMaps, relocate } from "./maps.ts";

/** What programs need of the module that they are attached to. */
export interface ProgramHost {
  readonly memory: WebAssembly.Memory;
  readonly exports: WebAssembly.Exports;
  word(offset: number): number;
  setWord(offset: number, value: number): void;
  allocate(bytes: number): number;
}

/** A program as one thread has it. */
export interface Started {
  readonly manifest: ProgramManifest;
  readonly exports: WebAssembly.Exports;
  /** Its region. */
  readonly state: number;
  /** Where what the thread has for itself is; of thread 0, and of one thread alone, in the region. */
  readonly own: number;
}

export interface Running extends Started {
  readonly maps: ProgramMaps;
  /** Where each thread has its own, by its number. */
  readonly owns: number[];
  /** Of several threads, what the others compile it from: a copy of the module's bytes in memory. */
  readonly wasm: Place | null;
}

/**
 * @param own where the thread has its own
 * @throws ProgramError when the module does not take what it is given
 */
export function instantiate(
  { memory, exports }: ProgramHost,
  { module, manifest }: Pick<Program, "module" | "manifest">,
  { state, own }: Pick<Started, "state" | "own">,
  share: Share,
): Started {
  const registers = [...PROGRAM_REGISTERS.reads, ...PROGRAM_REGISTERS.sets].map(registerExport);
  const given = {
    [THREAD_REGISTERS.own]: own - (state + manifest.state.counters),
    [THREAD_REGISTERS.area]: share.area.offset,
  };
  const i32 = (value: number, mutable: boolean) => new WebAssembly.Global({ value: "i32", mutable }, value);
  const imports = {
    ...Object.fromEntries(registers.map((name) => [name, exports[name]])),
    ...Object.fromEntries(Object.entries(given).map(([name, value]) => [registerExport(name), i32(value, true)])),
    [PROGRAM_IMPORTS.memory]: memory,
    [PROGRAM_IMPORTS.state]: i32(state, false),
  };
  try {
    const instance = new WebAssembly.Instance(module, { [PROGRAM_IMPORTS.module]: imports });
    return { manifest, exports: instance.exports, state, own };
  } catch (error) {
    throw new ProgramError("wrong-imports", `${error instanceof Error ? error.message : error}`);
  }
}

/** What a batch of this thread may change of a program. @param words all of memory */
export function changedBy({ manifest, state, own }: Started, words: Uint32Array): Place[] {
  const maps = setsOf(manifest, state).map(({ map }) => map);
  return [
    { offset: state, bytes: manifest.state.bytes },
    { offset: own, bytes: manifest.state.ownBytes },
    ...counterPlaces(maps, (offset) => words[offset >>> 2]),
  ];
}

/** With their records in memory. */
const setsOf = ({ sets }: ProgramManifest, state: number): LinkedSet[] =>
  sets.map(({ name, map }) => ({ name, map: { ...map, record: state + map.record } }));

/** Starts and stops programs; what one leaves is the next one's, so that memory stays as it is. Of several threads it is the first's. */
export class Runner {
  readonly #host: ProgramHost;
  readonly #memory: MapMemory;
  readonly #devices: readonly MapDevice[];
  readonly #share: Share;

  /**
   * @param memory where programs have their regions, and what their maps grow to
   * @param share absent: the memory is one thread's
   */
  constructor(
    host: ProgramHost,
    memory: MapMemory,
    devices: readonly MapDevice[],
    share = new Share(host.memory, null, { image: 0, bytes: 0, offset: 0 }),
  ) {
    this.#host = host;
    this.#memory = memory;
    this.#devices = devices;
    this.#share = share;
  }

  /** @throws ProgramError when the module does not take what it is given */
  start(program: Program): Running {
    const { manifest, state: initial } = program;
    const state = this.#memory.allocate(manifest.state.bytes);
    placeState(this.#memory.words, state, manifest, initial);
    const own = state + manifest.state.counters;
    const owns = [own];
    let wasm: Place | null = null;
    try {
      const started = instantiate(this.#host, program, { state, own }, this.#share);
      const maps = new ProgramMaps(setsOf(manifest, state), this.#memory, this.#devices);
      wasm = this.#share.threads && this.#placeModule(program.wasm);
      const running = { ...started, maps, owns, wasm };
      this.seat(running);
      return running;
    } catch (error) {
      this.#freeRegions({ manifest, state, owns, wasm });
      throw error;
    }
  }

  #freeRegions({ manifest, state, owns, wasm }: Pick<Running, "manifest" | "state" | "owns" | "wasm">): void {
    for (const own of owns.slice(1)) this.#memory.free(own, manifest.state.ownBytes);
    if (wasm !== null) this.#memory.free(wasm.offset, wasm.bytes);
    this.#memory.free(state, manifest.state.bytes);
  }

  #placeModule(wasm: Uint8Array): Place {
    const offset = this.#memory.allocate(wasm.length);
    new Uint8Array(this.#host.memory.buffer).set(wasm, offset);
    return { offset, bytes: wasm.length };
  }

  /** Each thread that has a seat has its own of the program. */
  seat({ owns, manifest }: Running): void {
    for (const { worker } of this.#share.threads?.seats ?? [])
      owns[worker] ??= this.#memory.allocate(manifest.state.ownBytes);
  }

  /** @returns what its counters have counted */
  stop(running: Running): RuleCounter[] {
    const counted = this.counters(running);
    running.maps.release();
    this.#freeRegions(running);
    return counted;
  }

  /** Of all threads together. */
  counters({ manifest, owns }: Running): RuleCounter[] {
    const view = new DataView(this.#host.memory.buffer);
    return manifest.counters.map((_, i) => {
      const read = (field: number) =>
        owns.reduce((sum, own) => sum + view.getBigUint64(own + i * FILTER_COUNTER_BYTES + field, true), 0n);
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
    const places = ({ manifest }: Running, name: string): number[] =>
      [...manifest.counters.keys()].filter((i) => manifest.counters[i].name === name);
    for (const name of new Set(to.manifest.counters.flatMap((counter) => counter.name ?? []))) {
      const before = places(from, name);
      for (const [nth, i] of places(to, name).entries()) {
        if (nth >= before.length) continue;
        for (const [worker, own] of to.owns.entries()) {
          const old = from.owns[worker] + before[nth] * FILTER_COUNTER_BYTES;
          bytes.copyWithin(own + i * FILTER_COUNTER_BYTES, old, old + FILTER_COUNTER_BYTES);
        }
      }
    }
  }

  /** @returns what puts the state of the programs back as it is now */
  snapshot(programs: readonly Running[]): () => void {
    return snapshot(
      this.#host.memory,
      programs.flatMap((one) => changedBy(one, this.#memory.words)),
    );
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
