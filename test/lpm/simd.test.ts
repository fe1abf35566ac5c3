/** Batches with SIMD: in the plan interpreter and as wasm, for cells and results of every width, the definition's answers. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { blockShape, buildBlocks } from "../../runtime/lpm/blocks.ts";
import { columnsOf } from "../../runtime/lpm/columns.ts";
import { linear } from "../../runtime/lpm/linear.ts";
import type { LpmEntry, LpmImage } from "../../runtime/lpm/lpm.ts";
import { spill } from "../../runtime/lpm/spill.ts";
import { type Family, type Ip, writeIpv6 } from "../../runtime/net/ip.ts";
import { SIMD_LANES } from "../../src/lpm/blocks-simd.ts";
import { lpmSimdBatchProc } from "../../src/lpm/emit.ts";
import { interpret } from "../../src/plan/interpret.ts";
import type { Plan } from "../../src/plan/ir.ts";
import { validatePlan } from "../../src/plan/validate.ts";
import { emitModule } from "../../src/wasm/emit.ts";
import { address, edges, longestMatch, table } from "./tables.ts";

type Width = 1 | 2 | 4;
const WIDTHS: readonly Width[] = [1, 2, 4];
type Strides = readonly number[] | null;
const STRIDES: Readonly<Record<Family, readonly Strides[]>> = {
  4: [[20, 4, 8], [19, 5, 8], [8, 8, 8, 8], [16, 16], [3, 4, 5, 6, 7, 7], null],
  6: [
    [16, ...Array(14).fill(8)],
    [16, 12, 7, 6, 7, ...Array(10).fill(8)],
    [4, 4, 9, 12, 3, ...Array(12).fill(8)],
  ],
};
const FAMILIES: readonly Family[] = [4, 6];

/** Values that fit results of `bytes`, and are not all of the width below. */
const valued = (family: Family, bytes: Width) =>
  table(family, 20).map((entries) =>
    entries.map((entry): LpmEntry => ({ ...entry, value: 1 + (entry.value % (2 ** (8 * bytes - 1) - 1)) })),
  );

/** image | addresses | results, with as many bytes of 0xa5 around the results as a vector has. */
class Ground {
  readonly args: readonly number[];
  readonly #memory: Uint8Array;
  readonly #bytes: Width;

  constructor(memory: Uint8Array, image: LpmImage, ips: readonly Ip[], bytes: Width) {
    const addresses = image.bytes.length + 61; // nothing need be aligned
    const out = addresses + 16 * ips.length + 16;
    memory.fill(0xa5);
    memory.set(image.bytes);
    const view = new DataView(memory.buffer);
    for (const [i, ip] of ips.entries())
      if (typeof ip === "number") view.setUint32(addresses + 4 * i, ip, true);
      else writeIpv6(memory, addresses + 16 * i, ip);
    this.args = [0, addresses, out, ips.length];
    this.#memory = memory;
    this.#bytes = bytes;
  }

  static bytes = (image: LpmImage, ips: readonly Ip[]): number => image.bytes.length + 61 + 20 * ips.length + 64;

