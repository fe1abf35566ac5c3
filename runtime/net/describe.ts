/**
 * One line for any packet, well-formed or not, in tcpdump's spirit:
 *
 *   icmp echo request 10.0.0.7 > 10.0.1.7 ttl 64 id 1 seq 1
 *   icmp destination net unreachable 10.0.0.1 > 10.0.0.7 ttl 64 (for icmp echo request 10.0.0.7 > 192.0.2.9 ttl 64 id 1 seq 1)
 *   udp 10.0.0.7:1024 > 10.0.1.7:53 ttl 64 length 20
 *   arp who-has 10.0.0.1 tell 10.0.0.7
 *   icmp6 echo request 2001:db8::7 > 2001:db8:1::7 hlim 64 id 1 seq 1
 *   icmp6 neighbour solicitation fe80::1 > ff02::1:ff00:7 hlim 255 who has fe80::7
 *   malformed ipv4 (bad header checksum, 84 bytes)
 *
 * Never throws; prints no name that the bytes do not say.
 */
import { ArpOperation, parseArp } from "./arp.ts";
import { EthernetView, EtherType } from "./ethernet.ts";
import { IcmpType, IcmpView } from "./icmp.ts";
import { Icmp6Type, Icmp6View, isIcmp6Error } from "./icmp6.ts";
import { formatIp } from "./ip.ts";
import { IPV4_HEADER_BYTES, IpProtocol, Ipv4View } from "./ipv4.ts";
import { IPV6_HEADER_BYTES, Ipv6View, NextHeader, skipExtensionHeaders } from "./ipv6.ts";
import { formatMac } from "./mac.ts";
import { parseNeighbourMessage, redirectEnds } from "./ndisc.ts";
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
  [IpProtocol.ICMPV6]: "icmp6",
  [IpProtocol.UDPLITE]: "udplite",
};
const protocolName = (protocol: number): string => protocolNames[protocol] ?? `protocol ${protocol}`;

/** Name, ":port" of source and destination, and what follows the TTL. */
type Parts = readonly [name: string, sourcePort: string, destinationPort: string, rest: string];

function describePayload(ip: Ipv4View): Parts {
  const { payload, protocol } = ip;
  if (protocol === IpProtocol.ICMP && payload.length >= 8) return describeIcmp(new IcmpView(payload));
  return describeTransport(protocol, payload);
}

