/**
 * Routes as a kernel would hold them while a script runs, as far as the order of commands decides: whether a gateway can
 * be reached now, whether the route is there already, what goes when a device goes down.
 *
 *   add/append/prepend/replace/change  fib_table_insert, fib6_add_rt2node
 *   del, flush                         fib_table_delete, ip6_route_del
 *   gateway, device, source            next-hop.ts
 *   device down, deleted, (un)enslaved fib_sync_down_dev, rt6_disable_ip
 */
import type { Route as RouteNode, Spanned } from "../../dsl/ast.ts";
import { Scope } from "../../dsl/model.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import type { Ip } from "../../runtime/net/ip.ts";
import { inOrder, kernelRoutes } from "./lookup.ts";
import { checkHop, checkSource } from "./next-hop.ts";
import { checkRouteWords } from "./route-checks.ts";
import {
  type Address,
  type Device,
  type FibHop,
  type FibRoute,
  hasHops,
  isSamePrefix,
  metricOf,
  type NetNs,
  prefixOf,
  Route,
  type RouteRequest,
} from "./state.ts";
import { Errno, Refused, tableText, Unsupported } from "./words.ts";

export type RouteAction = "test" | "add" | "append" | "prepend" | "replace" | "change";

// ---- add ----------------------------------------------------------------------------------------------------------

/** Adds a route as the command says, or refuses with the kernel's words. */
export function addRoute(request: RouteRequest, action: RouteAction): Route {
  const { ns, node } = request;
  checkRouteWords(request);
  if (node.nhid !== undefined) requireNextHop(ns, node.nhid);
  const hops = hasHops(node.type?.value ?? "unicast")
    ? node.hops.map((hop, i) => checkHop(request, hop, request.devices[i]))
    : [];
  checkSource(request, hops);

  if (request.family === 6 && hops.some((hop, i) => hops.slice(0, i).some((other) => isSameHop(hop, other))))
    throw new Refused(Errno.EEXIST, node.span);

  const first = findSame(request);
  if ((action === "add" || (action === "test" && request.family === 6)) && first)
    throw new Refused(Errno.EEXIST, node.span, whereIs(first));
  if (action === "test" && request.family === 4) throw new Refused(first ? Errno.EEXIST : Errno.ENOENT, node.span);
  if (action === "change" && !first) throw new Refused(noMatch(request), node.span);
  const isReplaced = action === "replace" || action === "change";
  const twins = routesAt(request).filter((other) => isSameKey(other, request));
  const match = twins.find((other) => isSameWay(other, request, hops));
  // fib_table_insert: what replaces itself is no change, what stands behind the first is there already.
  if (match && (!isReplaced || (request.family === 4 && match !== first)))
    throw new Refused(Errno.EEXIST, node.span, whereIs(match));
  if (first && isReplaced) return replaceRoute(request, hops, replacedBy(twins, hops));
  const sibling = twins.find((other) => other instanceof Route && canJoin(other, hops));
  if (sibling instanceof Route) return joinRoute(sibling, request, hops);

  const route = new Route(request, hops);
  ns.entered.push(route);
  // Of IPv6 routes a new one always stands behind (fib6_add_rt2node).
  const isBefore = action === "prepend" && request.family === 4 && first !== undefined;
  if (isBefore) takeTwins(ns, first);
  ns.routes.add(
    route,
    isBefore ? ns.routes.at(4, route.table, route.prefix).find((other) => shadows(other, route)) : undefined,
  );
  return route;
}

/**
 * fib_magic: a connected route is appended, so that it stands behind the routes of commands and of other devices that are
 * there already when its device comes up or gets its address. kernelRoutes lists devices in the order of their creation.
 */
export function placePrefixRoutes(device: Device, addresses: readonly Address[]): void {
  const { ns } = device;
  const before = kernelRoutes(ns, 4);
  for (const [i, made] of before.entries()) {
    const { address } = made;
    if (!address || !addresses.includes(address) || made.type !== "unicast") continue;
    const isLate =
      ns.routes.at(4, made.table, made.prefix).some((other) => shadows(other, made)) ||
      before.slice(i + 1).some((other) => other.hops[0].device !== device && shadows(other, made));
    if (isLate) takePrefixRoute(ns, made, address);
  }
}

