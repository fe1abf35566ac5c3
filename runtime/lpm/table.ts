/**
 * A table that changes: its routes as a trie, and beside them the structure that programs look up in (choose.ts says
 * which), mended or, where it has become the wrong one, built anew.
 *
 *   linear    up to comparesUpTo routes: built anew at every change, which is as quick as changing it
 *   ranges    of one of many, up to RANGES_UP_TO routes: built anew too
 *   blocks    more: changed in place (blocks-update.ts); built anew when a prefix is longer than its levels, a number wider than
 *             its cells, or the table twice or half as large as when its strides were chosen: then others would suit it better
 *
 * Twin: `buildLpm` of the same entries, which is what every answer must equal.
 */

import type { Family } from "../net/ip.ts";
import type { Memory } from "./block-store.ts";
import { type BlockShape, blockField } from "./blocks.ts";
import { MOST_LEVELS, Outgrown, UpdatableBlocks, type ValueTable } from "./blocks-update.ts";
import { buildLpm, chooseLpm } from "./choose.ts";
import { type PrefixColumns, wordsOf } from "./columns.ts";
import { buildDag, census } from "./dag.ts";
import type { LpmEntry, LpmImage, LpmKind } from "./lpm.ts";
import { buildRanges } from "./ranges.ts";
import {
  alone,
  type CellBytes,
  type Company,
  cellBytesFor,
  chooseStrides,
  fewestLevels,
  type Widest,
} from "./strides.ts";
import type { Node, Trie } from "./trie.ts";

/** Lengths that levels end at: a table whose longest prefix grows by a bit is not built anew for each. */
const ENDS = [8, 16, 24, 32, 48, 64, 96, 128];
/** Blocks that a level has room for, as a multiple of what it needs when it is built. */
const HEADROOM = 1.25;

/** Structures of tables with few routes, which are built anew for each change. */
export type SmallKind = "linear" | "ranges";

export interface UpdatableTableOptions<Address = number> {
  /** Greatest value of a route, ever or until the structure is built anew: decides how wide cells are. */
  readonly maxValue: number;
  /** Taken as long as it can hold the routes: that which programs have code of their own for. */
  readonly prefer?: BlockShape | null;
  /** Bits that a level looks at, at most; absent: as many as look-ups are quickest with. */
  readonly widest?: Widest;
  /** What whoever reads the table knows besides `blocks`; absent: nothing, and always so where keys are wider than 32 bits. */
  readonly small?: SmallKind;
  /** What the routes' values stand for, where look-ups shall give that. */
  readonly values?: ValueTable;
  /**
   * Called when a route has come, has gone or has another value, before the structure is mended: values of routes inside it may be changed
   * along with it, and are changed back by the same hand when something fails.
   * @param node that has the route, or, where it is gone, all that are inside it; 0: none are
   * @param value of the route, or of the next shorter one
   */
  readonly around?: (node: Node, value: number) => void;
  /** Called with a structure that is complete; afterwards the old one is gone. */
  readonly publish?: (table: UpdatableTable<Address>) => void;
}

export class UpdatableTable<Address = number> {
  readonly trie: Trie<Address>;
  readonly #memory: Memory;
  readonly #options: UpdatableTableOptions<Address>;
  #structure: Small | UpdatableBlocks<Address> | null = null;
  /** Routes when the strides were chosen. */
  #chosenFor = 0;
  #isBulk = false;

