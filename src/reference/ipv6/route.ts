/**
 * Routing an IPv6 flow, in and out.
 * k:net/ipv6/route.c ip6_route_input_lookup, ip6_route_output_flags_noref, ip6_pol_route, fib6_table_lookup, rt6_select, find_rr_leaf,
 * rt6_score_route, fib6_select_path; drivers/net/vrf.c vrf_link_scope_lookup.
 *
 *   ip6_route_input_lookup | ip6_route_output_flags -> fib6_rule_lookup -> ip6_pol_route for each table
 *                            -> l3mdev_link_scope_lookup: link-local and multicast, bound to a device of a VRF: its table, no rules
 *   ip6_pol_route -> fib6_table_lookup -> rt6_select for each prefix, longest first -> fib6_select_path
 *
 * Every next hop counts as reachable: the kernel passes over a gateway only after its resolution failed, and not at all where it
 * forwards (RT6_LOOKUP_F_REACHABLE). Not here: path MTU exceptions and redirects; link state.
 */
import type { Device } from "../../../dsl/model.ts";
import { LOOPBACK_IFINDEX } from "../../../runtime/brand.ts";
import { multipathHash } from "../../../runtime/multipath.ts";
import { Errno } from "../../../runtime/verdict.ts";
import { fib_props, fib_rebalance } from "../fib_semantics.ts";
import { FlowFlag, type Flowi6 } from "../flow.ts";
import { l3mdev_master_dev } from "../l3mdev.ts";
import { isLoopback, type NetNamespace, netif_is_l3_master, netif_is_l3_slave } from "../net.ts";
import { fib6_rule_lookup } from "./fib6_rules.ts";
import * as in6 from "./in6.ts";
import { type Fib6Info, fib6_nodes, fib6_siblings } from "./ip6_fib.ts";

/** `struct rt6_info` with its dst_entry. */
export interface Rt6Info {
  /** Null: of ip6_null_entry and its like. */
  readonly from: Fib6Info | null;
  /** Of a multipath route all its next hops, in their order. */
  readonly siblings: readonly Fib6Info[];
  readonly dev: Device;
  readonly error: Errno | 0;
}

/** What rules answer who look up no table, and what is said when nothing was found. */
const specialEntry = (net: NetNamespace, error: Errno): Rt6Info => ({
  from: null,
  siblings: [],
  dev: net.loopback_dev,
  error,
});
export const ip6_null_entry = (net: NetNamespace): Rt6Info => specialEntry(net, Errno.ENETUNREACH);
export const ip6_error_entry = specialEntry;

/** RT6_LOOKUP_F_*. */
export interface LookupFlags {
  /** Only next hops on the device asked for. */
  readonly iface: boolean;
  /** The source is known. */
  readonly hasSaddr: boolean;
}

/** The route of a received packet. Precondition: `fl6.iif` is the receiving device. */
export function ip6_route_input_lookup(net: NetNamespace, fl6: Flowi6): Rt6Info {
  const flags = { iface: in6.rt6_need_strict(fl6.daddr), hasSaddr: fl6.saddr !== 0n };
  return fib6_rule_lookup(net, fl6, flags, (table) => ip6_pol_route(net, table, fl6.iif, fl6, flags));
}

/** The route of a packet of this host. */
export function ip6_route_output_flags(net: NetNamespace, fl6: Flowi6): Rt6Info {
  if (in6.ipv6_addr_is_multicast(fl6.daddr) || in6.ipv6_addr_is_linklocal(fl6.daddr)) {
    const rt = l3mdev_link_scope_lookup(net, fl6);
    if (rt !== null) return rt;
  }
  fl6.iif = LOOPBACK_IFINDEX;
  const hasSaddr = fl6.saddr !== 0n;
  const flags = { iface: in6.rt6_need_strict(fl6.daddr) || (fl6.oif !== 0 && !hasSaddr), hasSaddr };
  return fib6_rule_lookup(net, fl6, flags, (table) => ip6_pol_route(net, table, fl6.oif, fl6, flags));
}

/** A VRF device has no link of its own: nothing of link scope is sent by it. */
function l3mdev_link_scope_lookup(net: NetNamespace, fl6: Flowi6): Rt6Info | null {
  const dev = net.dev_get_by_index(fl6.oif);
  const master = dev && l3mdev_master_dev(net, dev);
  if (master === undefined) return null;
  if (fl6.oif === master.ifindex) return ip6_null_entry(net);
  const flags = { iface: true, hasSaddr: fl6.saddr !== 0n };
  return ip6_pol_route(net, master.table, fl6.oif, fl6, flags) ?? ip6_null_entry(net);
}

/** @returns null: ip6_null_entry, the table holds nothing */
function ip6_pol_route(
  net: NetNamespace,
  table: number,
  ifindex: number,
  fl6: Flowi6,
  flags: LookupFlags,
): Rt6Info | null {
  // Profile 5.4: the VRF took the place of the device, and is not asked of next hops.
  const oif = (fl6.flags & FlowFlag.SKIP_NH_OIF) === 0 ? ifindex : 0;
  const found = fib6_table_lookup(net, table, oif, fl6, flags);
  if (found === null) return null;
  const siblings = fib6_siblings(found.node, found.entry);
  const have_oif_match = fl6.iif === LOOPBACK_IFINDEX && oif === found.entry.nh.device;
  const from = have_oif_match ? found.entry : fib6_select_path(found.entry, siblings, fl6, oif, flags);
  return { from, siblings, dev: ip6_rt_get_dev(net, from), error: fib_props[from.route.type].error };
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
  match: Fib6Info,
  siblings: readonly Fib6Info[],
  fl6: Flowi6,
  oif: number,
  flags: LookupFlags,
): Fib6Info {
  if (siblings.length === 1) return match;
  const bounds = fib_rebalance(siblings.map(({ nh }) => nh));
  const hash = rt6_multipath_hash(fl6);
  const selected = siblings[bounds.findIndex((upper_bound) => hash <= upper_bound)];
  return selected !== undefined && rt6_score_route(selected, oif, flags) !== null ? selected : match;
}

/** Policy 0: addresses, flow label (0 here) and protocol; net.ipv6.fib_multipath_hash_policy is not in the model. */
const rt6_multipath_hash = (fl6: Flowi6): number => multipathHash(fold(fl6.saddr), fold(fl6.daddr), 0, 0, fl6.protocol);

/** 128 bits as 32: the exclusive or of the four words. */
const fold = (address: bigint): number =>
  Number((address ^ (address >> 32n) ^ (address >> 64n) ^ (address >> 96n)) & 0xffffffffn);

/** What is for this host goes to the VRF of the address, or to lo. */
function ip6_rt_get_dev(net: NetNamespace, { route, nh }: Fib6Info): Device {
  const dev = net.dev_get_by_index(nh.device) ?? net.loopback_dev;
  // RTF_LOCAL, RTF_ANYCAST: an anycast route by hand is not marked so.
  const ownAddress = route.type === "local" || (route.type === "anycast" && route.origin.kernel !== undefined);
  if (!ownAddress || isLoopback(dev) || netif_is_l3_master(dev)) return dev;
  const strict = in6.rt6_need_strict(route.prefix.address as bigint);
  return (netif_is_l3_slave(dev) && !strict ? l3mdev_master_dev(net, dev) : undefined) ?? net.loopback_dev;
}
