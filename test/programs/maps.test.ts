/**
 * Sets and maps of attached programs, changed while batches flow: the program finds what the reference finds after the same changes of
 * the whole text, and what a reference of the changed text finds.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import type { Model } from "../../dsl/model.ts";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import type { RuleCounter } from "../../runtime/engine.ts";
import type { Link } from "../../runtime/links/links.ts";
import { loadProgram, type Program } from "../../runtime/links/manifest.ts";
import type { NamedMap } from "../../runtime/maps/map.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { compileProgram } from "../../src/program.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import {
  answers,
  anyChange,
  anyPacket,
  contentsOf,
  counted,
  frame,
  modelOf,
  type Packet,
  policy,
} from "../maps/changes.ts";

const RUNS = Number(process.env.FC_RUNS ?? 8);
/** Maps that the XDP program asks; the chain asks the others. */
const OF_XDP = ["blocked", "blocked6", "outlets"];

const whole = modelOf(policy());
const programOf = async (model: Model, name: string): Promise<Program> =>
  loadProgram((await compileProgram(model, name, { level: 1 })).artifact);
let main: Uint8Array<ArrayBuffer>;
let scrub: Program;
let chain: Program;
beforeAll(async () => {
  const netfilter = { ...whole.nets[0].netfilter, hooks: [], programs: [] };
  main = (await compileModel({ ...whole, nets: [{ ...whole.nets[0], netfilter }] }, { level: 0 })).artifact;
  scrub = await programOf(whole, "scrub");
  chain = await programOf(whole, "c");
}, 60_000);

interface Attached {
  readonly dataplane: Dataplane;
  readonly xdp: Link;
  readonly link: Link;
  map(name: string): NamedMap;
}

async function attached(): Promise<Attached> {
  const dataplane = await load(main);
  const [xdp, link] = [dataplane.attach("xdp", scrub), dataplane.attach("prerouting", chain)];
  return { dataplane, xdp, link, map: (name) => (OF_XDP.includes(name) ? xdp : link).map(name) };
}

const packetsOf = (counters: readonly RuleCounter[]): bigint[] => counters.map(({ packets }) => packets);

describe("random changes", () => {
  test("do what they do in the reference, and what a reference of the changed text does", async () => {
    const change = fc.record({ change: anyChange, remove: fc.integer({ min: 0, max: 3 }).map((n) => n === 0) });
    const packets = fc.array(anyPacket, { minLength: 1, maxLength: 20 });
    const round = fc.record({
      changes: fc.array(change, { maxLength: 8, size: "max" }),
      packets,
      update: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 6 }), async (drawn) => {
        const { dataplane, xdp, link, map } = await attached();
        const reference = referenceEngine(whole.nets[0], whole.kernel);
        const ofReference = (name: string): NamedMap => reference.map(name);
        for (const { changes, packets, update } of drawn) {
          for (const { change, remove } of changes)
            for (const one of [map(change.map), ofReference(change.map)]) {
              const there = one.has(change.key);
              if (remove) expect(one.delete(change.key)).toBe(there);
              else one.add(change.key, change.value);
            }
          if (update) {
            xdp.update(scrub);
            link.update(chain);
          }
          const [own, its] = [packetsOf(link.readCounters()), packetsOf(reference.readCounters())];
          const found = answers(dataplane.net(0), packets, own, () => link.readCounters());
          expect(found).toEqual(answers(reference, packets, its));
          expect(counted(map)).toEqual(counted(ofReference));
          const anew = referenceEngine(modelOf(policy(contentsOf(map))).nets[0], whole.kernel);
          expect(found).toEqual(answers(anew, packets, []));
        }
      }),
      { numRuns: RUNS },
    );
  }, 120_000);
});

