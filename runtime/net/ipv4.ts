/**
 * IPv4 header (RFC 791 section 3.1).
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |Version|  IHL  |Type of Service|          Total Length         |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |         Identification        |0 DF MF    Fragment Offset     |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |  Time to Live |    Protocol   |         Header Checksum       |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                       Source Address                          |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                    Destination Address                        |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                    Options (IHL > 5)                          |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { checksum } from "./checksum.ts";
import { type Ipv4, readIpv4, writeIpv4 } from "./ip.ts";
import { readU16, writeU16 } from "./wire.ts";

const VERSION_IHL = 0;
export const TOS = 1;
export const TOTAL_LENGTH = 2;
const IDENTIFICATION = 4;
export const FLAGS_OFFSET = 6;
const TTL = 8;
const PROTOCOL = 9;
const CHECKSUM = 10;
const SOURCE = 12;
const DESTINATION = 16;
export const IPV4_HEADER_BYTES = 20;
export const IPV4_MAX_BYTES = 0xffff;
/** The two bits of TOS and traffic class that are ECN's (RFC 3168). */
export const INET_ECN_MASK = 3;

export const DONT_FRAGMENT = 0x4000;
export const MORE_FRAGMENTS = 0x2000;
const OFFSET_MASK = 0x1fff;

/** Protocol numbers (IANA "Assigned Internet Protocol Numbers") that this runtime names. */
export const IpProtocol = {
  ICMP: 1,
  IGMP: 2,
  TCP: 6,
  UDP: 17,
  DCCP: 33,
  GRE: 47,
  ESP: 50,
  AH: 51,
  ICMPV6: 58,
  SCTP: 132,
  UDPLITE: 136,
} as const;

/** Without options, and not of a fragment: `Ipv4View` reads those. */
export interface Ipv4Header {
  readonly tos: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly ttl: number;
  readonly protocol: number;
  readonly source: Ipv4;
  readonly destination: Ipv4;
}

export class Ipv4View {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** The checks of ip_rcv_core, in its order; after null no accessor, `options` and `payload` included, reads beyond the end. */
  check(): string | null {
    const { bytes, headerLength, totalLength } = this;
    if (bytes.length < IPV4_HEADER_BYTES) return `${bytes.length} bytes hold no IPv4 header`;
    if (this.version !== 4) return `IP version ${this.version}`;
    if (headerLength < IPV4_HEADER_BYTES) return `header length ${headerLength}`;
    if (bytes.length < headerLength) return `header of ${headerLength} bytes in ${bytes.length}`;
    if (checksum(bytes.subarray(0, headerLength)) !== 0) return "bad header checksum";
    if (totalLength > bytes.length) return `truncated: ${bytes.length} of ${totalLength} bytes`;
    if (totalLength < headerLength) return `total length ${totalLength} below the header's ${headerLength}`;
    return null;
  }

  get version(): number {
    return this.bytes[VERSION_IHL] >>> 4;
  }
  /** In bytes, 0 .. 60. */
  get headerLength(): number {
    return (this.bytes[VERSION_IHL] & 15) * 4;
  }
  get tos(): number {
    return this.bytes[TOS] | 0;
  }
  get totalLength(): number {
    return readU16(this.bytes, TOTAL_LENGTH);
  }
  get identification(): number {
    return readU16(this.bytes, IDENTIFICATION);
  }
  get dontFragment(): boolean {
    return (readU16(this.bytes, FLAGS_OFFSET) & DONT_FRAGMENT) !== 0;
  }
  get moreFragments(): boolean {
    return (readU16(this.bytes, FLAGS_OFFSET) & MORE_FRAGMENTS) !== 0;
  }
  /** In bytes. */
  get fragmentOffset(): number {
    return (readU16(this.bytes, FLAGS_OFFSET) & OFFSET_MASK) * 8;
  }
  get isFragment(): boolean {
    return this.moreFragments || this.fragmentOffset !== 0;
  }
  get ttl(): number {
    return this.bytes[TTL] | 0;
  }
  get protocol(): number {
    return this.bytes[PROTOCOL] | 0;
  }
  get source(): Ipv4 {
    return readIpv4(this.bytes, SOURCE);
  }
  get destination(): Ipv4 {
    return readIpv4(this.bytes, DESTINATION);
  }
  get options(): Uint8Array {
    return this.bytes.subarray(IPV4_HEADER_BYTES, this.headerLength);
  }
  /** Up to the total length: link-layer padding is left out. A view of the same memory. */
  get payload(): Uint8Array {
    return this.bytes.subarray(this.headerLength, this.totalLength);
  }
}

/** @param bytes the whole packet: its length becomes the total length. The header has no options and is no fragment. */
export function emitIpv4(header: Ipv4Header, bytes: Uint8Array): void {
  bytes[VERSION_IHL] = 0x45;
  bytes[TOS] = header.tos;
  writeU16(bytes, TOTAL_LENGTH, bytes.length);
  writeU16(bytes, IDENTIFICATION, header.identification);
  writeU16(bytes, FLAGS_OFFSET, header.dontFragment ? DONT_FRAGMENT : 0);
  bytes[TTL] = header.ttl;
  bytes[PROTOCOL] = header.protocol;
  writeIpv4(bytes, SOURCE, header.source);
  writeIpv4(bytes, DESTINATION, header.destination);
  sendCheck(bytes);
}

/** ip_send_check: the checksum of the header that the packet begins with. */
export function sendCheck(packet: Uint8Array): void {
  writeU16(packet, CHECKSUM, 0);
  writeU16(packet, CHECKSUM, checksum(packet.subarray(0, new Ipv4View(packet).headerLength)));
}

/** A new packet around `payload`. */
export function ipv4Packet(header: Ipv4Header, payload: Uint8Array): Uint8Array {
  const packet = new Uint8Array(IPV4_HEADER_BYTES + payload.length);
  packet.set(payload, IPV4_HEADER_BYTES);
  emitIpv4(header, packet);
  return packet;
}

/** A copy with one less TTL and the checksum changed by as much (RFC 1141), right or wrong as it was. */
export function decrementTtl(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  const sum = readU16(copy, CHECKSUM) + 0x0100;
  writeU16(copy, CHECKSUM, (sum + (sum >= 0xffff ? 1 : 0)) & 0xffff);
  copy[TTL]--;
  return copy;
}
