/**
 * Equivalence classes: values of a field, or of several, that all rules take for the same (P. Gupta, N. McKeown, "Packet Classification on
 * Multiple Fields", 1999). A class is the set of rules whose conditions on these fields hold.
 *
 *   of a field        the ends of all rules' ranges cut the values into intervals; intervals with the same set are one class
 *   of two of them    every pair of their classes has the intersection of the sets; equal ones are one class: a table of the pairs
 *
 * Class 0 of a field is that of packets without it, and of values in no rule's range.
 */
import type { Ranges } from "./conditions.ts";

/** Sets of rules, one a class: `words` words each, rule r is bit 31 - r % 32 of word r / 32. */
export interface Classes {
  readonly count: number;
  readonly words: number;
  readonly sets: Uint32Array;
}

export interface FieldClasses extends Classes {
  /** Where intervals start, in ascending order, the first at 0, and the class of each. */
  readonly starts: readonly bigint[];
  readonly classes: readonly number[];
}

export interface MergedClasses extends Classes {
  /** The class of left class l and right class r: cell l * (right's count) + r. */
  readonly table: Uint32Array;
}

/** Sets that grow in number, each once: a hash table, open addressing. Most of their words are 0, and are passed over. */
class Sets {
  readonly words: number;
  count = 0;
  #sets: Uint32Array;
  /** Numbers plus 1, 0 when free; at most half of them are in use. */
  #slots: Int32Array;
  /** By number. */
  #hashes: Int32Array;
  /** How many words of a set are not 0. */
  #filled: Uint16Array;

  constructor(words: number, expected: number) {
    const room = 2 ** Math.ceil(Math.log2(Math.max(expected, 16)));
    this.words = words;
    this.#sets = new Uint32Array(words * room);
    this.#slots = new Int32Array(2 * room);
    this.#hashes = new Int32Array(room);
    this.#filled = new Uint16Array(room);
  }

