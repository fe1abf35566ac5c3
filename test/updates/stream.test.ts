/** Streams of changes by columns, what is refused, memory over a long run, and the README's example. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { TABLE, TABLE_BYTES } from "../../runtime/abi/fib.ts";
import { NET } from "../../runtime/abi/net.ts";
import { Dataplane, load } from "../../runtime/dataplane.ts";
import { LPM_STRUCTURES } from "../../runtime/lpm/choose.ts";
import { LpmKind } from "../../runtime/lpm/lpm.ts";
import { type Manifest, readManifest } from "../../runtime/manifest.ts";
import { formatIp, network, parseIp } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { RouteError } from "../../runtime/refusal.ts";
import type { RouteUpdates } from "../../runtime/routes/updates.ts";
import { succeed } from "../../runtime/succession.ts";
import { Entry } from "../../runtime/verdict.ts";
import { compile } from "../../src/compile.ts";

const HOPS = ["via 10.0.1.7", "via 10.0.1.8", "via 10.0.1.9 metric 5", "via 10.0.1.7 mtu 1400"];
const POLICY = `sysctl net.ipv4.ip_forward = 1
vrf red { table 10 }
interface r1 { master red; address 10.0.1.1/24 }
interface r2 { master red; address 10.0.2.1/24 }
interface m1 { address 192.168.0.1/24 }`;

let compiled: WebAssembly.Module;
let manifest: Manifest;
beforeAll(async () => {
  const { artifact } = await compile({ name: "policy.vrf", text: POLICY }, { level: 0 });
  compiled = await WebAssembly.compile(artifact!);
  manifest = readManifest(compiled);
});
const dataplane = async (): Promise<Dataplane> => new Dataplane(await WebAssembly.instantiate(compiled), manifest);

/** Network, length, next hop from 1, 0 to delete. */
type Change = readonly [number, number, number];
const change: fc.Arbitrary<Change> = fc
  .tuple(fc.integer({ min: 0, max: 0xffff }), fc.constantFrom(12, 16, 20, 22, 24, 24, 24, 28, 32), fc.nat(HOPS.length))
  .map(([host, length, hop]) => [network((0x0b000000 + host * 16) >>> 0, length) as number, length, hop] as const);

const columns = (list: readonly Change[]): RouteUpdates => ({
  count: list.length,
  address: Uint32Array.from(list, ([address]) => address),
  length: Uint8Array.from(list, ([, length]) => length),
  nextHop: Uint32Array.from(list, ([, , hop]) => hop),
});

/** Of table 10: for each address the value of `prefixes` words of memory that its entry says. */
function answers(loaded: Dataplane, asked: readonly number[]): (number[] | null)[] {
  const record = loaded.netRecord(0);
  const tables = Array.from(
    { length: loaded.word(record + NET.tableCount) },
    (_, i) => loaded.word(record + NET.tables) + i * TABLE_BYTES,
  );
  const table = tables.find((offset) => loaded.word(offset + TABLE.id) === 10)!;
  const kind = (Object.keys(LpmKind) as LpmKind[]).find((name) => LpmKind[name] === loaded.word(table + TABLE.kind))!;
  return asked.map((ip) => {
    const entry = LPM_STRUCTURES[kind].lookup(
      { kind, family: 4, bytes: loaded.bytes.subarray(loaded.word(table + TABLE.image)), prefixes: 0 },
      ip,
    );
    // Number of aliases; metric and MTU of the first.
    return entry === 0 ? null : [8, 16 + 32, 16 + 36].map((at) => loaded.word(entry + at));
  });
}

