/**
 * Hop-by-hop options, the one extension header that every node on the way reads.
 * k:net/ipv6/exthdrs.c ipv6_parse_hopopts, ip6_parse_tlv, ip6_tlvopt_unknown, ipv6_hop_ra, ipv6_hop_jumbo, ipv6_hop_ioam. Not here: IOAM
 * that is enabled on a device, and the checksum of CALIPSO.
 *
 *   nh   | next header | length in 8 bytes, less the first 8 | option | option | ...
 *        option: Pad1 (one byte of 0) | type, length of what follows, ...
 */

import { Icmp6Type, ParameterProblem6 } from "../../../runtime/net/icmp6.ts";
import { ipv6_addr_is_multicast } from "../../../runtime/net/in6.ts";
import {
  IPV6_HEADER_BYTES,
  IPV6_MAX_PAYLOAD,
  Ipv6Option,
  MAX_OPTION_PADDING,
  MAX_OPTIONS,
} from "../../../runtime/net/ipv6.ts";
import { readU32 } from "../../../runtime/net/wire.ts";
import { DropReason, type Verdict } from "../../../runtime/verdict.ts";
import type { NetNamespace } from "../net.ts";
import { icmpv6_send, kfree_skb, type SkBuff } from "../skb.ts";
import { ipv6_hdr } from "./ipv6hdr.ts";

/** Of the two highest bits of an unknown option's type: what to do (RFC 8200 section 4.2). */
const Unknown = { SKIP: 0, DISCARD: 1, REPORT: 2, REPORT_UNLESS_MULTICAST: 3 } as const;

/** @returns the verdict, when an option ends the packet's way */
export function ipv6_parse_hopopts(net: NetNamespace, skb: SkBuff): Verdict | null {
  const start = skb.network_header + IPV6_HEADER_BYTES;
  const end = skb.data + skb.len;
  if (start + 8 > end || start + ((skb.bytes[start + 1] + 1) << 3) > end)
    return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  return ip6_parse_tlv(net, skb, start + 2, start + ((skb.bytes[start + 1] + 1) << 3));
}

function ip6_parse_tlv(net: NetNamespace, skb: SkBuff, first: number, end: number): Verdict | null {
  const nh = skb.bytes;
  const bad = () => kfree_skb(net, skb, DropReason.IP_INHDR);
  let tlv_count = 0;
  let padlen = 0;
  let optlen: number;
  for (let off = first; off < end; off += optlen) {
    if (nh[off] === Ipv6Option.PAD1) {
      optlen = 1;
      if (++padlen > MAX_OPTION_PADDING) return bad();
      continue;
    }
    if (end - off < 2) return bad();
    optlen = nh[off + 1] + 2;
    if (off + optlen > end) return bad();
    if (nh[off] === Ipv6Option.PADN) {
      padlen += optlen;
      if (padlen > MAX_OPTION_PADDING || nh.subarray(off + 2, off + optlen).some((byte) => byte !== 0)) return bad();
      continue;
    }
    padlen = 0;
    if (++tlv_count > MAX_OPTIONS) return bad();
    const verdict = hop_option(net, skb, off);
    if (verdict !== null) return verdict;
  }
  return null;
}

function hop_option(net: NetNamespace, skb: SkBuff, at: number): Verdict | null {
  const optoff = at - skb.network_header;
  switch (skb.bytes[at]) {
    case Ipv6Option.ROUTERALERT: // no socket asks for those (ip6_call_ra_chain)
      return skb.bytes[at + 1] === 2 ? null : kfree_skb(net, skb, DropReason.IP_INHDR);
    case Ipv6Option.IOAM:
      return (optoff & 3) === 0 ? null : kfree_skb(net, skb, DropReason.IP_INHDR);
    case Ipv6Option.JUMBO:
      return ipv6_hop_jumbo(net, skb, at, optoff);
    case Ipv6Option.CALIPSO:
      return ipv6_hop_calipso(skb, at) ? null : kfree_skb(net, skb, DropReason.IP_INHDR);
    default:
      return ip6_tlvopt_unknown(net, skb, skb.bytes[at] >>> 6, optoff);
  }
}

/** Lengths alone. */
const ipv6_hop_calipso = ({ bytes }: SkBuff, at: number): boolean =>
  bytes[at + 1] >= 8 && bytes[at + 6] * 4 + 8 <= bytes[at + 1];

/** RFC 2675: a length of more than 65535 bytes, which no batch holds. */
function ipv6_hop_jumbo(net: NetNamespace, skb: SkBuff, at: number, optoff: number): Verdict | null {
  if (skb.bytes[at + 1] !== 4 || (optoff & 3) !== 2) return kfree_skb(net, skb, DropReason.IP_INHDR);
  const pkt_len = readU32(skb.bytes, at + 2);
  if (pkt_len <= IPV6_MAX_PAYLOAD)
    return icmpv6_send(net, skb, Icmp6Type.PARAMPROB, ParameterProblem6.HDR_FIELD, optoff + 2);
  if (ipv6_hdr(skb).payload_len !== 0)
    return icmpv6_send(net, skb, Icmp6Type.PARAMPROB, ParameterProblem6.HDR_FIELD, optoff);
  if (pkt_len > skb.len - IPV6_HEADER_BYTES) return kfree_skb(net, skb, DropReason.PKT_TOO_SMALL);
  skb.len = pkt_len + IPV6_HEADER_BYTES;
  return null;
}

function ip6_tlvopt_unknown(net: NetNamespace, skb: SkBuff, action: number, optoff: number): Verdict | null {
  if (action === Unknown.SKIP) return null;
  const silent =
    action === Unknown.DISCARD ||
    (action === Unknown.REPORT_UNLESS_MULTICAST && ipv6_addr_is_multicast(ipv6_hdr(skb).daddr));
  return silent
    ? kfree_skb(net, skb, DropReason.UNHANDLED_PROTO)
    : icmpv6_send(net, skb, Icmp6Type.PARAMPROB, ParameterProblem6.UNK_OPTION, optoff);
}
