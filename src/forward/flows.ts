/**
 * Whose packet is it? What the kernel's sockets are given and what the forwarder's own host answers, and by which device a flow of
 * theirs went out: Linux shows a packet both to sockets bound to the VRF and to those bound to the slave, the kernel's stack without
 * a VRF to one of them only.
 */

import { IcmpType, isIcmpError } from "../../runtime/net/icmp.ts";
import { Icmp6Type, isNeighbourDiscovery } from "../../runtime/net/icmp6.ts";
import type { Ip } from "../../runtime/net/ip.ts";
import { IpProtocol, Ipv4View } from "../../runtime/net/ipv4.ts";
import { Ipv6View, NextHeader, skipExtensionHeaders } from "../../runtime/net/ipv6.ts";
import { readU16 } from "../../runtime/net/wire.ts";

/** What is looked at of a packet, of either family. */
interface Upper {
  readonly source: Ip;
  readonly destination: Ip;
  readonly protocol: number;
  /** A fragment, the first one too. */
  readonly isFragment: boolean;
  /** Behind the IP headers; of a later fragment it is not the protocol's header. */
  readonly payload: Uint8Array;
}

function upperOf(packet: Uint8Array): Upper | null {
  if (packet.length > 0 && packet[0] >>> 4 === 6) return upperOf6(packet);
  const { source, destination, protocol, isFragment, payload } = new Ipv4View(packet);
  return { source, destination, protocol, isFragment, payload };
}

function upperOf6(packet: Uint8Array): Upper | null {
  const { source, destination } = new Ipv6View(packet);
  const upper = skipExtensionHeaders(packet);
  if (upper === null) return null;
  const isLater = upper.protocol === NextHeader.FRAGMENT;
  const protocol = isLater ? packet[upper.offset] : upper.protocol;
  const isFragment = isLater || upper.fragment !== 0;
  return { source, destination, protocol, isFragment, payload: packet.subarray(upper.offset) };
}

const MLD: ReadonlySet<number> = new Set([
  Icmp6Type.MGM_QUERY,
  Icmp6Type.MGM_REPORT,
  Icmp6Type.MGM_REDUCTION,
  Icmp6Type.MLD2_REPORT,
]);

/**
 * Is the packet for a socket of the kernel's? Requests of ICMP, neighbour discovery and the like are the host's, which answers as the
 * policy says. Fragments of ICMP are put together first.
 */
export function isForSocket(packet: Uint8Array): boolean {
  const upper = upperOf(packet);
  if (upper === null) return false;
  const { protocol, isFragment, payload } = upper;
  if (protocol === IpProtocol.IGMP) return false;
  if (protocol === IpProtocol.ICMP)
    return !isFragment && payload[0] !== IcmpType.ECHO && payload[0] !== IcmpType.TIMESTAMP;
  return protocol !== IpProtocol.ICMPV6 || (!isFragment && !isHost6(payload[0]));
}

const isHost6 = (type: number): boolean =>
  type === Icmp6Type.ECHO_REQUEST || isNeighbourDiscovery(type) || MLD.has(type);

/** Does the kernel speak for itself: neighbour discovery and group reports of its own addresses, which are nobody's here? */
export function isKernelChatter(packet: Uint8Array): boolean {
  const upper = upperOf(packet);
  if (upper === null) return false;
  const { protocol, payload } = upper;
  if (protocol === IpProtocol.IGMP) return true;
  return protocol === IpProtocol.ICMPV6 && (isNeighbourDiscovery(payload[0]) || MLD.has(payload[0]));
}

/** Flows that are remembered; the oldest makes room. */
const MOST_FLOWS = 4096;

/** Flows of sockets that are bound to a slave, or routed to one, by their ends. */
export class SlaveFlows {
  readonly #devices = new Map<string, number>();

  /** A socket sent this packet by a slave. */
  note(packet: Uint8Array, device: number): void {
    const key = flowKey(packet, "sent");
    if (key === null) return;
    this.#devices.delete(key);
    this.#devices.set(key, device);
    if (this.#devices.size <= MOST_FLOWS) return;
    for (const oldest of this.#devices.keys()) {
      this.#devices.delete(oldest);
      return;
    }
  }

  /** The slave that a received packet's flow was sent by, or that of the packet it complains of. */
  deviceOf(packet: Uint8Array): number | undefined {
    if (this.#devices.size === 0) return undefined;
    const key = flowKey(packet, "received");
    return key === null ? undefined : this.#devices.get(key);
  }
}

/** Protocol, own end, other end. */
function flowKey(packet: Uint8Array, way: "sent" | "received"): string | null {
  const upper = upperOf(packet);
  if (upper === null) return null;
  const { source, destination, protocol, payload } = upper;
  const [own, other] = way === "sent" ? [source, destination] : [destination, source];
  if (protocol === IpProtocol.ICMP || protocol === IpProtocol.ICMPV6) {
    const isError = protocol === IpProtocol.ICMP ? isIcmpError(payload[0]) : payload[0] < 128;
    if (isError) return way === "received" && payload.length > 8 ? flowKey(payload.subarray(8), "sent") : null;
    return `${protocol} ${own} ${other} ${readU16(payload, 4)}`;
  }
  const hasPorts = protocol === IpProtocol.TCP || protocol === IpProtocol.UDP;
  if (!hasPorts) return `${protocol} ${own} ${other}`;
  const ports = [readU16(payload, 0), readU16(payload, 2)];
  const [ownPort, otherPort] = way === "sent" ? ports : ports.reverse();
  return `${protocol} ${own} ${other} ${ownPort} ${otherPort}`;
}
