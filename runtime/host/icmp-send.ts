/**
 * ICMP that a host sends of itself (net/ipv4/icmp.c): answers (icmp_reply) and errors (__icmp_send). Both leave
 * through the output path, bound to the VRF that the packet came in by, so that the answer returns in that VRF.
 */
import { PacketFlag } from "../batch.ts";
import {
  ICMP_HEADER_BYTES,
  type IcmpMessage,
  IcmpType,
  IcmpView,
  icmpMessage,
  isIcmpError,
  Unreachable,
} from "../net/icmp.ts";
import type { Ipv4 } from "../net/ip.ts";
import { IPV4_HEADER_BYTES, IpProtocol, Ipv4View, ipv4Packet } from "../net/ipv4.ts";
import { RouteTypeCode } from "../net/route-types.ts";
import { writeU32 } from "../net/wire.ts";
import { Verdict } from "../verdict.ts";
import { AddressScope } from "./devices.ts";
import { echoOptions, type IpOptions, withOptions } from "./options.ts";
import type { LocalPacket, Stack } from "./stack.ts";

/** Bits of the TOS field that routing looks at (k: RT_TOS, IPTOS_TOS_MASK). */
const IPTOS_TOS_MASK = 0x1e;
/** Precedence of ICMP errors (RFC 1812 section 4.3.2.5). */
const IPTOS_PREC_INTERNETCONTROL = 0xc0;
/** No error is longer, IP header included (RFC 1812 section 4.3.2.3). */
const ERROR_MAX_BYTES = 576;
/** 192.0.0.8, the source of an error on a host that has no address (RFC 7600). */
const INADDR_DUMMY: Ipv4 = 0xc0000008;

/** icmp_echo: its data back. */
export function echoReply(stack: Stack, request: LocalPacket): void {
  const { rest, data } = new IcmpView(new Ipv4View(request.bytes).payload);
  icmpReply(stack, request, { type: IcmpType.ECHO_REPLY, code: 0, rest, data });
}

/** icmp_timestamp: when the request was sent, as it says itself, and twice the time of day (RFC 792: received, transmitted). */
export function timestampReply(stack: Stack, request: LocalPacket): void {
  const { rest, data: sent } = new IcmpView(new Ipv4View(request.bytes).payload);
  if (sent.length < TIME_BYTES) return;
  const data = new Uint8Array(3 * TIME_BYTES);
  data.set(sent.subarray(0, TIME_BYTES));
  for (const at of [TIME_BYTES, 2 * TIME_BYTES]) writeU32(data, at, stack.timestamp());
  icmpReply(stack, request, { type: IcmpType.TIMESTAMP_REPLY, code: 0, rest, data });
}

const TIME_BYTES = 4;

/** icmp_reply: the request's TOS kept, its mark forgotten (fwmark_reflect is off). */
function icmpReply(stack: Stack, request: LocalPacket, message: IcmpMessage): void {
  const ip = new Ipv4View(request.bytes);
  const reply = icmpMessage(message);
  const header = { tos: ip.tos, source: specificDestination(stack, request), destination: ip.source };
  const device = stack.devices.l3mdevMaster(request.device);
  const options = answerOptions(stack, request.bytes, request.options, header.source, device);
  if (options === null) return;
  const flags = PacketFlag.KERNEL_SOCKET;
  stack.output(withOptions(icmpPacket(stack, header, reply), options), { device, flags, byIcmp: true });
}

/** The options of an answer from `source`; null: there can be no answer. @param domain where addresses are looked up */
export function answerOptions(
  stack: Stack,
  packet: Uint8Array,
  options: IpOptions | null,
  source: Ipv4,
  domain: number,
): Uint8Array | null {
  if (options === null) return NO_OPTIONS;
  const isUnicast = (address: Ipv4) => !stack.devices.isLocal(address, domain);
  return echoOptions(packet, options, { source, address: () => source, time: stack.timestamp(), isUnicast });
}

const NO_OPTIONS = new Uint8Array();

/** fib_compute_spec_dst: the address to answer from; for a packet to a group, the one that a packet to its sender would get. */
export function specificDestination(stack: Stack, packet: Pick<LocalPacket, "bytes" | "device" | "routeType">): Ipv4 {
  const ip = new Ipv4View(packet.bytes);
  if (packet.routeType === RouteTypeCode.local) return ip.destination;
  const question = ipv4Packet(
    {
      tos: ip.tos & IPTOS_TOS_MASK,
      identification: 0,
      dontFragment: false,
      ttl: 64,
      protocol: 0,
      source: 0,
      destination: ip.source,
    },
    new Uint8Array(),
  );
  const found = stack.route(question, { device: stack.devices.l3mdevMaster(packet.device) });
  if (found.verdict === Verdict.FOUND && typeof found.source === "number") return found.source;
  return stack.devices.selectAddress(packet.device, ip.source, AddressScope.UNIVERSE);
}

