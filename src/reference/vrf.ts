/**
 * The VRF device.
 * k:drivers/net/vrf.c
 *
 *   in     l3mdev_ip_rcv -> vrf_l3_rcv                    skb->dev = VRF, PREROUTING once more
 *   out    l3mdev_ip_out -> vrf_l3_out -> direct          LOCAL_OUT, POSTROUTING of the VRF, then on with the slave's
 *                                      -> redirect        dst = the VRF's own, whose output is vrf_output
 *   device vrf_xmit -> vrf_process_v4_outbound            routes anew, inside the VRF; of IPv6: ipv6/vrf.ts
 *                       -> vrf_local_xmit                 for this host: back in by the VRF device
 *                       -> vrf_ip_local_out               LOCAL_OUT of the slave, and out
 */
import { type Device, Scope } from "../../dsl/model.ts";
import { ETHERNET_HEADER_BYTES, EtherType } from "../../runtime/net/ethernet.ts";
import { IPV6_HEADER_BYTES } from "../../runtime/net/ipv6.ts";
import { DropReason, type Verdict } from "../../runtime/verdict.ts";
import { netif_rx } from "./dev.ts";
import { inet_select_addr } from "./devinet.ts";
import { FlowFlag, flowi4 } from "./flow.ts";
import { ipv4_is_lbcast, ipv4_is_multicast } from "./in.ts";
import { dst_output, ip_finish_output2 } from "./ip_output.ts";
import { IPHDR_BYTES } from "./iphdr.ts";
import { vrf_process_v6_outbound } from "./ipv6/vrf.ts";
import type { NetNamespace } from "./net.ts";
import { nf_hook } from "./netfilter/nf_hook.ts";
import { next_pass } from "./passes.ts";
import { ip_route_output_key } from "./route.ts";
import type { Rtable } from "./rtable.ts";
import { kfree_skb, type SkBuff } from "./skb.ts";

/** vrf_ip_rcv. Multicast, and what vrf_local_xmit sent, pass no second PREROUTING. */
export function vrf_l3_rcv(net: NetNamespace, vrf_dev: Device, skb: SkBuff): Verdict | null {
  net.record({ step: "vrf_l3_rcv", device: skb.dev!.ifindex, vrf: vrf_dev.ifindex });
  skb.dev = vrf_dev;
  skb.skb_iif = vrf_dev.ifindex;
  skb.l3slave = true;
  if (ipv4_is_multicast(skb.iphdr.daddr)) return null;
  if (skb.pkt_type === "LOOPBACK") {
    skb.pkt_type = "HOST";
    return null;
  }
  return nf_hook(net, skb, "prerouting", vrf_dev, null);
}

/** vrf_ip_out. Multicast and limited broadcast are not diverted. */
export function vrf_l3_out(net: NetNamespace, vrf_dev: Device, skb: SkBuff): Verdict | null {
  const { daddr } = skb.iphdr;
  if (ipv4_is_multicast(daddr) || ipv4_is_lbcast(daddr)) return null;
  const direct = qdisc_tx_is_default(vrf_dev);
  net.record({ step: "vrf_l3_out", device: skb.dst!.dev.ifindex, vrf: vrf_dev.ifindex, direct });
  if (direct) return vrf_ip_out_direct(net, vrf_dev, skb);
  skb.dst = vrf_rth(vrf_dev);
  return null;
}

/** A device that is down has the noop qdisc, which is none of its own and yet queues: dev_deactivate. */
export const qdisc_tx_is_default = (vrf_dev: Device): boolean => vrf_dev.up && vrf_dev.qdiscDefault;

/** The socket does not learn of a drop here: __ip_local_out takes what l3mdev_ip_out kept for sent. */
export function vrf_ip_out_direct(net: NetNamespace, vrf_dev: Device, skb: SkBuff): Verdict | null {
  const { sending } = skb;
  skb.dev = vrf_dev;
  skb.sending = false;
  const end = nf_hook(net, skb, "output", null, vrf_dev) ?? nf_hook(net, skb, "postrouting", null, vrf_dev);
  skb.sending = sending;
  return end;
}

/** vrf_rtable_create: the dst that leads through the VRF device. */
const vrf_rth = (vrf_dev: Device): Rtable => ({
  dev: vrf_dev,
  rt_type: "unicast",
  input: "dst_discard",
  output: "vrf_output",
  rt_gw: null,
  mtu: null,
  error: 0,
});

/** vrf_output and vrf_finish_output: no look at the MTU. */
export function vrf_output(net: NetNamespace, skb: SkBuff): Verdict {
  const { dev } = skb.dst!;
  skb.dev = dev;
  return nf_hook(net, skb, "postrouting", null, dev) ?? ip_finish_output2(net, skb, dev, skb.iphdr.daddr);
}

export function vrf_xmit(net: NetNamespace, skb: SkBuff, vrf_dev: Device): Verdict {
  net.record({ step: "vrf_xmit", vrf: vrf_dev.ifindex });
  switch (skb.protocol) {
    case EtherType.IPV4:
      return may_pull(skb, IPHDR_BYTES) ? vrf_process_v4_outbound(net, skb, vrf_dev) : vrf_tx_error(net, skb);
    case EtherType.IPV6:
      return may_pull(skb, IPV6_HEADER_BYTES) ? vrf_process_v6_outbound(net, skb, vrf_dev) : vrf_tx_error(net, skb);
    default:
      return vrf_tx_error(net, skb);
  }
}

/** Chains and programs can send any frame by a VRF device. */
const may_pull = (skb: SkBuff, header: number): boolean => skb.len >= ETHERNET_HEADER_BYTES + header;

const vrf_tx_error = (net: NetNamespace, skb: SkBuff): Verdict => kfree_skb(net, skb, DropReason.NOT_SPECIFIED);

/** The flow has neither mark nor ports nor uid. */
function vrf_process_v4_outbound(net: NetNamespace, skb: SkBuff, vrf_dev: Device): Verdict {
  const { saddr, daddr, tos, protocol } = skb.iphdr;
  const fl4 = flowi4({ saddr, daddr, tos, protocol, flags: FlowFlag.ANYSRC });
  if (net.kernel === "5.4") {
    fl4.oif = vrf_dev.ifindex;
    fl4.flags |= FlowFlag.SKIP_NH_OIF;
  } else fl4.l3mdev = vrf_dev.ifindex;
  const rt = ip_route_output_key(net, skb, "vrf_xmit", fl4);
  if (typeof rt === "number") return kfree_skb(net, skb, DropReason.IP_OUTNOROUTES);
  skb.dst = rt;
  if (rt.dev === vrf_dev) return vrf_local_xmit(net, skb, vrf_dev);

  skb.pull(skb.network_header - skb.data);
  // The checksum is not mended: so it is in the kernel.
  if (saddr === 0) skb.iphdr.saddr = inet_select_addr(net, rt.dev, 0, Scope.LINK);
  skb.iif = 0;
  skb.l3slave = false;
  skb.doredirect = false;
  return vrf_ip_local_out(net, skb);
}

export function vrf_local_xmit(net: NetNamespace, skb: SkBuff, vrf_dev: Device): Verdict {
  net.record({ step: "vrf_local_xmit", vrf: vrf_dev.ifindex });
  skb.pkt_type = "LOOPBACK";
  return next_pass(skb, () => netif_rx(net, skb, vrf_dev));
}

/** skb->dev is still the VRF, so POSTROUTING sees it as the in device. */
function vrf_ip_local_out(net: NetNamespace, skb: SkBuff): Verdict {
  return nf_hook(net, skb, "output", null, skb.dst!.dev) ?? dst_output(net, skb);
}
