/** A worker of `vrfc bench --threads`: judges its frames in rounds that all workers begin together. */
import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { join } from "../../runtime/dataplane.ts";
import type { Seat } from "../../runtime/threads.ts";
import { Batches, type Frame } from "./batches.ts";
import { rendezvous } from "./rendezvous.ts";

export interface Work {
  readonly seat: Seat;
  readonly net: number;
  readonly frames: readonly Frame[];
  readonly slotSize: number;
  readonly seconds: number;
  readonly warmUpRounds: number;
  readonly workers: number;
  /** Of `rendezvous`. */
  readonly words: Int32Array;
}

/** Milliseconds, of each round and of each batch. */
export interface Times {
  readonly rounds: Float64Array;
  readonly batches: Float64Array;
}

async function run({ seat, net, frames, slotSize, seconds, warmUpRounds, workers, words }: Work): Promise<Times> {
  const load = new Batches(join(seat).net(net), frames, slotSize);
  const rounds: number[] = [];
  const batches: number[] = [];
  let end = Number.POSITIVE_INFINITY;
  for (let round = -warmUpRounds; ; round++) {
    load.restore();
    if (round === 0) end = performance.now() + seconds * 1000;
    if (!rendezvous(words, workers, () => round > 0 && performance.now() >= end)) break;
    if (round >= 0) rounds.push(load.judge((time) => batches.push(time)));
    else {
      load.judge();
      // The compiler's threads hand over what they have optimised.
      await setImmediate();
    }
  }
  return { rounds: Float64Array.from(rounds), batches: Float64Array.from(batches) };
}

parentPort!.postMessage(await run(workerData as Work));
