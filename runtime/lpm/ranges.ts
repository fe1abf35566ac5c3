/**
 * `ranges`: the address line cut into ranges that have one answer each, found by a search tree whose nodes are cache lines.
 * For many small IPv4 tables, none of which stays in the caches: a table of 100 routes is 18 lines, of which a look-up reads
 * two. Search of ranges from B. Lampson, V. Srinivasan, G. Varghese, "IP Lookups Using Multiway and Multicolumn Search", INFOCOM
 * 1998; equal neighbours merged, and answers beside the ranges as numbers of a byte, from DXR (M. Zec, L. Rizzo, M. Mikuc, 2012).
 *
 *   +0   u32 levels   +4  u8 bytes of a cell: 1, 2 or 4   +5  u8 scale: 0, 4 or 6
 *   +64  nodes of 64 bytes. Node 0 is the root, children of node n are nodes 17 n + 1 to 17 n + 17, as in a heap: no links. Those of the
 *        last level are leaves. A level that is not the last has room for all of its nodes, the last one for those it has.
 *
 *   inner node   16 bounds, u32: the last address below each child but the last
 *   leaf         bounds, u32: the last address of each of its ranges but the last | cells, one a range | origin
 *                   cells of 1 byte     12 bounds   13 cells   u24 origin at +61
 *                            2 bytes     9 bounds   10 cells   u32 origin at +56
 *                            4 bytes     7 bounds    8 cells
 *   cell         0: no match; otherwise the value is (origin + cell) << scale. A scale of 0 has no origins.
 *
 * In a node so many bounds as are below the address are passed over: by halving, each step a compare and a `select`, no branch.
 * Bounds that are not needed are 255.255.255.255, below which no address is.
 *
 * Values of a network's table are offsets of entries of 64 bytes in a row, which is what origin and scale are for: no line is read
 * to come from a number to an entry. Values of more than a cell holds, or far apart, take wider cells, and so more leaves.
 *
 * A table that changes is built anew for each change (table.ts): 100 routes take some microseconds.
 *
 * Example: 10.0.0.0/8 -> 1, 10.1.0.0/16 -> 2 are five ranges, and one leaf:
 *
 *   bounds   9.255.255.255   10.0.255.255   10.1.255.255   10.255.255.255   255.255.255.255 ...
 *   cells          0               1              2               1                0
 *
 * 10.1.2.3: two bounds are below it, cell 2 is 2. 11.0.0.0: four are, cell 4 is 0, no match.
 */
import { type Family, type Ip, mask4 } from "../net/ip.ts";
import { columnsOf, type PrefixColumns, sortColumns } from "./columns.ts";
import type { LpmEntry, LpmImage, LpmStructure } from "./lpm.ts";
import type { CellBytes } from "./strides.ts";

export const RANGES = {
  LEVELS: 0,
  CELL_BYTES: 4,
  SCALE: 5,
  NODES: 64,
  NODE_BYTES: 64,
  /** Bounds of an inner node: one less than its children. */
  BOUNDS: 16,
  /** Of a leaf, by the bytes of its cells. */
  LEAF: {
    1: { BOUNDS: 12, CELLS: 48, ORIGIN: 61 },
    2: { BOUNDS: 9, CELLS: 36, ORIGIN: 56 },
    4: { BOUNDS: 7, CELLS: 28, ORIGIN: null },
  },
} as const;
const CHILDREN = RANGES.BOUNDS + 1;
/** Entries are 64 bytes long where each has one route, and a multiple of 16. */
const SCALES = [0, 6, 4] as const;
const LAST_ADDRESS = 0xffff_ffff;

/** What code can be specialised to. */
export interface RangesShape {
  readonly levels: number;
  readonly cellBytes: CellBytes;
  readonly scale: number;
}

export function rangesShape({ bytes }: Pick<LpmImage, "bytes">): RangesShape {
  return {
    levels: bytes[RANGES.LEVELS],
    cellBytes: bytes[RANGES.CELL_BYTES] as CellBytes,
    scale: bytes[RANGES.SCALE],
  };
}

export const isSameShape = (a: RangesShape, b: RangesShape): boolean =>
  a.levels === b.levels && a.cellBytes === b.cellBytes && a.scale === b.scale;

/** The address line in order: the last address of each range, and its value; 0: no match. */
export interface Ranges {
  readonly count: number;
  readonly last: Uint32Array;
  readonly values: Uint32Array;
}

/** Neighbours that have the same value are one. */
export function rangesOf(unsorted: PrefixColumns): Ranges {
  const { words, lengths, values } = sortColumns(unsorted);
  const found = { last: new Uint32Array(2 * lengths.length + 1), values: new Uint32Array(2 * lengths.length + 1) };
  let count = 0;
  /** First address that has no value yet. */
  let next = 0;
  const upTo = (last: number, value: number): void => {
    if (last < next) return;
    if (count > 0 && found.values[count - 1] === value) count--;
    found.last[count] = last;
    found.values[count++] = value;
    next = last + 1;
  };
  /** Prefixes around the one in hand, the innermost last. */
  const around: number[] = [];
  const lastOf = (i: number): number => (words[i] | ~mask4(lengths[i])) >>> 0;
  const leave = (): void => {
    const i = around.pop()!;
    upTo(lastOf(i), values[i]);
  };
  for (let i = 0; i < lengths.length; i++) {
    while (around.length > 0 && lastOf(around[around.length - 1]) < words[i]) leave();
    if (words[i] > 0) upTo(words[i] - 1, around.length > 0 ? values[around[around.length - 1]] : 0);
    around.push(i);
  }
  while (around.length > 0) leave();
  upTo(LAST_ADDRESS, 0);
  return { count, ...found };
}

