/**
 * `blocks` (blocks.ts) that change in place: what a program reads is the structure drawn there; the host keeps the
 * routes as a trie beside it (prefix-trie.ts, prefix-trie6.ts), and of each level which cells make which block (block-store.ts).
 *
 * A change of prefix P: the trie first. Then from the root down to the level where P ends, the block that holds P's bits is
 * written anew with one cell changed; there, each cell inside P is built from the routes around and inside it. Blocks are
 * interned from the bottom up, so what is equal stays one; the store into the root comes last, and makes all of it seen at once.
 * What nobody points to any more is used again.
 *
 *   change of 10.1.2.0/24 in 20-4-8      root (2^20 cells)          cell 0x0a010 <- new block, last of all
 *                                          `- level 1 (16 cells)    copy of the old with cell 2 <- new block
 *                                               `- level 2 (256)    all 10.1.2.0/24's, or what longer routes say
 *
 * Because every block is what a build would make of the same routes, and is shared as a build would share it, a structure
 * that has seen any changes answers as a new one and has as many blocks.
 *
 * A prefix longer than the levels reach, values wider than the last level's cells, more blocks than a cell can number: then
 * `update` says so, and whoever owns the structure builds another (blocks-table.ts).
 */

import { BlockStore, type Cells, cellsOf, type Memory, PADDING } from "./block-store.ts";
import { BLOCKS, type BlockShape } from "./blocks.ts";
import type { Node, Trie } from "./trie.ts";

/** The structure cannot hold a change: another must be built. */
export class Outgrown extends Error {}

/** What routes' values, small numbers, stand for: no two for the same, 0 for 0. It is the owner's. */
export interface ValueTable {
  /** Where they stand in memory, u32s by number. May change: then `moveValues`. */
  readonly offset: number;
  at(number: number): number;
}

const HEADER_BYTES = 256;
export const MOST_LEVELS = (HEADER_BYTES - BLOCKS.LEVEL) / BLOCKS.LEVEL_BYTES;

export class UpdatableBlocks<Address = number> {
  /** Of the header in memory. */
  readonly base: number;
  readonly shape: BlockShape;
  readonly #memory: Memory;
  readonly #trie: Trie<Address>;
  /** Null: the routes' values are what look-ups give. */
  readonly #values: ValueTable | null;
  /** Of levels 1 and up; the root stands alone. */
  readonly #stores: BlockStore[] = [];
  readonly #rootBytes: number;
  #rootOffset = 0;
  readonly #last: number;
  /** Bits before and behind each level. */
  readonly #ends: readonly number[];
  /** First number that a cell of each level cannot hold. */
  readonly #limits: readonly number[];
  /** The block of each level that is being written. */
  readonly #scratch: readonly Uint32Array[];
  /** Of each level: value -> the block whose addresses all have it, as long as there is one; and the way back. */
  readonly #uniform: readonly { readonly block: Map<number, number>; readonly value: Map<number, number> }[];
  #rootCells: Cells | null = null;
  /** One cell for the root. */
  readonly #one = new Uint32Array(1);
  /** Where the levels were when the header was written. */
  readonly #written: number[];

