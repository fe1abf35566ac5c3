/**
 * `blocks`: a multibit trie of fixed depth whose equal blocks are one block. Every look-up walks all levels, without a
 * branch: a short prefix ends in blocks whose cells all say the same, and sharing makes those cost one block a value.
 * Ideas: fixed strides from controlled prefix expansion (V. Srinivasan, G. Varghese, 1999), a wide root from Poptrie and
 * DIR-24-8, sharing by content from hash-consed decision diagrams (dag.ts); no branch, because one for the 1 % of long
 * prefixes, mispredicted, costs more than a load for all (measured: 522 -> 179 M/s).
 *
 *   +0   u32 levels
 *   +4   u32 offset of the value table, 0: the cells of the last level are the values
 *   +8   levels x 8 bytes:
 *          +0  u32 offset of the level's block 0 from the image's start
 *          +4  u8  byte      IPv6: where in the address a little-endian u16 is read; IPv4: 0
 *          +5  u8  shift     index = (word >>> shift) & (2^stride - 1); word is that u16 twice, or the IPv4 address
 *          +6  u8  stride
 *          +7  u8  log2 of the bytes of a cell: 0, 1 or 2
 *   ...  level 0: one block; level k: blocks of 2^stride cells, each level 64-byte aligned, as often as is needed
 *   ...  values: u32 each, where the cells of the last level are indices: when that is smaller
 *
 *   cell of level k     number of a block of level k+1     address of a cell = offset + ((block << stride | index) << log2)
 *   cell of the last    value, 0 for no match, or its index, 0 for no match
 *
 * Strides are chosen by measured size (strides.ts); the last level ends at the longest prefix of the table. Offsets stand
 * in the header and block numbers are relative to them, so a level that has outgrown its place moves with one store. How
 * blocks change in place: blocks-update.ts.
 *
 * A level of IPv6 stays inside two neighbouring bytes of the address, read as a u16 that stands twice in a word:
 *
 *   bits of the word     31 .. 24   23 .. 16   15 .. 8    7 .. 0      a field of both bytes is inside bits 8 to 23,
 *   byte of the address  b + 1      b          b + 1      b           and one of a byte is where the u16 alone has it
 *
 * Inside one byte it is read as the upper half, but for byte 0, so that nothing outside the 16 bytes is touched. A root of
 * 16 bits reads bytes 0 and 1 as they lie, little endian: its cells are permuted instead of the address.
 *
 * Example: 10.0.0.0/8 -> 1, 10.1.2.0/24 -> 2, strides 8-8-8, u8 cells. Level 0: one block, all 0 but cell 10, which
 * is 1. Level 1: block 0 all 0 ("no match below"), block 1 all 1 but cell 1, which is 2. Level 2: block 0 all 0, block 1
 * all 1, block 2 all 1 but cell 2, which is 2. 10.1.2.9: cell 10 -> block 1, cell 1 -> block 2, cell 2 -> value 2.
 * 10.9.9.9: cell 10 -> block 1, cell 9 -> block 1, cell 9 -> value 1. Six blocks of 256 bytes.
 */
import type { Family, Ip } from "../net/ip.ts";
import { bitsOf, writeIpv6 } from "../net/ip.ts";
import { columnsOf, type PrefixColumns } from "./columns.ts";
import { buildDag, census, type Dag, Descent } from "./dag.ts";
import type { LpmEntry, LpmImage, LpmStructure } from "./lpm.ts";
import { alone, bytesOfSplit, type CellBytes, cellBytesFor, chooseStrides, fewestLevels } from "./strides.ts";

export const BLOCKS = {
  LEVELS: 0,
  VALUES: 4,
  LEVEL: 8,
  LEVEL_BYTES: 8,
  BYTE: 4,
  SHIFT: 5,
  STRIDE: 6,
  LOG2: 7,
} as const;
const ALIGN = 64;
/** After the last cell: code that is not specialised reads cells of any width by loads of 4. */
const PADDING = 4;

