/**
 * What Linux refuses of a route before it looks at any table, in its order.
 *
 *   IPv4   rtm_to_fib_config (TOS, next-hop object), fib_valid_key_len (host bits), fib_create_info (type, scope, hops)
 *   IPv6   inet6_rtm_newroute, rtm_to_fib6_config, ip6_route_multipath_add
 */
import { Scope } from "../../dsl/model.ts";
import type { Span } from "../../dsl/span.ts";
import { familyOf, network } from "../../runtime/net/ip.ts";
import { hasHops, type NextHopEntry, type RouteRequest } from "./state.ts";
import { Refused } from "./words.ts";

/** Least scope of a route by its type (fib_props); other types may have any. */
const LEAST_SCOPE = new Map<string, number>([
  ["local", Scope.HOST],
  ["broadcast", Scope.LINK],
  ["anycast", Scope.LINK],
  ["nat", Scope.NOWHERE],
]);

export function checkRouteWords(request: RouteRequest): void {
  const { node, family } = request;
  const isReject = !hasHops(node.type?.value ?? "unicast");
  if (family === 4) checkWords4(request, isReject);
  else checkWords6(request);
  if (!isReject && node.nhid === undefined && (node.hops.length === 0 || node.hops.some((hop) => !hop.dev && !hop.via)))
    throw new Refused("RTNETLINK answers: No such device", node.span);
}

function checkWords4({ ns, node, scope }: RouteRequest, isReject: boolean): void {
  const { prefix, hops, tos } = node;
  if (tos && tos.value & 3) throw new Refused("Error: Invalid dsfield (tos): ECN bits must be 0.", tos.span);
  checkExclusive(node);
  if (prefix.value !== null && network(prefix.value.address, prefix.value.length) !== prefix.value.address)
    throw new Refused("Error: Invalid prefix for given prefix length.", prefix.span);
  if (scope < (LEAST_SCOPE.get(node.type?.value ?? "unicast") ?? 0)) throw new Refused(INVALID_SCOPE, node.scope?.span);
  if (isReject) {
    if (hops.length > 0)
      throw new Refused("Error: Gateway, device and multipath can not be specified for this route type.", hops[0].span);
    return;
  }
  if (node.nhid !== undefined) {
    const entry = ns.nexthops.find(({ node: { id } }) => id.value === node.nhid?.value);
    if (entry) checkObjectScope(entry, scope, node.nhid.span);
    return;
  }
  if (scope > Scope.HOST) throw new Refused(INVALID_SCOPE, node.scope?.span);
  if (scope === Scope.HOST && hops.length > 1) throw new Refused(HOST_SCOPE_HOPS, hops[1].span);
  if (scope === Scope.HOST && hops.some((hop) => hop.via)) throw new Refused(HOST_SCOPE_GATEWAY, hops[0].span);
  for (const hop of hops)
    if (hop.onlink && hop.via === undefined && scope < Scope.HOST)
      throw new Refused("Error: Invalid flags for nexthop - PERVASIVE and ONLINK can not be set.", hop.span);
}

const INVALID_SCOPE = "Error: Invalid scope.";
const HOST_SCOPE_HOPS = "Error: Route with host scope can not have multiple nexthops.";
const HOST_SCOPE_GATEWAY = "Error: Route with host scope can not have a gateway.";

/** fib_check_nexthop */
function checkObjectScope({ node: { hop, group } }: NextHopEntry, scope: number, at: Span): void {
  if (group !== undefined && scope === Scope.HOST) throw new Refused(HOST_SCOPE_HOPS, at);
  if (hop?.via && scope === Scope.HOST) throw new Refused(HOST_SCOPE_GATEWAY, at);
  if (hop?.onlink && scope >= Scope.LINK) throw new Refused("Error: Scope mismatch with nexthop.", at);
}

function checkWords6({ ns, node }: RouteRequest): void {
  const { hops, tos, nhid } = node;
  if (tos) throw new Refused("Error: Invalid dsfield (tos): option not available for IPv6.", tos.span);
  checkExclusive(node);
  const ipv4 = hops.find((hop) => hop.via && familyOf(hop.via.value) === 4);
  if (ipv4) throw new Refused("Error: IPv6 does not support RTA_VIA attribute.", ipv4.via?.span);
  const object = ns.nexthops.find(({ node: { id } }) => id.value === nhid?.value);
  if (object && object.family === 4) throw new Refused("Error: IPv6 routes can not use an IPv4 nexthop.", nhid?.span);
}

function checkExclusive({ nhid, hops }: RouteRequest["node"]): void {
  if (nhid !== undefined && hops.length > 0)
    throw new Refused("Error: Nexthop specification and nexthop id are mutually exclusive.", hops[0].span);
}
