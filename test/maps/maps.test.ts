/** Sets and maps that the host changes between batches: the program finds what a module compiled of the changed text finds. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { formatIp } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";

const RUNS = Number(process.env.FC_RUNS ?? 25);

/** Elements by the names of the maps. */
type Contents = Readonly<Record<string, readonly string[]>>;

const policy = (contents: Contents = {}): string => {
  const elements = (name: string) =>
    (contents[name] ?? []).length === 0 ? "" : `elements = { ${contents[name].join(", ")} }`;
  return `
  sysctl net.ipv4.ip_forward = 1
  interface a { index 4; address 10.0.0.1/24 }
  interface b { index 5; address 10.0.1.1/24 }
  map blocked {
    type ipv4_addr : verdict
    kind lpm_trie
    ${elements("blocked")}
  }
  map classes {
    type mark : mark
    kind array
    size 8
    ${elements("classes")}
  }
  program scrub on xdp a {
    ip saddr vmap @blocked
  }
  table inet t {
    set hosts { type ipv4_addr; ${elements("hosts")} }
    set nets { type ipv4_addr; flags interval; ${elements("nets")} }
    set pairs { type ipv4_addr . inet_service; flags interval; ${elements("pairs")} }
    map marks { type ipv4_addr : mark; ${elements("marks")} }
    map ports { type inet_service : verdict; ${elements("ports")} }
    chain c {
      type filter hook prerouting priority 0;
      ip saddr @hosts counter
      ip saddr != @nets counter
      ip saddr . udp dport @pairs counter
      meta mark set ip saddr map @marks counter
      udp dport vmap @ports
      counter
    }
  }`;
};

function modelOf(text: string): Model {
  const { model, diagnostics } = checkText(text);
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  if (model === null || errors.length > 0) throw new Error(errors.map(({ message }) => message).join("\n"));
  return model;
}

const own = modelOf(policy());
let artifact: Uint8Array<ArrayBuffer>;
beforeAll(async () => {
  artifact = (await compileModel(own, { level: 0 })).artifact;
}, 60_000);

const host = fc.integer({ min: 0, max: 40 }).map((n) => 0x0a000000 + n * 3);
const port = fc.integer({ min: 50, max: 60 });
const anyPacket = fc.tuple(host, port);
type Packet = readonly [source: number, port: number];

function frame([source, dport]: Packet): Uint8Array {
  const payload = Uint8Array.of(0, 99, dport >> 8, dport & 255, 0, 8, 0, 0);
  const header = {
    tos: 0,
    identification: 1,
    dontFragment: true,
    ttl: 64,
    protocol: 17,
    source,
    destination: 0x0a000109,
  };
  const mac = own.nets[0].devices.find(({ ifindex }) => ifindex === 4)!.mac;
  return ethernetFrame({ destination: mac, source: 0x02aa, type: EtherType.IPV4 }, ipv4Packet(header, payload));
}

function answers(engine: ReturnType<Dataplane["net"]>, packets: readonly Packet[], before: readonly bigint[]) {
  const batch = engine.createBatch(packets.length, 256);
  for (const packet of packets) batch.put(frame(packet), { entry: Entry.RECEIVE, device: 4 });
  engine.process(batch);
  const column = (name: "verdict" | "reason" | "mark") => Array.from(batch.column(name).subarray(0, batch.count));
  const counters = engine.readCounters().map(({ packets: n }, i) => n - (before[i] ?? 0n));
  return { verdict: column("verdict"), reason: column("reason"), mark: column("mark"), counters };
}

/** An operation on a map of the module and on its twin: the elements as the text has them. */
const anyChange = fc.oneof(
  fc.record({ map: fc.constant("hosts"), key: host.map(formatIp), value: fc.constant(undefined) }),
  fc.record({
    map: fc.constant("nets"),
    key: host.map((address) => `${formatIp(address & ~3)}/30`),
    value: fc.constant(undefined),
  }),
  fc.record({
    map: fc.constant("pairs"),
    key: fc.tuple(host, port).map(([a, p]) => `${formatIp(a)}-${formatIp(a + 7)} . ${p}-${p + 3}`),
    value: fc.constant(undefined),
  }),
  fc.record({ map: fc.constant("marks"), key: host.map(formatIp), value: fc.integer({ min: 0, max: 9 }) }),
  fc.record({ map: fc.constant("ports"), key: port.map(String), value: fc.constantFrom("accept", "drop") }),
  fc.record({
    map: fc.constant("blocked"),
    key: fc.tuple(host, fc.constantFrom(8, 24, 29, 30, 32)).map(([a, l]) => {
      const mask = l === 32 ? -1 : ~((1 << (32 - l)) - 1);
      return l === 32 ? formatIp(a) : `${formatIp((a & mask) >>> 0)}/${l}`;
    }),
    value: fc.constantFrom("DROP", "PASS", "TX"),
  }),
);

describe("random changes", () => {
  test("do what a module of the changed text does", async () => {
    const rounds = fc.array(
      fc.record({
        changes: fc.array(
          fc.record({ change: anyChange, remove: fc.integer({ min: 0, max: 3 }).map((n) => n === 0) }),
          {
            maxLength: 6,
          },
        ),
        packets: fc.array(anyPacket, { minLength: 1, maxLength: 20 }),
      }),
      { minLength: 1, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(rounds, async (drawn) => {
        const dataplane = await load(artifact);
        const engine = dataplane.net(0);
        for (const { changes, packets } of drawn) {
          for (const { change, remove } of changes) {
            const map = dataplane.map(change.map);
            const there = map.has(change.key);
            if (remove) expect(map.delete(change.key)).toBe(there);
            else map.add(change.key, change.value);
          }
          const contents = Object.fromEntries(
            ["hosts", "nets", "pairs", "marks", "ports", "blocked"].map((name) => [
              name,
              [...dataplane.map(name).entries()].map(([key, value]) => (value === null ? key : `${key} : ${value}`)),
            ]),
          );
          const reference = referenceEngine(modelOf(policy(contents)).nets[0], own.kernel);
          const before = engine.readCounters().map(({ packets: n }) => n);
          expect(answers(engine, packets, before)).toEqual(answers(reference, packets, []));
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

  test.each<[string, string, string, string | number | undefined, string]>([
    ["no address", "hosts", "10.0.0.256", undefined, "is no ipv4_addr"],
    ["an address of the other family", "hosts", "2001:db8::1", undefined, "is no ipv4_addr"],
    ["a range where values are held", "hosts", "10.0.0.0/24", undefined, "single values"],
    ["too few fields", "pairs", "10.0.0.1", undefined, "2 fields, not 1"],
    ["a number that does not fit", "pairs", "10.0.0.1 . 65536", undefined, "does not fit into 16 bits"],
    ["a range the wrong way round", "nets", "10.0.0.9-10.0.0.1", undefined, "ends before it begins"],
    ["a value in a set", "hosts", "10.0.0.1", 1, "is a set"],
    ["a map's element without a value", "marks", "10.0.0.1", undefined, "needs a value"],
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

  test("memory is used again: twenty thousand changes take no more than the first", () => {
    const hosts = dataplane.map("hosts");
    const change = (n: number) => hosts.replace(Array.from({ length: 1 + (n % 50) }, (_, i) => [n * 64 + i] as const));
    for (let n = 0; n < 200; n++) change(n);
    const before = dataplane.allocate(0);
    for (let n = 0; n < 20_000; n++) change(n);
    expect(dataplane.allocate(0)).toBe(before);
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
