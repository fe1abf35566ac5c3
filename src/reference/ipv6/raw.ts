/**
 * IPv6 packets of sockets.
 * k:net/ipv6/raw.c rawv6_sendmsg; net/ipv6/udp.c, icmp.c (the same order); net/ipv6/datagram.c ip6_datagram_dst_update.
 */
import { PacketFlag } from "../../../runtime/batch.ts";
import { EtherType } from "../../../runtime/net/ethernet.ts";
import { IN6ADDR_LOOPBACK } from "../../../runtime/net/in6.ts";
import { IPV6_HEADER_BYTES } from "../../../runtime/net/ipv6.ts";
import { readU16 } from "../../../runtime/net/wire.ts";
import { DropReason, Verdict } from "../../../runtime/verdict.ts";
import { type Flowi6, flowi6 } from "../flow.ts";
import { IPPROTO_TCP, IPPROTO_UDP } from "../in.ts";
import type { NetNamespace } from "../net.ts";
import { kfree_skb, type SkBuff, send_error, skb_set_owner_w } from "../skb.ts";
import { ip6_dst_lookup_tail, ip6_local_out } from "./ip6_output.ts";
import { IPPROTO_ICMPV6, ipv6_hdr } from "./ipv6hdr.ts";

/** Entry OUTPUT: routes the packet, fills in its source, and sends it. */
export function rawv6_sendmsg(net: NetNamespace, skb: SkBuff): Verdict {
  const refused = refuse_header6(net, skb);
  if (refused !== null) return refused;
  const fl6 = socket_flow(skb);
  const rt = ip6_dst_lookup_tail(net, skb, "output", fl6, isBound(skb));
  if (typeof rt === "number") return send_error(net, skb, rt);
  skb.dst6 = rt;
  skb_set_owner_w(skb);
  skb.ignore_df = true;
  const hdr = ipv6_hdr(skb);
  hdr.saddr = fl6.saddr;
  hdr.daddr = fl6.daddr;
  return ip6_local_out(net, skb, is_of_tcp(skb));
}

/** What tcp_ipv6.c sends; a reset that a chain sends (nf_send_reset6) has ANYSRC. */
const is_of_tcp = (skb: SkBuff): boolean =>
  ipv6_hdr(skb).nexthdr === IPPROTO_TCP && (skb.flags & PacketFlag.ANYSRC) === 0;

/** Entry LOOKUP: the route that connect() would find. */
export function ip6_datagram_dst_update(net: NetNamespace, skb: SkBuff): Verdict {
  const refused = refuse_header6(net, skb);
  if (refused !== null) return refused;
  const fl6 = socket_flow(skb);
  const rt = ip6_dst_lookup_tail(net, skb, "output", fl6, isBound(skb));
  if (typeof rt === "number") return send_error(net, skb, rt);
  skb.set("outDevice", rt.dev.ifindex);
  skb.writeNextHop(rt.gateway ?? fl6.daddr);
  skb.writeSource(fl6.saddr);
  return Verdict.FOUND;
}

/** The verdict, when the host gave something else than an IPv6 packet. */
export function refuse_header6(net: NetNamespace, skb: SkBuff): Verdict | null {
  skb.protocol = EtherType.IPV6;
  skb.network_header = skb.data;
  if (skb.len < IPV6_HEADER_BYTES || ipv6_hdr(skb).version !== 6) return kfree_skb(net, skb, DropReason.IP_INHDR);
  skb.set_network_header();
  return null;
}

/** The destination :: means this host (a BSDism). */
export function socket_flow(skb: SkBuff): Flowi6 {
  const { saddr, daddr, nexthdr, dsfield, flowlabel } = ipv6_hdr(skb);
  return flowi6({
    saddr,
    daddr: daddr === 0n ? IN6ADDR_LOOPBACK : daddr,
    iif: 0,
    oif: skb.batch.column("device")[skb.index],
    mark: skb.mark,
    uid: skb.batch.column("uid")[skb.index],
    protocol: nexthdr,
    tos: dsfield,
    flowlabel,
    ...socket_ports(skb),
  });
}

/** What the kernel itself sends asks for a device without being bound to it. */
const isBound = (skb: SkBuff): boolean =>
  (skb.flags & PacketFlag.OIF_UNBOUND) === 0 && skb.batch.column("device")[skb.index] !== 0;

/** A flow keeps ICMPv6's type and code where others have the destination port. One that is only asked about (inet6_rtm_getroute) has ports with any protocol. */
function socket_ports(skb: SkBuff): { sport: number; dport: number } {
  const { nexthdr, offset, bytes } = ipv6_hdr(skb);
  const at = offset + IPV6_HEADER_BYTES;
  const left = skb.data + skb.len - at;
  if (nexthdr === IPPROTO_ICMPV6 && left >= 2) return { sport: 0, dport: readU16(bytes, at) };
  const hasPorts = nexthdr === IPPROTO_TCP || nexthdr === IPPROTO_UDP || (skb.flags & PacketFlag.RTM_GETROUTE) !== 0;
  if (hasPorts && left >= 4) return { sport: readU16(bytes, at), dport: readU16(bytes, at + 2) };
  return { sport: 0, dport: 0 };
}
