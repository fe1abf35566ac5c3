/**
 * Devices: a frame comes in, a frame goes out.
 * k:net/core/dev.c __netif_receive_skb_core, __dev_queue_xmit, dev_hard_start_xmit; drivers/net/veth.c, loopback.c.
 */
import type { Device } from "../../dsl/model.ts";
import { ETHERNET_HEADER_BYTES, EtherType, isVlan } from "../../runtime/net/ethernet.ts";
import { readU16 } from "../../runtime/net/wire.ts";
import { DropReason, Verdict } from "../../runtime/verdict.ts";
import { eth_proto, eth_type_trans, skb_reorder_vlan_header, skb_vlan_untag, VLAN_HLEN } from "./eth.ts";
import { ip_rcv } from "./ip_input.ts";
import { isIpv6 } from "./ipv6/af_inet6.ts";
import { ipv6_rcv } from "./ipv6/ip6_input.ts";
import { loopedDst6 } from "./ipv6/route.ts";
import type { NetNamespace } from "./net.ts";
import { nf_hook } from "./netfilter/nf_hook.ts";
import { next_pass } from "./passes.ts";
import { sch_handle_egress, sch_handle_ingress } from "./programs/tc.ts";
import { do_xdp } from "./programs/xdp.ts";
import { refuse_header } from "./raw.ts";
import { loopedDst } from "./route.ts";
import { kfree_skb, leave, type SkBuff, skb_orphan } from "./skb.ts";
import { vrf_xmit } from "./vrf.ts";

/** k:include/linux/netdevice.h: transmissions nested deeper than this are a loop of virtual devices. */
export const XMIT_RECURSION_LIMIT = 8;

/** Entry RECEIVE: the wire delivers a frame (veth: __dev_forward_skb), if the device takes it at all. */
export function dev_receive(net: NetNamespace, skb: SkBuff, ifindex: number): Verdict {
  const dev = net.dev_get_by_index(ifindex);
  if (!dev?.up) return kfree_skb(net, skb, DropReason.DEVICE_DOWN);
  if (skb.len < ETHERNET_HEADER_BYTES) return kfree_skb(net, skb, DropReason.PKT_TOO_SMALL);
  const limit = dev.mtu + ETHERNET_HEADER_BYTES + VLAN_HLEN;
  if (dev.kind === "veth" && skb.len > limit) return kfree_skb(net, skb, DropReason.PKT_TOO_BIG);
  return do_xdp(net, skb, dev) ?? netif_receive_skb_core(net, skb, dev, eth_type_trans(skb, dev));
}

/** Entry LOOPBACK: dev_loopback_xmit. The copy is for this host, and its dst says so. */
export function dev_loopback_receive(net: NetNamespace, skb: SkBuff, ifindex: number): Verdict {
  const refused = refuse_header(net, skb);
  if (refused !== null) return refused;
  const dev = net.dev_get_by_index(ifindex);
  if (dev === undefined) return kfree_skb(net, skb, DropReason.DEVICE_DOWN);
  skb.pkt_type = "LOOPBACK";
  skb.mac_header = skb.data;
  net.hook("xdp", dev.ifindex, 0);
  if (isIpv6(skb)) skb.dst6 = loopedDst6(skb, dev);
  else skb.dst = loopedDst(net, skb);
  return netif_receive_skb_core(net, skb, dev, skb.protocol);
}

/** The hooks of the device, then the protocol. Everything but IP is the host's. */
function netif_receive_skb_core(net: NetNamespace, skb: SkBuff, dev: Device, type: number): Verdict {
  skb.dev = dev;
  skb.skb_iif = dev.ifindex;
  skb.protocol = type;
  const vlan = isVlan(type) ? skb_vlan_untag(skb) : 0;
  if (vlan === null) return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  skb.network_header = skb.data;
  skb.protocol = eth_proto(skb, skb.protocol);
  return (
    sch_handle_ingress(net, skb, dev) ??
    nf_hook(net, skb, "netdev ingress", dev, null) ??
    deliver_skb(net, skb, dev, vlan)
  );
}

/** Behind a priority tag there may be another; behind that of a VLAN, which has no device here, it does not matter. */
function deliver_skb(net: NetNamespace, skb: SkBuff, dev: Device, outer: number): Verdict {
  let vlan: number | null = outer;
  while (vlan === 0 && isVlan(skb.protocol)) vlan = skb_vlan_untag(skb);
  if (vlan === null) return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  if (vlan !== 0) skb.pkt_type = "OTHERHOST";
  if (skb.protocol !== EtherType.IPV4 && skb.protocol !== EtherType.IPV6) return Verdict.PASS;
  skb_reorder_vlan_header(skb);
  return skb.protocol === EtherType.IPV4 ? ip_rcv(net, skb, dev) : ipv6_rcv(net, skb, dev);
}

/** Entry XMIT: a frame that this host has made for a device (arp_xmit, nft_reject_queue_xmit). */
export function dev_direct_xmit(net: NetNamespace, skb: SkBuff, ifindex: number): Verdict {
  const dev = net.dev_get_by_index(ifindex);
  if (dev === undefined) return kfree_skb(net, skb, DropReason.DEVICE_DOWN);
  if (skb.len < ETHERNET_HEADER_BYTES) return kfree_skb(net, skb, DropReason.PKT_TOO_SMALL);
  skb.dev = dev;
  skb.network_header = skb.data + ETHERNET_HEADER_BYTES;
  skb.protocol = eth_proto(skb, readU16(skb.bytes, skb.network_header - 2));
  if (skb.protocol === EtherType.IPV4 || skb.protocol === EtherType.IPV6) skb.set("l3", skb.network_header);
  return dev_queue_xmit(net, skb, dev);
}

/** `data` stands at the Ethernet header. */
export function dev_queue_xmit(net: NetNamespace, skb: SkBuff, dev: Device): Verdict {
  skb.mac_header = skb.data;
  const end = nf_hook_egress(net, skb, dev) ?? sch_handle_egress(net, skb, dev);
  if (end !== null) return end;
  skb.nf_skip_egress = false;
  if (!dev.up) return kfree_skb(net, skb, DropReason.DEVICE_DOWN);
  switch (dev.kind) {
    case "loopback":
      return next_pass(skb, () => netif_rx(net, skb, dev)); // loopback_xmit: back in with its dst, so not routed again
    case "vrf":
      if (skb.xmit_recursion > XMIT_RECURSION_LIMIT) return kfree_skb(net, skb, DropReason.RECURSION);
      skb.xmit_recursion++;
      return next_pass(skb, () => vrf_xmit(net, skb, dev));
    case "veth":
    case "dummy":
      return dev_hard_start_xmit(net, skb, dev);
  }
}

function nf_hook_egress(net: NetNamespace, skb: SkBuff, dev: Device): Verdict | null {
  return skb.nf_skip_egress ? null : nf_hook(net, skb, "netdev egress", null, dev);
}

/** The frame is on the wire. */
export function dev_hard_start_xmit(net: NetNamespace, skb: SkBuff, dev: Device): Verdict {
  net.record({ step: "transmit", device: dev.ifindex });
  return leave(skb, Verdict.TRANSMIT, dev);
}

/** Queued in the kernel, so transmissions made from there are not nested in this one. */
export function netif_rx(net: NetNamespace, skb: SkBuff, dev: Device): Verdict {
  skb.xmit_recursion = 0;
  skb.nf_dup_recursion = 0;
  skb_orphan(skb);
  net.hook("xdp", dev.ifindex, 0);
  return netif_receive_skb_core(net, skb, dev, eth_type_trans(skb, dev));
}