  /** @param trie the routes that there are */
  constructor(memory: Memory, trie: Trie<Address>, options: UpdatableTableOptions<Address>) {
    this.#memory = memory;
    this.trie = trie;
    this.#options = options;
    const { prefer, values } = options;
    if (prefer && (!prefer.indirect || values !== undefined) && this.#kind() === "blocks")
      this.#structure = this.#ofShape(prefer);
    this.#chosenFor = trie.size;
    if (this.#structure === null) this.#rebuild();
    else this.#options.publish?.(this);
  }

  get kind(): LpmKind {
    return this.#structure instanceof Small ? this.#structure.kind : "blocks";
  }

  /** Offset of the structure in memory. */
  get image(): number {
    return this.#structure!.base;
  }

  /** Null for others than `blocks`. */
  get shape(): BlockShape | null {
    return this.#structure instanceof UpdatableBlocks ? this.#structure.shape : null;
  }

  /** Bytes of memory that the structure holds. */
  get bytes(): number {
    return this.#structure!.bytes;
  }

  /** Of each level of `blocks`. */
  get blocks(): readonly number[] {
    return this.#structure instanceof UpdatableBlocks ? this.#structure.blocks : [];
  }

  /** Adds a route or gives it another value. @param value 1 .. maxValue @throws MemoryError; nothing has changed then */
  set(address: Address, length: number, value: number): Node {
    const { trie } = this;
    const known = trie.find(address, length);
    if (known !== 0) {
      if (trie.valueOf(known) !== value) this.change(known, value);
      return known;
    }
    const node = trie.set(address, length, value);
    try {
      this.#options.around?.(node, value);
      this.#mend(address, length, node, 0);
    } catch (error) {
      trie.delete(node);
      throw error;
    }
    return node;
  }

  /** Gives a route that is there another value. @param value 1 .. maxValue @throws MemoryError; nothing has changed then */
  change(node: Node, value: number): void {
    const { trie } = this;
    const before = trie.valueOf(node);
    trie.setValue(node, value);
    try {
      this.#options.around?.(node, value);
      this.#mend(trie.keyOf(node), trie.lengthOf(node), node, 0);
    } catch (error) {
      trie.setValue(node, before);
      throw error;
    }
  }

  /** The values stand elsewhere now. */
  moveValues(): void {
    if (this.#structure instanceof UpdatableBlocks) this.#structure.moveValues();
  }

  /** Takes a route away. @param node that has it @throws MemoryError; nothing has changed then, but perhaps its node */
  delete(node: Node): void {
    const { trie } = this;
    const cover = trie.coverOf(node);
    const [address, length, value, note] = [
      trie.keyOf(node),
      trie.lengthOf(node),
      trie.valueOf(node),
      trie.noteOf(node),
    ];
    const inherited = cover === 0 ? 0 : trie.valueOf(cover);
    const inside = trie.delete(node);
    try {
      this.#options.around?.(inside, inherited);
      this.#mend(address, length, inside, inherited);
    } catch (error) {
      trie.setNote(trie.set(address, length, value), note);
      throw error;
    }
  }

  /** Gives all memory back: the table is of no more use. */
  dispose(): void {
    this.#structure?.dispose();
    this.#structure = null;
  }

  /**
   * Runs changes that are many beside the routes there are: the structure is built once, behind the last of them. Where they or the
   * structure cannot be made the routes are again those that there were.
   * @param undo told each value that a route had then
   * @throws MemoryError, and what `changes` does
   */
  inBulk(changes: () => void, undo: (value: number) => void = () => {}): void {
    const restore = this.#restorer(undo);
    this.#isBulk = true;
    try {
      changes();
      this.#rebuild();
    } catch (error) {
      restore();
      throw error;
    } finally {
      this.#isBulk = false;
    }
  }

  #restorer(undo: (value: number) => void): () => void {
    const { trie } = this;
    const nodesNow = (): Node[] => {
      const nodes: Node[] = [];
      trie.forEach((node) => {
        nodes.push(node);
      });
      return nodes;
    };
    const before = nodesNow().map((node) => ({
      key: trie.keyOf(node),
      length: trie.lengthOf(node),
      value: trie.valueOf(node),
      note: trie.noteOf(node),
    }));
    return () => {
      for (const node of nodesNow()) {
        undo(trie.valueOf(node));
        trie.delete(node);
      }
      for (const { key, length, value, note } of before) trie.setNote(trie.set(key, length, value), note);
    };
  }

  #mend(address: Address, length: number, node: Node, inherited: number): void {
    if (this.#isBulk) return;
    const { size } = this.trie;
    const structure = this.#structure;
    if (!(structure instanceof UpdatableBlocks) || this.#kind() !== "blocks" || this.#isOther(size)) {
      this.#rebuild();
      return;
    }
    try {
      structure.update(address, length, node, inherited);
    } catch (error) {
      structure.recount();
      if (!(error instanceof Outgrown)) throw error;
      this.#rebuild();
    }
  }

  #isOther = (size: number): boolean => size > 2 * this.#chosenFor || 2 * size < this.#chosenFor;

  #rebuild(): void {
    const old = this.#structure;
    const kind = this.#kind();
    this.#structure =
      kind === "blocks"
        ? this.#buildBlocks()
        : new Small(this.#memory, kind, columnsOfTrie(this.trie), this.#options.values);
    this.#chosenFor = this.trie.size;
    this.#options.publish?.(this);
    old?.dispose();
  }

  #kind(): SmallKind | "blocks" {
    const { small } = this.#options;
    return small !== undefined && chooseLpm(4, this.trie.size, 32, small === "ranges") === small ? small : "blocks";
  }

  /** Null when that shape cannot hold the routes. */
  #ofShape(shape: BlockShape): UpdatableBlocks<Address> | null {
    try {
      return new UpdatableBlocks(this.#memory, this.trie, shape, [], this.#options.values);
    } catch (error) {
      if (!(error instanceof Outgrown)) throw error;
      return null;
    }
  }

  #buildBlocks(): UpdatableBlocks<Address> {
    const { trie } = this;
    const dag = buildDag(columnsOfTrie(trie));
    const found = census(dag);
    const bits = ENDS.find((end) => end >= dag.bits)!;
    const counts = Uint32Array.from({ length: bits + 1 }, (_, depth) => found[Math.min(depth, dag.bits)]);
    const leafBytes = cellBytesFor(this.#options.maxValue + 1);
    const { family } = trie;
    const strides = changingStrides(family, counts, leafBytes, alone(family, trie.size), this.#options.widest);
    const depths = strides.map((_, k) => strides.slice(0, k).reduce((a, b) => a + b, 0));
    const room = depths.map((depth) => Math.ceil(counts[depth] * HEADROOM));
    const levels = strides.map((stride, k) => ({
      ...blockField(family, depths[k], stride),
      stride,
      cellBytes: k === strides.length - 1 ? leafBytes : cellBytesFor(2 * counts[depths[k] + stride]),
    }));
    const { values } = this.#options;
    return new UpdatableBlocks(this.#memory, trie, { levels, indirect: values !== undefined }, room, values);
  }
}

/** Most routes of an IPv4 table end here. Where a level does too, a change of one is a cell of it, and no block below. */
const COMMON_LENGTH = 24;

function changingStrides(
  family: Family,
  counts: Uint32Array,
  leafBytes: CellBytes,
  company: Company,
  widest?: Widest,
): number[] {
  const choose = (part: Uint32Array): number[] => chooseStrides(family, part, leafBytes, company, widest);
  if (family === 6) {
    const strides = choose(counts);
    return strides.length <= MOST_LEVELS
      ? strides
      : fewestLevels(family, counts, leafBytes, company.budget, MOST_LEVELS);
  }
  if (counts.length - 1 <= COMMON_LENGTH) return choose(counts);
  return [...choose(counts.subarray(0, COMMON_LENGTH + 1)), ...choose(counts.subarray(COMMON_LENGTH))];
}

/** A structure of few routes in a place of its own. */
class Small {
  readonly kind: SmallKind;
  readonly base: number;
  readonly bytes: number;
  readonly #memory: Memory;

  /** @param columns of IPv4 */
  constructor(memory: Memory, kind: SmallKind, columns: PrefixColumns, table?: ValueTable) {
    const values = table === undefined ? columns.values : columns.values.map((value) => table.at(value));
    const { bytes } = kind === "ranges" ? buildRanges({ ...columns, values }) : rowsOf({ ...columns, values });
    this.kind = kind;
    this.#memory = memory;
    this.bytes = bytes.length;
    this.base = memory.allocate(bytes.length);
    new Uint8Array(memory.buffer as ArrayBuffer).set(bytes, this.base);
  }

  dispose(): void {
    this.#memory.free(this.base, this.bytes);
  }
}

const rowsOf = ({ words, lengths, values }: PrefixColumns): LpmImage =>
  buildLpm(
    4,
    Array.from(words, (address, i): LpmEntry => ({ address, length: lengths[i], value: values[i] })),
    "linear",
  );

/** The routes of a trie, sorted. */
function columnsOfTrie<Address>(trie: Trie<Address>): PrefixColumns {
  const width = wordsOf(trie.family);
  const words = new Uint32Array(trie.size * width);
  const lengths = new Uint8Array(trie.size);
  const values = new Uint32Array(trie.size);
  let i = 0;
  trie.forEach((node) => {
    trie.writeKey(node, words, i * width);
    lengths[i] = trie.lengthOf(node);
    values[i++] = trie.valueOf(node);
  });
  return { family: trie.family, words, lengths, values };
}
