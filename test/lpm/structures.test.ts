/** Every look-up structure, walked in TypeScript, against `linear`, and `linear` against the definition. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { blockShape, buildBlocks, zeroEnds } from "../../runtime/lpm/blocks.ts";
import { buildLpm, chooseLpm, LPM_STRUCTURES, RANGES_UP_TO } from "../../runtime/lpm/choose.ts";
import { columnsOf, sortColumns } from "../../runtime/lpm/columns.ts";
import { buildDag, census } from "../../runtime/lpm/dag.ts";
import { dir24Shape } from "../../runtime/lpm/dir24.ts";
import type { LpmEntry, LpmImage } from "../../runtime/lpm/lpm.ts";
import { poptrieShape } from "../../runtime/lpm/poptrie.ts";
import { rangesOf, rangesShape } from "../../runtime/lpm/ranges.ts";
import { buildSpill, SPILLED, spillParts, spillShape } from "../../runtime/lpm/spill.ts";
import { alone, bytesOfSplit, chooseStrides } from "../../runtime/lpm/strides.ts";
import type { Family, Ip } from "../../runtime/net/ip.ts";
import { parseIp, parsePrefix } from "./notation.ts";
import { address, edges, longestMatch, table } from "./tables.ts";

const { linear, blocks, dir24, ranges, poptrie, spill } = LPM_STRUCTURES;
const FAMILIES: readonly Family[] = [4, 6];

const routes = (text: Record<string, number>): LpmEntry[] =>
  Object.entries(text).map(([prefix, value]) => ({ ...parsePrefix(prefix), value }));

describe.each(FAMILIES)("IPv%i", (family) => {
  const asked = fc.array(address(family), { maxLength: 30 });
  const check = (image: LpmImage, entries: readonly LpmEntry[], more: readonly Ip[]): void => {
    for (const ip of [...edges(family, entries), ...more])
      expect([ip, LPM_STRUCTURES[image.kind].lookup(image, ip)]).toEqual([ip, longestMatch(entries, ip)]);
  };

  test("linear is the definition", () => {
    fc.assert(
      fc.property(table(family), asked, (entries, more) => check(linear.build(family, entries), entries, more)),
    );
  });

  test("blocks, strides chosen, is linear", () => {
    fc.assert(
      fc.property(table(family), asked, (entries, more) => check(blocks.build(family, entries), entries, more)),
      {
        numRuns: 300,
      },
    );
  });

  test("blocks, any strides, is linear", () => {
    const strides = family === 4 ? strides4 : strides6;
    fc.assert(
      fc.property(table(family), asked, strides, (entries, more, chosen) =>
        check(buildBlocks(columnsOf(family, entries), { strides: chosen }), entries, more),
      ),
    );
  });

  test("no two blocks of a level are equal, and every block number names one", () => {
    fc.assert(
      fc.property(table(family), (entries) => {
        const levels = blocksByLevel(blocks.build(family, entries));
        levels.forEach((level, k) => {
          expect(new Set(level.map(contentOf)).size).toBe(level.length);
          if (k + 1 < levels.length) expect(usedNumbers(level)).toBe(levels[k + 1].length);
        });
      }),
    );
  });

  test("the order of entries does not matter", () => {
    const shuffled = table(family).chain((entries) =>
      fc.tuple(fc.constant(entries), fc.shuffledSubarray(entries, { minLength: entries.length })),
    );
    fc.assert(
      fc.property(shuffled, ([entries, other]) => {
        const sorted = (e: readonly LpmEntry[]) => sortColumns(columnsOf(family, e));
        expect(sorted(other)).toEqual(sorted(entries));
        const [one, two] = [sorted(other), sorted(entries)].map((columns) => buildBlocks(columns).bytes);
        expect(Buffer.compare(one, two)).toBe(0);
      }),
    );
  });

  test("images are a whole number of words and know their prefixes", () => {
    fc.assert(
      fc.property(table(family), (entries) => {
        for (const kind of ["linear", "blocks"] as const) {
          const image = buildLpm(family, entries, kind);
          expect(image).toMatchObject({ kind, family, prefixes: entries.length });
          expect(image.bytes.length % 4).toBe(0);
        }
      }),
    );
  });
});

describe("ranges", () => {
  /** Values as entries of 64 bytes have them, of 16 and 64, far apart, and any. */
  const coded = fc.constantFrom(
    (n: number) => n * 64 + 4096,
    (n: number) => n * 16 + 0x1234560,
    (n: number) => n * 0x100040 + 64,
    (n: number) => n + 1,
    (n: number) => 0x7fffffff - n,
  );
  const few = fc.array(address(4), { maxLength: 30 });

  test.each([8, 40, 400])("is linear, up to %i routes", (most) => {
    fc.assert(
      fc.property(table(4, most), few, coded, (entries, more, coding) => {
        const valued = entries.map((entry, i) => ({ ...entry, value: coding(i) }));
        const image = ranges.build(4, valued);
        for (const ip of [...edges(4, valued), ...more])
          expect([ip, ranges.lookup(image, ip)]).toEqual([ip, linear.lookup(linear.build(4, valued), ip)]);
      }),
      { numRuns: most > 100 ? 20 : 100 },
    );
  });

  test("the address line: no two neighbours are alike, and every address is in one", () => {
    fc.assert(
      fc.property(table(4), (entries) => {
        const { count, last, values } = rangesOf(columnsOf(4, entries));
        expect(last[count - 1]).toBe(0xffffffff);
        for (let i = 1; i < count; i++) {
          expect(last[i]).toBeGreaterThan(last[i - 1]);
          expect(values[i]).not.toBe(values[i - 1]);
        }
      }),
    );
  });

  test("100 routes to entries of 64 bytes are 18 lines behind the header, far values more", () => {
    const entries = (spread: number) =>
      Array.from({ length: 100 }, (_, i) => ({ address: (i << 25) >>> 0, length: 16, value: 0x10000 + i * spread }));
    const shapeFor = (spread: number) => rangesShape(ranges.build(4, entries(spread)));
    expect(ranges.build(4, entries(64)).bytes.length).toBe(64 + 64 * (1 + 16));
    expect(shapeFor(64)).toEqual({ levels: 2, cellBytes: 1, scale: 6 });
    expect(shapeFor(112)).toEqual({ levels: 3, cellBytes: 2, scale: 4 });
    expect(shapeFor(1)).toEqual({ levels: 3, cellBytes: 4, scale: 0 });
  });
});

