/**
 * Can a next hop be reached now, and is a route's source an address of this host?
 *
 *   gateway, device   fib_check_nh; ip6_validate_gw, ip6_route_check_nh
 *   source            fib_valid_prefsrc
 */
import type { Hop } from "../../dsl/ast.ts";
import { Scope } from "../../dsl/model.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import { type Family, familyOf, type Ip, inPrefix } from "../../runtime/net/ip.ts";
import { type FibView, type Found, type GatewayFlow, lookupByRules, lookupTable, routesCovering } from "./lookup.ts";
import { type Device, type FibHop, hasHops, isSamePrefix, type RouteRequest } from "./state.ts";
import { Errno, Refused } from "./words.ts";

/** What a next hop is checked for: a route, or a next-hop object. */
export type HopRequest = Pick<RouteRequest, "family" | "table" | "scope"> & { readonly ns: FibView };

/** Where the next hop leaves, or why Linux refuses it now. */
export function checkHop(request: HopRequest, hop: Hop, device: Device | null): FibHop {
  const { family, scope } = request;
  const gateway = hop.via?.value ?? null;
  const isIpv6 = family === 6 || typeof gateway === "bigint";
  if (isIpv6 && device !== null && hasIpv6Off(device))
    throw new Refused("Error: IPv6 is disabled on nexthop device.", hop.dev?.span);
  if (gateway === null) {
    const isLocal = scope === Scope.HOST && family === 4;
    if (device !== null && !device.isUp && !isLocal) throw new Refused(downMessage(family), hop.dev?.span);
    return { device, gateway };
  }
  if (hop.onlink && typeof gateway === "number" && scope >= Scope.LINK)
    throw new Refused("Error: Nexthop has invalid scope.", hop.via?.span);
  if (hop.onlink && device === null) throw new Refused("Error: Nexthop device required for onlink.", hop.via?.span);
  if (typeof gateway === "bigint") checkGateway6(request, hop, gateway, device);
  if (hop.onlink || isLinkLocal(gateway)) {
    if (device === null) throw new Refused("Error: Egress device not specified.", hop.via?.span);
    if (!device.isUp) throw new Refused("Error: Nexthop device is not up.", hop.dev?.span);
    if (familyOf(gateway) === 6 && device.kind === "loopback")
      throw new Refused("Error: Egress device can not be loopback device for this route.", hop.dev?.span);
    if (typeof gateway === "number") checkOnlink4(request, hop, gateway, device);
    else if (!isLinkLocal(gateway)) checkOnlink6(request, hop, gateway, device);
    return { device, gateway };
  }
  return {
    device: familyOf(gateway) === 4 ? gatewayDevice4(request, hop, device) : gatewayDevice6(request, hop, device),
    gateway,
  };
}

/** disable_ipv6 of the device, else of those created after `default` was set. */
export const hasIpv6Off = ({ ns, name }: Device): boolean =>
  Number(ns.sysctl(`net.ipv6.conf.${name.value}.disable_ipv6`) ?? ns.sysctl("net.ipv6.conf.all.disable_ipv6") ?? 0) > 0;

/** The end of ip6_validate_gw and its beginning: own addresses, and what is no address of one. */
function checkGateway6({ ns }: HopRequest, hop: Hop, gateway: bigint, oif: Device | null): void {
  refuseLocalGateway(ns, hop, oif);
  if (gateway === 0n || gateway >> 120n === 0xffn) throw new Refused("Error: Invalid gateway address.", hop.via?.span);
}

/** fib_check_nh_v4_gw: with onlink, too, a gateway is somebody else's address (inet_addr_type_dev_table). */
function checkOnlink4({ ns }: HopRequest, hop: Hop, gateway: number, oif: Device): void {
  const isNoUnicast = gateway >>> 28 === 0xe || gateway >>> 24 === 0 || gateway === 0xffffffff;
  const flow = { family: 4, destination: gateway, oif: null, scope: Scope.UNIVERSE } as const;
  const type = lookupTable(ns, oif.l3mdevTable || RT_TABLE_LOCAL, flow)?.route.type ?? "unicast";
  // A route that refuses is to __inet_dev_addr_type as good as none.
  if (isNoUnicast || (hasHops(type) && type !== "unicast"))
    throw new Refused("Error: Nexthop has invalid gateway.", hop.via?.span);
}

