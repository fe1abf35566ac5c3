/**
 * IPv6 route commands on a loaded module, against the importer and a compilation of the changed network, as routes.test.ts has it for
 * IPv4; and what is IPv6's alone.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { DEVICE } from "../../runtime/abi/device.ts";
import {
  FIB_ALIAS,
  FIB_ALIAS6_BYTES,
  FIB_ENTRY,
  FIB_ENTRY_BYTES,
  FibEntryFlag,
  NEXT_HOP,
  NEXT_HOP_BYTES,
  NextHopFlag,
  Route6Flag,
  TABLE,
} from "../../runtime/abi/fib.ts";
import { Dataplane } from "../../runtime/dataplane.ts";
import { LPM_STRUCTURES } from "../../runtime/lpm/choose.ts";
import { LpmKind } from "../../runtime/lpm/lpm.ts";
import { key6 } from "../../runtime/lpm/prefix-trie6.ts";
import { type Manifest, readManifest } from "../../runtime/manifest.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { formatIp, inPrefix, network, parseIp, readIpv6 } from "../../runtime/net/ip.ts";
import { ipv6Packet } from "../../runtime/net/ipv6.ts";
import { parseMac } from "../../runtime/net/mac.ts";
import { RouteTypeCode } from "../../runtime/net/route-types.ts";
import { RouteError } from "../../runtime/refusal.ts";
import { ipOf, type RouteUpdates } from "../../runtime/routes/updates.ts";
import { Entry, nameOf, Verdict } from "../../runtime/verdict.ts";
import { Random } from "../../src/bench/random.ts";
import { compileModel } from "../../src/compile.ts";
import type { Fib } from "../../src/fib/fib.ts";
import { imported, refusal } from "./imported.ts";
import { commands6, SETUP6 } from "./script6.ts";
import { expectTables, tableOf } from "./tables.ts";

const SETUP = SETUP6.trim().split("\n");

let compiled: WebAssembly.Module;
let manifest: Manifest;
beforeAll(async () => {
  const { artifact } = await compileModel(imported(SETUP, []).model, { level: 0 });
  compiled = await WebAssembly.compile(artifact);
  manifest = readManifest(compiled);
});
const dataplane = async (): Promise<Dataplane> => new Dataplane(await WebAssembly.instantiate(compiled), manifest);

/** Next hops with what is said of their routes, of a prefix; those of a metric in an order of their own. */
interface Shown {
  readonly metric: number;
  readonly type: number;
  readonly error: number;
  readonly gateway: string;
  readonly device: number;
  readonly [field: string]: unknown;
}
const sorted = (hops: readonly Shown[]): Shown[] => {
  const keyOf = ({ metric, gateway, device }: Shown) => `${String(metric).padStart(9, "0")} ${gateway} ${device}`;
  return [...hops].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
};

function entriesAt(loaded: Dataplane, table: number, address: bigint): unknown[] {
  const word = (offset: number): number => loaded.word(offset);
  const kind = (Object.keys(LpmKind) as LpmKind[]).find((name) => LpmKind[name] === word(table + TABLE.kind))!;
  const image = { kind, family: 6, bytes: loaded.bytes.subarray(word(table + TABLE.image)), prefixes: 0 } as const;
  const found: unknown[] = [];
  for (let entry = LPM_STRUCTURES[kind].lookup(image, address); entry !== 0; entry = word(entry + FIB_ENTRY.cover)) {
    const hops: Shown[] = [];
    for (let i = 0; i < word(entry + FIB_ENTRY.aliases); i++) {
      const alias = entry + FIB_ENTRY_BYTES + i * FIB_ALIAS6_BYTES;
      const field = (name: keyof typeof FIB_ALIAS): number => word(alias + FIB_ALIAS[name]);
      const [type, error, metric, flags, mtu, protocol] = (
        ["type", "error", "metric", "flags", "mtu", "protocol"] as const
      ).map(field);
      for (let k = 0; k < field("hopCount"); k++) {
        const at = field("nextHops") + k * NEXT_HOP_BYTES;
        const hop = (name: keyof typeof NEXT_HOP): number => word(at + NEXT_HOP[name]);
        hops.push({
          ...{ type, error, metric, flags, mtu, protocol },
          device: word(hop("device") + DEVICE.ifindex),
          gateway: hop("family") === 0 ? "" : formatIp(readIpv6(loaded.bytes, at + NEXT_HOP.gateway)),
          weight: hop("weight"),
          onlink: (hop("flags") & NextHopFlag.ONLINK) !== 0,
          scope: hop("scope"),
          upperBound: hop("upperBound") | 0,
        });
      }
    }
    const settled = (word(entry + FIB_ENTRY.flags) & FibEntryFlag.SETTLED) !== 0;
    found.push({ length: word(entry + FIB_ENTRY.prefixLength), settled, hops: sorted(hops) });
  }
  return found;
}

