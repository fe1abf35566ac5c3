/** Classes, and what is made of them, beside a linear search through the rules. */
import { describe, expect, test } from "vitest";
import type { Expr } from "../../dsl/chain-model.ts";
import { buildBlocks } from "../../runtime/lpm/blocks.ts";
import { lookupLpm } from "../../runtime/lpm/choose.ts";
import { Random } from "../../src/bench/random.ts";
import { chooseTables, type Tables, type Tree } from "../../src/netfilter/classifier/choose.ts";
import { classesOfField, classOfValue, firstRules, mergeClasses } from "../../src/netfilter/classifier/classes.ts";
import type { Ranges } from "../../src/netfilter/classifier/conditions.ts";
import { prefixesOf } from "../../src/netfilter/classifier/layout.ts";
import type { Segment } from "../../src/netfilter/classifier/segments.ts";
import { chooseStructure } from "../../src/netfilter/classifier/split.ts";

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
  return all;
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
  if (tree.kind === "merge") {
    const { left, right, classes } = tree;
    return classes.table[classOf(left, values) * right.classes.count + classOf(right, values)];
  }
  const value = values[tree.field];
  if (value === null) return 0;
  return classOfValue(tree.classes, value);
}

const members = ({ classes }: Tree, number: number): number[] =>
  Array.from({ length: 32 * classes.words }, (_, r) => r + 1).filter(
    (r) => (classes.sets[number * classes.words + ((r - 1) >> 5)] >>> (31 - ((r - 1) & 31))) & 1,
  );

describe("classes", () => {
  test("the intervals of a field, as prefixes", () => {
    const random = new Random(3);
    for (const bits of BITS) {
      const classes = classesOfField(
        Array.from({ length: 30 }, () => ranges(random, bits)),
        bits,
      );
      expect(classes.starts.every((start) => start < 1n << BigInt(bits))).toBe(true);
      const image = buildBlocks(prefixesOf(classes, bits), { budget: 2048 });
      for (let i = 0; i < 300; i++) {
        const value = random.chance(0.5)
          ? BigInt(random.below(50))
          : (1n << BigInt(bits)) - 1n - BigInt(random.below(50));
        const expected = classes.classes[classes.starts.findLastIndex((start) => start <= value)];
        const address = bits <= 32 ? Number(value << BigInt(32 - bits)) : value << BigInt(128 - bits);
        expect(lookupLpm(image, address)).toBe(expected);
      }
    }
  });

  test("none is there twice", () => {
    const random = new Random(4);
    const [a, b] = [32, 16].map((bits) =>
      classesOfField(
        Array.from({ length: 70 }, () => ranges(random, bits)),
        bits,
      ),
    );
    const both = mergeClasses(a, b, 1 << 16)!;
    for (const { count, words, sets } of [a, b, both])
      expect(
        new Set(Array.from({ length: count }, (_, c) => sets.subarray(c * words, (c + 1) * words).join())).size,
      ).toBe(count);
    expect(mergeClasses(a, b, 3)).toBe(null);
    expect(firstRules(a, b).length).toBe(a.count * b.count);
  });
});

describe("a structure finds what a linear search finds", () => {
  const cases = [1, 9, 33, 64, 65, 200].flatMap((rules) =>
    [true, false].flatMap((final) => [undefined, 6000, 0].map((budget) => ({ rules, final, budget }))),
  );
  test.each(cases)("$rules rules, final $final, budget $budget", ({ rules, final, budget }) => {
    const random = new Random(rules);
    const segment = segmentOf(random, rules, final);
    const tables = chooseTables(segment, budget);
    if (!final || budget === 0) expect(tables.kind).toBe("vectors");
    if (tables.kind === "vectors") expect(tables.order !== null).toBe(final);
    for (let i = 0; i < 300; i++) {
      const values = valuesOf(random);
      const expected = linear(segment, values);
      expect(found(tables, values)).toEqual(tables.kind === "first" ? expected.slice(0, 1) : expected);
    }
  });

  test.each([9, 33, 200])("%i rules for frames of several protocols", (rules) => {
    const random = new Random(rules);
    const segment = segmentOf(random, rules, true);
    const kinds = [0x0800n, 0x0800n, 0x86ddn].map((kind) => [{ first: kind, last: kind }]);
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
      const part = structure.parts[classOfValue(structure.classes, values[2]!)];
      expect(found(part, values)[0]).toBe(linear(split, values)[0]);
    }
  });
});

/** Numbers of rules in their order; of tables whose cells are rules the first one. */
function found(tables: Tables, values: Values): number[] {
  const classes = tables.trees.map((tree) => classOf(tree, values));
  if (tables.kind === "first") {
    const columns = tables.trees[1]?.classes.count ?? 1;
    const rule = tables.first[classes[0] * columns + (classes[1] ?? 0)];
    return rule === 0 ? [] : [rule];
  }
  const sets = tables.trees.map((tree, t) => members(tree, classes[t]));
  const places = sets.reduce((some, set) => some.filter((place) => set.includes(place)));
  return places.map((place) => (tables.order === null ? place : tables.order[place - 1] + 1)).sort((a, b) => a - b);
}
