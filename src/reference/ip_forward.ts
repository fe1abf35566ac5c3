/** Forwarding. k:net/ipv4/ip_forward.c */
import { IcmpType, TimeExceeded, Unreachable } from "../../runtime/net/icmp.ts";
import { DropReason, type Verdict } from "../../runtime/verdict.ts";
import { dst_output } from "./ip_output.ts";
import { IP_DF, ip_decrease_ttl } from "./iphdr.ts";
import type { NetNamespace } from "./net.ts";
import { nf_hook } from "./netfilter/nf_hook.ts";
import { ip_rt_send_redirect } from "./route.ts";
import { ip_dst_mtu } from "./rtable.ts";
import { icmp_send, kfree_skb, type SkBuff } from "./skb.ts";

/** TTL and MTU are tested, and their errors sent, before the FORWARD hook sees the packet. */
export function ip_forward(net: NetNamespace, skb: SkBuff): Verdict {
  if (skb.pkt_type !== "HOST") return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  const iph = skb.iphdr;
  const rt = skb.dst!;
  net.record({ step: "ip_forward", ttl: iph.ttl });
  if (iph.ttl <= 1) return icmp_send(net, skb, IcmpType.TIME_EXCEEDED, TimeExceeded.TTL, 0);
  const mtu = ip_dst_mtu(rt);
  if (ip_exceeds_mtu(skb, mtu)) return icmp_send(net, skb, IcmpType.DEST_UNREACH, Unreachable.FRAG_NEEDED, mtu);
  ip_decrease_ttl(iph);
  if (skb.doredirect) ip_rt_send_redirect(net, skb);
  skb.priority = rt_tos2priority(iph.tos); // sysctl_ip_fwd_update_priority is on
  return nf_hook(net, skb, "forward", skb.dev, rt.dev) ?? dst_output(net, skb);
}

/** TC_PRIO_* of the four TOS bits (k:net/ipv4/route.c ip_tos2prio): best effort 0, bulk 2, interactive bulk 4, interactive 6. */
const ip_tos2prio = [0, 0, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4];
const rt_tos2priority = (tos: number): number => ip_tos2prio[(tos & 0x1e) >>> 1];

/** Without DF the packet is cut on its way out. */
export const ip_exceeds_mtu = (skb: SkBuff, mtu: number): boolean =>
  skb.len > mtu && (skb.iphdr.frag_off & IP_DF) !== 0;
