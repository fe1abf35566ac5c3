/** Workers that judge the same batch again and again, started, watched and stopped. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { expect } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { Dataplane } from "../../runtime/dataplane.ts";
import { formatIp, parseIp } from "../../runtime/net/ip.ts";
import type { Seat } from "../../runtime/threads.ts";
import { compileModel } from "../../src/compile.ts";
import { transpiled } from "../transpiled.ts";
import { frameTo } from "./network.ts";
import { type Job, RESULT } from "./worker-protocol.ts";

/** Packets of a batch. */
export const FRAMES = 64;
/** To destinations with routes below 10.9.0.0/16, one for each, and of other lengths. */
export const frames = Array.from({ length: FRAMES }, (_, i) =>
  frameTo(formatIp((parseIp("10.9.0.1") as number) + i * 1024)),
);

export const compiledForThreads = async (policy: string): Promise<WebAssembly.Module> =>
  WebAssembly.compile((await compileModel(checkText(policy).model!, { level: 1, threads: true })).artifact);

export interface Team {
  readonly dataplane: Dataplane;
  readonly seats: readonly Seat[];
  readonly workers: readonly Worker[];
  /** By RESULT. */
  readonly results: readonly Int32Array[];
  readonly errors: unknown[];
}

export class Crew {
  readonly running = new Set<Worker>();
  readonly #folder = transpiled(["test/threads/worker.ts", "test/threads/worker-protocol.ts"]);

  /** When each has judged some batches. */
  async team(dataplane: Dataplane, count: number): Promise<Team> {
    const seats = Array.from({ length: count }, () => dataplane.threads.seat({ bytes: 1 << 20 }));
    const results = seats.map(() => new Int32Array(new SharedArrayBuffer(16)));
    const errors: unknown[] = [];
    const workers = seats.map((seat, i) => this.start({ seat, frames, results: results[i] }, errors));
    await until(() => errors.length > 0 || results.every((words) => Atomics.load(words, RESULT.batches) > 10));
    expect(errors).toEqual([]);
    return { dataplane, seats, workers, results, errors };
  }

  start(job: Job, errors: unknown[]): Worker {
    const worker = new Worker(pathToFileURL(join(this.#folder, "test/threads/worker.js")), { workerData: job });
    this.running.add(worker);
    worker.on("error", (error) => errors.push(error)).on("exit", () => this.running.delete(worker));
    return worker;
  }

  async stop({ workers, results, errors }: Team): Promise<void> {
    const ended = workers.map((worker) =>
      this.running.has(worker) ? new Promise((exit) => worker.once("exit", exit)) : null,
    );
    for (const words of results) Atomics.store(words, RESULT.stop, 1);
    await Promise.all(ended);
    expect(errors).toEqual([]);
  }

  async dismiss(): Promise<void> {
    for (const worker of this.running) await worker.terminate();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error("it does not happen");
    await sleep(1);
  }
}

/** Batches that each worker has judged. */
export const batchesOf = (results: readonly Int32Array[]): number[] =>
  results.map((words) => Atomics.load(words, RESULT.batches));

export const totalOf = ({ verdicts }: ReturnType<Dataplane["counters"]>): bigint =>
  Object.values(verdicts).reduce((sum, n) => sum + n);
