/**
 * Sending an IPv6 packet.
 * k:net/ipv6/ip6_output.c ip6_dst_lookup_tail, ip6_output, __ip6_finish_output, ip6_fragment, ip6_finish_output2;
 * net/ipv6/output_core.c __ip6_local_out; of TCP net/ipv6/ip6_output.c ip6_xmit.
 *
 *   __ip6_local_out -> l3mdev_ip6_out -> LOCAL_OUT -> dst_output -> ip6_output -> POSTROUTING -> __ip6_finish_output
 *   -> ip6_finish_output2 -> neighbour -> __dev_queue_xmit
 */

import type { Device } from "../../../dsl/model.ts";
import { PacketFlag } from "../../../runtime/batch.ts";
import { Icmp6Type } from "../../../runtime/net/icmp6.ts";
import { ipv6_addr_is_multicast, ipv6_addr_mc_scope, MulticastScope } from "../../../runtime/net/in6.ts";
import { IPV6_HEADER_BYTES } from "../../../runtime/net/ipv6.ts";
import { DropReason, Errno, Verdict } from "../../../runtime/verdict.ts";
import type { Flowi6 } from "../flow.ts";
import { ip_finish_output2 as neigh_finish } from "../ip_output.ts";
import { isLoopback, type NetNamespace } from "../net.ts";
import { nf_hook, nf_hook_clone } from "../netfilter/nf_hook.ts";
import { icmpv6_send, kfree_skb, leave, type SkBuff } from "../skb.ts";
import { ipv6_hdr } from "./ipv6hdr.ts";
import { ipv6_chk_mcast_addr } from "./mcast.ts";
import { ip6_route_get_saddr, ip6_route_output_flags, noteRoute, type Rt6Info, recordRoute } from "./route.ts";
import { l3mdev_ip6_out, vrf_output6 } from "./vrf.ts";

/**
 * Routes a packet of this host; fills in `fl6.saddr` where it is ::. When no route was found without a source, one is looked for
 * with the source that would be taken then.
 * @param bound no other device than `fl6.oif` will do
 */
export function ip6_dst_lookup_tail(
  net: NetNamespace,
  skb: SkBuff,
  kind: "output" | "vrf_xmit",
  fl6: Flowi6,
  bound: boolean,
): Rt6Info | Errno {
  let rt: Rt6Info | null = null;
  let iface = bound;
  if (fl6.saddr === 0n) {
    rt = ip6_route_output_flags(net, kind, fl6, bound);
    noteRoute(skb, rt);
    const saddr = ip6_route_get_saddr(net, rt.error === 0 ? rt.from : null, fl6.daddr, fl6.l3mdev);
    if (saddr === null) return Errno.EADDRNOTAVAIL;
    fl6.saddr = saddr;
    iface ||= fl6.oif !== 0;
  }
  if (rt === null || rt.error !== 0) {
    rt = ip6_route_output_flags(net, kind, fl6, iface);
    noteRoute(skb, rt);
  }
  if (rt.error !== 0) return rt.error;
  recordRoute(net, rt, fl6.saddr);
  return rt;
}

/**
 * A packet of this host, routed: header finished, VRF passed through, LOCAL_OUT, and out.
 * @param by_tcp ip6_xmit: LOCAL_OUT is told the route's own device, also where the VRF has put itself in its place
 */
export function ip6_local_out(net: NetNamespace, skb: SkBuff, by_tcp: boolean): Verdict {
  ipv6_hdr(skb).payload_len = skb.len - IPV6_HEADER_BYTES;
  const { dev } = skb.dst6!;
  const diverted = l3mdev_ip6_out(net, skb);
  return diverted ?? nf_hook(net, skb, "output", null, by_tcp ? dev : skb.dst6!.dev) ?? dst_output6(net, skb);
}

export function dst_output6(net: NetNamespace, skb: SkBuff): Verdict {
  return skb.dst6!.output === "vrf_output6" ? vrf_output6(net, skb) : ip6_output(net, skb);
}

function ip6_output(net: NetNamespace, skb: SkBuff): Verdict {
  const { dev } = skb.dst6!;
  const indev = skb.dev;
  skb.dev = dev;
  if (dev.conf.disableIpv6) return kfree_skb(net, skb, DropReason.IPV6DISABLED);
  return nf_hook(net, skb, "postrouting", indev, dev) ?? ip6_finish_output(net, skb);
}

function ip6_finish_output(net: NetNamespace, skb: SkBuff): Verdict {
  const { dev, mtu: route_mtu, gateway } = skb.dst6!;
  const mtu = route_mtu ?? dev.mtu;
  if (skb.len > mtu) return ip6_fragment(net, skb, mtu);
  return ip6_finish_output2(net, skb, dev, gateway ?? ipv6_hdr(skb).daddr);
}

/** Only the sender cuts a packet; a router says how large it may be. */
function ip6_fragment(net: NetNamespace, skb: SkBuff, mtu: number): Verdict {
  if (!skb.ignore_df) return icmpv6_too_big(net, skb, mtu);
  const { dev, gateway } = skb.dst6!;
  net.record({ step: "ip6_fragment", device: dev.ifindex, mtu });
  skb.writeNextHop(gateway ?? ipv6_hdr(skb).daddr);
  skb.set("info", mtu);
  return leave(skb, Verdict.FRAGMENT, dev);
}

/** The outgoing device's address is to be the error's source. */
export function icmpv6_too_big(net: NetNamespace, skb: SkBuff, mtu: number): Verdict {
  skb.dev = skb.dst6!.dev;
  return icmpv6_send(net, skb, Icmp6Type.PKT_TOOBIG, 0, mtu);
}

/** @param nexthop gateway, or the destination itself */
function ip6_finish_output2(net: NetNamespace, skb: SkBuff, dev: Device, nexthop: bigint): Verdict {
  const { daddr, hop_limit } = ipv6_hdr(skb);
  if (ipv6_addr_is_multicast(daddr) && !isLoopback(dev)) {
    if (sk_mc_loop(skb) && ipv6_chk_mcast_addr(net, dev, daddr)) {
      if (nf_hook_clone(net, skb, "postrouting", dev)) skb.raiseFlag(PacketFlag.LOOP_BACK);
      if (hop_limit === 0) return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
    }
    if (ipv6_addr_mc_scope(daddr) <= MulticastScope.NODELOCAL) return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  }
  return neigh_finish(net, skb, dev, nexthop);
}

/** Neighbour discovery has no use for its own messages; and a VRF device does not loop back what passes through it. */
const sk_mc_loop = (skb: SkBuff): boolean => skb.mc_loop && skb.xmit_recursion === 0;