/** One level's part of a look-up, its offset apart: what code can be specialised to. */
export interface BlockLevel {
  readonly byte: number;
  readonly shift: number;
  readonly stride: number;
  readonly cellBytes: CellBytes;
}

export interface BlockShape {
  readonly levels: readonly BlockLevel[];
  /** The last level's cells are indices into the value table. */
  readonly indirect: boolean;
}

export interface BlockOptions {
  /** Bits of each level, the longest prefix's length in sum at least; null or absent: the cheapest by chooseStrides. */
  readonly strides?: readonly number[] | null;
  /** With as few levels as can be had in so many bytes; absent: the quickest by chooseStrides. */
  readonly budget?: number;
}

export function buildBlocks(columns: PrefixColumns, options: BlockOptions = {}): LpmImage {
  const { family } = columns;
  const dag = buildDag(columns);
  const prefixes = columns.lengths.length;
  const { strides, indirect, leafBytes } = chooseSplit(family, dag, prefixes, options);
  const levels = collectLevels(family, dag, strides, leafBytes);
  return { kind: "blocks", family, bytes: assemble(dag, levels, family, indirect), prefixes };
}

/**
 * Strides for many tables that are alike, so that one piece of code reads them all: of the average of some of them.
 * @param samples of one family
 * @param tables how many there are, which share the caches
 * @param bits of the longest prefix of them all
 */
export function commonStrides(samples: readonly PrefixColumns[], tables: number, bits: number): number[] {
  const dags = samples.map(buildDag);
  const counts = dags.map(census);
  const average = Uint32Array.from({ length: bits + 1 }, (_, depth) => {
    const sum = counts.reduce((all, own) => all + own[Math.min(depth, own.length - 1)], 0);
    return Math.max(1, Math.round(sum / counts.length));
  });
  const values = Math.max(...dags.map((dag) => dag.values.length));
  const prefixes = samples.reduce((sum, { lengths }) => sum + lengths.length, 0) / samples.length;
  const company = { tables, budget: prefixes * BYTES_OF_PREFIX };
  return chooseStrides(samples[0].family, average, cellBytesFor(values), company);
}

/** Of a small table, where there are many. */
const BYTES_OF_PREFIX = 160;

interface Split {
  readonly strides: readonly number[];
  readonly leafBytes: CellBytes;
  readonly indirect: boolean;
}

/** Values in the last level's cells, or their indices when that is smaller, the value table counted. */
function chooseSplit(
  family: Family,
  dag: Dag,
  prefixes: number,
  { strides: forced = null, budget }: BlockOptions,
): Split {
  const counts = census(dag);
  const measured = (leafBytes: CellBytes, indirect: boolean): Split & { bytes: number } => {
    const strides =
      forced ??
      (budget === undefined
        ? chooseStrides(family, counts, leafBytes, alone(family, prefixes))
        : fewestLevels(family, counts, leafBytes, budget));
    checkStrides(family, strides, dag.bits);
    const values = indirect ? dag.values.length * 4 : 0;
    return { strides, leafBytes, indirect, bytes: bytesOfSplit(counts, strides, leafBytes) + values };
  };
  const greatest = dag.values.reduce((a, b) => Math.max(a, b), 0);
  const [direct, table] = [cellBytesFor(greatest + 1), cellBytesFor(dag.values.length)];
  const split = measured(direct, false);
  // The value table saves nothing where it makes no cell narrower.
  if (table === direct) return split;
  const indirect = measured(table, true);
  return indirect.bytes < split.bytes ? indirect : split;
}

function checkStrides(family: Family, strides: readonly number[], bits: number): void {
  const sum = strides.reduce((a, b) => a + b, 0);
  const positive = strides.length > 0 && strides.every((s) => Number.isInteger(s) && s >= 1 && s <= 24);
  if (!positive || sum < bits || sum > bitsOf(family))
    throw new RangeError(`strides ${strides.join("-")} do not cover ${bits} of ${bitsOf(family)} bits`);
}

