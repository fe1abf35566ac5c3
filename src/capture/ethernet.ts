/** Captured frames as an Ethernet device receives them: other links' headers give way to one. */
import { ETHERNET_HEADER_BYTES, EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { readU16 } from "../../runtime/net/wire.ts";
import type { CapturedFrame } from "./format.ts";

/** https://www.tcpdump.org/linktypes.html */
const LinkType = { ETHERNET: 1, RAW_BSD: 12, RAW_OPENBSD: 14, RAW: 101, LINUX_SLL: 113, IPV4: 228, IPV6: 229 } as const;
const names: Readonly<Record<number, string>> = {
  0: "BSD loopback", 6: "token ring", 9: "PPP", 10: "FDDI", 50: "PPP of HDLC", 105: "802.11", 108: "OpenBSD loopback",
  127: "802.11 with radiotap", 276: "Linux cooked v2",
}; // biome-ignore format: a table
const SLL_BYTES = 16;

/** @returns the frame; of one that cannot be received what it is: `link type 10 (FDDI)`, `cut off` */
export function asEthernet({ linkType, bytes }: CapturedFrame): Uint8Array | string {
  switch (linkType) {
    case LinkType.ETHERNET:
      return bytes.length < ETHERNET_HEADER_BYTES ? "cut off" : bytes;
    case LinkType.LINUX_SLL:
      return bytes.length < SLL_BYTES ? "cut off" : framed(readU16(bytes, 14), bytes.subarray(SLL_BYTES));
    case LinkType.RAW:
    case LinkType.RAW_BSD:
    case LinkType.RAW_OPENBSD:
    case LinkType.IPV4:
    case LinkType.IPV6:
      return bytes.length === 0 ? "cut off" : framed(bytes[0] >> 4 === 6 ? EtherType.IPV6 : EtherType.IPV4, bytes);
    default:
      return `link type ${linkType}${names[linkType] === undefined ? "" : ` (${names[linkType]})`}`;
  }
}

const framed = (type: number, packet: Uint8Array): Uint8Array =>
  ethernetFrame({ destination: 0, source: 0x0200_0000_0001, type }, packet);
