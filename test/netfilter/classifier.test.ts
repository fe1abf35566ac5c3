/** Classes, and what is made of them, beside a linear search through the rules. */
import { describe, expect, test } from "vitest";
import type { Expr } from "../../dsl/chain-model.ts";
import { buildBlocks } from "../../runtime/lpm/blocks.ts";
import { lookupLpm } from "../../runtime/lpm/choose.ts";
import { Random } from "../../src/bench/random.ts";
import { chooseTables, type Tables } from "../../src/netfilter/classifier/choose.ts";
import { classesOfField, classOfValue, membersOf } from "../../src/netfilter/classifier/classes.ts";
import type { Ranges } from "../../src/netfilter/classifier/conditions.ts";
import { prefixesOf } from "../../src/netfilter/classifier/layout.ts";
import { firstRules, forecastClasses, mergeClasses } from "../../src/netfilter/classifier/merge.ts";
import type { Segment } from "../../src/netfilter/classifier/segments.ts";
import { chooseStructure } from "../../src/netfilter/classifier/split.ts";
import { BLOCK, type Table, tableOf } from "../../src/netfilter/classifier/table.ts";
import type { Tree } from "../../src/netfilter/classifier/tree.ts";

const BITS = [32, 8, 16, 48];
const span = { start: 0, end: 0 } as Expr["span"];
const fields = BITS.map(
  (bits, i): Expr => ({ span, bits, kind: "payload", base: "network", offset: 16 * i, length: bits / 8 }),
);

function ranges(random: Random, bits: number): Ranges | null {
  if (random.chance(0.4)) return null;
  // Near the ends and near one another, so that ranges overlap, touch and repeat.
  const near = (): bigint =>
    random.chance(0.3) ? BigInt(random.below(40)) : (1n << BigInt(bits)) - 1n - BigInt(random.below(40));
  const ends = Array.from({ length: 2 * (1 + random.below(2)) }, near).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const all = [];
  for (let i = 0; i < ends.length; i += 2)
    if (i === 0 || ends[i] > ends[i - 1] + 1n) all.push({ first: ends[i], last: ends[i + 1] });
  return bits > 32 ? all : all.map(({ first, last }) => ({ first: Number(first), last: Number(last) }));
}

function segmentOf(random: Random, rules: number, final: boolean): Segment {
  return {
    ...{ first: 0, length: rules, fields },
    rules: Array.from({ length: rules }, (_, index) => ({
      ...{ index, shape: 0, counter: null },
      conditions: BITS.map((bits) => ranges(random, bits)),
    })),
    shapes: [{ steps: [], counter: -1, final }],
  };
}

/** Null: the packet has no such field. */
type Values = readonly (bigint | null)[];
const valuesOf = (random: Random): Values =>
  BITS.map((bits) => {
    const u = random.unit();
    if (u < 0.1) return null;
    return u < 0.4
      ? BigInt(random.below(42))
      : u < 0.9
        ? (1n << BigInt(bits)) - 1n - BigInt(random.below(42))
        : random.bits(bits);
  });

/** Numbers of the rules that match, from 1. */
const linear = ({ rules }: Segment, values: Values): number[] =>
  rules.flatMap(({ conditions }, i) => {
    const matches = conditions.every((ranges, field) => {
      const value = values[field];
      return ranges === null || (value !== null && ranges.some(({ first, last }) => first <= value && value <= last));
    });
    return matches ? [i + 1] : [];
  });

function classOf(tree: Tree, values: Values): number {
  if (tree.kind === "among") return cellOf(tree.table, classOf(tree.of, values), 0);
  if (tree.kind === "merge") return cellOf(tree.table, classOf(tree.left, values), classOf(tree.right, values));
  const value = values[tree.field];
  if (value === null) return 0;
  return classOfValue(tree.intervals, value);
}

/** As it is read from memory. */
function cellOf({ cells, columns, shared }: Table, row: number, column: number): number {
  if (shared === null) return cells[row * columns + column];
  const { width, numbers, blocks } = shared;
  return blocks[BLOCK * numbers[row * width + Math.floor(column / BLOCK)] + (column % BLOCK)];
}

