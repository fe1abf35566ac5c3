/**
 * Which structure for which table.
 *
 *   up to comparesUpTo prefixes                                        linear: a cache line or two of rows
 *   one of MANY_TABLES small tables: IPv4, up to RANGES_UP_TO          ranges: two cache lines a look-up
 *                                    IPv6, up to COMPARES_OF_MANY      linear: for its size, a few percent of that of blocks
 *   others                                                             blocks, strides by measured size (strides.ts)
 *
 * A compare of IPv4 takes 0.45 ns in batches of eight side by side, blocks 0.6 ns (0.85 with host routes, of 3 levels in place of 2): the
 * third is one too many. Of IPv6 it takes 0.84 ns, and a level of blocks 0.23 ns, which looks at about eight bits: so a compare for each 32
 * bits of the longest prefix costs no more (`npm run bench -- small`; src/EXPERIMENTS.md).
 * `npm run bench -- vrfs` is about many tables: a look-up in one that has left the caches costs a miss for each line that it reads.
 *
 * `dir24` is never chosen: it is 16 MB at least. It wins on traffic that stays in few cache lines and can be forced. So can `spill`, the quickest
 * for batches in a full table with long prefixes or some 256 next hops: a table that changes becomes blocks. `poptrie` is here to be compared with.
 */
import type { Family } from "../net/ip.ts";
import { blocks, buildBlocks } from "./blocks.ts";
import { columnsOf, type PrefixColumns } from "./columns.ts";
import { dir24 } from "./dir24.ts";
import { linear } from "./linear.ts";
import type { LpmEntry, LpmImage, LpmKind, LpmStructure } from "./lpm.ts";
import { poptrie } from "./poptrie.ts";
import { ranges } from "./ranges.ts";
import { buildSpill, spill } from "./spill.ts";

/** @param longest bits of the longest prefix */
const comparesUpTo = (family: Family, longest: number): number =>
  family === 4 ? 2 : Math.max(1, Math.floor(longest / 32));
const COMPARES_OF_MANY = 4;
/** A table of more is changed in place, as `blocks`; one of ranges is built anew for each change. */
export const RANGES_UP_TO = 1024;
/** So many tables of a namespace that are small enough share the caches. */
export const MANY_TABLES = 8;

export const LPM_STRUCTURES: Readonly<Record<LpmKind, LpmStructure>> = {
  linear,
  blocks,
  dir24,
  ranges,
  poptrie,
  spill,
};

/**
 * @param prefixes how many the table holds
 * @param longest bits of the longest of them
 * @param isOfMany whether it is one of many small tables
 */
export function chooseLpm(family: Family, prefixes: number, longest: number, isOfMany = false): LpmKind {
  if (isOfMany && family === 4 && prefixes <= RANGES_UP_TO) return "ranges";
  return prefixes <= (isOfMany ? COMPARES_OF_MANY : comparesUpTo(family, longest)) ? "linear" : "blocks";
}

/**
 * The image of a table in the structure that suits it, or in `kind`.
 * @param strides of blocks; null: the table's own
 */
export function buildLpm(
  family: Family,
  entries: readonly LpmEntry[],
  kind: LpmKind = chooseLpm(family, entries.length, longestOf(entries)),
  strides: readonly number[] | null = null,
): LpmImage {
  if (kind === "blocks" && strides !== null) return buildBlocks(columnsOf(family, entries), { strides });
  return LPM_STRUCTURES[kind].build(family, entries);
}

/** Bits of the longest prefix. */
export const longestOf = (prefixes: readonly { readonly length: number }[]): number =>
  prefixes.reduce((longest, { length }) => Math.max(longest, length), 0);

/** The same of columns that are good and sorted, of IPv4. */
export function buildLpmOf(columns: PrefixColumns, kind: LpmKind, strides: readonly number[] | null): LpmImage {
  if (kind === "blocks") return buildBlocks(columns, { strides });
  if (kind === "spill") return buildSpill(columns);
  const { family, lengths, values } = columns;
  const entries = Array.from(lengths, (length, i) => ({ address: columns.words[i], length, value: values[i] }));
  return LPM_STRUCTURES[kind].build(family, entries);
}

/** The value of the longest matching entry, or 0, walked in TypeScript. */
export const lookupLpm = (image: LpmImage, address: number | bigint): number =>
  LPM_STRUCTURES[image.kind].lookup(image, address);
