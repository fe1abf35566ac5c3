/**
 * Route commands on a loaded module, against the importer, which keeps a kernel's tables while a script runs: the same commands are
 * refused in the same words, and what stands in memory afterwards is what a compilation of the changed network would put there.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEVICE } from "../../runtime/abi/device.ts";
import {
  FIB_ALIAS,
  FIB_ALIAS_BYTES,
  FIB_ENTRY,
  FIB_ENTRY_BYTES,
  FIB_NODE,
  FIB_NODE_BYTES,
  FibEntryFlag,
  NEXT_HOP,
  NEXT_HOP_BYTES,
  NextHopFlag,
  TABLE,
} from "../../runtime/abi/fib.ts";
import { Dataplane } from "../../runtime/dataplane.ts";
import { LPM_STRUCTURES } from "../../runtime/lpm/choose.ts";
import { LpmKind } from "../../runtime/lpm/lpm.ts";
import { type Manifest, readManifest } from "../../runtime/manifest.ts";
import { formatIp, inPrefix, parseIp, readIpv4 } from "../../runtime/net/ip.ts";
import { RouteTypeCode } from "../../runtime/net/route-types.ts";
import { protocolNumber } from "../../runtime/net/rt-protos.ts";
import { compileModel } from "../../src/compile.ts";
import { forwards } from "../../src/fib/build.ts";
import type { Fib, FibEntry } from "../../src/fib/fib.ts";
import type { LayoutOptions } from "../../src/layout.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { imported, refusal } from "./imported.ts";
import { judge, packets } from "./packets.ts";
import { commands, SETUP } from "./script.ts";
import { expectTables, tableOf } from "./tables.ts";

const [SELECTIVE, PLAIN] = [true, false].map((isSelective) => {
  const lines = SETUP.trim().split("\n");
  return isSelective ? lines : lines.filter((line) => !line.startsWith("ip rule"));
});

interface Loadable {
  readonly module: WebAssembly.Module;
  readonly manifest: Manifest;
}

async function compiled(setup: readonly string[], options: LayoutOptions = {}): Promise<Loadable> {
  const { artifact } = await compileModel(imported(setup, []).model, { level: 0, ...options });
  const module = await WebAssembly.compile(artifact);
  return { module, manifest: readManifest(module) };
}

/** What stands in memory of the entries that an address finds, the longest prefix first. */
function entriesAt(loaded: Dataplane, table: number, address: number): unknown[] {
  const word = (offset: number): number => loaded.word(offset);
  const kind = (Object.keys(LpmKind) as LpmKind[]).find((name) => LpmKind[name] === word(table + TABLE.kind))!;
  const covered = ((address ^ word(table + TABLE.network)) & word(table + TABLE.mask)) === 0;
  const longest = covered
    ? LPM_STRUCTURES[kind].lookup(
        { kind, family: 4, bytes: loaded.bytes.subarray(word(table + TABLE.image)), prefixes: 0 },
        address,
      )
    : 0;
  if (word(table + TABLE.trie) === 0) {
    const found: unknown[] = [];
    for (let entry = longest; entry !== 0; entry = word(entry + FIB_ENTRY.cover))
      found.push(entryAt(loaded, entry, word(entry + FIB_ENTRY.prefixLength)));
    return found;
  }
  const nodes = nodesAt(loaded, table, address);
  expect([formatIp(address), nodes[0]?.entry ?? 0]).toEqual([formatIp(address), longest]);
  for (const { entry } of nodes) expect(word(entry + FIB_ENTRY.cover)).toBe(table);
  return nodes.map(({ entry, length }) => entryAt(loaded, entry, length));
}

/** The prefixes of a table's trie that hold an address, the longest first. */
function nodesAt(loaded: Dataplane, table: number, address: number): { entry: number; length: number }[] {
  const at = (node: number): number => loaded.word(table + TABLE.trie) + node * FIB_NODE_BYTES;
  const found: { entry: number; length: number }[] = [];
  let [node, above] = [loaded.word(table + TABLE.root), 0];
  while (node !== 0) {
    const field = (name: keyof typeof FIB_NODE): number => loaded.word(at(node) + FIB_NODE[name]);
    const length = field("length");
    expect(field("above")).toBe(above);
    if (!inPrefix({ address: field("key"), length }, address)) break;
    const result = field("result");
    if (result !== 0) found.unshift({ entry: loaded.word(loaded.word(table + TABLE.results) + 4 * result), length });
    if (length === 32) break;
    above = node;
    node = loaded.word(at(node) + FIB_NODE.below + 4 * ((address >>> (31 - length)) & 1));
  }
  return found;
}

function entryAt(loaded: Dataplane, entry: number, length: number): unknown {
  const word = (offset: number): number => loaded.word(offset);
  const aliases = Array.from({ length: word(entry + FIB_ENTRY.aliases) }, (_, i) => {
    const alias = entry + FIB_ENTRY_BYTES + i * FIB_ALIAS_BYTES;
    const field = (name: keyof typeof FIB_ALIAS): number => word(alias + FIB_ALIAS[name]);
    const hops = Array.from({ length: field("hopCount") }, (_, k) => {
      const at = field("nextHops") + k * NEXT_HOP_BYTES;
      const hop = (name: keyof typeof NEXT_HOP): number => word(at + NEXT_HOP[name]);
      return {
        device: word(hop("device") + DEVICE.ifindex),
        gateway: hop("family") === 0 ? null : readIpv4(loaded.bytes, at + NEXT_HOP.gateway),
        weight: hop("weight"),
        dead: (hop("flags") & NextHopFlag.DEAD) !== 0,
        scope: hop("scope"),
        source: hop("source"),
        upperBound: hop("upperBound") | 0,
      };
    });
    const [type, error, tos, prefsrc, scope, metric, mtu, protocol] = (
      ["type", "error", "tos", "prefsrc", "scope", "metric", "mtu", "protocol"] as const
    ).map(field);
    return { type, error, tos, prefsrc, scope, metric, mtu, protocol, hops };
  });
  const has = (flag: number): boolean => (word(entry + FIB_ENTRY.flags) & flag) !== 0;
  return { length, settled: has(FibEntryFlag.SETTLED), forwards: has(FibEntryFlag.FORWARDS), aliases };
}