test("poptrie is linear", () => {
  fc.assert(
    fc.property(table(4), fc.array(address(4), { maxLength: 30 }), (entries, more) => {
      const image = poptrie.build(4, entries);
      for (const ip of [...edges(4, entries), ...more])
        expect([ip, poptrie.lookup(image, ip)]).toEqual([ip, longestMatch(entries, ip)]);
    }),
  );
});

test("poptrie of many routes has a direct table of 18 bits, as the paper has", () => {
  const entries = Array.from({ length: (1 << 14) + 1 }, (_, i) => ({
    address: (i << 17) >>> 0,
    length: i % 2 === 0 ? 15 : 25,
    value: 1 + (i & 7),
  }));
  const image = poptrie.build(4, entries);
  const twin = blocks.build(4, entries);
  expect(poptrieShape(image)).toEqual({ directBits: 18, leafBytes: 1 });
  for (let i = 0; i < entries.length; i += 97)
    for (const ip of [entries[i].address + 1, entries[i].address + 128])
      expect([ip, poptrie.lookup(image, ip)]).toEqual([ip, blocks.lookup(twin, ip)]);
});

describe("spill", () => {
  /** Values that are numbers already, all of them or most, and such that need some. */
  const coded = fc.constantFrom(
    (n: number) => 1 + (n % 3),
    (n: number) => 1 + (n % 254),
    (n: number) => (n % 70 === 0 ? 1000 + n : 1 + (n % 254)),
    (n: number) => 0x7fffffff - (n % 300),
  );

  test.each([40, 400])("is linear, up to %i routes", (most) => {
    const few = fc.array(address(4), { maxLength: 30 });
    fc.assert(
      fc.property(table(4, most), few, coded, (entries, more, coding) => {
        const valued = entries.map((entry, i) => ({ ...entry, value: coding(i) }));
        const image = spill.build(4, valued);
        for (const ip of [...edges(4, valued), ...more])
          expect([ip, spill.lookup(image, ip)]).toEqual([ip, linear.lookup(linear.build(4, valued), ip)]);
      }),
      { numRuns: most > 100 ? 20 : 200 },
    );
  });

  const many = (value: (i: number) => number): LpmEntry[] =>
    Array.from({ length: 600 }, (_, i) => ({ address: (i << 16) >>> 0, length: 16, value: value(i) }));

  test("values are numbers where few are too large, else those with most routes have one", () => {
    const image = spill.build(
      4,
      many((i) => (i % 100 === 0 ? 70_000 : 1 + (i % 254))),
    );
    expect(spillShape(image).numbered).toBe(false);
    expect([100 << 16, 101 << 16].map((ip) => spill.lookup(image, ip))).toEqual([70_000, 102]);
    const common = spill.build(
      4,
      many((i) => (i < 320 ? 5000 + i : 1000 + (i % 7))),
    );
    const { main, rest } = spillParts(common);
    expect(spillShape(common).numbered).toBe(true);
    expect([400, 3, 319].map((i) => spill.lookup(common, i << 16))).toEqual([1000 + (400 % 7), 5003, 5319]);
    expect([400, 319].map((i) => blocks.lookup(main, i << 16) === SPILLED)).toEqual([false, true]);
    expect(blocks.lookup(rest, 400 << 16)).toBe(0);
  });

  test("strides are those of its routes up to /24, which one level can be", () => {
    const image = buildSpill(columnsOf(4, routes({ "10.0.0.0/8": 1, "10.1.2.128/25": 2 })), { strides: [24] });
    expect(spillShape(image).main.levels.map(({ stride, cellBytes }) => [stride, cellBytes])).toEqual([[24, 1]]);
    expect([0x0a0102c8, 0x0a010203, 0x0b000000].map((ip) => spill.lookup(image, ip))).toEqual([2, 1, 0]);
  });

  test("routes longer than /24 that say nothing else spill nothing", () => {
    const { main } = spillParts(spill.build(4, routes({ "10.0.0.0/8": 1, "10.1.2.128/25": 1, "10.1.2.192/26": 1 })));
    expect(blocks.lookup(main, 0x0a0102c8)).toBe(1);
  });

  test("is for IPv4", () => {
    expect(() => spill.build(6, [])).toThrow(RangeError);
  });
});

