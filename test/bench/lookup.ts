/**
 * `lookup`, `lookup6`: longest-prefix match, every structure on small, middle and big tables and three kinds of traffic;
 * `small`: which structure is best for 1 to 4,000 routes, and which is chosen (runtime/lpm/choose.ts);
 * `strides`: the split that was chosen against others (runtime/lpm/strides.ts).
 */
import { blockShape, buildBlocks } from "../../runtime/lpm/blocks.ts";
import { chooseLpm } from "../../runtime/lpm/choose.ts";
import type { PrefixColumns } from "../../runtime/lpm/columns.ts";
import { buildDir24 } from "../../runtime/lpm/dir24.ts";
import { linear } from "../../runtime/lpm/linear.ts";
import type { LpmImage, LpmKind } from "../../runtime/lpm/lpm.ts";
import { buildPoptrie } from "../../runtime/lpm/poptrie.ts";
import { buildRanges } from "../../runtime/lpm/ranges.ts";
import { spillShape } from "../../runtime/lpm/spill.ts";
import type { Family } from "../../runtime/net/ip.ts";
import { prefixAt, type Stream } from "./generate.ts";
import { measure } from "./harness.ts";
import type { BenchOptions, Group, Report } from "./report.ts";
import { type Contestant, LookupRig } from "./rig.ts";
import { type Table, tablesOf } from "./tables.ts";

/** Addresses a run: enough that a stream does not fit the first caches, except where the table does anyway. */
export const ADDRESSES = { quick: 2 ** 12, small: 2 ** 16, 6: 2 ** 21, 4: 2 ** 22 };

export const lookup = (options: BenchOptions): Promise<Report> =>
  report("lookup", tablesOf(4, options.quick ? [16, 256] : [16, 256, 65536], options), structures, options);

export const lookup6 = (options: BenchOptions): Promise<Report> =>
  report("lookup6", tablesOf(6, options.quick ? [16, 256] : [16, 256, 65536], options), structures, options);

export const small = (options: BenchOptions): Promise<Report> => {
  const sizes = [1, 2, 3, 4, 6, 16, 64, 256, 1024, 4000];
  const tables = ([4, 6] as const).flatMap((family) => tablesOf(family, sizes, options));
  return report("small", tables, everyStructure, options);
};

export const strides = (options: BenchOptions): Promise<Report> => {
  const sizes = options.quick ? [16, 256] : [16, 256, 4096, 65536];
  const tables = ([4, 6] as const).flatMap((family) => tablesOf(family, sizes, options));
  return report("strides", tables, splits, options);
};

interface Field {
  readonly contestants: readonly Contestant[];
  readonly baseline: string;
}

async function report(
  bench: string,
  tables: readonly Table[],
  fieldOf: (columns: PrefixColumns) => Field,
  options: BenchOptions,
): Promise<Report> {
  const groups: Group[] = [];
  for (const { name, columns } of tables) {
    const { contestants, baseline } = fieldOf(columns);
    const size = options.quick ? "quick" : columns.lengths.length <= 16 ? "small" : columns.family;
    const rig = await LookupRig.of(columns, contestants, ADDRESSES[size]);
    for (const stream of options.streams) {
      options.progress(`${name}, ${stream}`);
      const variants = rig.variants(stream, options.seed);
      const results = await measure(variants, { rounds: options.rounds, baseline });
      groups.push({ table: name, family: columns.family, prefixes: columns.lengths.length, stream, baseline, results });
    }
  }
  return { bench, unit: "look-ups, batches of 256", groups };
}

/** Comparing more one by one says nothing new. */
const LINEAR_UP_TO = 256;

const wasm = (lanes: number, specialised = true) => ({ lanes, specialised });

const linearImage = (columns: PrefixColumns): LpmImage =>
  linear.build(
    columns.family,
    Array.from(columns.values, (value, i) => ({ ...prefixAt(columns, i), value })),
  );

