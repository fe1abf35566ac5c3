/**
 * Programs and base chains that are modules of their own, on a module of several threads: attached, exchanged and taken off while two workers judge
 * batches. Each packet is judged by what was attached when its batch began, counters are exact, buckets and sets are there once.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { PacketBatch } from "../../runtime/batch.ts";
import { type Dataplane, join, load } from "../../runtime/dataplane.ts";
import type { RuleCounter } from "../../runtime/engine.ts";
import { loadProgram, type Program } from "../../runtime/links/manifest.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { compileProgram } from "../../src/program.ts";
import { batchesOf, Crew, compiledForThreads, FRAMES, frames, totalOf, until } from "./crew.ts";
import { BURST } from "./network.ts";
import { RESULT } from "./worker-protocol.ts";

/** Long enough for a classifier; the frames' destinations are 10.9.0.1, 10.9.4.1, ..., 10.9.252.1, and fall to the last rule. */
const LONG = Array.from({ length: 40 }, (_, i) => `ip daddr 10.8.${i}.0/24 counter drop`).join("\n");
const NETWORK = `
  sysctl net.ipv4.ip_forward = 1
  interface a { index 3; type veth; address 10.0.1.1/24; lladdr 02:00:00:00:00:a1 }
  interface b { index 4; address 10.0.2.1/24; lladdr 02:00:00:00:00:b1 }
  neighbour 10.0.2.7 lladdr 02:00:00:00:00:07 dev b
  route 10.9.0.0/16 via 10.0.2.7
  table ip own { chain own { type filter hook forward priority 10; counter } }
`;
const chain = (rules: string, more = ""): string =>
  `table ip t { counter seen { } \n ${more}\n chain p { type filter hook forward priority 0\n counter name seen\n ${rules}\n } }`;
const TEXTS = {
  passing: chain(`${LONG}\nip daddr 10.9.0.0/16 counter accept`),
  dropping: chain(`${LONG}\nip daddr 10.9.0.0/16 counter drop`),
  asking: chain("ip daddr @banned counter drop", "set banned { type ipv4_addr; flags interval }"),
  counting: chain("counter name ip daddr map @hits", "map hits { type ipv4_addr : counter; size 1024 }"),
  limited: chain(`limit rate 1/second burst ${BURST} packets accept\ndrop`),
  xdp: `program p on xdp a {\n${LONG.replaceAll("drop", "DROP")}\nip daddr 10.9.0.0/16 counter DROP\n}`,
  tc: "program p on tc egress b { counter; ip daddr 10.9.0.0/16 SHOT }",
} as const;
type Name = keyof typeof TEXTS;

let module: WebAssembly.Module;
const programs = new Map<Name, Program>();
const crew = new Crew();
beforeAll(async () => {
  module = await compiledForThreads(NETWORK);
  for (const [name, text] of Object.entries(TEXTS)) {
    const { model, diagnostics } = checkText(`${NETWORK}${text}`);
    expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
    const { artifact } = await compileProgram(model!, "p", { level: 1, threads: true, classifiers: { from: 8 } });
    programs.set(name as Name, await loadProgram(artifact));
  }
}, 120_000);
afterAll(() => crew.dismiss());

const attach = (dataplane: Dataplane, name: Name) => {
  const program = programs.get(name)!;
  return dataplane.attach(program.manifest.hook, program);
};
const packets = (counters: readonly RuleCounter[]): bigint => counters.reduce((sum, one) => sum + one.packets, 0n);
/** Of the chain's first counter, which has a name. */
const seen = (counters: readonly RuleCounter[], { manifest }: Program): bigint =>
  counters[manifest.counters.findIndex(({ name }) => name === "seen")].packets;

