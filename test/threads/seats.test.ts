/**
 * Modules for several threads, their threads one after the other: what is shared is there once, what is not is each one's own, and all
 * together do what the reference does alone. Threads that run at the same time: workers.test.ts.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { type Dataplane, join, load, loadSync } from "../../runtime/dataplane.ts";
import { readManifest } from "../../runtime/manifest.ts";
import { parseIp } from "../../runtime/net/ip.ts";
import { MOST_THREADS, WorkerBusyError } from "../../runtime/threads.ts";
import { Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { fill, judged, SLOT_SIZE } from "../compiled/agree.ts";
import { anyChainPacket } from "../compiled/random-chain-packets.ts";
import { anyChains, anyPrograms, readChains } from "../compiled/random-chains.ts";
import { anyModel } from "../compiled/random-model.ts";
import { frameTo, POLICY } from "./network.ts";

const SEED = Number(process.env.FC_SEED ?? 5);
const RUNS = Number(process.env.FC_RUNS ?? 3);

const compiled = async (model: Model, level: 0 | 1 | 2 = 0) =>
  (await compileModel(model, { level, threads: true })).artifact;

/** The thread that loads, and others. */
function threads(dataplane: Dataplane, workers: number): Dataplane[] {
  return [dataplane, ...Array.from({ length: workers }, () => join(dataplane.threads.seat({ bytes: 1 << 20 })))];
}

describe("three threads, batch by batch in turn", () => {
  const drawn = fc.sample(fc.tuple(anyModel(), anyPrograms, anyChains), { seed: SEED, numRuns: RUNS });
  const batches = fc.sample(fc.array(anyChainPacket, { minLength: 1, maxLength: 40, size: "max" }), {
    seed: SEED,
    numRuns: 9,
  });
  test.each(drawn.map((one, i) => [i, one] as const))(
    "network %i: together as the reference alone, to counters and token buckets",
    async (i, [model, programs, chains]) => {
      const netfilter = readChains(`${programs}\n${chains}`);
      const filtered = { ...model, nets: model.nets.map((net) => ({ ...net, netfilter })) };
      const reference = referenceEngine(filtered.nets[0], filtered.kernel);
      const planes = threads(await load(await compiled(filtered, i === 0 ? 2 : 0)), 2);
      const size = Math.max(...batches.map(({ length }) => length)) + 20;
      const own = reference.createBatch(size, SLOT_SIZE);
      const others = planes.map((plane) => plane.net(0).createBatch(size, SLOT_SIZE));
      let now = 1_000_000_000n;
      for (const [round, packets] of batches.entries()) {
        const turn = round % planes.length;
        const engine = planes[turn].net(0);
        now += BigInt(round % 4) * 400_000_000n;
        for (const each of [reference, engine]) each.setTime(now);
        // A clock of a thread that lags behind.
        planes[(turn + 1) % 3].net(0).setTime(now - 1000n);
        fill(own, packets);
        fill(others[turn], packets);
        const expected = reference.trace(own);
        if (round % 2 === 0) expect(engine.trace(others[turn])).toEqual(expected);
        else engine.process(others[turn]);
        expect(judged(others[turn])).toEqual(judged(own));
        expect(planes[0].net(0).readCounters()).toEqual(reference.readCounters());
      }
      const totals = Object.values(planes[0].counters(0).verdicts).reduce((a, b) => a + b);
      const parts = planes.slice(1).map((plane) => Object.values(plane.counters(0).verdicts).reduce((a, b) => a + b));
      expect(parts.every((part) => part > 0n && part < totals)).toBe(true);
    },
    120_000,
  );
});

