/**
 * Route look-ups while a script runs, for one question only: where does a gateway leave, at this point of the script?
 *
 *   lookupByRules = for each rule that matches: lookupTable          fib_rules_lookup
 *   lookupTable   = longest prefix first, over                      fib_table_lookup
 *                   kernelRoutes (from the addresses) + the routes that commands added
 */
import { Scope } from "../../dsl/model.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import {
  bitsOf,
  type Family,
  familyOf,
  type Ip,
  inPrefix,
  lastAddress,
  network,
  type Prefix,
} from "../../runtime/net/ip.ts";
import { type Address, type Device, type FibHop, type FibRoute, hasHops, type NetNs, type RuleEntry } from "./state.ts";

/** What a look-up sees of a namespace: it as it is, or as far as a file has been read (as-written.ts). */
export type FibView = Pick<NetNs, "devices" | "rules" | "routes" | "deadHops">;

// ---- the kernel's own routes --------------------------------------------------------------------------------------

/** fib_add_ifaddr for every IPv4 address; addrconf_prefix_route and the host routes for IPv6. */
export function kernelRoutes(ns: FibView, family: Family): FibRoute[] {
  return ns.devices.flatMap((device) => [
    ...(device.kind === "loopback" && device.isUp ? loopbackRoutes(device, family) : []),
    ...device.addresses.filter((address) => address.family === family).flatMap((address) => routesOfAddress(address)),
    ...(family === 6 && device.isUp && device.kind !== "loopback" ? [linkLocalRoute(device)] : []),
  ]);
}

const kernelRoute = (device: Device, table: number, prefix: Prefix, rest: Partial<FibRoute>): FibRoute => ({
  family: familyOf(prefix.address),
  table,
  prefix,
  type: "unicast",
  tos: 0,
  metric: 0,
  scope: Scope.LINK,
  hops: [{ device, gateway: null }],
  address: null,
  ...rest,
});

function loopbackRoutes(device: Device, family: Family): FibRoute[] {
  const prefix = family === 4 ? { address: 0x7f000000, length: 8 } : { address: 1n, length: 128 };
  return [kernelRoute(device, RT_TABLE_LOCAL, prefix, { type: "local", scope: Scope.HOST })];
}

function routesOfAddress(address: Address): FibRoute[] {
  const { device, family, subnet, node } = address;
  if (address.isDormant || (family === 6 && !device.isUp)) return [];
  const vrfTable = device.l3mdevTable;
  const host = { address: address.local, length: bitsOf(family) };
  const routes = [kernelRoute(device, vrfTable || RT_TABLE_LOCAL, host, { type: "local", scope: Scope.HOST, address })];
  const isConnected =
    device.isUp && !address.isSecondary && (subnet.address !== address.local || subnet.length < bitsOf(family));
  if (isConnected && family === 4 && subnet.length < 31) routes.push(broadcastRoute(address));
  if (!isConnected || node.noprefixroute || address.lostPrefixRoute) return routes;
  const isLocal = device.kind === "loopback" && family === 4;
  routes.push(
    kernelRoute(device, vrfTable || (isLocal ? RT_TABLE_LOCAL : RT_TABLE_MAIN), subnet, {
      type: isLocal ? "local" : "unicast",
      scope: isLocal ? Scope.HOST : Scope.LINK,
      metric: node.metric?.value || (family === 6 ? 256 : 0),
      address,
    }),
  );
  return routes;
}

const broadcastRoute = ({ device, subnet }: Address): FibRoute =>
  kernelRoute(
    device,
    device.l3mdevTable || RT_TABLE_LOCAL,
    { address: lastAddress(subnet), length: bitsOf(4) },
    { type: "broadcast" },
  );

const linkLocalRoute = (device: Device): FibRoute =>
  kernelRoute(device, device.l3mdevTable || RT_TABLE_MAIN, { address: 0xfe80n << 112n, length: 64 }, { metric: 256 });

// ---- look-up ------------------------------------------------------------------------------------------------------

/** The flow of a gateway check: to `destination`, leaving through `oif` if that is set. */
export interface GatewayFlow {
  readonly family: Family;
  readonly destination: Ip;
  readonly oif: Device | null;
  /** Least scope of the route: a gateway must be on a link. */
  readonly scope: number;
}