// 64 MB an image: fewer runs
test("dir24 is linear", () => {
  fc.assert(
    fc.property(table(4), fc.array(address(4), { maxLength: 30 }), (entries, more) => {
      const image = dir24.build(4, entries);
      for (const ip of [...edges(4, entries), ...more])
        expect([ip, dir24.lookup(image, ip)]).toEqual([ip, longestMatch(entries, ip)]);
    }),
    { numRuns: 12 },
  );
});

test("dir24's cells are as wide as values and long blocks need", () => {
  const cellBytes = (value: number): number => dir24Shape(dir24.build(4, routes({ "10.0.0.0/8": value }))).cellBytes;
  expect([1, 127, 128, 32767, 32768, 0x7fffffff].map(cellBytes)).toEqual([1, 1, 2, 2, 4, 4]);
});

describe("the worked examples", () => {
  const answers = (image: LpmImage, ips: readonly string[]): number[] =>
    ips.map((ip) => LPM_STRUCTURES[image.kind].lookup(image, parseIp(ip)));

  test("linear: three rows, longest first", () => {
    const image = linear.build(4, routes({ "10.0.0.0/8": 1, "10.1.0.0/16": 2, "0.0.0.0/0": 3 }));
    const words = [...new Uint32Array(image.bytes.buffer)];
    expect(words).toEqual([3, 0, 0x0a010000, 0xffff0000, 2, 0x0a000000, 0xff000000, 1, 0, 0, 3]);
    expect(answers(image, ["10.1.2.3", "10.2.0.1", "11.0.0.1"])).toEqual([2, 1, 3]);
  });

  test("dir24: one long block", () => {
    const image = dir24.build(4, routes({ "10.0.0.0/8": 1, "10.1.2.128/25": 2 }));
    expect(image.bytes.length).toBe(64 + 2 ** 24 + 256 + 4);
    expect(image.bytes[64 + 0x0a0102]).toBe(0x80);
    expect(answers(image, ["10.1.2.200", "10.1.2.100", "10.200.0.0", "11.0.0.0"])).toEqual([2, 1, 1, 0]);
  });

  test("spill: what does not fit", () => {
    const more = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`20.${i}.0.0/16`, 1]));
    const image = spill.build(4, routes({ ...more, "10.0.0.0/8": 1, "10.1.2.128/25": 2, "11.0.0.0/8": 300 }));
    const { main, rest } = spillParts(image);
    const ips = ["10.1.2.3", "10.1.2.200", "10.1.3.0", "11.0.0.0"].map(parseIp);
    expect(ips.map((ip) => blocks.lookup(main, ip))).toEqual([SPILLED, SPILLED, 1, SPILLED]);
    expect(ips.map((ip) => blocks.lookup(rest, ip))).toEqual([1, 2, 0, 300]);
  });

  test("ranges: one leaf", () => {
    const image = ranges.build(4, routes({ "10.0.0.0/8": 1, "10.1.0.0/16": 2 }));
    expect(image.bytes.length).toBe(64 + 64);
    const bounds = [...new Uint32Array(image.bytes.buffer, 64, 12)];
    expect(bounds.slice(0, 4)).toEqual([0x09ffffff, 0x0a00ffff, 0x0a01ffff, 0x0affffff]);
    expect(new Set(bounds.slice(4))).toEqual(new Set([0xffffffff]));
    expect([...image.bytes.subarray(64 + 48, 64 + 53)]).toEqual([0, 1, 2, 1, 0]);
    expect(answers(image, ["10.1.2.3", "10.0.0.0", "11.0.0.0", "255.255.255.255"])).toEqual([2, 1, 0, 0]);
  });

  test("poptrie: one node", () => {
    const image = poptrie.build(4, routes({ "10.0.0.0/8": 1, "10.16.64.0/18": 2 }));
    const [nodes, leaves] = new Uint32Array(image.bytes.buffer, 4, 2);
    expect(leaves - nodes).toBe(24);
    const [vector, leafvec] = new BigUint64Array(image.bytes.slice(nodes, nodes + 16).buffer);
    expect([vector, leafvec]).toEqual([0n, 0b111n]);
    expect([...image.bytes.subarray(leaves, leaves + 3)]).toEqual([1, 2, 1]);
    expect(answers(image, ["10.16.64.9", "10.17.0.0", "10.32.0.0", "11.0.0.0"])).toEqual([2, 1, 1, 0]);
  });

  test("blocks: six blocks", () => {
    const image = buildBlocks(columnsOf(4, routes({ "10.0.0.0/8": 1, "10.1.2.0/24": 2 })), { strides: [8, 8, 8] });
    const levels = blocksByLevel(image);
    expect(levels.map((level) => level.length)).toEqual([1, 2, 3]);
    expect([levels[0][0][10], levels[1][1][1], levels[2][2][2]]).toEqual([1, 2, 2]);
    expect(answers(image, ["10.1.2.9", "10.9.9.9", "9.0.0.0"])).toEqual([2, 1, 0]);
  });

  test("dag: 1, 2 and 3 different nodes at depths 0, 1 and 2, and one fewer when the halves are equal", () => {
    const half = { "0.0.0.0/1": 7, "64.0.0.0/2": 8, "192.0.0.0/2": 8 };
    expect([...census(buildDag(columnsOf(4, routes(half))))]).toEqual([1, 2, 3]);
    expect([...census(buildDag(columnsOf(4, routes({ ...half, "128.0.0.0/2": 7 }))))]).toEqual([1, 1, 2]);
  });

  test("IPv6: a root of two bytes, read as they lie", () => {
    const image = buildBlocks(columnsOf(6, routes({ "2001::/16": 5, "2002:100::/24": 6 })), { strides: [16, 8] });
    expect(blocksByLevel(image)[0][0][0x0120]).not.toBe(0);
    expect(answers(image, ["2001::1", "2002:1ff::", "2002:200::", "120::"])).toEqual([5, 6, 0, 0]);
  });
});

