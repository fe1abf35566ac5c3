/**
 * Neighbour discovery (net/ipv6/ndisc.c) with the default settings of its sysctls. Duplicate address detection is not made: every
 * address is valid from the start. Router advertisements and redirects that arrive change nothing here.
 */
import { PacketFlag } from "../../batch.ts";
import { Icmp6Type, Icmp6View } from "../../net/icmp6.ts";
import type { Ipv6 } from "../../net/ip.ts";
import { IpProtocol } from "../../net/ipv4.ts";
import {
  ALL_NODES,
  Ipv6View,
  ipv6Packet,
  isLinkLocal6,
  isMulticast6,
  isSolicitedNode,
  solicitedNode,
} from "../../net/ipv6.ts";
import type { Mac } from "../../net/mac.ts";
import {
  AdvertisementFlag,
  type Endpoints,
  ND_HOP_LIMIT,
  neighbourAdvertisement,
  neighbourSolicitation,
  parseNeighbourMessage,
  parseRouterSolicitation,
  redirectMessage,
} from "../../net/ndisc.ts";
import { Verdict } from "../../verdict.ts";
import { SECOND } from "../events.ts";
import { isAddressOf, isAnycastOf, linkLocalOf, selectSource6 } from "./addresses.ts";
import { REDIRECT_COST } from "./peer-limit.ts";
import type { Stack6, Upper6 } from "./stack.ts";

/** Before an anycast address is answered for, a random time below PROXY_DELAY (0.8 s) passes: here its half. */
const ANYCAST_DELAY = 0.4 * SECOND;

/** ndisc_rcv. */
export function ndiscReceive(stack: Stack6, message: Upper6): void {
  const icmp = new Icmp6View(message.payload);
  if (new Ipv6View(message.packet.bytes).hopLimit !== ND_HOP_LIMIT || icmp.code !== 0) return;
  switch (icmp.type) {
    case Icmp6Type.NEIGHBOUR_SOLICITATION:
      receiveSolicitation(stack, message, false);
      break;
    case Icmp6Type.NEIGHBOUR_ADVERTISEMENT:
      receiveAdvertisement(stack, message);
      break;
    case Icmp6Type.ROUTER_SOLICITATION:
      receiveRouterSolicitation(stack, message);
  }
}

/** ndisc_recv_ns. @param delayed an anycast address is answered for now */
function receiveSolicitation(stack: Stack6, message: Upper6, delayed: boolean): void {
  const { source, destination, payload, packet } = message;
  const ns = parseNeighbourMessage(payload);
  const isDad = source === 0n;
  const toGroup = isMulticast6(destination);
  if (ns === null || isMulticast6(ns.target)) return;
  if (isDad && (!isSolicitedNode(destination) || ns.linkLayer !== null)) return;

  const device = stack.devices.get(packet.device);
  const master = stack.devices.get(device?.master ?? 0);
  const owner = [device, master].find((d) => isAddressOf(d, ns.target));
  if (owner === undefined) {
    if (!isAnycastOf(device, ns.target)) return;
    if (!delayed && packet.groupFrame && toGroup) {
      stack.clock.after(ANYCAST_DELAY, () => receiveSolicitation(stack, message, true));
      return;
    }
  }
  const router = (owner ?? device)?.forwarding6 ? AdvertisementFlag.ROUTER : 0;
  const override = owner === undefined ? 0 : AdvertisementFlag.OVERRIDE;
  if (isDad) {
    advertise(stack, packet.device, ALL_NODES, ns.target, router | override, true);
    return;
  }
  const { linkLayer } = ns;
  if (
    linkLayer === null
      ? toGroup && !stack.neighbours6.has(packet.device, source)
      : !stack.neighbours6.update(packet.device, source, linkLayer, true)
  )
    return;
  const flags = router | AdvertisementFlag.SOLICITED | (toGroup ? override : 0);
  advertise(stack, packet.device, source, ns.target, flags, toGroup);
}

