/**
 * Entry ROUTE_INPUT: the route of a received packet, source validation and all, without the packet's way there.
 * k:net/ipv4/route.c inet_rtm_getroute (`ip route get ... iif`); net/ipv4/arp.c arp_process asks the same.
 */
import { DropReason, Errno, Verdict } from "../../runtime/verdict.ts";
import type { NetNamespace } from "./net.ts";
import { refuse_header } from "./raw.ts";
import { ip_route_input_noref } from "./route.ts";
import { type SkBuff, send_error } from "./skb.ts";

export function inet_rtm_getroute(net: NetNamespace, skb: SkBuff, device: number): Verdict {
  const refused = refuse_header(net, skb);
  if (refused !== null) return refused;
  const dev = net.dev_get_by_index(device);
  if (dev === undefined) return send_error(net, skb, Errno.ENODEV);
  skb.dev = dev;
  const reason = ip_route_input_noref(net, skb, dev);
  if (reason !== null) return send_error(net, skb, reason === DropReason.IP_RPFILTER ? Errno.EXDEV : Errno.EINVAL);
  const rt = skb.dst!;
  if (rt.error !== 0) return send_error(net, skb, rt.error);
  skb.set("outDevice", rt.dev.ifindex);
  skb.writeNextHop(rt.rt_gw ?? skb.iphdr.daddr);
  return Verdict.FOUND;
}
