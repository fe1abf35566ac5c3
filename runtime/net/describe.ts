/**
 * One line for any packet, well-formed or not, in tcpdump's spirit:
 *
 *   icmp echo request 10.0.0.7 > 10.0.1.7 ttl 64 id 1 seq 1
 *   icmp destination net unreachable 10.0.0.1 > 10.0.0.7 ttl 64 (for icmp echo request 10.0.0.7 > 192.0.2.9 ttl 64 id 1 seq 1)
 *   udp 10.0.0.7:1024 > 10.0.1.7:53 ttl 64 length 20
 *   arp who-has 10.0.0.1 tell 10.0.0.7
 *   malformed ipv4 (bad header checksum, 84 bytes)
 *
 * Never throws; prints no name that the bytes do not say.
 */
import { ArpOperation, parseArp } from "./arp.ts";
import { EthernetView, EtherType } from "./ethernet.ts";
import { IcmpType, IcmpView } from "./icmp.ts";
import { formatIp, readIpv6 } from "./ip.ts";
import { IPV4_HEADER_BYTES, IpProtocol, Ipv4View } from "./ipv4.ts";
import { formatMac } from "./mac.ts";
import { TCP_HEADER_BYTES, TcpFlag, TcpView } from "./tcp.ts";
import { UDP_HEADER_BYTES, UdpView } from "./udp.ts";
import { isMalformed } from "./wire.ts";

/** A frame from its Ethernet header on. */
export function describeFrame(bytes: Uint8Array): string {
  const frame = new EthernetView(bytes);
  const malformed = frame.check();
  if (malformed !== null) return `malformed frame (${malformed})`;
  switch (frame.type) {
    case EtherType.IPV4:
    case EtherType.IPV6:
      return describe(frame.payload);
    case EtherType.ARP:
      return describeArp(frame.payload);
    default:
      return `ethertype 0x${frame.type.toString(16).padStart(4, "0")} ${formatMac(frame.source)} > ${formatMac(frame.destination)} length ${frame.payload.length}`;
  }
}

/** A packet from its IP header on. */
export function describe(bytes: Uint8Array): string {
  return bytes[0] >>> 4 === 6 ? describeIpv6(bytes) : describeIpv4(bytes);
}

function describeArp(bytes: Uint8Array): string {
  const arp = parseArp(bytes);
  if (isMalformed(arp)) return `malformed arp (${arp.malformed})`;
  switch (arp.operation) {
    case ArpOperation.REQUEST:
      return `arp who-has ${formatIp(arp.targetIp)} tell ${formatIp(arp.senderIp)}`;
    case ArpOperation.REPLY:
      return `arp ${formatIp(arp.senderIp)} is-at ${formatMac(arp.senderMac)}`;
    default:
      return `arp operation ${arp.operation}`;
  }
}

function describeIpv4(bytes: Uint8Array): string {
  const ip = new Ipv4View(bytes);
  const malformed = ip.check();
  return malformed === null ? describeValidIpv4(ip) : `malformed ipv4 (${malformed}, ${bytes.length} bytes)`;
}

/** @param ip a checked header; the payload may be cut short, as in an ICMP error's quotation */
function describeValidIpv4(ip: Ipv4View): string {
  const [name, sourcePort, destinationPort, rest] =
    ip.fragmentOffset === 0 ? describePayload(ip) : [protocolName(ip.protocol), "", "", ""];
  const fragment = ip.isFragment ? ` fragment ${ip.fragmentOffset}${ip.moreFragments ? "+" : ""}` : "";
  return `${name} ${formatIp(ip.source)}${sourcePort} > ${formatIp(ip.destination)}${destinationPort} ttl ${ip.ttl}${fragment}${rest}`;
}

const protocolNames: Readonly<Record<number, string>> = {
  [IpProtocol.ICMP]: "icmp",
  [IpProtocol.IGMP]: "igmp",
  [IpProtocol.TCP]: "tcp",
  [IpProtocol.UDP]: "udp",
  [IpProtocol.ESP]: "esp",
  [IpProtocol.AH]: "ah",
  [IpProtocol.ICMPV6]: "icmpv6",
  [IpProtocol.UDPLITE]: "udplite",
};
const protocolName = (protocol: number): string => protocolNames[protocol] ?? `protocol ${protocol}`;