describe("cells are as wide as they must be", () => {
  const shapeFor = (values: readonly number[]) =>
    blockShape(
      blocks.build(
        4,
        values.map((value, i) => ({ address: (i << 12) >>> 0, length: 20, value })),
      ),
    );
  const leaf = (values: readonly number[]) => shapeFor(values).levels.at(-1)!.cellBytes;

  test("values of 8 bits stand in cells of 1 byte", () => {
    expect([leaf([1, 0xff]), shapeFor([1, 0xff]).indirect]).toEqual([1, false]);
  });
  test("values of 16 bits stand in cells of 2 bytes", () => {
    const many = Array.from({ length: 300 }, (_, i) => i + 1);
    expect([leaf(many), shapeFor(many).indirect]).toEqual([2, false]);
  });
  test("a few greater ones in a table beside them", () => {
    const entries = Array.from({ length: 200 }, (_, i) => ({ address: i << 12, length: 20, value: 0x10000 + (i & 3) }));
    const { levels, indirect } = blockShape(buildBlocks(columnsOf(4, entries), { strides: [12, 8] }));
    expect([levels.at(-1)!.cellBytes, indirect]).toEqual([1, true]);
  });
});

describe("strides are chosen by size", () => {
  test("the split that is computed is the size that is built", () => {
    fc.assert(
      fc.property(table(4), (entries) => {
        const columns = columnsOf(4, entries);
        const image = buildBlocks(columns);
        const { levels } = blockShape(image);
        const strides = levels.map((level) => level.stride);
        const computed = bytesOfSplit(census(buildDag(columns)), strides, levels.at(-1)!.cellBytes);
        const built = blocksByLevel(image).flat();
        expect(built.reduce((sum, block) => sum + block.byteLength, 0)).toBe(computed);
      }),
    );
  });

  test("levels cover the longest prefix exactly", () => {
    for (const bits of [1, 8, 15, 24, 32]) {
      const ones = new Uint32Array(bits + 1).fill(1);
      expect(chooseStrides(4, ones, 2, alone(4, 1e6)).reduce((a, b) => a + b, 0)).toBe(bits);
    }
  });

  test("a table that would be too big is made smaller at the price of a level", () => {
    // The census of a full IPv4 table of 1,042,325 routes with 16 next hops.
    const counts = Uint32Array.of(
      ...[1, 2, 4, 8, 15, 29, 57, 113, 221, 430, 817, 1519, 2697, 4729, 7867, 11195, 16075, 24439, 33962, 40296, 39009],
      ...[24710, 7697, 289, 17],
    );
    const full = alone(4, 1_042_325);
    expect(chooseStrides(4, counts, 1, full)).toHaveLength(2);
    for (const leafBytes of [1, 2, 4] as const)
      expect(bytesOfSplit(counts, chooseStrides(4, counts, leafBytes, full), leafBytes)).toBeLessThanOrEqual(3_500_000);
    expect(chooseStrides(4, counts, 4, full).length).toBeGreaterThan(2);
  });

  test("a table of few routes has few bytes", () => {
    const hosts = { "127.0.0.0/8": 1, "127.0.0.1/32": 2, "127.255.255.255/32": 3 };
    expect(blocks.build(4, routes(hosts)).bytes.length).toBeLessThan(16 << 10);
    expect(blocks.build(6, routes({ "::1/128": 1, "fe80::/10": 2, "ff00::/8": 3 })).bytes.length).toBeLessThan(
      32 << 10,
    );
  });

  test("strides that do not cover the table, or are in three bytes of IPv6, are refused", () => {
    const v4 = columnsOf(4, routes({ "10.0.0.0/24": 1 }));
    for (const strides of [[], [8, 8], [20, 4, 12], [0, 24], [25]])
      expect(() => buildBlocks(v4, { strides })).toThrow(RangeError);
    const v6 = columnsOf(6, routes({ "2001:db8::/32": 1 }));
    expect(() => buildBlocks(v6, { strides: [7, 12, 13] })).toThrow(RangeError);
  });
});