export interface IcmpCause {
  /** The offending packet from its IP header on. */
  readonly packet: Uint8Array;
  readonly type: number;
  readonly code: number;
  /** Second word of the error: MTU, gateway, pointer << 24. */
  readonly info: number;
  /** skb->dev: received packets, the (VRF) device they came by; packets whose neighbour did not answer, the one they left by. */
  readonly device: number;
  /** RTN_* of its route. */
  readonly routeType: number;
  readonly groupFrame: boolean;
  /** Of `packet`, which was compiled with them; null: none. */
  readonly options: IpOptions | null;
  /** The packet came from outside, so that icmp_errors_use_inbound_ifaddr may choose the source. */
  readonly received: boolean;
  /** A chain rejects the packet: the error is its, not the route's. */
  readonly rejected?: boolean;
}

/** __icmp_send: tells the sender of a packet what became of it, unless that is forbidden. */
export function icmpSend(stack: Stack, cause: IcmpCause): void {
  const ip = new Ipv4View(cause.packet);
  const domain = stack.devices.l3mdevMaster(cause.device);
  // ip_error counts first, also what then must not be answered.
  if (isRouteError(cause) && !stack.errorLimit.allowRouteError(ip.source, domain)) return;
  if (!mayAnswer(ip, cause)) return;

  const tos = (ip.tos & IPTOS_TOS_MASK) | IPTOS_PREC_INTERNETCONTROL;
  const header = { tos, source: errorSource(stack, ip, cause), destination: ip.source };
  const found = stack.route(icmpPacket(stack, header, errorMessage(cause, ERROR_MAX_BYTES)), { device: domain });
  const source = typeof found.source === "number" ? found.source : header.source;
  const options = answerOptions(stack, cause.packet, cause.options, source, domain);
  if (options === null) return;
  const mtu = stack.devices.get(found.outDevice)?.mtu ?? ERROR_MAX_BYTES;
  const room = Math.min(mtu, ERROR_MAX_BYTES) - options.length;
  if (room - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES <= IPV4_HEADER_BYTES) return;

  const unnamed = header.source === 0 && found.verdict === Verdict.FOUND && found.source === 0;
  const packet = icmpPacket(stack, unnamed ? { ...header, source: INADDR_DUMMY } : header, errorMessage(cause, room));
  const flags = PacketFlag.KERNEL_SOCKET | (unnamed ? PacketFlag.ANYSRC : 0);
  const sent = stack.output(withOptions(packet, options), { device: domain, flags, byIcmp: true });
  const toLoopback = stack.devices.get(found.outDevice)?.kind === "loopback";
  if (sent.verdict !== Verdict.SEND_ERROR && !toLoopback)
    stack.errorLimit.sentError(ip.source, stack.devices.l3mdevMaster(found.outDevice), cause.type, cause.code);
}

/** RFC 1122 section 3.2.2: not to a group, not about a later fragment, not about an ICMP error. */
function mayAnswer(ip: Ipv4View, { groupFrame, routeType, packet }: IcmpCause): boolean {
  if (packet.length < IPV4_HEADER_BYTES || groupFrame) return false;
  if (routeType === RouteTypeCode.broadcast || routeType === RouteTypeCode.multicast) return false;
  if (ip.fragmentOffset !== 0) return false;
  return ip.protocol !== IpProtocol.ICMP || (ip.payload.length > 0 && !isIcmpError(new IcmpView(ip.payload).type));
}

/** The errors of ip_error, which have a rate limit of their own. */
const isRouteError = ({ type, code, received, rejected = false, routeType }: IcmpCause): boolean =>
  type === IcmpType.DEST_UNREACH &&
  (code === Unreachable.NET || code === Unreachable.HOST || code === Unreachable.PKT_FILTERED) &&
  received &&
  !rejected &&
  routeType !== RouteTypeCode.local;

/** The address the packet was sent to, if it is ours; else 0: the route chooses. */
function errorSource(stack: Stack, ip: Ipv4View, { routeType, received, device }: IcmpCause): Ipv4 {
  if (routeType === RouteTypeCode.local) return ip.destination;
  if (!received || !stack.sysctl.icmpErrorsUseInboundIfaddr) return 0;
  return stack.devices.selectAddress(device, ip.source, AddressScope.LINK);
}

/** @param room bytes of the whole error, IP header included */
function errorMessage({ type, code, info, packet }: IcmpCause, room: number): Uint8Array {
  return icmpMessage({
    type,
    code,
    rest: info,
    data: packet.subarray(0, room - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES),
  });
}

/** The kernel's ICMP socket: default TTL, may be fragmented. */
function icmpPacket(
  stack: Stack,
  header: { tos: number; source: Ipv4; destination: Ipv4 },
  message: Uint8Array,
): Uint8Array {
  const identification = stack.nextIdentification();
  const { ipDefaultTtl: ttl } = stack.sysctl;
  return ipv4Packet({ ...header, identification, dontFragment: false, ttl, protocol: IpProtocol.ICMP }, message);
}