describe("update", () => {
  test("does what the commands do", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 60, size: "max" }), async (list) => {
        const [streamed, told] = [await dataplane(), await dataplane()];
        const routes = streamed.routes(0);
        expect(HOPS.map((hop) => routes.nextHop(`${hop} table 10`))).toEqual(HOPS.map((_, i) => i + 1));
        let missing = 0;
        for (const [address, length, hop] of list) {
          const prefix = `${formatIp(address)}/${length}`;
          if (hop !== 0) told.routes(0).replace(`${prefix} ${HOPS[hop - 1]} table 10`);
          else
            try {
              told.routes(0).delete(`${prefix} table 10`);
            } catch (error) {
              expect((error as RouteError).code).toBe("ESRCH");
              missing++;
            }
        }
        const result = routes.update(10, columns(list));
        expect(result.missing).toBe(missing);
        expect(result.replaced + result.deleted + result.missing).toBe(list.length);
        const asked = list.flatMap(([address]) => [address, (address - 1) >>> 0, address + 255]);
        expect(answers(streamed, asked)).toEqual(answers(told, asked));
        expect(routes.size(10)).toBe(told.routes(0).size(10));
      }),
      { numRuns: 40 },
    );
  });

  test("takes nothing of a stream in which something is wrong", async () => {
    const routes = (await dataplane()).routes(0);
    const hop = routes.nextHop("via 10.0.1.7 table 10");
    const size = routes.size(10);
    for (const [address, length, nextHop] of [
      [0x0b000001, 24, hop],
      [0x0b000000, 33, hop],
      [0x0b000000, 24, hop + 1],
    ] as Change[])
      expect(() =>
        routes.update(
          10,
          columns([
            [0x0c000000, 8, hop],
            [address, length, nextHop],
          ]),
        ),
      ).toThrow(RangeError);
    expect(routes.size(10)).toBe(size);
  });
});

describe("memory", () => {
  test("is steady over 100,000 changes, and what was added and deleted leaves nothing", async () => {
    const loaded = await dataplane();
    const routes = loaded.routes(0);
    for (const hop of HOPS) routes.nextHop(`${hop} table 10`);
    const drawn = fc.sample(change, { seed: 1, numRuns: 100_000 }).filter(([, length]) => length >= 20);
    const half = drawn.slice(0, drawn.length / 2);
    for (let at = 0; at < half.length; at += 1000) routes.update(10, columns(half.slice(at, at + 1000)));
    const bytes = loaded.memory.buffer.byteLength;
    for (let at = 0; at < drawn.length; at += 1000) routes.update(10, columns(drawn.slice(at, at + 1000)));
    expect(loaded.memory.buffer.byteLength).toBeLessThanOrEqual(bytes * 1.5);

    const before = routes.bytesInUse;
    routes.add("12.0.0.0/24 via 10.0.1.77 table 10 metric 9");
    routes.add("12.0.0.0/24 nexthop via 10.0.1.7 nexthop via 10.0.1.8 weight 4".replace("/24", "/24 table 10"));
    expect(routes.bytesInUse.records).toBeGreaterThan(before.records);
    routes.delete("12.0.0.0/24 table 10");
    routes.delete("12.0.0.0/24 table 10");
    expect(routes.bytesInUse).toEqual(before);
  }, 60_000);
});

