/** Structures that change in place, against ones built anew of the same routes. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { blockField } from "../../runtime/lpm/blocks.ts";
import { UpdatableBlocks } from "../../runtime/lpm/blocks-update.ts";
import { LPM_STRUCTURES, RANGES_UP_TO } from "../../runtime/lpm/choose.ts";
import type { LpmEntry, LpmImage } from "../../runtime/lpm/lpm.ts";
import { PrefixTrie } from "../../runtime/lpm/prefix-trie.ts";
import { ranges } from "../../runtime/lpm/ranges.ts";
import { cellBytesFor } from "../../runtime/lpm/strides.ts";
import { UpdatableTable } from "../../runtime/lpm/table.ts";
import { network } from "../../runtime/net/ip.ts";
import { address, edges, longestMatch } from "../lpm/tables.ts";
import { TestMemory } from "./memory.ts";

interface Change {
  readonly address: number;
  readonly length: number;
  /** 0: take it away. */
  readonly value: number;
}

/** Prefixes of few addresses, so that what comes often is there, around, or inside what is. */
function changes(count: number, bits = 32, values = 4): fc.Arbitrary<Change[]> {
  const change = fc.record({
    which: fc.nat(7),
    length: fc.oneof(
      fc.integer({ min: 0, max: bits }),
      fc.constantFrom(...[0, 8, 16, 20, 23, 24, bits].filter((length) => length <= bits)),
    ),
    value: fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: 1, max: values }) },
      { weight: 2, arbitrary: fc.constant(0) },
    ),
  });
  return fc
    .tuple(
      fc.array(address(4), { minLength: 8, maxLength: 8 }),
      fc.array(change, { minLength: 1, maxLength: count, size: "max" }),
    )
    .map(([addresses, drawn]) =>
      drawn.map(({ which, length, value }) => ({
        address: network(addresses[which], length) as number,
        length,
        value,
      })),
    );
}

/** The routes after the changes. */
function routesAfter(list: readonly Change[]): LpmEntry[] {
  const routes = new Map<string, LpmEntry>();
  for (const { address, length, value } of list) {
    if (value === 0) routes.delete(`${address}/${length}`);
    else routes.set(`${address}/${length}`, { address, length, value });
  }
  return [...routes.values()];
}

function apply(table: UpdatableTable, { address, length, value }: Change): void {
  if (value !== 0) {
    table.set(address, length, value);
    return;
  }
  const node = table.trie.find(address, length);
  if (node !== 0) table.delete(node);
}

/** What stands in memory, as the walk of its kind reads it. */
const imageOf = (memory: TestMemory, table: UpdatableTable): LpmImage => ({
  kind: table.kind,
  family: 4,
  bytes: new Uint8Array(memory.buffer, table.image),
  prefixes: table.trie.size,
});

function expectAnswers(image: LpmImage, routes: readonly LpmEntry[], asked: readonly LpmEntry[]): void {
  const { lookup } = LPM_STRUCTURES[image.kind];
  for (const ip of edges(4, [...routes, ...asked]))
    expect([ip, lookup(image, ip)]).toEqual([ip, longestMatch(routes, ip)]);
}

describe("a trie of prefixes", () => {
  test("finds what was set, its cover, and what is right inside it", () => {
    fc.assert(
      fc.property(changes(60), (list) => {
        const trie = new PrefixTrie();
        for (const { address, length, value } of list) {
          const node = trie.find(address, length);
          if (value !== 0) trie.set(address, length, value);
          else if (node !== 0) trie.delete(node);
        }
        const routes = routesAfter(list);
        expect(trie.size).toBe(routes.length);
        const coverOf = (route: LpmEntry) => {
          const around = routes.filter(
            ({ address, length }) => length < route.length && network(route.address, length) === address,
          );
          return around.sort((a, b) => b.length - a.length)[0];
        };
        for (const route of routes) {
          const node = trie.find(route.address as number, route.length);
          expect(trie.valueOf(node)).toBe(route.value);
          const cover = trie.coverOf(node);
          expect(cover === 0 ? undefined : trie.lengthOf(cover)).toBe(coverOf(route)?.length);
          const inside: string[] = [];
          trie.forEachInside(node, (n) => inside.push(`${trie.keyOf(n)}/${trie.lengthOf(n)}`));
          const expected = routes.filter((other) => coverOf(other) === route).map((r) => `${r.address}/${r.length}`);
          expect(inside.sort()).toEqual(expected.sort());
        }
      }),
    );
  });
});

const SPLITS = [[8, 8, 8, 8], [12, 12, 8], [16, 16], [4, 4, 4, 4, 4, 4, 4, 4], [8, 8, 8], [16, 4], [12]];

/** A shape of these strides that holds a thousand blocks a level. */
const shapeOf = (strides: readonly number[]) => ({
  indirect: false,
  levels: strides.map((stride, k) => ({
    ...blockField(
      4,
      strides.slice(0, k).reduce((a, b) => a + b, 0),
      stride,
    ),
    stride,
    cellBytes: cellBytesFor(k === strides.length - 1 ? 5 : 1000),
  })),
});

