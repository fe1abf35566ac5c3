/**
 * Sets of rules, a class each, and how they are found, stored and told apart. Most words of most sets are 0, so only the others are kept; sets that are found
 * one after the other are alike, so what one has that the other has not says more than both do.
 */

import { remembered } from "../../remember.ts";

/** Words that are not 0. */
export interface Words {
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

/** Sets as they are found; those that are found one after the other are alike. A class, so that all are of one kind for the engine too, whatever found them. */
export class FoundClasses implements Classes {
  readonly count: number;
  readonly rules: number;
  readonly heads: Uint32Array;
  readonly places: Uint16Array;
  readonly bits: Uint32Array;
  /** For each set one that was found before it, and is much like it; of the first one itself. */
  readonly near: Uint32Array;

  constructor(rules: number, { heads, places, bits }: Words, near: Uint32Array) {
    [this.count, this.rules] = [heads.length - 1, rules];
    [this.heads, this.places, this.bits, this.near] = [heads, places, bits, near];
  }
}

/** Behind the place of every word. */
const NONE = 0x10000;

const larger = <T extends Uint32Array | Int32Array | Uint16Array>(into: T, from: T): T => {
  into.set(from);
  return into;
};

/** Sets that grow in number, each once: a hash table, open addressing. */
export class Sets {
  count = 0;
  readonly #rules: number;
  #heads: Uint32Array;
  #places: Uint16Array;
  #bits: Uint32Array;
  #near: Uint32Array;
  #hashes: Int32Array;
  /** Numbers plus 1, 0 when free; at most half of them are in use. */
  #slots: Int32Array;
  /** The one found last. */
  #last = 0;

  /** @param expected how many there will be, about */
  constructor(rules: number, expected = 0) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(expected, 16)));
    this.#rules = rules;
    [this.#heads, this.#near, this.#hashes] = [new Uint32Array(size), new Uint32Array(size), new Int32Array(size)];
    [this.#places, this.#bits] = [new Uint16Array(4 * size), new Uint32Array(4 * size)];
    this.#slots = new Int32Array(2 * size);
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
    const words = {
      heads: this.#heads.subarray(0, this.count + 1),
      places: this.#places.subarray(0, end),
      bits: this.#bits.subarray(0, end),
    };
    return new FoundClasses(this.#rules, words, this.#near.subarray(0, this.count));
  }
}

const mixed = (hash: number, place: number, bits: number): number => {
  const h = Math.imul(hash ^ bits, 0x9e3779b1) + Math.imul(place + 1, 0x85ebca6b);
  return h ^ (h >>> 15);
};

export const wordsFor = (rules: number): number => Math.ceil(rules / 32);
export const bit = (rule: number): number => (1 << (31 - (rule & 31))) >>> 0;

/** The same classes, of some rules alone, so there may be equal ones. @param some one class: these rules */
export function within({ count, rules, near, ...all }: FoundClasses, some: Classes): FoundClasses {
  const mask = new Uint32Array(wordsFor(rules));
  for (let i = some.heads[0]; i < some.heads[1]; i++) mask[some.places[i]] = some.bits[i];
  const [heads, places, bits] = [new Uint32Array(count + 1), all.places.slice(), all.bits.slice()];
  let end = 0;
  for (let set = 0; set < count; set++) {
    for (let i = all.heads[set]; i < all.heads[set + 1]; i++) {
      const common = all.bits[i] & mask[all.places[i]];
      if (common === 0) continue;
      places[end] = all.places[i];
      bits[end++] = common;
    }
    heads[set + 1] = end;
  }
  return new FoundClasses(rules, { heads, places: places.subarray(0, end), bits: bits.subarray(0, end) }, near);
}

/** Some of the sets, each near the one before it. */
export function chosen({ rules, ...all }: Classes, numbers: readonly number[]): FoundClasses {
  const heads = new Uint32Array(numbers.length + 1);
  for (const [i, set] of numbers.entries()) heads[i + 1] = heads[i] + all.heads[set + 1] - all.heads[set];
  const [places, bits] = [new Uint16Array(heads[numbers.length]), new Uint32Array(heads[numbers.length])];
  for (const [i, set] of numbers.entries()) {
    places.set(all.places.subarray(all.heads[set], all.heads[set + 1]), heads[i]);
    bits.set(all.bits.subarray(all.heads[set], all.heads[set + 1]), heads[i]);
  }
  const near = Uint32Array.from(numbers, (_, i) => Math.max(0, i - 1));
  return new FoundClasses(rules, { heads, places, bits }, near);
}

/** Which sets have a rule. */
export interface Holders {
  /** Where in `sets` those of each rule start, and where the last ones end. */
  readonly heads: Uint32Array;
  readonly sets: Uint32Array;
  /** Rules that all sets have, all words; they are not among the others. */
  readonly everywhere: Uint32Array;
}

/** What a merge needs to know of one side: the same for every other side. */
export const holdersOf: (classes: Classes) => Holders = remembered(findHolders);

function findHolders({ count, rules, heads, places, bits }: Classes): Holders {
  const words = wordsFor(rules);
  const [everywhere, filled] = [new Uint32Array(words).fill(0xffffffff), new Uint32Array(words)];
  const end = heads[count];
  for (let i = 0; i < end; i++) {
    everywhere[places[i]] &= bits[i];
    filled[places[i]]++;
  }
  for (let w = 0; w < words; w++) if (filled[w] < count) everywhere[w] = 0;
  // Counted one place further on, summed up, and moved on by what is stored: a counting sort.
  const own = new Uint32Array(32 * words + 2);
  for (let i = 0; i < end; i++)
    for (let rest = bits[i] & ~everywhere[places[i]]; rest !== 0; rest ^= bit(Math.clz32(rest)))
      own[32 * places[i] + Math.clz32(rest) + 2]++;
  for (let rule = 2; rule < own.length; rule++) own[rule] += own[rule - 1];
  const sets = new Uint32Array(own[own.length - 1]);
  for (let set = 0; set < count; set++)
    for (let i = heads[set]; i < heads[set + 1]; i++)
      for (let rest = bits[i] & ~everywhere[places[i]]; rest !== 0; rest ^= bit(Math.clz32(rest)))
        sets[own[32 * places[i] + Math.clz32(rest) + 1]++] = set;
  return { heads: own, sets, everywhere };
}

/** Of each set how it differs from that near it: the rules that only one of the two has. */
export const changesOf: (classes: FoundClasses) => Words = remembered(findChanges);

function findChanges({ count, heads, places, bits, near }: FoundClasses): Words {
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
  return { heads: own.heads, places: own.places.subarray(0, end), bits: own.bits.subarray(0, end) };
}
