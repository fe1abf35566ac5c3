/**
 * What a socket of this machine is told when the forwarder has no way for its packet: Linux fails the call, but here the call is over,
 * so an ICMP error says it, from the address that the socket sent from.
 */

import { IcmpType, icmpMessage, Unreachable } from "../../runtime/net/icmp.ts";
import { Icmp6Type, icmp6Message, Unreachable6 } from "../../runtime/net/icmp6.ts";
import { IpProtocol, Ipv4View, ipv4Packet } from "../../runtime/net/ipv4.ts";
import { DEFAULT_HOP_LIMIT, IPV6_HEADER_BYTES, IPV6_MIN_MTU, Ipv6View, ipv6Packet } from "../../runtime/net/ipv6.ts";
import { Errno } from "../../runtime/verdict.ts";

/** As ping prints them: "Destination Net Unreachable", "Destination Host Unreachable", "Packet filtered". */
const CODES4: Readonly<Record<number, number>> = {
  [Errno.ENETUNREACH]: Unreachable.NET,
  [Errno.EHOSTUNREACH]: Unreachable.HOST,
  [Errno.EACCES]: Unreachable.PKT_FILTERED,
  [Errno.EPERM]: Unreachable.PKT_FILTERED,
};
const CODES6: Readonly<Record<number, number>> = {
  [Errno.ENETUNREACH]: Unreachable6.NOROUTE,
  [Errno.EHOSTUNREACH]: Unreachable6.ADDR_UNREACH,
  [Errno.EACCES]: Unreachable6.ADM_PROHIBITED,
  [Errno.EPERM]: Unreachable6.ADM_PROHIBITED,
};
/** What an error quotes of an IPv4 packet (RFC 1812 section 4.3.2.3). */
const QUOTED_BYTES = 548;

/** @param packet as the socket sent it @returns null: nobody is to be told */
export function socketError(packet: Uint8Array, errno: number): Uint8Array | null {
  if (packet[0] >>> 4 === 6) {
    const { source } = new Ipv6View(packet);
    const code = CODES6[errno];
    if (code === undefined || source === 0n) return null;
    const data = packet.subarray(0, IPV6_MIN_MTU - IPV6_HEADER_BYTES - 8);
    const message = icmp6Message({ type: Icmp6Type.DEST_UNREACH, code, rest: 0, data }, source, source);
    const header = { trafficClass: 0, flowLabel: 0, nextHeader: IpProtocol.ICMPV6, hopLimit: DEFAULT_HOP_LIMIT };
    return ipv6Packet({ ...header, source, destination: source }, message);
  }
  const { source } = new Ipv4View(packet);
  const code = CODES4[errno];
  if (code === undefined || source === 0) return null;
  const data = packet.subarray(0, QUOTED_BYTES);
  const message = icmpMessage({ type: IcmpType.DEST_UNREACH, code, rest: 0, data });
  const header = { tos: 0, identification: 0, dontFragment: false, ttl: 64, protocol: IpProtocol.ICMP };
  return ipv4Packet({ ...header, source, destination: source }, message);
}
