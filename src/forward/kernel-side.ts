/**
 * The language between the forwarder and the kernel's stack, in frames on a tap (bpf.ts has the drawing): a source address that begins
 * with NAMING says by which device the kernel sent, or is to receive.
 */
import { ARP_BYTES, ArpOperation, emitArp, parseArp } from "../../runtime/net/arp.ts";
import { ETHERNET_HEADER_BYTES, EthernetView, EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { Icmp6Type } from "../../runtime/net/icmp6.ts";
import { IpProtocol } from "../../runtime/net/ipv4.ts";
import { IPV6_HEADER_BYTES, Ipv6View, ipv6Packet } from "../../runtime/net/ipv6.ts";
import type { Mac } from "../../runtime/net/mac.ts";
import {
  AdvertisementFlag,
  ND_HOP_LIMIT,
  neighbourAdvertisement,
  parseNeighbourMessage,
} from "../../runtime/net/ndisc.ts";
import { isMalformed } from "../../runtime/net/wire.ts";
import { NAMING } from "./bpf.ts";

/** A real device: where frames come and go. */
interface RealEnd {
  readonly real: number;
  readonly mac: Mac;
}

const SOURCE = 6;
/** Sender of what comes from no neighbour. */
const NOBODY: Mac = 0x020000000000;
/** What the kernel is told when it asks for a neighbour on a slave: whatever it sends there comes here. */
const ANYBODY: Mac = 0x027600000000;

/** The ifindex that a frame names as its sender's, null: it was sent by the tap itself. */
export function sendingDevice(frame: Uint8Array): number | null {
  if (frame[SOURCE] !== NAMING[0] || frame[SOURCE + 1] !== NAMING[1] || frame.length < ETHERNET_HEADER_BYTES)
    return null;
  return new DataView(frame.buffer, frame.byteOffset).getUint32(SOURCE + 2, true);
}

/** An IP packet for the kernel's sockets. @param port the device that is to receive it, null: the tap */
export function frameFor(packet: Uint8Array, tap: { readonly mac: Mac }, port: RealEnd | null): Uint8Array {
  const type = packet[0] >>> 4 === 6 ? EtherType.IPV6 : EtherType.IPV4;
  return port === null
    ? ethernetFrame({ destination: tap.mac, source: NOBODY, type }, packet)
    : named(ethernetFrame({ destination: port.mac, source: 0, type }, packet), port.real);
}

/** The frame as one that its receiver's ifindex is written into. */
function named(frame: Uint8Array, ifindex: number): Uint8Array {
  frame.set(NAMING, SOURCE);
  new DataView(frame.buffer, frame.byteOffset).setUint32(SOURCE + 2, ifindex, true);
  return frame;
}

/** The kernel asks, on a slave, for the link-layer address of a neighbour. @returns what it is to be told, null: nothing */
export function answerKernel(frame: Uint8Array, port: RealEnd): Uint8Array | null {
  const ethernet = new EthernetView(frame);
  const answer = ethernet.type === EtherType.ARP ? answerArp(ethernet.payload) : answerNdisc(ethernet);
  if (answer === null) return null;
  return named(ethernetFrame({ destination: port.mac, source: 0, type: ethernet.type }, answer), port.real);
}

/** Announcements and probes (RFC 5227) are no questions. */
function answerArp(payload: Uint8Array): Uint8Array | null {
  const arp = parseArp(payload);
  if (isMalformed(arp) || arp.operation !== ArpOperation.REQUEST) return null;
  const { senderIp, senderMac, targetIp } = arp;
  if (senderIp === 0 || senderIp === targetIp) return null;
  const reply = { senderMac: ANYBODY, senderIp: targetIp, targetMac: senderMac, targetIp: senderIp };
  const bytes = new Uint8Array(ARP_BYTES);
  emitArp({ operation: ArpOperation.REPLY, ...reply }, bytes);
  return bytes;
}

/** Nor is duplicate address detection, which has no source. */
function answerNdisc({ type, payload: packet }: EthernetView): Uint8Array | null {
  if (type !== EtherType.IPV6 || packet.length < IPV6_HEADER_BYTES) return null;
  const { nextHeader, source } = new Ipv6View(packet);
  if (nextHeader !== IpProtocol.ICMPV6 || packet[IPV6_HEADER_BYTES] !== Icmp6Type.NEIGHBOUR_SOLICITATION) return null;
  const solicitation = parseNeighbourMessage(packet.subarray(IPV6_HEADER_BYTES));
  if (solicitation === null || source === 0n) return null;
  const ends = { source: solicitation.target, destination: source };
  const flags = AdvertisementFlag.SOLICITED | AdvertisementFlag.OVERRIDE;
  const message = neighbourAdvertisement(solicitation.target, flags >>> 0, ANYBODY, ends);
  const header = { trafficClass: 0, flowLabel: 0, nextHeader: IpProtocol.ICMPV6, hopLimit: ND_HOP_LIMIT };
  return ipv6Packet({ ...header, ...ends }, message);
}