  expect(answers: readonly number[]): void {
    const [, , out, count] = this.args;
    const view = new DataView(this.#memory.buffer);
    const read = { 1: view.getUint8, 2: view.getUint16, 4: view.getUint32 }[this.#bytes];
    const found = Array.from({ length: count }, (_, i) => read.call(view, out + this.#bytes * i, true));
    expect(found).toEqual(answers);
    const around = [
      this.#memory.subarray(out - 16, out),
      this.#memory.subarray(out + this.#bytes * count, out + this.#bytes * count + 16),
    ];
    for (const bytes of around) expect(bytes.every((byte) => byte === 0xa5)).toBe(true);
  }
}

const cases = (family: Family, bytes: Width) =>
  fc.tuple(
    valued(family, bytes),
    fc.constantFrom(...STRIDES[family]),
    fc.array(address(family), { minLength: SIMD_LANES[family], maxLength: SIMD_LANES[family] + 5 }),
  );

interface Case {
  readonly image: LpmImage;
  readonly plan: Plan;
  readonly name: string;
  readonly ips: readonly Ip[];
  readonly answers: readonly number[];
}

/** Addresses of one answer stand together, as some code ends where a round's have none. */
function caseOf(
  family: Family,
  entries: readonly LpmEntry[],
  strides: Strides,
  more: readonly Ip[],
  bytes: Width,
): Case {
  const image = buildBlocks(columnsOf(family, entries), { strides });
  const alone = Array.from({ length: SIMD_LANES[family] }, (_, i): Ip => (family === 4 ? i : BigInt(i)));
  const ips = [...alone, ...edges(family, entries), ...more];
  const proc = lpmSimdBatchProc(image, bytes);
  const plan: Plan = { procs: [proc], skb: [] };
  return { image, plan, name: proc.name, ips, answers: ips.map((ip) => longestMatch(entries, ip)) };
}

async function runWasm({ image, plan, name, ips, answers }: Case, bytes: Width): Promise<void> {
  const pages = Math.ceil(Ground.bytes(image, ips) / 65536);
  const { wasm } = await emitModule([{ plan, suffix: "" }], {
    segments: [],
    initialPages: pages,
    maximumPages: pages,
    traceRegion: { cursor: 0, end: 4, lost: 8 },
    level: 2,
    simd: true,
  });
  const { instance } = await WebAssembly.instantiate(wasm);
  const { memory, [name]: lookup } = instance.exports as Record<string, unknown>;
  const ground = new Ground(new Uint8Array((memory as WebAssembly.Memory).buffer), image, ips, bytes);
  (lookup as (...args: readonly number[]) => void)(...ground.args);
  ground.expect(answers);
}

const EACH = FAMILIES.flatMap((family) => WIDTHS.map((bytes) => [family, bytes] as const));

test.each(EACH)("interpreted, IPv%i, results of %i bytes", (family, bytes) => {
  const property = fc.property(cases(family, bytes), ([entries, strides, more]) => {
    const { image, plan, name, ips, answers } = caseOf(family, entries, strides, more, bytes);
    expect(validatePlan(plan)).toEqual([]);
    const memory = new Uint8Array(Ground.bytes(image, ips));
    const ground = new Ground(memory, image, ips, bytes);
    interpret(plan, { memory }).call(name, ground.args);
    ground.expect(answers);
  });
  fc.assert(property, { numRuns: 12 });
});

test.each(EACH)("wasm, IPv%i, results of %i bytes", async (family, bytes) => {
  const property = fc.asyncProperty(cases(family, bytes), async ([entries, strides, more]) => {
    await runWasm(caseOf(family, entries, strides, more, bytes), bytes);
  });
  await fc.assert(property, { numRuns: 20 });
});

test("cells of the root in two bytes, some of a round's 0", () => {
  const networks = Array.from({ length: 300 }, (_, i) => BigInt(0x2001 + i) << 112n);
  const entries = networks.map((address, i): LpmEntry => ({ address, length: 48, value: 1 + i }));
  const rounds = [0, 1, 3, 5, 11, 16].flatMap((routed) =>
    Array.from({ length: 16 }, (_, i) => (i < routed ? networks[(37 * i) % 300] : 0n) + BigInt(i)),
  );
  const { image, plan, name, ips, answers } = caseOf(6, entries, [16, 8, 8, 8, 8], rounds, 2);
  expect(blockShape(image).levels[0].cellBytes).toBe(2);
  const memory = new Uint8Array(Ground.bytes(image, ips));
  const ground = new Ground(memory, image, ips, 2);
  interpret(plan, { memory }).call(name, ground.args);
  ground.expect(answers);
});

test("where the lowest addresses have no route, a round without any ends early", () => {
  const name = (network: bigint, length: number) =>
    lpmSimdBatchProc(buildBlocks(columnsOf(6, [{ address: network, length, value: 1 }]))).name;
  expect(name(0x2001n << 112n, 48)).toMatch(/_early$/);
  expect(name(0n, 48)).not.toMatch(/_early$/);
});

/** Values that are numbers but for one in 80; the longest prefixes are longer than /24. */
const spilling = table(4, 300).map((entries) => {
  const valued = entries.map((entry, i): LpmEntry => ({ ...entry, value: 1 + (i % 254) }));
  return valued.map((entry, i) => (i > 0 && i % 80 === 0 ? { ...entry, value: 300 } : entry));
});

test.each([1, 2, 4] as const)("spill, results of %i bytes", async (bytes) => {
  const most = bytes === 1 ? 254 : 300;
  const property = fc.asyncProperty(spilling, fc.array(address(4), { maxLength: 70 }), async (entries, more) => {
    const valued = entries.map((entry) => ({ ...entry, value: Math.min(entry.value, most) }));
    const image = spill.build(4, valued);
    const ips = [...edges(4, valued), ...more];
    const proc = lpmSimdBatchProc(image, bytes);
    const plan: Plan = { procs: [proc], skb: [] };
    const answers = ips.map((ip) => longestMatch(valued, ip));
    expect(validatePlan(plan)).toEqual([]);
    const memory = new Uint8Array(Ground.bytes(image, ips));
    const ground = new Ground(memory, image, ips, bytes);
    interpret(plan, { memory }).call(proc.name, ground.args);
    ground.expect(answers);
    await runWasm({ image, plan, name: proc.name, ips, answers }, bytes);
  });
  await fc.assert(property, { numRuns: 15 });
});

test("what has no such code is refused", () => {
  expect(() => lpmSimdBatchProc(linear.build(4, []))).toThrow(RangeError);
  const numbered = spill.build(4, [{ address: 0, length: 0, value: 1000 }]);
  expect(() => lpmSimdBatchProc(numbered)).toThrow(RangeError);
});
