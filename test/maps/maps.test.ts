/**
 * Sets and maps that the host changes between batches: the program finds what the reference finds after the same changes, and what a
 * reference of the changed text finds.
 */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import type { Engine } from "../../runtime/engine.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { answers, anyChange, anyPacket, contentsOf, counted, frame, modelOf, type Packet, policy } from "./changes.ts";

const RUNS = Number(process.env.FC_RUNS ?? 8);

const own = modelOf(policy());
let artifact: Uint8Array<ArrayBuffer>;
beforeAll(async () => {
  artifact = (await compileModel(own, { level: 0 })).artifact;
}, 60_000);

const mapsOf = (engine: Engine) => (name: string) => engine.map(name);

describe("random changes", () => {
  test("do what they do in the reference, and what a reference of the changed text does", async () => {
    const change = fc.record({ change: anyChange, remove: fc.integer({ min: 0, max: 3 }).map((n) => n === 0) });
    const packets = fc.array(anyPacket, { minLength: 1, maxLength: 20 });
    const rounds = fc.array(fc.record({ changes: fc.array(change, { maxLength: 8, size: "max" }), packets }), {
      minLength: 1,
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(rounds, async (drawn) => {
        const engine = (await load(artifact)).net(0);
        const reference = referenceEngine(own.nets[0], own.kernel);
        for (const { changes, packets } of drawn) {
          for (const { change, remove } of changes)
            for (const map of [engine, reference].map((each) => each.map(change.map))) {
              const there = map.has(change.key);
              if (remove) expect(map.delete(change.key)).toBe(there);
              else map.add(change.key, change.value);
            }
          const before = [engine, reference].map((each) => each.readCounters().map(({ packets: n }) => n));
          const found = answers(engine, packets, before[0]);
          expect(found).toEqual(answers(reference, packets, before[1]));
          expect(counted(mapsOf(engine))).toEqual(counted(mapsOf(reference)));
          const anew = referenceEngine(modelOf(policy(contentsOf(mapsOf(engine)))).nets[0], own.kernel);
          expect(found).toEqual(answers(anew, packets, []));
        }
      }),
      { numRuns: RUNS },
    );
  }, 120_000);
});

describe("one module", () => {
  let dataplane: Dataplane;
  const judge = (...packets: Packet[]) => answers(dataplane.net(0), packets, []);
  beforeAll(async () => {
    dataplane = await load(artifact);
  });

  test("a blocklist: the longest prefix decides", () => {
    const blocked = dataplane.map("blocked");
    expect(judge([0x0a000009, 53]).verdict).not.toEqual([Verdict.DROP]);
    blocked.add("10.0.0.0/24", "DROP");
    blocked.add("10.0.0.9", "PASS");
    expect(judge([0x0a000009, 53], [0x0a00000a, 53]).verdict[1]).toBe(Verdict.DROP);
    expect(judge([0x0a000009, 53]).verdict).not.toEqual([Verdict.DROP]);
    expect(blocked.get("10.0.0.0/24")).toBe("DROP");
    expect(blocked.get("10.0.0.0/25")).toBeUndefined();
    expect(blocked.delete("10.0.0.0/24")).toBe(true);
    expect(blocked.delete("10.0.0.0/24")).toBe(false);
    blocked.clear();
    expect(blocked.size).toBe(0);
  });

  test("numbers, text and lists are keys", () => {
    const hosts = dataplane.map("hosts");
    hosts.add(0x0a000007);
    expect(hosts.has("10.0.0.7")).toBe(true);
    dataplane.map("pairs").add(["10.0.0.1-10.0.0.9", 53]);
    expect([...dataplane.map("pairs").entries()]).toEqual([["10.0.0.1-10.0.0.9 . 53", null]]);
    hosts.replace([["10.0.0.1"], ["10.0.0.2"]]);
    expect([...hosts.entries()].map(([key]) => key).sort()).toEqual(["10.0.0.1", "10.0.0.2"]);
  });

  test("an array has all its elements", () => {
    const classes = dataplane.map("classes");
    expect(classes.get(3)).toBe(0);
    classes.add(3, 7);
    expect([classes.get(3), classes.get(4)]).toEqual([7, 0]);
    expect(() => classes.delete(3)).toThrow("its elements stay");
    expect(() => classes.add(8, 1)).toThrow("has 8 elements");
  });

  test("counters of a map: read, set to 0, kept when a trace is taken again", () => {
    const [hits, talkers] = [dataplane.map("hits"), dataplane.map("talkers")];
    hits.clear();
    talkers.add("10.0.0.9");
    judge([0x0a000009, 53], [0x0a000009, 53], [0x0a00000a, 54], [0x0a000009, 60]);
    expect([hits.get(53), hits.get(54), hits.get(55)]).toEqual([
      { packets: 2n, bytes: 56n },
      { packets: 1n, bytes: 28n },
      { packets: 0n, bytes: 0n },
    ]);
    // Port 60 is beyond the array: that rule ended there.
    expect(() => hits.get(60)).toThrow("has 58 elements");
    expect([...talkers.entries()]).toEqual([["10.0.0.9", { packets: 3n, bytes: 84n }]]);
    // More frames than the trace region has room for at first: they are judged again, and counted once.
    const engine = dataplane.net(0);
    const many = engine.createBatch(4096, 256);
    for (let i = 0; i < 4096; i++) many.put(frame([0x0a000009, 53]), { entry: Entry.RECEIVE, device: 4 });
    engine.trace(many);
    expect(talkers.get("10.0.0.9")).toEqual({ packets: 4099n, bytes: 4099n * 28n });
    hits.reset(53);
    expect([hits.get(53), hits.get(54)]).toEqual([
      { packets: 0n, bytes: 0n },
      { packets: 1n, bytes: 28n },
    ]);
    talkers.reset();
    expect([...talkers.entries()]).toEqual([["10.0.0.9", { packets: 0n, bytes: 0n }]]);
    hits.add(7, { packets: 5n, bytes: 300n });
    expect(hits.get(7)).toEqual({ packets: 5n, bytes: 300n });
    expect(() => dataplane.map("marks").reset()).toThrow("has no counters");
    expect(() => talkers.reset("10.0.0.10")).toThrow("has no 10.0.0.10");
  });

  test("a device map: a frame leaves by the device of its element; without one the next rule is asked", () => {
    const outlets = dataplane.map("outlets");
    outlets.add(57, "b");
    const judged = answers(dataplane.net(0), [[0x0a0000f0, 57]], []);
    expect([judged.verdict[0], judged.outDevice[0]]).toEqual([Verdict.TRANSMIT, 5]);
    expect(() => outlets.add(57, 77)).toThrow("no such device");
    expect(() => outlets.add(57, "c")).toThrow("is no iface_index");
    expect([outlets.get(57), outlets.size]).toEqual([5, 1]);
    expect(outlets.delete(57)).toBe(true);
    expect([outlets.get(57), outlets.size]).toEqual([undefined, 0]);
    const passed = answers(dataplane.net(0), [[0x0a0000f0, 57]], []);
    expect(passed.verdict[0]).not.toBe(Verdict.TRANSMIT);
  });

  test.each<[string, string, string, string | number | undefined, string]>([
    ["no address", "hosts", "10.0.0.256", undefined, "is no ipv4_addr"],
    ["an address of the other family", "hosts", "2001:db8::1", undefined, "is no ipv4_addr"],
    ["a range where values are held", "hosts", "10.0.0.0/24", undefined, "single values"],
    ["too few fields", "pairs", "10.0.0.1", undefined, "2 fields, not 1"],
    ["a number that does not fit", "pairs", "10.0.0.1 . 65536", undefined, "does not fit into 16 bits"],
    ["a range the wrong way round", "nets", "10.0.0.9-10.0.0.1", undefined, "ends before it begins"],
    ["a value in a set", "hosts", "10.0.0.1", 1, "is a set"],
    ["a map's element without a value", "marks", "10.0.0.1", undefined, "needs a value"],
    ["what is no prefix, of prefixes", "blocked", "10.0.0.1-10.0.0.2", "DROP", "is none"],
    ["a value of a counter that is none", "talkers", "10.0.0.1", 7, "{ packets, bytes }"],
    ["a word that the map cannot say", "ports", "53", "DROP", "can say accept, drop"],
  ])("refuses %s, and nothing changes", (_, name, key, value, message) => {
    const map = dataplane.map(name);
    const before = [...map.entries()];
    expect(() => map.add(key, value)).toThrow(message);
    expect(() => map.update([["10.0.0.77"], [key, value]])).toThrow(RangeError);
    expect([...map.entries()]).toEqual(before);
  });

  test("refuses ranges that overlap, and maps that are not there", () => {
    const nets = dataplane.map("nets");
    nets.replace([["10.0.0.0/24"]]);
    expect(() => nets.add("10.0.0.128/25")).toThrow("overlaps 10.0.0.0/24");
    expect([...nets.entries()]).toEqual([["10.0.0.0/24", null]]);
    expect(() => dataplane.map("nothing")).toThrow("no set or map nothing");
    expect(() => dataplane.map("hosts", "elsewhere")).toThrow("no namespace");
  });

  test.each([
    ["hosts", (n: number) => 0x0a000000 + (n % 5000), undefined],
    ["nets", (n: number) => `10.0.${n % 250}.0/25`, undefined],
    ["pairs", (n: number) => `10.0.0.${n % 50} . 1-5`, undefined],
    ["marks", (n: number) => 0x0a000000 + (n % 5000), 7],
    ["blocked", (n: number) => `10.${n % 100}.${n % 77}.0/24`, "DROP"],
    ["blocked6", (n: number) => `2001:db8:${n % 100}:${n % 77}::/64`, "DROP"],
    ["regions", (n: number) => `10.${n % 100}.${n % 77}.0/24`, undefined],
  ] as const)("memory is used again: %s", (name, keyOf, value) => {
    const map = dataplane.map(name);
    map.clear();
    const change = (n: number) => {
      const key = keyOf(Math.imul(n, 0x9e3779b1) >>> 8);
      if (map.has(key)) map.delete(key);
      else map.add(key, value);
    };
    for (let n = 0; n < 3000; n++) change(n);
    const before = dataplane.allocate(0);
    for (let n = 0; n < 8000; n++) change(n);
    expect(dataplane.allocate(0) - before).toBeLessThan(1 << 18);
  });

  test("a hundred thousand come and go", () => {
    const hosts = dataplane.map("hosts");
    hosts.clear();
    for (let n = 0; n < 100_000; n++) hosts.add(0x0b000000 + n);
    expect(hosts.size).toBe(100_000);
    expect(hosts.has("11.1.134.159")).toBe(true);
    expect(hosts.has("11.1.134.160")).toBe(false);
    const before = dataplane.allocate(0);
    for (let n = 0; n < 100_000; n++) {
      expect(hosts.delete(0x0b000000 + n)).toBe(true);
      hosts.add(0x0c000000 + n);
    }
    expect([hosts.size, dataplane.allocate(0)]).toEqual([100_000, before]);
    expect(judge([0x0b000001, 53], [0x0c000001, 53]).counters[0]).toBeGreaterThan(0n);
    hosts.clear();
  });
});

test("README: change sets and maps while packets flow", async () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const code = /## Change sets and maps[\s\S]*?```js\n([\s\S]*?)```/.exec(readme)![1].replace(/^import .*$/gm, "");
  const printed: unknown[][] = [];
  const run = new Function("load", "readFile", "console", `return (async () => {${code}})()`);
  await run(load, () => artifact, { log: (...values: unknown[]) => printed.push(values) });
  expect(printed).toEqual([
    [
      "DROP",
      [
        ["203.0.113.0/24", "DROP"],
        ["203.0.113.7", "PASS"],
      ],
    ],
  ]);
});
