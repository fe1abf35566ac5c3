/**
 * Memory that cannot grow: whatever asks for it is refused with ENOMEM, and everything is as it was. Each allocation of a change is
 * refused in its turn; and modules whose memory has a low maximum are filled until it is reached.
 */
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { MEMORY_IMPORT } from "../../runtime/abi/exports.ts";
import { FIB_ALIAS, FIB_ENTRY_BYTES, NEXT_HOP, TABLE, TABLE_BYTES } from "../../runtime/abi/fib.ts";
import { NET } from "../../runtime/abi/net.ts";
import { Dataplane } from "../../runtime/dataplane.ts";
import { loadProgram } from "../../runtime/links/manifest.ts";
import { LPM_STRUCTURES } from "../../runtime/lpm/choose.ts";
import { LpmKind } from "../../runtime/lpm/lpm.ts";
import { readManifest } from "../../runtime/manifest.ts";
import { formatIp, type Ip, parseIp, readIpv4, readIpv6 } from "../../runtime/net/ip.ts";
import { MemoryError, NeighbourError, type RouteError } from "../../runtime/refusal.ts";
import type { Routes } from "../../runtime/routes/routes.ts";
import type { RouteUpdates } from "../../runtime/routes/updates.ts";
import { Random } from "../../src/bench/random.ts";
import { compileModel } from "../../src/compile.ts";
import { compileProgram } from "../../src/program.ts";

const TEXT = `sysctl net.ipv4.ip_forward = 1
vrf red { table 10 }
interface r1 { master red; address 10.0.1.1/24; address 2001:db8:1::1/64 }
interface r2 { master red; address 10.0.2.1/24; address 2001:db8:2::1/64 }
table 10 {
  route default via 10.0.1.7 dev r1
  route 172.16.0.0/12 via 10.0.2.7 dev r2
}`;
const TABLE_ID = 10;
const HOPS = ["via 10.0.1.7", "via 10.0.2.7", "via 10.0.1.8 mtu 1400"];

const { artifact } = await compileModel(checkText(TEXT).model!, { level: 0 });
const module = await WebAssembly.compile(artifact);
const fresh = (): Dataplane => new Dataplane(new WebAssembly.Instance(module), readManifest(module));

/** Gateways that the table's structure says of addresses. */
function gateways(loaded: Dataplane, addresses: readonly Ip[], family: 4 | 6 = 4): string[] {
  const [tables, count] = family === 4 ? [NET.tables, NET.tableCount] : [NET.tables6, NET.tableCount6];
  const word = (offset: number): number => loaded.word(offset);
  const record = loaded.netRecord(0);
  const offsets = Array.from({ length: word(record + count) }, (_, i) => word(record + tables) + i * TABLE_BYTES);
  const table = offsets.find((offset) => word(offset + TABLE.id) === TABLE_ID)!;
  const kind = (Object.keys(LpmKind) as LpmKind[]).find((name) => LpmKind[name] === word(table + TABLE.kind))!;
  const image = { kind, family, bytes: loaded.bytes.subarray(word(table + TABLE.image)), prefixes: 0 };
  return addresses.map((address) => {
    const entry = LPM_STRUCTURES[kind].lookup(image, address);
    const hop = entry === 0 ? 0 : word(entry + FIB_ENTRY_BYTES + FIB_ALIAS.nextHops);
    if (hop === 0) return "none";
    const at = hop + NEXT_HOP.gateway;
    return formatIp(family === 4 ? readIpv4(loaded.bytes, at) : readIpv6(loaded.bytes, at));
  });
}

/** Lets the allocation after `good` ones fail. @returns ends that, and whether one was refused */
function refuseAfter(loaded: Dataplane, good: number): () => boolean {
  let left = good;
  let refused = false;
  const allocate = loaded.allocate.bind(loaded);
  loaded.allocate = (bytes) => {
    if (left-- > 0) return allocate(bytes);
    refused = true;
    throw new MemoryError("no more");
  };
  return () => {
    loaded.allocate = allocate;
    return refused;
  };
}

const codeOf = (change: () => unknown): unknown => {
  try {
    change();
    return null;
  } catch (error) {
    return (error as RouteError).code;
  }
};

/** The first /24s of 172.16.0.0/12. */
const stream = (count: number, hop: (i: number) => number): RouteUpdates => ({
  count,
  address: Uint32Array.from({ length: count }, (_, i) => 0xac10_0000 + 256 * i),
  length: new Uint8Array(count).fill(24),
  nextHop: Uint32Array.from({ length: count }, (_, i) => hop(i)),
});
const ASKED = [
  ...Array.from({ length: 3000 }, (_, i) => 0xac10_0000 + 128 * i + 3),
  ...["10.9.9.9", "9.1.1.1", "172.16.3.77", "172.31.255.255"].map((text) => parseIp(text)!),
] as number[];

