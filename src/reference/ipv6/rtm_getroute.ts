/**
 * `ip -6 route get`: one look-up, without a packet.
 * k:net/ipv6/route.c inet6_rtm_getroute, rt6_fill_node; include/net/ip6_route.h ip6_route_get_saddr.
 */
import { PacketFlag } from "../../../runtime/batch.ts";
import { Errno, Verdict } from "../../../runtime/verdict.ts";
import type { NetNamespace } from "../net.ts";
import { type SkBuff, send_error } from "../skb.ts";
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

/** Entry LOOKUP: the route that connect() would find, or one look-up alone. */
export function ip6_lookup(net: NetNamespace, skb: SkBuff): Verdict {
  if ((skb.flags & PacketFlag.RTM_GETROUTE) === 0) return ip6_datagram_dst_update(net, skb);
  const refused = refuse_header6(net, skb);
  if (refused !== null) return refused;
  const fl6 = { ...socket_flow(skb), daddr: ipv6_hdr(skb).daddr };
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