/** Whatever `onlink` is, for the reason that routes.test.ts has. */
function expectedAt(fib: Fib | undefined, address: bigint): unknown[] {
  const holding = (fib?.entries ?? []).filter(({ prefix }) => inPrefix(prefix, address));
  return holding
    .sort((a, b) => b.prefix.length - a.prefix.length)
    .map(({ prefix, settled, aliases }) => ({
      length: prefix.length,
      settled,
      hops: sorted(
        aliases.flatMap(({ route, error, hops }) =>
          fib!.hopLists[hops].map(({ hop, upperBound }) => ({
            ...{ type: RouteTypeCode[route.type], error, metric: route.metric },
            ...{ flags: expect.anything(), mtu: route.mtu ?? 0, protocol: expect.anything() },
            device: hop.device as number,
            gateway: hop.gateway === null ? "" : formatIp(hop.gateway),
            ...{ weight: hop.weight, onlink: expect.anything(), scope: hop.scope, upperBound },
          })),
        ),
      ),
    }));
}

const SHOWN = { family: 6, entriesAt, expectedAt } as const;

describe("ip -6 route on a loaded module", () => {
  test("refuses what Linux refuses, and leaves in memory what a compilation would", async () => {
    await fc.assert(
      fc.asyncProperty(commands6(25), async (list) => {
        const commands = list.map((words) => `ip -6 route ${words}`);
        const { model, refusals } = imported(SETUP, commands);
        const loaded = await dataplane();
        const routes = loaded.routes(0);
        const said = commands.map((command) => refusal(() => routes.run(command)));
        expect(list.map((command, i) => [command, said[i]])).toEqual(list.map((command, i) => [command, refusals[i]]));
        expectTables(loaded, model, SHOWN);
      }),
      {
        numRuns: Number(process.env.FC_RUNS ?? 40),
        examples: [
          // To the kernel two routes that refuse are the same, whatever they say.
          [["add blackhole 2001:db8:9:1::/64 table 10", "append prohibit 2001:db8:9:1::/64 table 10"]],
          // The gateway's way has gone before the text is written.
          [["add ::/0 vrf red metric 10 dev m1", "add 8000::/1 vrf red via 2001:db8:9::1", "del ::/0 vrf red"]],
        ],
      },
    );
  }, 120_000);
});

