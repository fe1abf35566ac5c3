/**
 * Classifiers in memory. The code that reads them is plan/build/netfilter/classifier.ts.
 *
 *   field      blocks (runtime/lpm/blocks.ts) over the values, left-aligned in 32 or 128 bits -> class
 *   merge      cells of 1, 2 or 4 bytes: class left * (classes right) + right -> class, or the rule's number; or table.ts
 *   bits       u64 for each class of a field: rule number n, from 1, is bit 64 - n
 *   vectors    vectors.ts
 *   order      u32 for each bit of each word of vectors, and for none: the rule's number, and more than any
 *   columns    u32 for each rule: its counter, from the first one, its shape, its index; none where they can be computed
 */
import type { Expr, Netfilter } from "../../../dsl/chain-model.ts";
import { FILTER_COUNTER_BYTES } from "../../../runtime/abi/netfilter.ts";
import { buildBlocks } from "../../../runtime/lpm/blocks.ts";
import type { PrefixColumns } from "../../../runtime/lpm/columns.ts";
import type { ImageWriter } from "../../image-writer.ts";
import { type PlacedBlocks, placedBlocks } from "../../lpm/blocks.ts";
import { listsOf } from "../reach.ts";
import type { View } from "../view.ts";
import type { FirstTables, VectorTables } from "./choose.ts";
import { type Intervals, membersOf } from "./classes.ts";
import { MOST_FIELDS, type RuleList, type Segment, segmentsOf } from "./segments.ts";
import { bit, type Classes } from "./sets.ts";
import { chooseStructure, type Structure } from "./split.ts";
import { bytesOfCell, type Cells, type Table } from "./table.ts";
import type { Tree } from "./tree.ts";
import { layoutVectors, sumsOf, type VectorsLayout } from "./vectors.ts";

/** Rules that a segment has at least: fewer are quicker tested one by one, where they are not looked up ahead. */
const CLASSIFIED_FROM = 8;

export interface ClassifierOptions {
  readonly from?: number;
  /** Bytes for tables, few rules or not; absent: by the number of rules. */
  readonly budget?: number;
}

/** Where a class is found: a number in a register afterwards. */
export type ClassLookup =
  | {
      /** Of a field of few intervals: where they start, in ascending order, and their classes. */
      readonly kind: "compares";
      readonly field: Expr;
      readonly starts: readonly number[];
      readonly classes: readonly number[];
    }
  | {
      readonly kind: "field";
      readonly field: Expr;
      readonly blocks: PlacedBlocks;
    }
  | ClassTable;

/** Where a field's class is found. */
export type FieldLookup = Exclude<ClassLookup, ClassTable>;

export interface ClassTable {
  readonly kind: "merge";
  readonly left: ClassLookup;
  /** Null: a table over one. */
  readonly right: ClassLookup | null;
  readonly columns: number;
  readonly cells: PlacedCells;
  /** Where a row's block numbers are; null: all cells stand in `cells`. */
  readonly shared: { readonly width: number; readonly numbers: PlacedCells } | null;
}

export interface PlacedCells {
  readonly offset: number;
  readonly bytes: 1 | 2 | 4;
}

/** A number for each rule, by the rule's number from 1: `first + step * number`, or in memory at `offset + 4 * number`. */
export type Column =
  | { readonly kind: "computed"; readonly first: number; readonly step: number }
  | { readonly kind: "column"; readonly offset: number };

export interface RuleOrder {
  readonly offset: number;
  /** What stands there for no rule. */
  readonly none: number;
}

/** Where the rule is found that matches first: its number from 1, 0: none. */
export type FirstLookup =
  | ({ readonly kind: "bits" } & Bits)
  | { readonly kind: "first"; readonly table: ClassLookup }
  | ({ readonly kind: "vectors"; readonly order: RuleOrder } & Vectors)
  | { readonly kind: "parts"; readonly parts: readonly FirstLookup[] }
  | {
      readonly kind: "split";
      readonly by: FieldLookup;
      readonly intervals: Intervals;
      /** By class. */
      readonly parts: readonly FirstLookup[];
    };
/** With bits, and vectors, whose places are the rules' numbers: where all are found, for rules that go on. */
export type RuleLookup = FirstLookup | ({ readonly kind: "all bits" } & Bits) | AllVectors;
type AllVectors = { readonly kind: "vectors"; readonly order: null } & Vectors;