const fill = (routes: Routes): void => {
  for (const hop of HOPS) routes.nextHop(`${hop} table ${TABLE_ID}`);
  routes.update(
    TABLE_ID,
    stream(600, (i) => 1 + (i % 2)),
  );
};

/** Lets each allocation of a change fail in its turn, until it is made. @returns how many were refused */
function refusingEach(loaded: Dataplane, change: () => void, expectWhole: () => void): number {
  for (let refusals = 0; ; refusals++) {
    const end = refuseAfter(loaded, refusals);
    const code = codeOf(change);
    if (!end()) {
      expect(code).toBe(null);
      return refusals;
    }
    expect([refusals, code]).toEqual([refusals, "ENOMEM"]);
    expectWhole();
  }
}

describe("each allocation of a change refused in its turn", () => {
  const asBefore = (loaded: Dataplane): (() => void) => {
    const routes = loaded.routes(0);
    const [before, size] = [gateways(loaded, ASKED), routes.size(TABLE_ID)];
    return () => {
      expect(routes.size(TABLE_ID)).toBe(size);
      expect(gateways(loaded, ASKED)).toEqual(before);
    };
  };
  const expectAlike = (loaded: Dataplane, twin: Dataplane): void => {
    expect(gateways(loaded, ASKED)).toEqual(gateways(twin, ASKED));
    expect(loaded.routes(0).bytesInUse.records).toBe(twin.routes(0).bytesInUse.records);
  };

  test.each<[string, (routes: Routes) => void]>([
    ["the first change", (routes) => routes.add("172.16.0.0/16 via 10.0.1.9 table 10")],
    [
      "as many routes again, at once",
      (routes) =>
        void routes.update(
          TABLE_ID,
          stream(4000, (i) => 1 + (i % 3)),
        ),
    ],
  ])("%s", (name, change) => {
    const [loaded, twin] = [fresh(), fresh()];
    if (name !== "the first change") for (const each of [loaded, twin]) fill(each.routes(0));
    const refused = refusingEach(loaded, () => change(loaded.routes(0)), asBefore(loaded));
    expect(refused).toBeGreaterThan(2);
    change(twin.routes(0));
    expectAlike(loaded, twin);
  });

  test("IPv6: 600 random changes, one after the other and at once", () => {
    const [loaded, twin] = [fresh(), fresh()];
    const random = new Random(9);
    const asked = Array.from({ length: 2000 }, () => (0x2001_0db9n << 96n) | (BigInt(random.below(1 << 20)) << 68n));
    const whole = (): (() => void) => {
      const [before, size] = [gateways(loaded, asked, 6), loaded.routes(0).size(TABLE_ID, 6)];
      return () => {
        expect(loaded.routes(0).size(TABLE_ID, 6)).toBe(size);
        expect(gateways(loaded, asked, 6)).toEqual(before);
      };
    };
    const alike = (): void => {
      expect(gateways(loaded, asked, 6)).toEqual(gateways(twin, asked, 6));
      expect(loaded.routes(0).bytesInUse.records).toBe(twin.routes(0).bytesInUse.records);
    };
    let refused = 0;
    const both = (change: (routes: Routes) => void): void => {
      const expected = codeOf(() => change(twin.routes(0)));
      const end = refuseAfter(loaded, 0);
      const code = codeOf(() => change(loaded.routes(0)));
      if (end()) refused += 1 + refusingEach(loaded, () => change(loaded.routes(0)), whole());
      else expect(code).toBe(expected);
    };
    const commands = (count: number): void => {
      for (let i = 0; i < count; i++) {
        const length = 28 + random.below(20);
        const address =
          ((0x2001_0db9n << 96n) | (BigInt(random.below(1 << 20)) << 76n)) & (-1n << BigInt(128 - length));
        const prefix = `${formatIp(address)}/${length}`;
        const verb = random.chance(0.3) ? "append" : "replace";
        const gateway = `fe80::${1 + random.below(200)}`;
        both((routes) => routes.run(`${verb} ${prefix} via ${gateway} dev r1 table 10`));
        if (random.chance(0.3)) both((routes) => routes.run(`del ${prefix} table 10`));
      }
      alike();
    };
    commands(300);
    const count = 3000;
    const address = Uint32Array.from({ length: 4 * count }, (_, i) => [0x2001_0db9, i << 14, 0, 0][i % 4]);
    const length = new Uint8Array(count).fill(48);
    for (const each of [loaded, twin])
      for (const hop of [7, 8]) each.routes(0).nextHop(`via fe80::${hop} dev r1 table 10`);
    const nextHop = Uint32Array.from({ length: count }, (_, i) => 1 + (i % 2));
    both((routes) => void routes.update(TABLE_ID, { count, family: 6, address, length, nextHop }));
    alike();
    commands(300);
    expect(refused).toBeGreaterThan(10);
  });

  test("2,000 random changes, and the table is that of a module which had memory", () => {
    const [loaded, twin] = [fresh(), fresh()];
    for (const each of [loaded, twin]) fill(each.routes(0));
    const random = new Random(7);
    let refused = 0;
    for (let i = 0; i < 2000; i++) {
      const length = 20 + random.below(13);
      const address = (0xac10_0000 + random.below(1 << 19)) & (-1 << (32 - length));
      const prefix = `${formatIp(address >>> 0)}/${length}`;
      const hop = `via 10.0.${1 + random.below(2)}.${2 + random.below(250)} metric ${random.below(3)}`;
      const verb = random.chance(0.2) ? "append" : "replace";
      const commands = [`${verb} ${prefix} ${hop} table 10`, ...(random.chance(0.3) ? [`del ${prefix} table 10`] : [])];
      for (const command of commands) {
        const expected = codeOf(() => twin.routes(0).run(command));
        if (expected !== null) {
          expect(codeOf(() => loaded.routes(0).run(command))).toBe(expected);
          continue;
        }
        const end = refuseAfter(loaded, 0);
        const code = codeOf(() => loaded.routes(0).run(command));
        if (!end()) {
          expect([command, code]).toEqual([command, null]);
          continue;
        }
        expect(code).toBe("ENOMEM");
        refused += 1 + refusingEach(loaded, () => loaded.routes(0).run(command), asBefore(loaded));
      }
      if (i % 100 === 0) expectAlike(loaded, twin);
    }
    expectAlike(loaded, twin);
    expect(refused).toBeGreaterThan(20);
  });
});

