/** What the IPv6 parts of a host ask of it, beyond what IPv4's do. */
import type { Ip, Ipv6 } from "../../net/ip.ts";
import type { Clock, Judgement } from "../events.ts";
import type { Neighbours } from "../neighbours.ts";
import type { Stack } from "../stack.ts";
import type { PeerLimit } from "./peer-limit.ts";

export interface Stack6 extends Stack {
  readonly clock: Clock;
  readonly neighbours6: Neighbours<Ipv6>;
  readonly peers6: PeerLimit;
  /** RouteId + 1 of the IPv6 routes that name a source address. */
  readonly prefsrcRoutes6: ReadonlySet<number>;
  /** RouteId + 1 of the IPv6 routes without a gateway, of fewer than 127 bits, and the first address of each. */
  readonly onLinkRoutes6: ReadonlyMap<number, Ip | null>;
  /** Entry.NDISC: a message of neighbour discovery leaves by `device`, without a route. */
  sendNdisc(packet: Uint8Array, device: number, mark?: number): Judgement;
  /** Entry.ROUTE_INPUT: the route of a packet that `device` received. */
  routeReceived(packet: Uint8Array, device: number): Judgement;
}

/** An IPv6 packet for this host, with what the kernel keeps beside it. */
export interface LocalPacket6 {
  /** From the IPv6 header on, cut to the payload length. */
  readonly bytes: Uint8Array;
  /** skb->dev: the VRF for a slave, but the slave itself for neighbour discovery. */
  readonly device: number;
  /** IP6CB(skb)->iif: the device that received it; of what this host sent to itself, the device that has the address. */
  readonly receivedBy: number;
  /** The slave, 0 when received outside a VRF. */
  readonly sdif: number;
  /** RTN_* of its route. */
  readonly routeType: number;
  /** pkt_type is not PACKET_HOST. */
  readonly groupFrame: boolean;
}

/** The upper-layer protocol's part of a packet, behind all extension headers. */
export interface Upper6 {
  readonly packet: LocalPacket6;
  readonly source: Ipv6;
  readonly destination: Ipv6;
  readonly payload: Uint8Array;
  /** Where in `packet.bytes` the payload starts. */
  readonly offset: number;
}
