/** A worker of `vrfc bench --threads`: judges its frames in rounds that all workers begin together. */
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

/** Milliseconds. */
export interface Times {
  /** When each round began and ended, by a clock that all threads share. */
  readonly began: Float64Array;
  readonly ended: Float64Array;
  /** What this worker's batches took, of each round and each. */
  readonly rounds: Float64Array;
  readonly batches: Float64Array;
}

/** `performance.now()` has another origin in each thread. */
const now = (): number => Number(process.hrtime.bigint()) / 1e6;

async function run({ seat, net, frames, slotSize, seconds, warmUpRounds, workers, words }: Work): Promise<Times> {
  const load = new Batches(join(seat).net(net), frames, slotSize);
  const [began, ended, rounds]: number[][] = [[], [], []];
  const batches: number[] = [];
  let end = Number.POSITIVE_INFINITY;
  for (let round = -warmUpRounds; ; round++) {
    load.restore();
    if (round === 0) end = now() + seconds * 1000;
    if (!rendezvous(words, workers, () => round > 0 && now() >= end)) break;
    if (round >= 0) {
      began.push(now());
      rounds.push(load.judge((time) => batches.push(time)));
      ended.push(now());
    } else {
      load.judge();
      // The compiler's threads hand over what they have optimised.
      await setImmediate();
    }
  }
  const [b, e, r, all] = [began, ended, rounds, batches].map((times) => Float64Array.from(times));
  return { began: b, ended: e, rounds: r, batches: all };
}

parentPort!.postMessage(await run(workerData as Work));