describe("blocks", () => {
  test("changed in place answer as a table built anew, and have as many blocks", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SPLITS).chain((s) => fc.tuple(fc.constant(s), changes(30, sum(s)))),
        ([strides, list]) => {
          const memory = new TestMemory();
          const trie = new PrefixTrie();
          const blocks = new UpdatableBlocks(memory, trie, shapeOf(strides));
          for (const { address, length, value } of list) {
            const old = trie.find(address, length);
            if (value !== 0) blocks.update(address, length, trie.set(address, length, value), 0);
            else if (old !== 0) {
              const cover = trie.coverOf(old);
              blocks.update(address, length, trie.delete(old), cover === 0 ? 0 : trie.valueOf(cover));
            }
          }
          const routes = routesAfter(list);
          const bytes = new Uint8Array(memory.buffer, blocks.base);
          expectAnswers(
            { kind: "blocks", family: 4, bytes, prefixes: routes.length },
            routes,
            routesAfter(list.map((c) => ({ ...c, value: 1 }))),
          );
          const anew = new UpdatableBlocks(new TestMemory(), trie, shapeOf(strides));
          expect(blocks.blocks).toEqual(anew.blocks);
          blocks.dispose();
          expect(memory.bytesInUse).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });
});

const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

describe("a table that changes", () => {
  test.each([undefined, "linear", "ranges"] as const)("answers as one built anew after every change: %s", (small) => {
    fc.assert(
      fc.property(changes(25), fc.constantFrom(4, 0x7fffffff), (list, maxValue) => {
        const memory = new TestMemory();
        const table = new UpdatableTable(memory, new PrefixTrie(), {
          maxValue,
          ...(small === undefined ? {} : { small }),
        });
        list.forEach((change, i) => {
          apply(table, change);
          const routes = routesAfter(list.slice(0, i + 1));
          expectAnswers(imageOf(memory, table), routes, [change as LpmEntry]);
        });
      }),
      { numRuns: 60 },
    );
  });

  test("is ranges up to so many routes, then blocks, and ranges again; no room is left behind", () => {
    const memory = new TestMemory();
    const table = new UpdatableTable(memory, new PrefixTrie(), { maxValue: 1, small: "ranges" });
    const networks = Array.from({ length: RANGES_UP_TO + 1 }, (_, i) => (i << 12) >>> 0);
    for (const address of networks) table.set(address, 24, 1);
    expect([table.kind, memory.bytesInUse]).toEqual(["blocks", table.bytes]);
    for (const address of networks.slice(1)) table.delete(table.trie.find(address, 24));
    expect([table.kind, memory.bytesInUse, table.bytes]).toEqual(["ranges", 128, 128]);
    expect(ranges.lookup(imageOf(memory, table), 255)).toBe(1);
    expect(ranges.lookup(imageOf(memory, table), 256)).toBe(0);
    table.dispose();
    expect(memory.bytesInUse).toBe(0);
  });

  test("gives back all memory that a change took when the change is taken back", () => {
    fc.assert(
      fc.property(changes(40), (list) => {
        const memory = new TestMemory();
        const table = new UpdatableTable(memory, new PrefixTrie(), { maxValue: 4 });
        for (let i = 0; i < 128; i++) table.set(i * 2 ** 25, 7, 1 + (i % 4));
        table.set(0xffffffff, 32, 1);
        const before = table.blocks;
        const bytes = memory.bytesInUse;
        const fresh = list.filter(({ length }) => length > 7 && length < 32);
        for (const change of fresh) apply(table, change);
        for (const change of fresh) apply(table, { ...change, value: 0 });
        expect(table.blocks).toEqual(before);
        expect(memory.bytesInUse).toBe(bytes);
        expect(memory.bytesInUse).toBe(table.bytes);
      }),
      { numRuns: 60 },
    );
  });

  test("does not creep in 100,000 changes", () => {
    const memory = new TestMemory();
    const trie = new PrefixTrie();
    const table = new UpdatableTable(memory, trie, { maxValue: 0xffff });
    let seed = 1;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const change = (): void => {
      const length = 20 + random(9);
      const address = network((0x0a000000 | random(2 ** 22)) >>> 0, length) as number;
      apply(table, { address, length, value: random(2) === 0 ? 0 : 1 + random(60000) });
    };
    const marks: number[] = [];
    for (let i = 0; i < 100_000; i++) {
      change();
      if (i === 20_000 || i === 99_999) marks.push(table.bytes / trie.size);
    }
    expect(marks[1]).toBeLessThan(marks[0] * 2);
    const anew = new UpdatableTable(new TestMemory(), trie, { maxValue: 0xffff });
    const kept = imageOf(memory, table);
    for (let i = 0; i < 2000; i++) {
      const ip = (0x0a000000 | random(2 ** 22)) >>> 0;
      const best = trie.covering(ip);
      expect(LPM_STRUCTURES[kept.kind].lookup(kept, ip)).toBe(best === 0 ? 0 : trie.valueOf(best));
    }
    expect(anew.bytes * 2).toBeGreaterThan(table.bytes);
  });
});
