/** The threads that forward, as seen from the one that compiles: networks into the first, counters out of it. */
import { MessageChannel, Worker } from "node:worker_threads";
import type { Reading } from "./counters.ts";
import type { Network } from "./forwarder.ts";
import { ForwardError } from "./native.ts";
import { ENDED, type Member, SIGNAL_BYTES, Signal } from "./team.ts";
import type { FromWorker, ToWorker } from "./worker.ts";

export interface Supervised {
  /** The thread ended by itself. */
  failed(error: Error): void;
  /** A device that was gone is there again. */
  returned(device: string): void;
}

interface Waiting {
  readonly resolve: (reading: Reading | null) => void;
  readonly reject: (error: Error) => void;
}

export class Supervisor {
  readonly #worker: Worker;
  readonly #channel = new MessageChannel();
  /** For each message that is answered, in order. */
  readonly #waiting: Waiting[] = [];
  readonly #ended: Promise<void>;
  readonly #helpers: readonly Worker[];
  #stopping = false;

  /** @param threads that forward, from 1 */
  constructor({ failed, returned }: Supervised, threads: number) {
    const { port1, port2 } = this.#channel;
    port1.unref();
    const helpers = Array.from({ length: threads - 1 }, (_, i) => this.#help(i + 1, failed));
    this.#helpers = helpers.map(({ worker }) => worker);
    const team = helpers.map(({ member }) => member);
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), {
      workerData: { port: port2, team },
      transferList: [port2, ...team.map(({ port }) => port)],
    });
    this.#worker.on("message", (message: FromWorker) => {
      if (message.kind === "returned") returned(message.device);
      else this.#answered(message);
    });
    this.#worker.on("error", (error) => this.#fail(error, failed));
    this.#ended = new Promise((resolve) => {
      this.#worker.once("exit", () => {
        if (!this.#stopping) this.#fail(new ForwardError("the thread that forwards has ended"), failed);
        resolve();
      });
    });
  }

  /** A thread beside the first, and what the first reaches it by. */
  #help(number: number, failed: (error: Error) => void): { readonly worker: Worker; readonly member: Member } {
    const { port1, port2 } = new MessageChannel();
    const signal = new SharedArrayBuffer(SIGNAL_BYTES);
    const workerData: Member = { port: port2, signal };
    const worker = new Worker(new URL("./helper.js", import.meta.url), { workerData, transferList: [port2] });
    worker.on("error", (error) => this.#fail(error, failed));
    worker.once("exit", () => {
      // So that the first does not wait for it when it undoes what was done.
      Atomics.store(new Int32Array(signal), Signal.OBEYED, ENDED);
      if (!this.#stopping) this.#fail(new ForwardError(`thread ${number} has ended`), failed);
    });
    return { worker, member: { port: port1, signal } };
  }

  /** Forwards by this network from now on. @throws ForwardError: it cannot; what was before goes on */
  async load(network: Network): Promise<void> {
    await this.#ask({ kind: "network", network });
  }

  async counters(): Promise<Reading> {
    return (await this.#ask({ kind: "counters" }))!;
  }

  /** Undoes what was done to the machine, and ends. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#post({ kind: "stop" });
    await this.#ended;
    await Promise.all(this.#helpers.map((helper) => helper.terminate()));
  }

  #ask(message: ToWorker): Promise<Reading | null> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#post(message);
    });
  }

  #post(message: ToWorker): void {
    this.#channel.port1.postMessage(message);
  }

  #answered(message: Exclude<FromWorker, { kind: "returned" }>): void {
    const waiting = this.#waiting.shift();
    if (message.kind === "refused") waiting?.reject(new ForwardError(message.why));
    else waiting?.resolve(message.kind === "counters" ? message.reading : null);
  }

  #fail(error: Error, failed: (error: Error) => void): void {
    this.#stopping = true;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    failed(error);
  }
}
