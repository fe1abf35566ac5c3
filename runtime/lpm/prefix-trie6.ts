/**
 * The twin of prefix-trie.ts for keys of up to 128 bits: prefixes of IPv6, and of any wide key, as a path-compressed binary trie.
 *
 *   node   key (four words, most significant first), length, value (0: only a fork), below on bit 0, below on bit 1, above, note
 *
 * A key is four words in host order, bit d of it bit 31 - d % 32 of word d / 32 (columns.ts).
 */
import type { Node, Trie } from "./trie.ts";

export type Key6 = Uint32Array;

const [KEY, LENGTH, VALUE, BELOW, ABOVE, NOTE] = [0, 4, 5, 6, 8, 9];
const WORDS = 10;

/** Four words of a key. */
export const key6 = (value: bigint): Key6 =>
  Uint32Array.from([96n, 64n, 32n, 0n], (shift) => Number((value >> shift) & 0xffff_ffffn));

const bitAt = (words: Uint32Array, at: number, depth: number): 0 | 1 =>
  ((words[at + (depth >>> 5)] >>> (31 - (depth & 31))) & 1) as 0 | 1;

/** Bits that two keys have in common at the front, at most `most`. */
function common(a: Uint32Array, at: number, b: Uint32Array, bt: number, most: number): number {
  for (let w = 0; w < 4 && 32 * w < most; w++) {
    const different = a[at + w] ^ b[bt + w];
    if (different !== 0) return Math.min(most, 32 * w + Math.clz32(different));
  }
  return most;
}

