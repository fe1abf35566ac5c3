/**
 * Protocol and ports of an IPv6 packet behind its extension headers.
 * k:net/core/flow_dissector.c __skb_flow_dissect with FLOW_DISSECTOR_F_STOP_AT_ENCAP.
 */
import { FRAGMENT_HEADER_BYTES, IPV6_HEADER_BYTES, NextHeader } from "../../../runtime/net/ipv6.ts";
import { readU16 } from "../../../runtime/net/wire.ts";
import { type FlowKeys, proto_ports_offset } from "../flow_dissector.ts";
import type { SkBuff } from "../skb.ts";
import { ipv6_hdr } from "./ipv6hdr.ts";

const MAX_FLOW_DISSECT_HDRS = 15;

/** A fragment, the first one too, has no ports; nor has a packet that ends before them, or has too many headers. */
export function skb_flow_dissect_flow_keys6(skb: SkBuff): FlowKeys {
  const end = skb.data + skb.len;
  let protocol = ipv6_hdr(skb).nexthdr;
  let at = skb.network_header + IPV6_HEADER_BYTES;
  for (let headers = 0; headers < MAX_FLOW_DISSECT_HDRS; headers++) {
    switch (protocol) {
      case NextHeader.HOP:
      case NextHeader.ROUTING:
      case NextHeader.DEST:
        if (at + 2 > end) return { protocol, sport: 0, dport: 0 };
        protocol = skb.bytes[at];
        at += (skb.bytes[at + 1] + 1) << 3;
        break;
      case NextHeader.FRAGMENT:
        if (at + FRAGMENT_HEADER_BYTES <= end) protocol = skb.bytes[at];
        return { protocol, sport: 0, dport: 0 };
      default:
        return { protocol, ...ports(skb, protocol, at, end) };
    }
  }
  return { protocol, sport: 0, dport: 0 };
}

function ports(skb: SkBuff, protocol: number, header: number, end: number): { sport: number; dport: number } {
  const offset = proto_ports_offset(protocol);
  const at = header + (offset ?? 0);
  if (offset === null || at + 4 > end) return { sport: 0, dport: 0 };
  return { sport: readU16(skb.bytes, at), dport: readU16(skb.bytes, at + 2) };
}