describe("classes", () => {
  test("the intervals of a field, as prefixes", () => {
    const random = new Random(3);
    for (const bits of BITS) {
      const { intervals } = classesOfField(
        Array.from({ length: 30 }, () => ranges(random, bits)),
        bits,
      );
      expect(intervals.starts.every((start) => start < 1n << BigInt(bits))).toBe(true);
      const image = buildBlocks(prefixesOf(intervals, bits), { budget: 2048 });
      for (let i = 0; i < 300; i++) {
        const value = random.chance(0.5)
          ? BigInt(random.below(50))
          : (1n << BigInt(bits)) - 1n - BigInt(random.below(50));
        const expected = intervals.classes[intervals.starts.findLastIndex((start) => start <= value)];
        const address = bits <= 32 ? Number(value << BigInt(32 - bits)) : value << BigInt(128 - bits);
        expect(lookupLpm(image, address)).toBe(expected);
      }
    }
  });

  test("none is there twice", () => {
    const random = new Random(4);
    const [a, b] = [32, 16].map(
      (bits) =>
        classesOfField(
          Array.from({ length: 70 }, () => ranges(random, bits)),
          bits,
        ).classes,
    );
    const both = mergeClasses(a, b, 1 << 16)!.classes;
    for (const classes of [a, b, both])
      expect(new Set(Array.from({ length: classes.count }, (_, c) => membersOf(classes, c).join())).size).toBe(
        classes.count,
      );
    expect(mergeClasses(a, b, 3)).toBe(null);
    expect(firstRules(a, b, []).length).toBe(a.count * b.count);
  });
});

describe("merges", () => {
  const random = new Random(5);
  const sides = [32, 16].map((bits) =>
    classesOfField(
      Array.from({ length: 300 }, () => ranges(random, bits)),
      bits,
    ),
  );
  test("every cell is the intersection of two sets, and its first rule", () => {
    for (const [left, right] of [sides, sides.toReversed()].map((pair) => pair.map(({ classes }) => classes))) {
      const { classes, table } = mergeClasses(left, right, 1 << 16)!;
      const first = firstRules(left, right, [...Array(300).keys()]);
      const of = (one: typeof left) => Array.from({ length: one.count }, (_, c) => membersOf(one, c));
      const [l, r, both] = [of(left), of(right), of(classes)];
      for (let cell = 0; cell < table.length; cell++) {
        const set = new Set(r[cell % right.count]);
        const common = l[Math.floor(cell / right.count)].filter((rule) => set.has(rule));
        expect(both[table[cell]]).toEqual(common);
        expect(first[cell]).toBe(common.length === 0 ? 0 : common[0] + 1);
      }
    }
  });

  test("how many classes they come to is foreseen, by half or twice", () => {
    const [left, right] = sides.map(({ classes }) => classes);
    const { count } = mergeClasses(left, right, 1 << 16)!.classes;
    const ratio = forecastClasses(left, right) / count;
    expect(ratio > 0.5 && ratio < 2).toBe(true);
  });
});

describe("tables", () => {
  test.each([1, 15, 16, 17, 300])("of %i columns, blocks shared or not", (columns) => {
    const random = new Random(columns);
    const rows = Array.from({ length: 3 }, () => Uint16Array.from({ length: columns }, () => random.below(0x10000)));
    const cells = new Uint16Array(2000 * columns);
    for (let row = 0; row < 2000; row++) {
      cells.set(rows[random.below(3)], row * columns);
      if (random.chance(0.1)) cells[row * columns + random.below(columns)] = 7;
    }
    const table = tableOf(cells, columns);
    expect(table.shared !== null).toBe(columns === 300);
    expect(table.bytes <= 2 * cells.length).toBe(true);
    for (const [i, cell] of cells.entries()) expect(cellOf(table, Math.floor(i / columns), i % columns)).toBe(cell);
  });
});

