/**
 * What a route means: its type's errno, its next hops by weight, its preferred source.
 * k:net/ipv4/fib_semantics.c fib_props, fib_rebalance, fib_select_multipath, fib_select_path, fib_result_prefsrc.
 */
import { type NextHop, Scope } from "../../dsl/model.ts";
import type { RouteType } from "../../runtime/net/route-types.ts";
import { Errno } from "../../runtime/verdict.ts";
import { inet_select_addr } from "./devinet.ts";
import type { FibResult } from "./fib_trie.ts";
import { FlowFlag, type Flowi4 } from "./flow.ts";
import { l3mdev_master_dev } from "./l3mdev.ts";
import { flow_multipath_hash } from "./multipath_hash.ts";
import type { NetNamespace } from "./net.ts";

/** The errno that a look-up gives when it ends at a route of this type; 0: the route is used. */
export const fib_props: Readonly<Record<RouteType, { readonly error: Errno | 0 }>> = {
  unspec: { error: 0 },
  unicast: { error: 0 },
  local: { error: 0 },
  broadcast: { error: 0 },
  anycast: { error: 0 },
  multicast: { error: 0 },
  blackhole: { error: Errno.EINVAL },
  unreachable: { error: Errno.EHOSTUNREACH },
  prohibit: { error: Errno.EACCES },
  throw: { error: Errno.EAGAIN },
};

/**
 * Each next hop's share of the 31-bit hashes, by its last hash; -1, below every hash, for a dead one.
 * Weights 1 and 2 give 715827882 and 2147483647.
 */
export function fib_rebalance(nexthops: readonly NextHop[]): number[] {
  const total = nexthops.reduce((sum, nh) => sum + (nh.dead ? 0 : nh.weight), 0);
  let w = 0;
  return nexthops.map((nh) => {
    if (nh.dead) return -1;
    w += nh.weight;
    return Math.floor((w * 2 ** 31 + Math.floor(total / 2)) / total) - 1; // DIV_ROUND_CLOSEST_ULL
  });
}

/** Keeps the next hop that the table chose when no bound holds the hash. */
export function fib_select_multipath(res: FibResult, hash: number): void {
  const bounds = fib_rebalance(res.route.nexthops);
  const nhsel = bounds.findIndex((upper_bound) => hash <= upper_bound);
  if (nhsel >= 0) res.nhc = res.route.nexthops[nhsel];
}

/** Chooses among several next hops, unless the flow is bound to a device, and fills in the source. */
export function fib_select_path(net: NetNamespace, res: FibResult, fl4: Flowi4): void {
  const bound = fl4.oif !== 0 && (fl4.flags & FlowFlag.SKIP_NH_OIF) === 0;
  if (!bound && res.route.nexthops.length > 1) fib_select_multipath(res, flow_multipath_hash(net, fl4));
  if (fl4.saddr !== 0) return;
  // A route that leaks into another VRF: the source stays one of the flow's VRF (since 6.11, and in the stable 6.1).
  const l3mdev = net.kernel === "5.4" ? undefined : net.dev_get_by_index(fl4.l3mdev);
  const dev = net.dev_get_by_index(res.nhc.device);
  const leaks = l3mdev !== undefined && dev !== undefined && l3mdev_master_dev(net, dev) !== l3mdev;
  fl4.saddr = leaks ? inet_select_addr(net, l3mdev, 0, Scope.LINK) : fib_result_prefsrc(net, res);
}

function fib_result_prefsrc(net: NetNamespace, res: FibResult): number {
  const { prefsrc, scope } = res.route;
  if (prefsrc !== null) return Number(prefsrc);
  const dev = net.dev_get_by_index(res.nhc.device);
  return dev === undefined ? 0 : inet_select_addr(net, dev, fib_nh_gw4(res.nhc), scope);
}

/** The gateway as the union's IPv4 member: of an IPv6 one, its first four bytes. */
function fib_nh_gw4(nh: NextHop): number {
  if (nh.gateway === null) return 0;
  return typeof nh.gateway === "number" ? nh.gateway : Number(nh.gateway >> 96n);
}
