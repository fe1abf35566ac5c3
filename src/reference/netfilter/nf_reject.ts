/**
 * `reject`: what the sender is told of a packet that is dropped.
 * k:net/netfilter/nft_reject_inet.c, nft_reject_netdev.c; net/ipv4/netfilter/nf_reject_ipv4.c nf_send_unreach, nf_send_reset, nf_reject_fill_skb_dst;
 * net/ipv6/netfilter/nf_reject_ipv6.c nf_send_unreach6, nf_send_reset6; net/netfilter/utils.c nf_ip_checksum, nf_ip6_checksum.
 *
 * Nothing is told of a fragment but the first, of a packet whose transport checksum is wrong, or, at prerouting, where no route leads
 * back to the source: that route is looked up outside of VRFs. A device's chain answers by the way that the frame came, without a route;
 * there the host looks at the packet (runtime/host/reject-frame.ts), as it makes all of the answer.
 */

import type { Reject } from "../../../dsl/chain-model.ts";
import { PacketFlag } from "../../../runtime/batch.ts";
import { checksum, foldChecksum, pseudoHeaderSum, wordSum } from "../../../runtime/net/checksum.ts";
import { EtherType } from "../../../runtime/net/ethernet.ts";
import { IcmpType } from "../../../runtime/net/icmp.ts";
import { Icmp6Type } from "../../../runtime/net/icmp6.ts";
import { ipv6_addr_is_unicast } from "../../../runtime/net/in6.ts";
import { NextHeader, skipExtensionHeaders } from "../../../runtime/net/ipv6.ts";
import { TCP_FLAGS, TCP_HEADER_BYTES, TcpFlag } from "../../../runtime/net/tcp.ts";
import { isSummed } from "../../../runtime/net/verify-csum.ts";
import { readU16 } from "../../../runtime/net/wire.ts";
import { DropReason, Verdict } from "../../../runtime/verdict.ts";
import { flowi4, flowi6 } from "../flow.ts";
import * as inaddr from "../in.ts";
import { IP_OFFSET } from "../iphdr.ts";
import { ipv6_hdr } from "../ipv6/ipv6hdr.ts";
import { ip6_route_output_flags, noteRoute } from "../ipv6/route.ts";
import { l3mdev_master_ifindex } from "../l3mdev.ts";
import { ip_route_output_key } from "../route.ts";
import { icmp_send, icmpv6_send, type SkBuff } from "../skb.ts";
import { tell_sender } from "./nf_hook.ts";
import { packet_end } from "./nft_expr.ts";
import { NfProto, type PktInfo } from "./pktinfo.ts";

/** @returns the verdict that has the host answer; null: the packet is dropped and nobody told */
export function nft_reject_eval(reject: Reject, pkt: PktInfo): Verdict | null {
  const verdict =
    pkt.hook === "netdev ingress" ? nft_reject_netdev_eval(reject, pkt) : nft_reject_inet_eval(reject, pkt);
  if (verdict === null) return null;
  tell_sender(pkt);
  pkt.skb.set("reason", DropReason.NETFILTER_DROP);
  return verdict;
}

function nft_reject_inet_eval({ icmp, icmp6, tcpReset }: Reject, pkt: PktInfo): Verdict | null {
  const ipv6 = pkt.pf === NfProto.IPV6;
  return tcpReset ? send_reset(pkt, ipv6) : ipv6 ? nf_send_unreach6(pkt, icmp6!) : nf_send_unreach(pkt, icmp!);
}

/** Nobody is told of a frame to a group, of what is not IP, and of what has no Ethernet header. */
function nft_reject_netdev_eval({ icmp, icmp6, tcpReset }: Reject, { net, skb, in: input }: PktInfo): Verdict | null {
  if (skb.mac_len === 0 || (skb.bytes[skb.mac_header!] & 1) !== 0) return null;
  const type = readU16(skb.bytes, skb.network_header - 2);
  if (type !== EtherType.IPV4 && type !== EtherType.IPV6) return null;
  const unreachable =
    type === EtherType.IPV4 ? (IcmpType.DEST_UNREACH << 8) | (icmp ?? 0) : (Icmp6Type.DEST_UNREACH << 8) | (icmp6 ?? 0);
  const error = tcpReset ? 0 : unreachable;
  skb.set("error", error);
  skb.set("outDevice", input!.ifindex);
  skb.set("l3", skb.network_header);
  net.record({ step: "nft_reject_netdev", error });
  skb.push(skb.mac_len);
  skb.writeExtent();
  return Verdict.REJECT_FRAME;
}

// ---- IPv4 ----------------------------------------------------------------------------------------------------------------

function nf_send_unreach(pkt: PktInfo, code: number): Verdict | null {
  const { net, skb } = pkt;
  const { frag_off, ihl, protocol } = skb.iphdr;
  if ((frag_off & IP_OFFSET) !== 0) return null;
  if (skb.dst === null) {
    if (!nf_reject_fill_skb_dst(pkt)) return null;
    // ip_rcv_options comes behind PREROUTING: IPCB(skb)->opt is still empty.
    skb.raiseFlag(PacketFlag.OPTIONS_UNREAD);
  }
  const dataoff = skb.network_header + ihl * 4;
  if (nf_reject_verify_csum(skb, dataoff, protocol) && !nf_ip_checksum(skb, dataoff, protocol)) return null;
  return icmp_send(net, skb, IcmpType.DEST_UNREACH, code, 0);
}