/** Every structure, as wasm and as JavaScript. */
function structures(columns: PrefixColumns): Field {
  const blocks = buildBlocks(columns);
  const name = `blocks ${stridesOf(blocks)}`;
  const contestants: Contestant[] = [
    { name: `${name} x1`, image: blocks, code: wasm(1) },
    { name: `${name} x8`, image: blocks, code: wasm(8) },
    { name: `${name} x16`, image: blocks, code: wasm(16) },
    { name: `${name} SIMD`, image: blocks, code: "simd" },
    { name: "blocks, any shape x8", image: blocks, code: wasm(8, false) },
    { name: "blocks, JavaScript", image: blocks, code: "javascript" },
  ];
  if (columns.lengths.length <= LINEAR_UP_TO) {
    const row = linearImage(columns);
    contestants.push({ name: "linear x8", image: row, code: wasm(8) });
    contestants.push({ name: "linear, JavaScript", image: row, code: "javascript" });
  }
  if (columns.family === 4) {
    for (const image of [buildDir24(columns), buildRanges(columns), buildPoptrie(columns)]) {
      contestants.push({ name: `${image.kind} x8`, image, code: wasm(8) });
      contestants.push({ name: `${image.kind}, JavaScript`, image, code: "javascript" });
    }
  }
  return { contestants, baseline: "blocks, JavaScript" };
}

/** What --lpm can force, but for compares where they are many; one after the other, and eight side by side. */
function everyStructure(columns: PrefixColumns): Field {
  const { family, lengths } = columns;
  const chosen = chooseLpm(family, lengths.length, longestPrefix(columns));
  const images = [
    ...(lengths.length <= COMPARES ? [linearImage(columns)] : []),
    buildBlocks(columns),
    ...(family === 4 ? [buildDir24(columns), buildRanges(columns), buildPoptrie(columns)] : []),
  ];
  const name = (kind: LpmKind, lanes: number) => `${kind} x${lanes}${kind === chosen ? " (chosen)" : ""}`;
  const contestants = [1, 8].flatMap((lanes): Contestant[] =>
    images.map((image) => ({ name: name(image.kind, lanes), image, code: wasm(lanes) })),
  );
  return { contestants, baseline: name(chosen, 8) };
}
const COMPARES = 16;

const OTHER_SPLITS: Readonly<Record<Family, readonly (readonly number[])[]>> = {
  4: [
    [12, 12],
    [8, 8, 8],
    [16, 8],
    [18, 6],
    [20, 4],
    [12, 12, 8],
    [8, 8, 8, 8],
    [16, 8, 8],
    [20, 4, 8],
  ],
  6: [
    [16, 8, 8, 8, 8],
    [8, 8, 8, 8, 8, 8],
    [16, 8, 8, 4, 4, 4, 4],
    [16, 4, 4, 4, 4, 4, 4, 4, 4],
    [8, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4],
  ],
};

const longestPrefix = ({ lengths }: PrefixColumns): number => lengths.reduce((a, b) => Math.max(a, b), 0);

function splits(columns: PrefixColumns): Field {
  const chosen = buildBlocks(columns);
  const baseline = `${stridesOf(chosen)} (chosen)`;
  const longest = longestPrefix(columns);
  const others = OTHER_SPLITS[columns.family]
    .filter((split) => sum(split) >= longest && sum(split) < longest + 8)
    .map((split) => ({ name: split.join("-"), image: buildBlocks(columns, { strides: split }), code: wasm(8) }));
  return { contestants: [{ name: baseline, image: chosen, code: wasm(8) }, ...others], baseline };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
/** `20-4`; of a spill both structures': `20-4+8-8-8-8`. */
export function stridesOf(image: LpmImage): string {
  const { main, rest } = image.kind === "spill" ? spillShape(image) : { main: blockShape(image), rest: null };
  return [main, ...(rest === null ? [] : [rest])]
    .map(({ levels }) => levels.map((level) => level.stride).join("-"))
    .join("+");
}

export type { Stream };