test("whether blocks 0 lead to one answer is told", () => {
  const ends = (family: 4 | 6, table: Record<string, number>, strides: number[]) =>
    zeroEnds(buildBlocks(columnsOf(family, routes(table)), { strides }));
  expect(ends(6, { "2001:db8::/32": 7 }, [16, 8, 8])).toBe(true);
  expect(ends(6, { "::/0": 0x12345, "2001:db8::/32": 7 }, [16, 8, 8])).toBe(true);
  expect(ends(6, { "::/24": 5, "2001:db8::/32": 7 }, [16, 8, 8])).toBe(false);
  expect(ends(6, { "::/32": 5 }, [16, 8, 8])).toBe(false);
  expect(ends(4, { "0.0.0.0/9": 5 }, [8, 1])).toBe(false);
  expect(ends(4, { "10.0.0.0/8": 5 }, [8])).toBe(true);
});

test("entries that are none are refused", () => {
  const bad: LpmEntry[] = [
    { address: 1, length: 31, value: 1 },
    { address: 0, length: 33, value: 1 },
    { address: 0, length: -1, value: 1 },
    { address: 0n, length: 0, value: 1 },
    { address: 0, length: 0, value: 0 },
    { address: 0, length: 0, value: 2 ** 31 },
  ];
  for (const entry of bad)
    for (const structure of [linear, blocks, dir24, ranges, poptrie])
      expect(() => structure.build(4, [entry])).toThrow(RangeError);
});

