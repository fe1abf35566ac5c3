/** A module's memory has what its contents say, wherever there are zeros and however many runs. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ret } from "../../src/plan/ir.ts";
import { emitModule } from "../../src/wasm/emit.ts";

const PAGE = 65536;

async function memoryOf(image: Uint8Array, initialPages: number): Promise<Uint8Array> {
  const proc = {
    name: "f",
    comment: "",
    params: [],
    result: "i32",
    requires: [],
    body: [ret(1)],
    exported: true,
  } as const;
  const { wasm } = await emitModule([{ plan: { procs: [proc], skb: [] }, suffix: "" }], {
    segments: [{ offset: 0, bytes: image }],
    initialPages,
    maximumPages: 1000,
    traceRegion: { cursor: 0, end: 4, lost: 8 },
    level: 1,
  });
  const { instance } = await WebAssembly.instantiate(wasm);
  const memory = instance.exports.memory as WebAssembly.Memory;
  expect(memory.buffer.byteLength).toBe(initialPages * PAGE);
  return new Uint8Array(memory.buffer);
}

test("drawn images", async () => {
  const run = fc.tuple(fc.nat(40), fc.uint8Array({ maxLength: 30 }));
  await fc.assert(
    fc.asyncProperty(fc.array(run, { maxLength: 30 }), fc.integer({ min: 1, max: 300 }), async (runs, pages) => {
      const image = Uint8Array.from(runs.flatMap(([zeros, bytes]) => [...new Uint8Array(zeros), ...bytes]));
      const memory = await memoryOf(image, pages);
      expect(memory.subarray(0, image.length)).toEqual(image);
      expect(memory.subarray(image.length).every((byte) => byte === 0)).toBe(true);
    }),
    { numRuns: 30 },
  );
});

test("more runs than an engine takes segments", async () => {
  const image = new Uint8Array(130_000 * 40);
  for (let at = 0; at < image.length; at += 40) image[at] = 1 + (at % 255);
  const memory = await memoryOf(image, Math.ceil(image.length / PAGE));
  expect(Buffer.compare(memory.subarray(0, image.length), image)).toBe(0);
});
