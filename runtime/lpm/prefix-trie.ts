/**
 * The routes of one IPv4 table as a path-compressed binary trie (D. Morrison, "PATRICIA", 1968; Linux's fib_trie is of the
 * same kind): what a look-up structure is mended from when a route comes or goes, and where the routes around and inside a
 * prefix are found. It stands where its owner says: by itself, or in a module's memory, where programs walk it for the few flows
 * that the structure's answer does not settle (FIB_NODE of abi/fib.ts).
 *
 *   node   key, length, value (0: no route, only a fork), below on bit 0, below on bit 1, above, note (the owner's)
 *
 *   10.0.0.0/8 -> 1, 10.1.0.0/16 -> 2, 10.1.128.0/17 -> 3, 10.64.0.0/16 -> 4
 *
 *                10.0.0.0/8 (1)
 *                     | 0
 *                10.0.0.0/9 fork
 *             0 /            \ 1
 *      10.1.0.0/16 (2)     10.64.0.0/16 (4)
 *             \ 1
 *      10.1.128.0/17 (3)
 *
 * A node without a route has two children; one that loses its route and has fewer is taken out. So there are at most twice as
 * many nodes as routes. A node is eight words in a row, one half of a cache line: a million routes make no object, and a step
 * down one miss at most. A prefix that is there is found by a hash, in two: streams of changes ask for little else.
 */

import { FIB_NODE, FIB_NODE_BYTES } from "../abi/fib.ts";
import type { Memory } from "./block-store.ts";
import type { Node, Trie } from "./trie.ts";

export type { Node };

/** Words of a node; `BELOW + bit`: the two arms. Nodes that are free are linked by `ABOVE`. */
const [KEY, LENGTH, VALUE] = [FIB_NODE.key / 4, FIB_NODE.length / 4, FIB_NODE.result / 4];
const [BELOW, ABOVE, NOTE] = [FIB_NODE.below / 4, FIB_NODE.above / 4, FIB_NODE.route / 4];
const LOG2_WORDS = Math.log2(FIB_NODE_BYTES / 4);
const FIRST_NODES = 64;

/** The first `length` bits. */
const maskOf = (length: number): number => (length === 0 ? 0 : -1 << (32 - length));

function hashOf(address: number, length: number): number {
  const hash = Math.imul(address ^ Math.imul(length, 0x9e3779b1), 0x85ebca6b);
  return hash ^ (hash >>> 15);
}

export class PrefixTrie implements Trie<number> {
  readonly family = 4;
  readonly #memory: Memory | null;
  /** Node n from word n << LOG2_WORDS on. */
  #nodes: Uint32Array;
  #offset = 0;
  /** Nodes that have routes, by a hash of their prefixes: open addressing, at most half in use. */
  #slots = new Uint32Array(2 * FIRST_NODES);
  #free: Node = 0;
  /** Nodes from here on were never used. */
  #end = 1;
  #root: Node = 0;
  #size = 0;

  /** @param memory absent: it stands by itself */
  constructor(memory: Memory | null = null) {
    this.#memory = memory;
    this.#nodes = this.#place(FIRST_NODES << LOG2_WORDS);
  }

  /** Routes. */
  get size(): number {
    return this.#size;
  }

  /** Of node 0 in the memory; changes when the trie has outgrown its place. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes that its nodes take. */
  get bytes(): number {
    return this.#nodeWords * 4;
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#memory?.free(this.#offset, this.bytes);
  }

  #nodeWords = 0;

  /** The nodes' words; a memory that grows leaves views of no length behind. */
  get #words(): Uint32Array {
    if (this.#nodes.length === 0) this.#nodes = new Uint32Array(this.#memory!.buffer, this.#offset, this.#nodeWords);
    return this.#nodes;
  }