describe("one link", () => {
  const judge = ({ dataplane }: Attached, ...packets: Packet[]) => answers(dataplane.net(0), packets, []);

  test("only what a program asks is its own, with what it alone can say", async () => {
    const { xdp, link } = await attached();
    expect(xdp.program.sets.map(({ name }) => name)).toEqual(OF_XDP);
    expect(() => xdp.map("hosts")).toThrow("no set or map hosts in this program");
    expect(() => link.map("blocked")).toThrow(RangeError);
    expect(() => link.map("ports").add("53", "DROP")).toThrow("can say accept, drop");
    expect(link.map("ports").kind).toBeNull();
    expect(xdp.map("blocked").kind).toBe("lpm_trie");
  });

  test("two links of one program have maps of their own", async () => {
    const { dataplane, xdp, map } = await attached();
    const other = dataplane.attach("xdp", scrub, { device: 5 });
    map("outlets").add(57, "b");
    expect([map("outlets").get(57), other.map("outlets").get(57)]).toEqual([5, undefined]);
    other.detach();
    expect(xdp.map("outlets").get(57)).toBe(5);
  });

  test("a map that was asked for is that of the program which runs; a detached one has none", async () => {
    const all = await attached();
    const { xdp } = all;
    const blocked = xdp.map("blocked");
    blocked.add("10.0.0.0/24", "DROP");
    expect(judge(all, [0x0a000009, 53]).verdict).toEqual([Verdict.DROP]);
    xdp.update(scrub);
    expect(judge(all, [0x0a000009, 53]).verdict).toEqual([Verdict.DROP]);
    expect(blocked.delete("10.0.0.0/24")).toBe(true);
    expect(judge(all, [0x0a000009, 53]).verdict).not.toEqual([Verdict.DROP]);
    xdp.detach();
    for (const call of [() => blocked.add("10.0.0.0/24", "DROP"), () => blocked.size, () => xdp.map("blocked")])
      expect(call).toThrow(expect.objectContaining({ code: "ENOLINK" }));
    const again = all.dataplane.attach("xdp", scrub);
    expect([...again.map("blocked").entries()]).toEqual([]);
  });

  test("an update keeps what is alike, and has the rest as its text says", async () => {
    const all = await attached();
    const text = policy({ marks: ["10.0.0.1 : 3"], hosts: ["10.0.0.1"], talkers: ["10.0.0.1"] });
    all.map("marks").add("10.0.0.9", 7);
    all.map("hosts").add("10.0.0.9");
    all.map("talkers").add("10.0.0.9");
    judge(all, [0x0a000009, 53], [0x0a000009, 53]);
    const other = await programOf(
      modelOf(
        text
          .replaceAll("type ipv4_addr : mark", "type ether_addr : mark")
          .replace("elements = { 10.0.0.1 : 3 }", "elements = { 00:00:00:00:02:aa : 3 }")
          .replace("ip saddr map @marks", "ether saddr map @marks"),
      ),
      "c",
    );
    all.link.update(other);
    expect([...all.map("hosts").entries()]).toEqual([["10.0.0.9", null]]);
    expect([...all.map("talkers").entries()]).toEqual([["10.0.0.9", { packets: 2n, bytes: 56n }]]);
    expect([...all.map("marks").entries()]).toEqual([["00:00:00:00:02:aa", 3]]);
    expect(judge(all, [0x0a000009, 53]).mark).toEqual([3]);
  });

  test("an update that has not the room leaves the old program whole", async () => {
    const all = await attached();
    const small = await programOf(modelOf(policy().replace("set hosts {", "set hosts { size 2;")), "c");
    const hosts = all.map("hosts");
    hosts.replace([["10.0.0.9"], ["10.0.0.10"], ["10.0.0.11"]]);
    all.map("talkers").add("10.0.0.9");
    judge(all, [0x0a000009, 53]);
    const [heap, counters] = [all.dataplane.allocate(0), all.link.readCounters()];
    for (let i = 0; i < 100; i++)
      expect(() => all.link.update(small)).toThrow(
        expect.objectContaining({ code: "E2BIG", message: "hosts is full: it holds 2 elements" }),
      );
    expect(all.link.readCounters()).toEqual(counters);
    expect(all.map("talkers").get("10.0.0.9")).toEqual({ packets: 1n, bytes: 28n });
    expect(hosts.size).toBe(3);
    const before = packetsOf(counters);
    expect(answers(all.dataplane.net(0), [[0x0a000009, 53]], before, () => all.link.readCounters()).counters[0]).toBe(
      1n,
    );
    hosts.delete("10.0.0.11");
    all.link.update(small);
    expect(() => all.map("hosts").add("10.0.0.12")).toThrow("is full");
    // What the first of the updates that failed took is used again.
    const kept = all.dataplane.allocate(0);
    expect(kept - heap).toBeLessThan(64 * 1024);
  });

  test("a thousand updates, and links that come and go: contents stay, and so does memory", async () => {
    const all = await attached();
    const addresses = Array.from({ length: 200 }, (_, i): [string] => [`10.${i}.0.9`]);
    all.map("hosts").update(addresses);
    all.map("nets").update(addresses.map(([address]) => [`${address}-10.${address.split(".")[1]}.0.77`]));
    all.map("pairs").update(addresses.map(([address]) => [`${address} . 53`]));
    all.map("blocked").update(addresses.map(([address]) => [`${address}/32`, "DROP"]));
    all.map("blocked6").update(addresses.map((_, i) => [`2001:db8:${i}::/48`, "DROP"]));
    all.map("outlets").add(57, "b");
    const contents = contentsOf(all.map);
    const engine = all.dataplane.net(0);
    const batch = engine.createBatch(2, 256);
    let steady: unknown = null;
    for (let i = 0; i < 1000; i++) {
      all.xdp.update(scrub);
      all.link.update(chain);
      all.map("hosts").add("10.9.9.9");
      all.map("blocked").add("10.9.9.0/24", "DROP");
      batch.count = 0;
      for (const source of [0x0a000009, 0x0a090909])
        batch.put(frame([source, 53]), { entry: Entry.RECEIVE, device: 4 });
      engine.process(batch);
      const [first, second] = batch.column("verdict");
      if (first !== Verdict.DROP || second !== Verdict.DROP) expect([i, first, second]).toBe("dropped");
      all.map("hosts").delete("10.9.9.9");
      all.map("blocked").delete("10.9.9.0/24");
      if (i % 4 === 0) {
        const extra = all.dataplane.attach("prerouting", chain);
        extra.map("hosts").update(addresses);
        extra.detach();
      }
      if (i === 20) steady = [all.dataplane.memory.buffer.byteLength, all.dataplane.allocate(0)];
    }
    expect(contentsOf(all.map)).toEqual(contents);
    expect([all.dataplane.memory.buffer.byteLength, all.dataplane.allocate(0)]).toEqual(steady);
  }, 60_000);

  test("counters of a map are exact when a trace is taken again", async () => {
    const all = await attached();
    const engine = all.dataplane.net(0);
    // In the state as it was compiled, and, once it has grown, in memory of its own.
    for (const elements of [1, 100]) {
      const talkers = all.map("talkers");
      talkers.replace(Array.from({ length: elements }, (_, i) => [0x0a000009 + i]));
      const many = engine.createBatch(4096, 256);
      for (let i = 0; i < 4096; i++) many.put(frame([0x0a000009, 53]), { entry: Entry.RECEIVE, device: 4 });
      engine.trace(many);
      expect(talkers.get("10.0.0.9")).toEqual({ packets: 4096n, bytes: 4096n * 28n });
    }
  });
});
