/** A router of two subnets with a list of refused prefixes and a counter for each sender, and frames for it. */
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { parseIp } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";

export const POLICY = `
  sysctl net.ipv4.ip_forward = 1
  interface a { index 3; address 10.0.1.1/24; lladdr 02:00:00:00:00:a1 }
  interface b { index 4; address 10.0.2.1/24; lladdr 02:00:00:00:00:b1 }
  route unreachable default metric 4278198272
  table ip filter {
    set blocked { type ipv4_addr; flags interval }
    map talkers { type ipv4_addr : counter }
    chain forward {
      type filter hook forward priority filter; policy accept;
      counter name ip saddr map @talkers
      ip daddr @blocked drop
    }
  }`;

/** A bucket that is never filled again: the clock stands still. */
export const BURST = 60_000;
export const LIMITED = `
  sysctl net.ipv4.ip_forward = 1
  interface a { index 3; address 10.0.1.1/24; lladdr 02:00:00:00:00:a1 }
  interface b { index 4; address 10.0.2.1/24; lladdr 02:00:00:00:00:b1 }
  route 10.9.0.0/16 via 10.0.2.7
  table ip filter {
    chain forward {
      type filter hook forward priority filter; policy drop;
      limit rate 1/second burst ${BURST} packets accept
    }
  }`;

/** Of 28 bytes of IPv4, from 10.0.1.7 to a's link-layer address. */
export function frameTo(destination: string): Uint8Array {
  const header = {
    tos: 0,
    identification: 0,
    dontFragment: true,
    ttl: 64,
    protocol: 17,
    source: parseIp("10.0.1.7") as number,
    destination: parseIp(destination) as number,
  };
  const ethernet = { destination: 0x0200000000a1, source: 0x020000000007, type: EtherType.IPV4 };
  return ethernetFrame(ethernet, ipv4Packet(header, new Uint8Array(8)));
}