  #place(words: number): Uint32Array {
    if (this.#memory !== null) this.#offset = this.#memory.allocate(words * 4);
    this.#nodeWords = words;
    if (this.#memory === null) return new Uint32Array(words);
    return new Uint32Array(this.#memory.buffer, this.#offset, words);
  }

  get root(): Node {
    return this.#root;
  }

  keyOf(node: Node): number {
    return this.#words[(node << LOG2_WORDS) + KEY];
  }

  lengthOf(node: Node): number {
    return this.#words[(node << LOG2_WORDS) + LENGTH];
  }

  /** 0: the node has no route. */
  valueOf(node: Node): number {
    return this.#words[(node << LOG2_WORDS) + VALUE];
  }

  below(node: Node, bit: number): Node {
    return this.#words[(node << LOG2_WORDS) + BELOW + bit];
  }

  bitOf(node: Node, depth: number): number {
    return (this.keyOf(node) >>> (31 - depth)) & 1;
  }

  bits(address: number, from: number, count: number): number {
    return (address << from) >>> (32 - count);
  }

  writeKey(node: Node, words: Uint32Array, at: number): void {
    words[at] = this.keyOf(node);
  }

  /** The node of exactly this prefix, if it has a route. */
  find(address: number, length: number): Node {
    const words = this.#words;
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = hashOf(address, length) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const at = slots[slot] << LOG2_WORDS;
      if (words[at + KEY] === address && words[at + LENGTH] === length) return slots[slot];
    }
    return 0;
  }

  /** The route of the longest prefix that holds the address, at most `longest` bits long. */
  covering(address: number, longest = 32): Node {
    const words = this.#words;
    let node = this.#root;
    let best: Node = 0;
    while (node !== 0) {
      const at = node << LOG2_WORDS;
      const own = words[at + LENGTH];
      if (own > longest || ((words[at + KEY] ^ address) & maskOf(own)) !== 0) break;
      if (words[at + VALUE] !== 0) best = node;
      if (own === 32) break;
      node = words[at + BELOW + ((address >>> (31 - own)) & 1)];
    }
    return best;
  }

  /** The next shorter route around a node. */
  coverOf(node: Node): Node {
    const words = this.#words;
    let above = words[(node << LOG2_WORDS) + ABOVE];
    while (above !== 0 && words[(above << LOG2_WORDS) + VALUE] === 0) above = words[(above << LOG2_WORDS) + ABOVE];
    return above;
  }

  /** Gives a node's route another value. @param value not 0 */
  setValue(node: Node, value: number): void {
    this.#words[(node << LOG2_WORDS) + VALUE] = value;
  }

  /** What the owner has noted of a route. */
  noteOf(node: Node): number {
    return this.#words[(node << LOG2_WORDS) + NOTE];
  }

  setNote(node: Node, note: number): void {
    this.#words[(node << LOG2_WORDS) + NOTE] = note;
  }

  /** Sets the value of a prefix, which may be there. @param value not 0 */
  set(address: number, length: number, value: number): Node {
    const words = this.#words;
    let parent: Node = 0;
    let node = this.#root;
    while (node !== 0) {
      const at = node << LOG2_WORDS;
      const own = words[at + LENGTH];
      if (own >= length || ((words[at + KEY] ^ address) & maskOf(own)) !== 0) break;
      parent = node;
      node = words[at + BELOW + ((address >>> (31 - own)) & 1)];
    }
    if (node !== 0 && this.lengthOf(node) === length && this.keyOf(node) === address) {
      const isFork = this.valueOf(node) === 0;
      this.setValue(node, value);
      if (isFork) this.#enter(node);
      return node;
    }
    const common = node === 0 ? length : Math.min(Math.clz32(this.keyOf(node) ^ address), this.lengthOf(node), length);
    this.#reserve(common === length ? 1 : 2);
    const made = this.#create(address, length, value);
    this.#enter(made);
    if (node === 0) {
      this.#hang(parent, made);
      return made;
    }
    if (common === length) {
      this.#hang(parent, made);
      this.#hang(made, node);
      return made;
    }
    const fork = this.#create((address & maskOf(common)) >>> 0, common, 0);
    this.#hang(parent, fork);
    this.#hang(fork, node);
    this.#hang(fork, made);
    return made;
  }

  /**
   * Takes away the route of a node that has one.
   * @returns the node that then holds all routes inside the prefix: itself, or one below; 0: there are none
   */
  delete(node: Node): Node {
    this.#forget(node);
    this.setValue(node, 0);
    const parent = this.#words[(node << LOG2_WORDS) + ABOVE];
    const inside = this.below(node, 0) || this.below(node, 1);
    if (!this.#splice(node)) return node;
    if (parent !== 0 && this.valueOf(parent) === 0) this.#splice(parent);
    return inside;
  }

  /** The routes whose next shorter one is this node's. */
  forEachInside(node: Node, visit: (inside: Node) => void): void {
    for (let bit = 0; bit < 2; bit++) {
      const child = this.below(node, bit);
      if (child === 0) continue;
      if (this.valueOf(child) !== 0) visit(child);
      else this.forEachInside(child, visit);
    }
  }

  /** All routes, a prefix before those inside it, ascending. */
  forEach(visit: (node: Node) => void, node: Node = this.#root): void {
    if (node === 0) return;
    if (this.valueOf(node) !== 0) visit(node);
    this.forEach(visit, this.below(node, 0));
    this.forEach(visit, this.below(node, 1));
  }

  /** A node has got a route. */
  #enter(node: Node): void {
    if (2 * ++this.#size > this.#slots.length) {
      const nodes = this.#slots.filter((each) => each !== 0);
      this.#slots = new Uint32Array(2 * this.#slots.length);
      for (const each of nodes) this.#fillSlot(each);
    }
    this.#fillSlot(node);
  }

  #fillSlot(node: Node): void {
    const mask = this.#slots.length - 1;
    let slot = this.#homeOf(node);
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = node;
  }

