/**
 * Which structure for which table.
 *
 *   up to COMPARES_UP_TO prefixes   linear: a cache line or two of rows
 *   more                            blocks, strides by measured size (strides.ts)
 *
 * `npm run bench -- small` shows the crossover. Nanoseconds a look-up, one lane, specialised code, fastest of 60 rounds:
 *
 *   prefixes          1     2     3     4     5     6     8      bytes of 4
 *   IPv4 linear    1.16  2.05  2.55  2.90  3.31  3.86  5.45              56
 *   IPv4 blocks    1.88  1.89  1.89  1.91  1.90  1.90  1.90          32,836
 *   IPv6 linear    2.12  4.08  5.57  6.93  8.07  12.5  17.7             168
 *   IPv6 blocks    7.88  7.82  8.08  7.96  8.25  7.95  11.7          10,308
 *
 * IPv6 breaks even at 4 to 5. IPv4 does at 2 while blocks have the first-level cache to themselves; with packets and other
 * tables in it they have not, and 1 ns buys a table of one six-hundredth the size.
 *
 * `dir24` is never chosen: it is 16 MB at least. It wins on traffic that stays in few cache lines and can be forced.
 */
import type { Family } from "../net/ip.ts";
import { blocks, buildBlocks } from "./blocks.ts";
import { columnsOf } from "./columns.ts";
import { dir24 } from "./dir24.ts";
import { linear } from "./linear.ts";
import type { LpmEntry, LpmImage, LpmKind, LpmStructure } from "./lpm.ts";

export const COMPARES_UP_TO = 4;

export const LPM_STRUCTURES: Readonly<Record<LpmKind, LpmStructure>> = { linear, blocks, dir24 };

/** @param prefixes how many the table holds */
export const chooseLpm = (prefixes: number): LpmKind => (prefixes <= COMPARES_UP_TO ? "linear" : "blocks");

/**
 * The image of a table in the structure that suits it, or in `kind`.
 * @param strides of blocks; null: the table's own
 */
export function buildLpm(
  family: Family,
  entries: readonly LpmEntry[],
  kind: LpmKind = chooseLpm(entries.length),
  strides: readonly number[] | null = null,
): LpmImage {
  if (kind === "blocks" && strides !== null) return buildBlocks(columnsOf(family, entries), { strides });
  return LPM_STRUCTURES[kind].build(family, entries);
}

/** The value of the longest matching entry, or 0, walked in TypeScript. */
export const lookupLpm = (image: LpmImage, address: number | bigint): number =>
  LPM_STRUCTURES[image.kind].lookup(image, address);
