/** A thread that forwards beside the first (team.ts). It never returns to its event loop. */
import { receiveMessageOnPort, workerData } from "node:worker_threads";
import { join } from "../../runtime/dataplane.ts";
import { Counts } from "./counts.ts";
import { Lane, MOST_SENT, type Rest, TICK, type Wire } from "./lane.ts";
import { loadNative, type Native, NativeBuffer } from "./native.ts";
import { LARGEST_FRAME, Sender } from "./packet-socket.ts";
import { Poll } from "./poll.ts";
import { type Member, Request, Signal, type ToHelper, type Work } from "./team.ts";

const native = await loadNative();
const { port, signal: buffer } = workerData as Member;
const signal = new Int32Array(buffer);

/** Frames come and go by a piece of work. */
class Shift implements Rest {
  readonly #native: Native;
  readonly #work: Work;
  readonly #wires: readonly Wire[];
  readonly #lane: Lane;
  readonly #poll: Poll<Wire>;
  /** In linear memory: a frame for the first thread. */
  readonly #handed: { readonly offset: number; readonly bytes: () => Uint8Array };
  readonly #one: NativeBuffer;

  constructor(native: Native, work: Work) {
    const dataplane = join(work.seat);
    this.#native = native;
    this.#work = work;
    this.#wires = work.wires.map((wire) => ({ ...wire, sender: new Sender(native, MOST_SENT) }));
    this.#poll = new Poll(native, this.#wires);
    this.#handed = { offset: dataplane.allocate(LARGEST_FRAME), bytes: () => dataplane.bytes };
    this.#one = new NativeBuffer(native, 8);
    this.#one.bytes[0] = 1;
    const byIfindex = new Map(this.#wires.map((wire) => [wire.ifindex, wire]));
    const network = {
      engine: dataplane.nets[work.net],
      counts: new Counts(work.counts, work.places),
      wire: (ifindex: number) => byIfindex.get(ifindex),
    };
    const now = (): number => (performance.timeOrigin + performance.now()) * 1000;
    this.#lane = new Lane(native, network, this, now);
  }

  turn(): void {
    for (const wire of this.#poll.wait(TICK)) this.#lane.receive(wire);
    this.#lane.flush();
  }

  judged(batch: { readonly base: number; readonly count: number }, i: number): void {
    this.#ask(Request.JUDGED, batch.base, i, batch.count);
  }

  frame(device: number, frame: Uint8Array): void {
    if (frame.length > LARGEST_FRAME) return;
    this.#handed.bytes().set(frame, this.#handed.offset);
    this.#ask(Request.FRAME, this.#handed.offset, frame.length, device);
  }

  /** @returns when it is done */
  #ask(request: number, ...words: readonly [number, number, number]): void {
    signal.set(words, Signal.ARGUMENTS);
    Atomics.store(signal, Signal.REQUEST, request);
    this.#native.write(this.#work.wake, this.#one.address, 8);
    Atomics.wait(signal, Signal.REQUEST, request);
  }
}

/** Milliseconds between two looks for messages while there is no work. */
const REST = 1;

let shift: Shift | null = null;
for (let goesOn = true; goesOn; ) {
  const received = receiveMessageOnPort(port) as { readonly message: ToHelper } | undefined;
  if (received === undefined) {
    if (shift === null) Atomics.wait(signal, Signal.REQUEST, Request.NONE, REST);
    else shift.turn();
    continue;
  }
  const { message } = received;
  shift = message.kind === "work" ? new Shift(native, message.work) : null;
  goesOn = message.kind !== "stop";
  Atomics.add(signal, Signal.OBEYED, 1);
  Atomics.notify(signal, Signal.OBEYED);
}
