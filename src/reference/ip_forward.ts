/** Forwarding. k:net/ipv4/ip_forward.c */
import { DropReason, type Verdict } from "../../runtime/verdict.ts";
import { dst_output } from "./ip_output.ts";
import { IP_DF, ip_decrease_ttl } from "./iphdr.ts";
import type { NetNamespace } from "./net.ts";
import { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, ip_rt_send_redirect } from "./route.ts";
import { ip_dst_mtu } from "./rtable.ts";
import { icmp_send, kfree_skb, type SkBuff } from "./skb.ts";

const ICMP_TIME_EXCEEDED = 11;
const ICMP_EXC_TTL = 0;

/** TTL and MTU are tested, and their errors sent, before the FORWARD hook sees the packet. */
export function ip_forward(net: NetNamespace, skb: SkBuff): Verdict {
  if (skb.pkt_type !== "HOST") return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  const iph = skb.iphdr;
  const rt = skb.dst!;
  net.record({ step: "ip_forward", ttl: iph.ttl });
  if (iph.ttl <= 1) return icmp_send(net, skb, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0);
  const mtu = ip_dst_mtu(rt);
  if (ip_exceeds_mtu(skb, mtu)) return icmp_send(net, skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu);
  ip_decrease_ttl(iph);
  if (skb.doredirect) ip_rt_send_redirect(net, skb);
  net.hook("forward", skb.dev!.ifindex, rt.dev.ifindex);
  return dst_output(net, skb);
}

/** Without DF the packet is cut on its way out. */
export const ip_exceeds_mtu = (skb: SkBuff, mtu: number): boolean =>
  skb.len > mtu && (skb.iphdr.frag_off & IP_DF) !== 0;
