/**
 * Devices: a frame comes in, a frame goes out.
 * k:net/core/dev.c __netif_receive_skb_core, __dev_queue_xmit; net/ethernet/eth.c eth_type_trans; drivers/net/veth.c, loopback.c.
 */
import type { Device } from "../../dsl/model.ts";
import { ETHERNET_HEADER_BYTES, EthernetView, EtherType, isVlan, VLAN_VID_MASK } from "../../runtime/net/ethernet.ts";
import { BROADCAST_MAC, isGroup } from "../../runtime/net/mac.ts";
import { readU16 } from "../../runtime/net/wire.ts";
import { DropReason, Verdict } from "../../runtime/verdict.ts";
import { ip_rcv } from "./ip_input.ts";
import { isIpv6 } from "./ipv6/af_inet6.ts";
import { ipv6_rcv } from "./ipv6/ip6_input.ts";
import { loopedDst6 } from "./ipv6/route.ts";
import type { NetNamespace } from "./net.ts";
import { nf_hook } from "./netfilter/nf_hook.ts";
import { next_pass } from "./passes.ts";
import { refuse_header } from "./raw.ts";
import { loopedDst } from "./route.ts";
import { kfree_skb, leave, type PacketType, type SkBuff, skb_orphan } from "./skb.ts";
import { vrf_xmit } from "./vrf.ts";

const VLAN_HLEN = 4;
/** Of an Ethernet header, without its type. */
const ADDRESSES_BYTES = 12;
/** Below, the type is a length. */
const ETH_P_802_3_MIN = 0x600;
const ETH_P_802_3 = 1;
const ETH_P_802_2 = 4;
/** k:include/linux/netdevice.h: transmissions nested deeper than this are a loop of virtual devices. */
const XMIT_RECURSION_LIMIT = 8;

/** Entry RECEIVE: the wire delivers a frame (veth: __dev_forward_skb), if the device takes it at all. */
export function dev_receive(net: NetNamespace, skb: SkBuff, ifindex: number): Verdict {
  const dev = net.dev_get_by_index(ifindex);
  if (!dev?.up) return kfree_skb(net, skb, DropReason.DEVICE_DOWN);
  if (skb.len < ETHERNET_HEADER_BYTES) return kfree_skb(net, skb, DropReason.PKT_TOO_SMALL);
  const limit = dev.mtu + ETHERNET_HEADER_BYTES + VLAN_HLEN;
  if (dev.kind === "veth" && skb.len > limit) return kfree_skb(net, skb, DropReason.PKT_TOO_BIG);
  return netif_receive_skb(net, skb, dev);
}

/** The hooks of the device, then the protocol. Everything but IP is the host's. */
export function netif_receive_skb(net: NetNamespace, skb: SkBuff, dev: Device): Verdict {
  const { type } = eth_type_trans(skb, dev);
  return netif_receive_skb_core(net, skb, dev, type);
}

/** Entry LOOPBACK: dev_loopback_xmit. The copy is for this host, and its dst says so. */
export function dev_loopback_receive(net: NetNamespace, skb: SkBuff, ifindex: number): Verdict {
  const refused = refuse_header(net, skb);
  if (refused !== null) return refused;
  const dev = net.dev_get_by_index(ifindex);
  if (dev === undefined) return kfree_skb(net, skb, DropReason.DEVICE_DOWN);
  skb.pkt_type = "LOOPBACK";
  skb.mac_header = skb.data;
  if (isIpv6(skb)) skb.dst6 = loopedDst6(skb, dev);
  else skb.dst = loopedDst(net, skb);
  return netif_receive_skb_core(net, skb, dev, skb.protocol);
}

function netif_receive_skb_core(net: NetNamespace, skb: SkBuff, dev: Device, type: number): Verdict {
  skb.dev = dev;
  skb.skb_iif = dev.ifindex;
  skb.protocol = type;
  net.hook("xdp", dev.ifindex, 0);
  const vlan = isVlan(type) ? skb_vlan_untag(skb) : 0;
  if (vlan === null) return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  net.hook("tc ingress", dev.ifindex, 0);
  if (skb.protocol < ETH_P_802_3_MIN) skb.protocol = lengthProtocol(skb);
  skb.network_header = skb.data;
  return nf_hook(net, skb, "netdev ingress", dev, null) ?? deliver_skb(net, skb, dev, vlan);
}

/** @returns the id of the VLAN whose tag was taken off, 0: a priority tag; null: the tag is not all there */
function skb_vlan_untag(skb: SkBuff): number | null {
  if (skb.len < VLAN_HLEN + 2) return null;
  const id = readU16(skb.bytes, skb.data) & VLAN_VID_MASK;
  skb.protocol = readU16(skb.bytes, skb.data + 2);
  skb.pull(VLAN_HLEN);
  return id;
}

/** A length instead of a type. */
const lengthProtocol = (skb: SkBuff): number =>
  skb.len >= 2 && readU16(skb.bytes, skb.data) === 0xffff ? ETH_P_802_3 : ETH_P_802_2;

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

/** Closes the gap that tags have left behind the Ethernet addresses. */
function skb_reorder_vlan_header(skb: SkBuff): void {
  const at = skb.data - ETHERNET_HEADER_BYTES;
  if (skb.mac_header === null || skb.mac_header >= at) return;
  skb.bytes.copyWithin(at, skb.mac_header, skb.mac_header + ADDRESSES_BYTES);
  skb.mac_header = at;
}

/** Pulls the Ethernet header and says for whom the frame is; its own address leaves pkt_type as it was. */
function eth_type_trans(skb: SkBuff, dev: Device): EthernetView {
  const eth = new EthernetView(skb.bytes.slice(skb.data, skb.data + ETHERNET_HEADER_BYTES));
  skb.mac_header = skb.data;
  skb.pull(ETHERNET_HEADER_BYTES);
  if (eth.destination !== dev.mac) skb.pkt_type = packetType(eth.destination);
  return eth;
}

function packetType(destination: number): PacketType {
  if (!isGroup(destination)) return "OTHERHOST";
  return destination === BROADCAST_MAC ? "BROADCAST" : "MULTICAST";
}

/** `data` stands at the Ethernet header. */
export function dev_queue_xmit(net: NetNamespace, skb: SkBuff, dev: Device): Verdict {
  skb.mac_header = skb.data;
  const end = nf_hook(net, skb, "netdev egress", null, dev);
  if (end !== null) return end;
  net.hook("tc egress", 0, dev.ifindex);
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
      net.record({ step: "transmit", device: dev.ifindex });
      return leave(skb, Verdict.TRANSMIT, dev);
  }
}

/** Queued in the kernel, so transmissions made from there are not nested in this one. */
export function netif_rx(net: NetNamespace, skb: SkBuff, dev: Device): Verdict {
  skb.xmit_recursion = 0;
  skb.nf_dup_recursion = 0;
  skb_orphan(skb);
  return netif_receive_skb(net, skb, dev);
}
