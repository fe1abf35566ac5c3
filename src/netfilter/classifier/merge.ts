/**
 * mergeClasses, firstRules: tables over the classes of two fields, or of groups of them. Most cells need no intersection, as sets are much like those found before them
 * (sets.ts): what a row's class has in common with another side's class is what the row near it has, unless that class has a rule of those in which the two rows
 * differ; and then what it has in common with the class near that one, unless the row has a rule of those in which these differ.
 *
 *   rows           1 2      1 2 3, differs by 3 from the row before       columns with rule 3 alone are looked at
 */
import {
  bit,
  type Classes,
  changesOf,
  chosen,
  type FoundClasses,
  holdersOf,
  Sets,
  type Words,
  wordsFor,
} from "./sets.ts";

export interface MergedClasses {
  readonly classes: FoundClasses;
  /** The class of left class l and right class r: cell l * (right's count) + r. */
  readonly table: Uint16Array;
}

/** Classes that a table's cells can tell apart. */
export const MOST_CLASSES = 0x10000;

/** Words that are intersected to merge two fields' classes, or to find their first rules. */
export const workOf = (left: Classes, right: Classes): number =>
  Math.min(left.count * right.bits.length, right.count * left.bits.length);

/** @param most classes, MOST_CLASSES at the most; more: null */
export function mergeClasses(left: FoundClasses, right: FoundClasses, most: number): MergedClasses | null {
  const table = new Uint16Array(left.count * right.count);
  const sets = new Sets(left.rules, left.count + right.count);
  const whole = fill(table, left, right, { found: foundAmong(sets), goesOn: () => sets.count <= most });
  return whole ? { classes: sets.classes(), table } : null;
}

/** Rows that a forecast merges. */
const SAMPLED = 32;

/** About how many classes a merge comes to: some rows are merged, and what the second half of them has added to the first says how the rest goes on. */
export function forecastClasses(left: FoundClasses, right: FoundClasses): number {
  const [outer, inner] = left.count > right.count ? [left, right] : [right, left];
  const rows = Array.from({ length: SAMPLED }, (_, i) => {
    const place = i < SAMPLED / 2 ? 2 * i : 2 * i - SAMPLED + 1;
    return Math.floor((place * outer.count) / SAMPLED);
  });
  const sets = new Sets(left.rules);
  const counts: number[] = [];
  const table = new Uint16Array(SAMPLED * inner.count);
  fillRows(
    table,
    { outer: chosen(outer, rows), inner, row: inner.count, step: 1 },
    {
      found: foundAmong(sets),
      goesOn: () => counts.push(sets.count) > 0,
    },
  );
  const [half, all] = [counts[SAMPLED / 2 - 1], counts[SAMPLED - 1]];
  return all * (outer.count / SAMPLED) ** Math.min(1, Math.log2(all / half));
}

/**
 * The first rule of each class, counted from 1; 0: none.
 * @param numbers what they are called, from 0
 */
export const firstMembers = ({ count, heads, places, bits }: Classes, numbers: readonly number[]): Uint32Array =>
  Uint32Array.from({ length: count }, (_, c) =>
    heads[c] === heads[c + 1] ? 0 : numbers[32 * places[heads[c]] + Math.clz32(bits[heads[c]])] + 1,
  );

/** The table of all pairs' first rules, counted from 1; 0: none. */
export function firstRules(left: FoundClasses, right: FoundClasses, numbers: readonly number[]): Uint32Array {
  const table = new Uint32Array(left.count * right.count);
  fill(table, left, right, {
    found: ({ heads, places, bits }, set, other) => {
      for (let i = heads[set]; i < heads[set + 1]; i++) {
        const both = bits[i] & other[places[i]];
        if (both !== 0) return numbers[places[i] * 32 + Math.clz32(both)] + 1;
      }
      return 0;
    },
    goesOn: () => true,
  });
  return table;
}

