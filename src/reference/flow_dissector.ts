/**
 * Protocol and ports of a packet, for rules and multipath.
 * k:net/core/flow_dissector.c __skb_flow_dissect with FLOW_DISSECTOR_F_STOP_AT_ENCAP, include/linux/in.h proto_ports_offset.
 */
import { readU16 } from "../../runtime/net/wire.ts";
import * as proto from "./in.ts";
import { ip_is_fragment } from "./iphdr.ts";
import type { SkBuff } from "./skb.ts";

export interface FlowKeys {
  readonly protocol: number;
  readonly sport: number;
  readonly dport: number;
}

/** A fragment, the first one too, has no ports; nor has a packet that ends before them. */
export function skb_flow_dissect_flow_keys(skb: SkBuff): FlowKeys {
  const iph = skb.iphdr;
  const offset = proto_ports_offset(iph.protocol);
  const at = iph.offset + iph.ihl * 4 + (offset ?? 0);
  if (offset === null || ip_is_fragment(iph) || at + 4 > skb.data + skb.len)
    return { protocol: iph.protocol, sport: 0, dport: 0 };
  return { protocol: iph.protocol, sport: readU16(skb.bytes, at), dport: readU16(skb.bytes, at + 2) };
}

/** Bytes into the transport header; of ESP and AH the SPI counts as ports. Null: the protocol has none. */
export function proto_ports_offset(protocol: number): number | null {
  switch (protocol) {
    case proto.IPPROTO_TCP:
    case proto.IPPROTO_UDP:
    case proto.IPPROTO_DCCP:
    case proto.IPPROTO_ESP:
    case proto.IPPROTO_SCTP:
    case proto.IPPROTO_UDPLITE:
      return 0;
    case proto.IPPROTO_AH:
      return 4;
    default:
      return null;
  }
}