/** The module with a memory of at most so many pages. */
function withMaximum(wasm: Uint8Array, maximum: number): Uint8Array<ArrayBuffer> {
  const MEMORY_SECTION = 5;
  let at = 8;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[at++];
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  for (;;) {
    const start = at;
    const id = wasm[at++];
    const end = number() + at;
    if (id !== MEMORY_SECTION) {
      at = end;
      continue;
    }
    at += 2; // one memory, whose limits have a maximum
    const minimum = number();
    const pages = [minimum, maximum].flatMap((n) => [(n & 127) | 128, ((n >>> 7) & 127) | 128, n >>> 14]);
    return Uint8Array.from([
      ...wasm.subarray(0, start),
      MEMORY_SECTION,
      2 + pages.length,
      1,
      1,
      ...pages,
      ...wasm.subarray(end),
    ]);
  }
}

const PAGE = 65536;
async function limited(wasm: Uint8Array, more: number): Promise<Dataplane> {
  const { exports } = new WebAssembly.Instance(await WebAssembly.compile(wasm as BufferSource));
  const pages = (exports.memory as WebAssembly.Memory).buffer.byteLength / PAGE;
  const low = await WebAssembly.compile(withMaximum(wasm, pages + more));
  return new Dataplane(new WebAssembly.Instance(low), readManifest(low));
}