interface Level extends BlockLevel {
  /** The DAG's ids at the level's depth: block j is the next `stride` bits of ids[j]. */
  readonly ids: Int32Array;
}

function collectLevels(family: Family, dag: Dag, strides: readonly number[], leafBytes: CellBytes): Level[] {
  const descent = new Descent(dag);
  let depth = 0;
  return strides.map((stride, k) => {
    const ids = descent.ids.slice();
    descent.down(stride);
    const cellBytes = k === strides.length - 1 ? leafBytes : cellBytesFor(descent.count);
    const level = { ids, stride, cellBytes, ...blockField(family, depth, stride) };
    depth += stride;
    return level;
  });
}

/** Where the bits [depth, depth + stride) of an address are found. */
export function blockField(family: Family, depth: number, stride: number): { byte: number; shift: number } {
  if (family === 4) return { byte: 0, shift: 32 - depth - stride };
  const byte = depth >>> 3;
  const bit = depth & 7;
  if (depth === 0 && stride === 16) return { byte: 0, shift: 0 };
  if (bit + stride > 16) throw new RangeError(`a stride of ${stride} bits at bit ${depth} is in more than two bytes`);
  if (bit + stride > 8) return { byte, shift: 24 - bit - stride };
  return byte === 0 ? { byte: 0, shift: 8 - bit - stride } : { byte: byte - 1, shift: 16 - bit - stride };
}

/** The word that a level of IPv6 takes its bits from. */
const twice = (half: number): number => Math.imul(half, TWICE);
export const TWICE = 0x10001;

function assemble(dag: Dag, levels: readonly Level[], family: Family, indirect: boolean): Uint8Array {
  const align = (n: number): number => Math.ceil(n / ALIGN) * ALIGN;
  const offsets: number[] = [];
  let end = align(BLOCKS.LEVEL + levels.length * BLOCKS.LEVEL_BYTES);
  for (const { ids, stride, cellBytes } of levels) {
    offsets.push(end);
    end = align(end + ids.length * 2 ** stride * cellBytes);
  }
  const valuesOffset = indirect ? end : 0;
  if (indirect) end += dag.values.length * 4;

  const bytes = new Uint8Array(end + PADDING);
  const view = new DataView(bytes.buffer);
  view.setUint32(BLOCKS.LEVELS, levels.length, true);
  view.setUint32(BLOCKS.VALUES, valuesOffset, true);
  if (indirect) new Uint32Array(bytes.buffer, valuesOffset).set(dag.values);
  levels.forEach((level, k) => {
    const at = BLOCKS.LEVEL + k * BLOCKS.LEVEL_BYTES;
    view.setUint32(at, offsets[k], true);
    bytes.set([level.byte, level.shift, level.stride, Math.log2(level.cellBytes)], at + BLOCKS.BYTE);
    const length = level.ids.length * 2 ** level.stride;
    const cells = new CELLS[level.cellBytes](bytes.buffer, offsets[k], length);
    const below = k + 1 < levels.length ? numbering(dag, levels[k + 1].ids) : leafCells(dag, indirect);
    fillLevel(dag, level, below, cells);
    if (family === 6 && level.stride === 16) permuteRoot(cells);
  });
  return bytes;
}

const CELLS = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array } as const;
type Cells = Uint8Array | Uint16Array | Uint32Array;

/** For each id of a level its block's number, by id. */
function numbering(dag: Dag, ids: Int32Array): Uint32Array {
  const numbers = new Uint32Array(dag.values.length + dag.low.length);
  for (let j = 0; j < ids.length; j++) numbers[ids[j]] = j;
  return numbers;
}

const leafCells = (dag: Dag, indirect: boolean): Uint32Array =>
  indirect ? Uint32Array.from(dag.values, (_, leaf) => leaf) : dag.values;

/** Bits of a run of cells that a loop fills. */
const FILLED_BITS = 4;