/** Connected routes of one key become routes like those of commands, and stay before these; as they were, with what they are now. */
function takeTwins(ns: NetNs, first: FibRoute): ReadonlyMap<Address, Route> {
  const made = kernelRoutes(ns, first.family).filter((other) => shadows(other, first) && other.type === "unicast");
  const [behind] = ns.routes.at(first.family, first.table, first.prefix).filter((other) => shadows(other, first));
  const addresses = made.flatMap(({ address }) => (address ? [address] : []));
  return new Map(addresses.map((address, i) => [address, takePrefixRoute(ns, made[i], address, behind)]));
}

/** A connected route becomes a route like those of commands, behind them or before one of them. */
function takePrefixRoute(ns: NetNs, made: FibRoute, address: Address, before?: Route): Route {
  const { family, table, scope, prefix, metric } = made;
  const { device, local, node } = address;
  const { span } = node;
  const request: RouteRequest = {
    ns,
    family,
    table,
    scope,
    devices: [device],
    node: {
      kind: "route",
      span,
      prefix: { value: prefix, span },
      hops: [{ span, dev: { value: device.name.value, span } }],
      ...(table === RT_TABLE_MAIN ? {} : { table: { value: tableText(table), span } }),
      protocol: { value: "kernel", span },
      scope: { value: "link", span },
      src: { value: local, span },
      ...(metric ? { metric: { value: metric, span } } : {}),
    },
  };
  const route = new Route(request, made.hops);
  address.lostPrefixRoute = true;
  ns.entered.push(route);
  ns.routes.add(route, before);
  return route;
}

/** The first; of IPv6 routes the first that has a gateway if the new one has, and none if it has none. */
const replacedBy = (twins: readonly FibRoute[], hops: readonly FibHop[]): FibRoute =>
  twins.find(({ family, hops: old }) => family === 4 || hasGateways(old) === hasGateways(hops)) ?? twins[0];

const hasGateways = (hops: readonly FibHop[]): boolean => hops.length > 0 && hops.every((hop) => hop.gateway !== null);

/** fib6_add_1 finds no node of the prefix, fib6_add_rt2node no route of the metric; IPv4 says the same of both. */
const noMatch = (request: RouteRequest): string =>
  request.family === 6 && routesAt(request).length === 0
    ? "Error: Can not replace route - no match found."
    : Errno.ENOENT;

function requireNextHop(ns: NetNs, { value, span }: Spanned<number>): void {
  if (ns.nexthops.every((entry) => entry.node.id.value !== value))
    throw new Refused("Error: Nexthop id does not exist.", span);
}

const isSameHop = (a: FibHop, b: FibHop): boolean => a.device === b.device && a.gateway === b.gateway;

/**
 * True for a route that stands behind another of the same table, prefix, TOS and metric (append), or behind one that was
 * put before it (prepend): Linux uses it only when the first cannot be used.
 */
export const isShadowed = (route: Route): boolean =>
  twinsOf(route)[0] !== route || kernelRoutes(route.ns, route.family).some((other) => shadows(route, other));

/** The routes, this one among them, of its table, prefix, TOS and metric. */
export const twinsOf = (route: Route): Route[] =>
  route.ns.routes.at(route.family, route.table, route.prefix).filter((other) => shadows(route, other));

/** Same family, table, prefix, TOS and metric: what makes two routes one. */
export const shadows = (a: FibRoute, b: FibRoute): boolean =>
  a.family === b.family &&
  a.table === b.table &&
  isSamePrefix(a.prefix, b.prefix) &&
  a.tos === b.tos &&
  a.metric === b.metric;

/** The routes of exactly the table and prefix that a command names, in order. */
function routesAt(request: RouteRequest): FibRoute[] {
  const { ns, family, table } = request;
  const prefix = prefixOf(request);
  const made = kernelRoutes(ns, family).filter((route) => route.table === table && isSamePrefix(route.prefix, prefix));
  return [...made, ...ns.routes.at(family, table, prefix)].sort(inOrder);
}

/** The route that (table, prefix, TOS, metric) names. */
const findSame = (request: RouteRequest): FibRoute | undefined =>
  routesAt(request).find((other) => isSameKey(other, request));

