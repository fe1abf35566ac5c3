/**
 * Routes of files as columns: a full table is a million lines that differ in their prefix alone, and an object for each, with its prefix
 * and its origin, is what takes the time of a compilation. So of an IPv4 table the lines of files that say no more than a next hop are
 * rows of typed arrays, and what follows the prefix is said once:
 *
 *   address     length   said   line
 *   1.0.0.0     24       0      1              said 0: via 10.0.0.2, a Route but for its prefix and line
 *   1.0.4.0     22       1      2              said 1: via 10.0.0.3
 *   1.0.4.0     24       0      7
 *
 * Rows are sorted by address, then length; no two have the same prefix, and no route of `Net.routes` in that table has one of theirs: what
 * shares a prefix with another route is a route of `Net.routes`. Ids are those behind the last of these, in the rows' order.
 */
import { type RouteId, routeId, type TableId } from "../runtime/brand.ts";
import { compareIp } from "../runtime/net/ip.ts";
import type { Net, Route } from "./model.ts";

/** A route but for what its line has of its own: `origin.file.line` is 0. */
export type SaidRoute = Omit<Route, "id" | "prefix">;

export interface RouteColumns {
  readonly table: TableId;
  /** Of the first row. */
  readonly firstId: RouteId;
  readonly addresses: Uint32Array;
  /** 0 .. 32. */
  readonly lengths: Uint8Array;
  /** Places in `sayings`. */
  readonly said: Uint32Array;
  /** From 1. */
  readonly lines: Uint32Array;
  readonly sayings: readonly SaidRoute[];
}

/** A row as the route that it is. */
export function rowOf(columns: Omit<RouteColumns, "table">, row: number): Route {
  const { firstId, addresses, lengths, said, lines, sayings } = columns;
  const route = sayings[said[row]];
  const origin = { ...route.origin, file: { name: route.origin.file!.name, line: lines[row] } };
  return { ...route, id: routeId(firstId + row), prefix: { address: addresses[row], length: lengths[row] }, origin };
}

/** @param id of a route of the net, wherever it stands */
export function routeOf({ routes, columns }: Net, id: RouteId): Route {
  if (id < routes.length) return routes[id];
  let [low, high] = [0, columns.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (columns[middle].firstId <= id) low = middle;
    else high = middle - 1;
  }
  return rowOf(columns[low], id - columns[low].firstId);
}

export const routeCount = ({ routes, columns }: Net): number =>
  columns.reduce((sum, { lengths }) => sum + lengths.length, routes.length);

/** Every route, by family, table and prefix, and of a prefix in the order in which they are tried: an object for each, so not for who is in a hurry. */
export function allRoutes({ routes, columns }: Pick<Net, "routes" | "columns">): readonly Route[] {
  if (columns.length === 0) return routes;
  const rows = columns.flatMap((each) => Array.from(each.lengths, (_, row) => rowOf(each, row)));
  return [...routes, ...rows].sort(
    (a, b) =>
      a.family - b.family ||
      a.table - b.table ||
      compareIp(a.prefix.address, b.prefix.address) ||
      a.prefix.length - b.prefix.length,
  );
}
