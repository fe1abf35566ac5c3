/**
 * ICMPv6 that a host sends of itself (net/ipv6/icmp.c): echo replies (icmpv6_echo_reply) and errors (icmp6_send).
 *
 *   echo reply   from the address that was asked, unless it was a group's; flow bound to the device that has it
 *   error        from the address that the packet was sent to if it is ours, else the route's own source, else an address of the
 *                device that received the packet; flow bound to the VRF, or for a link-local sender to its link
 *
 * "Bound" is the flow only, no socket is (PacketFlag.OIF_UNBOUND).
 */
import { PacketFlag } from "../../batch.ts";
import { LOOPBACK_IFINDEX } from "../../brand.ts";
import type { IcmpMessage } from "../../net/icmp.ts";
import {
  ICMP6_HEADER_BYTES,
  Icmp6Type,
  Icmp6View,
  icmp6Message,
  isIcmp6Error,
  ParameterProblem6,
} from "../../net/icmp6.ts";
import type { Ipv6 } from "../../net/ip.ts";
import { IpProtocol } from "../../net/ipv4.ts";
import {
  DEFAULT_HOP_LIMIT,
  IPV6_HEADER_BYTES,
  IPV6_MIN_MTU,
  Ipv6View,
  ipv6Packet,
  isLinkLocal6,
  isMulticast6,
  skipExtensionHeaders,
} from "../../net/ipv6.ts";
import { RouteTypeCode } from "../../net/route-types.ts";
import { Verdict } from "../../verdict.ts";
import type { Judgement } from "../events.ts";
import { isAnycast, isOwnAddress, routedOwner, selectSource6 } from "./addresses.ts";
import { ERROR_COST } from "./peer-limit.ts";
import type { Stack6, Upper6 } from "./stack.ts";

const LOOPBACK: Ipv6 = 1n;

interface Addressed {
  readonly trafficClass: number;
  /** 0: the route chooses. */
  readonly source: Ipv6;
  readonly destination: Ipv6;
}

/** The request's data back, and its traffic class. */
export function icmp6Reply(stack: Stack6, { packet, source, destination, payload }: Upper6): void {
  const { rest, data } = new Icmp6View(payload);
  const { trafficClass } = new Ipv6View(packet.bytes);
  const toGroup = packet.routeType !== RouteTypeCode.local;
  const header = { trafficClass, source: toGroup ? 0n : destination, destination: source };
  const device = source === LOOPBACK ? packet.device : inputDevice(stack, packet, destination);
  outputIcmp6(stack, header, { type: Icmp6Type.ECHO_REPLY, code: 0, rest, data }, device);
}

/** icmp6_dev: where skb->dev is lo or a VRF, the device of the route (rt6i_idev), which for an own address is the one that has it. */
function inputDevice(stack: Stack6, { device, receivedBy }: Upper6["packet"], destination: Ipv6): number {
  const kind = stack.devices.get(device)?.kind;
  if (kind !== "loopback" && kind !== "vrf") return device;
  if (isLinkLocal6(destination)) return receivedBy;
  return routedOwner(stack.devices, destination, device) || receivedBy;
}

/** Sends a message of the kernel's ICMPv6 socket; its checksum needs the source, so that is asked for first. */
function outputIcmp6(stack: Stack6, header: Addressed, message: IcmpMessage, device: number): void {
  const meta = { device, flags: PacketFlag.OIF_UNBOUND | PacketFlag.KERNEL_SOCKET, byIcmp: true };
  const packet = (source: Ipv6) => icmp6Packet(header, icmp6Message(message, source, header.destination));
  const found = header.source === 0n ? stack.route(packet(0n), meta) : null;
  stack.output(packet(typeof found?.source === "bigint" ? found.source : header.source), meta);
}

const icmp6Packet = (header: Addressed, message: Uint8Array): Uint8Array =>
  ipv6Packet({ ...header, flowLabel: 0, nextHeader: IpProtocol.ICMPV6, hopLimit: DEFAULT_HOP_LIMIT }, message);

export interface Icmp6Cause {
  /** The offending packet from its IPv6 header on, as it now is. */
  readonly packet: Uint8Array;
  readonly type: number;
  readonly code: number;
  /** Second word of the error: MTU, pointer. */
  readonly info: number;
  /** skb->dev. */
  readonly device: number;
  /** IP6CB(skb)->iif: the device that received the packet, 0: a socket's. */
  readonly receivedBy: number;
  /** pkt_type is not PACKET_HOST. */
  readonly groupFrame: boolean;
}

