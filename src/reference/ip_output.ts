/**
 * Sending an IPv4 packet.
 * k:net/ipv4/ip_output.c __ip_local_out, ip_output, ip_mc_output, ip_finish_output, ip_finish_output2, ip_fragment.
 *
 *   __ip_local_out -> l3mdev_ip_out -> LOCAL_OUT -> dst_output -> ip_output -> POSTROUTING -> ip_finish_output
 *   -> ip_finish_output2 -> neighbour -> __dev_queue_xmit
 */
import type { Device } from "../../dsl/model.ts";
import { PacketFlag } from "../../runtime/batch.ts";
import { IcmpType, Unreachable } from "../../runtime/net/icmp.ts";
import type { Ip } from "../../runtime/net/ip.ts";
import { DropReason, Verdict } from "../../runtime/verdict.ts";
import { dev_queue_xmit } from "./dev.ts";
import { ip_exceeds_mtu } from "./ip_forward.ts";
import { ip_send_check } from "./iphdr.ts";
import { l3mdev_ip_out } from "./l3mdev.ts";
import { neigh_ha, neigh_output } from "./neighbour.ts";
import type { NetNamespace } from "./net.ts";
import { nf_hook, nf_hook_clone } from "./netfilter/nf_hook.ts";
import { ip_dst_mtu } from "./rtable.ts";
import { icmp_send, kfree_skb, leave, type SkBuff } from "./skb.ts";
import { vrf_output } from "./vrf.ts";

/** A packet of this host, routed: header finished, VRF passed through, LOCAL_OUT, and out. */
export function ip_local_out(net: NetNamespace, skb: SkBuff): Verdict {
  skb.iphdr.tot_len = skb.len;
  ip_send_check(skb.iphdr);
  return l3mdev_ip_out(net, skb) ?? nf_hook(net, skb, "output", null, skb.dst!.dev) ?? dst_output(net, skb);
}

export function dst_output(net: NetNamespace, skb: SkBuff): Verdict {
  switch (skb.dst!.output) {
    case "ip_output":
      return ip_output(net, skb, skb.dev);
    case "ip_mc_output":
      return ip_mc_output(net, skb);
    case "vrf_output":
      return vrf_output(net, skb);
    case "ip_rt_bug":
      return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  }
}

function ip_output(net: NetNamespace, skb: SkBuff, indev: Device | null): Verdict {
  const { dev } = skb.dst!;
  skb.dev = dev;
  return nf_hook(net, skb, "postrouting", indev, dev) ?? ip_finish_output(net, skb);
}

/** This host gets a copy, which passes POSTROUTING too: ip_mc_finish_output. A multicast with TTL 0 must not leave it. */
function ip_mc_output(net: NetNamespace, skb: SkBuff): Verdict {
  const { dev } = skb.dst!;
  skb.dev = dev;
  if (nf_hook_clone(net, skb, "postrouting", dev)) skb.raiseFlag(PacketFlag.LOOP_BACK);
  if (skb.dst!.rt_type === "multicast" && skb.iphdr.ttl === 0) return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  return ip_output(net, skb, null);
}

function ip_finish_output(net: NetNamespace, skb: SkBuff): Verdict {
  const rt = skb.dst!;
  const mtu = ip_dst_mtu(rt);
  if (skb.len > mtu) return ip_fragment(net, skb, mtu);
  return ip_finish_output2(net, skb, rt.dev, rt.rt_gw ?? skb.iphdr.daddr);
}

function ip_fragment(net: NetNamespace, skb: SkBuff, mtu: number): Verdict {
  if (ip_exceeds_mtu(skb, mtu)) return icmp_send(net, skb, IcmpType.DEST_UNREACH, Unreachable.FRAG_NEEDED, mtu);
  const rt = skb.dst!;
  net.record({ step: "ip_fragment", device: rt.dev.ifindex, mtu });
  skb.writeNextHop(rt.rt_gw ?? skb.iphdr.daddr);
  skb.set("info", mtu);
  return leave(skb, Verdict.FRAGMENT, rt.dev);
}

/** @param nexthop gateway, or the destination itself */
export function ip_finish_output2(net: NetNamespace, skb: SkBuff, dev: Device, nexthop: Ip): Verdict {
  const ha = neigh_ha(net, dev, nexthop);
  net.record({ step: "neighbour", device: dev.ifindex, nextHop: nexthop, resolved: ha !== null });
  if (ha === null) {
    skb.writeNextHop(nexthop);
    return leave(skb, Verdict.UNRESOLVED, dev);
  }
  neigh_output(skb, dev, ha);
  return dev_queue_xmit(net, skb, dev);
}
