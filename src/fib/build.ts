/** buildFib: the routes of a model, gathered into one Fib for each namespace, family and table that has any. */
import { type Model, type Net, type NextHop, type Route, Scope } from "../../dsl/model.ts";
import { allRoutes, type RouteColumns, type SaidRoute } from "../../dsl/route-columns.ts";
import { ifIndex, LOOPBACK_IFINDEX, type TableId } from "../../runtime/brand.ts";
import { NEVER_PICKED, upperBounds } from "../../runtime/multipath.ts";
import { compareIp, type Family, type Ip, network, type Prefix } from "../../runtime/net/ip.ts";
import type { RouteType } from "../../runtime/net/route-types.ts";
import { Errno } from "../../runtime/verdict.ts";
import { rememberedOf } from "../remember.ts";
import type { Fib, FibAlias, FibEntry, FibHop, FibRows } from "./fib.ts";

/** @returns one Fib for each (net, family, table) that holds a route, in the order of nets, families and table ids */
export function buildFib(model: Model): Fib[] {
  return model.nets.flatMap((net) => fibsOf(net.routes, [net.index, net.columns], () => buildTables(net)));
}

/** The same with an entry for each row: for who wants to see them. */
export function withoutRows(fib: Fib): Fib {
  const { net, family, table, entries, rows } = fib;
  if (rows === null) return fib;
  const routes = entries.flatMap(({ aliases }) => aliases.map(({ route }) => route));
  return buildTable(net, family, table, { routes: allRoutes({ routes, columns: [rows.columns] }), columns: null });
}

const fibsOf = rememberedOf<readonly Route[], readonly Fib[]>(1);

function buildTables({ index, routes, columns }: Pick<Net, "index" | "routes" | "columns">): Fib[] {
  const byTable = new Map(columns.map((each) => [each.table, each]));
  return ([4, 6] as const).flatMap((family) => {
    const tables = groupBy(
      routes.filter((route) => route.family === family),
      ({ table }) => table,
    );
    const ids = new Set([...tables.keys(), ...(family === 4 ? byTable.keys() : [])]);
    return [...ids]
      .sort((a, b) => a - b)
      .map((table) => {
        const own = { routes: tables.get(table) ?? [], columns: (family === 4 && byTable.get(table)) || null };
        return buildTable(index, family, table, own);
      });
  });
}

interface TableRoutes {
  readonly routes: readonly Route[];
  readonly columns: RouteColumns | null;
}

function buildTable(net: number, family: Family, table: TableId, { routes, columns }: TableRoutes): Fib {
  const interner = new HopLists();
  const groups = byPrefix(routes);
  const aliases = groups.map((group) => (family === 4 ? buildAliases : buildAliases6)(group, interner));
  const covers = coversOf(groups.map((group) => group[0].prefix));
  const entries = groups.map(
    (group, i): FibEntry => ({
      prefix: group[0].prefix,
      aliases: aliases[i],
      settled: family === 4 ? isSettled(aliases[i][0]) : isSettled6(group),
      cover: covers[i],
    }),
  );
  const rows: FibRows | null = columns && { columns, aliases: buildAliases(columns.sayings, interner) };
  return { net, family, table, entries, rows, hopLists: interner.lists };
}

const buildAliases = <R extends SaidRoute>(group: readonly R[], interner: HopLists): FibAlias<R>[] =>
  group.map((route) => ({
    route,
    error: ROUTE_ERRORS[route.type] ?? 0,
    hops: interner.intern(route.nexthops, upperBounds(route.nexthops)),
  }));

/** IPv6: the bounds are those of all siblings, whatever their routes. */
function buildAliases6(group: readonly Route[], interner: HopLists): FibAlias[] {
  const boundOf = new Map<NextHop, number>();
  for (const routes of groupBy(group, ({ metric }) => metric).values()) {
    const siblings = routes.flatMap(({ nexthops }) => nexthops).filter(({ gateway }) => gateway !== null);
    const bounds = upperBounds(siblings);
    for (const [i, hop] of siblings.entries()) boundOf.set(hop, bounds[i]);
  }
  return group.map((route) => {
    const nexthops = nexthops6(route);
    const bounds = nexthops.map((hop) => boundOf.get(hop) ?? NEVER_PICKED);
    return { route, error: ROUTE_ERRORS[route.type] ?? 0, hops: interner.intern(nexthops, bounds) };
  });
}

