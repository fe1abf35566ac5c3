/**
 * Local delivery of IPv6 (ip6_protocol_deliver_rcu): header by header, until one is the last.
 *
 *   hop-by-hop   read by the engine        routing, destination options   exthdrs.ts       fragment   reassembly.ts
 *   ICMPv6       neighbour discovery -> ndisc.ts; echo -> reply; errors -> the sockets that caused them
 *   UDP, TCP     their sockets; none: port unreachable, reset
 *   UDP-Lite, PIM, no next header   have a handler in the kernel, which stays silent here
 *   else         parameter problem: unrecognized next header, pointing at the field that names it
 */
import { PacketFlag } from "../../batch.ts";
import {
  Icmp6Type,
  Icmp6View,
  isIcmp6Error,
  isNeighbourDiscovery,
  ParameterProblem6,
  Unreachable6,
} from "../../net/icmp6.ts";
import type { Ipv6 } from "../../net/ip.ts";
import { INET_ECN_MASK, IpProtocol } from "../../net/ipv4.ts";
import {
  DEFAULT_HOP_LIMIT,
  extensionHeaderBytes,
  IPV6_HEADER_BYTES,
  Ipv6View,
  ipv6Packet,
  isLinkLocal6,
  isMulticast6,
  NextHeader,
  skipExtensionHeaders,
} from "../../net/ipv6.ts";
import { RouteTypeCode } from "../../net/route-types.ts";
import { TcpFlag, TcpView, tcpReset } from "../../net/tcp.ts";
import { UdpView } from "../../net/udp.ts";
import { boundDeviceMatches } from "../sockets/lookup.ts";
import type { Sockets, TransportPacket } from "../sockets/sockets.ts";
import { selectSource6 } from "./addresses.ts";
import { destinationOptions, type HeaderResult, problem, routingHeader } from "./exthdrs.ts";
import { icmp6Reply, icmp6Send } from "./icmp6-send.ts";
import { ndiscReceive } from "./ndisc.ts";
import type { Reassembly } from "./reassembly.ts";
import type { LocalPacket6, Stack6, Upper6 } from "./stack.ts";

/** A raw ICMPv6 socket, not connected. */
export interface RawSocket6 {
  readonly isOpen: boolean;
  /** sk_bound_dev_if, 0: none. */
  readonly device: number;
  /** sk_v6_rcv_saddr, 0: any. */
  readonly boundAddress: Ipv6;
  receive(message: Upper6): void;
  /** @param from sender of the error @param quoted the packet inside it, from its IPv6 header on @param receivedBy ifindex */
  receiveError(from: Ipv6, error: Icmp6View, quoted: Uint8Array, receivedBy: number): void;
}

export interface Receivers6 {
  readonly sockets: Sockets;
  readonly raw: readonly RawSocket6[];
  readonly reassembly: Reassembly;
}

const PIM = 103;
const SILENT: ReadonlySet<number> = new Set([NextHeader.NONE, IpProtocol.UDPLITE, PIM]);

export function deliver6(stack: Stack6, receivers: Receivers6, packet: LocalPacket6): void {
  const { bytes } = packet;
  let [protocol, namedAt, offset] = [bytes[6], 6, IPV6_HEADER_BYTES];
  if (protocol === NextHeader.HOP)
    [protocol, namedAt, offset] = [bytes[offset], offset, offset + extensionHeaderBytes(bytes, offset, protocol)];
  deliverFrom(stack, receivers, packet, { protocol, namedAt, offset, wasFragment: false });
}

interface Header {
  readonly protocol: number;
  /** Where the next-header field stands that names it (nhoff). */
  readonly namedAt: number;
  readonly offset: number;
  /** IP6SKB_FRAGMENTED */
  readonly wasFragment: boolean;
}

