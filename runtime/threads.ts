/**
 * Several threads over one module's memory: each with an instance, batches, counters and a trace of its own; tables, neighbours, maps and
 * the buckets of limits are there once.
 *
 *   thread 0, that loads                              a worker
 *     const dataplane = await load(wasm)                const dataplane = join(seat)
 *     const seat = dataplane.threads.seat()             const engine = dataplane.net("host")
 *     worker.postMessage(seat)                          engine.process(batch) ...
 *     dataplane.routes("host").add(...)
 *
 * Only thread 0 changes what is shared, and only while no other is inside a batch: it closes the gate, waits until all are out, changes
 * what it likes, and opens the gate. So a batch sees a change whole or not at all, what a change has freed is read by nobody, and
 * after `routes.add` has returned no batch begins without the route. The price is that all wait for the change: put many in one
 * `exclusively`.
 *
 *   gate      0        u32 holder      0: open; n + 1: thread n has the memory for itself
 *             4        u32 notices     how often thread 0 has written the notice: what is attached (links/notice.ts)
 *             8        u32 notice, u32 bytes     where it is
 *             64 n + 64  u32 inside    1: thread n is inside a batch             a cache line each
 *
 * Whoever enters says so first and looks at the holder afterwards; whoever closes does it the other way round. Both are sequentially
 * consistent, so one of the two sees the other (Dekker's argument).
 */

/** A worker's place: what it needs to join. Can be sent to a worker (structured clone). */
export interface Seat {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** From 1. */
  readonly worker: number;
  /** Offset of the gate. */
  readonly gate: number;
  /** Offset of what this thread has for itself, in the place of the image's own (abi/image.ts, `worker`). */
  readonly area: number;
  /** Memory for its batches and traces: offset and bytes. */
  readonly arena: { readonly offset: number; readonly bytes: number };
}

export interface SeatOptions {
  /** For the worker's batches (`batchBytes`) and its trace region (256 KiB at first); 4 MiB unless it is said. */
  readonly bytes?: number;
}

/** A worker did not come out of its batch: it is dead (retire its seat), or is kept from running. Nothing has been changed. */
export class WorkerBusyError extends Error {
  override readonly name = "WorkerBusyError";
  readonly worker: number;

  constructor(worker: number, milliseconds: number) {
    super(`worker ${worker} has been inside of a batch for ${milliseconds} ms: retire its seat when it has ended`);
    this.worker = worker;
  }
}

/** Thread 0 included. */
export const MOST_THREADS = 64;
const LINE_BYTES = 64;
export const GATE_BYTES = LINE_BYTES * (1 + MOST_THREADS);
const DEFAULT_ARENA_BYTES = 4 * 1024 * 1024;
/** Milliseconds that a batch may take before `exclusively` gives up. */
const PATIENCE = 1000;
/** Looks at a word before the thread goes to sleep: a change of a route or two is over by then. */
const SPINS = 2000;

/** What the threads of a module have in common, as one of them sees it. */
export class Threads {
  /** Which thread this is; 0: the one that loaded the module. */
  readonly worker: number;
  readonly #module: WebAssembly.Module;
  readonly #memory: WebAssembly.Memory;
  readonly #gate: number;
  /** A shared buffer is not detached when the memory grows, so this view lasts. */
  readonly #cells: Int32Array;
  readonly #seats: Seat[] = [];
  /** Called when there is one more seat: whoever keeps something for each thread keeps it for that one too. */
  onSeat: () => void = () => {};
  readonly #allocate: (bytes: number) => number;
  readonly #areaBytes: number;
  #holds = false;

  /**
   * @param place of thread 0 what `seat` gives to others, less what they have for themselves
   * @param allocate memory for seats: thread 0 alone
   */
  constructor(
    place: Pick<Seat, "module" | "memory" | "worker" | "gate">,
    areaBytes: number,
    allocate: (bytes: number) => number,
  ) {
    this.worker = place.worker;
    this.#module = place.module;
    this.#memory = place.memory;
    this.#gate = place.gate;
    this.#cells = new Int32Array(place.memory.buffer, place.gate, GATE_BYTES / 4);
    this.#areaBytes = areaBytes;
    this.#allocate = allocate;
  }

  /** Seats that were given out. */
  get seats(): readonly Seat[] {
    return this.#seats;
  }