describe("a module for several threads", () => {
  let wasm: Uint8Array<ArrayBuffer>;
  let model: Model;
  beforeAll(async () => {
    model = checkText(POLICY).model!;
    wasm = await compiled(model);
  }, 60_000);

  const verdictOf = (plane: Dataplane, destination: string): number => {
    const batch = plane.net(0).createBatch(1, 512);
    batch.put(frameTo(destination), { entry: 0, device: 3 });
    plane.net(0).process(batch);
    return batch.column("verdict")[0];
  };

  test("says so in its manifest, and imports the memory; the portable one imports nothing", async () => {
    const module = await WebAssembly.compile(wasm);
    expect(readManifest(module)).toMatchObject({ features: expect.arrayContaining(["threads"]) });
    expect(WebAssembly.Module.imports(module)).toEqual([{ module: "vrfc", name: "memory", kind: "memory" }]);
    const portable = (await compileModel(model, { level: 0 })).artifact;
    expect(WebAssembly.Module.imports(await WebAssembly.compile(portable))).toEqual([]);
    expect(readManifest(portable).features).not.toContain("threads");
    expect(() => loadSync(new WebAssembly.Module(portable)).threads).toThrow("for one thread");
  });

  test("what one thread changes, all see: routes, neighbours, maps", async () => {
    const [first, ...workers] = threads(await load(wasm), 2);
    for (const plane of workers) expect(verdictOf(plane, "10.9.0.1")).toBe(Verdict.ICMP_ERROR);
    first.routes(0).add("10.9.0.0/16 via 10.0.2.7");
    for (const plane of workers) expect(verdictOf(plane, "10.9.0.1")).toBe(Verdict.UNRESOLVED);
    first.net(0).setNeighbour(4, parseIp("10.0.2.7")!, 0x020000000007);
    for (const plane of workers) expect(verdictOf(plane, "10.9.0.1")).toBe(Verdict.TRANSMIT);
    first.map("blocked").add("10.9.0.0/16");
    for (const plane of workers) expect(verdictOf(plane, "10.9.0.1")).toBe(Verdict.DROP);
  });

  test("counters of maps are there once, and carry into their upper word", async () => {
    const [first, one, other] = threads(await load(wasm), 2);
    first.map("talkers").add("10.0.1.7", { packets: 0xffff_ffffn, bytes: 0x1_ffff_ffffn });
    for (const plane of [one, other, one]) verdictOf(plane, "10.0.2.7");
    expect(first.map("talkers").get("10.0.1.7")).toEqual({
      packets: 0x1_0000_0002n,
      bytes: 0x2_0000_0000n + 3n * 28n - 1n,
    });
  });

  test("only the thread that loaded changes what is shared", async () => {
    const [, worker] = threads(await load(wasm), 1);
    expect(() => worker.routes(0)).toThrow("by the thread that loaded");
    expect(() => worker.map("blocked")).toThrow("by the thread that loaded");
    expect(() => worker.net(0).setNeighbour(4, 1, 2)).toThrow("by the thread that loaded");
    expect(() => worker.threads.seat()).toThrow("by the thread that loaded");
    expect(() => worker.threads.retire({ worker: 1 })).toThrow("by the thread that loaded");
  });

  test("a change waits for a thread inside of a batch, and gives up on one that stays there", async () => {
    const [first, worker] = threads(await load(wasm), 1);
    worker.threads.enter();
    expect(() => first.threads.exclusively(() => 1, 20)).toThrow(WorkerBusyError);
    expect(() => first.threads.exclusively(() => 1, 20)).toThrow("worker 1");
    worker.threads.leave();
    expect(first.threads.exclusively(() => first.threads.exclusively(() => 2))).toBe(2);
  });

  test("a retired seat holds nobody up, whatever its worker was doing, and serves another", async () => {
    const first = await load(wasm);
    const seat = first.threads.seat({ bytes: 1 << 20 });
    const dead = join(seat);
    expect(verdictOf(dead, "10.0.2.7")).toBe(Verdict.UNRESOLVED);
    dead.threads.enter();
    first.threads.retire(seat);
    first.routes(0).add("10.9.0.0/16 via 10.0.2.7");
    const another = join(seat);
    expect(verdictOf(another, "10.9.0.1")).toBe(Verdict.UNRESOLVED);
    expect(first.counters(0).verdicts.UNRESOLVED).toBe(2n);
  });

  test("a thread that died while it had the memory for itself does not keep it", async () => {
    const first = await load(wasm);
    const seat = first.threads.seat({ bytes: 1 << 20 });
    const dead = join(seat);
    let survived = false;
    dead.threads.exclusively(() => {
      first.threads.retire(seat);
      first.threads.exclusively(() => {
        survived = true;
      }, 20);
    });
    expect(survived).toBe(true);
  });

  test("an arena ends, and so do seats", async () => {
    const first = await load(wasm);
    const worker = join(first.threads.seat({ bytes: 1 << 16 }));
    expect(() => worker.net(0).createBatch(256)).toThrow(RangeError);
    expect(worker.net(0).createBatch(16).capacity).toBe(16);
    for (let i = 2; i < MOST_THREADS; i++) first.threads.seat({ bytes: 64 });
    expect(() => first.threads.seat({ bytes: 64 })).toThrow(RangeError);
  });
});