/** ip6_route_check_nh_onlink: nothing more specific than the default route may lead elsewhere. */
function checkOnlink6({ ns }: HopRequest, hop: Hop, destination: bigint, oif: Device): void {
  const covering = routesCovering(ns, 6, oif.l3mdevTable || RT_TABLE_MAIN, destination);
  // Of the longest prefix the least metric decides (find_rr_leaf), among routes that are alive.
  const [best] = covering.filter((route) => !hasHops(route.type) || route.hops.some(({ device: via }) => via?.isUp));
  if (best === undefined || best.prefix.address === 0n || !hasHops(best.type)) return;
  const longest = covering.filter(({ prefix, metric }) => isSamePrefix(prefix, best.prefix) && metric === best.metric);
  // A route through the device is preferred, but not required (rt6_score_route without RT6_LOOKUP_F_IFACE).
  if (longest.every(({ type, hops }) => type !== "unicast" || hops.every((other) => other.device !== oif)))
    throw new Refused("Error: Nexthop has invalid gateway or device mismatch.", hop.via?.span);
}

const downMessage = (family: Family): string =>
  family === 4 ? "Error: Device for nexthop is not up." : "Error: Nexthop device is not up.";
const isLinkLocal = (ip: Ip): boolean =>
  typeof ip === "bigint" && inPrefix({ address: 0xfe80n << 112n, length: 10 }, ip);

/** fib_check_nh_v4_gw: in the route's own table (unless that is main), then by the rules. */
function gatewayDevice4({ ns, table, scope }: HopRequest, hop: Hop, oif: Device | null): Device | null {
  const flow: GatewayFlow = {
    family: 4,
    destination: hop.via?.value ?? 0,
    oif,
    scope: Math.max(scope + 1, Scope.LINK),
  };
  const inTable = table === RT_TABLE_MAIN || table === 0 ? null : lookupTable(ns, table, flow);
  const found = inTable !== null && hasHops(inTable.route.type) ? inTable : lookupByRules(ns, flow);
  if (found === null || !["unicast", "local"].includes(found.route.type))
    throw new Refused("Error: Nexthop has invalid gateway.", hop.via?.span);
  return found.hop.device;
}

/** ip6_route_check_nh: as for IPv4, but the gateway must not need a gateway itself, and not be an own address. */
function gatewayDevice6({ ns, table }: HopRequest, hop: Hop, oif: Device | null): Device | null {
  const flow: GatewayFlow = { family: 6, destination: hop.via?.value ?? 0n, oif, scope: 0 };
  const fits = (found: Found | null): found is Found =>
    found !== null &&
    hasHops(found.route.type) &&
    found.hop.gateway === null &&
    (oif === null || found.hop.device === oif);
  const inTable = lookupTable(ns, table, flow);
  const found = fits(inTable) ? inTable : lookupByRules(ns, flow);
  if (!fits(found)) throw new Refused(Errno.EHOSTUNREACH, hop.via?.span);
  if (oif === null) refuseLocalGateway(ns, hop, found.hop.device);
  return found.hop.device;
}

/** ipv6_chk_addr_and_flags: an address of the device's VRF is an own one; that of another VRF is a neighbour's. */
function refuseLocalGateway(ns: FibView, { via }: Hop, oif: Device | null): void {
  if (oif === null) return;
  const isLocal = ns.devices.some(
    (device) =>
      device.l3mdev === oif.l3mdev &&
      via !== undefined &&
      (hasAddress(device, via.value) || (device.kind === "loopback" && device.isUp && via.value === 1n)),
  );
  if (isLocal) throw new Refused("Error: Gateway can not be a local address.", via?.span);
}

const hasAddress = (device: Device, ip: Ip): boolean => device.addresses.some((address) => address.local === ip);

/** fib_valid_prefsrc: the source must be a local address of the route's table, or of table local. */
export function checkSource({ ns, node, family, table }: RouteRequest, hops: readonly FibHop[]): void {
  const source = node.src;
  if (source === undefined) return;
  if (family === 6) {
    // ipv6_chk_addr: of the VRF that the route leaves through.
    const l3mdev = hops[0]?.device?.l3mdev ?? null;
    if (ns.devices.some((device) => device.l3mdev === l3mdev && hasAddress(device, source.value))) return;
    throw new Refused("Error: Invalid source address.", source.span);
  }
  if (!hasHops(node.type?.value ?? "unicast")) return;
  const isItself = node.type?.value === "local" && node.prefix.value?.address === source.value;
  const tables = [table === RT_TABLE_MAIN ? RT_TABLE_LOCAL : table, RT_TABLE_LOCAL];
  const isLocal = tables.some((id) => routesCovering(ns, 4, id, source.value).some((route) => route.type === "local"));
  if (!isItself && !isLocal) throw new Refused("Error: Invalid prefsrc address.", source.span);
}