/** Of UDP, TCP and what else has no description of its own. */
function describeTransport(protocol: number, payload: Uint8Array): Parts {
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

function describeIcmp(icmp: IcmpView): Parts {
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
function icmpName(type: number, code: number): string {
  const exact = icmpCodeNames[`${type}/${code}`];
  if (exact !== undefined) return exact;
  const name = icmpNames[type] ?? `type ${type}`;
  return code === 0 ? name : `${name} code ${code}`;
}

function describeIpv6(bytes: Uint8Array): string {
  const ip = new Ipv6View(bytes);
  const malformed = ip.check();
  return malformed === null ? describeValidIpv6(ip) : `malformed ipv6 (${malformed}, ${bytes.length} bytes)`;
}

/** @param ip a header that is all there; what follows may be cut short, as in an error's quotation */
function describeValidIpv6(ip: Ipv6View): string {
  const packet = ip.bytes.subarray(0, IPV6_HEADER_BYTES + ip.payloadLength);
  const upper = skipExtensionHeaders(packet);
  const isLaterFragment = upper?.protocol === NextHeader.FRAGMENT;
  const [name, sourcePort, destinationPort, rest] =
    upper === null || isLaterFragment
      ? ["ipv6", "", "", ` next header ${ip.nextHeader}`]
      : describePayload6(upper.protocol, packet.subarray(upper.offset));
  const field = upper?.fragment ?? 0;
  const fragment = field === 0 ? "" : ` fragment ${field & 0xfff8}${(field & 1) === 0 ? "" : "+"}`;
  return `${name} ${endpoint(ip.source, sourcePort)} > ${endpoint(ip.destination, destinationPort)} hlim ${ip.hopLimit}${fragment}${rest}`;
}

/** `[2001:db8::7]:80`, and without a port the plain address. */
const endpoint = (ip: bigint, port: string): string => (port === "" ? formatIp(ip) : `[${formatIp(ip)}]${port}`);

const describePayload6 = (protocol: number, payload: Uint8Array): Parts =>
  protocol === IpProtocol.ICMPV6 && payload.length >= 8
    ? describeIcmp6(new Icmp6View(payload))
    : describeTransport(protocol, payload);

function describeIcmp6(icmp: Icmp6View): Parts {
  const name = `icmp6 ${icmp6Name(icmp.type, icmp.code)}`;
  switch (icmp.type) {
    case Icmp6Type.ECHO_REQUEST:
    case Icmp6Type.ECHO_REPLY:
      return [name, "", "", ` id ${icmp.identifier} seq ${icmp.sequence}`];
    case Icmp6Type.NEIGHBOUR_SOLICITATION:
    case Icmp6Type.NEIGHBOUR_ADVERTISEMENT:
      return [name, "", "", describeNeighbour(icmp)];
    case Icmp6Type.REDIRECT:
      return [name, "", "", describeRedirect(icmp)];
    default:
      return [name, "", "", isIcmp6Error(icmp.type) ? ` (for ${describeQuoted6(icmp.data)})` : ""];
  }
}

function describeNeighbour(icmp: Icmp6View): string {
  const message = parseNeighbourMessage(icmp.bytes);
  if (message === null) return " (malformed)";
  const target = formatIp(message.target);
  if (icmp.type === Icmp6Type.NEIGHBOUR_SOLICITATION) return ` who has ${target}`;
  return ` ${target}${message.linkLayer === null ? "" : ` is at ${formatMac(message.linkLayer)}`}`;
}

function describeRedirect(icmp: Icmp6View): string {
  const ends = redirectEnds(icmp.bytes);
  return ends === null ? " (malformed)" : ` ${formatIp(ends.destination)} to ${formatIp(ends.target)}`;
}

function describeQuoted6(bytes: Uint8Array): string {
  const ip = new Ipv6View(bytes);
  return bytes.length < IPV6_HEADER_BYTES || ip.version !== 6 ? `${bytes.length} bytes` : describeValidIpv6(ip);
}

const icmp6Names: Readonly<Record<number, string>> = {
  [Icmp6Type.DEST_UNREACH]: "destination unreachable",
  [Icmp6Type.PKT_TOOBIG]: "packet too big",
  [Icmp6Type.TIME_EXCEED]: "time exceeded",
  [Icmp6Type.PARAMPROB]: "parameter problem",
  [Icmp6Type.ECHO_REQUEST]: "echo request",
  [Icmp6Type.ECHO_REPLY]: "echo reply",
  [Icmp6Type.MGM_QUERY]: "multicast listener query",
  [Icmp6Type.MGM_REPORT]: "multicast listener report",
  [Icmp6Type.MGM_REDUCTION]: "multicast listener done",
  [Icmp6Type.ROUTER_SOLICITATION]: "router solicitation",
  [Icmp6Type.ROUTER_ADVERTISEMENT]: "router advertisement",
  [Icmp6Type.NEIGHBOUR_SOLICITATION]: "neighbour solicitation",
  [Icmp6Type.NEIGHBOUR_ADVERTISEMENT]: "neighbour advertisement",
  [Icmp6Type.REDIRECT]: "redirect",
  [Icmp6Type.MLD2_REPORT]: "multicast listener report v2",
};
const icmp6CodeNames: Readonly<Record<string, string>> = {
  "1/0": "no route to destination",
  "1/1": "communication administratively prohibited",
  "1/2": "beyond scope of source address",
  "1/3": "address unreachable",
  "1/4": "port unreachable",
  "1/5": "source address failed policy",
  "1/6": "reject route to destination",
  "3/0": "hop limit exceeded",
  "3/1": "fragment reassembly time exceeded",
  "4/0": "erroneous header field",
  "4/1": "unrecognized next header",
  "4/2": "unrecognized option",
};
/** `icmp6Name(1, 3)` is "address unreachable". */
function icmp6Name(type: number, code: number): string {
  const exact = icmp6CodeNames[`${type}/${code}`];
  if (exact !== undefined) return exact;
  const name = icmp6Names[type] ?? `type ${type}`;
  return code === 0 ? name : `${name} code ${code}`;
}