const isSameKey = (other: FibRoute, request: RouteRequest): boolean =>
  other.tos === (request.node.tos?.value ?? 0) && other.metric === metricOf(request);

/** fib_find_info: everything is the same; rt6_duplicate_nexthop: one of the next hops is. Of IPv6, all that refuse lead to lo. */
function isSameWay(other: FibRoute, { node, scope, family }: RouteRequest, hops: readonly FibHop[]): boolean {
  if (!(other instanceof Route)) return false;
  if (family === 6 && hops.length === 0) return other.hops.length === 0;
  if (family === 6) return other.hops.some((hop) => hops.some((mine) => isSameHop(hop, mine)));
  return (
    other.type === (node.type?.value ?? "unicast") &&
    other.scope === scope &&
    other.node.src?.value === node.src?.value &&
    (other.node.protocol?.value ?? "boot") === (node.protocol?.value ?? "boot") &&
    other.node.mtu?.value === node.mtu?.value &&
    other.node.nhid?.value === node.nhid?.value &&
    other.hops.length === hops.length &&
    other.hops.every((hop, i) => isSameHop(hop, hops[i]))
  );
}

function whereIs(route: FibRoute): { span: RouteNode["span"]; message: string } | undefined {
  if (route instanceof Route)
    return { span: route.node.span, message: "this route has the same table, prefix, TOS and metric" };
  return route.address
    ? { span: route.address.node.span, message: "the route of this address is the same" }
    : undefined;
}

function replaceRoute(request: RouteRequest, hops: readonly FibHop[], first: FibRoute): Route {
  const { ns } = request;
  const isAlone = routesAt(request).filter((other) => isSameKey(other, request)).length === 1;
  const taken = first.family === 4 && first.address && !isAlone ? takeTwins(ns, first).get(first.address) : undefined;
  const old = taken ?? first;
  const route = new Route(request, hops);
  ns.entered.push(route);
  if (old instanceof Route) {
    route.inherit(old);
    ns.routes.replace(old, route);
  } else {
    if (old.address) old.address.lostPrefixRoute = true;
    ns.routes.add(route);
  }
  return route;
}

/** IPv6 routes of one prefix and metric that have gateways are one multipath route (rt6_qualify_for_ecmp). */
const canJoin = (first: Route, hops: readonly FibHop[]): boolean =>
  first.family === 6 && hasGateways(first.hops) && hasGateways(hops);

function joinRoute(first: Route, request: RouteRequest, hops: readonly FibHop[]): Route {
  const node = { ...first.node, hops: [...first.node.hops, ...request.node.hops] };
  const joined = new Route({ ...request, node }, [...first.hops, ...hops]);
  joined.inherit(first);
  request.ns.routes.replace(first, joined);
  request.ns.entered.push(joined);
  return joined;
}

// ---- delete and flush ---------------------------------------------------------------------------------------------

/** `ip route del`: the first route of the prefix that has everything the command names, several IPv4 hops in their order. */
export function deleteRoute(request: RouteRequest): FibRoute {
  const { ns, node } = request;
  if (node.nhid !== undefined) requireNextHop(ns, node.nhid);
  const found = routesAt(request).find((route) => isMeant(route, request));
  if (found === undefined) throw new Refused(hasTable(request) ? Errno.ESRCH : NO_TABLE, node.span);
  removeRoute(ns, found);
  return found;
}

const NO_TABLE = "Error: FIB table does not exist.";

/** fib_get_table: a table is there once a route was; local and main always are. */
const hasTable = ({ ns, family, table }: RouteRequest): boolean =>
  table === RT_TABLE_MAIN ||
  table === RT_TABLE_LOCAL ||
  ns.entered.some((entry) => entry instanceof Route && entry.family === family && entry.table === table) ||
  kernelRoutes(ns, family).some((route) => route.table === table);