describe("a structure finds what a linear search finds", () => {
  const cases = [1, 9, 33, 64, 65, 200].flatMap((rules) =>
    [true, false].flatMap((final) => [undefined, 6000, 0].map((budget) => ({ rules, final, budget }))),
  );
  test.each(cases)("$rules rules, final $final, budget $budget", ({ rules, final, budget }) => {
    const random = new Random(rules);
    const segment = segmentOf(random, rules, final);
    const tables = chooseTables(segment, { budget });
    if (budget === undefined && rules <= 64) expect(tables.kind).toBe("bits");
    else if (!final || budget === 0) expect(tables.kind).toBe("vectors");
    if (tables.kind === "vectors") expect(tables.order !== null).toBe(final);
    if (tables.kind === "bits") expect(tables.final).toBe(final);
    const all = tables.kind === "vectors" || tables.kind === "bits";
    for (let i = 0; i < 300; i++) {
      const values = valuesOf(random);
      const expected = linear(segment, values);
      expect(found(tables, values)).toEqual(all ? expected : expected.slice(0, 1));
    }
  });

  test("rules that leave one of two fields open are looked up apart", () => {
    const random = new Random(8);
    const drawn = segmentOf(random, 700, true);
    const one = (bits: number, first: number, last = first): Ranges => [
      bits > 32 ? { first: BigInt(first), last: BigInt(last) } : { first, last },
    ];
    const narrow = (bits: number): Ranges => one(bits, random.below(300));
    const wide = (bits: number): Ranges | null =>
      random.chance(0.5) ? null : one(bits, random.below(50), 2 ** bits - 1 - random.below(50));
    const rules = drawn.rules.map((rule, i) => {
      const main = [BITS[0], BITS[3]].map((bits, side) => ((i >> side) & 1 ? narrow(bits) : wide(bits)));
      const port = random.chance(0.5) ? null : one(BITS[2], random.below(4) * 10, 1000);
      return { ...rule, conditions: [main[0], null, port, main[1]] };
    });
    const segment = { ...drawn, rules };
    const tables = chooseTables(segment, { budget: 60_000 });
    if (tables.kind !== "parts") throw new Error(`${tables.kind}: ${tables.why}`);
    expect(tables.parts.length).toBe(4);
    for (let i = 0; i < 1000; i++) {
      const values = valuesOf(random).map((value) => (random.chance(0.7) ? BigInt(random.below(300)) : value));
      expect(found(tables, values)).toEqual(linear(segment, values).slice(0, 1));
    }
  });

  test.each([9, 33, 200])("%i rules for frames of several protocols", (rules) => {
    const random = new Random(rules);
    const segment = segmentOf(random, rules, true);
    const kinds = [0x0800, 0x0800, 0x86dd].map((kind) => [{ first: kind, last: kind }]);
    const split = {
      ...segment,
      fields: segment.fields.with(2, { span, bits: 16, kind: "meta", key: "protocol" }),
      rules: segment.rules.map((rule, i) => ({
        ...rule,
        conditions: rule.conditions.with(2, i % 10 === 3 ? null : kinds[random.below(3)]),
      })),
    };
    const structure = chooseStructure(split);
    if (structure.kind !== "split") throw new Error("it is not split");
    expect(structure.parts.length).toBe(3);
    for (let i = 0; i < 300; i++) {
      const values = valuesOf(random).with(2, [0x0800n, 0x86ddn, 0x0806n][random.below(3)]);
      const part = structure.parts[classOfValue(structure.intervals, values[2]!)];
      expect(found(part, values)[0]).toBe(linear(split, values)[0]);
    }
  });
});

/** Numbers of rules in their order; but for bits and vectors only the first one. */
function found(tables: Tables, values: Values): number[] {
  if (tables.kind === "parts")
    return tables.parts
      .flatMap((part) => found(part, values).slice(0, 1))
      .sort((a, b) => a - b)
      .slice(0, 1);
  if (tables.kind === "bits") {
    const sets = tables.fields.map((tree) => membersOf(tree.classes, classOf(tree, values)));
    return sets
      .reduce((some, set) => some.filter((rule) => set.includes(rule)))
      .map((rule) => tables.numbers[rule] + 1);
  }
  const classes = tables.trees.map((tree) => classOf(tree, values));
  if (tables.kind === "first") {
    const rule = cellOf(tables.first, classes[0], classes[1] ?? 0);
    return rule === 0 ? [] : [rule];
  }
  const sets = tables.sets.map((own, t) => membersOf(own, classes[t]));
  const places = sets.reduce((some, set) => some.filter((place) => set.includes(place)));
  return places.map((place) => (tables.order === null ? place : tables.order[place]) + 1).sort((a, b) => a - b);
}