/** A reject route leads to lo (fib6_nh_init). */
const nexthops6 = ({ nexthops }: Route): readonly NextHop[] => (nexthops.length === 0 ? [REJECT_NEXT_HOP] : nexthops);

const REJECT_NEXT_HOP: NextHop = {
  device: ifIndex(LOOPBACK_IFINDEX),
  gateway: null,
  weight: 1,
  onlink: false,
  scope: Scope.UNIVERSE,
  dead: false,
  source: 0n,
};

/** fib_props[] of k:net/ipv4/fib_semantics.c: the types that answer a look-up with an error. */
const ROUTE_ERRORS: Partial<Record<RouteType, Errno>> = {
  blackhole: Errno.EINVAL,
  unreachable: Errno.EHOSTUNREACH,
  prohibit: Errno.EACCES,
  throw: Errno.EAGAIN,
};

export const isSettled = ({ route, error }: FibAlias<SaidRoute>): boolean =>
  route.tos === 0 && (error !== 0 || (route.nexthops.length > 0 && !route.nexthops[0].dead));

/** One next hop, which an IPv4 packet is handed on to: of an entry that is settled by such an alias the short way takes packets. */
export const forwards = ({ route: { type, tos, nexthops } }: FibAlias<SaidRoute>): boolean =>
  type === "unicast" &&
  tos === 0 &&
  nexthops.length === 1 &&
  !nexthops[0].dead &&
  typeof nexthops[0].gateway !== "bigint";

const isSettled6 = (group: readonly Route[]): boolean => {
  const nexthops = group.flatMap(nexthops6);
  return nexthops.length === 1 && !nexthops[0].dead;
};

/** Shorter prefixes before those they contain, so that covers can be found with a stack. */
const comparePrefix = (a: Prefix, b: Prefix): number => compareIp(a.address, b.address) || a.length - b.length;

/** Routes of each prefix, in their order; from a checked text they come sorted. */
function byPrefix(routes: readonly Route[]): Route[][] {
  const groups: Route[][] = [];
  let last: Prefix | null = null;
  for (const route of routes.toSorted((a, b) => comparePrefix(a.prefix, b.prefix))) {
    if (last !== null && comparePrefix(last, route.prefix) === 0) groups[groups.length - 1].push(route);
    else groups.push([route]);
    last = route.prefix;
  }
  return groups;
}

/** For each of the sorted prefixes the index of the longest one before it that contains it. */
function coversOf(prefixes: readonly Prefix[]): (number | null)[] {
  const open: number[] = [];
  return prefixes.map((prefix, i) => {
    while (open.length > 0 && !contains(prefixes[open.at(-1)!], prefix.address)) open.pop();
    const cover = open.at(-1) ?? null;
    open.push(i);
    return cover;
  });
}

const contains = (outer: Prefix, address: Ip): boolean => network(address, outer.length) === outer.address;

/** Interns next-hop lists by content: a full table of 64k routes has few different ones. */
class HopLists {
  readonly lists: (readonly FibHop[])[] = [[]];
  readonly #index = new Map<string, number>([["", 0]]);

  intern(hops: readonly NextHop[], bounds: readonly number[]): number {
    const key = hops.map((hop, i) => `${hopKey(hop)},${bounds[i]}`).join(";");
    const known = this.#index.get(key);
    if (known !== undefined) return known;
    const index = this.lists.push(hops.map((hop, i) => ({ hop, upperBound: bounds[i] }))) - 1;
    this.#index.set(key, index);
    return index;
  }
}

const hopKey = ({ device, gateway, weight, onlink, scope, dead, source }: NextHop): string =>
  `${device},${typeof gateway === "bigint" ? "6," : ""}${gateway},${weight},${onlink},${scope},${dead},${source}`;

/** Groups in the order of their first members (Map.groupBy is not in Node 20). */
function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