const batches = new WeakMap<Dataplane, PacketBatch>();
/** The verdicts of a batch, each once. */
function judge(plane: Dataplane): number[] {
  const batch = batches.get(plane) ?? plane.net(0).createBatch(FRAMES, 256);
  batches.set(plane, batch);
  batch.count = 0;
  for (const frame of frames) batch.put(frame, { entry: Entry.RECEIVE, device: 3 });
  plane.net(0).process(batch);
  return [...new Set(batch.column("verdict"))];
}

describe("threads in turn", () => {
  test.each(["dropping", "tc", "xdp"] as const)("%s: seats of before and after see it, and see it go", async (name) => {
    const first = await load(module);
    const before = join(first.threads.seat({ bytes: 1 << 20 }));
    expect(judge(before)).toEqual([Verdict.TRANSMIT]);
    const link = attach(first, name);
    const planes = [first, before, join(first.threads.seat({ bytes: 1 << 20 }))];
    for (const plane of planes) expect(judge(plane)).toEqual([Verdict.DROP]);
    // `seen` and the rule; of the programs one counter.
    expect(packets(link.readCounters())).toBe(BigInt((name === "dropping" ? 2 : 1) * 3 * FRAMES));
    expect(packets(link.detach())).toBe(BigInt((name === "dropping" ? 2 : 1) * 3 * FRAMES));
    for (const plane of planes) expect(judge(plane)).toEqual([Verdict.TRANSMIT]);
  });

  test("an update keeps what each thread has counted under a name", async () => {
    const first = await load(module);
    const link = attach(first, "dropping");
    const planes = [first, join(first.threads.seat({ bytes: 1 << 20 }))];
    for (const plane of planes) judge(plane);
    expect(seen(link.update(programs.get("passing")!), programs.get("dropping")!)).toBe(BigInt(2 * FRAMES));
    for (const plane of planes) expect(judge(plane)).toEqual([Verdict.TRANSMIT]);
    expect(seen(link.readCounters(), programs.get("passing")!)).toBe(BigInt(4 * FRAMES));
  });

  test("memory is the next one's: attaching and detaching does not take more", async () => {
    const first = await load(module);
    const worker = join(first.threads.seat({ bytes: 1 << 20 }));
    const round = (times: number): number => {
      for (let i = 0; i < times; i++) {
        const link = attach(first, i % 2 === 0 ? "dropping" : "passing");
        link.update(programs.get("asking")!);
        judge(worker);
        link.detach();
      }
      return first.memory.buffer.byteLength;
    };
    const before = round(10);
    expect(round(500)).toBe(before);
  });

  test("only the first attaches, and what is of one thread does not fit", async () => {
    const first = await load(module);
    const worker = join(first.threads.seat({ bytes: 1 << 20 }));
    expect(() => attach(worker, "dropping")).toThrow("by the thread that loaded");
    const { model } = checkText(`${NETWORK}${TEXTS.dropping}`);
    const single = await loadProgram((await compileProgram(model!, "p", { level: 0 })).artifact);
    expect(() => first.attach("forward", single)).toThrow("was compiled for one thread, the module for several");
  });
});

