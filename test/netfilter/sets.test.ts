/** Maps in every structure: the plan finds the value of the element that a plain search through the list finds. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EMPTY_NETFILTER, type Field, type SetDef, type SetElement, setId } from "../../dsl/chain-model.ts";
import { disjoint } from "../../runtime/maps/interval.ts";
import { kindOfNamed, MOST_COMPARES, type SetKind } from "../../runtime/maps/structure.ts";
import { ImageWriter } from "../../src/image-writer.ts";
import { layoutFilterState, layoutSets } from "../../src/netfilter/layout.ts";
import { proc } from "../../src/plan/build/context.ts";
import { elementValue, setProc } from "../../src/plan/build/netfilter/sets.ts";
import { constantPieces } from "../../src/plan/build/netfilter/wide.ts";
import { interpret } from "../../src/plan/interpret.ts";
import { call, eqz, expr, i32, local, ret, set as set_, when } from "../../src/plan/ir.ts";
import { validatePlan } from "../../src/plan/validate.ts";

const setOf = (key: readonly Field[], elements: readonly SetElement[], more: Partial<SetDef> = {}): SetDef => ({
  id: setId(0),
  table: 0,
  name: null,
  key,
  value: { type: "mark", bits: 32 },
  interval: true,
  storage: null,
  size: null,
  elements,
  origin: {},
  ...more,
});

/** Values that meet: few, near both ends of the width, and somewhere in it. */
const anyValue = (bits: number): fc.Arbitrary<bigint> => {
  const top = (1n << BigInt(bits)) - 1n;
  return fc.oneof(
    fc.bigInt(0n, top < 40n ? top : 40n),
    fc.bigInt(0n, 20n).map((n) => (n > top ? top : top - n)),
    fc.bigInt(0n, top),
  );
};
const asValue = (value: bigint, bits: number) => (bits <= 32 ? Number(value) : value);

const anyRange = (bits: number, single: boolean) =>
  fc.tuple(anyValue(bits), anyValue(bits)).map(([a, b]) => {
    const [first, last] = single ? [a, a] : a < b ? [a, b] : [b, a];
    return { first: asValue(first, bits), last: asValue(last, bits) };
  });

interface Case {
  readonly kind: SetKind;
  readonly widths: readonly number[];
  readonly single: boolean;
  readonly elements: { readonly minLength: number; readonly maxLength: number };
}
const few = { minLength: 0, maxLength: MOST_COMPARES };
const many = { minLength: MOST_COMPARES + 1, maxLength: 60 };
const CASES: readonly Case[] = [
  { kind: "compares", widths: [16], single: false, elements: few },
  { kind: "compares", widths: [128, 16], single: false, elements: few },
  { kind: "hash", widths: [16], single: true, elements: many },
  { kind: "hash", widths: [48], single: true, elements: many },
  { kind: "hash", widths: [128], single: true, elements: many },
  { kind: "hash", widths: [32, 8, 128], single: true, elements: many },
  { kind: "list", widths: [32, 16], single: false, elements: many },
  { kind: "list", widths: [128, 48], single: false, elements: many },
];

/** The number of the first element that holds the key, plus 1. */
const plain = (elements: readonly SetElement[], key: readonly bigint[]): number =>
  elements.findIndex((element) =>
    element.key.every(({ first, last }, i) => BigInt(first) <= key[i] && key[i] <= BigInt(last)),
  ) + 1;

/** The structure, and a search that gives the element's value, 0: none holds the key. */
function searcher(set: SetDef): { kind: SetKind; search: (key: readonly bigint[]) => unknown } {
  const image = new ImageWriter();
  image.reserve("header", 64);
  const netfilter = { ...EMPTY_NETFILTER, sets: [set] };
  const state = layoutFilterState(image, "net", netfilter);
  const [layout] = layoutSets(image, "net", netfilter);
  const found = setProc("set", layout, i32(state.probe));
  const place = local("place");
  const value = proc("value", { comment: "", params: found.params, result: "i32" }, [
    set_(place, call("set", found.params)),
    when(eqz(place), [ret(0)]),
    ret(elementValue(layout, expr(place), 32)[0]),
  ]);
  const plan = { procs: [found, { ...value, exported: true }], skb: [] };
  expect(validatePlan(plan)).toEqual([]);
  const run = interpret(plan, { memory: image.parts().tail });
  const search = (key: readonly bigint[]) =>
    run.call(
      "value",
      key.flatMap((value, i) => constantPieces(asValue(value, set.key[i].bits), set.key[i].bits)),
    );
  return { kind: layout.kind, search };
}

describe.each(CASES)("$kind of $widths", ({ kind, widths, single, elements }) => {
  test.each([
    ["between braces", null],
    ["with a name", "drawn"],
  ])("%s: finds what a plain search finds", (_, name) => {
    const anyElements = fc.array(fc.tuple(...widths.map((bits) => anyRange(bits, single))), {
      ...elements,
      size: "max",
    });
    const keys = fc.array(fc.tuple(...widths.map(anyValue)), { maxLength: 20, size: "max" });
    fc.assert(
      fc.property(anyElements, keys, (drawn, others) => {
        // All in one: were none of many a range, a hash would do.
        if (!single && kind === "list")
          drawn[0] = widths.map((bits) => ({ first: asValue(1n, bits), last: asValue(5n, bits) }));
        const list = drawn.map((key, i): SetElement => ({ key, value: i + 1 }));
        const set = setOf(
          widths.map((bits) => ({ type: "integer", bits })),
          list,
          { name, interval: !single },
        );
        const { kind: found, search } = searcher(set);
        expect(found).toBe(name === null ? kind : kindOfNamed(set));
        const own = list.map(({ key }) => key.map(({ first }) => BigInt(first)));
        for (const key of [...own, ...others]) expect(search(key)).toBe(plain(list, key));
      }),
      { numRuns: 40 },
    );
  });
});

describe.each(
  [8, 16, 32, 48, 128].flatMap((bits) => [
    { bits, name: null },
    { bits, name: "drawn" },
  ]),
)("interval of $bits bits, name $name", ({ bits, name }) => {
  const anyElements = fc.array(anyRange(bits, false), { minLength: MOST_COMPARES + 1, maxLength: 60, size: "max" });
  test("of ranges that overlap, the first in the list decides", () => {
    fc.assert(
      fc.property(anyElements, fc.array(anyValue(bits), { maxLength: 30, size: "max" }), (drawn, others) => {
        const ranged = [{ first: asValue(3n, bits), last: asValue(9n, bits) }, ...drawn];
        const list = ranged.map((range, i): SetElement => ({ key: [range], value: i + 1 }));
        const set = setOf([{ type: "integer", bits }], list, { name });
        const { kind: found, search } = searcher(set);
        expect(found).toBe("interval");
        const bounds = ranged.flatMap(({ first, last }) => [BigInt(first), BigInt(last)]);
        for (const key of [...bounds, ...others]) expect(search([key])).toBe(plain(list, [key]));
      }),
      { numRuns: 40 },
    );
  });
});

test("disjoint ranges are sorted, and neighbours of one element are one", () => {
  const range = (first: number, last: number): SetElement => ({ key: [{ first, last }], value: null });
  expect(disjoint([range(10, 20), range(0, 30), range(15, 40)])).toEqual([
    { first: 0n, last: 9n, element: 1 },
    { first: 10n, last: 20n, element: 0 },
    { first: 21n, last: 30n, element: 1 },
    { first: 31n, last: 40n, element: 2 },
  ]);
});
