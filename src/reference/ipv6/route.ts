/**
 * Routing an IPv6 flow, in and out.
 * k:net/ipv6/route.c ip6_route_input, ip6_route_input_lookup, ip6_route_output_flags_noref, ip6_pol_route, fib6_table_lookup, rt6_select,
 * find_rr_leaf, rt6_score_route, fib6_select_path, ip6_rt_init_dst, ip6_pkt_drop; include/net/ip6_route.h; drivers/net/vrf.c
 * vrf_ip6_route_lookup, vrf_link_scope_lookup.
 *
 *   ip6_route_input -> ip6_route_input_lookup | ip6_route_output_flags -> fib6_rule_lookup -> ip6_pol_route for each table
 *                            -> l3mdev_link_scope_lookup: link-local and multicast, bound to a device of a VRF: its table, no rules
 *   ip6_pol_route -> fib6_table_lookup -> rt6_select for each prefix, longest first -> fib6_select_path
 *
 * Every next hop counts as reachable: the kernel passes over a gateway only after its resolution failed, and not at all where it
 * forwards (RT6_LOOKUP_F_REACHABLE). Not here: path MTU exceptions and redirects; link state.
 */

import type { Device, Route } from "../../../dsl/model.ts";
import { LOOPBACK_IFINDEX } from "../../../runtime/brand.ts";
import { Icmp6Type } from "../../../runtime/net/icmp6.ts";
import * as in6 from "../../../runtime/net/in6.ts";
import { RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { Errno, type Verdict } from "../../../runtime/verdict.ts";
import { fib_props, fib_rebalance } from "../fib_semantics.ts";
import { fib_rules_require_fldissect } from "../fib4_rules.ts";
import { FlowFlag, type Flowi6, flowi6, traced6 } from "../flow.ts";
import { l3mdev_master_dev } from "../l3mdev.ts";
import { isLoopback, type NetNamespace, netif_is_l3_master, netif_is_l3_slave } from "../net.ts";
import { icmpv6_send, type SkBuff } from "../skb.ts";
import { ipv6_chk_addr, ipv6_dev_get_saddr } from "./addrconf.ts";
import { fib6_rule_lookup, fib6_table_answer, recordResult } from "./fib6_rules.ts";
import { skb_flow_dissect_flow_keys6 } from "./flow_dissector.ts";
import { type Fib6Info, fib6_nodes, fib6_siblings } from "./ip6_fib.ts";
import { ipv6_hdr } from "./ipv6hdr.ts";
import { rt6_multipath_hash } from "./multipath_hash.ts";

/** `struct rt6_info` with its dst_entry. `input` and `output` name the function that dst_input and dst_output call. */
export interface Rt6Info {
  /** Null: of ip6_null_entry and its like. */
  readonly from: Fib6Info | null;
  /** Of a multipath route all its next hops, in their order. */
  readonly siblings: readonly Fib6Info[];
  readonly dev: Device;
  /** rt6i_idev: the next hop's own device, where `dev` is lo or a VRF in its place. */
  readonly idev: Device;
  /** Null: the destination itself is the next hop. */
  readonly gateway: bigint | null;
  /** RTAX_MTU of the route; null: the device's. */
  readonly mtu: number | null;
  readonly error: Errno | 0;
  readonly input: "ip6_input" | "ip6_mc_input" | "ip6_forward" | "ip6_pkt_discard" | "ip6_pkt_prohibit" | "dst_discard";
  readonly output: "ip6_output" | "vrf_output6";
}

/** What rules answer who look up no table, and what is said when nothing was found. */
const specialEntry = (net: NetNamespace, error: Errno): Rt6Info => ({
  ...ip6_dst_alloc(net.loopback_dev),
  error,
  input: reject_input(error),
});

/** A dst without a route: of a device, to whatever is on its link. */
export const ip6_dst_alloc = (dev: Device): Rt6Info => ({
  from: null,
  siblings: [],
  dev,
  idev: dev,
  gateway: null,
  mtu: null,
  error: 0,
  input: "ip6_input",
  output: "ip6_output",
});

/** ip6_rt_init_dst_reject, and the templates of the entries for rules. */
function reject_input(error: Errno): Rt6Info["input"] {
  if (error === Errno.EINVAL) return "dst_discard";
  return error === Errno.EACCES ? "ip6_pkt_prohibit" : "ip6_pkt_discard";
}
export const ip6_null_entry = (net: NetNamespace): Rt6Info => specialEntry(net, Errno.ENETUNREACH);
export const ip6_error_entry = specialEntry;

/** RT6_LOOKUP_F_*. */
export interface LookupFlags {
  /** Only next hops on the device asked for. */
  readonly iface: boolean;
  /** The source is known. */
  readonly hasSaddr: boolean;
}

// ---- in ------------------------------------------------------------------------------------------------------------------

/** Finds the packet's dst, by the device that it now counts as received by: the VRF, for a slave. */
export function ip6_route_input(net: NetNamespace, skb: SkBuff): void {
  const fl6 = input_flow(skb, skb.dev!);
  if (fib_rules_require_fldissect(net.rules6)) Object.assign(fl6, skb_flow_dissect_flow_keys6(skb));
  const rt = ip6_route_input_lookup(net, fl6, skb);
  noteRoute(skb, rt);
  skb.dst6 = rt;
  if (rt.input === "ip6_forward") recordRoute(net, rt, fl6.saddr);
}

/** vrf_ip6_input_dst: straight in the VRF's table. Leaves no dst where that holds nothing. */
export function vrf_ip6_input_dst(net: NetNamespace, skb: SkBuff, vrf_dev: Device, dev: Device): void {
  const rt = vrf_ip6_route_lookup(net, vrf_dev, input_flow(skb, dev), dev.ifindex, skb, true);
  noteRoute(skb, rt);
  skb.dst6 = isNull(rt) ? null : rt;
}

function input_flow(skb: SkBuff, dev: Device): Flowi6 {
  const { saddr, daddr, nexthdr, dsfield, flowlabel } = ipv6_hdr(skb);
  return flowi6({ saddr, daddr, iif: dev.ifindex, mark: skb.mark, protocol: nexthdr, tos: dsfield, flowlabel });
}

/**
 * The route of a received packet. Precondition: `fl6.iif` is the receiving device.
 * @param skb null: there is none, only a question (`ip route get`)
 */
export function ip6_route_input_lookup(net: NetNamespace, fl6: Flowi6, skb: SkBuff | null): Rt6Info {
  const flags = { iface: in6.rt6_need_strict(fl6.daddr), hasSaddr: skb !== null || fl6.saddr !== 0n };
  return fib6_rule_lookup(net, "input", fl6, flags, (table) => ip6_pol_route(net, table, fl6.iif, fl6, flags, skb));
}

/** The end of a packet without a route. */
export function ip6_pkt_drop(net: NetNamespace, skb: SkBuff, code: number): Verdict {
  return icmpv6_send(net, skb, Icmp6Type.DEST_UNREACH, code, 0);
}

/** The dst that a multicast of this host has when it comes back in: the one it was sent by. */
export function loopedDst6(skb: SkBuff, dev: Device): Rt6Info {
  skb.set("routeType", RouteTypeCode.multicast);
  return { ...ip6_dst_alloc(dev), input: "ip6_mc_input" };
}

// ---- out -----------------------------------------------------------------------------------------------------------------

/**
 * The route of a packet of this host.
 * @param kind for whom: a socket, the VRF device, or an expression of a chain
 * @param iface the socket is bound to `fl6.oif`, so that no other device will do
 */
export function ip6_route_output_flags(
  net: NetNamespace,
  kind: "output" | "vrf_xmit" | "nft_fib",
  fl6: Flowi6,
  iface: boolean,
): Rt6Info {
  if (in6.ipv6_addr_is_multicast(fl6.daddr) || in6.ipv6_addr_is_linklocal(fl6.daddr)) {
    const rt = l3mdev_link_scope_lookup(net, fl6);
    if (rt !== null) return rt;
  }
  fl6.iif = LOOPBACK_IFINDEX;
  const hasSaddr = fl6.saddr !== 0n;
  const flags = { iface: iface || in6.rt6_need_strict(fl6.daddr) || (fl6.oif !== 0 && !hasSaddr), hasSaddr };
  return fib6_rule_lookup(net, kind, fl6, flags, (table) => ip6_pol_route(net, table, fl6.oif, fl6, flags, null));
}

/** A VRF device has no link of its own: nothing of link scope is sent by it. */
function l3mdev_link_scope_lookup(net: NetNamespace, fl6: Flowi6): Rt6Info | null {
  const dev = net.dev_get_by_index(fl6.oif);
  const master = dev && l3mdev_master_dev(net, dev);
  if (master === undefined) return null;
  if (fl6.oif === master.ifindex) return ip6_null_entry(net);
  return vrf_ip6_route_lookup(net, master, fl6, fl6.oif, null, fl6.saddr !== 0n);
}

/** No rule has a say. */
function vrf_ip6_route_lookup(
  net: NetNamespace,
  vrf_dev: Device,
  fl6: Flowi6,
  ifindex: number,
  skb: SkBuff | null,
  hasSaddr: boolean,
): Rt6Info {
  net.record({ step: "lookup", kind: "link_scope", flow: traced6(fl6) });
  const flags = { iface: true, hasSaddr };
  const lookup = (table: number) => ip6_pol_route(net, table, ifindex, fl6, flags, skb);
  const rt = fib6_table_answer(net, vrf_dev.table, lookup) ?? ip6_null_entry(net);
  recordResult(net, null, rt);
  return rt;
}

/** include/net/ip6_route.h; @param from null: no route is known; @returns null: EADDRNOTAVAIL */
export function ip6_route_get_saddr(
  net: NetNamespace,
  from: Fib6Info | null,
  daddr: bigint,
  l3mdev_index: number,
): bigint | null {
  // A route that leaks into another VRF: the source stays one of the flow's VRF (since 6.11, and in the stable 6.1).
  const l3mdev = net.kernel === "5.4" ? undefined : net.dev_get_by_index(l3mdev_index);
  const dev = from === null ? undefined : net.dev_get_by_index(from.nh.device);
  const same_vrf = l3mdev === undefined || (dev !== undefined && l3mdev_master_dev(net, dev) === l3mdev);
  if (from !== null && from.route.prefsrc !== null && same_vrf) return from.route.prefsrc as bigint;
  return ipv6_dev_get_saddr(net, same_vrf ? dev : l3mdev, daddr);
}

// ---- both ----------------------------------------------------------------------------------------------------------------

/** @returns null: ip6_null_entry, the table holds nothing */
function ip6_pol_route(
  net: NetNamespace,
  table: number,
  ifindex: number,
  fl6: Flowi6,
  flags: LookupFlags,
  skb: SkBuff | null,
): Rt6Info | null {
  // Profile 5.4: the VRF took the place of the device, and is not asked of next hops.
  const oif = (fl6.flags & FlowFlag.SKIP_NH_OIF) === 0 ? ifindex : 0;
  const found = fib6_table_lookup(net, table, oif, fl6, flags);
  if (found === null) return null;
  const siblings = fib6_siblings(found.node, found.entry);
  const have_oif_match = fl6.iif === LOOPBACK_IFINDEX && oif === found.entry.nh.device;
  const from = have_oif_match ? found.entry : fib6_select_path(net, found.entry, siblings, fl6, oif, flags, skb);
  return { siblings, ...ip6_rt_copy_init(net, from) };
}

/** A look-up that is not for sending or receiving: an expression's. */
export function ip6_route_lookup(net: NetNamespace, fl6: Flowi6, skb: SkBuff, flags: LookupFlags): Rt6Info {
  return fib6_rule_lookup(net, "nft_fib", fl6, flags, (table) => ip6_pol_route_lookup(net, table, fl6, flags, skb));
}

function ip6_pol_route_lookup(
  net: NetNamespace,
  table: number,
  fl6: Flowi6,
  flags: LookupFlags,
  skb: SkBuff,
): Rt6Info | null {
  for (const node of fib6_nodes(net, table, fl6.daddr)) {
    const entry = rt6_device_match(net, node, fl6, flags);
    if (entry === null) continue;
    const siblings = fib6_siblings(node, entry);
    const refuses = fib_props[entry.route.type].error !== 0;
    const selected = { ...flags, iface: fl6.oif !== 0 };
    const from = refuses ? entry : fib6_select_path(net, entry, siblings, fl6, fl6.oif, selected, skb);
    return { siblings, ...ip6_rt_copy_init(net, from) };
  }
  return null;
}

/** The first entry on the device asked for; without one, on the device that has the source; else the first of all. */
function rt6_device_match(
  net: NetNamespace,
  node: readonly Fib6Info[],
  { oif, saddr }: Flowi6,
  { iface }: LookupFlags,
): Fib6Info | null {
  const [first] = node;
  if (oif === 0 && saddr === 0n && !first.nh.dead) return first;
  const matches = ({ nh }: Fib6Info): boolean => {
    const dev = net.dev_get_by_index(nh.device);
    if (nh.dead || dev === undefined) return false;
    return oif === 0 ? ipv6_chk_addr(net, saddr, dev, iface) : dev.ifindex === oif;
  };
  const matched = node.find(matches);
  if (matched !== undefined) return matched;
  return (oif !== 0 && iface) || first.nh.dead ? null : first;
}

function ip6_rt_copy_init(net: NetNamespace, from: Fib6Info): Omit<Rt6Info, "siblings"> {
  const { route, nh } = from;
  const { error } = fib_props[route.type];
  return {
    from,
    dev: ip6_rt_get_dev(net, from),
    idev: net.dev_get_by_index(nh.device) ?? net.loopback_dev,
    gateway: nh.gateway as bigint | null,
    mtu: route.mtu,
    error,
    input: error === 0 ? accept_input(route) : reject_input(error),
    output: "ip6_output",
  };
}

/** ip6_rt_init_dst: by the route's own prefix, not by the packet's destination. */
function accept_input({ type, prefix }: Route): Rt6Info["input"] {
  if (type === "local" || type === "anycast") return "ip6_input";
  return in6.ipv6_addr_is_multicast(prefix.address as bigint) ? "ip6_mc_input" : "ip6_forward";
}

function fib6_table_lookup(
  net: NetNamespace,
  table: number,
  oif: number,
  fl6: Flowi6,
  flags: LookupFlags,
): { readonly node: readonly Fib6Info[]; readonly entry: Fib6Info } | null {
  for (const node of fib6_nodes(net, table, fl6.daddr)) {
    const entry = rt6_select(node, oif, flags);
    if (entry !== null) return { node, entry };
  }
  return null;
}

/** The best of the lowest metric; when none of those will do, the best of all others, whatever their metrics (find_rr_leaf). */
function rt6_select(node: readonly Fib6Info[], oif: number, flags: LookupFlags): Fib6Info | null {
  const { metric } = node[0].route;
  const isFirst = (entry: Fib6Info) => entry.route.metric === metric;
  return (
    find_match(node.filter(isFirst), oif, flags) ??
    find_match(
      node.filter((entry) => !isFirst(entry)),
      oif,
      flags,
    )
  );
}

/** Of equals the first. */
function find_match(entries: readonly Fib6Info[], oif: number, flags: LookupFlags): Fib6Info | null {
  let best: { readonly entry: Fib6Info; readonly score: number } | null = null;
  for (const entry of entries) {
    if (entry.nh.dead) continue;
    const score = rt6_score_route(entry, oif, flags);
    if (score !== null && (best === null || score > best.score)) best = { entry, score };
  }
  return best?.entry ?? null;
}

/** Another device than the one asked for is worse, or will not do. */
function rt6_score_route({ nh }: Fib6Info, oif: number, { iface }: LookupFlags): number | null {
  if (oif === 0 || nh.device === oif) return 2;
  return iface ? null : 0;
}

function fib6_select_path(
  net: NetNamespace,
  match: Fib6Info,
  siblings: readonly Fib6Info[],
  fl6: Flowi6,
  oif: number,
  flags: LookupFlags,
  skb: SkBuff | null,
): Fib6Info {
  if (siblings.length === 1) return match;
  const bounds = fib_rebalance(siblings.map(({ nh }) => nh));
  const hash = rt6_multipath_hash(net, fl6, skb);
  const selected = siblings[bounds.findIndex((upper_bound) => hash <= upper_bound)];
  return selected !== undefined && rt6_score_route(selected, oif, flags) !== null ? selected : match;
}

/** RTF_ANYCAST: the kernel's own; one by hand is not marked so. */
export const isOwnAnycast = ({ type, origin }: Route): boolean => type === "anycast" && origin.kernel !== undefined;
/** RTF_LOCAL or RTF_ANYCAST. */
export const isOwnAddress = (route: Route): boolean => route.type === "local" || isOwnAnycast(route);

/** What is for this host goes to the VRF of the address, or to lo. */
function ip6_rt_get_dev(net: NetNamespace, { route, nh }: Fib6Info): Device {
  const dev = net.dev_get_by_index(nh.device) ?? net.loopback_dev;
  if (!isOwnAddress(route) || isLoopback(dev) || netif_is_l3_master(dev)) return dev;
  const strict = in6.rt6_need_strict(route.prefix.address as bigint);
  return (netif_is_l3_slave(dev) && !strict ? l3mdev_master_dev(net, dev) : undefined) ?? net.loopback_dev;
}

/** ip6_null_entry: nothing was found, which is less than a route that refuses. */
const isNull = (rt: Rt6Info): boolean => rt.from === null;

export const recordRoute = (net: NetNamespace, rt: Rt6Info, source: bigint): void =>
  net.record({ step: "route", device: rt.dev.ifindex, gateway: rt.gateway, source });

/** Columns `route` and `routeType`: what the last look-up found. */
export function noteRoute(skb: SkBuff, { from }: Rt6Info): void {
  skb.set("route", from === null ? 0 : from.route.id + 1);
  skb.set("routeType", from === null ? 0 : RouteTypeCode[from.route.type]);
}
