/**
 * The packet that answers a rejected one, to its source from its destination; reject-frame.ts and tcp-reset.ts say what is in it and how it goes.
 * k:net/ipv4/netfilter/nf_reject_ipv4.c nf_reject_iphdr_put; net/ipv6/netfilter/nf_reject_ipv6.c nf_reject_ip6hdr_put.
 */
import { type Ipv4View, ipv4Packet } from "../net/ipv4.ts";
import { DEFAULT_HOP_LIMIT, type Ipv6View, ipv6Packet } from "../net/ipv6.ts";

export function rejectPacket4(rejected: Ipv4View, ttl: number, protocol: number, payload: Uint8Array): Uint8Array {
  const addresses = { source: rejected.destination, destination: rejected.source };
  return ipv4Packet({ tos: 0, identification: 0, dontFragment: true, ttl, protocol, ...addresses }, payload);
}

/** With the hop limit that all devices have by default, whatever the one that sends has. */
export function rejectPacket6(rejected: Ipv6View, nextHeader: number, payload: Uint8Array): Uint8Array {
  const addresses = { source: rejected.destination, destination: rejected.source };
  return ipv6Packet({ trafficClass: 0, flowLabel: 0, nextHeader, hopLimit: DEFAULT_HOP_LIMIT, ...addresses }, payload);
}
