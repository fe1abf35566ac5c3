/**
 * ARP (net/ipv4/arp.c), with the default settings of its sysctls: any local address is announced and answered for, nothing
 * is filtered, proxied or learned unasked.
 */
import { ARP_BYTES, ArpOperation, type ArpPacket, emitArp, parseArp } from "../net/arp.ts";
import { type EthernetView, EtherType, ethernetFrame } from "../net/ethernet.ts";
import type { Ipv4 } from "../net/ip.ts";
import { Ipv4View } from "../net/ipv4.ts";
import { BROADCAST_MAC, isGroup, type Mac } from "../net/mac.ts";
import { RouteTypeCode } from "../net/route-types.ts";
import { isMalformed } from "../net/wire.ts";
import { AddressScope, type Devices } from "./devices.ts";
import type { Neighbours } from "./neighbours.ts";

export interface ArpStack {
  readonly devices: Devices;
  readonly neighbours: Neighbours<Ipv4>;
  /** dev_queue_xmit */
  xmit(device: number, frame: Uint8Array): void;
  /** ip_route_input: RTN_* of the route for a packet received by `device`, 0 when it is refused. */
  routeInput(device: number, source: Ipv4, destination: Ipv4): number;
}

/** arp_rcv and arp_process. @param frame from the Ethernet header on */
export function arpReceive(stack: ArpStack, ifindex: number, frame: EthernetView): void {
  const device = stack.devices.get(ifindex);
  const arp = parseArp(frame.payload);
  if (device === undefined || device.noArp || isMalformed(arp)) return;
  if (!isGroup(frame.destination) && frame.destination !== device.mac) return;
  const { operation, senderIp, senderMac, targetIp } = arp;
  if (operation !== ArpOperation.REQUEST && operation !== ArpOperation.REPLY) return;
  if (isMulticast(targetIp) || isLoopback(targetIp)) return;

  if (senderIp === 0) {
    // Duplicate address detection (RFC 5227): answered, not learned from.
    const domain = stack.devices.l3mdevMaster(ifindex);
    if (operation === ArpOperation.REQUEST && stack.devices.isLocal(targetIp, domain))
      reply(stack, ifindex, device.mac, arp);
    return;
  }
  if (operation === ArpOperation.REQUEST && stack.routeInput(ifindex, senderIp, targetIp) === RouteTypeCode.local) {
    if (stack.neighbours.update(ifindex, senderIp, senderMac, true)) reply(stack, ifindex, device.mac, arp);
    return;
  }
  stack.neighbours.update(ifindex, senderIp, senderMac, false);
}

function reply(stack: ArpStack, ifindex: number, mac: Mac, request: ArpPacket): void {
  const { senderMac, senderIp, targetIp } = request;
  send(
    stack,
    ifindex,
    { operation: ArpOperation.REPLY, senderMac: mac, senderIp: targetIp, targetMac: senderMac, targetIp: senderIp },
    senderMac,
  );
}

/** arp_solicit: a broadcast request, from the waiting packet's source if that is local here, else from an address of the device. */
export function arpSolicit(stack: ArpStack, ifindex: number, target: Ipv4, packet: Uint8Array): void {
  const device = stack.devices.get(ifindex);
  if (device === undefined) return;
  const { source } = new Ipv4View(packet);
  const announce = stack.devices.isLocal(source, stack.devices.l3mdevMaster(ifindex));
  const senderIp = announce ? source : stack.devices.selectAddress(ifindex, target, AddressScope.LINK);
  const request = { operation: ArpOperation.REQUEST, senderMac: device.mac, senderIp, targetMac: 0, targetIp: target };
  send(stack, ifindex, request, BROADCAST_MAC);
}

function send(stack: ArpStack, ifindex: number, packet: ArpPacket, destination: Mac): void {
  const bytes = new Uint8Array(ARP_BYTES);
  emitArp(packet, bytes);
  stack.xmit(ifindex, ethernetFrame({ destination, source: packet.senderMac, type: EtherType.ARP }, bytes));
}

const isMulticast = (ip: Ipv4): boolean => ip >>> 28 === 0xe;
const isLoopback = (ip: Ipv4): boolean => ip >>> 24 === 127;