  /**
   * A place for one more worker. When the worker has ended and the seat was retired, another may have it: what was counted there stays.
   * @throws RangeError when there are MOST_THREADS, MemoryError when there is no more memory; there is no seat more then
   * @throws TypeError in a worker
   */
  seat({ bytes = DEFAULT_ARENA_BYTES }: SeatOptions = {}): Seat {
    this.requireFirst("seats are given out");
    const worker = this.#seats.length + 1;
    if (worker >= MOST_THREADS) throw new RangeError(`a module has at most ${MOST_THREADS} threads`);
    const areaBytes = Math.ceil(this.#areaBytes / LINE_BYTES) * LINE_BYTES;
    const area = this.#allocate(areaBytes + bytes);
    const arena = { offset: area + areaBytes, bytes };
    const seat: Seat = { module: this.#module, memory: this.#memory, worker, gate: this.#gate, area, arena };
    this.#seats.push(seat);
    try {
      this.onSeat();
    } catch (error) {
      this.#seats.pop();
      throw error;
    }
    return seat;
  }

  /** Says that a worker has ended, whatever it was doing. Before that it must have: `exit` of a worker of Node, after `terminate()`. */
  retire({ worker }: Pick<Seat, "worker">): void {
    this.requireFirst("seats are retired");
    Atomics.store(this.#cells, insideOf(worker), 0);
    if (Atomics.compareExchange(this.#cells, HOLDER, worker + 1, 0) === worker + 1) Atomics.notify(this.#cells, HOLDER);
  }

  /**
   * Runs `change` while no other thread is inside of a batch. What changes routes, neighbours and maps does so by itself; many changes in
   * one call stop the others once.
   * @param patience milliseconds
   * @throws WorkerBusyError when a worker does not come out of its batch; then `change` has not run
   */
  exclusively<T>(change: () => T, patience = PATIENCE): T {
    if (this.#holds) return change();
    this.#close(patience);
    this.#holds = true;
    try {
      return change();
    } finally {
      this.#holds = false;
      this.#open();
    }
  }

  /** Before a batch. */
  enter(): void {
    if (this.#holds) return;
    const cells = this.#cells;
    const mine = insideOf(this.worker);
    for (;;) {
      Atomics.store(cells, mine, 1);
      const holder = Atomics.load(cells, HOLDER);
      if (holder === 0) return;
      this.leave();
      waitWhile(cells, HOLDER, holder, Number.POSITIVE_INFINITY);
    }
  }

  /** After it. */
  leave(): void {
    if (this.#holds) return;
    Atomics.store(this.#cells, insideOf(this.worker), 0);
    if (Atomics.load(this.#cells, HOLDER) !== 0) Atomics.notify(this.#cells, insideOf(this.worker));
  }

  /** How often the notice was written. */
  get notices(): number {
    return Atomics.load(this.#cells, NOTICES);
  }

  /** Bytes of memory with what thread 0 has to say to the others, good inside of a batch. */
  get notice(): { readonly offset: number; readonly bytes: number } {
    return { offset: Atomics.load(this.#cells, NOTICE), bytes: Atomics.load(this.#cells, NOTICE + 1) };
  }

  /** Each other thread reads it before its next batch. */
  setNotice(offset: number, bytes: number): void {
    this.requireFirst("notices are given");
    Atomics.store(this.#cells, NOTICE, offset);
    Atomics.store(this.#cells, NOTICE + 1, bytes);
    Atomics.add(this.#cells, NOTICES, 1);
  }

  /** @throws TypeError in a worker */
  requireFirst(what: string): void {
    if (this.worker !== 0) throw new TypeError(`${what} by the thread that loaded the module`);
  }

  #close(patience: number): void {
    const cells = this.#cells;
    for (;;) {
      const holder = Atomics.compareExchange(cells, HOLDER, 0, this.worker + 1);
      if (holder === 0) break;
      if (!waitWhile(cells, HOLDER, holder, patience)) throw new WorkerBusyError(holder - 1, patience);
    }
    for (let other = 0; other < MOST_THREADS; other++) {
      if (other === this.worker || waitWhile(cells, insideOf(other), 1, patience)) continue;
      this.#open();
      throw new WorkerBusyError(other, patience);
    }
  }

  #open(): void {
    Atomics.store(this.#cells, HOLDER, 0);
    Atomics.notify(this.#cells, HOLDER);
  }
}

/** Words of the gate. */
const HOLDER = 0;
const NOTICES = 1;
const NOTICE = 2;
const insideOf = (worker: number): number => ((1 + worker) * LINE_BYTES) / 4;

/** @returns false when the word has been `value` for so many milliseconds */
function waitWhile(cells: Int32Array, at: number, value: number, milliseconds: number): boolean {
  for (let i = 0; i < SPINS; i++) if (Atomics.load(cells, at) !== value) return true;
  const end = performance.now() + milliseconds;
  while (Atomics.load(cells, at) === value) {
    const left = end - performance.now();
    if (left <= 0) return false;
    if (maySleep) Atomics.wait(cells, at, value, left);
  }
  return true;
}

/** A page's main thread may not; it looks again and again, for the length of a batch. */
const maySleep = (() => {
  try {
    // 0 is not 1: this says "not-equal" at once, where it may be asked.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
})();

/** `target`, whose methods run while no other thread is inside of a batch. */
export function guarded<T extends object>(target: T, threads: Threads): T {
  return new Proxy(target, {
    get(of, name) {
      const value: unknown = Reflect.get(of, name, of);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => threads.exclusively(() => value.apply(of, args));
    },
  });
}