export const findsFirst = (lookup: RuleLookup): lookup is FirstLookup =>
  lookup.kind !== "all bits" && (lookup.kind !== "vectors" || lookup.order !== null);

export interface Bits {
  /** Where those of each field's classes are. */
  readonly sets: readonly { readonly lookup: FieldLookup; readonly offset: number }[];
}

export interface Vectors {
  readonly sums: number;
  readonly vectors: readonly ({ readonly lookup: ClassLookup } & VectorsLayout)[];
}

export interface SegmentLayout {
  readonly segment: Segment;
  readonly why: string;
  readonly lookup: RuleLookup;
  readonly counters: Column;
  readonly shapes: Column;
  readonly indexes: Column;
  /** Room for what was looked up ahead, of LANES frames a record of AHEAD_BYTES; 0: it is not looked up ahead. */
  readonly ahead: number;
  readonly bytes: number;
}

/** Frames that are looked up side by side, and what is kept for each: the roots of the look-up, u32 each. */
export const LANES = 4;
export const AHEAD_BYTES = 4 * MOST_FIELDS;

/** Of each list and view, by `classifierKey`. */
export type Classifiers = ReadonlyMap<string, readonly SegmentLayout[]>;
export const classifierKey = (view: View, list: RuleList): string =>
  `${"base" in list ? "chain" : "program"} ${list.id} ${view}`;

/** @param ahead where an XDP program of its own has room for what it looks up ahead, LANES records; 0: nothing is */
export function layoutClassifiers(
  image: ImageWriter,
  name: string,
  netfilter: Netfilter,
  { from = CLASSIFIED_FROM, budget }: ClassifierOptions = {},
  ahead = 0,
): Classifiers {
  const all = new Map<string, readonly SegmentLayout[]>();
  for (const { list, view } of listsOf(netfilter)) {
    if (list.rules.length < from && ahead === 0) continue;
    const isAhead = ({ first, fields }: Segment): boolean =>
      ahead !== 0 && first === 0 && "hook" in list && list.hook === "xdp" && fields.every(isPlain);
    const laid = segmentsOf(netfilter, view, list)
      .filter((segment) => segment.length >= from || isAhead(segment))
      .map((segment) =>
        layoutSegment(
          image,
          `${name} rules ${segment.first} to ${segment.first + segment.length - 1} of ${list.name}, ${view}`,
          { segment, structure: chooseStructure(segment, budget), ahead: isAhead(segment) ? ahead : 0 },
        ),
      );
    if (laid.length > 0) all.set(classifierKey(view, list), laid);
  }
  return all;
}

function layoutSegment(
  image: ImageWriter,
  name: string,
  { segment, structure, ahead }: { segment: Segment; structure: Structure; ahead: number },
): SegmentLayout {
  const before = image.end();
  const { rules } = segment;
  const column = (what: string, numbers: readonly number[]): Column => layoutColumn(image, `${name}: ${what}`, numbers);
  return {
    segment,
    why: structure.why,
    lookup: layoutStructure(image, name, segment, structure),
    counters: column(
      "counters",
      rules.map(({ counter }) => (counter === null ? 0 : counter * FILTER_COUNTER_BYTES)),
    ),
    shapes: column(
      "shapes",
      rules.map(({ shape }) => shape),
    ),
    indexes: column(
      "indexes",
      rules.map(({ index }) => index),
    ),
    ahead,
    bytes: image.end() - before,
  };
}

function layoutStructure(image: ImageWriter, name: string, segment: Segment, structure: Structure): RuleLookup {
  const fieldOf = (field: number, intervals: Intervals): FieldLookup =>
    layoutField(image, `${name}: field ${field}`, segment.fields[field], { intervals, rules: segment.rules.length });
  switch (structure.kind) {
    case "bits": {
      const sets = structure.fields.map(({ field, intervals, classes }) => ({
        lookup: fieldOf(field, intervals),
        offset: layoutBits(image, `${name}: sets of field ${field}`, classes, structure.numbers),
      }));
      return { kind: structure.final ? "bits" : "all bits", sets };
    }
    case "split": {
      const parts = structure.parts.map(
        (part, i) => layoutStructure(image, `${name}, part ${i}`, segment, part) as FirstLookup,
      );
      const { field, intervals } = structure;
      return { kind: "split", by: fieldOf(field, intervals), intervals, parts };
    }
    case "parts": {
      const trees = new TreeLayout(image, name, fieldOf);
      return { kind: "parts", parts: structure.parts.map((part) => trees.lookupOf(part, segment) as FirstLookup) };
    }
    default:
      return new TreeLayout(image, name, fieldOf).lookupOf(structure, segment);
  }
}