/** How values become cells. */
interface Coding {
  readonly cellBytes: CellBytes;
  readonly scale: number;
  /** Of all leaves. */
  readonly origin: number;
}

/** The narrowest cells that tell the values apart. */
function codingOf({ count, values }: Ranges): Coding {
  let [least, greatest, bits] = [LAST_ADDRESS, 0, 0];
  for (let i = 0; i < count; i++) {
    if (values[i] === 0) continue;
    least = Math.min(least, values[i]);
    greatest = Math.max(greatest, values[i]);
    bits |= values[i];
  }
  for (const cellBytes of [1, 2] as const)
    for (const scale of SCALES) {
      const unit = 2 ** scale;
      if (bits % unit !== 0) continue;
      const origin = scale === 0 ? 0 : least / unit - 1;
      const fits = greatest / unit - origin < 2 ** (8 * cellBytes) && (cellBytes > 1 || origin < 2 ** 24);
      if (fits) return { cellBytes, scale, origin };
    }
  return { cellBytes: 4, scale: 0, origin: 0 };
}

/** Of the first node of a level. */
const firstNode = (level: number): number => (CHILDREN ** level - 1) / (CHILDREN - 1);

export function buildRanges(columns: PrefixColumns): LpmImage {
  const ranges = rangesOf(columns);
  const { cellBytes, scale, origin } = codingOf(ranges);
  const layout = RANGES.LEAF[cellBytes];
  const perLeaf = layout.BOUNDS + 1;
  const leaves = Math.ceil(ranges.count / perLeaf);
  let levels = 1;
  while (CHILDREN ** (levels - 1) < leaves) levels++;
  const firstLeaf = firstNode(levels - 1);
  const bytes = new Uint8Array(RANGES.NODES + (firstLeaf + leaves) * RANGES.NODE_BYTES);
  const view = new DataView(bytes.buffer);
  const bounds = new Uint32Array(bytes.buffer, RANGES.NODES);
  view.setUint32(RANGES.LEVELS, levels, true);
  bytes.set([cellBytes, scale], RANGES.CELL_BYTES);
  const bound = (node: number, i: number, range: number): void => {
    bounds[node * (RANGES.NODE_BYTES / 4) + i] = range < ranges.count ? ranges.last[range] : LAST_ADDRESS;
  };
  for (let level = 0; level < levels - 1; level++) {
    const perChild = perLeaf * CHILDREN ** (levels - 2 - level);
    for (let node = 0; node < CHILDREN ** level; node++)
      for (let i = 0; i < RANGES.BOUNDS; i++)
        bound(firstNode(level) + node, i, (node * CHILDREN + i + 1) * perChild - 1);
  }
  for (let leaf = 0; leaf < leaves; leaf++) {
    const at = RANGES.NODES + (firstLeaf + leaf) * RANGES.NODE_BYTES;
    for (let i = 0; i < layout.BOUNDS; i++) bound(firstLeaf + leaf, i, leaf * perLeaf + i);
    for (let i = 0; i < perLeaf && leaf * perLeaf + i < ranges.count; i++) {
      const value = ranges.values[leaf * perLeaf + i];
      const cell = value === 0 ? 0 : value / 2 ** scale - origin;
      const to = at + layout.CELLS + cellBytes * i;
      if (cellBytes === 1) view.setUint8(to, cell);
      else if (cellBytes === 2) view.setUint16(to, cell, true);
      else view.setUint32(to, cell, true);
    }
    if (cellBytes === 1) for (let b = 0; b < 3; b++) view.setUint8(at + layout.ORIGIN! + b, origin >>> (8 * b));
    if (cellBytes === 2) view.setUint32(at + layout.ORIGIN!, origin, true);
  }
  return { kind: "ranges", family: 4, bytes, prefixes: columns.lengths.length };
}

function lookup({ bytes }: LpmImage, address: Ip): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { levels, cellBytes, scale } = rangesShape({ bytes });
  const below = (at: number, bounds: number): number => {
    let passed = 0;
    while (passed < bounds && view.getUint32(at + 4 * passed, true) < address) passed++;
    return passed;
  };
  const placeOf = (node: number): number => RANGES.NODES + node * RANGES.NODE_BYTES;
  let node = 0;
  for (let level = 0; level < levels - 1; level++) node = CHILDREN * node + 1 + below(placeOf(node), RANGES.BOUNDS);
  const leaf = placeOf(node);
  const layout = RANGES.LEAF[cellBytes];
  const at = leaf + layout.CELLS + cellBytes * below(leaf, layout.BOUNDS);
  const cell =
    cellBytes === 1 ? view.getUint8(at) : cellBytes === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
  if (cell === 0 || layout.ORIGIN === null) return cell;
  const origin = cellBytes === 1 ? view.getUint32(leaf + 60, true) >>> 8 : view.getUint32(leaf + layout.ORIGIN, true);
  return (origin + cell) * 2 ** scale;
}

export const ranges: LpmStructure = {
  kind: "ranges",
  families: [4],
  build: (_family: Family, entries: readonly LpmEntry[]) => buildRanges(columnsOf(4, entries)),
  lookup,
};
