/** Forwarding. k:net/ipv6/ip6_output.c ip6_forward, ip6_pkt_too_big */

import { Icmp6Type, TimeExceeded6, Unreachable6 } from "../../../runtime/net/icmp6.ts";
import { ipv6_addr_is_linklocal, ipv6_addr_is_multicast, ipv6_addr_loopback } from "../../../runtime/net/in6.ts";
import { IPV6_MIN_MTU } from "../../../runtime/net/ipv6.ts";
import { DropReason, type Verdict } from "../../../runtime/verdict.ts";
import type { NetNamespace } from "../net.ts";
import { nf_hook } from "../netfilter/nf_hook.ts";
import { icmpv6_send, kfree_skb, type SkBuff } from "../skb.ts";
import { dst_output6, icmpv6_too_big } from "./ip6_output.ts";
import { ipv6_hdr } from "./ipv6hdr.ts";

/** Hop limit and MTU are tested, and their errors sent, before the FORWARD hook sees the packet. */
export function ip6_forward(net: NetNamespace, skb: SkBuff): Verdict {
  if (!net.model.sysctl.ipv6Forwarding) return kfree_skb(net, skb, DropReason.IP_INADDRERRORS);
  if (skb.pkt_type !== "HOST") return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  const hdr = ipv6_hdr(skb);
  const { dev } = skb.dst6!;
  net.record({ step: "ip6_forward", hopLimit: hdr.hop_limit });
  if (hdr.hop_limit <= 1) return icmpv6_send(net, skb, Icmp6Type.TIME_EXCEED, TimeExceeded6.HOPLIMIT, 0);
  // Back out where it came from: the sender could have done so itself. Then its address is not looked at.
  if (skb.iif === dev.ifindex) ndisc_send_redirect(net, skb);
  else {
    const refused = refuse_source(net, skb);
    if (refused !== null) return refused;
  }
  const mtu = Math.max(dev.mtu, IPV6_MIN_MTU); // ip6_dst_mtu_maybe_forward: whatever the route says
  if (skb.len > mtu) return icmpv6_too_big(net, skb, mtu);
  hdr.hop_limit = hdr.hop_limit - 1;
  return nf_hook(net, skb, "forward", skb.dev, dev) ?? dst_output6(net, skb);
}

/** The target is the better next hop: the gateway, or the destination itself. */
function ndisc_send_redirect(net: NetNamespace, skb: SkBuff): void {
  skb.writeRedirect(skb.dst6!.gateway ?? ipv6_hdr(skb).daddr);
  net.record({ step: "icmpv6_send", type: Icmp6Type.REDIRECT, code: 0 });
}

/** What is from nobody, or from one link alone, stays on its link. */
function refuse_source(net: NetNamespace, skb: SkBuff): Verdict | null {
  const { saddr } = ipv6_hdr(skb);
  if (saddr === 0n || ipv6_addr_is_multicast(saddr) || ipv6_addr_loopback(saddr))
    return kfree_skb(net, skb, DropReason.IP_INADDRERRORS);
  if (!ipv6_addr_is_linklocal(saddr)) return null;
  return icmpv6_send(net, skb, Icmp6Type.DEST_UNREACH, Unreachable6.NOT_NEIGHBOUR, 0);
}
