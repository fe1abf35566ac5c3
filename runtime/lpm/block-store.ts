/**
 * The blocks of one level of a `blocks` structure (blocks.ts) that changes: shared by content, counted, used again.
 *
 *   memory   cells of block 0 | block 1 | ... | block capacity-1          read by programs
 *   host     users of each, 0: free; a hash of its cells; a hash table from cells to block; a stack of free blocks
 *
 * `intern` gives the block that holds certain cells, an old one or a new one; `release` gives a use back. Two blocks are never
 * alike, so there are as many as a build from nothing has. A level that is full moves to a place half as large again.
 */
import type { CellBytes } from "./strides.ts";

/** Where structures that change get their memory from. Views of `buffer` do not survive an `allocate`. */
export interface Memory {
  readonly buffer: ArrayBufferLike;
  /** Zeroed bytes at a multiple of 64. @throws MemoryError when there is no more; nothing is taken then */
  allocate(bytes: number): number;
  free(offset: number, bytes: number): void;
}

export type Cells = Uint8Array | Uint16Array | Uint32Array;
const CELLS = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array } as const;

export const cellsOf = (buffer: ArrayBufferLike, offset: number, cellBytes: CellBytes, length: number): Cells =>
  new CELLS[cellBytes](buffer as ArrayBuffer, offset, length);

/** After the last cell: code that is not specialised reads cells of any width by loads of 4. */
export const PADDING = 64;

export class BlockStore {
  readonly stride: number;
  readonly cellBytes: CellBytes;
  readonly #memory: Memory;
  #offset: number;
  #cells: Cells;
  /** Of each block its users and its hash, side by side: a change reads both. */
  #about: Int32Array;
  #capacity: number;
  /** Block plus 1, 0: free; a power of two of slots, at most half in use. */
  #slots: Int32Array;
  #free: number[] = [];
  #end = 0;
  #used = 0;

  /** @param blocks that it will hold soon */
  constructor(memory: Memory, stride: number, cellBytes: CellBytes, blocks: number) {
    this.#memory = memory;
    this.stride = stride;
    this.cellBytes = cellBytes;
    const capacity = Math.max(16, blocks);
    this.#offset = memory.allocate(this.#bytesOf(capacity));
    this.#cells = cellsOf(memory.buffer, this.#offset, cellBytes, capacity << stride);
    this.#about = new Int32Array(2 * capacity);
    this.#capacity = capacity;
    this.#slots = new Int32Array(slotsFor(capacity));
  }

  /** Of block 0; changes when the level moves. */
  get offset(): number {
    return this.#offset;
  }

  /** Blocks in use. */
  get used(): number {
    return this.#used;
  }

  /** Bytes that it holds of the memory. */
  get bytes(): number {
    return this.#bytesOf(this.#capacity);
  }

