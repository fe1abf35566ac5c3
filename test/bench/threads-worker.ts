/** A worker of `bench threads`: forwards its frames as often as it is told, and says when it is done. */
import { workerData } from "node:worker_threads";
import { join, loadSync, type Seat } from "../../runtime/index.ts";
import { BATCH, type Frame, LIVES, put } from "./packets.ts";

export interface Work {
  /** A place in a memory that others work in too; or a module, to be loaded into a memory of its own. */
  readonly place: Seat | WebAssembly.Module;
  readonly frames: readonly Frame[];
  readonly slotSize: number;
  /** Words, shared: the round, times over its frames in it (0: end), workers that are done. */
  readonly control: Int32Array;
}
export const ROUND = 0;
export const TIMES = 1;
export const DONE = 2;

/** Until it is told to end. */
function run({ place, frames, slotSize, control }: Work): void {
  const engine = (place instanceof WebAssembly.Module ? loadSync(place) : join(place)).net(0);
  const batches = Array.from({ length: Math.ceil(frames.length / BATCH) }, () => engine.createBatch(BATCH, slotSize));
  const restore = () => {
    for (const [b, batch] of batches.entries()) put(batch, frames.slice(b * BATCH, (b + 1) * BATCH));
  };
  restore();
  let runs = 0;
  for (let round = 0; ; round++) {
    Atomics.wait(control, ROUND, round);
    const times = Atomics.load(control, TIMES);
    if (times === 0) return;
    for (let i = 0; i < times; i++) {
      if (++runs % LIVES === 0) restore();
      for (const batch of batches) engine.process(batch);
    }
    Atomics.add(control, DONE, 1);
    Atomics.notify(control, DONE);
  }
}

if (workerData !== null) run(workerData as Work);