function isMeant(route: FibRoute, { node, family, devices, scope }: RouteRequest): boolean {
  const own = route instanceof Route ? route.node : null;
  const isMeantHop = ({ device, gateway }: FibHop, i: number): boolean =>
    (devices[i] === null || devices[i] === device) &&
    (node.hops[i].via === undefined || node.hops[i].via?.value === gateway);
  return (
    (family === 6 || route.tos === (node.tos?.value ?? 0)) &&
    // ip6_route_del does not look at the type.
    (family === 6 || node.type === undefined || node.type.value === route.type) &&
    (node.metric === undefined || node.metric.value === route.metric) &&
    (node.src === undefined || node.src.value === own?.src?.value) &&
    (node.protocol === undefined ||
      node.protocol.value === (own === null ? "kernel" : (own.protocol?.value ?? "boot"))) &&
    (node.scope === undefined || scope === route.scope) &&
    (node.nhid === undefined || node.nhid.value === own?.nhid?.value) &&
    (family === 4 && node.hops.length > 1
      ? node.hops.length === route.hops.length && route.hops.every(isMeantHop)
      : node.hops.every((_, i) => route.hops.some((hop) => isMeantHop(hop, i))))
  );
}

/** The connected route of an address is remembered as lost there; the kernel's other routes cannot be missing in vrfc. */
export function removeRoute(ns: NetNs, route: FibRoute): void {
  if (route instanceof Route) ns.routes.keep((other) => other !== route);
  else if (route.address && route.type === "unicast") route.address.lostPrefixRoute = true;
  else throw new Unsupported("vrfc cannot take away a route that the kernel makes for an address of its own");
}

/**
 * What happened to the device of a next hop. `down` spares host-scope (local) routes, which stay while the address
 * does; the others take all. Routes with several next hops keep the dead ones, until all are dead. Of a device that is gone for
 * good IPv6 routes lose the next hops, IPv4 routes go.
 */
export type DeviceEvent = "down" | "unlink" | "no address" | "unregister";

export function flushDevice(ns: NetNs, device: Device, event: DeviceEvent): void {
  const isDead = (route: Route, hop: FibHop): boolean => {
    if (hop.device !== device) return isDeadHop(route, hop);
    return event !== "down" || route.scope !== Scope.HOST || route.family === 6;
  };
  if (event === "unregister") for (const route of [...ns.routes]) dropHops6(route, device);
  ns.routes.keep((route) => {
    if (event === "no address" && route.family === 6) return true;
    if (!route.hops.some((hop) => hop.device === device)) return true;
    return event !== "unregister" && !route.hops.every((hop) => isDead(route, hop));
  });
  for (const { family, hops } of ns.routes)
    if (family === 4) for (const hop of hops) if (hop.device === device) ns.deadHops.add(hop);
}

/** Kept for the other next hops of its route; IPv6 knows by the device, IPv4 by what happened to it. */
export const isDeadHop = ({ ns, family }: Route, hop: FibHop): boolean =>
  family === 4 ? ns.deadHops.has(hop) : hop.device?.isUp === false;

/** fib_sync_up: a device comes up, or gets an IPv4 address; then its dead next hops live again. */
export function reviveHops(ns: NetNs, device: Device): void {
  for (const hop of ns.deadHops) if (hop.device === device) ns.deadHops.delete(hop);
}

/** IPv6 next hops are routes of their own (fib6_ifdown): when a device is deleted, those through others stay. */
function dropHops6(route: Route, device: Device): void {
  const { ns, node, family, table, scope } = route;
  const kept = route.hops.map((hop) => hop.device !== device);
  if (family === 4 || kept.every(Boolean) || !kept.some(Boolean)) return;
  const hops = route.hops.filter((_, i) => kept[i]);
  const devices = hops.map((hop) => hop.device);
  const request = { ns, family, table, scope, devices, node: { ...node, hops: node.hops.filter((_, i) => kept[i]) } };
  const rest = new Route(request, hops);
  rest.inherit(route);
  ns.routes.replace(route, rest);
  ns.entered.push(rest);
}

/** fib_sync_down_addr: routes that prefer a source address go with it. */
export function flushPreferredSource(device: Device, source: Ip): void {
  const { ns } = device;
  const table = device.l3mdevTable || RT_TABLE_MAIN;
  ns.routes.keep((route) => {
    if (route.node.src?.value !== source) return true;
    return route.family === 4 && route.table !== table;
  });
}
