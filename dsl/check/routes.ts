/**
 * Routes of the text: table, family, type, scope and metric as `ip route add` and the kernel complete them
 * (iproute2 `iproute_modify`, kernel `fib_create_info`, `fib_table_insert`, `ip6_route_info_create`).
 */
import type { TableId } from "../../runtime/brand.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import type { Family, Prefix } from "../../runtime/net/ip.ts";
import { bitsOf, familyOf, formatIp, formatPrefix, network } from "../../runtime/net/ip.ts";
import { ROUTE_TYPES, type RouteType } from "../../runtime/net/route-types.ts";
import type { Name, Route } from "../ast.ts";
import type { Origin } from "../model.ts";
import { Scope } from "../model.ts";
import type { NetDraft } from "./draft.ts";
import type { RouteDraft } from "./fib.ts";
import { AS_VRF, definedAt, didYouMean, protocolOf, requireScope, requireTable, requireVrf } from "./names.ts";
import { prefsrcOf } from "./prefsrc.ts";
import type { Reporter } from "./report.ts";
import { nexthopsOf } from "./route-hops.ts";
import { isReject } from "./route-types.ts";

/** Kernel: `IP6_RT_PRIO_USER`. */
const IP6_RT_PRIO_USER = 1024;

/** Adds one route of the text to its table. `block` is the `table N { }` that it stands in. */
export function addRoute(net: NetDraft, route: Route, block: TableId | null, origin: Origin, report: Reporter): void {
  const draft = draftOf(net, route, block, origin, report);
  if (draft !== undefined) insertRoute(net, route, draft, report);
}

/** The route as it is to stand in its table; undefined after an error. */
export function draftOf(
  net: NetDraft,
  route: Route,
  block: TableId | null,
  origin: Origin,
  report: Reporter,
): RouteDraft | undefined {
  const family = familyOfRoute(route, report);
  const type = typeOf(route, report);
  const table = tableOf(net, route, type, block, report);
  const scope = scopeOf(route, family, type, report);
  if (family === undefined || type === undefined || table === undefined || scope === undefined) return undefined;
  const prefix = prefixOf(route, family, report);
  const tos = tosOf(route, family, report);
  if (prefix === undefined || tos === undefined) return undefined;
  // The kernel makes the table before it looks at the route.
  net.fib.create(family, table);
  const nexthops = nexthopsOf({ net, family, table, scope, report, span: route.span }, route, type);
  const prefsrc = prefsrcOf({ net, family, type, prefix, table, nexthops }, route.src, report);
  if (nexthops === undefined || prefsrc === undefined) return undefined;
  return {
    family,
    table,
    prefix,
    // Kernel: fib_table_lookup: a blackhole next hop answers as a blackhole route.
    type: route.nhid && net.nexthops.get(route.nhid.value)?.blackhole ? "blackhole" : type,
    tos,
    // Kernel: ip6_route_add: metric 0 stands for the default.
    metric: (route.metric?.value ?? 0) || (family === 6 ? IP6_RT_PRIO_USER : 0),
    scope,
    protocol: protocolOf(route.protocol, "boot", report),
    prefsrc,
    nexthops,
    mtu: route.mtu?.value ?? null,
    origin,
  };
}

/** The family of everything that has one; `default` alone is IPv4. */
function familyOfRoute(route: Route, report: Reporter): Family | undefined {
  const prefix = route.prefix.value;
  if (prefix !== null) {
    const family = familyOf(prefix.address);
    if (route.family === undefined || route.family.value === family) return family;
    report.error("E0240", route.prefix.span, `${formatPrefix(prefix)} is not an IPv${route.family.value} prefix`, {
      label: `IPv${family}`,
      secondary: [{ span: route.family.span, message: `said to be IPv${route.family.value}` }],
    });
    return undefined;
  }
  if (route.family !== undefined) return route.family.value;
  const source = route.src ?? route.hops.find((h) => h.via)?.via;
  return source === undefined ? 4 : familyOf(source.value);
}

function typeOf(route: Route, report: Reporter): RouteType | undefined {
  if (route.type === undefined) return "unicast";
  const type = ROUTE_TYPES.find((t) => t === route.type!.value);
  if (type !== undefined && type !== "unspec") return type;
  report.error("E0241", route.type.span, `no route type \`${route.type.value}\``, {
    label: ROUTE_TYPES.slice(1).join(", "),
    ...didYouMean(route.type, ROUTE_TYPES.slice(1)),
  });
  return undefined;
}

/** The block's table, `vrf NAME`'s, `table`'s, else `local` for addresses of this host and `main` for the rest. */
function tableOf(
  net: NetDraft,
  route: Route,
  type: RouteType | undefined,
  block: TableId | null,
  report: Reporter,
): TableId | undefined {
  const named: { span: Name["span"]; table: TableId | undefined }[] = [];
  if (route.table) named.push({ span: route.table.span, table: requireTable(net, route.table, report) });
  if (route.vrf) named.push({ span: route.vrf.span, table: requireVrf(net, route.vrf, AS_VRF, report)?.table });
  if (named.some((n) => n.table === undefined)) return undefined;
  const said = named.map((n) => n.table!);
  const all = block === null ? said : [block, ...said];
  const other = named.find((n) => n.table !== all[0]);
  if (other !== undefined) {
    const name = (table: TableId) => net.tableNames.get(table) ?? String(table);
    report.error(
      "E0242",
      other.span,
      `the route is said to be in two tables, ${name(all[0])} and ${name(other.table!)}`,
      {
        label: `table ${name(other.table!)}`,
        secondary: block === null ? [{ span: named[0].span, message: `table ${name(all[0])}` }] : [],
        help: [{ message: "leave one of them out" }],
      },
    );
    return undefined;
  }
  if (all.length > 0) return all[0];
  return type === "local" || type === "broadcast" || type === "anycast" ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
}

