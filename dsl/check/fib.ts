/**
 * Routing tables while they are filled: table -> prefix length -> network -> the routes of that prefix in the order in
 * which they are tried (TOS descending, metric ascending, as added). The checks search it as the kernel searches its own
 * to validate gateways and sources; the order is the one `Net.routes` keeps. Plain lines of files are rows (row-table.ts) for as long as
 * they are alone with their prefix.
 */
import type { TableId } from "../../runtime/brand.ts";
import type { Family, Ip, Prefix } from "../../runtime/net/ip.ts";
import { bitsOf, compareIp, familyOf, network } from "../../runtime/net/ip.ts";
import type { Route } from "../model.ts";
import { RowTable } from "./row-table.ts";

export type RouteDraft = Omit<Route, "id">;

/** Indexed by prefix length, 0 .. 128. */
type Levels = (Map<Ip, RouteDraft[]> | undefined)[];

export class Fib {
  private readonly tables = { 4: new Map<TableId, Levels>(), 6: new Map<TableId, Levels>() };
  private readonly rowTables = new Map<TableId, RowTable>();

  /** Kernel: `fib_get_table`: a table exists once a route or a rule has named it. */
  has(family: Family, table: TableId): boolean {
    return this.tables[family].has(table);
  }

  /** Kernel: `fib_new_table`. */
  create(family: Family, table: TableId): void {
    if (!this.has(family, table)) this.tables[family].set(table, []);
  }

  /** Routes of exactly this prefix, in order. */
  at(table: TableId, prefix: Prefix): readonly RouteDraft[] {
    const { address, length } = prefix;
    const routes = this.tables[familyOf(address)].get(table)?.[length]?.get(address);
    if (routes !== undefined) return routes;
    const rows = typeof address === "number" ? this.rowTables.get(table) : undefined;
    const row = rows?.find(address as number, length) ?? -1;
    return row < 0 ? [] : [rows!.route(row)];
  }

  /** The rows of an IPv4 table, which are there from then on. */
  rows(table: TableId): RowTable {
    const known = this.rowTables.get(table);
    if (known !== undefined) return known;
    this.create(4, table);
    const made = new RowTable();
    this.rowTables.set(table, made);
    return made;
  }

  /** In the order of their tables. */
  allRows(): [TableId, RowTable][] {
    return [...this.rowTables].sort(([a], [b]) => a - b);
  }

  /** No route of an IPv4 table has this prefix. */
  isFree(table: TableId, address: number, length: number): boolean {
    const level = this.tables[4].get(table)?.[length];
    return !level?.has(address) && (this.rowTables.get(table)?.find(address, length) ?? -1) < 0;
  }

  /** Behind all routes of the same TOS and metric (kernel: NLM_F_APPEND). */
  append(route: RouteDraft): void {
    this.create(route.family, route.table);
    if (route.family === 4) this.noRow(route);
    this.insert(route);
  }

  /** What was a row of the prefix becomes a route as others are. */
  private noRow({ table, prefix }: RouteDraft): void {
    const rows = this.rowTables.get(table);
    const row = rows?.find(prefix.address as number, prefix.length) ?? -1;
    if (row >= 0) this.insert(rows!.take(row));
  }

  private insert(route: RouteDraft): void {
    const levels = this.tables[route.family].get(route.table)!;
    levels[route.prefix.length] ??= new Map();
    const level = levels[route.prefix.length]!;
    const routes = level.get(route.prefix.address) ?? [];
    const behind = routes.findIndex((r) => r.tos < route.tos || (r.tos === route.tos && r.metric > route.metric));
    routes.splice(behind < 0 ? routes.length : behind, 0, route);
    level.set(route.prefix.address, routes);
  }

  /** The routes whose prefix holds `address`, longest prefix first. */
  *covering(table: TableId, address: Ip): Iterable<RouteDraft> {
    const family = familyOf(address);
    const levels = this.tables[family].get(table) ?? [];
    const rows = family === 4 ? this.rowTables.get(table) : undefined;
    for (let length = bitsOf(family) as number; length >= 0; length--) {
      const level = levels[length];
      if (level) yield* level.get(network(address, length)) ?? [];
      const row = rows?.holding(address as number, length) ?? -1;
      if (row >= 0) yield rows!.route(row);
    }
  }

  /** Everything but rows: by family, table, prefix (address, then length), and within a prefix as tried. */
  *[Symbol.iterator](): Iterator<RouteDraft> {
    for (const family of [4, 6] as const) {
      const tables = [...this.tables[family]].sort(([a], [b]) => a - b);
      for (const [, levels] of tables) {
        const prefixes = levels.flatMap((level) => (level ? [...level.values()] : []));
        prefixes.sort(([a], [b]) => compareIp(a.prefix.address, b.prefix.address) || a.prefix.length - b.prefix.length);
        for (const routes of prefixes) yield* routes;
      }
    }
  }
}