/** icmp6_send: tells the sender of a packet what became of it, unless that is forbidden. */
export function icmp6Send(stack: Stack6, cause: Icmp6Cause): void {
  const { type, code, info, packet } = cause;
  const ip = new Ipv6View(packet);
  if (packet.length < IPV6_HEADER_BYTES || !mayAnswer(ip, cause)) return;
  const destination = ip.source;
  const device = errorDevice(stack, ip, cause);
  const data = packet.subarray(0, IPV6_MIN_MTU - IPV6_HEADER_BYTES - ICMP6_HEADER_BYTES);
  const message = { type, code, rest: info, data };
  const header = { trafficClass: 0, source: errorSource(stack, ip, cause), destination };
  const isLoopback = stack.devices.get(cause.device)?.kind === "loopback";
  const question = icmp6Packet(header, icmp6Message(message, header.source, destination));
  const found = stack.route(question, { device, flags: PacketFlag.RTM_GETROUTE });
  if (isRateLimited(type) && !isLoopback && !allowed(stack, found, destination)) return;
  if (isAnycastDestination(stack, found, destination)) return;
  outputIcmp6(stack, header, message, device);
}

/** RFC 4443 section 2.4 (e): not to a group but for path MTU discovery and options, not from nobody, not about an error. */
function mayAnswer(ip: Ipv6View, { type, code, info, groupFrame }: Icmp6Cause): boolean {
  const optionProblem =
    type === Icmp6Type.PARAMPROB && code === ParameterProblem6.UNK_OPTION && isReportedToGroups(ip.bytes[info]);
  if ((isMulticast6(ip.destination) || groupFrame) && type !== Icmp6Type.PKT_TOOBIG && !optionProblem) return false;
  if (ip.source === 0n || isMulticast6(ip.source)) return false;
  return !isErrorOrCutShort(ip.bytes);
}

/** opt_unrec: option types of which even a group's members tell that they do not know them (10xxxxxx; beyond the packet: taken for one). */
const isReportedToGroups = (optionType: number | undefined): boolean =>
  optionType === undefined || (optionType & 0xc0) === 0x80;

/** is_ineligible */
function isErrorOrCutShort(packet: Uint8Array): boolean {
  const upper = skipExtensionHeaders(packet);
  if (upper === null || upper.protocol !== IpProtocol.ICMPV6) return false;
  if (upper.offset >= packet.length) return upper.fragment === 0;
  return isIcmp6Error(packet[upper.offset]);
}

/** The flow's oif: the VRF, or the link of a sender whose address is known there only; the device of ip6_null_entry is lo. */
function errorDevice(stack: Stack6, ip: Ipv6View, { device, receivedBy, packet }: Icmp6Cause): number {
  if (!isLinkLocal6(ip.source)) return stack.devices.l3mdevMaster(device);
  const kind = stack.devices.get(device)?.kind;
  if (kind !== "loopback" && kind !== "vrf") return device;
  if (isLinkLocal6(ip.destination)) return receivedBy;
  const { verdict, routeType, outDevice } = stack.routeReceived(packet, receivedBy);
  if (verdict !== Verdict.FOUND) return LOOPBACK_IFINDEX;
  const isLocal = routeType === RouteTypeCode.local || routeType === RouteTypeCode.anycast;
  return (isLocal && routedOwner(stack.devices, ip.destination, device)) || outDevice || LOOPBACK_IFINDEX;
}

function errorSource(stack: Stack6, ip: Ipv6View, { device, receivedBy, groupFrame }: Icmp6Cause): Ipv6 {
  const { destination, source } = ip;
  const isOurs = isOwnAddress(stack.devices, destination, device) || isAnycast(stack.devices, destination, device);
  if (isOurs && !groupFrame && !isMulticast6(destination)) return destination;
  if (namesSource(stack, source) || stack.devices.get(receivedBy) === undefined) return 0n;
  return selectSource6(stack.devices, receivedBy, source) ?? 0n;
}

/** icmpv6_rt_has_prefsrc: asked without a device, so outside of VRFs. */
function namesSource(stack: Stack6, destination: Ipv6): boolean {
  const header = { trafficClass: 0, source: 0n, destination };
  const question = icmp6Packet(header, new Uint8Array(ICMP6_HEADER_BYTES));
  const found = stack.route(question, { device: 0, flags: PacketFlag.RTM_GETROUTE });
  return found.verdict === Verdict.FOUND && stack.prefsrcRoutes6.has(found.route);
}

/** net.ipv6.icmp.ratemask by default: errors but for "packet too big". */
const isRateLimited = (type: number): boolean => isIcmp6Error(type) && type !== Icmp6Type.PKT_TOOBIG;

/** icmpv6_xrlim_allow. */
function allowed(stack: Stack6, found: Judgement, destination: Ipv6): boolean {
  if (found.verdict !== Verdict.FOUND) return false;
  if (stack.devices.get(found.outDevice)?.kind === "loopback") return true;
  return stack.peers6.allow(destination, ERROR_COST);
}

/**
 * ipv6_anycast_destination, of icmpv6_route_lookup: the first address of an on-link prefix is its routers' (RFC 4291 section 2.6.1). A
 * command's route of type anycast is none (RTF_ANYCAST).
 */
function isAnycastDestination(stack: Stack6, found: Judgement, destination: Ipv6): boolean {
  if (found.verdict !== Verdict.FOUND) return false;
  const isJoined = found.routeType === RouteTypeCode.anycast && isAnycast(stack.devices, destination, found.outDevice);
  return isJoined || stack.onLinkRoutes6.get(found.route) === destination;
}