/** Name, ":port" of source and destination, and what follows the TTL. */
function describePayload(ip: Ipv4View): readonly [string, string, string, string] {
  const { payload, protocol } = ip;
  if (protocol === IpProtocol.ICMP && payload.length >= 8) return describeIcmp(new IcmpView(payload));
  if (protocol === IpProtocol.UDP && payload.length >= UDP_HEADER_BYTES) {
    const udp = new UdpView(payload);
    return ["udp", `:${udp.sourcePort}`, `:${udp.destinationPort}`, ` length ${udp.length - UDP_HEADER_BYTES}`];
  }
  if (protocol === IpProtocol.TCP && payload.length >= TCP_HEADER_BYTES) {
    const tcp = new TcpView(payload);
    return [
      "tcp",
      `:${tcp.sourcePort}`,
      `:${tcp.destinationPort}`,
      ` flags ${tcpFlags(tcp.flags)} seq ${tcp.sequence}`,
    ];
  }
  return [protocolName(protocol), "", "", ` length ${payload.length}`];
}

const tcpFlags = (flags: number): string =>
  Object.entries(TcpFlag)
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name)
    .join("|") || "none";

function describeIcmp(icmp: IcmpView): readonly [string, string, string, string] {
  const name = `icmp ${icmpName(icmp.type, icmp.code)}`;
  switch (icmp.type) {
    case IcmpType.ECHO:
    case IcmpType.ECHO_REPLY:
      return [name, "", "", ` id ${icmp.identifier} seq ${icmp.sequence}`];
    case IcmpType.DEST_UNREACH:
    case IcmpType.TIME_EXCEEDED:
    case IcmpType.PARAMETER_PROBLEM:
    case IcmpType.REDIRECT:
      return [name, "", "", ` (for ${describeQuoted(icmp.data)})`];
    default:
      return [name, "", "", ""];
  }
}

/** The packet inside an error: rarely whole, its total length beyond the quotation. */
function describeQuoted(bytes: Uint8Array): string {
  const ip = new Ipv4View(bytes);
  if (bytes.length < IPV4_HEADER_BYTES || ip.version !== 4 || ip.headerLength < IPV4_HEADER_BYTES)
    return `${bytes.length} bytes`;
  if (ip.protocol === IpProtocol.ICMP && new IcmpView(ip.payload).type !== IcmpType.ECHO)
    return `icmp ${formatIp(ip.source)} > ${formatIp(ip.destination)}`;
  return describeValidIpv4(ip);
}

const icmpNames: Readonly<Record<number, string>> = {
  [IcmpType.ECHO_REPLY]: "echo reply",
  [IcmpType.DEST_UNREACH]: "destination unreachable",
  [IcmpType.SOURCE_QUENCH]: "source quench",
  [IcmpType.REDIRECT]: "redirect",
  [IcmpType.ECHO]: "echo request",
  [IcmpType.TIME_EXCEEDED]: "time exceeded",
  [IcmpType.PARAMETER_PROBLEM]: "parameter problem",
  [IcmpType.TIMESTAMP]: "timestamp request",
  [IcmpType.TIMESTAMP_REPLY]: "timestamp reply",
};
const icmpCodeNames: Readonly<Record<string, string>> = {
  "3/0": "destination net unreachable",
  "3/1": "destination host unreachable",
  "3/2": "destination protocol unreachable",
  "3/3": "destination port unreachable",
  "3/4": "fragmentation needed",
  "3/13": "communication administratively prohibited",
  "5/0": "redirect for the network",
  "5/1": "redirect for the host",
  "11/0": "time to live exceeded",
  "11/1": "fragment reassembly time exceeded",
};
/** `icmpName(3, 1)` is "destination host unreachable". */
export function icmpName(type: number, code: number): string {
  const exact = icmpCodeNames[`${type}/${code}`];
  if (exact !== undefined) return exact;
  const name = icmpNames[type] ?? `type ${type}`;
  return code === 0 ? name : `${name} code ${code}`;
}

/**
 * IPv6 (RFC 8200 section 3): version, traffic class, flow label (4) | payload length (2) next header (1) hop limit (1) |
 * source (16) | destination (16). Extension headers are not followed.
 */
const IPV6_HEADER_BYTES = 40;
function describeIpv6(bytes: Uint8Array): string {
  if (bytes.length < IPV6_HEADER_BYTES) return `malformed ipv6 (${bytes.length} bytes hold no IPv6 header)`;
  return `ipv6 ${protocolName(bytes[6])} ${formatIp(readIpv6(bytes, 8))} > ${formatIp(readIpv6(bytes, 24))} hlim ${bytes[7]}`;
}
