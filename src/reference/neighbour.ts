/**
 * Link-layer addresses.
 * k:net/ipv4/arp.c arp_constructor, net/ipv6/ndisc.c ndisc_constructor (who needs no asking), net/core/neighbour.c neigh_output,
 * net/ethernet/eth.c eth_header.
 */
import type { Device } from "../../dsl/model.ts";
import { ETHERNET_HEADER_BYTES, emitEthernet } from "../../runtime/net/ethernet.ts";
import { ipv6_addr_is_multicast } from "../../runtime/net/in6.ts";
import type { Ip } from "../../runtime/net/ip.ts";
import { BROADCAST_MAC, type Mac } from "../../runtime/net/mac.ts";
import { inet_addr_type_dev_table } from "./fib_frontend.ts";
import { type NetNamespace, sendsWithoutArp } from "./net.ts";
import type { SkBuff } from "./skb.ts";

/** The next hop's address on the link, known or made up; null: ARP (or neighbour discovery) must find it. */
export function neigh_ha(net: NetNamespace, dev: Device, nexthop: Ip): Mac | null {
  const known = net.neighbour(dev.ifindex, nexthop);
  if (known !== undefined) return known;
  if (typeof nexthop === "bigint") {
    if (ipv6_addr_is_multicast(nexthop)) return ipv6_eth_mc_map(nexthop);
    return sendsWithoutArp(dev) ? dev.mac : null;
  }
  const type = inet_addr_type_dev_table(net, dev, nexthop);
  if (type === "multicast") return ip_eth_mc_map(nexthop);
  if (sendsWithoutArp(dev)) return dev.mac;
  return type === "broadcast" ? BROADCAST_MAC : null;
}

/** RFC 1112 section 6.4: 01:00:5e and the low 23 bits: 224.0.0.1 is 01:00:5e:00:00:01. */
const ip_eth_mc_map = (addr: number): Mac => 0x01005e000000 + (addr & 0x7fffff);

/** RFC 2464 section 7: 33:33 and the low 32 bits. */
const ipv6_eth_mc_map = (addr: bigint): Mac => 0x333300000000 + Number(addr & 0xffffffffn);

/** Puts the Ethernet header in front. */
export function neigh_output(skb: SkBuff, dev: Device, ha: Mac): void {
  skb.push(ETHERNET_HEADER_BYTES);
  const header = skb.bytes.subarray(skb.data, skb.data + ETHERNET_HEADER_BYTES);
  emitEthernet({ destination: ha, source: dev.mac, type: skb.protocol }, header);
}
