/**
 * Which structure for which table.
 *
 *   up to COMPARES_UP_TO prefixes   linear: one row of compares is one or two cache lines, and `blocks` needs a root
 *   more                            blocks, strides by measured size (strides.ts)
 *
 * `dir24` is never chosen: it is 16 MB at least. It wins on traffic that stays in few cache lines and can be forced.
 * The crossover is from `npm run bench -- lookup`, whose tables of 1 to 16 routes show it.
 */
import type { Family } from "../net/ip.ts";
import { blocks } from "./blocks.ts";
import { dir24 } from "./dir24.ts";
import { linear } from "./linear.ts";
import type { LpmEntry, LpmImage, LpmKind, LpmStructure } from "./lpm.ts";

export const COMPARES_UP_TO = 4;

export const LPM_STRUCTURES: Readonly<Record<LpmKind, LpmStructure>> = { linear, blocks, dir24 };

/** @param prefixes how many the table holds */
export const chooseLpm = (prefixes: number): LpmKind => (prefixes <= COMPARES_UP_TO ? "linear" : "blocks");

/** The image of a table in the structure that suits it, or in `kind`. */
export function buildLpm(
  family: Family,
  entries: readonly LpmEntry[],
  kind: LpmKind = chooseLpm(entries.length),
): LpmImage {
  return LPM_STRUCTURES[kind].build(family, entries);
}

/** The value of the longest matching entry, or 0, walked in TypeScript. */
export const lookupLpm = (image: LpmImage, address: number | bigint): number =>
  LPM_STRUCTURES[image.kind].lookup(image, address);
