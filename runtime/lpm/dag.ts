/**
 * What a table says, as a binary decision diagram: the leaf-pushed binary trie of its prefixes in which equal subtrees
 * are one node (hash-consed; R. Bryant, "Graph-Based Algorithms for Boolean Function Manipulation", 1986). It is the
 * common ground of everything that shares blocks by content: two blocks of any stride at the same depth are equal
 * exactly when their nodes are, so counting the nodes of a depth tells what a stride there would cost before a block is built.
 *
 *   id < values.length    a leaf: the answer is values[id], whatever the remaining bits; leaf 0 is "no match"
 *   otherwise             a node: low[id - values.length] when the next bit is 0, high[...] when it is 1
 *
 * Two equal leaves below one node fold into the leaf. Equal inner nodes do not: each level consumes one bit.
 *
 * Example, 3 bits: 0/1 -> A, 01/2 -> B, 11/2 -> B, no default. Leaf 1 is A, leaf 2 is B:
 *
 *                root                     0 ..  -> node 3 = (1, 2)     00: A   01: B
 *               0/  \1                    1 ..  -> node 4 = (0, 2)     10: no match   11: B
 *          (A, B)   (-, B)                root  =  node 5 = (3, 4)     depths 0, 1, 2 have 1, 2 and 3 different ids
 *
 * With 10/2 -> A added, node 4 would be (1, 2) too: the same as node 3, and one block would serve both.
 */
import { type PrefixColumns, sortColumns, wordsOf } from "./columns.ts";

export interface Dag {
  /** The distinct values; `values[0]` is 0. */
  readonly values: Uint32Array;
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly root: number;
  /** Depth from which on there are only leaves: the length of the longest prefix. */
  readonly bits: number;
}

export function buildDag(unsorted: PrefixColumns): Dag {
  const columns = sortColumns(unsorted);
  const { lengths, words } = columns;
  const { values, leafOf } = internValues(columns.values);
  const nodes = store;
  nodes.begin(values.length);
  const width = wordsOf(columns.family);
  const bit = (i: number, depth: number): number => (words[i * width + (depth >>> 5)] >>> (31 - (depth & 31))) & 1;

  /** The node for the prefixes [from, to), which agree in their first `depth` bits and are at least that long. */
  const subtree = (from: number, to: number, depth: number, inherited: number): number => {
    while (from < to && lengths[from] === depth) inherited = leafOf[from++];
    if (from === to) return inherited;
    if (from + 1 === to) return chain(from, depth, inherited);
    const middle = firstWithBit(from, to, depth);
    return nodes.of(subtree(from, middle, depth + 1, inherited), subtree(middle, to, depth + 1, inherited));
  };
  /** One prefix alone: a path of nodes, built from its end. */
  const chain = (i: number, depth: number, inherited: number): number => {
    let id = leafOf[i];
    for (let d = lengths[i] - 1; d >= depth; d--) id = bit(i, d) ? nodes.of(inherited, id) : nodes.of(id, inherited);
    return id;
  };
  const firstWithBit = (from: number, to: number, depth: number): number => {
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (bit(middle, depth)) to = middle;
      else from = middle + 1;
    }
    return from;
  };

  const root = subtree(0, lengths.length, 0, 0);
  let bits = 0;
  for (const length of lengths) bits = Math.max(bits, length);
  return { values, ...nodes.take(), root, bits };
}

/** Distinct values in order of appearance, after 0, and for each prefix the index of its value. */
function internValues(of: Uint32Array): { values: Uint32Array; leafOf: Int32Array } {
  const index = new Map<number, number>([[0, 0]]);
  const leafOf = new Int32Array(of.length);
  for (let i = 0; i < of.length; i++) {
    let leaf = index.get(of[i]);
    if (leaf === undefined) {
      leaf = index.size;
      index.set(of[i], leaf);
    }
    leafOf[i] = leaf;
  }
  return { values: Uint32Array.from(index.keys()), leafOf };
}

/** Nodes by content: an open-addressing hash table over two columns, which serve one table after the other: a network may have thousands. */
class NodeStore {
  #low = new Int32Array(1 << 10);
  #high = new Int32Array(1 << 10);
  #count = 0;
  /** Node numbers plus 1, 0 when free; twice as long as the columns, so at most half full. */
  #slots = new Int32Array(1 << 11);
  #leaves = 0;

  begin(leaves: number): void {
    this.#leaves = leaves;
    this.#count = 0;
    this.#slots.fill(0);
  }

