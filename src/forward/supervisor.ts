/** The thread that forwards, as seen from the one that compiles: networks in, counters out. */
import { MessageChannel, Worker } from "node:worker_threads";
import type { Reading } from "./counters.ts";
import type { Network } from "./forwarder.ts";
import { ForwardError } from "./native.ts";
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
  #stopping = false;

  constructor({ failed, returned }: Supervised) {
    const { port1, port2 } = this.#channel;
    port1.unref();
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), {
      workerData: { port: port2 },
      transferList: [port2],
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
