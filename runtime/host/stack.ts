/** What the parts of a host ask of each other. */
import type { NetConfig } from "./config.ts";
import type { Devices } from "./devices.ts";
import type { Judgement } from "./events.ts";
import type { IpOptions } from "./options.ts";
import type { ErrorRateLimit } from "./rate-limit.ts";

export interface OutputMeta {
  /** Bound device (flowi_oif), 0: none. */
  readonly device: number;
  readonly mark?: number;
  /** PacketFlag bits. */
  readonly flags?: number;
  /** By the kernel's ICMP or ICMPv6 socket, which is busy meanwhile: nobody can be sent an error about the packet (icmp_xmit_lock). */
  readonly byIcmp?: boolean;
}

export interface Stack {
  readonly sysctl: NetConfig["sysctl"];
  readonly devices: Devices;
  readonly errorLimit: ErrorRateLimit;
  /** Entry.OUTPUT, and everything that follows from the verdict. */
  output(packet: Uint8Array, meta: OutputMeta): Judgement;
  /** Entry.LOOKUP, left out of the record: a question of the host's own, not a packet's step. */
  route(packet: Uint8Array, meta: OutputMeta): Judgement;
  /** Milliseconds since midnight UTC, as the host's clock has it. */
  timestamp(): number;
  /** Identification of the next packet that may be fragmented. */
  nextIdentification(): number;
}

/** A packet for this host, with what the kernel keeps beside it in the sk_buff and its route. */
export interface LocalPacket {
  /** From the IP header on, cut to the total length. */
  readonly bytes: Uint8Array;
  /** skb->dev: the VRF for a slave. */
  readonly device: number;
  /**
   * inet_iif: the device that raw sockets compare. For a packet that was looped back it is not skb->dev (lo or the VRF) but
   * the device of the local route, so that a socket bound to a device can talk to that device's own address.
   */
  readonly inetIif: number;
  /** The slave, 0 when received outside a VRF. */
  readonly sdif: number;
  /** RTN_* of its route. */
  readonly routeType: number;
  /** The packet's IP options, with which `bytes` was compiled; null: none. */
  readonly options: IpOptions | null;
  /** pkt_type is not PACKET_HOST: the frame was sent to a group address. */
  readonly groupFrame: boolean;
}
