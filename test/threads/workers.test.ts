/** Worker threads over one memory that run at the same time as the thread that changes it: what they see, and what is left when they die. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { load } from "../../runtime/dataplane.ts";
import { parseIp } from "../../runtime/net/ip.ts";
import { Verdict } from "../../runtime/verdict.ts";
import { batchesOf, Crew, compiledForThreads, FRAMES, frames, type Team, totalOf, until } from "./crew.ts";
import { BURST, LIMITED, POLICY } from "./network.ts";
import { RESULT } from "./worker-protocol.ts";

let limited: WebAssembly.Module;
let module: WebAssembly.Module;
const crew = new Crew();
beforeAll(async () => {
  [module, limited] = await Promise.all([POLICY, LIMITED].map((policy) => compiledForThreads(policy)));
}, 60_000);
afterAll(() => crew.dismiss());

async function team(count: number, of: WebAssembly.Module): Promise<Team> {
  const dataplane = await load(of);
  if (of === module) dataplane.map("talkers").add("10.0.1.7");
  return crew.team(dataplane, count);
}

describe("two workers", () => {
  test("count together what they judged", async () => {
    const two = await team(2, module);
    await crew.stop(two);
    const judged = batchesOf(two.results).map((n) => BigInt(n * FRAMES));
    expect(totalOf(two.dataplane.counters(0))).toBe(judged[0] + judged[1]);
  });

  test("take no more from a bucket than is in it, and all of that", async () => {
    const two = await team(2, limited);
    await until(() => batchesOf(two.results).reduce((sum, n) => sum + n) * FRAMES > 2 * BURST);
    await crew.stop(two);
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
    await crew.stop(two);
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
      const [worker] = [...crew.running].filter((each) => each !== two.workers[1]);
      await worker.terminate();
      two.dataplane.threads.retire(two.seats[0]);
      const before = batchesOf(two.results);
      routes.add("10.9.0.0/16 via 10.0.2.7");
      await until(() => batchesOf(two.results)[1] >= before[1] + 2);
      expect(Atomics.load(two.results[1], RESULT.last) >>> 16).toBe(Verdict.UNRESOLVED);
      routes.delete("10.9.0.0/16");
      crew.start({ seat: two.seats[0], frames, results: two.results[0] }, two.errors);
      await until(() => batchesOf(two.results)[0] > before[0]);
    }
    const ends = [...crew.running].map((worker) => new Promise((exit) => worker.once("exit", exit)));
    await crew.stop(two);
    await Promise.all(ends);
    expect(two.results.map((words) => Atomics.load(words, RESULT.torn))).toEqual([0, 0]);
    const judged = batchesOf(two.results).reduce((sum, n) => sum + n) * FRAMES;
    const counted = Number(totalOf(two.dataplane.counters(0)));
    // A worker may die between its batch and its own count of it, or in the middle of a batch.
    expect(counted).toBeGreaterThanOrEqual(judged);
    expect(counted).toBeLessThanOrEqual(judged + 10 * FRAMES);
  }, 120_000);
});
