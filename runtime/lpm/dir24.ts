/**
 * `dir24`: DIR-24-8 (Gupta, Lin, McKeown: "Routing Lookups in Hardware at Memory Access Speeds", INFOCOM 1998), IPv4.
 * One load for whatever is at most 24 bits long, a second for longer. Unbeaten where traffic touches few cache lines
 * (Zipf), beaten by `blocks` where it does not: the table is 16 to 64 MB whatever it holds.
 *
 *   +0   u32 bytes a cell: 1, 2 or 4
 *   +4   u32 offset of the long blocks
 *   +64  2^24 cells, by the first 24 bits of the address
 *   ...  long blocks of 256 cells, by the last 8 bits; then 4 bytes, for loads of 4 from narrower cells
 *
 *   cell     top bit 0   the rest is the value, 0 for no match
 *            top bit 1   the rest is the number of a long block                (first table only)
 *
 * The cell is as wide as the greatest value and the number of long blocks need beside the flag: 7, 15 or 31 bits.
 *
 * Example: 10.0.0.0/8 -> 1, 10.1.2.128/25 -> 2; cells of 1 byte. Cells 0x0a0000 .. 0x0affff are 1, except 0x0a0102,
 * which is 0x80: block 0, whose cells 0 .. 127 are 1 and 128 .. 255 are 2. 10.1.2.200: cell 0x80, block 0, cell 200: 2.
 */
import type { Family, Ip } from "../net/ip.ts";
import { columnsOf, type PrefixColumns, sortColumns } from "./columns.ts";
import type { LpmEntry, LpmImage, LpmStructure } from "./lpm.ts";

export const DIR24 = {
  CELL_BYTES: 0,
  LONG_BLOCKS: 4,
  CELLS: 64,
  BLOCK_CELLS: 256,
  FIRST_BITS: 24,
  PADDING: 4,
} as const;

export interface Dir24Shape {
  readonly cellBytes: 1 | 2 | 4;
  /** There are long blocks: otherwise no cell has the flag, and nothing need look for it. */
  readonly long: boolean;
}

export function dir24Shape({ bytes }: LpmImage): Dir24Shape {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const long = view.getUint32(DIR24.LONG_BLOCKS, true) + DIR24.PADDING < bytes.length;
  return { cellBytes: view.getUint32(DIR24.CELL_BYTES, true) as 1 | 2 | 4, long };
}

/** The bit of a cell that says "number of a long block", as an unsigned number. */
export const longFlag = (cellBytes: 1 | 2 | 4): number => 2 ** (8 * cellBytes - 1);

export function buildDir24(unsorted: PrefixColumns): LpmImage {
  const columns = sortColumns(unsorted);
  const longBlocks = countLongBlocks(columns);
  const greatest = columns.values.reduce((a, b) => Math.max(a, b), longBlocks);
  const cellBytes = greatest < longFlag(1) ? 1 : greatest < longFlag(2) ? 2 : 4;
  const longOffset = DIR24.CELLS + 2 ** DIR24.FIRST_BITS * cellBytes;
  const bytes = new Uint8Array(longOffset + longBlocks * DIR24.BLOCK_CELLS * cellBytes + DIR24.PADDING);
  const header = new Uint32Array(bytes.buffer, 0, 2);
  header[0] = cellBytes;
  header[1] = longOffset;
  paint(columns, cellsOf(bytes, cellBytes, DIR24.CELLS), cellsOf(bytes, cellBytes, longOffset), longFlag(cellBytes));
  return { kind: "dir24", family: 4, bytes, prefixes: columns.lengths.length };
}

type Cells = Uint8Array | Uint16Array | Uint32Array;
function cellsOf(bytes: Uint8Array, cellBytes: 1 | 2 | 4, offset: number): Cells {
  const end = bytes.byteLength;
  const length = (end - bytes.byteOffset - offset) / cellBytes;
  if (cellBytes === 1) return new Uint8Array(bytes.buffer, bytes.byteOffset + offset, length);
  if (cellBytes === 2) return new Uint16Array(bytes.buffer, bytes.byteOffset + offset, length);
  return new Uint32Array(bytes.buffer, bytes.byteOffset + offset, length);
}

/** One for each 24-bit network that holds a longer prefix; sorted input has them side by side. */
function countLongBlocks({ words, lengths }: PrefixColumns): number {
  let count = 0;
  let last = -1;
  for (let i = 0; i < lengths.length; i++) {
    const first24 = words[i] >>> 8;
    if (lengths[i] <= DIR24.FIRST_BITS || first24 === last) continue;
    last = first24;
    count++;
  }
  return count;
}

/** In sorted order a prefix is painted before all that are inside it, so the longest is painted last. */
function paint({ words, lengths, values }: PrefixColumns, cells: Cells, long: Cells, flag: number): void {
  let blocks = 0;
  for (let i = 0; i < lengths.length; i++) {
    const cell = words[i] >>> 8;
    if (lengths[i] <= DIR24.FIRST_BITS) {
      cells.fill(values[i], cell, cell + 2 ** (DIR24.FIRST_BITS - lengths[i]));
      continue;
    }
    if (cells[cell] < flag) {
      long.fill(cells[cell], blocks * DIR24.BLOCK_CELLS, (blocks + 1) * DIR24.BLOCK_CELLS);
      cells[cell] = flag + blocks++;
    }
    const at = (cells[cell] - flag) * DIR24.BLOCK_CELLS + (words[i] & 255);
    long.fill(values[i], at, at + 2 ** (32 - lengths[i]));
  }
}

function lookup(image: LpmImage, address: Ip): number {
  const { cellBytes } = dir24Shape(image);
  const ip = Number(address);
  const cell = cellsOf(image.bytes, cellBytes, DIR24.CELLS)[ip >>> 8];
  if (cell < longFlag(cellBytes)) return cell;
  const longOffset = new DataView(image.bytes.buffer, image.bytes.byteOffset).getUint32(DIR24.LONG_BLOCKS, true);
  const block = cell - longFlag(cellBytes);
  return cellsOf(image.bytes, cellBytes, longOffset)[block * DIR24.BLOCK_CELLS + (ip & 255)];
}

export const dir24: LpmStructure = {
  kind: "dir24",
  families: [4],
  build: (_family: Family, entries: readonly LpmEntry[]) => buildDir24(columnsOf(4, entries)),
  lookup,
};