function deliverFrom(stack: Stack6, receivers: Receivers6, packet: LocalPacket6, header: Header): void {
  const { protocol, offset, wasFragment } = header;
  const { bytes, groupFrame } = packet;
  const { destination } = new Ipv6View(bytes);
  const go = (result: HeaderResult, fragmented = wasFragment): void => {
    if (result.kind === "problem") parameterProblem(stack, packet, result.code, result.pointer);
    if (result.kind !== "next") return;
    const next = { protocol: bytes[offset], namedAt: offset, offset: result.offset, wasFragment: fragmented };
    deliverFrom(stack, receivers, packet, next);
  };
  if (offset > bytes.length) return;
  switch (protocol) {
    case NextHeader.ROUTING:
      go(routingHeader(bytes, offset, destination, groupFrame));
      break;
    case NextHeader.DEST:
      go(destinationOptions(bytes, offset, destination));
      break;
    case NextHeader.FRAGMENT: {
      const result = wasFragment
        ? problem(ParameterProblem6.HDR_FIELD, offset)
        : receivers.reassembly.add(packet, header);
      if (result.kind === "whole") deliverWhole(stack, receivers, { ...packet, bytes: result.bytes }, header);
      else go(result, true);
      break;
    }
    default:
      deliverUpper(stack, receivers, packet, header);
  }
}

/** A reassembled packet goes on where its fragment header was. */
function deliverWhole(stack: Stack6, receivers: Receivers6, packet: LocalPacket6, { namedAt, offset }: Header): void {
  deliverFrom(stack, receivers, packet, { protocol: packet.bytes[namedAt], namedAt, offset, wasFragment: true });
}

function deliverUpper(stack: Stack6, receivers: Receivers6, packet: LocalPacket6, header: Header): void {
  const { protocol, offset, namedAt } = header;
  const { source, destination } = new Ipv6View(packet.bytes);
  const upper = { packet, source, destination, payload: packet.bytes.subarray(offset), offset };
  switch (protocol) {
    case IpProtocol.ICMPV6:
      deliverIcmp6(stack, receivers, upper, header.wasFragment);
      break;
    case IpProtocol.UDP:
      deliverUdp(stack, receivers.sockets, upper);
      break;
    case IpProtocol.TCP:
      deliverTcp(stack, receivers.sockets, upper);
      break;
    default:
      if (!SILENT.has(protocol)) parameterProblem(stack, packet, ParameterProblem6.UNK_NEXTHDR, namedAt);
  }
}

function parameterProblem(stack: Stack6, packet: LocalPacket6, code: number, info: number): void {
  icmp6Send(stack, { ...packet, packet: packet.bytes, type: Icmp6Type.PARAMPROB, code, info });
}

/** inet6_iif: the device that sockets compare. */
export const inet6Iif = ({ device, receivedBy, sdif }: LocalPacket6): number => (sdif === 0 ? receivedBy : device);

/** icmpv6_rcv. */
function deliverIcmp6(stack: Stack6, receivers: Receivers6, message: Upper6, wasFragment: boolean): void {
  const { source, destination, payload, packet } = message;
  const icmp = new Icmp6View(payload);
  if (icmp.check(source, destination) !== null) return;
  const iif = inet6Iif(packet);
  for (const socket of receivers.raw) if (takes(stack, socket, destination, iif, packet.sdif)) socket.receive(message);
  if (icmp.type === Icmp6Type.ECHO_REQUEST) icmp6Reply(stack, message);
  // suppress_frag_ndisc
  else if (isNeighbourDiscovery(icmp.type) && !wasFragment) ndiscReceive(stack, message);
  else if (isIcmp6Error(icmp.type)) deliverError(stack, receivers, message, icmp);
}

/** raw_v6_match. @param local the address on this side, of the packet received or of the one quoted */
function takes(stack: Stack6, socket: RawSocket6, local: Ipv6, dif: number, sdif: number): boolean {
  if (socket.boundAddress !== 0n && socket.boundAddress !== local && !isMulticast6(local)) return false;
  return boundDeviceMatches(stack.sysctl.rawL3mdevAccept, socket.device, dif, sdif);
}

