/** Worker threads over one memory that run at the same time as the thread that changes it: what they see, and what is left when they die. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import { formatIp, parseIp } from "../../runtime/net/ip.ts";
import type { Seat } from "../../runtime/threads.ts";
import { Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { transpiled } from "../transpiled.ts";
import { BURST, frameTo, LIMITED, POLICY } from "./network.ts";
import { type Job, RESULT } from "./worker-protocol.ts";

const FRAMES = 64;
/** Routes below 10.9.0.0/16, one for each frame's destination, and of other lengths. */
const frames = Array.from({ length: FRAMES }, (_, i) => frameTo(formatIp((parseIp("10.9.0.1") as number) + i * 1024)));

let folder: string;
let module: WebAssembly.Module;
let limited: WebAssembly.Module;
const running = new Set<Worker>();
beforeAll(async () => {
  folder = transpiled(["test/threads/worker.ts", "test/threads/worker-protocol.ts"]);
  [module, limited] = await Promise.all(
    [POLICY, LIMITED].map(async (policy) => {
      const { artifact } = await compileModel(checkText(policy).model!, { level: 1, threads: true });
      return WebAssembly.compile(artifact);
    }),
  );
}, 60_000);
afterAll(async () => {
  for (const worker of running) await worker.terminate();
  rmSync(folder, { recursive: true, force: true });
});

interface Team {
  readonly dataplane: Dataplane;
  readonly seats: readonly Seat[];
  readonly workers: readonly Worker[];
  readonly results: readonly Int32Array[];
  errors: unknown[];
}

async function team(count: number, of: WebAssembly.Module): Promise<Team> {
  const dataplane = await load(of);
  if (of === module) dataplane.map("talkers").add("10.0.1.7");
  const seats = Array.from({ length: count }, () => dataplane.threads.seat({ bytes: 1 << 20 }));
  const results = seats.map(() => new Int32Array(new SharedArrayBuffer(16)));
  const errors: unknown[] = [];
  const workers = seats.map((seat, i) => start({ seat, frames, results: results[i] }, errors));
  await until(() => results.every((words) => Atomics.load(words, RESULT.batches) > 10));
  return { dataplane, seats, workers, results, errors };
}

function start(job: Job, errors: unknown[]): Worker {
  const worker = new Worker(pathToFileURL(join(folder, "test/threads/worker.js")), { workerData: job });
  running.add(worker);
  worker.on("error", (error) => errors.push(error)).on("exit", () => running.delete(worker));
  return worker;
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error("it does not happen");
    await sleep(1);
  }
}

async function stop({ workers, results, errors }: Team): Promise<void> {
  const ended = workers.map((worker) =>
    running.has(worker) ? new Promise((exit) => worker.once("exit", exit)) : null,
  );
  for (const words of results) Atomics.store(words, RESULT.stop, 1);
  await Promise.all(ended);
  expect(errors).toEqual([]);
}

const batchesOf = (results: readonly Int32Array[]): number[] =>
  results.map((words) => Atomics.load(words, RESULT.batches));
const totalOf = ({ verdicts }: ReturnType<Dataplane["counters"]>): bigint =>
  Object.values(verdicts).reduce((sum, n) => sum + n);

describe("two workers", () => {
  test("count together what they judged", async () => {
    const two = await team(2, module);
    await stop(two);
    const judged = batchesOf(two.results).map((n) => BigInt(n * FRAMES));
    expect(totalOf(two.dataplane.counters(0))).toBe(judged[0] + judged[1]);
  });

  test("take no more from a bucket than is in it, and all of that", async () => {
    const two = await team(2, limited);
    await until(() => batchesOf(two.results).reduce((sum, n) => sum + n) * FRAMES > 2 * BURST);
    await stop(two);
    expect(two.dataplane.counters(0).verdicts.UNRESOLVED).toBe(BigInt(BURST));
  }, 60_000);

  test("see a change whole or not at all, and after it has returned nothing else", async () => {
    const two = await team(2, module);
    const routes = two.dataplane.routes(0);
    two.dataplane.net(0).setNeighbour(4, parseIp("10.0.2.7")!, 0x020000000007);
    const seen = async (what: number) => {
      const before = batchesOf(two.results);
      // The batch that runs began behind the change; another one has been judged when two more are counted.
      await until(() => batchesOf(two.results).every((n, i) => n >= before[i] + 2));
      expect(two.results.map((words) => Atomics.load(words, RESULT.last) >>> 16)).toEqual([what, what]);
    };
    const rounds = 40;
    for (let round = 0; round < rounds; round++) {
      const prefixes = Array.from({ length: FRAMES }, (_, i) => `10.9.${i * 4}.0/${round % 2 === 0 ? 24 : 22}`);
      two.dataplane.threads.exclusively(() => {
        for (const prefix of prefixes) routes.add(`${prefix} via 10.0.2.7`);
      });
      await seen(Verdict.TRANSMIT);
      two.dataplane.map("blocked").add("10.9.0.0/16");
      await seen(Verdict.DROP);
      two.dataplane.map("blocked").delete("10.9.0.0/16");
      two.dataplane.threads.exclusively(() => {
        for (const prefix of prefixes) routes.delete(prefix);
      });
      await seen(Verdict.ICMP_ERROR);
    }
    await stop(two);
    expect(two.results.map((words) => Atomics.load(words, RESULT.torn))).toEqual([0, 0]);
    const { packets } = two.dataplane.map("talkers").get("10.0.1.7") as { packets: bigint };
    const { TRANSMIT, DROP } = two.dataplane.counters(0).verdicts;
    expect(packets).toBe(TRANSMIT + DROP);
  }, 120_000);

  test("one that is killed leaves the other, the changes and the counts as they are; its seat serves another", async () => {
    const two = await team(2, module);
    const routes = two.dataplane.routes(0);
    for (let round = 0; round < 10; round++) {
      await sleep(round);
      const [worker] = [...running].filter((each) => each !== two.workers[1]);
      await worker.terminate();
      two.dataplane.threads.retire(two.seats[0]);
      const before = batchesOf(two.results);
      routes.add("10.9.0.0/16 via 10.0.2.7");
      await until(() => batchesOf(two.results)[1] >= before[1] + 2);
      expect(Atomics.load(two.results[1], RESULT.last) >>> 16).toBe(Verdict.UNRESOLVED);
      routes.delete("10.9.0.0/16");
      start({ seat: two.seats[0], frames, results: two.results[0] }, two.errors);
      await until(() => batchesOf(two.results)[0] > before[0]);
    }
    const ends = [...running].map((worker) => new Promise((exit) => worker.once("exit", exit)));
    await stop(two);
    await Promise.all(ends);
    expect(two.results.map((words) => Atomics.load(words, RESULT.torn))).toEqual([0, 0]);
    const judged = batchesOf(two.results).reduce((sum, n) => sum + n) * FRAMES;
    const counted = Number(totalOf(two.dataplane.counters(0)));
    // A worker may die between its batch and its own count of it, or in the middle of a batch.
    expect(counted).toBeGreaterThanOrEqual(judged);
    expect(counted).toBeLessThanOrEqual(judged + 10 * FRAMES);
  }, 120_000);
});
