/**
 * chooseTables: how the classes of a segment's fields become the rule that a packet matches first.
 *
 *   fields  --merge-->  groups  --first-->     one group: its last table says the rule       two loads a merge, however many rules
 *                               --vectors-->   several: the sets of their classes are intersected, 64 rules a step
 *
 * Which fields are merged first decides how large the tables are, by orders of magnitude and differently for each list; so subsets of the
 * fields are merged, as far as that is cheap, and the smallest tree taken (dynamic programming over subsets, branch and bound: halves that
 * are likely to be small come first, and those that cannot well be smaller are left out). Tables of all fields must stay within a budget that grows with the rules; where they do not, fields are left in several groups.
 */

import { arranged } from "./arrange.ts";
import {
  type Classes,
  classesOfField,
  type FieldClasses,
  firstMembers,
  firstRules,
  type MergedClasses,
  mergeClasses,
} from "./classes.ts";
import type { Segment } from "./segments.ts";
import { filledWords, rowBytes, sumsOf } from "./vectors.ts";

export type Tree =
  | { readonly kind: "field"; readonly field: number; readonly classes: FieldClasses }
  | { readonly kind: "merge"; readonly left: Tree; readonly right: Tree; readonly classes: MergedClasses };

export type Tables =
  | {
      /** The cells of a table over one or two trees are rules, counted from 1. */
      readonly kind: "first";
      readonly trees: readonly [Tree] | readonly [Tree, Tree];
      readonly first: Uint32Array;
      readonly why: string;
    }
  | {
      /** The sets of the classes of several trees, or of one, are intersected. */
      readonly kind: "vectors";
      readonly trees: readonly Tree[];
      /** The sets being of places: the rule at each. Null: rules, some of which go on, are at the places of their numbers. */
      readonly order: readonly number[] | null;
      readonly why: string;
    };

/** Bytes of tables and vectors, for each rule, and for lists that have only a few. */
const BYTES_A_RULE = 1300;
const BYTES_ALWAYS = 4096;
/** Words of sets that are intersected for one merge at the most, to learn what it comes to. */
const MOST_WORK = 1 << 23;

export const cellBytes = (greatest: number): 1 | 2 | 4 => (greatest < 0x100 ? 1 : greatest < 0x10000 ? 2 : 4);

/** A tree with what it costs: bytes of its tables. */
interface Candidate {
  readonly tree: Tree;
  readonly bytes: number;
}

/** @param budget bytes; absent: by the number of rules */
export function chooseTables(segment: Segment, budget = BYTES_ALWAYS + BYTES_A_RULE * segment.rules.length): Tables {
  const { rules, shapes } = segment;
  const fields = segment.fields.map((_, field): Candidate => ({ tree: fieldTree(segment, field), bytes: 0 }));
  const telling = fields.filter(({ tree }) => tree.classes.count > 1);
  const leaves = telling.length > 0 ? telling : fields.slice(0, 1);
  const asked = `${rules.length} rules, ${telling.length} fields`;
  const final = rules.every(({ shape }) => shapes[shape].final);
  const search = new Search(leaves, budget, rules.length);
  const whole = final ? search.whole() : null;
  if (whole !== null) {
    const [{ classes }, right] = whole.trees;
    const first = right === undefined ? firstMembers(classes) : firstRules(classes, right.classes);
    return { kind: "first", trees: whole.trees, first, why: `${asked}: tables of ${whole.bytes} bytes` };
  }
  const trees = search.groups();
  const reason = final ? `tables of all would be more than ${budget} bytes` : "rules that go on to the next";
  const why = `${asked}: ${trees.length} vectors, ${reason}`;
  if (!final) return { kind: "vectors", trees, order: null, why };
  const counts = fields.map(({ tree }) => tree.classes.count);
  const order = arranged(segment, counts);
  const placed = { ...segment, rules: order.map((rule) => rules[rule]) };
  return { kind: "vectors", trees: trees.map((tree) => treeOver(placed, tree)), order, why };
}

function fieldTree({ rules, fields }: Segment, field: number): Tree {
  const conditions = rules.map((rule) => rule.conditions[field]);
  return { kind: "field", field, classes: classesOfField(conditions, fields[field].bits) };
}

/** The same tree over the same rules in another order. */
function treeOver(segment: Segment, tree: Tree): Tree {
  if (tree.kind === "field") return fieldTree(segment, tree.field);
  const [left, right] = [treeOver(segment, tree.left), treeOver(segment, tree.right)];
  return { kind: "merge", left, right, classes: mergeClasses(left.classes, right.classes, tree.classes.count)! };
}

const bitsIn = (set: number): number => (set === 0 ? 0 : 1 + bitsIn(set & (set - 1)));

/** Of all pairs of halves the one that has the highest bit. */
function halvesOf(set: number): number[] {
  const halves: number[] = [];
  for (let half = (set - 1) & set; half > (set ^ half); half = (half - 1) & set) halves.push(half);
  return halves;
}

