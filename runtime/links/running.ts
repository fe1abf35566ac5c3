/**
 * A program that runs: an instance of its module over the memory of the one that it is attached to, with a region of that for its
 * counters, buckets and sets.
 */
import { FILTER_COUNTER, FILTER_COUNTER_BYTES, PROGRAM_REGISTERS, registerExport } from "../abi.ts";
import type { RuleCounter } from "../engine.ts";
import { PROGRAM_IMPORTS, type Program, ProgramError, type ProgramManifest } from "./manifest.ts";

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
}

/** Starts and stops programs; what one leaves is the next one's, so that memory stays as it is. */
export class Runner {
  readonly #host: ProgramHost;
  /** Regions that programs have left, by their size. */
  readonly #free = new Map<number, number[]>();

  constructor(host: ProgramHost) {
    this.#host = host;
  }

  /** @throws ProgramError when the module does not take what it is given */
  start({ module, manifest, state: initial }: Program): Running {
    const { memory, exports } = this.#host;
    const { bytes } = manifest.state;
    const state = this.#free.get(bytes)?.pop() ?? this.#host.allocate(bytes);
    new Uint8Array(memory.buffer).set(initial, state);
    const registers = [...PROGRAM_REGISTERS.reads, ...PROGRAM_REGISTERS.sets].map(registerExport);
    const imports = {
      ...Object.fromEntries(registers.map((name) => [name, exports[name]])),
      [PROGRAM_IMPORTS.memory]: memory,
      [PROGRAM_IMPORTS.state]: new WebAssembly.Global({ value: "i32", mutable: false }, state),
    };
    try {
      const instance = new WebAssembly.Instance(module, { [PROGRAM_IMPORTS.module]: imports });
      return { manifest, exports: instance.exports, state };
    } catch (error) {
      this.#release(state, bytes);
      throw new ProgramError("wrong-imports", `${error instanceof Error ? error.message : error}`);
    }
  }

  /** @returns what its counters have counted */
  stop(running: Running): RuleCounter[] {
    const counted = this.counters(running);
    this.#release(running.state, running.manifest.state.bytes);
    return counted;
  }

  counters({ manifest, state }: Running): RuleCounter[] {
    const view = new DataView(this.#host.memory.buffer, state + manifest.state.counters);
    return manifest.counters.map((_, i) => {
      const read = (offset: number) => view.getBigUint64(i * FILTER_COUNTER_BYTES + offset, true);
      return { packets: read(FILTER_COUNTER.packets), bytes: read(FILTER_COUNTER.bytes) };
    });
  }

  /** Counters with a name that both programs have go on where the first one's are; of several of a name each where its like is. */
  inherit(from: Running, to: Running): void {
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
    const { memory } = this.#host;
    const saved = programs.map(({ state, manifest }) => ({
      state,
      copy: new Uint8Array(memory.buffer).slice(state, state + manifest.state.bytes),
    }));
    return () => {
      for (const { state, copy } of saved) new Uint8Array(memory.buffer).set(copy, state);
    };
  }

  #release(state: number, bytes: number): void {
    const regions = this.#free.get(bytes) ?? [];
    regions.push(state);
    this.#free.set(bytes, regions);
  }
}