  /**
   * @param trie the routes; changed before each `update`
   * @param shape whose values stand in the last level's cells
   * @param blocks that each level will have about, for its first place
   * @param values of the routes; where the shape is not indirect, cells hold what they stand for
   * @throws Outgrown when the shape cannot hold the routes, MemoryError; it holds no memory then
   */
  constructor(
    memory: Memory,
    trie: Trie<Address>,
    shape: BlockShape,
    blocks: readonly number[] = [],
    values: ValueTable | null = null,
  ) {
    const { levels } = shape;
    if ((shape.indirect && values === null) || levels.length > MOST_LEVELS)
      throw new RangeError("not a shape that can change");
    this.#values = values;
    this.#uniform = levels.map(() => ({ block: new Map(), value: new Map() }));
    this.#memory = memory;
    this.#trie = trie;
    this.shape = shape;
    this.#last = levels.length - 1;
    this.#ends = levels.map((_, k) => levels.slice(0, k + 1).reduce((sum, { stride }) => sum + stride, 0));
    this.#limits = levels.map(({ cellBytes }) => 2 ** (8 * cellBytes));
    this.#written = levels.map(() => 0);
    this.#scratch = levels.map(({ stride }, k) => new Uint32Array(k === 0 ? 0 : 1 << stride));
    this.base = memory.allocate(HEADER_BYTES);
    this.#rootBytes = align(levels[0].cellBytes * 2 ** levels[0].stride + PADDING);
    try {
      this.#rootOffset = memory.allocate(this.#rootBytes);
      for (const [i, { stride, cellBytes }] of levels.slice(1).entries())
        this.#stores.push(new BlockStore(memory, stride, cellBytes, blocks[i + 1] ?? 0));
      this.#fillRoot(0, 0, trie.root, 0);
    } catch (error) {
      this.dispose();
      throw error;
    }
    this.#writeShape();
  }

  /** Bits that the levels look at: no longer prefix fits. */
  get bits(): number {
    return this.#ends[this.#last];
  }

  /** Bytes that it holds of the memory, places that await blocks included. */
  get bytes(): number {
    return this.#stores.reduce((sum, { bytes }) => sum + bytes, HEADER_BYTES + this.#rootBytes);
  }

  /** Blocks of each level: as many as a build would have. */
  get blocks(): number[] {
    return [1, ...this.#stores.map(({ used }) => used)];
  }

  /**
   * Makes the structure answer as the trie does inside a prefix whose route came, went or has another value.
   * @param node of the trie that holds the prefix's route, or all routes inside it; 0: there is none
   * @param inherited value of the next shorter route, 0: none
   * @throws Outgrown, MemoryError; then no look-up sees anything changed, and before another update there must be a `recount`
   */
  update(address: Address, length: number, node: Node, inherited: number): void {
    if (length > this.bits) throw new Outgrown();
    const { stride } = this.shape.levels[0];
    const first = this.#trie.bits(address, 0, stride);
    if (length > stride) {
      const below = this.#root[this.#rootCell(first)];
      this.#one[0] = this.#check(0, this.#change(1, below, address, length, node, inherited));
      this.#publish(this.#one, first);
    } else {
      this.#fillRoot(first, length, node, inherited);
    }
  }

  /** @param first of the root's cells that a prefix of this length has */
  #fillRoot(first: number, length: number, node: Node, inherited: number): void {
    const cells = new Uint32Array(2 ** (this.shape.levels[0].stride - length));
    this.#fill(0, cells, node, inherited, length, 0, cells.length);
    this.#publish(cells, first);
  }

