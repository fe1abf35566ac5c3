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

/** Sets of rules. Most of their words are 0, and only the others are there. */
interface Words {
  /** Where in `places` and `bits` each set starts, and where the last one ends. */
  readonly heads: Uint32Array;
  /** Of words, in ascending order: word w has rules 32 w to 32 w + 31. */
  readonly places: Uint16Array;
  /** These words: rule r is bit 31 - r % 32. */
  readonly bits: Uint32Array;
}

/** A set a class. */
export interface Classes extends Words {
  readonly count: number;
  readonly rules: number;
}

/** Sets as they are found; those that are found one after the other are alike. */
export interface FoundClasses extends Classes {
  /** For each set one that was found before it, and is much like it; of the first one itself. */
  readonly near: Uint32Array;
}

export interface FieldClasses extends FoundClasses {
  /** Where intervals start, in ascending order, the first at 0, and the class of each. */
  readonly starts: readonly bigint[];
  readonly classes: readonly number[];
}

export interface MergedClasses extends FoundClasses {
  /** The class of left class l and right class r: cell l * (right's count) + r. */
  readonly table: Uint16Array;
}
/** Classes that a table's cells can tell apart. */
export const MOST_CLASSES = 0x10000;
/** Behind the place of every word. */
const NONE = 0x10000;

const larger = <T extends Uint32Array | Int32Array | Uint16Array>(into: T, from: T): T => {
  into.set(from);
  return into;
};

/** Sets that grow in number, each once: a hash table, open addressing. */
class Sets {
  count = 0;
  readonly #rules: number;
  #heads = new Uint32Array(64);
  #places = new Uint16Array(256);
  #bits = new Uint32Array(256);
  #near = new Uint32Array(64);
  #hashes = new Int32Array(64);
  /** Numbers plus 1, 0 when free; at most half of them are in use. */
  #slots = new Int32Array(128);
  /** The one found last. */
  #last = 0;

  constructor(rules: number) {
    this.#rules = rules;
  }

