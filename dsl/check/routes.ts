/**
 * Routes of the text: table, family, type, scope and metric as `ip route add` and the kernel complete them
 * (iproute2 `iproute_modify`, kernel `fib_create_info`, `fib_table_insert`, `ip6_route_info_create`).
 */
import type { TableId } from "../../runtime/brand.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import type { Family, Ip, Prefix } from "../../runtime/net/ip.ts";
import { bitsOf, familyOf, formatIp, formatPrefix, network } from "../../runtime/net/ip.ts";
import type { Name, Route } from "../ast.ts";
import type { NextHop, Origin, RouteType } from "../model.ts";
import { ROUTE_TYPES, Scope } from "../model.ts";
import type { NetDraft } from "./draft.ts";
import { deviceByIndex } from "./draft.ts";
import type { RouteDraft } from "./fib.ts";
import { ownAddress6, validPrefsrc4 } from "./lookup.ts";
import { definedAt, didYouMean, protocolOf, requireScope, requireTable, requireVrf } from "./names.ts";
import type { HopContext } from "./nexthops.ts";
import { checkHop } from "./nexthops.ts";
import type { Reporter } from "./report.ts";

/** Kernel: `IP6_RT_PRIO_USER`. */
const IP6_RT_PRIO_USER = 1024;

/** Adds one route of the text to its table. `block` is the `table N { }` that it stands in. */
export function addRoute(net: NetDraft, route: Route, block: TableId | null, origin: Origin, report: Reporter): void {
  const family = familyOfRoute(route, report);
  const type = typeOf(route, report);
  const table = tableOf(net, route, type, block, report);
  const scope = scopeOf(route, family, type, report);
  if (family === undefined || type === undefined || table === undefined || scope === undefined) return;
  const prefix = prefixOf(route, family, report);
  const tos = tosOf(route, family, report);
  if (prefix === undefined || tos === undefined) return;
  // The kernel makes the table before it looks at the route.
  net.fib.create(family, table);
  const nexthops = nexthopsOf({ net, family, table, scope, report, span: route.span }, route, type);
  const prefsrc = prefsrcOf(net, route, family, type, prefix, table, nexthops, report);
  if (nexthops === undefined || prefsrc === undefined) return;
  const draft: RouteDraft = {
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
  insert(net, route, draft, report);
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
  if (route.vrf) named.push({ span: route.vrf.span, table: requireVrf(net, route.vrf, report)?.table });
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

const isReject = (type: RouteType): boolean =>
  type === "blackhole" || type === "unreachable" || type === "prohibit" || type === "throw";

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

/** All next hops, or undefined after an error in any of them. */
function nexthopsOf(context: HopContext, route: Route, type: RouteType): NextHop[] | undefined {
  const { report } = context;
  const hops = route.hops;
  if (route.nhid) return nexthopsOfObject(context, route, type);
  if (isReject(type)) {
    if (hops.length === 0 || context.family === 6) return [];
    report.error("E0247", hops[0].span, `a route of type ${type} has no gateway and no device`, {
      label: "nothing is sent anywhere",
      kernel: "Error: Gateway, device and multipath can not be specified for this route type.",
      help: [{ message: "remove it", edit: { span: hops[0].span, text: "" } }],
    });
    return undefined;
  }
  if (context.family === 4 && context.scope === Scope.HOST && !checkHostScope(route, type, report)) return undefined;
  const checked = (hops.length === 0 ? [{ span: route.span }] : hops).map((hop) => checkHop(context, hop));
  if (checked.some((n) => n === undefined)) return undefined;
  const nexthops = checked as NextHop[];
  // Kernel: a route of scope host ends here: its next hop is nowhere.
  return context.family === 4 && context.scope === Scope.HOST
    ? nexthops.map((n) => ({ ...n, scope: Scope.NOWHERE }))
    : nexthops;
}

/** Kernel: `fib_create_info`: "Local address is added". */
function checkHostScope(route: Route, type: RouteType, report: Reporter): boolean {
  const what = type === "local" ? "a local route" : "a route of scope host";
  const gateway = route.hops.find((h) => h.via)?.via;
  if (route.hops.length > 1) {
    report.error("E0248", route.hops[1].span, `${what} has one device, not several`, {
      kernel: "Error: Route with host scope can not have multiple nexthops.",
    });
  } else if (gateway) {
    report.error("E0248", gateway.span, `${what} has no gateway`, {
      label: "it ends on this host",
      kernel: "Error: Route with host scope can not have a gateway.",
    });
  } else return true;
  return false;
}

function nexthopsOfObject(
  { net, family, report, scope }: HopContext,
  route: Route,
  type: RouteType,
): NextHop[] | undefined {
  const nhid = route.nhid!;
  const object = net.nexthops.get(nhid.value);
  if (route.hops.length > 0) {
    report.error("E0249", route.hops[0].span, "the next hop is said twice: by `nhid` and in words", {
      label: "and here",
      secondary: [{ span: nhid.span, message: "said here" }],
      kernel: "Error: Nexthop specification and nexthop id are mutually exclusive.",
    });
    return undefined;
  }
  if (object === undefined) {
    report.error("E0250", nhid.span, `no nexthop ${nhid.value} above this line`, {
      label: "not defined",
      kernel: "Error: Nexthop id does not exist.",
      help: [{ message: `define it first: \`nexthop ${nhid.value} via ADDRESS dev DEVICE\`` }],
    });
    return undefined;
  }
  // Kernel: fib6_check_nexthop, and nexthop_check_scope of a gateway that is too near for the route.
  if (object.family !== null && family === 6 && object.family !== 6) {
    report.error("E0251", nhid.span, `nexthop ${nhid.value} is IPv4, the route IPv6`, {
      ...definedAt(object.span, "defined here"),
      kernel: "Error: IPv6 routes can not use an IPv4 nexthop.",
    });
    return undefined;
  }
  if (isReject(type) && family === 4) return [];
  // Kernel: fib_check_nexthop, nexthop_check_scope.
  const gateway = object.nexthops.some((n) => n.gateway !== null);
  if (family === 4 && scope === Scope.HOST && (object.group || gateway)) {
    report.error(
      "E0248",
      nhid.span,
      `a route of scope host has no ${object.group ? "group of next hops" : "gateway"}`,
      {
        ...definedAt(object.span, "defined here"),
        kernel: `Error: Route with host scope can not have ${object.group ? "multiple nexthops" : "a gateway"}.`,
      },
    );
    return undefined;
  }
  return [...object.nexthops];
}

/** `src`: an address of this host, in the route's table or in `local`. Null: none given; undefined after an error. */
function prefsrcOf(
  net: NetDraft,
  route: Route,
  family: Family,
  type: RouteType,
  prefix: Prefix,
  table: TableId,
  nexthops: readonly NextHop[] | undefined,
  report: Reporter,
): Ip | null | undefined {
  if (route.src === undefined) return null;
  const { value, span } = route.src;
  if (familyOf(value) !== family) {
    report.error("E0252", span, `source ${formatIp(value)} is not of the route's family`, {
      label: `the route is IPv${family}`,
    });
    return undefined;
  }
  if (isReject(type) || nexthops === undefined) return value;
  if (validSource(net, value, type, prefix, table, nexthops)) return value;
  const owner = net.devices.find((d) => d.addresses.some((a) => a.prefix.address === value));
  const span2 = owner?.addresses.find((a) => a.prefix.address === value)?.origin.span;
  report.error(
    "E0253",
    span,
    `source ${formatIp(value)} is not an address of this host${owner ? " in the route's table" : ""}`,
    {
      label: owner ? `\`${owner.name}\` has it, in another VRF` : "no device has it",
      secondary: span2 ? [{ span: span2, message: "assigned here" }] : [],
      kernel: family === 4 ? "Error: Invalid prefsrc address." : "Error: Invalid source address.",
    },
  );
  return undefined;
}

/** Kernel: `fib_valid_prefsrc` (a local route may name itself), `ipv6_chk_addr` on the next hop's device. */
function validSource(
  net: NetDraft,
  source: Ip,
  type: RouteType,
  prefix: Prefix,
  table: TableId,
  nexthops: readonly NextHop[],
): boolean {
  if (typeof source === "number") {
    if (type === "local" && prefix.address === source) return true;
    return validPrefsrc4(net, source, table === RT_TABLE_MAIN ? RT_TABLE_LOCAL : table);
  }
  const device = nexthops[0] && deviceByIndex(net, nexthops[0].device);
  return device !== undefined && ownAddress6(net, source, device);
}

/** Identity of a route: table, prefix, TOS (IPv4) and metric. */
function insert(net: NetDraft, route: Route, draft: RouteDraft, report: Reporter): void {
  const same = net.fib.at(draft.table, draft.prefix).find((r) => r.tos === draft.tos && r.metric === draft.metric);
  if (same === undefined) {
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
      help: [{ message: "give it another metric, e.g. `metric 100`" }],
    },
  );
}
