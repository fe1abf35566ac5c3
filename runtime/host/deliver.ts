/**
 * Local delivery (ip_protocol_deliver_rcu): raw sockets first, each getting a copy; then the protocol.
 *
 *   ICMP   echo, timestamp -> reply; errors -> the error queue of the socket that caused them
 *   UDP    its sockets (sockets/sockets.ts); none has the port: ICMP port unreachable
 *   TCP    likewise; none has the port, or it is not what they expect: reset
 *   IGMP, UDP-Lite   have a handler in the kernel, which stays silent here
 *   else   no handler and no raw socket: ICMP protocol unreachable
 */
import { PacketFlag } from "../batch.ts";
import { IcmpType, IcmpView, Unreachable } from "../net/icmp.ts";
import type { Ipv4 } from "../net/ip.ts";
import { INET_ECN_MASK, IPV4_HEADER_BYTES, IpProtocol, Ipv4View, ipv4Packet } from "../net/ipv4.ts";
import { RouteTypeCode } from "../net/route-types.ts";
import { TcpFlag, TcpView, tcpReset } from "../net/tcp.ts";
import { UdpView } from "../net/udp.ts";
import { answerOptions, echoReply, icmpSend, specificDestination, timestampReply } from "./icmp-send.ts";
import { withOptions } from "./options.ts";
import { boundDeviceMatches } from "./sockets/lookup.ts";
import type { Sockets, TransportPacket } from "./sockets/sockets.ts";
import type { LocalPacket, Stack } from "./stack.ts";

/** A raw ICMP socket, not connected. */
export interface RawSocket {
  readonly isOpen: boolean;
  /** sk_bound_dev_if, 0: none. */
  readonly device: number;
  /** inet_rcv_saddr, 0: any. */
  readonly boundAddress: Ipv4;
  receive(ip: Ipv4View): void;
  /** @param from sender of the error @param quoted the packet inside it */
  receiveError(from: Ipv4, error: IcmpView, quoted: Ipv4View): void;
}

export function deliver(stack: Stack, sockets: Sockets, packet: LocalPacket): void {
  const ip = new Ipv4View(packet.bytes);
  switch (ip.protocol) {
    case IpProtocol.ICMP:
      deliverIcmp(stack, sockets, packet, ip);
      break;
    case IpProtocol.UDP:
      deliverUdp(stack, sockets, packet, ip);
      break;
    case IpProtocol.TCP:
      deliverTcp(stack, sockets, packet, ip);
      break;
    case IpProtocol.IGMP:
    case IpProtocol.UDPLITE:
      break;
    default:
      unreachable(stack, packet, Unreachable.PROTOCOL);
  }
}

const unreachable = (stack: Stack, packet: LocalPacket, code: number): void =>
  icmpSend(stack, { ...packet, packet: packet.bytes, type: IcmpType.DEST_UNREACH, code, info: 0, received: true });

const isGroupRoute = ({ routeType }: LocalPacket): boolean =>
  routeType === RouteTypeCode.broadcast || routeType === RouteTypeCode.multicast;

/** raw_v4_match. @param local the address on this side, of the packet received or of the one quoted */
function takes(stack: Stack, socket: RawSocket, local: Ipv4, device: number, sdif: number): boolean {
  if (socket.boundAddress !== 0 && socket.boundAddress !== local) return false;
  return boundDeviceMatches(stack.sysctl.rawL3mdevAccept, socket.device, device, sdif);
}

/** icmp_rcv. */
function deliverIcmp(stack: Stack, sockets: Sockets, packet: LocalPacket, ip: Ipv4View): void {
  const icmp = new IcmpView(ip.payload);
  if (icmp.check() !== null) return;
  for (const socket of sockets.raw)
    if (takes(stack, socket, ip.destination, packet.inetIif, packet.sdif)) socket.receive(ip);
  switch (icmp.type) {
    case IcmpType.ECHO:
      if (!stack.sysctl.icmpEchoIgnoreAll && !ignoresGroup(stack, packet)) echoReply(stack, packet);
      break;
    case IcmpType.TIMESTAMP:
      if (!ignoresGroup(stack, packet)) timestampReply(stack, packet);
      break;
    case IcmpType.DEST_UNREACH:
    case IcmpType.TIME_EXCEEDED:
    case IcmpType.PARAMETER_PROBLEM:
      if (!isGroupRoute(packet)) deliverError(stack, sockets, packet, ip, icmp);
  }
}

