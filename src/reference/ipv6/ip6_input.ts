/**
 * Receiving an IPv6 packet.
 * k:net/ipv6/ip6_input.c ipv6_rcv, ip6_rcv_core, ip6_rcv_finish, ip6_input, ip6_mc_input. The extension headers behind the hop-by-hop
 * options, and protocols, are the host's (ip6_protocol_deliver_rcu).
 *
 *   ipv6_rcv -> ip6_rcv_core -> PREROUTING -> ip6_rcv_finish -> l3mdev_ip6_rcv -> ip6_route_input -> dst_input
 */

import type { Device } from "../../../dsl/model.ts";
import { ifIndex } from "../../../runtime/brand.ts";
import { Unreachable6 } from "../../../runtime/net/icmp6.ts";
import {
  ipv6_addr_is_multicast,
  ipv6_addr_loopback,
  ipv6_addr_mc_scope,
  MulticastScope,
} from "../../../runtime/net/in6.ts";
import { IPV6_HEADER_BYTES, NextHeader } from "../../../runtime/net/ipv6.ts";
import { DropReason, type Verdict } from "../../../runtime/verdict.ts";
import { isLoopback, type NetNamespace, netif_is_l3_master } from "../net.ts";
import { nf_hook } from "../netfilter/nf_hook.ts";
import { deliver, inet_sdif, kfree_skb, type SkBuff } from "../skb.ts";
import { ipv6_parse_hopopts } from "./exthdrs.ts";
import { ip6_forward } from "./ip6_forward.ts";
import { ipv6_hdr } from "./ipv6hdr.ts";
import { ipv6_chk_mcast_addr } from "./mcast.ts";
import { ip6_pkt_drop, ip6_route_input } from "./route.ts";
import { l3mdev_ip6_rcv } from "./vrf.ts";

export function ipv6_rcv(net: NetNamespace, skb: SkBuff, dev: Device): Verdict {
  skb.set_network_header();
  const reason = ip6_rcv_core(skb, dev);
  if (reason !== null) return kfree_skb(net, skb, reason);
  const refused = ipv6_hdr(skb).nexthdr === NextHeader.HOP ? ipv6_parse_hopopts(net, skb) : null;
  if (refused !== null) return refused;
  return nf_hook(net, skb, "prerouting", dev, null) ?? ip6_rcv_finish(net, skb);
}

/** The checks, in the kernel's order; then padding is cut off. */
function ip6_rcv_core(skb: SkBuff, dev: Device): DropReason | null {
  if (skb.pkt_type === "OTHERHOST") return DropReason.OTHERHOST;
  if (dev.conf.disableIpv6) return DropReason.IPV6DISABLED;
  skb.iif = skb.dst6 === null ? dev.ifindex : skb.dst6.idev.ifindex;
  skb.l3slave = false;
  if (skb.len < IPV6_HEADER_BYTES) return DropReason.IP_INHDR;
  const hdr = ipv6_hdr(skb);
  if (hdr.version !== 6) return DropReason.UNHANDLED_PROTO;
  const reason = refuse_addresses(skb, dev);
  if (reason !== null) return reason;
  // A length of 0 may be that of a jumbogram.
  if (hdr.payload_len === 0 && hdr.nexthdr === NextHeader.HOP) return null;
  if (hdr.payload_len + IPV6_HEADER_BYTES > skb.len) return DropReason.PKT_TOO_SMALL;
  skb.len = hdr.payload_len + IPV6_HEADER_BYTES;
  return null;
}

/** What RFC 4291 (2.5.3, 2.7 and erratum 3480) keeps off the wire. */
function refuse_addresses(skb: SkBuff, dev: Device): DropReason | null {
  const { saddr, daddr } = ipv6_hdr(skb);
  const inside = isLoopback(dev) || netif_is_l3_master(dev);
  if ((ipv6_addr_loopback(saddr) || ipv6_addr_loopback(daddr)) && !inside) return DropReason.IP_INHDR;
  const scope = ipv6_addr_is_multicast(daddr) ? ipv6_addr_mc_scope(daddr) : null;
  const own = skb.pkt_type === "LOOPBACK" || isLoopback(dev);
  if (scope === MulticastScope.NODELOCAL && !own) return DropReason.IP_INHDR;
  const group = skb.pkt_type === "BROADCAST" || skb.pkt_type === "MULTICAST";
  if (scope === null && group && dev.conf.dropUnicastInL2Multicast6) return DropReason.UNICAST_IN_L2_MULTICAST;
  return scope === MulticastScope.RESERVED || ipv6_addr_is_multicast(saddr) ? DropReason.IP_INHDR : null;
}

function ip6_rcv_finish(net: NetNamespace, skb: SkBuff): Verdict {
  const end = l3mdev_ip6_rcv(net, skb);
  if (end !== null) return end;
  // What this host looped back to itself knows where it goes, and so does what the VRF routed.
  if (skb.dst6 === null) ip6_route_input(net, skb);
  return dst_input(net, skb);
}

function dst_input(net: NetNamespace, skb: SkBuff): Verdict {
  switch (skb.dst6!.input) {
    case "ip6_input":
      return ip6_input(net, skb);
    case "ip6_mc_input":
      return ip6_mc_input(net, skb);
    case "ip6_forward":
      return ip6_forward(net, skb);
    case "ip6_pkt_discard":
      return ip6_pkt_drop(net, skb, Unreachable6.NOROUTE);
    case "ip6_pkt_prohibit":
      return ip6_pkt_drop(net, skb, Unreachable6.ADM_PROHIBITED);
    case "dst_discard":
      return kfree_skb(net, skb, DropReason.BLACKHOLE);
  }
}

/** A fragment passes INPUT as it is: it is put together behind the hook. */
function ip6_input(net: NetNamespace, skb: SkBuff): Verdict {
  const dev = skb.dev!;
  net.record({ step: "ip6_input", device: dev.ifindex, sdif: ifIndex(inet_sdif(skb)) });
  return nf_hook(net, skb, "input", dev, null) ?? deliver(skb);
}

/** Groups are joined by the device below the VRF. */
function ip6_mc_input(net: NetNamespace, skb: SkBuff): Verdict {
  const sdif = inet_sdif(skb);
  const dev = sdif === 0 ? skb.dev! : net.dev_get_by_index(sdif)!;
  if (!ipv6_chk_mcast_addr(net, dev, ipv6_hdr(skb).daddr)) return kfree_skb(net, skb, DropReason.NOT_JOINED);
  return ip6_input(net, skb);
}
