/**
 * `build`: how long it takes until a table can be asked: its file read, its structure built, a module of the look-up code alone
 * emitted and instantiated. A policy around the table (rules, devices, FIB entries) comes on top: `vrfc compile`.
 */
import { performance } from "node:perf_hooks";
import { buildBlocks } from "../../runtime/lpm/blocks.ts";
import type { PrefixColumns } from "../../runtime/lpm/columns.ts";
import type { Family } from "../../runtime/net/ip.ts";
import { type Racer, race } from "./harness.ts";
import { stridesOf } from "./lookup.ts";
import type { BenchOptions, Group, Report } from "./report.ts";
import { LookupRig } from "./rig.ts";
import { readRoutes } from "./routes.ts";
import { tablesOf } from "./tables.ts";

/** Addresses that the new table is asked, to see that it answers. */
const ASKED = 4096;

export async function build(options: BenchOptions): Promise<Report> {
  const groups: Group[] = [];
  for (const family of [4, 6] as const) {
    for (const { name, columns } of tablesOf(family, options.quick ? [256] : [65536], options)) {
      options.progress(name);
      const file = options.routes.find((path) => name.startsWith(path.split("/").pop()!)) ?? null;
      const racers = await racersOf(columns, family, file, options.seed);
      for (const racer of racers) await racer.sample();
      const baseline = racers[0].name;
      const results = await race(racers, { rounds: options.rounds, baseline });
      groups.push({ table: name, family, prefixes: columns.lengths.length, stream: "no", baseline, results });
    }
  }
  return { bench: "build", unit: "routes; 250 ns a route are 0.25 s for a million", groups };
}

async function racersOf(columns: PrefixColumns, family: Family, file: string | null, seed: number): Promise<Racer[]> {
  const bytes = buildBlocks(columns).bytes.length;
  (await moduleOf(columns)).variants("in-prefix", seed);
  const timed = (name: string, run: () => unknown): Racer => ({
    name,
    bytes,
    sample: async () => {
      const start = performance.now();
      await run();
      return ((performance.now() - start) * 1e6) / columns.lengths.length;
    },
  });
  const fromColumns = [
    timed(`columns to blocks ${stridesOf(buildBlocks(columns))}`, () => buildBlocks(columns)),
    timed("columns to a module that is asked", () => moduleOf(columns)),
  ];
  if (file === null) return fromColumns;
  return [
    ...fromColumns,
    timed("file to columns", () => readRoutes(file, family)),
    timed("file to a module that is asked", () => moduleOf(readRoutes(file, family))),
  ];
}

const moduleOf = (columns: PrefixColumns): Promise<LookupRig> =>
  LookupRig.of(
    columns,
    [{ name: "blocks", image: buildBlocks(columns), code: { lanes: 16, specialised: true } }],
    ASKED,
  );