/**
 * The same of a Fib. Not `onlink`: a text is entered from its first line to its last, so that the importer writes it where a gateway's way
 * stands behind the route, or has gone (src/import/as-written.ts).
 */
function expectedAt(fib: Fib | undefined, address: number): unknown[] {
  const holding = (fib?.entries ?? []).filter(({ prefix }) => inPrefix(prefix, address));
  return holding.sort((a, b) => b.prefix.length - a.prefix.length).map((entry) => expectedEntry(fib!, entry));
}

const expectedEntry = (fib: Fib, { prefix, settled, aliases }: FibEntry) => ({
  length: prefix.length,
  settled,
  forwards: forwards(aliases[0]),
  aliases: aliases.map(({ route, error, hops }) => ({
    type: RouteTypeCode[route.type],
    error,
    tos: route.tos,
    prefsrc: route.prefsrc ?? 0,
    scope: route.scope,
    metric: route.metric,
    mtu: route.mtu ?? 0,
    protocol: protocolNumber(route.protocol),
    hops: fib.hopLists[hops].map(({ hop, upperBound }) => ({
      device: hop.device,
      gateway: hop.gateway,
      weight: hop.weight,
      dead: hop.dead,
      scope: hop.scope,
      source: hop.source,
      upperBound,
    })),
  })),
});

const SHOWN = { family: 4, entriesAt, expectedAt } as const;

const drawn = fc.sample(packets, { seed: 3, numRuns: 4 }).flat();

/** Memory that grows while a gateway is looked up: a table is read for the first time then. */
const GROWING = [
  "add blackhole default table 100",
  "add 10.8.0.0/16 via 10.0.1.7 dev r1",
  "add 10.8.8.0/22 via 10.0.1.8 dev b1",
];

describe("ip route on a loaded module", () => {
  test("onlink is kept", async () => {
    const { module, manifest } = await compiled(PLAIN);
    const loaded = new Dataplane(await WebAssembly.instantiate(module), manifest);
    loaded.routes(0).run("add 10.200.0.0/16 via 10.0.1.7 dev r1 onlink table 10");
    loaded.routes(0).run("add 10.201.0.0/16 via 10.0.1.7 dev r1 table 10");
    const flags = ["10.200.0.0", "10.201.0.0"].map((address) => {
      const [{ entry }] = nodesAt(loaded, tableOf(loaded, 4, 10), parseIp(address) as number);
      return loaded.word(loaded.word(entry + FIB_ENTRY_BYTES + FIB_ALIAS.nextHops) + NEXT_HOP.flags);
    });
    expect(flags).toEqual([NextHopFlag.ONLINK, 0]);
  });

  test("a route is deleted by all of its next hops", async () => {
    const { module, manifest } = await compiled(PLAIN);
    const routes = new Dataplane(await WebAssembly.instantiate(module), manifest).routes(0);
    routes.run("add 10.202.0.0/16 table 10 nexthop via 10.0.1.7 nexthop via 10.0.2.7");
    const deleted = (second: string) =>
      refusal(() => routes.run(`del 10.202.0.0/16 table 10 nexthop via 10.0.1.7 nexthop via ${second}`));
    expect(deleted("10.0.2.8")).toBe("RTNETLINK answers: No such process");
    expect(deleted("10.0.2.7")).toBe(null);
  });

  test.each([
    ["a rule that selects", SELECTIVE, {}],
    ["the kernel's rules, and packets that take the short way", PLAIN, {}],
    ["tables of ranges", PLAIN, { lpm: "ranges" }],
    ["tables in two", PLAIN, { lpm: "spill" }],
  ] as const)(
    "%s: refuses what Linux refuses, and leaves in memory what a compilation would",
    async (_, setup, options) => {
      const { module, manifest } = await compiled(setup, options);
      await fc.assert(
        fc.asyncProperty(commands(25), async (list) => {
          const { model, refusals } = imported(
            setup,
            list.map((words) => `ip route ${words}`),
          );
          const loaded = new Dataplane(await WebAssembly.instantiate(module), manifest);
          const routes = loaded.routes(0);
          const said = list.map((command) => refusal(() => routes.run(command)));
          expect(list.map((command, i) => [command, said[i]])).toEqual(
            list.map((command, i) => [command, refusals[i]]),
          );
          expectTables(loaded, model, SHOWN);
          const [net] = model.nets;
          const macs = new Map(net.devices.map(({ ifindex, mac }) => [ifindex as number, mac as number]));
          const reference = judge(referenceEngine(net, model.kernel), drawn, macs);
          expect(judge(loaded.net(0), drawn, macs)).toEqual(reference);
        }),
        { numRuns: Number(process.env.FC_RUNS ?? 40), examples: [[GROWING]] },
      );
    },
    120_000,
  );
});
