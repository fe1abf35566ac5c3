/**
 * `ip -6 route get`: one look-up, without a packet.
 * k:net/ipv6/route.c inet6_rtm_getroute, rt6_fill_node; include/net/ip6_route.h ip6_route_get_saddr.
 */
import type { NextHop, Route } from "../../../dsl/model.ts";
import { PacketFlag } from "../../../runtime/batch.ts";
import type { IfIndex } from "../../../runtime/brand.ts";
import { Errno, Verdict } from "../../../runtime/verdict.ts";
import type { Flowi6 } from "../flow.ts";
import type { NetNamespace } from "../net.ts";
import { type SkBuff, send_error } from "../skb.ts";
import { ipv6_addr_is_multicast } from "./in6.ts";
import type { Fib6Info } from "./ip6_fib.ts";
import { ipv6_hdr } from "./ipv6hdr.ts";
import { ip6_datagram_dst_update, refuse_header6, socket_flow } from "./raw.ts";
import {
  ip6_route_get_saddr,
  ip6_route_input_lookup,
  ip6_route_output_flags,
  noteRoute,
  type Rt6Info,
  recordRoute,
} from "./route.ts";

/** Fields that are not asked about are 0. */
export type Route6Query = Omit<Flowi6, "l3mdev" | "flags" | "flowlabel">;

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
  const fl6: Flowi6 = { ...query, l3mdev: 0, flags: 0, flowlabel: 0 };
  const { iif, daddr } = query;
  if (iif !== 0 && net.dev_get_by_index(iif) === undefined) return { error: Errno.ENODEV };
  const rt = iif === 0 ? ip6_route_output_flags(net, "output", fl6, false) : ip6_route_input_lookup(net, fl6, null);
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
    prefsrc: iif === 0 ? ip6_route_get_saddr(net, rt.from, daddr, 0) : (route.prefsrc as bigint | null),
  };
}

/** Entry LOOKUP: the route that connect() would find, or one look-up alone. */
export function ip6_lookup(net: NetNamespace, skb: SkBuff): Verdict {
  if ((skb.flags & PacketFlag.RTM_GETROUTE) === 0) return ip6_datagram_dst_update(net, skb);
  const refused = refuse_header6(net, skb);
  if (refused !== null) return refused;
  const fl6 = socket_flow(skb);
  const rt = ip6_route_output_flags(net, "output", fl6, false);
  noteRoute(skb, rt);
  if (rt.error !== 0) return send_error(net, skb, rt.error);
  const source = ip6_route_get_saddr(net, rt.from, fl6.daddr, 0) ?? 0n;
  recordRoute(net, rt, source);
  skb.writeSource(source);
  return found(skb, rt, fl6.daddr);
}

/** Entry ROUTE_INPUT: the route of a received packet, without the packet's way there. */
export function inet6_route_input(net: NetNamespace, skb: SkBuff, device: number): Verdict {
  const refused = refuse_header6(net, skb);
  if (refused !== null) return refused;
  const dev = net.dev_get_by_index(device);
  if (dev === undefined) return send_error(net, skb, Errno.ENODEV);
  const fl6 = { ...socket_flow(skb), oif: 0, iif: device, daddr: ipv6_hdr(skb).daddr };
  const rt = ip6_route_input_lookup(net, fl6, null);
  noteRoute(skb, rt);
  if (rt.error !== 0) return send_error(net, skb, rt.error);
  if (rt.input === "ip6_mc_input") return send_error(net, skb, Errno.EMSGSIZE);
  recordRoute(net, rt, fl6.saddr);
  return found(skb, rt, fl6.daddr);
}

function found(skb: SkBuff, rt: Rt6Info, daddr: bigint): Verdict {
  skb.set("outDevice", rt.dev.ifindex);
  skb.writeNextHop(rt.gateway ?? daddr);
  return Verdict.FOUND;
}

/** Siblings are a ring. */
function from_chosen(siblings: readonly Fib6Info[], chosen: Fib6Info): readonly Fib6Info[] {
  const at = siblings.indexOf(chosen);
  return [...siblings.slice(at), ...siblings.slice(0, at)];
}