/** Trees, each laid out once. */
class TreeLayout {
  readonly #image: ImageWriter;
  readonly #name: string;
  readonly #fieldOf: (field: number, intervals: Intervals) => FieldLookup;
  readonly #done = new Map<Tree, ClassLookup>();
  readonly #fields = new Map<number, FieldLookup>();

  constructor(image: ImageWriter, name: string, fieldOf: (field: number, intervals: Intervals) => FieldLookup) {
    this.#image = image;
    this.#name = name;
    this.#fieldOf = fieldOf;
  }

  lookupOf(tables: FirstTables | VectorTables, { rules }: Segment): RuleLookup {
    const [image, name] = [this.#image, this.#name];
    const [left, right = null, ...others] = tables.trees.map((tree) => this.#of(tree));
    if (tables.kind === "first")
      return { kind: "first", table: layoutTable(image, `${name}: first rules`, [left, right], tables.first) };
    const { order, sets } = tables;
    const vectors = [left, ...(right === null ? [] : [right, ...others])].map((lookup, i) => ({
      lookup,
      ...layoutVectors(image, `${name}: vectors`, sets[i]),
    }));
    const sums = sumsOf(sets[0].rules);
    return order === null
      ? { kind: "vectors", sums, vectors, order }
      : { kind: "vectors", sums, vectors, order: layoutOrder(image, `${name}: order`, order, rules.length) };
  }

  #of(tree: Tree): ClassLookup {
    let lookup = this.#done.get(tree);
    if (lookup === undefined) {
      lookup = this.#placed(tree);
      this.#done.set(tree, lookup);
    }
    return lookup;
  }

  #placed(tree: Tree): ClassLookup {
    if (tree.kind === "field") {
      const lookup = this.#fields.get(tree.field) ?? this.#fieldOf(tree.field, tree.intervals);
      this.#fields.set(tree.field, lookup);
      return lookup;
    }
    const sides =
      tree.kind === "among"
        ? ([this.#of(tree.of), null] as const)
        : ([this.#of(tree.left), this.#of(tree.right)] as const);
    return layoutTable(this.#image, `${this.#name}: table`, sides, tree.table);
  }
}

/** Is it at the same place in every plain frame of a family (plan/build/netfilter/plain_frame.ts), and read of fragments too? */
function isPlain(e: Expr): boolean {
  if (e.kind === "bitwise" || e.kind === "shift") return e.bits <= 32 && isPlain(e.operand);
  if (e.kind === "meta") return e.key === "protocol" || e.key === "l4proto";
  if (e.kind !== "payload" || e.base === "inner") return false;
  const isNumber = [1, 2, 4].includes(e.length);
  return e.base === "transport" ? isNumber && e.offset % e.length === 0 : isNumber || e.length === 16;
}

/** More intervals are looked up. */
const MOST_COMPARED = 4;
/** Bytes of a field's look-up, for each rule, of numbers and of longer fields, and for lists that have only a few. */
const FIELD_BYTES_A_RULE = { number: 200, longer: 300 };
const FIELD_BYTES_ALWAYS = 4096;

function layoutField(
  image: ImageWriter,
  name: string,
  field: Expr,
  { intervals, rules }: { intervals: Intervals; rules: number },
): FieldLookup {
  const { starts, classes } = intervals;
  if (starts.length <= MOST_COMPARED && field.bits <= 32)
    return { kind: "compares", field, starts: starts.map(Number), classes };
  const budget = FIELD_BYTES_ALWAYS + FIELD_BYTES_A_RULE[field.bits <= 32 ? "number" : "longer"] * rules;
  const built = buildBlocks(prefixesOf(intervals, field.bits), { budget });
  return { kind: "field", field, blocks: placedBlocks(built, image.reserveBytes(name, built.bytes)) };
}

/** The intervals of all classes but 0 as prefixes, left-aligned in 32 or 128 bits. */
export function prefixesOf({ starts, classes }: Intervals, bits: number): PrefixColumns {
  const [words, lengths, values]: [number[], number[], number[]] = [[], [], []];
  const end = bits > 32 ? 1n << BigInt(bits) : 2 ** bits;
  for (let i = 0; i < starts.length; i++) {
    if (classes[i] === 0) continue;
    const [start, next] = [starts[i], i + 1 < starts.length ? starts[i + 1] : end];
    const before = lengths.length;
    if (bits > 32) addWide(words, lengths, BigInt(start), BigInt(next), bits);
    else addNarrow(words, lengths, Number(start), Number(next), bits);
    for (let p = before; p < lengths.length; p++) values.push(classes[i]);
  }
  return {
    family: bits > 32 ? 6 : 4,
    words: Uint32Array.from(words),
    lengths: Uint8Array.from(lengths),
    values: Uint32Array.from(values),
  };
}

/** The values from one to before another as prefixes: each as large as its first value and the end allow. */
function addNarrow(words: number[], lengths: number[], start: number, end: number, bits: number): void {
  for (let at = start; at < end; ) {
    // The lowest bit of the value, if that is not 0, and the highest one of how many there are.
    const lowest = at === 0 ? bits : 31 - Math.clz32(at & -at);
    const highest = end - at >= 2 ** 32 ? 32 : 31 - Math.clz32(end - at);
    const host = Math.min(lowest, highest);
    words.push(at * 2 ** (32 - bits));
    lengths.push(bits - host);
    at += 2 ** host;
  }
}

function addWide(words: number[], lengths: number[], start: bigint, end: bigint, bits: number): void {
  for (let at = start; at < end; ) {
    let host = 0;
    while (host < bits && (at & ((2n << BigInt(host)) - 1n)) === 0n && at + (2n << BigInt(host)) <= end) host++;
    const address = at << BigInt(128 - bits);
    for (let w = 3; w >= 0; w--) words.push(Number((address >> BigInt(32 * w)) & 0xffffffffn));
    lengths.push(bits - host);
    at += 1n << BigInt(host);
  }
}

function layoutTable(
  image: ImageWriter,
  name: string,
  [left, right]: readonly [ClassLookup, ClassLookup | null],
  { cells, columns, shared }: Table,
): ClassTable {
  const placed = shared && {
    width: shared.width,
    numbers: layoutCells(image, `${name}: numbers of blocks`, shared.numbers),
  };
  return {
    kind: "merge",
    left,
    right,
    columns,
    cells: layoutCells(image, name, shared?.blocks ?? cells),
    shared: placed,
  };
}

function layoutCells(image: ImageWriter, name: string, cells: Cells): PlacedCells {
  const bytes = bytesOfCell(cells);
  const packed = new { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[bytes](cells);
  return { offset: image.reserveWords(name, packed), bytes };
}

/** @param numbers the rules' places */
function layoutBits(image: ImageWriter, name: string, classes: Classes, numbers: readonly number[]): number {
  // The upper half of a word, with the first rules, stands behind the lower one.
  const halves = new Uint32Array(2 * classes.count);
  for (let c = 0; c < classes.count; c++)
    for (const rule of membersOf(classes, c)) halves[2 * c + 1 - (numbers[rule] >> 5)] |= bit(numbers[rule]);
  return image.reserveWords(name, halves);
}

/** Numbers of the rules of a word stand side by side, and behind them what a word without any comes to. */
export const ORDER_WORD = 65;

function layoutOrder(image: ImageWriter, name: string, order: readonly number[], rules: number): RuleOrder {
  const none = rules + 1;
  const numbers = new Uint32Array(ORDER_WORD * Math.max(1, Math.ceil(order.length / 64))).fill(none);
  for (const [place, rule] of order.entries()) numbers[ORDER_WORD * (place >> 6) + (place & 63)] = rule + 1;
  return { offset: image.reserveWords(name, numbers), none };
}

function layoutColumn(image: ImageWriter, name: string, numbers: readonly number[]): Column {
  const step = numbers.length < 2 ? 0 : numbers[1] - numbers[0];
  if (numbers.every((number, i) => number === numbers[0] + i * step))
    return { kind: "computed", first: (numbers[0] ?? 0) - step, step };
  return { kind: "column", offset: image.reserveWords(name, Uint32Array.from(numbers)) - 4 };
}