  /**
   * The number of a set.
   * @param places of its first `filled` words that are not 0, in ascending order
   * @param bits these words
   */
  numberOf(places: Uint16Array, bits: Uint32Array, filled: number): number {
    let hash = 0;
    for (let i = 0; i < filled; i++) {
      hash = Math.imul(hash ^ bits[i], 0x9e3779b1) + Math.imul(places[i] + 1, 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (let n = this.#slots[slot] - 1; n >= 0; n = this.#slots[slot] - 1) {
      if (this.#hashes[n] === hash && this.#same(n, places, bits, filled)) return n;
      slot = (slot + 1) & mask;
    }
    if (this.count === this.#hashes.length) {
      this.#grow();
      return this.numberOf(places, bits, filled);
    }
    for (let i = 0; i < filled; i++) this.#sets[this.count * this.words + places[i]] = bits[i];
    this.#hashes[this.count] = hash;
    this.#filled[this.count] = filled;
    this.#slots[slot] = ++this.count;
    return this.count - 1;
  }

  #same(n: number, places: Uint16Array, bits: Uint32Array, filled: number): boolean {
    if (this.#filled[n] !== filled) return false;
    const own = n * this.words;
    for (let i = 0; i < filled; i++) if (this.#sets[own + places[i]] !== bits[i]) return false;
    return true;
  }

  #grow(): void {
    const larger = <T extends Uint32Array | Int32Array | Uint16Array>(into: T, from: T): T => {
      into.set(from);
      return into;
    };
    this.#sets = larger(new Uint32Array(2 * this.#sets.length), this.#sets);
    this.#hashes = larger(new Int32Array(2 * this.#hashes.length), this.#hashes);
    this.#filled = larger(new Uint16Array(2 * this.#filled.length), this.#filled);
    const slots = new Int32Array(2 * this.#slots.length);
    const mask = slots.length - 1;
    for (let n = 0; n < this.count; n++) {
      let slot = this.#hashes[n] & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = n + 1;
    }
    this.#slots = slots;
  }

  sets(): Uint32Array {
    return this.#sets.subarray(0, this.count * this.words);
  }
}

/** Room for the words of one set. */
class Scratch {
  readonly places: Uint16Array;
  readonly bits: Uint32Array;

  constructor(words: number) {
    this.places = new Uint16Array(words);
    this.bits = new Uint32Array(words);
  }

  /** @returns how many words of `set` are not 0 */
  fill(set: Uint32Array): number {
    let filled = 0;
    for (let w = 0; w < set.length; w++) {
      if (set[w] === 0) continue;
      this.places[filled] = w;
      this.bits[filled++] = set[w];
    }
    return filled;
  }
}

const wordsFor = (rules: number): number => Math.max(1, Math.ceil(rules / 32));
const bit = (rule: number): number => (1 << (31 - (rule & 31))) >>> 0;

/** @param conditions of each rule on the field; null: none */
export function classesOfField(conditions: readonly (Ranges | null)[], bits: number): FieldClasses {
  const words = wordsFor(conditions.length);
  const current = new Uint32Array(words);
  const ends: bigint[] = [];
  const rules: number[] = [];
  for (const [rule, ranges] of conditions.entries()) {
    if (ranges === null) current[rule >> 5] |= bit(rule);
    else
      for (const { first, last } of ranges) {
        ends.push(first, last + 1n);
        rules.push(rule, rule);
      }
  }
  const { at, order } = ascending(ends, bits);
  const end = 1n << BigInt(bits);
  const sets = new Sets(words, 64);
  const scratch = new Scratch(words);
  const numberOf = (): number => sets.numberOf(scratch.places, scratch.bits, scratch.fill(current));
  numberOf();
  const starts: bigint[] = [];
  const classes: number[] = [];
  const enter = (start: bigint): void => {
    const number = numberOf();
    if (classes.at(-1) === number) return;
    starts.push(start);
    classes.push(number);
  };
  let i = 0;
  if (order.length === 0 || ends[order[0]] > 0n) enter(0n);
  while (i < order.length && ends[order[i]] < end) {
    const start = at[i];
    const value = ends[order[i]];
    for (; i < order.length && at[i] === start; i++) current[rules[order[i]] >> 5] ^= bit(rules[order[i]]);
    enter(value);
  }
  return { count: sets.count, words, sets: sets.sets(), starts, classes };
}

/** Numbers that can stand for the ends of ranges, in ascending order, and which ends they are: a sort of numbers, which is quick. */
function ascending(ends: readonly bigint[], bits: number): { readonly at: Float64Array; readonly order: Uint32Array } {
  const step = ends.length;
  // The ends themselves where such a number and its place fit a double, else how many smaller ones there are.
  const ranks =
    bits <= 32 && step <= 2 ** 20
      ? null
      : new Map([...new Set(ends)].sort((a, b) => (a < b ? -1 : 1)).map((one, rank) => [one, rank]));
  const keys = Float64Array.from(ends, (one, i) => (ranks?.get(one) ?? Number(one)) * step + i).sort();
  return { at: keys.map((key) => Math.floor(key / step)), order: Uint32Array.from(keys, (key) => key % step) };
}

export const classOfValue = ({ starts, classes }: FieldClasses, value: bigint): number =>
  classes[starts.findLastIndex((start) => start <= value)];

/** @param most classes; more: null */
export function mergeClasses(left: Classes, right: Classes, most: number): MergedClasses | null {
  const table = new Uint32Array(left.count * right.count);
  const sets = new Sets(left.words, Math.max(left.count, right.count));
  const both = new Scratch(left.words);
  const inReach = eachPair(left, right, (mine, filled, others, at, cell) => {
    let kept = 0;
    for (let i = 0; i < filled; i++) {
      const place = mine.places[i];
      const common = mine.bits[i] & others[at + place];
      if (common === 0) continue;
      both.places[kept] = place;
      both.bits[kept++] = common;
    }
    table[cell] = sets.numberOf(both.places, both.bits, kept);
    return sets.count <= most;
  });
  return inReach ? { count: sets.count, words: left.words, sets: sets.sets(), table } : null;
}

/** The first rule of each class, counted from 1; 0: none. */
export function firstMembers({ count, words, sets }: Classes): Uint32Array {
  return Uint32Array.from({ length: count }, (_, c) => {
    for (let w = 0; w < words; w++) if (sets[c * words + w] !== 0) return 32 * w + Math.clz32(sets[c * words + w]) + 1;
    return 0;
  });
}

/** The table of all pairs' first rules, counted from 1; 0: none. */
export function firstRules(left: Classes, right: Classes): Uint32Array {
  const table = new Uint32Array(left.count * right.count);
  eachPair(left, right, (mine, filled, others, at, cell) => {
    for (let i = 0; i < filled; i++) {
      const both = mine.bits[i] & others[at + mine.places[i]];
      if (both === 0) continue;
      table[cell] = mine.places[i] * 32 + Math.clz32(both) + 1;
      break;
    }
    return true;
  });
  return table;
}

/**
 * Visits every pair of classes, the filled words of those whose sets are sparser at hand: few words are intersected.
 * @param visit the one's `filled` words; the other's, from `at` on; where the pair is in the table; true: go on
 * @returns whether it went on to the end
 */
function eachPair(
  left: Classes,
  right: Classes,
  visit: (mine: Scratch, filled: number, others: Uint32Array, at: number, cell: number) => boolean,
): boolean {
  const { words } = left;
  const swapped = density(right) < density(left);
  const [outer, inner] = swapped ? [right, left] : [left, right];
  const [row, column] = swapped ? [1, right.count] : [right.count, 1];
  const mine = new Scratch(words);
  for (let o = 0; o < outer.count; o++) {
    const filled = mine.fill(outer.sets.subarray(o * words, (o + 1) * words));
    for (let i = 0; i < inner.count; i++)
      if (!visit(mine, filled, inner.sets, i * words, o * row + i * column)) return false;
  }
  return true;
}

/** The share of words that are not 0. */
function density({ sets }: Classes): number {
  let filled = 0;
  for (const word of sets) if (word !== 0) filled++;
  return filled / sets.length;
}
