/**
 * Ethernet headers, and VLAN tags behind them.
 * k:net/ethernet/eth.c eth_type_trans; net/core/skbuff.c skb_vlan_untag; include/linux/if_vlan.h vlan_set_encap_proto.
 */
import type { Device } from "../../dsl/model.ts";
import { ETHERNET_HEADER_BYTES, EthernetView, VLAN_TAG_BYTES, VLAN_VID_MASK } from "../../runtime/net/ethernet.ts";
import { BROADCAST_MAC, isGroup } from "../../runtime/net/mac.ts";
import { readU16 } from "../../runtime/net/wire.ts";
import type { PacketType, SkBuff } from "./skb.ts";

export const VLAN_HLEN = VLAN_TAG_BYTES;
/** Of an Ethernet header, without its type. */
const ADDRESSES_BYTES = 12;
/** Below, the type is a length. */
const ETH_P_802_3_MIN = 0x600;
const ETH_P_802_3 = 1;
const ETH_P_802_2 = 4;

/** Pulls the Ethernet header and says for whom the frame is; its own address leaves pkt_type as it was. @returns the type field */
export function eth_type_trans(skb: SkBuff, dev: Device): number {
  const { destination, type } = new EthernetView(skb.bytes.slice(skb.data, skb.data + ETHERNET_HEADER_BYTES));
  skb.mac_header = skb.data;
  skb.pull(ETHERNET_HEADER_BYTES);
  if (destination !== dev.mac) skb.pkt_type = packetType(destination);
  return type;
}

function packetType(destination: number): PacketType {
  if (!isGroup(destination)) return "OTHERHOST";
  return destination === BROADCAST_MAC ? "BROADCAST" : "MULTICAST";
}

/** @param type the field in front of the network header: a protocol, or a length instead */
export function eth_proto(skb: SkBuff, type: number): number {
  if (type >= ETH_P_802_3_MIN) return type;
  const at = skb.network_header;
  return at + 2 <= skb.data + skb.len && readU16(skb.bytes, at) === 0xffff ? ETH_P_802_3 : ETH_P_802_2;
}

/** @returns the id of the VLAN whose tag was taken off, 0: a priority tag; null: the tag is not all there */
export function skb_vlan_untag(skb: SkBuff): number | null {
  if (skb.len < VLAN_HLEN + 2) return null;
  const id = readU16(skb.bytes, skb.data) & VLAN_VID_MASK;
  skb.protocol = readU16(skb.bytes, skb.data + 2);
  skb.pull(VLAN_HLEN);
  return id;
}

/** Closes the gap that tags have left behind the Ethernet addresses. */
export function skb_reorder_vlan_header(skb: SkBuff): void {
  const at = skb.data - ETHERNET_HEADER_BYTES;
  if (skb.mac_header === null || skb.mac_header >= at) return;
  skb.bytes.copyWithin(at, skb.mac_header, skb.mac_header + ADDRESSES_BYTES);
  skb.mac_header = at;
}