describe("two workers at a time", () => {
  test("attached, exchanged and taken off: no batch is torn, every packet is counted once", async () => {
    const dataplane = await load(module);
    const two = await crew.team(dataplane, 2);
    const counted = { dropped: 0n, seen: 0n };
    for (let round = 0; round < 60; round++) {
      const name = round % 2 === 0 ? "dropping" : "passing";
      const link = attach(dataplane, name);
      const before = batchesOf(two.results);
      await until(() => batchesOf(two.results).every((n, i) => n >= before[i] + 2));
      const expected = name === "dropping" ? Verdict.DROP : Verdict.TRANSMIT;
      expect(two.results.map((words) => Atomics.load(words, RESULT.last) >>> 16)).toEqual([expected, expected]);
      const other = name === "dropping" ? "passing" : "dropping";
      const first = link.update(programs.get(other)!);
      const last = link.detach();
      // `seen` goes on over the update; the rules have counters of their own.
      counted.seen += seen(last, programs.get(other)!);
      const ofRule = (counters: readonly RuleCounter[], of: Name): bigint =>
        packets(counters) - seen(counters, programs.get(of)!);
      counted.dropped += ofRule(name === "dropping" ? first : last, "dropping");
    }
    await crew.stop(two);
    expect(two.results.map((words) => Atomics.load(words, RESULT.torn))).toEqual([0, 0]);
    const { verdicts, reasons } = dataplane.counters(0);
    expect(reasons.NETFILTER_DROP).toBe(counted.dropped);
    expect(totalOf(dataplane.counters(0))).toBe(BigInt(batchesOf(two.results).reduce((sum, n) => sum + n) * FRAMES));
    // What was not dropped has passed the module's own chain, which counts behind.
    expect(dataplane.net(0).readCounters()[0].packets).toBe(verdicts.TRANSMIT);
    expect(counted.seen).toBeGreaterThan(counted.dropped);
  }, 120_000);

  test("a set that grows meanwhile is seen whole, and a map of counters is exact", async () => {
    const dataplane = await load(module);
    const asking = attach(dataplane, "asking");
    const counting = attach(dataplane, "counting");
    const two = await crew.team(dataplane, 2);
    const settled = async (what: number): Promise<void> => {
      const before = batchesOf(two.results);
      await until(() => batchesOf(two.results).every((n, i) => n >= before[i] + 2));
      expect(two.results.map((words) => Atomics.load(words, RESULT.last) >>> 16)).toEqual([what, what]);
    };
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 60; i++) asking.map("banned").add(`10.${20 + round}.${i}.0/25`);
      await settled(Verdict.TRANSMIT);
      asking.map("banned").add("10.9.0.0/16");
      await settled(Verdict.DROP);
      asking.map("banned").delete("10.9.0.0/16");
      if (round < 8) for (let i = 0; i < 8; i++) counting.map("hits").add(`10.9.${(round * 8 + i) * 4}.1`);
    }
    await crew.stop(two);
    expect(two.results.map((words) => Atomics.load(words, RESULT.torn))).toEqual([0, 0]);
    // Of a destination that was in the map from the start of the last round on, at the least what passed then.
    const hits = [...counting.map("hits").entries()].map(([, value]) => (value as unknown as RuleCounter).packets);
    expect(hits.length).toBe(64);
    const judged = BigInt(batchesOf(two.results).reduce((sum, n) => sum + n));
    for (const hit of hits) expect(hit > 0n && hit <= judged).toBe(true);
    const first = await load(module);
    const link = attach(first, "counting");
    for (let i = 0; i < FRAMES; i++) link.map("hits").add(`10.9.${i * 4}.1`);
    const team = await crew.team(first, 2);
    await crew.stop(team);
    const batches = BigInt(batchesOf(team.results).reduce((sum, n) => sum + n));
    for (const [, value] of link.map("hits").entries()) expect((value as unknown as RuleCounter).packets).toBe(batches);
  }, 120_000);

  test("take no more from a program's bucket than is in it, and all of that", async () => {
    const dataplane = await load(module);
    attach(dataplane, "limited");
    const two = await crew.team(dataplane, 2);
    await until(() => batchesOf(two.results).reduce((sum, n) => sum + n) * FRAMES > 2 * BURST);
    await crew.stop(two);
    expect(dataplane.counters(0).verdicts.TRANSMIT).toBe(BigInt(BURST));
  }, 60_000);

  test("an XDP program with a long list drops all of both, looked up ahead or not", async () => {
    const dataplane = await load(module);
    const link = attach(dataplane, "xdp");
    const two = await crew.team(dataplane, 2);
    await crew.stop(two);
    const judged = BigInt(batchesOf(two.results).reduce((sum, n) => sum + n) * FRAMES);
    expect(packets(link.readCounters())).toBe(judged);
    expect(two.results.map((words) => Atomics.load(words, RESULT.torn))).toEqual([0, 0]);
  }, 60_000);
});
