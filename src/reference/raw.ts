/**
 * Packets of sockets.
 * k:net/ipv4/raw.c raw_sendmsg, raw_send_hdrinc; net/ipv4/ping.c, udp.c (the same order); include/net/route.h ip_route_connect.
 */
import { PacketFlag } from "../../runtime/batch.ts";
import { readU16 } from "../../runtime/net/wire.ts";
import { DropReason, Errno, Verdict } from "../../runtime/verdict.ts";
import { FlowFlag, type Flowi4, flowi4 } from "./flow.ts";
import { skb_flow_dissect_flow_keys } from "./flow_dissector.ts";
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, ipv4_is_multicast } from "./in.ts";
import { ip_exceeds_mtu } from "./ip_forward.ts";
import { ip_local_out } from "./ip_output.ts";
import { IP_OFFSET, IPHDR_BYTES } from "./iphdr.ts";
import { isIpv6 } from "./ipv6/af_inet6.ts";
import { refuse_header6 } from "./ipv6/raw.ts";
import { type NetNamespace, netif_is_l3_master } from "./net.ts";
import { ip_route_output_key } from "./route.ts";
import { ip_dst_mtu } from "./rtable.ts";
import { kfree_skb, type SkBuff, send_error, skb_set_owner_w } from "./skb.ts";

/** Entry OUTPUT: routes the packet, fills in its source, and sends it. */
export function raw_sendmsg(net: NetNamespace, skb: SkBuff): Verdict {
  const refused = refuse_header(net, skb);
  if (refused !== null) return refused;
  const fl4 = socket_flow(net, skb);
  const rt = ip_route_output_key(net, skb, "output", fl4);
  if (typeof rt === "number") return send_error(net, skb, rt);
  skb.dst = rt;
  skb_set_owner_w(skb);
  if (ip_exceeds_mtu(skb, ip_dst_mtu(rt))) return send_error(net, skb, Errno.EMSGSIZE);
  skb.iphdr.saddr = fl4.saddr; // ip_copy_addrs: those that were 0
  skb.iphdr.daddr = fl4.daddr;
  return ip_local_out(net, skb);
}

/** Entry LOOKUP: the route that connect() would find. */
export function ip_route_connect(net: NetNamespace, skb: SkBuff): Verdict {
  const refused = refuse_header(net, skb);
  if (refused !== null) return refused;
  const fl4 = socket_flow(net, skb);
  const rt = ip_route_output_key(net, skb, "output", fl4);
  if (typeof rt === "number") return send_error(net, skb, rt);
  skb.set("outDevice", rt.dev.ifindex);
  skb.writeNextHop(rt.rt_gw ?? fl4.daddr);
  skb.writeSource(fl4.saddr);
  return Verdict.FOUND;
}

/** The verdict, when the host gave something else than an IP packet. */
export function refuse_header(net: NetNamespace, skb: SkBuff): Verdict | null {
  if (isIpv6(skb)) return refuse_header6(net, skb);
  skb.network_header = skb.data;
  const { version, ihl } = skb.iphdr;
  if (skb.len < IPHDR_BYTES || version !== 4 || ihl < 5 || ihl * 4 > skb.len)
    return kfree_skb(net, skb, DropReason.IP_INHDR);
  skb.set_network_header();
  return null;
}

/** A multicast leaves by the socket's multicast device (none here), not by the VRF that the socket is bound to. */
function socket_flow(net: NetNamespace, skb: SkBuff): Flowi4 {
  const { saddr, daddr, tos, protocol } = skb.iphdr;
  const bound = skb.batch.column("device")[skb.index];
  const dev = net.dev_get_by_index(bound);
  const oif = ipv4_is_multicast(daddr) && dev !== undefined && netif_is_l3_master(dev) ? 0 : bound;
  const uid = skb.batch.column("uid")[skb.index];
  const anysrc = (skb.batch.column("flags")[skb.index] & PacketFlag.ANYSRC) !== 0;
  const flags = anysrc ? FlowFlag.ANYSRC : 0;
  return flowi4({ saddr, daddr, tos, protocol, oif, uid, mark: skb.mark, flags, ...socket_ports(skb) });
}

/** A flow keeps ICMP's type and code where others have the destination port. */
function socket_ports(skb: SkBuff): { sport: number; dport: number } {
  const { protocol, ihl, frag_off, offset } = skb.iphdr;
  const transport = offset + ihl * 4;
  if (protocol === IPPROTO_ICMP && (frag_off & IP_OFFSET) === 0 && transport + 2 <= skb.data + skb.len)
    return { sport: 0, dport: readU16(skb.bytes, transport) };
  if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) return { sport: 0, dport: 0 };
  const { sport, dport } = skb_flow_dissect_flow_keys(skb);
  return { sport, dport };
}
