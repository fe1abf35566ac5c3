/**
 * The VRF device's IPv6 half.
 * k:drivers/net/vrf.c vrf_ip6_rcv, vrf_ip6_out, vrf_output6, vrf_process_v6_outbound; include/net/l3mdev.h. The drawing is in ../vrf.ts.
 *
 *   in     strict (multicast, link-local, ::1)   routed straight in the VRF's table, by the slave; no second PREROUTING
 *          neighbour discovery                   stays with the slave; a second PREROUTING all the same
 *          all else                              as IPv4
 *   out    strict                                not diverted
 */

import type { Device } from "../../../dsl/model.ts";
import { isNeighbourDiscovery } from "../../../runtime/net/icmp6.ts";
import { rt6_need_strict, V4MAPPED } from "../../../runtime/net/in6.ts";
import { inPrefix } from "../../../runtime/net/ip.ts";
import { DropReason, type Verdict } from "../../../runtime/verdict.ts";
import { FlowFlag, flowi6 } from "../flow.ts";
import { ip_finish_output2 } from "../ip_output.ts";
import { l3mdev_l3_rcv_master } from "../l3mdev.ts";
import { type NetNamespace, netif_is_l3_slave } from "../net.ts";
import { nf_hook } from "../netfilter/nf_hook.ts";
import { kfree_skb, type SkBuff } from "../skb.ts";
import { qdisc_tx_is_default, vrf_ip_out_direct, vrf_local_xmit } from "../vrf.ts";
import { dst_output6, ip6_dst_lookup_tail } from "./ip6_output.ts";
import { icmp6_type, ipv6_hdr } from "./ipv6hdr.ts";
import { ip6_dst_alloc, vrf_ip6_input_dst } from "./route.ts";

/** A packet received by a slave, or by the VRF device itself, passes to the VRF. */
export function l3mdev_ip6_rcv(net: NetNamespace, skb: SkBuff): Verdict | null {
  const master = l3mdev_l3_rcv_master(net, skb.dev!);
  return master === undefined ? null : vrf_ip6_rcv(net, master, skb);
}

function vrf_ip6_rcv(net: NetNamespace, vrf_dev: Device, skb: SkBuff): Verdict | null {
  const orig_dev = skb.dev!;
  const need_strict = rt6_need_strict(ipv6_hdr(skb).daddr);
  const is_ndisc = ipv6_ndisc_frame(skb);
  const looped = skb.pkt_type === "LOOPBACK";
  net.record({ step: "vrf_l3_rcv", device: orig_dev.ifindex, vrf: vrf_dev.ifindex });
  if (looped || !is_ndisc) {
    skb.dev = vrf_dev;
    skb.skb_iif = vrf_dev.ifindex;
    skb.l3slave = true;
  }
  if (looped) {
    skb.pkt_type = "HOST";
    return null;
  }
  if (need_strict) vrf_ip6_input_dst(net, skb, vrf_dev, orig_dev);
  return need_strict && !is_ndisc ? null : nf_hook(net, skb, "prerouting", vrf_dev, null);
}

function ipv6_ndisc_frame(skb: SkBuff): boolean {
  const type = icmp6_type(skb);
  return type !== null && isNeighbourDiscovery(type);
}

/** A packet of this host that leaves by a slave passes through the VRF first. */
export function l3mdev_ip6_out(net: NetNamespace, skb: SkBuff): Verdict | null {
  const { dev } = skb.dst6!;
  const master = netif_is_l3_slave(dev) ? net.dev_get_by_index(dev.master) : undefined;
  return master === undefined ? null : vrf_ip6_out(net, master, skb);
}

function vrf_ip6_out(net: NetNamespace, vrf_dev: Device, skb: SkBuff): Verdict | null {
  if (rt6_need_strict(ipv6_hdr(skb).daddr)) return null;
  const direct = qdisc_tx_is_default(vrf_dev);
  net.record({ step: "vrf_l3_out", device: skb.dst6!.dev.ifindex, vrf: vrf_dev.ifindex, direct });
  if (direct) return vrf_ip_out_direct(net, vrf_dev, skb);
  skb.dst6 = { ...ip6_dst_alloc(vrf_dev), output: "vrf_output6" };
  return null;
}

/** vrf_output6 and vrf_finish_output6: no look at the MTU. */
export function vrf_output6(net: NetNamespace, skb: SkBuff): Verdict {
  const { dev } = skb.dst6!;
  skb.dev = dev;
  return nf_hook(net, skb, "postrouting", null, dev) ?? ip_finish_output2(net, skb, dev, ipv6_hdr(skb).daddr);
}

/** The flow has the packet's mark, but neither ports nor uid. */
export function vrf_process_v6_outbound(net: NetNamespace, skb: SkBuff, vrf_dev: Device): Verdict {
  const { saddr, daddr, nexthdr, dsfield, flowlabel } = ipv6_hdr(skb);
  const fl6 = flowi6({ saddr, daddr, mark: skb.mark, protocol: nexthdr, tos: dsfield, flowlabel });
  if (net.kernel === "5.4") {
    fl6.oif = vrf_dev.ifindex;
    fl6.flags |= FlowFlag.SKIP_NH_OIF;
  } else fl6.l3mdev = vrf_dev.ifindex;
  const rt = ip6_dst_lookup_tail(net, skb, "vrf_xmit", fl6, false);
  // The end of ip6_dst_lookup_tail, EAFNOSUPPORT; only what is forwarded has such a source.
  const isMixed = inPrefix(V4MAPPED, saddr) && !inPrefix(V4MAPPED, daddr) && daddr !== 0n;
  if (typeof rt === "number" || isMixed) return kfree_skb(net, skb, DropReason.IP_OUTNOROUTES);
  skb.dst6 = rt;
  if (rt.dev === vrf_dev) return vrf_local_xmit(net, skb, vrf_dev);

  skb.pull(skb.network_header - skb.data);
  skb.iif = 0;
  skb.l3slave = false;
  // vrf_ip6_local_out: skb->dev is still the VRF, so POSTROUTING sees it as the in device.
  return nf_hook(net, skb, "output", null, rt.dev) ?? dst_output6(net, skb);
}