describe("IPv6 routes", () => {
  /** Of the longest prefix that holds an address. */
  const shownAt = (loaded: Dataplane, address: string): Shown[] => {
    const [{ hops }] = entriesAt(loaded, tableOf(loaded, 6, 10), parseIp(address) as bigint) as { hops: Shown[] }[];
    return hops;
  };
  /** Their gateways, or devices. */
  const hopsAt = (loaded: Dataplane, address: string): string[] =>
    shownAt(loaded, address).map(({ gateway, device }) => gateway || `dev ${device}`);

  test("appended next hops are siblings; one goes by its gateway, all without", async () => {
    const loaded = await dataplane();
    const routes = loaded.routes("host");
    routes.add("2001:db8:55::/48 via fe80::7 dev r1 table 10");
    routes.append("2001:db8:55::/48 via fe80::8 dev r1 table 10");
    routes.append({ prefix: "2001:db8:55::/48", via: "fe80::9", dev: "r2", vrf: "red" });
    expect(hopsAt(loaded, "2001:db8:55::1")).toEqual(["fe80::7", "fe80::8", "fe80::9"]);
    routes.delete("2001:db8:55::/48 via fe80::8 table 10");
    expect(hopsAt(loaded, "2001:db8:55::1")).toEqual(["fe80::7", "fe80::9"]);
    routes.delete("2001:db8:55::/48 table 10");
    expect(hopsAt(loaded, "2001:db8:55::1")).toEqual(["2001:db8:1::7"]);
  });

  test("say what was said of them", async () => {
    const loaded = await dataplane();
    loaded.routes("host").add("fe80:1::/32 via fe80::7 dev r1 table 10 metric 7 mtu 1400 proto bgp");
    const NEED_STRICT = Route6Flag.NEED_STRICT;
    expect(shownAt(loaded, "fe80:1::1")).toMatchObject([
      { metric: 7, mtu: 1400, protocol: 186, flags: NEED_STRICT, onlink: false },
    ]);
    loaded.routes("host").add("2001:db8:57::/48 via 2001:db8:77::1 dev r1 onlink table 10");
    expect(shownAt(loaded, "2001:db8:57::1")).toMatchObject([{ gateway: "2001:db8:77::1", onlink: true }]);
  });

  test("packets follow them", async () => {
    const loaded = await dataplane();
    const routes = loaded.routes("host");
    loaded.neighbours("host").add("fe80::77 lladdr 02:00:00:00:00:77 dev r2");
    const [r1, r2] = ["r1", "r2"].map((name) => manifest.nets[0].devices.find((d) => d.name === name)!);
    const sent = (): unknown => {
      const batch = loaded.net(0).createBatch(1);
      const [source, destination] = [parseIp("2001:db8:1::99") as bigint, parseIp("2001:db8:66::1") as bigint];
      const header = { trafficClass: 0, flowLabel: 0, nextHeader: 17, hopLimit: 9, source, destination };
      const frame = { destination: parseMac(r1.mac)!, source: 0x02aa, type: EtherType.IPV6 };
      batch.put(ethernetFrame(frame, ipv6Packet(header, new Uint8Array(8))), {
        entry: Entry.RECEIVE,
        device: r1.ifindex,
      });
      loaded.net(0).process(batch);
      const [verdict] = batch.column("verdict");
      return verdict === Verdict.TRANSMIT ? batch.column("outDevice")[0] : nameOf(Verdict, verdict);
    };
    const before = sent();
    routes.add("2001:db8:66::/48 via fe80::77 dev r2 table 10");
    expect(sent()).toBe(r2.ifindex);
    routes.add("blackhole 2001:db8:66::/64 table 10");
    expect(sent()).toBe("DROP");
    routes.delete("2001:db8:66::/64 table 10");
    expect(sent()).toBe(r2.ifindex);
    routes.delete("2001:db8:66::/48 table 10");
    expect(sent()).toEqual(before);
  });

  /** Network's upper 64 bits, length, next hop from 1, 0 to delete. */
  const change = fc
    .tuple(fc.nat(0xfff), fc.constantFrom(32, 40, 44, 48, 48, 48, 56, 64, 128), fc.nat(3))
    .map(([host, length, hop]) => {
      const ip = (0x20010db9n << 96n) | (BigInt(host) << 68n);
      return { key: key6(network(ip, length) as bigint), length, hop };
    });
  type Change = { key: Uint32Array; length: number; hop: number };
  const columns = (list: readonly Change[]): RouteUpdates => ({
    count: list.length,
    family: 6,
    address: Uint32Array.from(list.flatMap(({ key }) => [...key])),
    length: Uint8Array.from(list, ({ length }) => length),
    nextHop: Uint32Array.from(list, ({ hop }) => hop),
  });
  const HOPS = ["via fe80::7 dev r1", "via fe80::8 dev r1 mtu 1400", "via 2001:db8:2::7"];

  test("a stream does what the commands do, and memory does not creep", async () => {
    const [streamed, told] = [await dataplane(), await dataplane()];
    const routes = streamed.routes(0);
    for (const hop of HOPS) routes.nextHop(`${hop} table 10`);
    const list = fc.sample(change, { seed: 2, numRuns: 3000 });
    let missing = 0;
    for (const { key, length, hop } of list) {
      const ip = key.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n);
      const prefix = `${formatIp(ip)}/${length}`;
      if (hop !== 0) told.routes(0).replace(`${prefix} ${HOPS[hop - 1]} table 10`);
      else if (refusal(() => told.routes(0).delete(`${prefix} table 10`)) !== null) missing++;
    }
    expect(routes.update(10, columns(list)).missing).toBe(missing);
    expect(routes.size(10, 6)).toBe(told.routes(0).size(10, 6));
    const asked = list.map(({ key }) => key.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n) + 1n);
    const answers = (loaded: Dataplane) => asked.map((ip) => entriesAt(loaded, tableOf(loaded, 6, 10), ip));
    expect(answers(streamed)).toEqual(answers(told));
    const before = routes.bytesInUse;
    routes.update(10, columns(list));
    routes.update(10, columns(list));
    expect(routes.bytesInUse.records).toBe(before.records);
    expect(routes.bytesInUse.structures).toBeLessThanOrEqual(before.structures * 1.5);
  });

  test("prefixes that say the same share entries; after many changes as many as of a table filled anew, and no more memory", async () => {
    const filled = async (list: readonly Change[]): Promise<Dataplane> => {
      const loaded = await dataplane();
      for (const hop of HOPS) loaded.routes(0).nextHop(`${hop} table 10`);
      loaded.routes(0).update(10, columns(list));
      return loaded;
    };
    const prefixes = Array.from({ length: 2048 }, (_, i): Change => {
      const length = i % 16 === 0 ? 44 : 48;
      const address = (0x20010db9n << 96n) | (BigInt(i) << 80n);
      return { key: key6(network(address, length) as bigint), length, hop: 1 + ((i * 7) % 3) };
    });
    const loaded = await filled(prefixes);
    const routes = loaded.routes(0);
    const first = routes.bytesInUse;
    // Of a /44 with each of three next hops, of a /48 with each in each of those: 12 entries, and the next hops.
    expect(first.records).toBeLessThan(4096);
    expect(first.structures).toBeLessThan(200_000);
    const random = new Random(3);
    const now = new Map(prefixes.map((each) => [`${each.key}/${each.length}`, each]));
    const changes = Array.from({ length: 6000 }, (): Change => {
      const each = prefixes[random.below(prefixes.length)];
      const changed = { ...each, hop: random.chance(0.1) ? 0 : 1 + random.below(3) };
      now.set(`${each.key}/${each.length}`, changed);
      return changed;
    });
    const most: number[] = [];
    for (let i = 0; i < changes.length; i += 500) {
      routes.update(10, columns(changes.slice(i, i + 500)));
      most.push(routes.bytesInUse.records);
    }
    expect(Math.max(...most)).toBeLessThan(8192);
    const anew = await filled([...now.values()].filter(({ hop }) => hop !== 0));
    expect(routes.size(10, 6)).toBe(anew.routes(0).size(10, 6));
    expect(routes.bytesInUse.records).toBe(anew.routes(0).bytesInUse.records);
    expect(routes.bytesInUse.structures).toBeLessThan(2 * anew.routes(0).bytesInUse.structures);
    for (const { key } of prefixes) {
      const ip = ipOf(key) + 1n;
      expect(entriesAt(loaded, tableOf(loaded, 6, 10), ip)).toEqual(entriesAt(anew, tableOf(anew, 6, 10), ip));
    }
    const { byteLength } = loaded.memory.buffer;
    for (let round = 0; round < 3; round++) routes.update(10, columns(changes.slice(0, 2000)));
    expect(loaded.memory.buffer.byteLength).toBe(byteLength);
  });

  test.each([
    ["add 2001:db8::/32 via fe80::1 dev r1 table 77", "ENOENT", "the module has no IPv6 table 77"],
    ["add local 2001:db8::1 dev r1 table 10", "EOPNOTSUPP", "local"],
    ["add 2001:db8::/32 via fe80::1 dev r1 src 2001:db8:1::1 table 10", "EOPNOTSUPP", "src"],
    ["add 2001:db8::/32 via 10.0.0.1 dev r1 table 10", "EINVAL", "inet6 address is expected"],
    ["add 2001:db8::/129 dev r1 table 10", "EINVAL", "not an IPv6 prefix"],
    ["add 2001:db8::/32 via 2001:db8:99:: dev m1 table 10", "EHOSTUNREACH", "No route to host"],
    ["del 2001:db8:55::/48 table 10", "ESRCH", "No such process"],
    ["change 2001:db8:55::/48 via fe80::1 dev r1 table 10", "ENOENT", "no match found"],
    ["add 2001:db8:54::/48 via fe80::7 dev r1 table 10", "EEXIST", "File exists"],
  ])("refused, and nothing is changed: %s", async (command, code, words) => {
    const routes = (await dataplane()).routes(0);
    routes.add("2001:db8:54::/48 via fe80::7 dev r1 table 10");
    const before = [routes.bytesInUse, routes.size(10, 6)];
    const error = (() => {
      try {
        return routes.run(command);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(RouteError);
    expect([(error as RouteError).code, (error as RouteError).message]).toEqual([code, expect.stringContaining(words)]);
    expect([routes.bytesInUse, routes.size(10, 6)]).toEqual(before);
  });

  test("takes nothing of a stream in which something is wrong", async () => {
    const routes = (await dataplane()).routes(0);
    const hop = routes.nextHop("via fe80::7 dev r1 table 10");
    const last = routes.nextHop("dev r1 table 10", 6);
    const good = { key: key6(0x20010db9n << 96n), length: 32, hop };
    const size = routes.size(10, 6);
    for (const bad of [
      { ...good, length: 16 },
      { ...good, length: 129 },
      { ...good, hop: last + 1 },
    ])
      expect(() => routes.update(10, columns([good, bad]))).toThrow(RangeError);
    expect(routes.size(10, 6)).toBe(size);
  });
});
