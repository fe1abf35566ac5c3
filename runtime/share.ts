import { IMAGE, WORKER } from "./abi/image.ts";
import type { PacketBatch } from "./batch.ts";
import { guarded, type Threads } from "./threads.ts";

/** What this thread has for itself of a memory that others work in too; a module for one thread has it all. */
export class Share {
  readonly threads: Threads | null;
  /** What it has instead of the image's own (abi/image.ts, `worker`), which is thread 0's. */
  readonly area: { readonly image: number; readonly bytes: number; readonly offset: number };
  /** Where it says where its trace records go. */
  readonly traceWords: Readonly<Record<keyof typeof WORKER, number>>;
  /** Those that stand in it. */
  readonly batches = new WeakSet<PacketBatch>();
  readonly #memory: WebAssembly.Memory;

  constructor(memory: WebAssembly.Memory, threads: Threads | null, area: Share["area"]) {
    this.#memory = memory;
    this.threads = threads;
    this.area = area;
    const { at, traceCursor, traceEnd, traceLost } =
      threads === null ? { at: 0, ...IMAGE } : { at: area.offset, ...WORKER };
    this.traceWords = { traceCursor: at + traceCursor, traceEnd: at + traceEnd, traceLost: at + traceLost };
  }

  /** A u64 of the image's area: of all threads together; in a worker its own. */
  sum(offset: number): bigint {
    const view = new DataView(this.#memory.buffer);
    const areas = [this.area.offset, ...(this.threads?.seats ?? []).map(({ area }) => area)];
    return areas.reduce((total, area) => total + view.getBigUint64(area + offset - this.area.image, true), 0n);
  }

  /** Until `leave` nothing changes that threads share. Two calls, not one with a function: that would be garbage of every batch. */
  enter(): void {
    this.threads?.enter();
  }

  leave(): void {
    this.threads?.leave();
  }

  /** `run`, while no other thread is inside of a batch. */
  alone<T>(run: () => T): T {
    return this.threads === null ? run() : this.threads.exclusively(run);
  }

  /** What changes that which threads share. @throws TypeError in a worker */
  changing<T extends object>(what: string, target: T): T {
    if (this.threads === null) return target;
    this.threads.requireFirst(what);
    return guarded(target, this.threads);
  }
}

/** A clock that several threads set does not go back. */
export function advance(clock: BigUint64Array, nanoseconds: bigint): void {
  for (let seen = Atomics.load(clock, 0); seen < nanoseconds; ) {
    const before = Atomics.compareExchange(clock, 0, seen, nanoseconds);
    if (before === seen) return;
    seen = before;
  }
}