  /** Where a root's cell stands: one of 16 bits of IPv6 is read as the bytes lie (blocks.ts). */
  #rootCell(i: number): number {
    return this.#trie.family === 6 && this.shape.levels[0].stride === 16 ? ((i & 255) << 8) | (i >>> 8) : i;
  }

  /** Tells programs where the values are now. */
  moveValues(): void {
    const values = this.shape.indirect ? this.#values!.offset - this.base : 0;
    new DataView(this.#memory.buffer as ArrayBuffer).setUint32(this.base + BLOCKS.VALUES, values >>> 0, true);
  }

  /**
   * Sets right what an update that could not end has left: uses of blocks, counted anew from the root's cells down, and where levels are
   * that have moved.
   */
  recount(): void {
    this.#writeOffsets();
    for (const [i, store] of this.#stores.entries()) {
      const gone = store.recount((use) => {
        if (i === 0) for (const cell of this.#root) use(cell);
        else this.#stores[i - 1].forEachCell(use);
      });
      for (const block of gone) this.#forgetUniform(i + 1, block);
    }
  }

  /** Gives all memory back. */
  dispose(): void {
    for (const store of this.#stores) store.dispose();
    if (this.#rootOffset !== 0) this.#memory.free(this.#rootOffset, this.#rootBytes);
    this.#memory.free(this.base, HEADER_BYTES);
  }

  /** Good until the memory grows. */
  get #root(): Cells {
    const { buffer } = this.#memory;
    if (this.#rootCells?.buffer === buffer) return this.#rootCells;
    const { cellBytes, stride } = this.shape.levels[0];
    this.#rootCells = cellsOf(buffer, this.#rootOffset, cellBytes, 2 ** stride);
    return this.#rootCells;
  }

  /** The root's cells from `first` on: what look-ups see. Their old blocks lose a use. */
  #publish(cells: Uint32Array, first: number): void {
    this.#writeOffsets();
    const root = this.#root;
    const isTree = this.#last > 0;
    for (let i = 0; i < cells.length; i++) {
      const at = this.#rootCell(first + i);
      const old = root[at];
      root[at] = cells[i];
      if (isTree && this.#isBuilt) this.#release(1, old);
    }
    this.#isBuilt = true;
  }

  /** False until the root's cells point at blocks. */
  #isBuilt = false;

  /** A use of the block that is like `block` of level k but for the prefix. @param length beyond the bits before the level */
  #change(k: number, block: number, address: Address, length: number, node: Node, inherited: number): number {
    const { stride } = this.shape.levels[k];
    const store = this.#stores[k - 1];
    const scratch = this.#scratch[k];
    const at = block << stride;
    const { cells } = store;
    for (let i = 0; i < scratch.length; i++) scratch[i] = cells[at + i];
    const end = this.#ends[k];
    const first = this.#trie.bits(address, end - stride, stride);
    if (length > end) {
      scratch[first] = this.#change(k + 1, scratch[first], address, length, node, inherited);
      this.#check(k, scratch[first]);
      return this.#intern(k, scratch, first, 1);
    }
    const count = 1 << (end - length);
    this.#fill(k, scratch, node, inherited, length, first, count);
    return this.#intern(k, scratch, first, count);
  }

  /**
   * Fills cells of level k as the routes of a range want them; each cell owns a use of its block.
   * @param node that holds the range's routes, all at least `depth` bits long; 0: there are none
   * @param depth bits that the range's addresses share
   */
  #fill(k: number, cells: Uint32Array, node: Node, inherited: number, depth: number, at: number, count: number): void {
    if (node === 0) {
      this.#same(k, cells, inherited, at, count);
    } else if (count === 1) {
      cells[at] = this.#cell(k, node, inherited);
    } else {
      const trie = this.#trie;
      const half = count >>> 1;
      if (trie.lengthOf(node) === depth) {
        const value = trie.valueOf(node) || inherited;
        this.#fill(k, cells, trie.below(node, 0), value, depth + 1, at, half);
        this.#fill(k, cells, trie.below(node, 1), value, depth + 1, at + half, half);
      } else {
        const bit = trie.bitOf(node, depth);
        this.#fill(k, cells, bit === 0 ? node : 0, inherited, depth + 1, at, half);
        this.#fill(k, cells, bit === 1 ? node : 0, inherited, depth + 1, at + half, half);
      }
    }
  }

  #same(k: number, cells: Uint32Array, value: number, at: number, count: number): void {
    const cell = this.#cell(k, 0, value);
    for (let i = at; i < at + count; i++) cells[i] = cell;
    if (k < this.#last) this.#stores[k].use(cell, count - 1);
  }

  /** What a cell of level k holds whose range has the routes of `node`. */
  #cell(k: number, node: Node, inherited: number): number {
    if (k < this.#last)
      return this.#check(k, node === 0 ? this.#uniformBlock(k + 1, inherited) : this.#block(k + 1, node, inherited));
    if (node === 0) return this.#leaf(inherited);
    if (this.#trie.lengthOf(node) > this.bits) throw new Outgrown();
    return this.#leaf(this.#trie.valueOf(node) || inherited);
  }

  /** What a cell of the last level holds for a value. */
  #leaf(value: number): number {
    return this.#check(this.#last, this.#values === null || this.shape.indirect ? value : this.#values.at(value));
  }

  /** A use of the block of level k whose addresses all have a value: most of what is between routes. */
  #uniformBlock(k: number, value: number): number {
    const uniform = this.#uniform[k];
    const known = uniform.block.get(value);
    if (known !== undefined) {
      this.#stores[k - 1].use(known);
      return known;
    }
    const made = this.#block(k, 0, value);
    uniform.block.set(value, made);
    uniform.value.set(made, value);
    return made;
  }

  /** A use of the block of level k for a range with the routes of `node`. */
  #block(k: number, node: Node, inherited: number): number {
    const scratch = this.#scratch[k];
    this.#fill(k, scratch, node, inherited, this.#ends[k - 1], 0, scratch.length);
    return this.#intern(k, scratch, 0, scratch.length);
  }

  #check(k: number, cell: number): number {
    if (cell >= this.#limits[k]) throw new Outgrown();
    return cell;
  }

  /** Cells [first, first + count) own a use of their blocks already; an old block has its own, a new one needs all. */
  #intern(k: number, scratch: Uint32Array, first: number, count: number): number {
    const block = this.#stores[k - 1].intern(scratch);
    if (k === this.#last) return block;
    const below = this.#stores[k];
    if (this.#stores[k - 1].isNew(block)) {
      for (let i = 0; i < first; i++) below.use(scratch[i]);
      for (let i = first + count; i < scratch.length; i++) below.use(scratch[i]);
    } else {
      for (let i = first; i < first + count; i++) below.use(scratch[i], -1);
    }
    return block;
  }

  #release(k: number, block: number): void {
    const store = this.#stores[k - 1];
    if (!store.release(block)) return;
    this.#forgetUniform(k, block);
    if (k === this.#last) return;
    const { stride } = this.shape.levels[k];
    const { cells } = store;
    for (let i = block << stride; i < (block + 1) << stride; i++) this.#release(k + 1, cells[i]);
  }

  /** A block of level k is no more. */
  #forgetUniform(k: number, block: number): void {
    const uniform = this.#uniform[k];
    const value = uniform.value.get(block);
    if (value === undefined) return;
    uniform.value.delete(block);
    uniform.block.delete(value);
  }

  #writeShape(): void {
    const view = new DataView(this.#memory.buffer as ArrayBuffer);
    view.setUint32(this.base + BLOCKS.LEVELS, this.shape.levels.length, true);
    this.moveValues();
    this.shape.levels.forEach(({ byte, shift, stride, cellBytes }, k) => {
      const at = this.base + BLOCKS.LEVEL + k * BLOCKS.LEVEL_BYTES;
      view.setUint8(at + BLOCKS.BYTE, byte);
      view.setUint8(at + BLOCKS.SHIFT, shift);
      view.setUint8(at + BLOCKS.STRIDE, stride);
      view.setUint8(at + BLOCKS.LOG2, Math.log2(cellBytes));
    });
  }

  /** Of levels that have moved; from the header on, modulo 2^32, as a level may stand before it. */
  #writeOffsets(): void {
    for (let k = 0; k <= this.#last; k++) {
      const offset = k === 0 ? this.#rootOffset : this.#stores[k - 1].offset;
      if (this.#written[k] === offset) continue;
      this.#written[k] = offset;
      const view = new DataView(this.#memory.buffer as ArrayBuffer);
      view.setUint32(this.base + BLOCKS.LEVEL + k * BLOCKS.LEVEL_BYTES, (offset - this.base) >>> 0, true);
    }
  }
}

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;
