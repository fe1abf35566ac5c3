/**
 * `ip -6 route get`: one look-up, without a packet.
 * k:net/ipv6/route.c inet6_rtm_getroute, rt6_fill_node; include/net/ip6_route.h ip6_route_get_saddr.
 */
import type { NextHop, Route } from "../../../dsl/model.ts";
import type { IfIndex } from "../../../runtime/brand.ts";
import { Errno } from "../../../runtime/verdict.ts";
import type { Flowi6 } from "../flow.ts";
import type { NetNamespace } from "../net.ts";
import { ipv6_dev_get_saddr } from "./addrconf.ts";
import { ipv6_addr_is_multicast } from "./in6.ts";
import type { Fib6Info } from "./ip6_fib.ts";
import { ip6_route_input_lookup, ip6_route_output_flags } from "./route.ts";

/** Fields that are not asked about are 0. */
export type Route6Query = Omit<Flowi6, "l3mdev" | "flags">;

export type Route6Answer =
  | { readonly error: Errno }
  | {
      readonly error: 0;
      readonly route: Route;
      readonly device: IfIndex;
      /** The next hop that was chosen, and all of a multipath route, from the chosen one on. */
      readonly nh: NextHop;
      readonly nexthops: readonly NextHop[];
      /** Null: none, or the packet is received. */
      readonly prefsrc: bigint | null;
    };

export function inet6_rtm_getroute(net: NetNamespace, query: Route6Query): Route6Answer {
  const fl6: Flowi6 = { ...query, l3mdev: 0, flags: 0 };
  const { iif, daddr } = query;
  if (iif !== 0 && net.dev_get_by_index(iif) === undefined) return { error: Errno.ENODEV };
  const rt = iif === 0 ? ip6_route_output_flags(net, fl6) : ip6_route_input_lookup(net, fl6);
  if (rt.error !== 0 || rt.from === null) return { error: rt.error || Errno.ENETUNREACH };
  const { route, nh } = rt.from;
  // ip6mr_get_route, which has nothing to tell of a group that no multicast router cares for.
  if (iif !== 0 && ipv6_addr_is_multicast(route.prefix.address as bigint)) return { error: Errno.EMSGSIZE };
  return {
    error: 0,
    route,
    device: rt.dev.ifindex,
    nh,
    nexthops: from_chosen(rt.siblings, rt.from).map((sibling) => sibling.nh),
    prefsrc: iif === 0 ? ip6_route_get_saddr(net, rt.from, daddr) : (route.prefsrc as bigint | null),
  };
}

/** Siblings are a ring. */
function from_chosen(siblings: readonly Fib6Info[], chosen: Fib6Info): readonly Fib6Info[] {
  const at = siblings.indexOf(chosen);
  return [...siblings.slice(at), ...siblings.slice(0, at)];
}

function ip6_route_get_saddr(net: NetNamespace, { route, nh }: Fib6Info, daddr: bigint): bigint | null {
  if (route.prefsrc !== null) return route.prefsrc as bigint;
  const dev = net.dev_get_by_index(nh.device);
  return dev === undefined ? null : ipv6_dev_get_saddr(net, dev, daddr);
}