export class PrefixTrie6 implements Trie<Key6> {
  readonly family = 6;
  /** Node n from word n * WORDS on. */
  #words = new Uint32Array(64 * WORDS);
  #free: Node = 0;
  /** Nodes from here on were never used. */
  #end = 1;
  #root: Node = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get root(): Node {
    return this.#root;
  }

  keyOf(node: Node): Key6 {
    return this.#words.slice(node * WORDS, node * WORDS + 4);
  }

  lengthOf(node: Node): number {
    return this.#words[node * WORDS + LENGTH];
  }

  valueOf(node: Node): number {
    return this.#words[node * WORDS + VALUE];
  }

  below(node: Node, bit: number): Node {
    return this.#words[node * WORDS + BELOW + bit];
  }

  bitOf(node: Node, depth: number): 0 | 1 {
    return bitAt(this.#words, node * WORDS, depth);
  }

  bits(address: Key6, from: number, count: number): number {
    let value = 0;
    for (let d = from; d < from + count; d++) value = value * 2 + bitAt(address, 0, d);
    return value;
  }

  find(address: Key6, length: number): Node {
    const words = this.#words;
    let node = this.#root;
    while (node !== 0) {
      const at = node * WORDS;
      const own = words[at + LENGTH];
      if (own >= length)
        return own === length && words[at + VALUE] !== 0 && common(words, at, address, 0, length) === length ? node : 0;
      node = words[at + BELOW + bitAt(address, 0, own)];
    }
    return 0;
  }

  /** The longest prefix that holds the address, at most `longest` bits long. */
  covering(address: Key6, longest = 128): Node {
    const words = this.#words;
    let best: Node = 0;
    for (let node = this.#root; node !== 0; ) {
      const at = node * WORDS;
      const own = words[at + LENGTH];
      if (own > longest || common(words, at, address, 0, own) < own) break;
      if (words[at + VALUE] !== 0) best = node;
      if (own === 128) break;
      node = words[at + BELOW + bitAt(address, 0, own)];
    }
    return best;
  }

  coverOf(node: Node): Node {
    let above = this.#words[node * WORDS + ABOVE];
    while (above !== 0 && this.valueOf(above) === 0) above = this.#words[above * WORDS + ABOVE];
    return above;
  }

  setValue(node: Node, value: number): void {
    this.#words[node * WORDS + VALUE] = value;
  }

  noteOf(node: Node): number {
    return this.#words[node * WORDS + NOTE];
  }

  setNote(node: Node, note: number): void {
    this.#words[node * WORDS + NOTE] = note;
  }

  set(address: Key6, length: number, value: number): Node {
    let parent: Node = 0;
    let node = this.#root;
    while (node !== 0) {
      const own = this.lengthOf(node);
      if (own >= length || common(this.#words, node * WORDS, address, 0, own) < own) break;
      parent = node;
      node = this.below(node, bitAt(address, 0, own));
    }
    const shared =
      node === 0 ? 0 : common(this.#words, node * WORDS, address, 0, Math.min(length, this.lengthOf(node)));
    if (node !== 0 && shared === length && this.lengthOf(node) === length) {
      if (this.valueOf(node) === 0) this.#size++;
      this.#words[node * WORDS + VALUE] = value;
      return node;
    }
    this.#size++;
    const made = this.#create(address, length, value);
    if (node === 0) {
      this.#hang(parent, made);
    } else if (shared === length) {
      this.#hang(parent, made);
      this.#hang(made, node);
    } else {
      const fork = this.#create(address, shared, 0);
      this.#hang(parent, fork);
      this.#hang(fork, node);
      this.#hang(fork, made);
    }
    return made;
  }

  delete(node: Node): Node {
    this.#size--;
    this.#words[node * WORDS + VALUE] = 0;
    const [zero, one] = [this.below(node, 0), this.below(node, 1)];
    if (zero !== 0 && one !== 0) return node;
    const parent = this.#words[node * WORDS + ABOVE];
    this.#splice(node);
    if (parent !== 0 && this.valueOf(parent) === 0) this.#splice(parent);
    return zero || one;
  }

  /** The prefixes whose next shorter one is this node's. */
  forEachInside(node: Node, visit: (inside: Node) => void): void {
    for (let bit = 0; bit < 2; bit++) {
      const child = this.below(node, bit);
      if (child === 0) continue;
      if (this.valueOf(child) !== 0) visit(child);
      else this.forEachInside(child, visit);
    }
  }

  forEach(visit: (node: Node) => void, node: Node = this.#root): void {
    if (node === 0) return;
    if (this.valueOf(node) !== 0) visit(node);
    this.forEach(visit, this.below(node, 0));
    this.forEach(visit, this.below(node, 1));
  }

  writeKey(node: Node, words: Uint32Array, at: number): void {
    words.set(this.#words.subarray(node * WORDS, node * WORDS + 4), at);
  }

  /** Takes out a node without a value and with a free arm. */
  #splice(node: Node): void {
    const [zero, one] = [this.below(node, 0), this.below(node, 1)];
    if (zero !== 0 && one !== 0) return;
    const parent = this.#words[node * WORDS + ABOVE];
    const child = zero || one;
    if (parent === 0) this.#root = child;
    else this.#words[parent * WORDS + BELOW + this.#arm(parent, node)] = child;
    if (child !== 0) this.#words[child * WORDS + ABOVE] = parent;
    this.#words[node * WORDS + ABOVE] = this.#free;
    this.#free = node;
  }

  #hang(parent: Node, child: Node): void {
    this.#words[child * WORDS + ABOVE] = parent;
    if (parent === 0) this.#root = child;
    else this.#words[parent * WORDS + BELOW + this.#arm(parent, child)] = child;
  }

  /** On which arm of a node what is inside it hangs. */
  #arm = (node: Node, inside: Node): number => this.bitOf(inside, this.lengthOf(node));

  /** @param length bits of the address that are the key's; the rest are 0 */
  #create(address: Key6, length: number, value: number): Node {
    let node = this.#free;
    if (node !== 0) this.#free = this.#words[node * WORDS + ABOVE];
    else node = this.#end++;
    if ((node + 1) * WORDS > this.#words.length) this.#grow();
    const at = node * WORDS;
    this.#words.fill(0, at, at + WORDS);
    for (let w = 0; w < 4 && 32 * w < length; w++)
      this.#words[at + KEY + w] = length >= 32 * w + 32 ? address[w] : address[w] & (-1 << (32 * w + 32 - length));
    this.#words[at + LENGTH] = length;
    this.#words[at + VALUE] = value;
    return node;
  }

  #grow(): void {
    const larger = new Uint32Array(this.#words.length * 2);
    larger.set(this.#words);
    this.#words = larger;
  }
}
