/** Each structure changed in place, over memory that a compiler laid out: the plan finds what a plain search through the elements finds. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EMPTY_NETFILTER, type Netfilter, type SetDef, setId } from "../../dsl/chain-model.ts";
import type { NamedMap } from "../../runtime/maps/map.ts";
import { openMap } from "../../runtime/maps/open.ts";
import type { MapMemory } from "../../runtime/maps/store.ts";
import { ImageWriter } from "../../src/image-writer.ts";
import { lpmProc } from "../../src/lpm/emit.ts";
import { layoutFilterState, layoutSets } from "../../src/netfilter/layout.ts";
import { describeMap } from "../../src/netfilter/maps.ts";
import { proc } from "../../src/plan/build/context.ts";
import { elementOf, elementValue, setProc } from "../../src/plan/build/netfilter/sets.ts";
import { constantPieces, pieceTypes } from "../../src/plan/build/netfilter/wide.ts";
import { interpret } from "../../src/plan/interpret.ts";
import { call, eqz, expr, i32, local, ret, set as setReg, when } from "../../src/plan/ir.ts";
import { validatePlan } from "../../src/plan/validate.ts";
import { openElements, stateOf } from "../../src/reference/netfilter/elements.ts";

const RUNS = Number(process.env.FC_RUNS ?? 15);

/** A heap behind the image; what is given back is kept by its size. */
class Heap implements MapMemory {
  static readonly #memory = new ArrayBuffer(1 << 25);
  readonly buffer = Heap.#memory;
  readonly words = new Uint32Array(this.buffer);
  readonly #free = new Map<number, number[]>();
  #next: number;

