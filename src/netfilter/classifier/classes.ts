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

/** Sets that grow in number, each once. Most of their words are 0, and are passed over. */
class Sets {
  readonly words: number;
  count = 0;
  #sets: Uint32Array;
  /** By hash; chained. */
  readonly #first = new Map<number, number>();
  readonly #next: number[] = [];
  /** How many words of a set are not 0. */
  readonly #filled: number[] = [];

  constructor(words: number, expected: number) {
    this.words = words;
    this.#sets = new Uint32Array(words * Math.max(expected, 16));
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
    const head = this.#first.get(hash);
    for (let n = head; n !== undefined && n >= 0; n = this.#next[n]) if (this.#same(n, places, bits, filled)) return n;
    if ((this.count + 1) * this.words > this.#sets.length) {
      const larger = new Uint32Array(this.#sets.length * 2);
      larger.set(this.#sets);
      this.#sets = larger;
    }
    for (let i = 0; i < filled; i++) this.#sets[this.count * this.words + places[i]] = bits[i];
    this.#next.push(head ?? -1);
    this.#filled.push(filled);
    this.#first.set(hash, this.count);
    return this.count++;
  }

  #same(n: number, places: Uint16Array, bits: Uint32Array, filled: number): boolean {
    if (this.#filled[n] !== filled) return false;
    const own = n * this.words;
    for (let i = 0; i < filled; i++) if (this.#sets[own + places[i]] !== bits[i]) return false;
    return true;
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
  const flips: { at: bigint; rule: number }[] = [];
  for (const [rule, ranges] of conditions.entries()) {
    if (ranges === null) current[rule >> 5] |= bit(rule);
    else for (const { first, last } of ranges) flips.push({ at: first, rule }, { at: last + 1n, rule });
  }
  const end = 1n << BigInt(bits);
  flips.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
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
  if (flips.length === 0 || flips[0].at > 0n) enter(0n);
  while (i < flips.length && flips[i].at < end) {
    const { at } = flips[i];
    for (; i < flips.length && flips[i].at === at; i++) current[flips[i].rule >> 5] ^= bit(flips[i].rule);
    enter(at);
  }
  return { count: sets.count, words, sets: sets.sets(), starts, classes };
}

export const classOfValue = ({ starts, classes }: FieldClasses, value: bigint): number =>
  classes[starts.findLastIndex((start) => start <= value)];

/** @param most classes; more: null */
export function mergeClasses(left: Classes, right: Classes, most: number): MergedClasses | null {
  const { words } = left;
  const table = new Uint32Array(left.count * right.count);
  const sets = new Sets(words, Math.max(left.count, right.count));
  const [mine, both] = [new Scratch(words), new Scratch(words)];
  let cell = 0;
  for (let l = 0; l < left.count; l++) {
    const filled = mine.fill(left.sets.subarray(l * words, (l + 1) * words));
    for (let at = 0; at < right.sets.length; at += words) {
      let kept = 0;
      for (let i = 0; i < filled; i++) {
        const place = mine.places[i];
        const common = mine.bits[i] & right.sets[at + place];
        if (common === 0) continue;
        both.places[kept] = place;
        both.bits[kept++] = common;
      }
      table[cell++] = sets.numberOf(both.places, both.bits, kept);
    }
    if (sets.count > most) return null;
  }
  return { count: sets.count, words, sets: sets.sets(), table };
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
  const { words } = left;
  const table = new Uint32Array(left.count * right.count);
  const mine = new Scratch(words);
  let cell = 0;
  for (let l = 0; l < left.count; l++) {
    const filled = mine.fill(left.sets.subarray(l * words, (l + 1) * words));
    for (let at = 0; at < right.sets.length; at += words, cell++)
      for (let i = 0; i < filled; i++) {
        const both = mine.bits[i] & right.sets[at + mine.places[i]];
        if (both === 0) continue;
        table[cell] = mine.places[i] * 32 + Math.clz32(both) + 1;
        break;
      }
  }
  return table;
}