  #homeOf = (node: Node): number => hashOf(this.keyOf(node), this.lengthOf(node)) & (this.#slots.length - 1);

  /** A node loses its route. Those behind it that may stand in its slot move up (Knuth 6.4, algorithm R). */
  #forget(node: Node): void {
    this.#size--;
    const slots = this.#slots;
    const mask = slots.length - 1;
    let gap = this.#homeOf(node);
    while (slots[gap] !== node) gap = (gap + 1) & mask;
    for (let slot = (gap + 1) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      if (((slot - this.#homeOf(slots[slot])) & mask) < ((slot - gap) & mask)) continue;
      slots[gap] = slots[slot];
      gap = slot;
    }
    slots[gap] = 0;
  }

  /** Takes out a node without a route and with a free arm. @returns whether it did */
  #splice(node: Node): boolean {
    const [zero, one] = [this.below(node, 0), this.below(node, 1)];
    if (zero !== 0 && one !== 0) return false;
    const parent = this.#words[(node << LOG2_WORDS) + ABOVE];
    const child = zero || one;
    if (parent === 0) this.#root = child;
    else this.#words[(parent << LOG2_WORDS) + BELOW + this.#arm(parent, node)] = child;
    if (child !== 0) this.#words[(child << LOG2_WORDS) + ABOVE] = parent;
    this.#words[(node << LOG2_WORDS) + ABOVE] = this.#free;
    this.#free = node;
    return true;
  }

  #hang(parent: Node, child: Node): void {
    this.#words[(child << LOG2_WORDS) + ABOVE] = parent;
    if (parent === 0) this.#root = child;
    else this.#words[(parent << LOG2_WORDS) + BELOW + this.#arm(parent, child)] = child;
  }

  /** On which arm of a node what is inside it hangs. */
  #arm(node: Node, inside: Node): number {
    return (this.keyOf(inside) >>> (31 - this.lengthOf(node))) & 1;
  }

  /** Room for so many nodes more. */
  #reserve(nodes: number): void {
    const words = this.#words;
    let missing = nodes;
    for (let node = this.#free; node !== 0 && missing > 0; node = words[(node << LOG2_WORDS) + ABOVE]) missing--;
    if ((this.#end + missing) << LOG2_WORDS > words.length) this.#grow();
  }

  #create(key: number, length: number, value: number): Node {
    let node = this.#free;
    if (node !== 0) this.#free = this.#words[(node << LOG2_WORDS) + ABOVE];
    else node = this.#end++;
    const at = node << LOG2_WORDS;
    this.#words.fill(0, at, at + (1 << LOG2_WORDS));
    this.#words[at + KEY] = key;
    this.#words[at + LENGTH] = length;
    this.#words[at + VALUE] = value;
    return node;
  }

  #grow(): void {
    const [offset, length] = [this.#offset, this.#nodeWords];
    const larger = this.#place(length * 2);
    larger.set(this.#memory === null ? this.#nodes : new Uint32Array(this.#memory.buffer, offset, length));
    this.#memory?.free(offset, length * 4);
    this.#nodes = larger;
  }
}