/** Kernel: `fib_props`: how near a route of this type must at least be. */
const LEAST_SCOPE: { readonly [T in RouteType]?: Scope } = {
  local: Scope.HOST,
  broadcast: Scope.LINK,
  anycast: Scope.LINK,
};

function scopeOf(
  route: Route,
  family: Family | undefined,
  type: RouteType | undefined,
  report: Reporter,
): Scope | undefined {
  if (type === undefined || family === undefined) return undefined;
  const given = route.scope && requireScope(route.scope, report);
  if (route.scope && given === undefined) return undefined;
  // IPv6 has no route scopes: the kernel ignores what it is told.
  if (family === 6) return Scope.UNIVERSE;
  const scope = given ?? defaultScope(route, type);
  const least = LEAST_SCOPE[type] ?? Scope.UNIVERSE;
  if (scope >= least && (scope <= Scope.HOST || isReject(type))) return scope;
  report.error("E0243", route.scope!.span, `a ${type} route cannot have scope ${route.scope!.value}`, {
    label: least === Scope.HOST ? "`host` is its scope" : "too near or too far",
    kernel: "Error: Invalid scope.",
  });
  return undefined;
}

/** iproute2: what has a gateway may lead anywhere; without one it ends on the link. */
function defaultScope(route: Route, type: RouteType): Scope {
  if (type === "local") return Scope.HOST;
  if (type === "broadcast" || type === "multicast" || type === "anycast") return Scope.LINK;
  if (type !== "unicast" || route.nhid || route.hops.length > 1 || route.hops[0]?.via) return Scope.UNIVERSE;
  return Scope.LINK;
}

function prefixOf(route: Route, family: Family, report: Reporter): Prefix | undefined {
  const prefix = route.prefix.value;
  if (prefix === null) return { address: family === 4 ? 0 : 0n, length: 0 };
  const { address, length } = prefix;
  if (length < 0 || length > bitsOf(family)) {
    report.error("E0244", route.prefix.span, `/${length} is no IPv${family} prefix length`, {
      label: `0 to ${bitsOf(family)}`,
      kernel: "Error: Invalid prefix length.",
    });
    return undefined;
  }
  const masked: Prefix = { address: network(address, length), length };
  if (masked.address === address) return masked;
  // IPv6 masks silently (ip6_route_info_create), IPv4 refuses.
  if (family === 6) return masked;
  report.error("E0245", route.prefix.span, `${formatPrefix(prefix)} has bits set beyond its length`, {
    label: `the network is ${formatPrefix(masked)}`,
    kernel: "Error: Invalid prefix for given prefix length.",
    help: [
      { message: "name the network", edit: { span: route.prefix.span, text: formatPrefix(masked) } },
      {
        message: "or the one address",
        edit: { span: route.prefix.span, text: `${formatIp(address)}/${bitsOf(family)}` },
      },
    ],
  });
  return undefined;
}

function tosOf(route: Route, family: Family, report: Reporter): number | undefined {
  const tos = route.tos;
  if (tos === undefined || tos.value === 0) return 0;
  if (family === 6) {
    report.error("E0246", tos.span, "IPv6 routes have no TOS", {
      kernel: "Error: Invalid dsfield (tos): option not available for IPv6.",
    });
    return undefined;
  }
  if (tos.value > 0 && tos.value <= 255 && (tos.value & 3) === 0) return tos.value;
  report.error("E0246", tos.span, `0x${tos.value.toString(16)} is not a TOS for a route`, {
    label: "eight bits, of which the lowest two (ECN) are 0",
    kernel: "Error: Invalid dsfield (tos): ECN bits must be 0.",
  });
  return undefined;
}

/** Identity of a route: table, prefix, TOS (IPv4) and metric. With `append` several of one identity stand in order. */
export function insertRoute(net: NetDraft, route: Route, draft: RouteDraft, report: Reporter): void {
  const same = net.fib.at(draft.table, draft.prefix).find((r) => r.tos === draft.tos && r.metric === draft.metric);
  if (same === undefined || route.append) {
    net.fib.append(draft);
    return;
  }
  const table = net.tableNames.get(draft.table) ?? String(draft.table);
  report.error(
    "E0254",
    route.prefix.span,
    `table ${table} already has a route to ${formatPrefix(draft.prefix)} of metric ${draft.metric}`,
    {
      label: "the same table, prefix, TOS and metric",
      ...definedAt(same.origin.span, same.origin.kernel ?? "first defined here"),
      kernel: "RTNETLINK answers: File exists",
      help: [
        { message: "give it another metric, e.g. `metric 100`" },
        { message: "say `route append ...` if it is to stand behind the first" },
      ],
    },
  );
}