/** Subsets of the leaves are bit sets. */
class Search {
  /** Null: none is within reach. */
  readonly #best = new Map<number, Candidate | null>();
  /** Classes of each set, by experience at least: more fields seldom have fewer than those of them that were merged. */
  readonly #least: Uint32Array;
  readonly #all: number;
  readonly #budget: number;
  readonly #rules: number;
  /** Of classes, for one merge. */
  readonly #pairs: number;

  constructor(leaves: readonly Candidate[], budget: number, rules: number) {
    this.#budget = budget;
    this.#rules = rules;
    this.#pairs = (32 * MOST_WORK) / rules;
    this.#all = (1 << leaves.length) - 1;
    this.#least = new Uint32Array(this.#all + 1).fill(1);
    for (const [i, leaf] of leaves.entries()) this.#keep(1 << i, leaf);
  }

  /** The cheapest two halves of a set, in bytes with the table over both; null: none is within reach. */
  #split(set: number, cell: (left: Classes, right: Classes) => number, pairs = this.#pairs) {
    let found: { trees: readonly [Tree, Tree]; bytes: number; cells: number } | null = null;
    const halves = halvesOf(set).map((half) => ({ half, likely: this.#least[half] * this.#least[set ^ half] }));
    for (const { half, likely } of halves.sort((a, b) => a.likely - b.likely)) {
      // What is hardly smaller than the best so far is not merged to learn that.
      if (likely > Math.min(pairs, found?.bytes ?? this.#budget)) continue;
      const [a, b] = [this.#candidate(half), this.#candidate(set ^ half)];
      if (a === null || b === null) continue;
      const cells = a.tree.classes.count * b.tree.classes.count;
      const bytes = a.bytes + b.bytes + cells * cell(a.tree.classes, b.tree.classes);
      if (cells > pairs || bytes > this.#budget) continue;
      if (found === null || bytes < found.bytes) found = { trees: [a.tree, b.tree], bytes, cells };
    }
    return found;
  }

  /** The smallest tree over a set, made when it is first asked for; null: none is within reach. */
  #candidate(set: number): Candidate | null {
    let candidate = this.#best.get(set);
    if (candidate === undefined) {
      candidate = this.#merged(set);
      this.#keep(set, candidate);
    }
    return candidate;
  }

  #keep(set: number, candidate: Candidate | null): void {
    this.#best.set(set, candidate);
    const count = candidate?.tree.classes.count ?? 1;
    for (let larger = set; larger <= this.#all; larger = (larger + 1) | set)
      if (this.#least[larger] < count) this.#least[larger] = count;
  }

  #merged(set: number): Candidate | null {
    const split = this.#split(set, (left, right) => cellBytes(left.count * right.count));
    if (split === null) return null;
    const [left, right] = split.trees;
    const classes = mergeClasses(left.classes, right.classes, 0xffff);
    if (classes === null) return null;
    const bytes = split.bytes + split.cells * (cellBytes(classes.count - 1) - cellBytes(split.cells));
    return bytes <= this.#budget ? { tree: { kind: "merge", left, right, classes }, bytes } : null;
  }

  /** All leaves in two trees with a table over both, or the one that there is with a table over it. */
  whole(): { readonly trees: readonly [Tree] | readonly [Tree, Tree]; readonly bytes: number } | null {
    const single = bitsIn(this.#all) === 1 ? this.#candidate(this.#all)! : null;
    if (single === null) return this.#split(this.#all, ({ words }) => cellBytes(words * 32), Number.POSITIVE_INFINITY);
    const { count, words } = single.tree.classes;
    const bytes = count * cellBytes(words * 32);
    return bytes <= this.#budget ? { trees: [single.tree], bytes } : null;
  }

  /** As few trees as the budget allows, with the vectors of their classes; the smallest of those. At the worst the leaves. */
  groups(): Tree[] {
    const vectors = new Map<number, number>();
    for (let set = 1; set <= this.#all; set++) {
      const candidate = this.#candidate(set);
      if (candidate !== null) vectors.set(set, this.#vectorBytes(candidate.tree));
    }
    let best: { trees: Tree[]; bytes: number } | null = null;
    const leaves = bitsIn(this.#all);
    const visit = (rest: number, trees: Tree[], bytes: number): void => {
      if (best !== null && (trees.length > best.trees.length || (rest !== 0 && trees.length === best.trees.length)))
        return;
      if (rest === 0) {
        if (best === null || trees.length < best.trees.length || bytes < best.bytes) best = { trees, bytes };
        return;
      }
      const lowest = rest & -rest;
      for (let set = rest; set > 0; set = (set - 1) & rest) {
        const candidate = (set & lowest) === 0 ? null : this.#candidate(set);
        if (candidate === null) continue;
        const more = bytes + candidate.bytes + vectors.get(set)!;
        if (more <= this.#budget || bitsIn(set) === 1) visit(rest ^ set, [...trees, candidate.tree], more);
      }
    };
    visit(this.#all, [], 0);
    return (
      (best as { trees: Tree[] } | null)?.trees ??
      Array.from({ length: leaves }, (_, i) => this.#candidate(1 << i)!.tree)
    );
  }

  #vectorBytes({ classes }: Tree): number {
    return classes.count * rowBytes(sumsOf(this.#rules)) + 8 * filledWords(classes);
  }
}
