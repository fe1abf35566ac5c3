/**
 * ICMPv6 (RFC 4443): the header of ICMP, but the checksum covers the pseudo header too.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |     Type      |     Code      |          Checksum             |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |           Identifier          |        Sequence Number        |  echo
 *   |                              MTU                              |  packet too big
 *   |                            Pointer                            |  parameter problem
 *   |R|S|O|                       reserved                          |  neighbour advertisement
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |     Data ...
 */
import { foldChecksum, pseudoHeaderSum, wordSum } from "./checksum.ts";
import { ICMP_HEADER_BYTES, IcmpHeader, type IcmpMessage } from "./icmp.ts";
import type { Ipv6 } from "./ip.ts";
import { IpProtocol } from "./ipv4.ts";
import { writeU16, writeU32 } from "./wire.ts";

const TYPE = 0;
const CODE = 1;
const CHECKSUM = 2;
const REST = 4;
export const ICMP6_HEADER_BYTES = ICMP_HEADER_BYTES;

/** k:include/uapi/linux/icmpv6.h, include/net/ndisc.h */
export const Icmp6Type = {
  DEST_UNREACH: 1,
  PKT_TOOBIG: 2,
  TIME_EXCEED: 3,
  PARAMPROB: 4,
  ECHO_REQUEST: 128,
  ECHO_REPLY: 129,
  MGM_QUERY: 130,
  MGM_REPORT: 131,
  MGM_REDUCTION: 132,
  ROUTER_SOLICITATION: 133,
  ROUTER_ADVERTISEMENT: 134,
  NEIGHBOUR_SOLICITATION: 135,
  NEIGHBOUR_ADVERTISEMENT: 136,
  REDIRECT: 137,
  MLD2_REPORT: 143,
} as const;

/** Codes of DEST_UNREACH. */
export const Unreachable6 = {
  NOROUTE: 0,
  ADM_PROHIBITED: 1,
  NOT_NEIGHBOUR: 2,
  ADDR_UNREACH: 3,
  PORT_UNREACH: 4,
  POLICY_FAIL: 5,
  REJECT_ROUTE: 6,
} as const;
/** Codes of TIME_EXCEED. */
export const TimeExceeded6 = { HOPLIMIT: 0, FRAGMENT_TIME: 1 } as const;
/** Codes of PARAMPROB. */
export const ParameterProblem6 = { HDR_FIELD: 0, UNK_NEXTHDR: 1, UNK_OPTION: 2, HDR_INCOMP: 3 } as const;

/** Informational messages have the highest bit of the type set; all others are errors (RFC 4443 section 2.1). */
const INFOMSG_MASK = 0x80;
export const isIcmp6Error = (type: number): boolean => (type & INFOMSG_MASK) === 0;

/** What hosts and routers of a link say among themselves: neighbour and router discovery, redirects. */
export const isNeighbourDiscovery = (type: number): boolean =>
  type >= Icmp6Type.ROUTER_SOLICITATION && type <= Icmp6Type.REDIRECT;

export class Icmp6View extends IcmpHeader {
  /** Length and checksum over all of `bytes`. */
  check(source: Ipv6, destination: Ipv6): string | null {
    const { bytes } = this;
    if (bytes.length < ICMP6_HEADER_BYTES) return `${bytes.length} bytes hold no ICMPv6 header`;
    const sum = pseudoHeaderSum(source, destination, IpProtocol.ICMPV6, bytes.length) + wordSum(bytes);
    return foldChecksum(sum) === 0 ? null : "bad ICMPv6 checksum";
  }
}

/** A new message, checksum filled in. */
export function icmp6Message(message: IcmpMessage, source: Ipv6, destination: Ipv6): Uint8Array {
  const bytes = new Uint8Array(ICMP6_HEADER_BYTES + message.data.length);
  bytes.set(message.data, ICMP6_HEADER_BYTES);
  bytes[TYPE] = message.type;
  bytes[CODE] = message.code;
  writeU32(bytes, REST, message.rest);
  const sum = pseudoHeaderSum(source, destination, IpProtocol.ICMPV6, bytes.length) + wordSum(bytes);
  writeU16(bytes, CHECKSUM, foldChecksum(sum));
  return bytes;
}