  /** The nodes since `begin`: of a small table copied, of a large one given away. */
  take(): { readonly low: Int32Array; readonly high: Int32Array } {
    const [low, high] = [this.#low.subarray(0, this.#count), this.#high.subarray(0, this.#count)];
    if (this.#low.length <= MOST_KEPT) return { low: low.slice(), high: high.slice() };
    [this.#low, this.#high] = [new Int32Array(MOST_KEPT), new Int32Array(MOST_KEPT)];
    this.#slots = new Int32Array(2 * MOST_KEPT);
    return { low, high };
  }

  of(low: number, high: number): number {
    if (low === high && low < this.#leaves) return low;
    const mask = this.#slots.length - 1;
    let slot = hash(low, high) & mask;
    for (let node = this.#slots[slot]; node !== 0; node = this.#slots[slot]) {
      if (this.#low[node - 1] === low && this.#high[node - 1] === high) return this.#leaves + node - 1;
      slot = (slot + 1) & mask;
    }
    if (this.#count === this.#low.length) {
      this.#grow();
      return this.of(low, high);
    }
    this.#low[this.#count] = low;
    this.#high[this.#count] = high;
    this.#slots[slot] = ++this.#count;
    return this.#leaves + this.#count - 1;
  }

  #grow(): void {
    const length = this.#low.length * 2;
    const [low, high] = [new Int32Array(length), new Int32Array(length)];
    low.set(this.#low);
    high.set(this.#high);
    [this.#low, this.#high, this.#slots] = [low, high, new Int32Array(length * 2)];
    for (let node = 0; node < this.#count; node++) {
      let slot = hash(low[node], high[node]) & (length * 2 - 1);
      while (this.#slots[slot] !== 0) slot = (slot + 1) & (length * 2 - 1);
      this.#slots[slot] = node + 1;
    }
  }
}

/** Nodes, and ids, that the columns kept from table to table have place for. */
const MOST_KEPT = 1 << 14;
const store = new NodeStore();

/** Multiplicative (Knuth 6.4), with the well-mixed upper bits folded down to where the mask looks. */
function hash(low: number, high: number): number {
  const h = Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b);
  return h ^ (h >>> 15);
}

/**
 * The different ids at a depth, each once, in order of first appearance; leaves stand for themselves at any depth. It starts at the
 * root and goes down bit by bit, in columns that serve all depths, and all small tables: many are built one after the other, so only
 * one descent is under way at a time.
 */
export class Descent {
  readonly #dag: Dag;
  #here: Int32Array;
  #next: Int32Array;
  /** An id is marked when it points at an entry of `next` that holds it: no clearing between depths. */
  readonly #seen: Int32Array;
  #count = 1;

  constructor(dag: Dag) {
    const ids = dag.values.length + dag.low.length;
    this.#dag = dag;
    // Whatever a table before has left in them: a mark counts only where `next` agrees.
    const column = (i: number): Int32Array => (ids <= MOST_KEPT ? descending[i] : new Int32Array(ids));
    [this.#here, this.#next, this.#seen] = [column(0), column(1), column(2)];
    this.#here[0] = dag.root;
  }

  /** Until the next `down`. */
  get ids(): Int32Array {
    return this.#here.subarray(0, this.#count);
  }

  get count(): number {
    return this.#count;
  }

  down(bits: number): void {
    const { low, high, values } = this.#dag;
    const leaves = values.length;
    const seen = this.#seen;
    for (let bit = 0; bit < bits; bit++) {
      const [here, next] = [this.#here, this.#next];
      let count = 0;
      const add = (id: number): void => {
        if (seen[id] < count && next[seen[id]] === id) return;
        seen[id] = count;
        next[count++] = id;
      };
      for (let i = 0; i < this.#count; i++) {
        const id = here[i];
        if (id < leaves) add(id);
        else {
          add(low[id - leaves]);
          add(high[id - leaves]);
        }
      }
      this.#count = count;
      [this.#here, this.#next] = [next, here];
    }
  }
}

const descending = [0, 1, 2].map(() => new Int32Array(MOST_KEPT));

/** How many different ids each depth 0 .. bits has. */
export function census(dag: Dag): Uint32Array {
  const descent = new Descent(dag);
  return Uint32Array.from({ length: dag.bits + 1 }, (_, depth) => {
    if (depth > 0) descent.down(1);
    return descent.count;
  });
}
