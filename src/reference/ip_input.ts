/**
 * Receiving an IPv4 packet.
 * k:net/ipv4/ip_input.c ip_rcv, ip_rcv_core, ip_rcv_finish, ip_rcv_finish_core, ip_rcv_options, ip_local_deliver.
 *
 *   ip_rcv -> ip_rcv_core -> PREROUTING -> ip_rcv_finish -> l3mdev_ip_rcv -> ip_route_input -> ip_rcv_options -> dst_input
 */
import type { Device } from "../../dsl/model.ts";
import { PacketFlag } from "../../runtime/batch.ts";
import { ifIndex } from "../../runtime/brand.ts";
import { IcmpType } from "../../runtime/net/icmp.ts";
import { DropReason, type Verdict } from "../../runtime/verdict.ts";
import { ip_forward } from "./ip_forward.ts";
import { IPHDR_BYTES, ip_fast_csum, ip_is_fragment } from "./iphdr.ts";
import { isIpv6 } from "./ipv6/af_inet6.ts";
import { l3mdev_ip_rcv } from "./l3mdev.ts";
import type { NetNamespace } from "./net.ts";
import { nf_hook } from "./netfilter/nf_hook.ts";
import { refuse_header } from "./raw.ts";
import { ip_error, ip_route_input_noref } from "./route.ts";
import { deliver, icmp_send, inet_sdif, kfree_skb, type SkBuff } from "./skb.ts";

export function ip_rcv(net: NetNamespace, skb: SkBuff, dev: Device): Verdict {
  skb.set_network_header();
  const reason = ip_rcv_core(skb);
  if (reason !== null) return kfree_skb(net, skb, reason);
  return nf_hook(net, skb, "prerouting", dev, null) ?? ip_rcv_finish(net, skb);
}

/** The checks, in the kernel's order; then padding is cut off. */
function ip_rcv_core(skb: SkBuff): DropReason | null {
  if (skb.pkt_type === "OTHERHOST") return DropReason.OTHERHOST;
  if (skb.len < IPHDR_BYTES) return DropReason.IP_INHDR;
  const iph = skb.iphdr;
  if (iph.ihl < 5 || iph.version !== 4) return DropReason.IP_INHDR;
  if (skb.len < iph.ihl * 4) return DropReason.IP_INHDR;
  if (ip_fast_csum(iph) !== 0) return DropReason.IP_CSUM;
  if (skb.len < iph.tot_len) return DropReason.PKT_TOO_SMALL;
  if (iph.tot_len < iph.ihl * 4) return DropReason.IP_INHDR;
  skb.len = iph.tot_len;
  skb.iif = skb.skb_iif;
  skb.l3slave = false;
  skb.doredirect = false;
  return null;
}

function ip_rcv_finish(net: NetNamespace, skb: SkBuff): Verdict {
  const dev = skb.dev!; // before the VRF takes over: IPv4 routes by the slave
  return l3mdev_ip_rcv(net, skb) ?? ip_rcv_finish_core(net, skb, dev) ?? dst_input(net, skb);
}

/** The verdict, when the packet goes no further. */
function ip_rcv_finish_core(net: NetNamespace, skb: SkBuff, dev: Device): Verdict | null {
  // What this host looped back to itself knows where it goes.
  if (skb.dst === null) {
    const reason = ip_route_input_noref(net, skb, dev);
    if (reason !== null) return kfree_skb(net, skb, reason);
  }
  const refused = skb.iphdr.ihl > 5 ? ip_rcv_options(net, skb) : null;
  if (refused !== null) return refused;
  const { rt_type } = skb.dst!;
  const group = skb.pkt_type === "BROADCAST" || skb.pkt_type === "MULTICAST";
  if (rt_type !== "multicast" && rt_type !== "broadcast" && group && dev.conf.dropUnicastInL2Multicast)
    return kfree_skb(net, skb, DropReason.UNICAST_IN_L2_MULTICAST);
  return null;
}

/** The host has read the options; it knows where a parameter problem points to. accept_source_route is off. */
function ip_rcv_options(net: NetNamespace, skb: SkBuff): Verdict | null {
  if ((skb.flags & PacketFlag.OPTIONS_INVALID) !== 0) return icmp_send(net, skb, IcmpType.PARAMETER_PROBLEM, 0, 0);
  if ((skb.flags & PacketFlag.OPTIONS_SOURCE_ROUTE) !== 0) return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  return null;
}

function dst_input(net: NetNamespace, skb: SkBuff): Verdict {
  switch (skb.dst!.input) {
    case "ip_local_deliver":
      return ip_local_deliver(net, skb);
    case "ip_forward":
      return ip_forward(net, skb);
    case "ip_error":
      return ip_error(net, skb);
    case "dst_discard":
      return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  }
}

/** A fragment goes to the host as it is: INPUT is passed by the whole packet. */
function ip_local_deliver(net: NetNamespace, skb: SkBuff): Verdict {
  const dev = skb.dev!;
  net.record({ step: "ip_local_deliver", device: dev.ifindex, sdif: ifIndex(inet_sdif(skb)) });
  const end = ip_is_fragment(skb.iphdr) ? null : nf_hook(net, skb, "input", dev, null);
  return end ?? deliver(skb);
}

/** Entry LOCAL_IN: the second half of ip_local_deliver, of a packet that ip_defrag has put together. */
export function ip_local_deliver_whole(net: NetNamespace, skb: SkBuff, ifindex: number): Verdict {
  const refused = isIpv6(skb) ? kfree_skb(net, skb, DropReason.IP_INHDR) : refuse_header(net, skb);
  if (refused !== null) return refused;
  const dev = net.dev_get_by_index(ifindex);
  if (dev === undefined) return kfree_skb(net, skb, DropReason.DEVICE_DOWN);
  skb.dev = dev;
  return nf_hook(net, skb, "input", dev, null) ?? deliver(skb);
}