describe("chosen", () => {
  test.each([
    [4, 24, 2],
    [4, 32, 2],
    [6, 32, 1],
    [6, 48, 1],
    [6, 64, 2],
    [6, 128, 4],
  ] as const)("IPv%i, to /%i: compares for %i routes, blocks for more", (family, longest, end) => {
    const kinds = [0, 1, end, end + 1, 1e6].map((prefixes) => chooseLpm(family, prefixes, longest));
    expect(kinds).toEqual(["linear", "linear", "linear", "blocks", "blocks"]);
  });

  test("ranges for one of many small tables of IPv4", () => {
    const kinds = [0, 1, 100, RANGES_UP_TO, RANGES_UP_TO + 1].map((prefixes) => chooseLpm(4, prefixes, 32, true));
    expect(kinds).toEqual(["ranges", "ranges", "ranges", "ranges", "blocks"]);
    expect([1, 4, 100].map((prefixes) => chooseLpm(6, prefixes, 48, true))).toEqual(["linear", "linear", "blocks"]);
  });
});

type Cells = Uint8Array | Uint16Array | Uint32Array;

/** The cells of each block of each level, read by the header. */
function blocksByLevel(image: LpmImage): Cells[][] {
  const buffer = image.bytes.buffer as ArrayBuffer;
  const view = new DataView(buffer);
  const { levels } = blockShape(image);
  let count = 1;
  return levels.map(({ stride, cellBytes }, k) => {
    const offset = view.getUint32(8 + 8 * k, true);
    const length = count * 2 ** stride;
    const all: Cells = new { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[cellBytes](buffer, offset, length);
    const level = Array.from({ length: count }, (_, j) => all.subarray(j << stride, (j + 1) << stride));
    count = greatest(all) + 1;
    return level;
  });
}

const greatest = (cells: Cells): number => {
  let most = 0;
  for (const cell of cells) most = Math.max(most, cell);
  return most;
};

/** How many different block numbers the cells of a level hold. */
const usedNumbers = (level: readonly Cells[]): number => new Set(level.flatMap((cells) => [...new Set(cells)])).size;

const contentOf = (cells: Cells): string =>
  Buffer.from(cells.buffer, cells.byteOffset, cells.byteLength).toString("latin1");

const strides4 = fc.constantFrom([20, 4, 8], [8, 8, 8, 8], [16, 16], [12, 12, 8], [1, 1, 6, 16, 4, 4], [13, 11, 8]);
const strides6 = fc.constantFrom(
  [16, ...Array<number>(14).fill(8)],
  Array<number>(16).fill(8),
  [16, ...Array<number>(28).fill(4)],
  [3, 5, 1, 7, ...Array<number>(14).fill(8)],
  [16, 12, 6, 6, ...Array<number>(11).fill(8)],
  [5, 11, 9, 7, ...Array<number>(12).fill(8)],
);
