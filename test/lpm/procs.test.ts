/** The look-up procs, in the plan interpreter and as wasm, single and in batches, specialised or not: all one answer. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildLpm } from "../../runtime/lpm/choose.ts";
import type { LpmEntry, LpmImage, LpmKind } from "../../runtime/lpm/lpm.ts";
import { type Family, type Ip, writeIpv6 } from "../../runtime/net/ip.ts";
import { lpmBatchProc, lpmProc, lpmProcName, shapeOf } from "../../src/lpm/emit.ts";
import { interpret } from "../../src/plan/interpret.ts";
import type { Plan, Proc } from "../../src/plan/ir.ts";
import { validatePlan } from "../../src/plan/validate.ts";
import { emitModule } from "../../src/wasm/emit.ts";
import { address, edges, longestMatch, table } from "./tables.ts";

const CASES: readonly (readonly [LpmKind, Family])[] = [
  ["linear", 4],
  ["linear", 6],
  ["blocks", 4],
  ["blocks", 6],
  ["dir24", 4],
  ["ranges", 4],
  ["poptrie", 4],
  ["spill", 4],
];

/** Between the parts of the memory: what must stay as it is. */
const GUARD = 0xa5;

/** guard | image | guard | addresses | guard | results | guard */
class Ground {
  readonly memory: Uint8Array;
  readonly base: number;
  readonly addresses: number;
  readonly out: number;
  readonly count: number;
  readonly #before: Uint8Array;

  constructor(image: LpmImage, ips: readonly Ip[], memory?: Uint8Array) {
    const align = (n: number) => (n + 127) & ~63;
    const stride = image.family === 4 ? 4 : 16;
    this.count = ips.length;
    this.base = 64;
    this.addresses = align(this.base + image.bytes.length);
    this.out = align(this.addresses + ips.length * stride);
    const end = align(this.out + ips.length * 4);
    this.memory = memory ?? new Uint8Array(end);
    this.memory.subarray(0, end).fill(GUARD);
    this.memory.set(image.bytes, this.base);
    ips.forEach((ip, i) => {
      if (typeof ip === "bigint") writeIpv6(this.memory, this.addresses + 16 * i, ip);
      else new DataView(this.memory.buffer).setUint32(this.addresses + 4 * i, ip, true);
    });
    this.#before = this.memory.slice(0, end);
  }

  get results(): number[] {
    const view = new DataView(this.memory.buffer);
    return Array.from({ length: this.count }, (_, i) => view.getUint32(this.out + 4 * i, true));
  }

  /** Everything but the results is as it was. */
  expectUntouched(): void {
    const after = this.memory.slice(0, this.#before.length);
    after.set(this.#before.subarray(this.out, this.out + 4 * this.count), this.out);
    expect(Buffer.compare(after, this.#before)).toBe(0);
  }
}

const planOf = (procs: readonly Proc[]): Plan => ({
  procs: procs.map((proc) => ({ ...proc, exported: true })),
  skb: [],
});

/** The four forms of one look-up. */
const procsFor = (image: LpmImage): Proc[] =>
  [null, shapeOf(image)].flatMap((shape) => [
    lpmProc(image.kind, image.family, shape),
    lpmBatchProc(image.kind, image.family, 8, shape),
  ]);

const uniqueByName = (procs: readonly Proc[]): Proc[] => [...new Map(procs.map((proc) => [proc.name, proc])).values()];

type Call = (name: string, args: readonly number[]) => unknown;

function checkAll(image: LpmImage, entries: readonly LpmEntry[], ips: readonly Ip[], call: Call, ground: Ground): void {
  const expected = ips.map((ip) => longestMatch(entries, ip));
  for (const shape of [null, shapeOf(image)]) {
    const name = lpmProcName(image.kind, image.family, shape);
    const one = ips.map((ip, i) => {
      const argument = image.family === 4 ? Number(ip) | 0 : ground.addresses + 16 * i;
      return call(name, [ground.base, argument]);
    });
    expect([name, one]).toEqual([name, expected]);
    call(`${name}_x8w`, [ground.base, ground.addresses, ground.out, ground.count]);
    expect([name, ground.results]).toEqual([name, expected]);
  }
  ground.expectUntouched();
}

describe.each(CASES)("%s, IPv%i", (kind, family) => {
  const ask = (entries: readonly LpmEntry[], more: readonly Ip[]): Ip[] => [...edges(family, entries), ...more];
  const input = [table(family, 20), fc.array(address(family), { maxLength: 12 })] as const;

  test("valid plans", () => {
    fc.assert(
      fc.property(table(family, 20), (entries) => {
        const plan = planOf(uniqueByName(procsFor(buildLpm(family, entries, kind))));
        expect(validatePlan(plan)).toEqual([]);
      }),
      { numRuns: kind === "dir24" ? 2 : 20 },
    );
  });

  test("interpreted", () => {
    fc.assert(
      fc.property(...input, (entries, more) => {
        const image = buildLpm(family, entries, kind);
        const ips = ask(entries, more);
        const ground = new Ground(image, ips);
        const engine = interpret(planOf(uniqueByName(procsFor(image))), { memory: ground.memory });
        checkAll(image, entries, ips, (name, args) => engine.call(name, args), ground);
      }),
      { numRuns: kind === "dir24" ? 4 : 60 },
    );
  });

  test.each([0, 1, 2] as const)("wasm, level %i", async (level) => {
    await fc.assert(
      fc.asyncProperty(...input, async (entries, more) => {
        const image = buildLpm(family, entries, kind);
        const ips = ask(entries, more);
        const pages = Math.ceil((image.bytes.length + ips.length * 20 + 1024) / 65536);
        const { wasm } = await emitModule([{ plan: planOf(uniqueByName(procsFor(image))), suffix: "" }], {
          segments: [],
          initialPages: pages,
          maximumPages: pages,
          traceRegion: { cursor: 0, end: 4, lost: 8 },
          level,
        });
        const { instance } = await WebAssembly.instantiate(wasm as Uint8Array<ArrayBuffer>);
        const exports = instance.exports as Record<string, (...args: number[]) => number>;
        const memory = new Uint8Array((instance.exports.memory as WebAssembly.Memory).buffer);
        const ground = new Ground(image, ips, memory);
        checkAll(image, entries, ips, (name, args) => exports[name](...args), ground);
      }),
      { numRuns: kind === "dir24" ? 2 : 8 },
    );
  });
});

test("what is not there is refused", () => {
  expect(() => lpmProc("dir24", 6)).toThrow(RangeError);
  expect(() => lpmProc("blocks", 4, { kind: "linear", rows: 1 })).toThrow(RangeError);
});

test("names tell the shape", () => {
  const image = buildLpm(4, [{ address: 0x0a000000, length: 8, value: 1 }], "blocks");
  expect(lpmProc("blocks", 4, shapeOf(image)).name).toBe("lpm_blocks_4_8b");
  expect(lpmBatchProc("dir24", 4, 16, { kind: "dir24", cellBytes: 2, long: true }).name).toBe("lpm_dir24_4_h_x16w");
  expect(lpmBatchProc("dir24", 4, 8, { kind: "dir24", cellBytes: 1, long: false }, 2).name).toBe(
    "lpm_dir24_4_b_short_x8h",
  );
  expect(lpmProc("linear", 6).name).toBe("lpm_linear_6");
});