/** How a table's cells are found. */
interface Finding {
  /**
   * The cell of a set and another one.
   * @param other all of its words
   * @param near the cell of a set much like it, and the same other one
   */
  found(side: Classes, set: number, other: Uint32Array, near?: number): number;
  /** Asked behind each row. */
  goesOn(): boolean;
}

const foundAmong =
  (sets: Sets): Finding["found"] =>
  (side, set, other, near) =>
    sets.ofBoth(side, set, other, near);

/** @returns whether it went on to the end */
function fill(table: Uint16Array | Uint32Array, left: FoundClasses, right: FoundClasses, finding: Finding): boolean {
  const words = wordsFor(left.rules);
  return looks(right, left, words) < looks(left, right, words)
    ? fillRows(table, { outer: right, inner: left, row: 1, step: right.count }, finding)
    : fillRows(table, { outer: left, inner: right, row: right.count, step: 1 }, finding);
}

/** A side that has rows, one that has the cells of each, and how far those of both are from one another in the table. */
interface Sides {
  readonly outer: FoundClasses;
  readonly inner: FoundClasses;
  readonly row: number;
  readonly step: number;
}

function fillRows(
  table: Uint16Array | Uint32Array,
  { outer, inner, row, step }: Sides,
  { found, goesOn }: Finding,
): boolean {
  const [changes, innerChanges] = [changesOf(outer), changesOf(inner)];
  const dense = new Uint32Array(wordsFor(outer.rules));
  const open = new Uint32Array(wordsFor(inner.count));
  for (let o = 0; o < outer.count; o++) {
    const [first, last] = [outer.heads[o], outer.heads[o + 1]];
    for (let i = first; i < last; i++) dense[outer.places[i]] = outer.bits[i];
    const from = o * row;
    if (o === 0) markAll(open, inner.count);
    else {
      const near = outer.near[o] * row;
      if (step === 1) table.copyWithin(from, near, near + inner.count);
      else for (let i = 0, at = 0; i < inner.count; i++, at += step) table[from + at] = table[near + at];
      markHolders(open, inner, changes, o);
    }
    for (let w = 0; w < open.length; w++) {
      for (let rest = open[w]; rest !== 0; rest ^= bit(Math.clz32(rest))) {
        const set = 32 * w + Math.clz32(rest);
        if (set === 0) table[from] = found(inner, 0, dense);
        else {
          const like = table[from + inner.near[set] * step];
          table[from + set * step] = meets(innerChanges, set, dense) ? found(inner, set, dense, like) : like;
        }
      }
      open[w] = 0;
    }
    for (let i = first; i < last; i++) dense[outer.places[i]] = 0;
    if (!goesOn()) return false;
  }
  return true;
}

/** About how many cells are looked at when the classes of the one side have rows. */
const looks = (outer: FoundClasses, inner: FoundClasses, words: number): number =>
  (changesOf(outer).bits.length / words + 1) * inner.bits.length;

function markAll(marks: Uint32Array, count: number): void {
  marks.fill(0xffffffff);
  if (count % 32 !== 0) marks[marks.length - 1] = -bit(count - 1) >>> 0;
}

/** Marks those that have a rule of the set. */
function markHolders(marks: Uint32Array, classes: Classes, { heads, places, bits }: Words, set: number): void {
  const { heads: own, sets, everywhere } = holdersOf(classes);
  for (let i = heads[set]; i < heads[set + 1]; i++) {
    if ((bits[i] & everywhere[places[i]]) !== 0) {
      markAll(marks, classes.count);
      return;
    }
    for (let rest = bits[i]; rest !== 0; rest ^= bit(Math.clz32(rest))) {
      const rule = 32 * places[i] + Math.clz32(rest);
      for (let at = own[rule]; at < own[rule + 1]; at++) marks[sets[at] >> 5] |= bit(sets[at]);
    }
  }
}

/** Has the one that is dense a rule of the set? */
function meets({ heads, places, bits }: Words, set: number, dense: Uint32Array): boolean {
  for (let i = heads[set]; i < heads[set + 1]; i++) if ((dense[places[i]] & bits[i]) !== 0) return true;
  return false;
}
