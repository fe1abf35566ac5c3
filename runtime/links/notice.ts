/**
 * What is attached, as the first of several threads tells the others: a text in memory, which each reads before the batch that comes next, and
 * then has the same functions at the same places of its own module's table. Programs that are new to it it compiles from their bytes, which are in
 * memory too. Told and read while no batch runs (threads.ts), so no thread judges by half of it.
 *
 *   Notice, of thread 0 -> [{ net, id, wasm, state, owns, device, places }, ...] as JSON -> Joined, of each worker
 */
import { EXPORTS } from "../abi/exports.ts";
import type { MapMemory } from "../maps/store.ts";
import type { Share } from "../share.ts";
import { type Place, snapshot } from "../snapshot.ts";
import type { Threads } from "../threads.ts";
import { entriesOf, type Program, programOf } from "./manifest.ts";
import { changedBy, instantiate, type ProgramHost, type Started } from "./running.ts";

/** A program that runs. */
export interface Told {
  /** Of all that have run in the namespace. */
  readonly id: number;
  readonly wasm: Place;
  readonly state: number;
  /** Where each thread has its own, by its number. */
  readonly owns: readonly number[];
  /** Of an XDP program. */
  readonly device: number | null;
  /** In the table, each with the place of its entry in `entriesOf`. */
  readonly places: readonly (readonly [place: number, entry: number])[];
}

/** Of all namespaces. */
export class Notice {
  readonly #threads: Threads;
  readonly #memory: MapMemory;
  readonly #told: (readonly Told[])[] = [];
  #place: Place | null = null;

  constructor(threads: Threads, memory: MapMemory) {
    this.#threads = threads;
    this.#memory = memory;
  }

  /**
   * What is attached in a namespace from now on. To be called while no other thread is inside of a batch.
   * @throws MemoryError when it is more than ever before
   */
  tell(net: number, told: readonly Told[]): void {
    this.#told[net] = told;
    const text = new TextEncoder().encode(JSON.stringify(Array.from(this.#told, (one) => one ?? [])));
    const before = this.#place;
    if (before === null || before.bytes < text.length) {
      this.#place = { offset: this.#memory.allocate(text.length), bytes: text.length };
      if (before !== null) this.#memory.free(before.offset, before.bytes);
    }
    const { offset } = this.#place!;
    new Uint8Array(this.#memory.words.buffer).set(text, offset);
    this.#threads.setNotice(offset, text.length);
  }
}

/** What an engine asks of the programs that are attached in its namespace. */
export interface Attached {
  /** Offers a batch to every XDP program. */
  process(batch: number, count: number): void;
  trace(batch: number, count: number): void;
  /** @returns what puts the programs' state back as it is now */
  snapshot(): () => void;
}

/** `(batch, count, device)` */
export type XdpEntry = (batch: number, count: number, device: number) => void;

interface Here {
  readonly started: Started;
  readonly told: Told;
}

/** What is attached, in a thread that has joined. */
export class Joined {
  readonly #host: ProgramHost;
  readonly #share: Share;
  readonly #threads: Threads;
  /** Notices read so far. */
  #read = 0;
  /** Of each namespace. */
  #here: readonly (readonly Here[])[] = [];

  constructor(host: ProgramHost, share: Share, threads: Threads) {
    this.#host = host;
    this.#share = share;
    this.#threads = threads;
  }

  of(net: number): Attached {
    const offer = (entry: "process" | "trace", batch: number, count: number): void => {
      const here = this.#programs(net);
      // An iterator would be garbage of every batch.
      for (let i = 0; i < here.length; i++) {
        const { started, told } = here[i];
        if (told.device !== null) (started.exports[entry] as XdpEntry)(batch, count, told.device);
      }
    };
    return {
      process: (batch, count) => offer("process", batch, count),
      trace: (batch, count) => offer("trace", batch, count),
      snapshot: () => {
        const { memory } = this.#host;
        const words = new Uint32Array(memory.buffer);
        return snapshot(
          memory,
          this.#programs(net).flatMap(({ started }) => changedBy(started, words)),
        );
      },
    };
  }

  /** What is attached now. To be asked inside of a batch. */
  #programs(net: number): readonly Here[] {
    if (this.#threads.notices !== this.#read) this.#update();
    return this.#here[net] ?? NONE;
  }

  #update(): void {
    const { notices, notice } = this.#threads;
    const before = this.#here;
    const nets = JSON.parse(new TextDecoder().decode(this.#copy(notice))) as Told[][];
    this.#here = nets.map((programs, net) =>
      programs.map((told) => {
        const known = before[net]?.find((one) => one.told.id === told.id);
        return { told, started: known?.started ?? this.#start(told) };
      }),
    );
    this.#fillTable(before.flat());
    this.#read = notices;
  }

  #start({ wasm, state, owns }: Told): Started {
    const bytes = this.#copy(wasm);
    const program: Program = programOf(new WebAssembly.Module(bytes), bytes);
    return instantiate(this.#host, program, { state, own: owns[this.#threads.worker] }, this.#share);
  }

  #fillTable(before: readonly Here[]): void {
    const table = this.#host.exports[EXPORTS.table] as WebAssembly.Table;
    const set = (place: number, entry: readonly [Callable, Callable]): void => {
      if (table.length < place + 2) table.grow(place + 2 - table.length);
      entry.forEach((one, i) => {
        table.set(place + i, one);
      });
    };
    for (const { told } of before) for (const [place] of told.places) set(place, [null, null]);
    for (const { started, told } of this.#here.flat())
      for (const [place, entry] of told.places) {
        const [hot, traced] = entriesOf(started.manifest)[entry];
        set(place, [started.exports[hot] as Callable, started.exports[traced] as Callable]);
      }
  }

  /** What is shared is neither compiled nor decoded. */
  #copy({ offset, bytes }: Place): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#host.memory.buffer as ArrayBuffer).slice(offset, offset + bytes);
  }
}

const NONE: readonly Here[] = [];
/** An exported function, or none. */
type Callable = WebAssembly.ExportValue | null;