  constructor(image: Uint8Array) {
    new Uint8Array(this.buffer).set(image);
    this.#next = Math.ceil(image.length / 64) * 64;
  }
  allocate(bytes: number): number {
    const old = this.#free.get(bytes)?.pop();
    const offset = old ?? this.#next;
    if (old === undefined) this.#next += Math.ceil(bytes / 64) * 64;
    if (this.#next > this.buffer.byteLength) throw new Error("the heap leaks");
    new Uint8Array(this.buffer, offset, bytes).fill(0);
    return offset;
  }
  free(offset: number, bytes: number): void {
    const list = this.#free.get(bytes) ?? [];
    list.push(offset);
    this.#free.set(bytes, list);
  }
}

interface Rig {
  /** In memory, and its twin: the reference's list. */
  readonly map: NamedMap;
  readonly twin: NamedMap;
  /** The value that the plan finds for a key, 0: none. */
  search(key: readonly bigint[]): unknown;
}

function rigOf(more: Pick<SetDef, "key" | "interval" | "storage"> & Partial<SetDef>): Rig {
  const set: SetDef = {
    ...{
      id: setId(0),
      table: 0,
      name: "drawn",
      value: { type: "mark", bits: 32 },
      size: null,
      elements: [],
      origin: {},
    },
    ...more,
  };
  const netfilter: Netfilter = { ...EMPTY_NETFILTER, tables: [{ family: "inet", name: null }], sets: [set] };
  const image = new ImageWriter();
  image.reserve("header", 64);
  const state = layoutFilterState(image, "net", netfilter);
  const [layout] = layoutSets(image, "net", netfilter);
  const heap = new Heap(image.parts().tail);
  const params = set.key.flatMap(({ bits }, i) => pieceTypes(bits).map((type, k) => local(`key${i}_${k}`, type)));
  const place = local("place");
  const isArray = layout.kind === "array";
  const found = isArray ? elementOf({} as never, layout, [[expr(params[0])]]) : call("set", params);
  const value = proc("value", { comment: "", params, result: "i32" }, [
    setReg(place, found),
    when(eqz(place), [ret(0)]),
    ret(elementValue(layout, expr(place), 32)[0]),
  ]);
  const lpm = layout.kind === "lpm" ? [lpmProc("blocks", set.key[0].bits <= 32 ? 4 : 6)] : [];
  const procs = [...(isArray ? [] : [setProc("set", layout, i32(state.probe))]), ...lpm, { ...value, exported: true }];
  const plan = { procs, skb: [] };
  expect(validatePlan(plan)).toEqual([]);
  const run = interpret(plan, { memory: new Uint8Array(heap.buffer) });
  const manifest = { record: layout.record, ...describeMap(netfilter, set, []) };
  return {
    map: openMap("drawn", manifest, heap, DEVICES),
    twin: openElements("drawn", netfilter, [stateOf(set)], DEVICES as never),
    search: (key) =>
      run.call(
        "value",
        key.flatMap((part, i) => constantPieces(part, set.key[i].bits)),
      ),
  };
}

const DEVICES = [1, 2, 3].map((ifindex) => ({ ifindex, name: `d${ifindex}` }));

type Range = readonly [first: bigint, last: bigint];
const top = (bits: number): bigint => (1n << BigInt(bits)) - 1n;
/** Few values, at both ends of the width and around a byte's end, so that keys meet. */
const anyValue = (bits: number): fc.Arbitrary<bigint> =>
  fc.oneof(
    fc.bigInt(0n, 15n),
    fc.bigInt(0n, 7n).map((n) => top(bits) - n),
    fc.bigInt(0n, 7n).map((n) => (n << BigInt(bits - 4)) & top(bits)),
  );
const anySingle = (bits: number): fc.Arbitrary<Range> => anyValue(bits).map((value) => [value, value]);
const anyRange = (bits: number): fc.Arbitrary<Range> =>
  fc.tuple(anyValue(bits), anyValue(bits)).map(([a, b]) => (a < b ? [a, b] : [b, a]));
const anyPrefix = (bits: number): fc.Arbitrary<Range> =>
  fc.tuple(anyValue(bits), fc.nat(bits)).map(([value, length]) => {
    const host = top(bits - length);
    return [value & ~host, value | host];
  });

interface Case {
  readonly name: string;
  readonly set: Parameters<typeof rigOf>[0];
  readonly part: (bits: number) => fc.Arbitrary<Range>;
}
const fields = (...widths: readonly number[]) => widths.map((bits) => ({ type: "integer", bits }));
const CASES: readonly Case[] = [
  ...[[8], [32], [48], [128], [32, 16, 128]].map((widths) => ({
    name: `hash of ${widths}`,
    set: { key: fields(...widths), interval: false, storage: null },
    part: anySingle,
  })),
  ...[8, 32, 48, 128].map((bits) => ({
    name: `interval of ${bits}`,
    set: { key: fields(bits), interval: true, storage: null },
    part: anyRange,
  })),
  { name: "list of 32 and 48", set: { key: fields(32, 48), interval: true, storage: null }, part: anyRange },
  ...([8, 16, 32, 48, 128] as const).map((bits) => ({
    name: `lpm_trie of ${bits}`,
    set: { key: fields(bits), interval: true, storage: "lpm_trie" as const },
    part: anyPrefix,
  })),
  {
    name: "array",
    set: { key: fields(8), interval: false, storage: "array", size: 20 },
    part: anySingle,
  },
  {
    name: "devmap",
    set: { key: fields(8), interval: false, storage: "devmap", size: 20, value: { type: "iface_index", bits: 32 } },
    part: anySingle,
  },
];

type Operation =
  | { readonly kind: "add"; readonly key: readonly Range[]; readonly value: number }
  | { readonly kind: "delete"; readonly key: readonly Range[] }
  | { readonly kind: "clear" }
  | {
      readonly kind: "update" | "replace";
      readonly elements: readonly (readonly [readonly Range[], number])[];
    };

const keyText = (key: readonly Range[]): string =>
  key.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(" . ");

/** What the map says to it: its answer, or why it is refused. */
function perform(map: NamedMap, operation: Operation): unknown {
  try {
    switch (operation.kind) {
      case "add":
        return map.add(keyText(operation.key), operation.value);
      case "delete":
        return map.delete(keyText(operation.key));
      case "clear":
        return map.clear();
      default:
        return map[operation.kind](operation.elements.map(([key, value]) => [keyText(key), value] as const));
    }
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
    return "refused";
  }
}

const sorted = (map: NamedMap) => [...map.entries()].map(([key, value]) => `${key} : ${value}`).sort();

describe.each(CASES)("$name", ({ set, part }) => {
  const anyKey = fc.tuple(...set.key.map(({ bits }) => part(bits)));
  const value = fc.integer({ min: 1, max: 3 });
  const elements = fc.array(fc.tuple(anyKey, value), { maxLength: 8 });
  const anyOperation: fc.Arbitrary<Operation> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("add" as const), key: anyKey, value }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("delete" as const), key: anyKey }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("update" as const, "replace" as const), elements }) },
    { weight: 1, arbitrary: fc.constant({ kind: "clear" as const }) },
  );
  const lists = set.key.length > 1 && set.interval;

  test.each([null, 5])("changed at random, with room for %s", (size) => {
    const anyAsked = fc.array(fc.tuple(...set.key.map(({ bits }) => anyValue(bits))), { minLength: 3, maxLength: 12 });
    fc.assert(
      fc.property(fc.array(anyOperation, { maxLength: 30, size: "max" }), anyAsked, (operations, asked) => {
        const { map, twin, search } = rigOf({ ...set, size: set.size ?? size });
        for (const operation of operations) {
          expect(perform(map, operation)).toEqual(perform(twin, operation));
          expect(map.size).toBe(twin.size);
        }
        const all = [...twin.entries()];
        expect(sorted(map)).toEqual(sorted(twin));
        // Of a list the first decides: that is the order of the twin.
        if (lists) expect([...map.entries()]).toEqual(all);
        for (const [key, is] of all) expect(map.get(key)).toBe(is);
        for (const key of asked) expect(search(key)).toBe(plain(set, all, key));
      }),
      { numRuns: RUNS },
    );
  });
});

/** The first element that holds the key, of prefixes the longest; its value, or 0. */
function plain(
  { storage }: Pick<SetDef, "storage">,
  elements: readonly (readonly [string, unknown])[],
  key: readonly bigint[],
): number {
  const holding = elements
    .map(([text, value]) => {
      const parts = text.split(" . ").map((one) => one.split("-").map(BigInt));
      return { value: Number(value), parts: parts.map(([first, last = first]) => [first, last] as const) };
    })
    .filter(({ parts }) => parts.every(([first, last], i) => first <= key[i] && key[i] <= last));
  const width = ({ parts: [[first, last]] }: (typeof holding)[number]): bigint => last - first;
  const best = storage === "lpm_trie" ? holding.toSorted((a, b) => (width(a) < width(b) ? -1 : 1))[0] : holding[0];
  return best?.value ?? 0;
}