/** @param below what a cell holds that leads to an id, by id */
function fillLevel(dag: Dag, { ids, stride }: Level, below: Uint32Array, cells: Cells): void {
  const leaves = dag.values.length;
  const { low, high } = dag;
  const expand = (id: number, bitsLeft: number, at: number): void => {
    if (bitsLeft === 0) {
      cells[at] = below[id];
    } else if (id < leaves) {
      // By the engine's own loop where that is worth a call: a table that is built once is filled by code that is not optimised.
      if (bitsLeft > FILLED_BITS) cells.fill(below[id], at, at + (1 << bitsLeft));
      else for (let i = at, end = at + (1 << bitsLeft); i < end; i++) cells[i] = below[id];
    } else {
      expand(low[id - leaves], bitsLeft - 1, at);
      expand(high[id - leaves], bitsLeft - 1, at + (1 << (bitsLeft - 1)));
    }
  };
  for (let j = 0; j < ids.length; j++) expand(ids[j], stride, j << stride);
}

/** Cell i moves to where the bytes of i, read the other way round, lead: 0x2001 to 0x0120. */
function permuteRoot(cells: Cells): void {
  const natural = cells.slice();
  for (let i = 0; i < natural.length; i++) cells[((i & 255) << 8) | (i >>> 8)] = natural[i];
}

export function blockShape({ bytes }: Pick<LpmImage, "bytes">): BlockShape {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const levels = Array.from({ length: view.getUint32(BLOCKS.LEVELS, true) }, (_, k): BlockLevel => {
    const at = BLOCKS.LEVEL + k * BLOCKS.LEVEL_BYTES;
    const cellBytes = (1 << bytes[at + BLOCKS.LOG2]) as CellBytes;
    return {
      byte: bytes[at + BLOCKS.BYTE],
      shift: bytes[at + BLOCKS.SHIFT],
      stride: bytes[at + BLOCKS.STRIDE],
      cellBytes,
    };
  });
  return { levels, indirect: view.getUint32(BLOCKS.VALUES, true) !== 0 };
}

/**
 * Whether a cell 0 of the root settles the answer: blocks 0 lead to each other alone, down to one answer for all. A build
 * numbers them so where the lowest addresses have no route of their own, or one that is short.
 */
export function zeroEnds(image: Pick<LpmImage, "bytes">): boolean {
  const { bytes } = image;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { levels } = blockShape(image);
  return levels.every(({ stride, cellBytes }, k) => {
    if (k === 0) return true;
    const start = view.getUint32(BLOCKS.LEVEL + k * BLOCKS.LEVEL_BYTES, true);
    const block = bytes.subarray(start, start + cellBytes * 2 ** stride);
    return block.every((byte, i) => byte === (k < levels.length - 1 ? 0 : block[i % cellBytes]));
  });
}

function lookup(image: LpmImage, address: Ip): number {
  const { buffer, byteOffset: base } = image.bytes;
  const view = new DataView(buffer);
  const wire = new DataView(new ArrayBuffer(16));
  if (typeof address === "bigint") writeIpv6(new Uint8Array(wire.buffer), 0, address);
  // Modulo 2^32: a level, or the values, of a table that changes may stand before its header (blocks-update.ts).
  const from = (field: number): number => (base + view.getUint32(base + field, true)) >>> 0;
  const { levels, indirect } = blockShape(image);
  let cell = 0;
  levels.forEach(({ byte, shift, stride, cellBytes }, k) => {
    const word = typeof address === "number" ? address : twice(wire.getUint16(byte, true));
    const index = (word >>> shift) & (2 ** stride - 1);
    const at = from(BLOCKS.LEVEL + k * BLOCKS.LEVEL_BYTES) + (cell * 2 ** stride + index) * cellBytes;
    cell = cellBytes === 1 ? view.getUint8(at) : cellBytes === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
  });
  return indirect ? view.getUint32(from(BLOCKS.VALUES) + 4 * cell, true) : cell;
}

export const blocks: LpmStructure = {
  kind: "blocks",
  families: [4, 6],
  build: (family: Family, entries: readonly LpmEntry[]) => buildBlocks(columnsOf(family, entries)),
  lookup,
};
