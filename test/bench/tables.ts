/** The tables that the look-up benchmarks run on. */
import { basename } from "node:path";
import type { PrefixColumns } from "../../runtime/lpm/columns.ts";
import type { Family } from "../../runtime/net/ip.ts";
import { generateTable } from "./generate.ts";
import type { BenchOptions } from "./report.ts";
import { readRoutes } from "./routes.ts";

export interface Table {
  readonly name: string;
  readonly columns: PrefixColumns;
}

const NEXT_HOPS = 16;

/**
 * The files' tables of the family, and generated ones of the sizes that were asked for.
 * @param usual sizes where neither was
 */
export function tablesOf(family: Family, usual: readonly number[], options: BenchOptions): Table[] {
  const { seed, sizes, routes, progress } = options;
  const generated = (sizes.length + routes.length > 0 ? sizes : usual).map((prefixes): Table => {
    progress(`IPv${family}, ${prefixes} routes: generating`);
    const columns = generateTable({ family, prefixes, nextHops: NEXT_HOPS, seed });
    return { name: `${prefixes} ${prefixes === 1 ? "route" : "routes"}, IPv${family}`, columns };
  });
  const read = routes.map((path): Table => {
    progress(`${path}: reading`);
    const columns = readRoutes(path, family);
    return { name: `${basename(path)}, ${columns.lengths.length} routes, IPv${family}`, columns };
  });
  return [...generated, ...read.filter(({ columns }) => columns.lengths.length > 0)];
}
