/** Longest-prefix match: the structures, the choice among them, and what each image looks like. */
export { BLOCKS, type BlockLevel, type BlockShape, blockShape, blocks, buildBlocks } from "./blocks.ts";
export { buildLpm, chooseLpm, comparesUpTo, LPM_STRUCTURES, lookupLpm, MANY_TABLES, RANGES_UP_TO } from "./choose.ts";
export { columnsOf, type PrefixColumns, sortColumns } from "./columns.ts";
export { buildDir24, DIR24, type Dir24Shape, dir24, dir24Shape } from "./dir24.ts";
export { LINEAR, type LinearShape, linear, linearShape } from "./linear.ts";
export { type LpmEntry, type LpmImage, LpmKind, type LpmStructure } from "./lpm.ts";
export { buildPoptrie, POPTRIE, type PoptrieShape, poptrie, poptrieShape } from "./poptrie.ts";
export { buildRanges, RANGES, type RangesShape, ranges, rangesShape } from "./ranges.ts";
export { buildSpill, SPILL, SPILLED, type SpillShape, spill, spillShape } from "./spill.ts";