  /**
   * The number of a set's intersection with another one.
   * @param set one of `sets`
   * @param other all of its words
   * @param near the number of one that is likely much like it
   */
  ofBoth({ heads, places, bits }: Classes, set: number, other: Uint32Array, near = this.#last): number {
    const [from, to] = [heads[set], heads[set + 1]];
    this.#reserve(to - from);
    const [ownPlaces, ownBits] = [this.#places, this.#bits];
    let end = this.#heads[this.count];
    let hash = 0;
    for (let i = from; i < to; i++) {
      const place = places[i];
      const common = bits[i] & other[place];
      if (common === 0) continue;
      ownPlaces[end] = place;
      ownBits[end++] = common;
      hash = mixed(hash, place, common);
    }
    return this.#numbered(end, hash, near);
  }

  /** The number of a set. */
  of(words: Uint32Array): number {
    this.#reserve(words.length);
    const [ownPlaces, ownBits] = [this.#places, this.#bits];
    let end = this.#heads[this.count];
    let hash = 0;
    for (let place = 0; place < words.length; place++) {
      if (words[place] === 0) continue;
      ownPlaces[end] = place;
      ownBits[end++] = words[place];
      hash = mixed(hash, place, words[place]);
    }
    return this.#numbered(end, hash, this.#last);
  }

  /** Of the set that stands behind the others, up to `end`: it stays there if it is new. */
  #numbered(end: number, hash: number, near: number): number {
    // Neighbours are alike: the last one found is likely.
    if (this.#hashes[this.#last] === hash && this.#last < this.count && this.#same(this.#last, end)) return this.#last;
    const mask = this.#slots.length - 1;
    let slot = (hash ^ (hash >>> 15)) & mask;
    for (let n = this.#slots[slot] - 1; n >= 0; n = this.#slots[slot] - 1) {
      if (this.#hashes[n] === hash && this.#same(n, end)) {
        this.#last = n;
        return n;
      }
      slot = (slot + 1) & mask;
    }
    const number = this.count++;
    this.#hashes[number] = hash;
    this.#near[number] = near;
    this.#slots[slot] = this.count;
    if (this.count === this.#hashes.length) this.#grow();
    this.#heads[this.count] = end;
    this.#last = number;
    return number;
  }

  #same(n: number, end: number): boolean {
    const [places, bits, last] = [this.#places, this.#bits, this.#heads[this.count]];
    let own = this.#heads[n];
    if (this.#heads[n + 1] - own !== end - last) return false;
    for (let i = last; i < end; i++, own++) if (places[i] !== places[own] || bits[i] !== bits[own]) return false;
    return true;
  }

  /** Room for the words of one more set. */
  #reserve(words: number): void {
    const end = this.#heads[this.count] + words;
    if (end <= this.#bits.length) return;
    this.#places = larger(new Uint16Array(2 * end), this.#places);
    this.#bits = larger(new Uint32Array(2 * end), this.#bits);
  }

  #grow(): void {
    this.#heads = larger(new Uint32Array(2 * this.#heads.length), this.#heads);
    this.#near = larger(new Uint32Array(2 * this.#near.length), this.#near);
    this.#hashes = larger(new Int32Array(2 * this.#hashes.length), this.#hashes);
    const slots = new Int32Array(2 * this.#slots.length);
    const mask = slots.length - 1;
    for (let n = 0; n < this.count; n++) {
      const hash = this.#hashes[n];
      let slot = (hash ^ (hash >>> 15)) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = n + 1;
    }
    this.#slots = slots;
  }

  classes(): FoundClasses {
    const end = this.#heads[this.count];
    return {
      ...{ count: this.count, rules: this.#rules },
      heads: this.#heads.subarray(0, this.count + 1),
      places: this.#places.subarray(0, end),
      bits: this.#bits.subarray(0, end),
      near: this.#near.subarray(0, this.count),
    };
  }
}

const mixed = (hash: number, place: number, bits: number): number => {
  const h = Math.imul(hash ^ bits, 0x9e3779b1) + Math.imul(place + 1, 0x85ebca6b);
  return h ^ (h >>> 15);
};

const wordsFor = (rules: number): number => Math.ceil(rules / 32);
const bit = (rule: number): number => (1 << (31 - (rule & 31))) >>> 0;

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
  const ends: bigint[] = [];
  const rules: number[] = [];
  for (let rule = 0; rule < conditions.length; rule++) {
    const ranges = conditions[rule];
    if (ranges === null) current[rule >> 5] |= bit(rule);
    else
      for (const { first, last } of ranges) {
        ends.push(first, last + 1n);
        rules.push(rule, rule);
      }
  }
  const { at, order } = ascending(ends, bits);
  const end = 1n << BigInt(bits);
  const sets = new Sets(conditions.length);
  sets.of(current);
  const starts: bigint[] = [];
  const classes: number[] = [];
  const enter = (start: bigint): void => {
    const number = sets.of(current);
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
  return { ...sets.classes(), starts, classes };
}

/** Numbers that can stand for the ends of ranges, in ascending order, and which ends they are: a sort of numbers, which is quick. */
function ascending(ends: readonly bigint[], bits: number): { readonly at: Float64Array; readonly order: Uint32Array } {
  const step = ends.length;
  // The ends themselves where such a number and its place fit a double, else how many smaller ones there are.
  const ranks =
    bits <= 32 && step <= 2 ** 20
      ? null
      : new Map([...new Set(ends)].sort((a, b) => (a < b ? -1 : 1)).map((one, rank) => [one, rank]));
  const at = new Float64Array(step);
  for (let i = 0; i < step; i++) at[i] = (ranks?.get(ends[i]) ?? Number(ends[i])) * step + i;
  at.sort();
  const order = new Uint32Array(step);
  for (let i = 0; i < step; i++) {
    const key = at[i];
    at[i] = Math.floor(key / step);
    order[i] = key - at[i] * step;
  }
  return { at, order };
}

export const classOfValue = ({ starts, classes }: FieldClasses, value: bigint): number =>
  classes[starts.findLastIndex((start) => start <= value)];

/** Words that are intersected to merge two fields' classes, or to find their first rules. */
export const workOf = (left: Classes, right: Classes): number =>
  Math.min(left.count * right.bits.length, right.count * left.bits.length);

/** @param most classes, MOST_CLASSES at the most; more: null */
export function mergeClasses(left: FoundClasses, right: FoundClasses, most: number): MergedClasses | null {
  const table = new Uint16Array(left.count * right.count);
  const sets = new Sets(left.rules);
  const inReach = eachRow(left, right, ({ dense, sparse, changes, from, step }) => {
    const { count, near } = sparse;
    table[from] = sets.ofBoth(sparse, 0, dense);
    for (let i = 1, cell = from + step; i < count; i++, cell += step) {
      const like = table[from + near[i] * step];
      table[cell] = meets(changes, i, dense) ? sets.ofBoth(sparse, i, dense, like) : like;
    }
    return sets.count <= most;
  });
  return inReach ? { ...sets.classes(), table } : null;
}

/** The first rule of each class, counted from 1; 0: none. */
export const firstMembers = ({ count, heads, places, bits }: Classes): Uint32Array =>
  Uint32Array.from({ length: count }, (_, c) =>
    heads[c] === heads[c + 1] ? 0 : 32 * places[heads[c]] + Math.clz32(bits[heads[c]]) + 1,
  );

/** The table of all pairs' first rules, counted from 1; 0: none. */
export function firstRules(left: FoundClasses, right: FoundClasses): Uint32Array {
  const table = new Uint32Array(left.count * right.count);
  eachRow(left, right, ({ dense, sparse: { count, heads, places, bits, near }, changes, from, step }) => {
    for (let c = 0, cell = from; c < count; c++, cell += step) {
      if (c > 0 && !meets(changes, c, dense)) {
        table[cell] = table[from + near[c] * step];
        continue;
      }
      for (let i = heads[c]; i < heads[c + 1]; i++) {
        const both = bits[i] & dense[places[i]];
        if (both === 0) continue;
        table[cell] = places[i] * 32 + Math.clz32(both) + 1;
        break;
      }
    }
    return true;
  });
  return table;
}

/** All pairs of one class with those of the other side. */
interface Row {
  /** All words of the one. */
  readonly dense: Uint32Array;
  readonly sparse: FoundClasses;
  /** How its sets differ from those near them: with both the one has the same in common, unless it has one of these rules. */
  readonly changes: Words;
  /** Cells of the table: the first, and how far the next one is. */
  readonly from: number;
  readonly step: number;
}

/**
 * Visits every pair of classes, those of one side with all words at hand, so that as few words as can be are intersected.
 * @param visit true: go on
 * @returns whether it went on to the end
 */
function eachRow(left: FoundClasses, right: FoundClasses, visit: (row: Row) => boolean): boolean {
  const swapped = right.count * left.bits.length < left.count * right.bits.length;
  const [outer, sparse] = swapped ? [right, left] : [left, right];
  const [row, step] = swapped ? [1, right.count] : [right.count, 1];
  const changes = changesOf(sparse);
  const dense = new Uint32Array(wordsFor(left.rules));
  for (let o = 0; o < outer.count; o++) {
    const [from, to] = [outer.heads[o], outer.heads[o + 1]];
    for (let i = from; i < to; i++) dense[outer.places[i]] = outer.bits[i];
    if (!visit({ dense, sparse, changes, from: o * row, step })) return false;
    for (let i = from; i < to; i++) dense[outer.places[i]] = 0;
  }
  return true;
}

/** Of each set how it differs from that near it: the rules that only one of the two has. */
function changesOf({ count, heads, places, bits, near }: FoundClasses): Words {
  let most = 0;
  for (let c = 1; c < count; c++) most += heads[c + 1] - heads[c] + heads[near[c] + 1] - heads[near[c]];
  const own = { heads: new Uint32Array(count + 1), places: new Uint16Array(most), bits: new Uint32Array(most) };
  let end = 0;
  for (let c = 1; c < count; c++) {
    let [i, j] = [heads[c], heads[near[c]]];
    const [last, nearLast] = [heads[c + 1], heads[near[c] + 1]];
    while (i < last || j < nearLast) {
      const [place, nearPlace] = [i < last ? places[i] : NONE, j < nearLast ? places[j] : NONE];
      const word = (place <= nearPlace ? bits[i++] : 0) ^ (nearPlace <= place ? bits[j++] : 0);
      if (word === 0) continue;
      own.places[end] = Math.min(place, nearPlace);
      own.bits[end++] = word;
    }
    own.heads[c + 1] = end;
  }
  return own;
}

/** Has the one that is dense a rule of the set? */
function meets({ heads, places, bits }: Words, set: number, dense: Uint32Array): boolean {
  for (let i = heads[set]; i < heads[set + 1]; i++) if ((dense[places[i]] & bits[i]) !== 0) return true;
  return false;
}
