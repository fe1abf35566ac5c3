/** Worker threads that share frames by flow, and say what became of them; one that dies is an error, never waited for. */
import { Worker } from "node:worker_threads";
import { flowHash } from "../../runtime/flow-hash.ts";

/** Of each of `count` workers the frames of its flows, in their order. */
export const spread = <T extends { readonly bytes: Uint8Array }>(frames: readonly T[], count: number): T[][] =>
  Array.from({ length: count }, (_, k) => frames.filter(({ bytes }) => flowHash(bytes) % count === k));

/** A worker ended before it had done its work. */
export class WorkerDied extends Error {
  override readonly name = "WorkerDied";
}

export class Workers<Said> {
  readonly #members: readonly { readonly worker: Worker; readonly died: Promise<never> }[];

  /** @param file of the worker, built. @param data `workerData`, one for each */
  constructor(file: URL, data: readonly unknown[]) {
    this.#members = data.map((workerData, k) => {
      const worker = new Worker(file, { workerData });
      const died = new Promise<never>((_, reject) => {
        worker.once("error", (error) => reject(new WorkerDied(`worker ${k + 1}: ${error.message}`, { cause: error })));
        worker.once("exit", (status) => reject(new WorkerDied(`worker ${k + 1} has ended, with status ${status}`)));
      });
      // Who waits for a message is told; where nobody does, it is no error.
      died.catch(() => {});
      return { worker, died };
    });
  }

  /**
   * The next message of each; one may end when it has said its last.
   * @throws WorkerDied for the first that ends without a word; then the others have been ended too
   */
  async next(): Promise<Said[]> {
    const words = this.#members.map(({ worker, died }) =>
      Promise.race([new Promise<Said>((said) => worker.once("message", said)), died]),
    );
    try {
      return await Promise.all(words);
    } catch (error) {
      await this.terminate();
      throw error;
    }
  }

  /** Ends them, whatever they are doing. */
  async terminate(): Promise<void> {
    await Promise.all(this.#members.map(({ worker }) => worker.terminate()));
  }
}
