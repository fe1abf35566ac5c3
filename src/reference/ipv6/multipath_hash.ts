/**
 * Which fields of an IPv6 packet or flow choose its path.
 * k:net/ipv6/route.c rt6_multipath_hash, ip6_multipath_l3_keys. Policy 2 looks into tunnels, which we do not: it is policy 0. Policy 3
 * has its default fields: addresses and protocol.
 */

import { multipathHash } from "../../../runtime/multipath.ts";
import { Icmp6Type } from "../../../runtime/net/icmp6.ts";
import { IPV6_HEADER_BYTES } from "../../../runtime/net/ipv6.ts";
import type { Flowi6 } from "../flow.ts";
import type { NetNamespace } from "../net.ts";
import type { SkBuff } from "../skb.ts";
import { skb_flow_dissect_flow_keys6 } from "./flow_dissector.ts";
import { ICMP6HDR_BYTES, Ipv6hdr, icmp6_type, ipv6_hdr } from "./ipv6hdr.ts";

/** @param skb null: a packet of this host, of which only the flow is known */
export function rt6_multipath_hash(net: NetNamespace, fl6: Flowi6, skb: SkBuff | null): number {
  const { saddr, daddr, sport, dport, protocol, flowlabel } = fl6;
  switch (net.model.sysctl.fibMultipathHashPolicy6) {
    case 0:
    case 2: {
      if (skb === null) return hash(saddr, daddr, 0, flowlabel, protocol);
      const key = ip6_multipath_l3_keys(skb);
      return hash(key.saddr, key.daddr, 0, key.flowlabel, key.nexthdr);
    }
    case 1: {
      const keys = skb === null ? { sport, dport, protocol } : skb_flow_dissect_flow_keys6(skb);
      return hash(saddr, daddr, keys.sport, keys.dport, keys.protocol);
    }
    case 3: {
      const proto = skb === null ? protocol : skb_flow_dissect_flow_keys6(skb).protocol;
      return hash(saddr, daddr, 0, 0, proto);
    }
  }
}

/** include/linux/icmpv6.h: the types that are in use, not all below 128. */
const icmpv6_is_err = (type: number): boolean => type >= Icmp6Type.DEST_UNREACH && type <= Icmp6Type.PARAMPROB;

/** The header of the packet that an ICMPv6 error quotes, so that it takes the path of the flow it is about; else its own. */
function ip6_multipath_l3_keys(skb: SkBuff): Ipv6hdr {
  const type = icmp6_type(skb);
  const inner = skb.network_header + IPV6_HEADER_BYTES + ICMP6HDR_BYTES;
  const quotes = type !== null && icmpv6_is_err(type) && inner + IPV6_HEADER_BYTES <= skb.data + skb.len;
  return quotes ? new Ipv6hdr(skb.bytes, inner) : ipv6_hdr(skb);
}

const hash = (saddr: bigint, daddr: bigint, sport: number, dport: number, protocol: number): number =>
  multipathHash(fold(saddr), fold(daddr), sport, dport, protocol);

/** 128 bits as 32: the exclusive or of the four words. */
const fold = (address: bigint): number =>
  Number((address ^ (address >> 32n) ^ (address >> 64n) ^ (address >> 96n)) & 0xffffffffn);
