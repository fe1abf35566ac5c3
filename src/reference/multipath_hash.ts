/**
 * Which fields of a packet or flow choose its path.
 * k:net/ipv4/route.c fib_multipath_hash, ip_multipath_l3_keys. Policy 2 looks into tunnels, which we do not: it is policy 0 without
 * the look into ICMP errors. Policy 3 has its default fields: addresses and protocol.
 */

import { multipathHash } from "../../runtime/multipath.ts";
import { ICMP_ERRORS } from "../../runtime/net/icmp.ts";
import { readIpv4 } from "../../runtime/net/ip.ts";
import type { Flowi4 } from "./flow.ts";
import { skb_flow_dissect_flow_keys } from "./flow_dissector.ts";
import { IPPROTO_ICMP } from "./in.ts";
import { IP_OFFSET, IPHDR_BYTES } from "./iphdr.ts";
import type { NetNamespace } from "./net.ts";
import type { SkBuff } from "./skb.ts";

/** Of a packet of this host. */
export function flow_multipath_hash(net: NetNamespace, fl4: Flowi4): number {
  switch (net.model.sysctl.fibMultipathHashPolicy) {
    case 0:
    case 2:
      return multipathHash(fl4.saddr, fl4.daddr, 0, 0, 0);
    case 1:
      return multipathHash(fl4.saddr, fl4.daddr, fl4.sport, fl4.dport, fl4.protocol);
    case 3:
      return multipathHash(fl4.saddr, fl4.daddr, 0, 0, fl4.protocol);
  }
}

/** Of a received packet. */
export function skb_multipath_hash(net: NetNamespace, skb: SkBuff): number {
  const { saddr, daddr } = skb.iphdr;
  switch (net.model.sysctl.fibMultipathHashPolicy) {
    case 0: {
      const key = ip_multipath_l3_keys(skb);
      return multipathHash(key.saddr, key.daddr, 0, 0, 0);
    }
    case 1: {
      const { protocol, sport, dport } = skb_flow_dissect_flow_keys(skb);
      return multipathHash(saddr, daddr, sport, dport, protocol);
    }
    case 2:
      return multipathHash(saddr, daddr, 0, 0, 0);
    case 3:
      return multipathHash(saddr, daddr, 0, 0, skb.iphdr.protocol);
  }
}

const ICMPHDR_BYTES = 8;
/** Destination unreachable, source quench, redirect, time exceeded, parameter problem. */

/** The addresses of the packet that an ICMP error quotes, so that it takes the path of the flow it is about; else its own. */
function ip_multipath_l3_keys(skb: SkBuff): { saddr: number; daddr: number } {
  const iph = skb.iphdr;
  const icmp = iph.offset + iph.ihl * 4;
  const inner = icmp + ICMPHDR_BYTES;
  const quotes =
    iph.protocol === IPPROTO_ICMP &&
    (iph.frag_off & IP_OFFSET) === 0 &&
    inner + IPHDR_BYTES <= skb.data + skb.len &&
    ICMP_ERRORS.includes(skb.bytes[icmp]);
  if (!quotes) return { saddr: iph.saddr, daddr: iph.daddr };
  return { saddr: readIpv4(skb.bytes, inner + 12), daddr: readIpv4(skb.bytes, inner + 16) };
}