describe("a memory with a low maximum", () => {
  test("routes of both families: ENOMEM, the old ones whole, and what is deleted makes room", async () => {
    const loaded = await limited(artifact, 40);
    const routes = loaded.routes(0);
    const added: string[] = [];
    let code: unknown = null;
    for (let i = 0; code === null && i < 100_000; i++) {
      const prefix = i % 2 === 0 ? `172.16.${i >>> 8}.${i & 255}` : `2001:db8:f:${i.toString(16)}::/64`;
      const hop = i % 2 === 0 ? "via 10.0.2.7" : "via 2001:db8:2::7";
      code = codeOf(() => routes.add(`${prefix} ${hop} table 10`));
      if (code === null) added.push(prefix);
    }
    expect(code).toBe("ENOMEM");
    const [four, six] = [4, 6].map((family) => added.filter((prefix) => prefix.includes(":") === (family === 6)));
    expect(
      gateways(
        loaded,
        four.map((ip) => parseIp(ip)!),
      ),
    ).toEqual(four.map(() => "10.0.2.7"));
    const inside = six.map((prefix) => (parseIp(prefix.split("/")[0]) as bigint) + 1n);
    expect(gateways(loaded, inside, 6)).toEqual(six.map(() => "2001:db8:2::7"));
    for (const prefix of added) routes.delete(`${prefix} table 10`);
    expect(gateways(loaded, inside, 6)).not.toContain("2001:db8:2::7");
    for (const prefix of added)
      routes.add(`${prefix} ${prefix.includes(":") ? "via 2001:db8:2::7" : "via 10.0.2.7"} table 10`);
    expect(gateways(loaded, inside, 6)).toEqual(six.map(() => "2001:db8:2::7"));
  });

  test("neighbours, maps and batches", async () => {
    const text = `${TEXT}
      table inet filter {
        set seen { type ipv4_addr; elements = { 10.0.0.1 } }
        set nets { type ipv4_addr; flags interval; elements = { 10.1.0.0/16 } }
        chain c { type filter hook forward priority 0; policy accept; ip saddr @seen drop; ip saddr @nets drop }
      }`;
    const { model, diagnostics } = checkText(text);
    expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
    const loaded = await limited((await compileModel(model!, { level: 0 })).artifact, 1);
    for (const name of ["seen", "nets"]) {
      const map = loaded.map(name);
      let code: unknown = null;
      let last = "";
      for (let i = 0; code === null && i < 100_000; i++) {
        last = `10.2.${i >>> 8}.${i & 255}`;
        code = codeOf(() => map.add(last));
      }
      expect([name, code, map.has(last)]).toEqual([name, "ENOMEM", false]);
      const { size } = map;
      expect(size).toBeGreaterThan(100);
      expect(map.has("10.2.0.0") && map.has("10.2.0.99")).toBe(true);
      const many = Array.from({ length: 50_000 }, (_, i): [string] => [`10.3.${i >>> 8}.${i & 255}`]);
      expect([codeOf(() => map.update(many)), map.size]).toEqual(["ENOMEM", size]);
      expect([codeOf(() => map.replace(many)), map.size]).toEqual(["ENOMEM", size]);
      expect(map.has("10.2.0.0") && map.has("10.2.0.99")).toBe(true);
    }
    const neighbours = loaded.neighbours(0);
    const learn = (i: number) => neighbours.add({ address: 0x0a000200 + i, lladdr: 0x020000000001 + i, dev: "r2" });
    let known = 0;
    expect(() => {
      for (; known < 100_000; known++) learn(known);
    }).toThrow(NeighbourError);
    expect(neighbours.get(0x0a000200 + known - 1, "r2")).toBe(0x020000000000 + known);
    expect(neighbours.get(0x0a000200 + known, "r2")).toBe(null);
    expect(codeOf(() => loaded.net(0).createBatch(100_000))).toBe("ENOMEM");
  });

  test("what is attached", async () => {
    const text = (verdict: string): string => `${TEXT}
      table inet filter { chain gate { type filter hook forward priority 0; counter ${verdict} } }`;
    const programs = await Promise.all(
      ["accept", "drop"].map(async (verdict) => {
        const { artifact } = await compileProgram(checkText(text(verdict)).model!, "gate", { level: 0 });
        return loadProgram(artifact);
      }),
    );
    const loaded = fresh();
    const links = loaded.links(0);
    const first = loaded.attach("forward", programs[0]);
    const whole = (): void => {
      expect(links.list()).toEqual([first]);
      expect(first.program).toBe(programs[0].manifest);
    };
    expect(refusingEach(loaded, () => void first.update(programs[1]), whole)).toBeGreaterThan(0);
    expect(first.program).toBe(programs[1].manifest);
    const updated = (): void => expect(links.list()).toEqual([first]);
    expect(refusingEach(loaded, () => void loaded.attach("forward", programs[0]), updated)).toBeGreaterThan(0);
    expect(links.list().length).toBe(2);
  });

  test("seats of threads", async () => {
    const { artifact: shared } = await compileModel(checkText(TEXT).model!, { level: 0, threads: true });
    const module = await WebAssembly.compile(shared);
    const { initial } = readManifest(module).memory.pages!;
    const memory = new WebAssembly.Memory({ initial, maximum: initial + 16, shared: true });
    const instance = new WebAssembly.Instance(module, { [MEMORY_IMPORT.module]: { [MEMORY_IMPORT.memory]: memory } });
    const loaded = new Dataplane(instance, readManifest(module), { module, memory });
    expect(codeOf(() => loaded.threads.seat({ bytes: 64 * PAGE }))).toBe("ENOMEM");
    expect(loaded.threads.seats).toEqual([]);
    expect(loaded.threads.seat({ bytes: PAGE }).worker).toBe(1);
  });
});
