/**
 * Equivalence classes: values of a field, or of several, that all rules take for the same (P. Gupta, N. McKeown, "Packet Classification on
 * Multiple Fields", 1999). A class is the set of rules whose conditions on these fields hold.
 *
 *   of a field        the ends of all rules' ranges cut the values into intervals; intervals with the same set are one class
 *   of two of them    every pair of their classes has the intersection of the sets; equal ones are one class: a table of the pairs
 *
 * Class 0 of a field is that of packets without it, and of values in no rule's range.
 */
import type { Value } from "../../../dsl/chain-model.ts";
import { after, type Ranges } from "./conditions.ts";
import { bit, type Classes, type FoundClasses, Sets, wordsFor } from "./sets.ts";

/** Where intervals start, in ascending order, the first at 0, and the class of each. */
export interface Intervals {
  readonly starts: readonly Value[];
  readonly classes: readonly number[];
}

export interface FieldClasses {
  readonly classes: FoundClasses;
  readonly intervals: Intervals;
}

/** One class: some of the rules. */
export function singleClass(members: Iterable<number>, rules: number): FoundClasses {
  const words = new Uint32Array(wordsFor(rules));
  for (const rule of members) words[rule >> 5] |= bit(rule);
  const sets = new Sets(rules);
  sets.of(words);
  return sets.classes();
}

/** Rules of a class, in ascending order. */
export function membersOf({ heads, places, bits }: Classes, number: number): number[] {
  const members: number[] = [];
  for (let i = heads[number]; i < heads[number + 1]; i++)
    for (let rest = bits[i]; rest !== 0; rest ^= bit(Math.clz32(rest))) members.push(32 * places[i] + Math.clz32(rest));
  return members;
}

/**
 * The same classes, of rules at other places.
 * @param order rules by their places; those that are not in it are in no class any more, so there may be equal ones
 */
export function placed({ count, rules, heads, places, bits }: Classes, order: readonly number[]): Classes {
  const placeOf = new Int32Array(rules).fill(-1);
  for (const [place, rule] of order.entries()) placeOf[rule] = place;
  const words = new Uint32Array(wordsFor(order.length));
  const own = new Uint32Array(count + 1);
  const filled: number[] = [];
  const found: number[] = [];
  for (let c = 0; c < count; c++) {
    for (let i = heads[c]; i < heads[c + 1]; i++)
      for (let rest = bits[i]; rest !== 0; rest ^= bit(Math.clz32(rest))) {
        const place = placeOf[32 * places[i] + Math.clz32(rest)];
        if (place >= 0) words[place >> 5] |= bit(place);
      }
    for (let w = 0; w < words.length; w++) {
      if (words[w] === 0) continue;
      filled.push(w);
      found.push(words[w]);
      words[w] = 0;
    }
    own[c + 1] = filled.length;
  }
  return {
    ...{ count, rules: order.length, heads: own },
    places: Uint16Array.from(filled),
    bits: Uint32Array.from(found),
  };
}

/** @param conditions of each rule on the field; null: none */
export function classesOfField(conditions: readonly (Ranges | null)[], bits: number): FieldClasses {
  const current = new Uint32Array(wordsFor(conditions.length));
  const ends: Value[] = [];
  const rules: number[] = [];
  for (let rule = 0; rule < conditions.length; rule++) {
    const ranges = conditions[rule];
    if (ranges === null) current[rule >> 5] |= bit(rule);
    else
      for (const { first, last } of ranges) {
        ends.push(first, after(last));
        rules.push(rule, rule);
      }
  }
  const { at, order } = ascending(ends, bits);
  const end = bits > 32 ? 1n << BigInt(bits) : 2 ** bits;
  const sets = new Sets(conditions.length, ends.length);
  sets.of(current);
  const starts: Value[] = [];
  const classes: number[] = [];
  const enter = (start: Value): void => {
    const number = sets.of(current);
    if (classes.at(-1) === number) return;
    starts.push(start);
    classes.push(number);
  };
  let i = 0;
  if (order.length === 0 || ends[order[0]] > 0) enter(bits > 32 ? 0n : 0);
  while (i < order.length && ends[order[i]] < end) {
    const start = at[i];
    const value = ends[order[i]];
    for (; i < order.length && at[i] === start; i++) current[rules[order[i]] >> 5] ^= bit(rules[order[i]]);
    enter(value);
  }
  return { classes: sets.classes(), intervals: { starts, classes } };
}

/** Numbers that can stand for the ends of ranges, in ascending order, and which ends they are: a sort of numbers, which is quick. */
function ascending(ends: readonly Value[], bits: number): { readonly at: Float64Array; readonly order: Uint32Array } {
  const step = ends.length;
  // The ends themselves where such a number and its place fit a double, else how many smaller ones there are.
  const ranks =
    bits <= 32 && step <= 2 ** 20
      ? null
      : new Map([...new Set(ends)].sort((a, b) => (a < b ? -1 : 1)).map((one, rank) => [one, rank]));
  const at = new Float64Array(step);
  for (let i = 0; i < step; i++) at[i] = Number(ranks === null ? ends[i] : ranks.get(ends[i])) * step + i;
  at.sort();
  const order = new Uint32Array(step);
  for (let i = 0; i < step; i++) {
    const key = at[i];
    at[i] = Math.floor(key / step);
    order[i] = key - at[i] * step;
  }
  return { at, order };
}

export const classOfValue = ({ starts, classes }: Intervals, value: Value): number =>
  classes[starts.findLastIndex((start) => start <= value)];