/** Echo and timestamp requests to a group. */
const ignoresGroup = ({ sysctl }: Stack, packet: LocalPacket): boolean =>
  isGroupRoute(packet) && sysctl.icmpEchoIgnoreBroadcasts;

/** Highest code of "destination unreachable" that icmp_unreach hands on (k: NR_ICMP_UNREACH). */
const NR_ICMP_UNREACH = 15;
const EXC_FRAGTIME = 1;

/** icmp_unreach -> icmp_socket_deliver -> raw_icmp_error, udp_err, tcp_v4_err. */
function deliverError(stack: Stack, sockets: Sockets, packet: LocalPacket, ip: Ipv4View, icmp: IcmpView): void {
  const quoted = new Ipv4View(icmp.data);
  if (icmp.type === IcmpType.DEST_UNREACH && icmp.code > NR_ICMP_UNREACH) return;
  if (icmp.type === IcmpType.TIME_EXCEEDED && icmp.code === EXC_FRAGTIME) return;
  if (quoted.headerLength < IPV4_HEADER_BYTES || icmp.data.length < quoted.headerLength + 8) return;
  const error = {
    ...packet,
    from: ip.source,
    type: icmp.type,
    code: icmp.code,
    info: icmp.rest,
    quotedSource: quoted.source,
    quotedDestination: quoted.destination,
    quoted: icmp.data.subarray(quoted.headerLength),
  };
  // Path MTU discovery, which is not followed here.
  const isFragNeeded = icmp.type === IcmpType.DEST_UNREACH && icmp.code === Unreachable.FRAG_NEEDED;
  if (quoted.protocol === IpProtocol.UDP) sockets.udpError(error);
  if (quoted.protocol === IpProtocol.TCP && !isFragNeeded) sockets.tcpError(error);
  if (quoted.protocol !== IpProtocol.ICMP) return;
  for (const socket of sockets.raw)
    if (takes(stack, socket, quoted.source, packet.device, packet.sdif)) socket.receiveError(ip.source, icmp, quoted);
}

/** What sockets are given of a packet. */
function transportPacket(
  stack: Stack,
  packet: LocalPacket,
  { source, destination, ttl, payload }: Ipv4View,
): TransportPacket {
  const { device, inetIif, sdif } = packet;
  const addresses = { source, destination, specificDestination: specificDestination(stack, packet) };
  return { ...addresses, ttl, payload, device, inetIif, sdif, toGroup: isGroupRoute(packet) };
}

/** __udp4_lib_rcv. Without a socket the datagram is cut to its own length first, so that the error quotes no more. */
function deliverUdp(stack: Stack, sockets: Sockets, packet: LocalPacket, ip: Ipv4View): void {
  const udp = new UdpView(ip.payload);
  if (udp.check(ip.source, ip.destination) !== null) return;
  if (sockets.deliverUdp(transportPacket(stack, packet, ip))) return;
  unreachable(stack, { ...packet, bytes: packet.bytes.subarray(0, ip.headerLength + udp.length) }, Unreachable.PORT);
}

/** tcp_v4_rcv. */
function deliverTcp(stack: Stack, sockets: Sockets, packet: LocalPacket, ip: Ipv4View): void {
  const tcp = new TcpView(ip.payload);
  if (packet.groupFrame || tcp.check(ip.source, ip.destination) !== null) return;
  if (sockets.deliverTcp(transportPacket(stack, packet, ip)) === "reset") sendReset(stack, packet, ip, tcp);
}

/** tcp_v4_send_reset, which has identification 0 and DF (RFC 9293 section 3.10.7.1). */
function sendReset(stack: Stack, packet: LocalPacket, ip: Ipv4View, tcp: TcpView): void {
  if ((tcp.flags & TcpFlag.RST) !== 0 || packet.routeType !== RouteTypeCode.local) return;
  const header = {
    tos: ip.tos & ~INET_ECN_MASK,
    identification: 0,
    dontFragment: true,
    ttl: stack.sysctl.ipDefaultTtl,
    protocol: IpProtocol.TCP,
    source: ip.destination,
    destination: ip.source,
  };
  const reset = ipv4Packet(header, tcpReset(tcp, ip.destination, ip.source));
  const device = stack.devices.l3mdevMaster(packet.device);
  const options = answerOptions(stack, packet.bytes, packet.options, header.source, device);
  const flags = PacketFlag.KERNEL_SOCKET;
  if (options !== null) stack.output(withOptions(reset, options), { device, flags });
}