  /** The level's cells, of block b from b << stride on. Good until the memory grows. */
  get cells(): Cells {
    if (this.#cells.buffer !== this.#memory.buffer) this.#view(this.#capacity);
    return this.#cells;
  }

  /** One use more of the block with these cells; `fresh` says whether it had none. */
  intern(content: Uint32Array): number {
    const size = 1 << this.stride;
    const hash = hashOf(content, size);
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (let found = this.#slots[slot]; found !== 0; found = this.#slots[slot]) {
      if (this.#about[2 * found - 1] === hash && this.#holds(found - 1, content)) {
        this.#about[2 * found - 2]++;
        return found - 1;
      }
      slot = (slot + 1) & mask;
    }
    return this.#create(content, hash);
  }

  /** Whether `intern` has just made it. */
  isNew = (block: number): boolean => this.#about[2 * block] === 1;

  use(block: number, times = 1): void {
    this.#about[2 * block] += times;
  }

  /** @returns true when that was the last use: its cells can still be read until the next `intern` */
  release(block: number): boolean {
    if (--this.#about[2 * block] > 0) return false;
    this.#drop(block);
    return true;
  }

  #drop(block: number): void {
    this.#forget(block);
    this.#free.push(block);
    this.#used--;
  }

  /**
   * Counts uses anew: those that `visit` tells of, and no others.
   * @returns blocks that had uses and have none: they are free now
   */
  recount(visit: (use: (block: number) => void) => void): number[] {
    const held = Array.from({ length: this.#end }, (_, block) => block).filter((block) => this.#about[2 * block] !== 0);
    for (const block of held) this.#about[2 * block] = 0;
    visit((block) => this.#about[2 * block]++);
    const gone = held.filter((block) => this.#about[2 * block] === 0);
    for (const block of gone) this.#drop(block);
    return gone;
  }

  /** The cells of all blocks in use. */
  forEachCell(visit: (cell: number) => void): void {
    const { cells } = this;
    for (let block = 0; block < this.#end; block++)
      if (this.#about[2 * block] !== 0)
        for (let i = block << this.stride; i < (block + 1) << this.stride; i++) visit(cells[i]);
  }

  /** Gives all its memory back. */
  dispose(): void {
    this.#memory.free(this.#offset, this.bytes);
  }

  #create(content: Uint32Array, hash: number): number {
    if (this.#free.length === 0 && this.#end === this.#capacity) this.#grow();
    const block = this.#free.pop() ?? this.#end++;
    this.#used++;
    this.#about[2 * block] = 1;
    this.#about[2 * block + 1] = hash;
    this.#enter(block);
    const { cells } = this;
    const at = block << this.stride;
    for (let i = 0; i < 1 << this.stride; i++) cells[at + i] = content[i];
    return block;
  }

  #enter(block: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#about[2 * block + 1] & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = block + 1;
  }

  /** Takes a block out of the hash table; those behind it that may stand in its place move up (Knuth 6.4, algorithm R). */
  #forget(block: number): void {
    const mask = this.#slots.length - 1;
    let gap = this.#about[2 * block + 1] & mask;
    while (this.#slots[gap] !== block + 1) gap = (gap + 1) & mask;
    for (let slot = (gap + 1) & mask; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.#about[2 * this.#slots[slot] - 1] & mask;
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      this.#slots[gap] = this.#slots[slot];
      gap = slot;
    }
    this.#slots[gap] = 0;
  }

  #holds(block: number, content: Uint32Array): boolean {
    const { cells } = this;
    const at = block << this.stride;
    for (let i = 0; i < 1 << this.stride; i++) if (cells[at + i] !== content[i]) return false;
    return true;
  }

  #grow(): void {
    const before = this.#capacity;
    const capacity = Math.ceil(before * 1.5);
    const offset = this.#memory.allocate(this.#bytesOf(capacity));
    const bytes = new Uint8Array(this.#memory.buffer);
    bytes.copyWithin(offset, this.#offset, this.#offset + (before << this.stride) * this.cellBytes);
    this.#memory.free(this.#offset, this.#bytesOf(before));
    this.#offset = offset;
    const about = new Int32Array(2 * capacity);
    about.set(this.#about);
    this.#about = about;
    this.#capacity = capacity;
    this.#view(capacity);
    if (slotsFor(capacity) === this.#slots.length) return;
    this.#slots = new Int32Array(slotsFor(capacity));
    for (let block = 0; block < before; block++) if (about[2 * block] > 0) this.#enter(block);
  }

  #view(capacity: number): void {
    this.#cells = cellsOf(this.#memory.buffer, this.#offset, this.cellBytes, capacity << this.stride);
  }

  #bytesOf = (blocks: number): number => Math.ceil(((blocks << this.stride) * this.cellBytes + PADDING) / 64) * 64;
}

const slotsFor = (capacity: number): number => 2 ** Math.ceil(Math.log2(2 * capacity + 2));

/** FNV-1a over words, the upper bits folded down to where the mask looks. */
function hashOf(content: Uint32Array, size: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < size; i++) hash = Math.imul(hash ^ content[i], 0x01000193) + (hash >>> 15);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}
