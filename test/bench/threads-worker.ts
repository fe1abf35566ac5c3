/** A worker of `bench threads`: forwards its frames as often as it is told, and says when it is done. */
import { parentPort, workerData } from "node:worker_threads";
import { join, loadSync, type Seat } from "../../runtime/index.ts";
import { BATCH, type Frame, LIVES, put } from "./packets.ts";

export interface Work {
  /** A place in a memory that others work in too; or a module, to be loaded into a memory of its own. */
  readonly place: Seat | WebAssembly.Module;
  readonly frames: readonly Frame[];
  readonly slotSize: number;
  /** Words, shared: the round, and times over its frames in it. */
  readonly control: Int32Array;
}
export const ROUND = 0;
export const TIMES = 1;

/** Until it is ended. Says when it is ready, and after each round. */
function run({ place, frames, slotSize, control }: Work): void {
  const engine = (place instanceof WebAssembly.Module ? loadSync(place) : join(place)).net(0);
  const batches = Array.from({ length: Math.ceil(frames.length / BATCH) }, () => engine.createBatch(BATCH, slotSize));
  const restore = () => {
    for (const [b, batch] of batches.entries()) put(batch, frames.slice(b * BATCH, (b + 1) * BATCH));
  };
  restore();
  let runs = 0;
  for (let round = 0; ; round++) {
    parentPort!.postMessage(null);
    Atomics.wait(control, ROUND, round);
    const times = Atomics.load(control, TIMES);
    for (let i = 0; i < times; i++) {
      if (++runs % LIVES === 0) restore();
      for (const batch of batches) engine.process(batch);
    }
  }
}

if (workerData !== null) run(workerData as Work);