/** The way back to the source; no VRF has a say. */
function nf_reject_fill_skb_dst({ net, skb }: PktInfo): boolean {
  const rt = ip_route_output_key(net, skb, "output", flowi4({ saddr: 0, daddr: skb.iphdr.saddr }));
  if (typeof rt === "number") return false;
  skb.dst = rt;
  return true;
}

function nf_send_reset(pkt: PktInfo): Verdict | null {
  const { skb } = pkt;
  const { frag_off, ihl, protocol } = skb.iphdr;
  const dataoff = skb.network_header + ihl * 4;
  if ((frag_off & IP_OFFSET) !== 0 || protocol !== inaddr.IPPROTO_TCP) return null;
  if (!may_reset(skb, dataoff) || !nf_ip_checksum(skb, dataoff, protocol)) return null;
  if (skb.dst === null && !nf_reject_fill_skb_dst(pkt)) return null;
  const { rt_type, dev } = skb.dst!;
  if (rt_type === "broadcast" || rt_type === "multicast") return null;
  return reset(pkt, skb.sk_bound_dev_if === 0 ? l3mdev_master_ifindex(dev) : skb.sk_bound_dev_if);
}

function nf_ip_checksum(skb: SkBuff, dataoff: number, protocol: number): boolean {
  const { saddr, daddr } = skb.iphdr;
  const segment = skb.bytes.subarray(dataoff, packet_end(skb));
  if (protocol !== inaddr.IPPROTO_TCP && protocol !== inaddr.IPPROTO_UDP) return checksum(segment) === 0;
  return foldChecksum(wordSum(segment) + pseudoHeaderSum(saddr, daddr, protocol, segment.length)) === 0;
}

// ---- IPv6 ----------------------------------------------------------------------------------------------------------------

function nf_send_unreach6(pkt: PktInfo, code: number): Verdict | null {
  const { net, skb, hook } = pkt;
  if (!reject6_csum_ok(skb)) return null;
  if (hook === "output" && skb.dev === null) skb.dev = net.loopback_dev;
  if (skb.dst6 === null && !nf_reject6_fill_skb_dst(pkt)) return null;
  return icmpv6_send(net, skb, Icmp6Type.DEST_UNREACH, code, 0);
}

function reject6_csum_ok(skb: SkBuff): boolean {
  const upper = upper_layer(skb);
  if (upper === null || upper.offset >= packet_end(skb) || upper.fragment) return false;
  return !nf_reject_verify_csum(skb, upper.offset, upper.protocol) || nf_ip6_checksum(skb, upper);
}

/** ipv6_skip_exthdr; `fragment`: not the first one, so what stands there is no header. */
function upper_layer(skb: SkBuff): { protocol: number; offset: number; fragment: boolean } | null {
  const packet = skb.bytes.subarray(skb.network_header, packet_end(skb));
  const upper = skipExtensionHeaders(packet);
  if (upper === null) return null;
  return {
    protocol: upper.protocol,
    offset: skb.network_header + upper.offset,
    fragment: upper.protocol === NextHeader.FRAGMENT,
  };
}

function nf_reject6_fill_skb_dst({ net, skb }: PktInfo): boolean {
  const rt = ip6_route_output_flags(net, "output", flowi6({ saddr: 0n, daddr: ipv6_hdr(skb).saddr, iif: 0 }), false);
  noteRoute(skb, rt);
  if (rt.error !== 0) return false;
  skb.dst6 = rt;
  return true;
}

function nf_send_reset6(pkt: PktInfo): Verdict | null {
  const { skb } = pkt;
  const { saddr, daddr } = ipv6_hdr(skb);
  const upper = upper_layer(skb);
  if (!ipv6_addr_is_unicast(saddr) || !ipv6_addr_is_unicast(daddr) || upper?.protocol !== inaddr.IPPROTO_TCP)
    return null;
  if (!may_reset(skb, upper.offset) || !nf_ip6_checksum(skb, upper)) return null;
  if (skb.dst6 === null && !nf_reject6_fill_skb_dst(pkt)) return null;
  return reset(pkt, l3mdev_master_ifindex(skb.dst6!.dev));
}

function nf_ip6_checksum(skb: SkBuff, { offset, protocol }: { offset: number; protocol: number }): boolean {
  const { saddr, daddr } = ipv6_hdr(skb);
  const segment = skb.bytes.subarray(offset, packet_end(skb));
  return foldChecksum(wordSum(segment) + pseudoHeaderSum(saddr, daddr, protocol, segment.length)) === 0;
}

// ---- both ----------------------------------------------------------------------------------------------------------------

const send_reset = (pkt: PktInfo, ipv6: boolean): Verdict | null => (ipv6 ? nf_send_reset6(pkt) : nf_send_reset(pkt));

/** The TCP header is there, and is no reset itself. */
const may_reset = (skb: SkBuff, at: number): boolean =>
  at + TCP_HEADER_BYTES <= packet_end(skb) && (skb.bytes[at + TCP_FLAGS] & TcpFlag.RST) === 0;

/** @param oif what the answer is routed by: a VRF, or the sending socket's device */
function reset({ net, skb }: PktInfo, oif: number): Verdict {
  skb.set("outDevice", oif);
  skb.set("skbDevice", skb.dev?.ifindex ?? 0);
  skb.writeExtent();
  net.record({ step: "nf_send_reset" });
  return Verdict.TCP_RESET;
}

function nf_reject_verify_csum(skb: SkBuff, dataoff: number, protocol: number): boolean {
  return isSummed(protocol, skb.bytes.subarray(dataoff, packet_end(skb)));
}
