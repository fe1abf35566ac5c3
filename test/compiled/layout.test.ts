/** layout: regions aligned, disjoint and in order; the image is what runtime/abi draws; neighbour tables keep what they are told. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Model } from "../../dsl/model.ts";
import { DEVICE } from "../../runtime/abi/device.ts";
import { TABLE } from "../../runtime/abi/fib.ts";
import { IMAGE, IMAGE_ALIGN, IMAGE_MAGIC } from "../../runtime/abi/image.ts";
import { NET } from "../../runtime/abi/net.ts";
import { NeighbourTable, neighbourSlots, neighbourTableBytes } from "../../runtime/neighbour.ts";
import type { Ip } from "../../runtime/net/ip.ts";
import { buildFib } from "../../src/fib/build.ts";
import { layout, printLayout } from "../../src/layout.ts";
import { suppressedLengths } from "../../src/shared-table.ts";
import { anyModel } from "./random-model.ts";

test("regions are aligned, disjoint, ascending, and inside the image", () => {
  fc.assert(
    fc.property(anyModel(2), (model) => {
      const { regions, heap, image } = layout(model, buildFib(model));
      let end = 0;
      for (const { offset, bytes } of regions) {
        expect(offset % IMAGE_ALIGN).toBe(0);
        expect(offset).toBeGreaterThanOrEqual(end);
        end = offset + bytes;
      }
      expect(end).toBeLessThanOrEqual(heap);
      expect(image.length).toBe(heap);
    }),
    { numRuns: 50 },
  );
});

test("the parts are the image, and the one that routes decide is the same when rules are others", () => {
  fc.assert(
    fc.property(anyModel(2), (model) => {
      const fibs = buildFib(model);
      const { image, segments } = layout(model, fibs);
      expect(Buffer.concat(segments.map(({ bytes }) => bytes)).equals(image)).toBe(true);
      const nets = model.nets.map((net) => ({ ...net, rules: net.rules.slice(0, 1) }));
      const alone = suppresses(model) ? [] : layout({ ...model, nets }, fibs).segments;
      for (const [i, { offset, bytes }] of alone.entries()) {
        expect(offset).toBe(segments[i].offset);
        if (i === 1) expect(bytes).toBe(segments[1].bytes);
      }
    }),
    { numRuns: 50 },
  );
});

/** Such rules decide what routes become. */
const suppresses = ({ nets }: Model): boolean => nets.some(({ rules }) => suppressedLengths(rules).length > 0);

test("every offset in a record leads to a record of its kind", () => {
  fc.assert(
    fc.property(anyModel(2), (model) => {
      const placed = layout(model, buildFib(model));
      const view = new DataView(placed.image.buffer);
      const word = (offset: number) => view.getUint32(offset, true);
      const regionOf = (offset: number) =>
        placed.regions.find((region) => offset >= region.offset && offset < region.offset + region.bytes)?.name;
      expect(word(IMAGE.magic)).toBe(IMAGE_MAGIC);
      expect(word(IMAGE.nets)).toBe(model.nets.length);
      for (const { net, offset, devices, tables } of placed.nets) {
        const prefix = `net ${net.index} (${net.name})`;
        expect(regionOf(word(offset + NET.devices))).toBe(`${prefix} devices`);
        expect(regionOf(word(offset + NET.neighbours))).toBe(`${prefix} neighbours`);
        expect(regionOf(word(offset + NET.counters))).toBe(`${prefix} counters`);
        for (const [ifindex, device] of devices) expect(word(device + DEVICE.ifindex)).toBe(ifindex);
        for (const [id, { offset: table, kind }] of tables) {
          expect(word(table + TABLE.id)).toBe(id);
          expect(regionOf(word(table + TABLE.image))).toBe(`${prefix} table ${id} ${kind}`);
        }
      }
    }),
    { numRuns: 50 },
  );
});

test("as text", () => {
  const [model] = fc.sample(anyModel(), { seed: 1, numRuns: 1 });
  const lines = printLayout(layout(model, buildFib(model))).split("\n");
  expect(lines[0]).toBe("0x00000000       80  image header");
  expect(lines[1]).toBe("0x00000050      128  net records");
  expect(lines.at(-2)).toMatch(/^0x[0-9a-f]{8} {11}heap$/);
});

describe("neighbour table", () => {
  type Command = { readonly ifindex: number; readonly address: Ip; readonly mac: number | null };
  const anyCommand: fc.Arbitrary<Command> = fc.record({
    ifindex: fc.integer({ min: 1, max: 3 }),
    // Few addresses, and some that start their search at the same slot.
    address: fc.oneof(
      fc.nat(20).map((n) => 0x0a000000 + n),
      fc.nat(6).map((n) => BigInt(n)),
    ),
    mac: fc.option(fc.nat(0xffff), { freq: 3 }),
  });

  test("keeps what it is told, as a map does, and says when it has no room", () => {
    fc.assert(
      fc.property(fc.array(anyCommand, { maxLength: 60, size: "max" }), (commands) => {
        const slots = 16;
        const guard = 64;
        const bytes = new Uint8Array(neighbourTableBytes(slots) + 2 * guard).fill(0xa5);
        const table = new NeighbourTable(bytes, guard);
        table.clear(slots);
        const map = new Map<string, Command>();
        for (const command of commands) {
          const { ifindex, address, mac } = command;
          const key = `${ifindex} ${typeof address} ${address}`;
          if (mac === null) {
            table.delete(ifindex, address);
            map.delete(key);
          } else if (table.set({ ifindex, address, mac })) map.set(key, command);
          else expect(table.used * 2).toBeGreaterThanOrEqual(slots);
        }
        for (const { ifindex, address, mac } of map.values()) expect(table.get(ifindex, address)).toBe(mac);
        expect([...table.entries()].length).toBe(map.size);
        expect(bytes.subarray(0, guard).every((byte) => byte === 0xa5)).toBe(true);
        expect(bytes.subarray(-guard).every((byte) => byte === 0xa5)).toBe(true);
      }),
    );
  });

  test.each([
    [0, 16],
    [4, 16],
    [5, 32],
    [1000, 4096],
  ])("%d entries get %d slots", (entries, slots) => {
    expect(neighbourSlots(entries)).toBe(slots);
  });
});