describe("prefixes that say the same", () => {
  test("share their entry, and structures of a thousand are small", async () => {
    const routes = (await dataplane()).routes(0);
    routes.nextHop("via 10.0.1.7 table 10");
    const own = routes.size(10);
    const list = Array.from({ length: 1000 }, (_, i): Change => [0x0b000000 + i * 512, 24, 1]);
    routes.update(10, columns(list.slice(0, 10)));
    const { records } = routes.bytesInUse;
    routes.update(10, columns(list));
    expect(routes.size(10)).toBe(own + 1000);
    expect(routes.bytesInUse.records).toBe(records);
    expect(routes.bytesInUse.structures).toBeLessThan(120_000);
  });

  test("are told apart by traces, and by flows that are bound to a device", async () => {
    const loaded = await dataplane();
    const routes = loaded.routes(0);
    for (const route of [
      "11.0.0.0/8 via 10.0.1.7",
      "11.1.0.0/16 dev r2",
      "11.1.1.0/24 dev r2",
      "11.2.0.0/16 via 10.0.1.7",
    ])
      routes.add(`${route} table 10`);
    for (let i = 0; i < 9; i++) routes.add(`12.0.${i}.0/24 via 10.0.1.7 table 10`);
    const device = (name: string) => manifest.nets[0].devices.find((d) => d.name === name)!.ifindex;
    const answered = (address: number, by: string): number | null => {
      const batch = loaded.net(0).createBatch(1);
      const source = parseIp("10.0.1.1") as number;
      const header = {
        tos: 0,
        identification: 0,
        dontFragment: true,
        ttl: 9,
        protocol: 17,
        source,
        destination: address,
      };
      batch.put(ipv4Packet(header, new Uint8Array(8)), { entry: Entry.OUTPUT, device: device(by) });
      const [steps] = loaded.net(0).trace(batch);
      const results = steps.filter((step) => step.step === "result");
      return results[0].route;
    };
    // Numbers of routes go on behind those of the text, in the order in which they were added.
    const first = manifest.nets[0].routes.length;
    expect(
      ["11.9.0.1", "11.1.0.1", "11.1.1.1", "11.2.0.1"].map((ip) => answered(parseIp(ip) as number, "red")),
    ).toEqual([first, first + 1, first + 2, first + 3]);
    // Bound to r1, the way by r2 is none: the next shorter prefix answers.
    expect(answered(parseIp("11.1.1.1") as number, "r1")).toBe(first);
    expect(answered(parseIp("11.1.1.1") as number, "r2")).toBe(first + 2);
    expect(answered(parseIp("10.0.1.77") as number, "red")).toBeLessThan(first);
  });
});

describe("refused", () => {
  test.each([
    ["add 11.0.0.0/8 via 10.0.1.7 table 77", "ENOENT", "the module has no IPv4 table 77"],
    ["add local 11.0.0.1 dev r1 table 10", "EOPNOTSUPP", "local"],
    ["add 11.0.0.0/8 via fe80::1 dev r1 table 10", "EOPNOTSUPP", "IPv6"],
    ["add 11.0.0.0/8 via 10.0.1.7 table 10 realms 3", "EINVAL", "realms"],
    ["add 11.0.0.0/8 via 10.0.1.7 table 10 metric soon", "EINVAL", "metric soon"],
    ["add 11.0.0.0/8 table 10", "ENODEV", "No such device"],
    ["add 11.0.0.0/8 via 172.16.0.1 table 10", "EINVAL", "Nexthop has invalid gateway"],
    ["del 11.0.0.0/8 table 10", "ESRCH", "No such process"],
    ["frob 11.0.0.0/8", "EINVAL", "frob"],
    ["add", "EINVAL", "unknown"],
  ])("%s", async (command, code, words) => {
    const routes = (await dataplane()).routes(0);
    routes.add("11.0.0.0/16 via 10.0.1.7 table 10");
    const before = [routes.bytesInUse, routes.size(10)];
    const refusal = (() => {
      try {
        return routes.run(command);
      } catch (error) {
        return error;
      }
    })();
    expect(refusal).toBeInstanceOf(RouteError);
    expect((refusal as RouteError).code).toBe(code);
    expect((refusal as RouteError).message).toContain(words);
    expect([routes.bytesInUse, routes.size(10)]).toEqual(before);
  });
});

test("README: change routes while packets flow", async () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const section = readme.split("## Change routes while packets flow")[1].split("\n## ")[0];
  const code = [...section.matchAll(/```js\n(.*?)```/gs)]
    .map(([, block]) => block.replace(/^import .*$/gm, ""))
    .join("");
  const compiledOf = async (wasm: string): Promise<Uint8Array> => {
    const name = wasm.replace(".wasm", ".vrf");
    const text = readFileSync(new URL(`../../examples/${name}`, import.meta.url), "utf8");
    return (await compile({ name, text }, { level: 0 })).artifact!;
  };
  const said: unknown[][] = [];
  const run = new Function("load", "RouteError", "succeed", "readFile", "console", `return (async () => {${code}})()`);
  await run(load, RouteError, succeed, compiledOf, { log: (...words: unknown[]) => said.push(words) });
  const shown = [...code.matchAll(/console\.log\(.*\/\/ (.*)$/gm)].map(([, words]) => words);
  expect(said.map((words) => words.join(" "))).toEqual(shown);
});