/** ndisc_send_na. @param withAddress the target link-layer option goes with it */
function advertise(
  stack: Stack6,
  ifindex: number,
  destination: Ipv6,
  target: Ipv6,
  flags: number,
  withAddress: boolean,
): void {
  const device = stack.devices.get(ifindex);
  const source = isAddressOf(device, target) ? target : selectSource6(stack.devices, ifindex, destination);
  if (source === null || device === undefined) return;
  const ends = { source, destination };
  sendNdisc(stack, ifindex, neighbourAdvertisement(target, flags, withAddress ? device.mac : null, ends), ends);
}

/** ndisc_recv_na: what nobody asked for is not learned (accept_untracked_na is 0). */
function receiveAdvertisement(stack: Stack6, { destination, payload, packet }: Upper6): void {
  const na = parseNeighbourMessage(payload);
  if (na === null || isMulticast6(na.target)) return;
  if (isMulticast6(destination) && (na.flags & AdvertisementFlag.SOLICITED) !== 0) return;
  if (isAddressOf(stack.devices.get(packet.device), na.target) || na.linkLayer === null) return;
  const override = (na.flags & AdvertisementFlag.OVERRIDE) !== 0;
  stack.neighbours6.update(packet.device, na.target, na.linkLayer, false, override);
}

/** ndisc_recv_rs: a router learns who asks; that it advertises itself is radvd's work. */
function receiveRouterSolicitation(stack: Stack6, { source, payload, packet }: Upper6): void {
  const rs = parseRouterSolicitation(payload);
  if (stack.devices.get(packet.device)?.forwarding6 !== true || source === 0n) return;
  if (rs !== null && rs.linkLayer !== null) stack.neighbours6.update(packet.device, source, rs.linkLayer, true);
}

/**
 * ndisc_solicit: to the solicited-node group, from the waiting packet's source if that is the device's own address, else from the
 * link-local address; without one nothing is sent.
 */
export function ndiscSolicit(stack: Stack6, ifindex: number, target: Ipv6, packet: Uint8Array): void {
  const device = stack.devices.get(ifindex);
  const ip = new Ipv6View(packet);
  const announce = ip.version === 6 && isAddressOf(device, ip.source);
  const source = announce ? ip.source : linkLocalOf(device);
  if (source === null || device === undefined) return;
  const ends = { source, destination: solicitedNode(target) };
  sendNdisc(stack, ifindex, neighbourSolicitation(target, device.mac, ends), ends);
}

export interface RedirectCause {
  /** The packet that went on, from its IPv6 header on, as it was received. */
  readonly packet: Uint8Array;
  /** The better next hop. */
  readonly target: Ipv6;
  /** The device that received it, and that it leaves by. */
  readonly device: number;
}

/** The redirect's part of ip6_forward, and ndisc_send_redirect: limited by destination, then by source. */
export function ndiscRedirect(stack: Stack6, { packet, target, device }: RedirectCause): void {
  const ip = new Ipv6View(packet);
  if (!stack.peers6.allow(ip.destination, REDIRECT_COST)) return;
  const source = linkLocalOf(stack.devices.get(device));
  if (source === null || (ip.destination !== target && !isLinkLocal6(target))) return;
  const ends = { source, destination: ip.source };
  const found = stack.route(ndiscPacket(new Uint8Array(8), ends), { device, flags: PacketFlag.RTM_GETROUTE });
  if (found.verdict !== Verdict.FOUND || found.nextHop !== ends.destination) return;
  if (!stack.peers6.allow(ip.source, REDIRECT_COST)) return;
  const linkLayer: Mac | null = stack.neighbours6.macOf(device, target);
  sendNdisc(stack, found.outDevice, redirectMessage(target, linkLayer, packet, ip.destination, ends), ends);
}

function sendNdisc(stack: Stack6, ifindex: number, message: Uint8Array, ends: Endpoints): void {
  stack.sendNdisc(ndiscPacket(message, ends), ifindex);
}

const ndiscPacket = (message: Uint8Array, { source, destination }: Endpoints): Uint8Array =>
  ipv6Packet(
    { trafficClass: 0, flowLabel: 0, nextHeader: IpProtocol.ICMPV6, hopLimit: ND_HOP_LIMIT, source, destination },
    message,
  );
