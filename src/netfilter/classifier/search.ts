/**
 * Search: which fields are merged first decides how large the tables are, by orders of magnitude and differently for each list; so subsets
 * of the leaves are merged, as far as that is cheap, and a small tree is taken: dynamic programming over subsets, branch and bound. What a subset
 * takes at least is known before anything is merged: more fields seldom have fewer classes than those of them that were merged.
 */
import { forecastClasses, MOST_CLASSES, workOf } from "./merge.ts";
import type { Classes } from "./sets.ts";
import { cellBytes } from "./table.ts";
import { mergeTrees, type Tree } from "./tree.ts";
import { filledWords, rowBytes, sumsOf } from "./vectors.ts";

/** Words of sets that all merges of a search may intersect. */
const MOST_WORK = 1 << 26;
/** Of one merge, from which on some of its rows are merged first, to learn whether it comes to too many classes. */
const FORESEEN_FROM = 1 << 18;
/** What could not be so many times smaller than the best so far is not looked at: merging takes longer than it is worth. */
const PATIENCE = 2;

/** Classes for each rule, from lists of some rules on: where there are more, what they are merged to soon is larger than any budget. */
const CLASSES_A_RULE = 32;

/** Cells of one table. */
const MOST_CELLS = 1 << 22;
/** Tables are counted with all of their cells until they are there, and mostly turn out to be so many times smaller (table.ts). */
const PACKED = 4;

/** A tree with what it costs: bytes of its tables. */
interface Candidate {
  readonly tree: Tree;
  readonly bytes: number;
}

interface Groups {
  readonly trees: readonly Tree[];
  /** Of tables and vectors. */
  readonly bytes: number;
}

/** Bytes of a cell that says a rule, or a class. */
type CellOf = (left: Classes, right: Classes) => number;

/** Of all pairs of halves the one that has the highest bit. */
function halvesOf(set: number): number[] {
  const halves: number[] = [];
  for (let half = (set - 1) & set; half > (set ^ half); half = (half - 1) & set) halves.push(half);
  return halves;
}

/** All ways to divide a set into so many. */
function partitions(set: number, count: number): number[][] {
  if (count === 1) return set === 0 ? [] : [[set]];
  const highest = 1 << (31 - Math.clz32(set));
  const all: number[][] = [];
  for (let part = set; part > 0; part = (part - 1) & set)
    if ((part & highest) !== 0 && part !== set)
      for (const others of partitions(set ^ part, count - 1)) all.push([part, ...others]);
  return all;
}

/** Subsets of the leaves are bit sets. */
export class Search {
  /** Null: none is within reach. */
  readonly #best = new Map<number, Candidate | null>();
  /** Classes of each set at least. */
  readonly #least: Uint32Array;
  /** Bytes of each set at least, by what is known; forgotten when more is. */
  readonly #floors: Float64Array;
  readonly #leaves: number;
  readonly #all: number;
  readonly #budget: number;
  readonly #mostClasses: number;
  #work = MOST_WORK;
  /** Are the trees' classes not merged in the end? */
  #apart = false;

  /** @param budget bytes of all tables */
  constructor(leaves: readonly Tree[], budget: number) {
    this.#budget = budget;
    this.#leaves = leaves.length;
    this.#mostClasses = Math.min(MOST_CLASSES, CLASSES_A_RULE * Math.max(leaves[0].classes.rules, 256));
    this.#all = (1 << leaves.length) - 1;
    this.#least = new Uint32Array(this.#all + 1).fill(1);
    this.#floors = new Float64Array(this.#all + 1);
    for (const [i, tree] of leaves.entries()) this.#keep(1 << i, { tree, bytes: 0 });
  }

  /**
   * All leaves in two trees, for a table over both, or the one that there is, for a table over it; null: none is within reach.
   * @returns bytes without that table
   */
  whole(): { readonly trees: readonly [Tree] | readonly [Tree, Tree]; readonly bytes: number } | null {
    const cell: CellOf = ({ rules }) => cellBytes(rules);
    if (this.#leaves > 1) {
      const split = this.#split(this.#all, cell);
      return split && { trees: split.trees, bytes: split.apart };
    }
    const { tree } = this.#candidate(this.#all)!;
    const bytes = tree.classes.count * cell(tree.classes, tree.classes);
    return bytes <= this.#budget ? { trees: [tree], bytes: 0 } : null;
  }

