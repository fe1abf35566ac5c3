/**
 * Threads that forward beside the first, as that one sees them (helper.ts is the other end). Each has sockets, batches and an instance of
 * its own over the memory that all share; what they do not simply send they hand to the first thread, and wait until it is done.
 *
 *   first thread  -- work, rest, stop -->  helper         messages, each obeyed before its next turn
 *                 <-- signal, eventfd --                  a packet for the host: where it is in linear memory
 *
 *   signal   i32 OBEYED     messages obeyed so far; ENDED: the thread is no more, as the supervisor says, which then ends all
 *            i32 REQUEST    0: none, else what the next words are
 *            i32 x 3        JUDGED: batch, packet, packets in it        FRAME: offset, length, device
 */
import type { MessagePort } from "node:worker_threads";
import { PacketBatch } from "../../runtime/batch.ts";
import { imageOffset } from "../../runtime/brand.ts";
import type { Seat } from "../../runtime/threads.ts";
import { MOST_SENT, type Rest, SLOT_SIZE } from "./lane.ts";
import { check, ForwardError, type Native, NativeBuffer } from "./native.ts";

/** What a helper forwards by. */
export interface Work {
  readonly seat: Seat;
  readonly net: number;
  readonly wires: readonly { readonly ifindex: number; readonly place: number; readonly fd: number }[];
  /** counts.ts, of as many wires. */
  readonly counts: SharedArrayBuffer;
  readonly places: number;
  /** The eventfd of the first thread. */
  readonly wake: number;
}
export type ToHelper = { readonly kind: "work"; readonly work: Work } | { readonly kind: "rest" | "stop" };

/** A helper as it is given to the first thread. */
export interface Member {
  readonly port: MessagePort;
  readonly signal: SharedArrayBuffer;
}

export const Signal = { OBEYED: 0, REQUEST: 1, ARGUMENTS: 2 } as const;
export const ENDED = -1;
export const SIGNAL_BYTES = 5 * 4;
export const Request = { NONE: 0, JUDGED: 1, FRAME: 2 } as const;

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
/** Milliseconds that a helper may take to obey: it looks for messages every few. */
const PATIENCE = 5000;

/** Readable when a helper wants something. */
export class Wake {
  readonly fd: number;
  readonly #native: Native;
  readonly #count: NativeBuffer;

  constructor(native: Native) {
    this.#native = native;
    this.#count = new NativeBuffer(native, 8);
    this.fd = check(native, native.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
  }

  drain(): void {
    this.#native.read(this.fd, this.#count.address, 8);
  }
}

export class Team {
  /** null: there are no helpers. */
  readonly wake: Wake | null;
  readonly #members: readonly { readonly port: MessagePort; readonly signal: Int32Array }[];
  readonly #rest: Rest;
  #memory: WebAssembly.Memory | null = null;
  readonly #batches = new Map<number, PacketBatch>();

  constructor(native: Native, members: readonly Member[], rest: Rest) {
    this.#members = members.map(({ port, signal }) => ({ port, signal: new Int32Array(signal) }));
    this.#rest = rest;
    this.wake = members.length === 0 ? null : new Wake(native);
  }

  get size(): number {
    return this.#members.length;
  }

  /** All stop, and wait for work; what is on its way is finished. What their devices receive meanwhile waits. */
  pause(): void {
    this.#tell(() => ({ kind: "rest" }));
  }

  /** @param works one for each */
  work(works: readonly Work[], memory: WebAssembly.Memory): void {
    this.#memory = memory;
    this.#batches.clear();
    this.#tell((i) => ({ kind: "work", work: works[i] }));
  }

  stop(): void {
    this.#tell(() => ({ kind: "stop" }));
  }

  #tell(message: (i: number) => ToHelper): void {
    const before = this.#members.map(({ signal }) => Atomics.load(signal, Signal.OBEYED));
    for (const [i, { port }] of this.#members.entries()) port.postMessage(message(i));
    const end = performance.now() + PATIENCE;
    for (const [i, { signal }] of this.#members.entries())
      while (before[i] !== ENDED && Atomics.load(signal, Signal.OBEYED) === before[i]) {
        this.serve();
        Atomics.wait(signal, Signal.OBEYED, before[i], 1);
        if (performance.now() > end) throw new ForwardError(`thread ${i + 1} does not answer`);
      }
  }

  /** Does what helpers ask for. */
  serve(): void {
    for (const { signal } of this.#members) {
      const request = Atomics.load(signal, Signal.REQUEST);
      if (request === Request.NONE) continue;
      const [first, second, third] = signal.subarray(Signal.ARGUMENTS);
      if (request === Request.FRAME)
        this.#rest.frame(third, new Uint8Array(this.#memory!.buffer).slice(first, first + second));
      else {
        const batch = this.#batch(first);
        batch.count = third;
        this.#rest.judged(batch, second);
      }
      Atomics.store(signal, Signal.REQUEST, Request.NONE);
      Atomics.notify(signal, Signal.REQUEST);
    }
  }

  /** A helper's batch. */
  #batch(base: number): PacketBatch {
    const known = this.#batches.get(base);
    if (known !== undefined) return known;
    const memory = this.#memory!;
    const batch = new PacketBatch(() => memory.buffer, imageOffset(base), MOST_SENT, SLOT_SIZE);
    this.#batches.set(base, batch);
    return batch;
  }
}
