/** A worker of workers.test.ts: judges the same frames again and again, and keeps count in shared words of what became of them. */
import { workerData } from "node:worker_threads";
import { Entry, join, Verdict } from "../../runtime/index.ts";
import { type Job, RESULT } from "./worker-protocol.ts";

function run({ seat, frames, results }: Job): void {
  const engine = join(seat).net(0);
  const batch = engine.createBatch(frames.length, 256);
  while (Atomics.load(results, RESULT.stop) === 0) {
    batch.count = 0;
    for (const frame of frames) batch.put(frame, { entry: Entry.RECEIVE, device: 3 });
    engine.process(batch);
    const answers = Array.from(batch.column("verdict"), (verdict, i) => (verdict << 16) | batch.column("outDevice")[i]);
    if (answers.some((answer) => answer !== answers[0])) Atomics.add(results, RESULT.torn, 1);
    Atomics.store(results, RESULT.last, answers[0]);
    Atomics.add(results, RESULT.batches, 1);
    if (answers[0] >>> 16 === Verdict.NONE) throw new Error("a batch was not judged");
  }
}

run(workerData as Job);