  /** As few trees as the budget allows, with the vectors of their classes; small ones. At the worst the leaves. */
  groups(): Groups {
    this.#apart = true;
    for (const [set, candidate] of this.#best) if (candidate === null) this.#best.delete(set);
    this.#floors.fill(-1);
    for (let count = 1; count < this.#leaves; count++) {
      const groups = this.#divided(count);
      if (groups !== null) return groups;
    }
    const trees = Array.from({ length: this.#leaves }, (_, i) => this.#candidate(1 << i)!.tree);
    return { trees, bytes: trees.reduce((sum, { classes }) => sum + vectorBytes(classes), 0) };
  }

  #divided(count: number): Groups | null {
    let found: Groups | null = null;
    const floorOf = (parts: readonly number[]): number => parts.reduce((sum, part) => sum + this.#floor(part), 0);
    const most = (): number => Math.min(PACKED * this.#budget, (found?.bytes ?? Number.POSITIVE_INFINITY) / PATIENCE);
    const ways = partitions(this.#all, count).map((parts) => ({ parts, floor: floorOf(parts) }));
    for (const { parts } of ways.sort((a, b) => a.floor - b.floor)) {
      const trees: Tree[] = [];
      let bytes = 0;
      for (const part of parts) {
        const candidate = floorOf(parts) <= most() ? this.#candidate(part) : null;
        if (candidate === null) break;
        trees.push(candidate.tree);
        bytes += candidate.bytes + vectorBytes(candidate.tree.classes);
      }
      if (trees.length === count && bytes <= this.#budget && bytes < (found?.bytes ?? Number.POSITIVE_INFINITY))
        found = { trees, bytes };
    }
    return found;
  }

  /** A cheap pair of halves of a set, in bytes with the table over both; null: none is within reach. */
  #split(set: number, cell: CellOf) {
    let found: { trees: readonly [Tree, Tree]; apart: number; bytes: number } | null = null;
    const floorOf = (half: number): number => this.#floorOf(half, set ^ half, cellBytes(this.#least[set] - 1));
    const halves = halvesOf(set).map((half) => ({ half, floor: floorOf(half) }));
    for (const { half } of halves.sort((a, b) => a.floor - b.floor)) {
      // What is hardly smaller than the best so far is not merged to learn that; the half that is known sooner says more of the other.
      const inReach = (): boolean =>
        this.#least[half] * this.#least[set ^ half] <= MOST_CELLS &&
        floorOf(half) <= Math.min(PACKED * this.#budget, (found?.bytes ?? Number.POSITIVE_INFINITY) / PATIENCE);
      const [first, second] = this.#floor(half) < this.#floor(set ^ half) ? [half, set ^ half] : [set ^ half, half];
      const a = inReach() ? this.#candidate(first) : null;
      const b = a !== null && inReach() ? this.#candidate(second) : null;
      if (a === null || b === null) continue;
      const [left, right] = first === half ? [a.tree, b.tree] : [b.tree, a.tree];
      const apart = a.bytes + b.bytes;
      const bytes = apart + left.classes.count * right.classes.count * cell(left.classes, right.classes);
      if (left.classes.count * right.classes.count > MOST_CELLS || apart > this.#budget) continue;
      if (bytes < Math.min(PACKED * this.#budget, found?.bytes ?? Number.POSITIVE_INFINITY))
        found = { trees: [left, right], apart, bytes };
    }
    return found;
  }

  /** A small tree over a set, made when it is first asked for; null: none is within reach. */
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
    this.#floors.fill(-1);
    const count = candidate?.tree.classes.count ?? 1;
    for (let larger = set; larger <= this.#all; larger = (larger + 1) | set)
      if (this.#least[larger] < count) this.#least[larger] = count;
  }

  #merged(set: number): Candidate | null {
    const most = this.#most(set);
    if (this.#least[set] > most) return null;
    const split = this.#split(set, () => cellBytes(most - 1));
    if (split === null) return null;
    const [left, right] = split.trees;
    const work = workOf(left.classes, right.classes);
    if (work > this.#work) return null;
    if (work >= FORESEEN_FROM && forecastClasses(left.classes, right.classes) > most) return null;
    this.#work -= work;
    const tree = mergeTrees(left, right, most);
    const bytes = split.apart + (tree?.table.bytes ?? 0);
    return tree === null || bytes > this.#budget ? null : { tree, bytes };
  }

  /** Classes of a set that it makes sense to have: they are merged with the rest some time, or have rows of vectors. */
  #most(set: number): number {
    const rest = this.#apart ? rowBytes(1) : this.#least[this.#all ^ set];
    return Math.min(this.#mostClasses, Math.ceil((PACKED * this.#budget) / rest));
  }

  #floor(set: number): number {
    const known = this.#best.get(set);
    if (known !== undefined) return known?.bytes ?? Number.POSITIVE_INFINITY;
    if (this.#floors[set] >= 0) return this.#floors[set];
    const bytes = cellBytes(this.#least[set] - 1);
    const floor = halvesOf(set).reduce(
      (least, half) => Math.min(least, this.#floorOf(half, set ^ half, bytes)),
      Number.POSITIVE_INFINITY,
    );
    this.#floors[set] = floor;
    return floor;
  }

  #floorOf(half: number, other: number, bytes: number): number {
    return this.#floor(half) + this.#floor(other) + this.#least[half] * this.#least[other] * bytes;
  }
}

const vectorBytes = (classes: Classes): number =>
  classes.count * rowBytes(sumsOf(classes.rules)) + 8 * filledWords(classes);