export interface Found {
  readonly route: FibRoute;
  readonly hop: FibHop;
}

/** The routes of a table whose prefix holds an address, in the order in which they are tried. */
export function routesCovering(ns: FibView, family: Family, table: number, ip: Ip): FibRoute[] {
  const made = kernelRoutes(ns, family).filter((route) => route.table === table && inPrefix(route.prefix, ip));
  const added = Array.from({ length: bitsOf(family) + 1 }, (_, length) =>
    ns.routes.at(family, table, { address: network(ip, length), length }),
  ).flat();
  return [...made, ...added].sort((a, b) => b.prefix.length - a.prefix.length || inOrder(a, b));
}

/** Of one prefix: TOS descending, metric ascending; the kernel's own are usually there first. */
export const inOrder = (a: FibRoute, b: FibRoute): number => b.tos - a.tos || a.metric - b.metric;

/** fib_table_lookup: longest prefix, then TOS and metric, backtracking over routes that do not fit. */
export function lookupTable(ns: FibView, table: number, flow: GatewayFlow): Found | null {
  for (const route of routesCovering(ns, flow.family, table, flow.destination)) {
    if (route.tos !== 0 || (flow.family === 4 && route.scope < flow.scope)) continue;
    // Of IPv6, what refuses leads to lo, and a flow through another device does not see it (RT6_LOOKUP_F_IFACE).
    if (!hasHops(route.type) && flow.family === 6 && flow.oif !== null) continue;
    if (!hasHops(route.type)) return { route, hop: { device: null, gateway: null } };
    const hop = route.hops.find(
      (candidate) =>
        candidate.device === null ||
        (isAlive(ns, route, candidate) && (flow.oif === null || flow.oif === candidate.device)),
    );
    if (hop) return { route, hop };
  }
  return null;
}

const isAlive = (ns: FibView, { scope }: FibRoute, hop: FibHop): boolean =>
  (hop.device?.isUp || scope === Scope.HOST) && !ns.deadHops.has(hop);

// ---- rules --------------------------------------------------------------------------------------------------------

/** fib_rules_lookup for a gateway: sent by this host (iif lo), without mark, TOS, protocol or ports, as root. */
export function lookupByRules(ns: FibView, given: GatewayFlow): Found | null {
  const l3mdevTable = given.oif?.l3mdevTable ?? 0;
  // l3mdev_update_flow: a VRF as output device means "any of its devices".
  const flow = given.oif?.kind === "vrf" ? { ...given, oif: null } : given;
  let jump = 0;
  for (const entry of ns.rules[flow.family]) {
    if (entry.pref < jump || !isMatch(entry, flow, l3mdevTable)) continue;
    const { action, suppressPrefixLength } = entry.node;
    if (action?.kind === "nop") continue;
    if (action?.kind === "goto") {
      const target = action.target.value;
      if (ns.rules[flow.family].some((other) => other.pref === target)) jump = target;
      continue;
    }
    if (action !== undefined && action.kind !== "lookup") return null;
    const found = lookupTable(ns, entry.node.l3mdev ? l3mdevTable : entry.table || RT_TABLE_MAIN, flow);
    if (found === null || found.route.type === "throw") continue;
    if (suppressPrefixLength !== undefined && found.route.prefix.length <= suppressPrefixLength.value) continue;
    return found;
  }
  return null;
}

function isMatch({ node }: RuleEntry, flow: GatewayFlow, l3mdevTable: number): boolean {
  const matches =
    (node.from === undefined || node.from.value.length === 0) &&
    (node.to === undefined || inPrefix(node.to.value, flow.destination)) &&
    (node.iif === undefined || node.iif.value === "lo") &&
    (node.oif === undefined || node.oif.value === flow.oif?.name.value) &&
    (node.fwmark === undefined || (node.fwmark.value.mark & node.fwmark.value.mask) === 0) &&
    (node.tos === undefined || node.tos.value === 0) &&
    node.ipproto === undefined &&
    node.sport === undefined &&
    node.dport === undefined &&
    (node.uidrange === undefined || node.uidrange.value.first === 0) &&
    (node.l3mdev === undefined || l3mdevTable !== 0);
  return matches !== (node.not ?? false);
}
