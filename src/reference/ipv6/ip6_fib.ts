/**
 * IPv6 routing tables.
 * k:net/ipv6/ip6_fib.c fib6_node_lookup, net/ipv6/route.c fib6_backtrack. The kernel has an entry a next hop, those of one multipath
 * route being siblings; so have we.
 *
 *   table:  2001:db8:1::/64 -> [entry metric 256] [entry metric 1024, sibling 1] [entry metric 1024, sibling 2]
 *           ::/0            -> [entry metric 1024]
 */
import { type NextHop, type Route, Scope } from "../../../dsl/model.ts";
import { ifIndex, LOOPBACK_IFINDEX } from "../../../runtime/brand.ts";
import { inPrefix } from "../../../runtime/net/ip.ts";
import type { NetNamespace } from "../net.ts";

/** `struct fib6_info`. */
export interface Fib6Info {
  readonly route: Route;
  /** A reject route's is lo. */
  readonly nh: NextHop;
}

const REJECT_NEXT_HOP: NextHop = {
  device: ifIndex(LOOPBACK_IFINDEX),
  gateway: null,
  weight: 1,
  onlink: false,
  scope: Scope.UNIVERSE,
  dead: false,
  source: 0n,
};

/** The prefixes of a table that hold the address, longest first, each with its entries in the order of their metrics. */
export function fib6_nodes(net: NetNamespace, table: number, daddr: bigint): Fib6Info[][] {
  const nodes = new Map<number, Fib6Info[]>();
  for (const route of net.fib6_get_table(table)) {
    if (!inPrefix(route.prefix, daddr)) continue;
    const entries = nodes.get(route.prefix.length) ?? [];
    nodes.set(route.prefix.length, entries);
    const nexthops = route.nexthops.length === 0 ? [REJECT_NEXT_HOP] : route.nexthops;
    entries.push(...nexthops.map((nh) => ({ route, nh })));
  }
  return [...nodes].sort(([a], [b]) => b - a).map(([, entries]) => entries);
}

/** All next hops of the multipath route that an entry is one of, from the first on; only itself: it is not multipath. */
export function fib6_siblings(entries: readonly Fib6Info[], entry: Fib6Info): readonly Fib6Info[] {
  if (!rt6_qualify_for_ecmp(entry)) return [entry];
  return entries.filter((other) => other.route.metric === entry.route.metric && rt6_qualify_for_ecmp(other));
}

const rt6_qualify_for_ecmp = (entry: Fib6Info): boolean => entry.nh.gateway !== null;
