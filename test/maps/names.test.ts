/** Tables may have sets and counters of the same names: each is the host's to change, and keeps what is its own. */
import { describe, expect, test } from "vitest";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import { succeed } from "../../runtime/succession.ts";
import { Entry, nameOf, Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { frameOf, modelOf } from "../reference/support.ts";

const POLICY = `
sysctl net.ipv4.ip_forward = 1
interface a { index 3; lladdr 02:00:00:00:00:03; address 10.0.0.1/24 }
interface b { index 4; lladdr 02:00:00:00:00:04; address 10.0.1.1/24 }
neighbour 10.0.1.7 lladdr 02:00:00:00:01:07 dev b
table ip6 filter {
  set blocked { type ipv6_addr; }
  set both { type ipv4_addr; }
  counter hits { }
  chain f { type filter hook forward priority 0; ip6 saddr @blocked counter name hits drop }
}
table ip filter {
  set blocked { type ipv4_addr; }
  set both { type ipv4_addr; }
  set alone { type ipv4_addr; }
  counter hits { }
  chain f { type filter hook forward priority 0; ip saddr @blocked counter name hits drop; ip saddr @both drop }
}
table ip late {
  set blocked { type ipv4_addr; }
  chain f { type filter hook forward priority 5; ip saddr @blocked drop }
}
`;
const artifactOf = async (text: string): Promise<Uint8Array<ArrayBuffer>> =>
  (await compileModel(modelOf(text), { level: 0 })).artifact;

const open = async (text = POLICY): Promise<Dataplane> => load(await artifactOf(text));

function verdict(dataplane: Dataplane, from: string): string {
  const batch = dataplane.net(0).createBatch(1);
  batch.put(frameOf({ from, to: "10.0.1.7" }, 0x020000000003), { device: 3, entry: Entry.RECEIVE });
  dataplane.net(0).process(batch);
  return nameOf(Verdict, batch.column("verdict")[0]);
}

describe("sets that several tables have", () => {
  test("are told apart by the table, as far as is needed", async () => {
    const dataplane = await open();
    expect(() => dataplane.map("blocked").add("10.0.0.7")).toThrow(
      "several tables have a blocked: say ip6 filter blocked or ip filter blocked or late blocked",
    );
    expect(() => dataplane.map("filter blocked")).toThrow("several tables");
    expect(() => dataplane.map("ip none blocked")).toThrow("no set or map ip none blocked in this module");
    dataplane.map("ip6 filter blocked").add("2001:db8::7");
    dataplane.map("ip filter blocked").add("10.0.0.7");
    dataplane.map("late blocked").add("10.0.0.8");
    dataplane.map("alone").add("10.0.0.9");
    expect(dataplane.map("ip filter alone")).toBe(dataplane.map("alone"));
    expect(["10.0.0.7", "10.0.0.8", "10.0.0.9"].map((from) => verdict(dataplane, from))).toEqual([
      "DROP",
      "DROP",
      "TRANSMIT",
    ]);
  });

  test("in the reference too", () => {
    const engine = referenceEngine(modelOf(POLICY).nets[0], modelOf(POLICY).kernel);
    expect(() => engine.map("blocked")).toThrow("several tables have a blocked");
    engine.map("late blocked").add("10.0.0.8");
    expect([...engine.map("ip late blocked").entries()]).toEqual([["10.0.0.8", null]]);
    expect([...engine.map("ip filter blocked").entries()]).toEqual([]);
  });

  test("keep their contents, and counters count on, when another module takes over", async () => {
    const before = await open();
    before.map("ip filter both").add("10.0.0.9");
    before.map("ip filter blocked").add("10.0.0.7");
    before.map("late blocked").add("10.0.0.8");
    expect(verdict(before, "10.0.0.7")).toBe("DROP");
    // The tables the other way round, and one under another name.
    const [head, six, ...rest] = POLICY.split(/^(?=table )/m);
    const next = await open([head, ...rest, six].join("").replace("table ip late", "table ip later"));
    const { maps, refused } = succeed(next, before);
    expect(refused).toEqual([]);
    expect(maps).toEqual(["ip filter blocked", "ip filter both", "alone", "ip6 filter blocked", "ip6 filter both"]);
    const contents = ["ip filter both", "ip6 filter both", "ip filter blocked", "later blocked"];
    expect(contents.map((name) => [...next.map(name).entries()].map(([key]) => key))).toEqual([
      ["10.0.0.9"],
      [],
      ["10.0.0.7"],
      [],
    ]);
    expect(
      next
        .net(0)
        .readCounters()
        .map(({ packets }) => packets),
    ).toEqual([1n, 0n]);
  });
});