/** icmpv6_notify -> raw6_icmp_error, udpv6_err, tcp_v6_err. */
function deliverError(stack: Stack6, receivers: Receivers6, { source, packet }: Upper6, icmp: Icmp6View): void {
  const { type, code, rest: info, data } = icmp;
  const upper = data.length < IPV6_HEADER_BYTES ? null : skipExtensionHeaders(data);
  if (upper === null || data.length < upper.offset + 8) return;
  const { source: quotedSource, destination: quotedDestination } = new Ipv6View(data);
  const inetIif = inet6Iif(packet);
  const { device, sdif } = packet;
  const error = {
    ...{ from: source, type, code, info, quotedSource, quotedDestination },
    ...{ quoted: data.subarray(upper.offset), device, inetIif, sdif },
  };
  if (upper.protocol === IpProtocol.UDP) receivers.sockets.udpError(error);
  if (upper.protocol === IpProtocol.TCP && type !== Icmp6Type.PKT_TOOBIG) receivers.sockets.tcpError(error);
  if (upper.protocol !== IpProtocol.ICMPV6) return;
  for (const socket of receivers.raw)
    if (takes(stack, socket, quotedSource, inetIif, inetIif))
      socket.receiveError(source, icmp, data, packet.receivedBy);
}

/** What sockets are given of a packet. */
function transportPacket(stack: Stack6, { packet, source, destination, payload }: Upper6): TransportPacket {
  const { device, sdif, receivedBy } = packet;
  const toGroup = isMulticast6(destination);
  const answerFrom = toGroup ? (selectSource6(stack.devices, receivedBy, source) ?? 0n) : destination;
  const { hopLimit: ttl } = new Ipv6View(packet.bytes);
  const inetIif = inet6Iif(packet);
  return { source, destination, specificDestination: answerFrom, ttl, payload, device, inetIif, sdif, toGroup };
}

/** __udp6_lib_rcv. Without a socket the datagram is cut to its own length first, so that the error quotes no more. */
function deliverUdp(stack: Stack6, sockets: Sockets, message: Upper6): void {
  const { source, destination, payload, packet, offset } = message;
  const udp = new UdpView(payload);
  if (udp.check(source, destination) !== null) return;
  if (sockets.deliverUdp(transportPacket(stack, message))) return;
  const bytes = packet.bytes.subarray(0, offset + (udp.length || payload.length));
  const [type, code] = [Icmp6Type.DEST_UNREACH, Unreachable6.PORT_UNREACH];
  icmp6Send(stack, { ...packet, packet: bytes, type, code, info: 0 });
}

/** tcp_v6_rcv. */
function deliverTcp(stack: Stack6, sockets: Sockets, message: Upper6): void {
  const { source, destination, payload, packet } = message;
  const tcp = new TcpView(payload);
  if (packet.groupFrame || tcp.check(source, destination) !== null) return;
  if (sockets.deliverTcp(transportPacket(stack, message)) === "reset") sendReset(stack, message, tcp);
}

/** tcp_v6_send_reset (RFC 9293 section 3.10.7.1). */
function sendReset(stack: Stack6, { packet, source, destination }: Upper6, tcp: TcpView): void {
  if ((tcp.flags & TcpFlag.RST) !== 0 || packet.routeType !== RouteTypeCode.local) return;
  const header = {
    trafficClass: new Ipv6View(packet.bytes).trafficClass & ~INET_ECN_MASK,
    flowLabel: 0,
    nextHeader: IpProtocol.TCP,
    hopLimit: DEFAULT_HOP_LIMIT,
    source: destination,
    destination: source,
  };
  const device = isLinkLocal6(source) ? packet.receivedBy : stack.devices.l3mdevMaster(packet.device);
  const reset = ipv6Packet(header, tcpReset(tcp, destination, source));
  stack.output(reset, { device, flags: PacketFlag.OIF_UNBOUND | PacketFlag.KERNEL_SOCKET });
}
