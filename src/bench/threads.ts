/**
 * How fast worker threads over one memory judge frames that are spread over them by flow. In each round all put their frames back, wait for
 * each other, and judge at the same time; a round lasts from the first worker's first batch to the last one's last, so that one with more of
 * the flows is waited for, and so is one that the machine has no processor for.
 */
import type { Model } from "../../dsl/model.ts";
import { batchBytes } from "../../runtime/batch.ts";
import { type Dataplane, join, load } from "../../runtime/dataplane.ts";
import type { Engine } from "../../runtime/engine.ts";
import { MOST_THREADS } from "../../runtime/threads.ts";
import { compileModel } from "../compile.ts";
import { BATCH, type Frame, quantile, slotSizeOf } from "./batches.ts";
import { type Measured, SAMPLE, verify, WARM_UP_ROUNDS } from "./measure.ts";
import { RENDEZVOUS_BYTES } from "./rendezvous.ts";
import type { Times, Work } from "./threads-worker.ts";
import { spread, Workers } from "./workers.ts";

/** Beside the thread that loads. */
export const MOST_WORKERS = MOST_THREADS - 1;
/** Of a seat beside its batches: the trace region, and what alignment takes. */
const SPARE_BYTES = 1 << 20;

export const loadShared = async (model: Model): Promise<Dataplane> =>
  load((await compileModel(model, { level: 2, threads: true })).artifact);

/**
 * @param net its index
 * @param frames all of them; `openBench` has answered for their neighbours, in the memory that all share
 * @throws RangeError when the memory has no room for so many workers' frames
 * @throws Disagreement
 * @throws WorkerDied
 */
export async function runThreads(
  dataplane: Dataplane,
  reference: Engine,
  { net, frames, workers, seconds }: { net: number; frames: readonly Frame[]; workers: number; seconds: number },
): Promise<Measured> {
  const words = new Int32Array(new SharedArrayBuffer(RENDEZVOUS_BYTES));
  const slotSize = slotSizeOf(frames);
  const shares = spread(frames.map(withoutModel), workers);
  const work = shares.map((share): Work => {
    const seat = dataplane.threads.seat({ bytes: seatBytes(share.length, slotSize) });
    verify(join(seat).net(net), reference, share.slice(0, SAMPLE), slotSize);
    return { seat, net, frames: share, slotSize, seconds, warmUpRounds: WARM_UP_ROUNDS, workers, words };
  });
  const team = new Workers<Times>(new URL("./threads-worker.js", import.meta.url), work);
  return summary(await team.next(), shares);
}

const seatBytes = (frames: number, slotSize: number): number =>
  Math.ceil(frames / BATCH) * batchBytes(BATCH, slotSize) + batchBytes(SAMPLE, slotSize) + SPARE_BYTES;

/** What a worker is sent. */
const withoutModel = ({ device: { ifindex }, bytes }: Frame): Frame => ({ device: { ifindex }, bytes });

function summary(times: readonly Times[], shares: readonly (readonly Frame[])[]): Measured {
  const packets = shares.reduce((sum, { length }) => sum + length, 0);
  const rounds = times[0].rounds.map((_, round) => {
    const began = Math.min(...times.map((worker) => worker.began[round]));
    return Math.max(...times.map((worker) => worker.ended[round])) - began;
  });
  const ns = (quantile(rounds, 0.5) * 1e6) / packets;
  const batches = times.flatMap((worker) => [...worker.batches]);
  return {
    packets: rounds.length * packets,
    ns,
    millionPerSecond: 1000 / ns,
    latency: { p50: 1000 * quantile(batches, 0.5), p99: 1000 * quantile(batches, 0.99) },
    workers: times.map((worker, k) => ({
      frames: shares[k].length,
      ns: shares[k].length === 0 ? null : (quantile(worker.rounds, 0.5) * 1e6) / shares[k].length,
    })),
  };
}
