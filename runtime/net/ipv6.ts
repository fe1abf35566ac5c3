/**
 * IPv6 header (RFC 8200 section 3) and the chain of extension headers behind it.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |Version| Traffic Class |           Flow Label                  |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |         Payload Length        |  Next Header  |   Hop Limit   |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                  Source Address (16 bytes)                    |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                Destination Address (16 bytes)                 |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *
 *   extension header:  | Next Header | length in 8 bytes, less the first 8 | ...
 *   fragment header:   | Next Header | 0 | offset, 2 reserved bits, M | identification (4) |
 */
import { type Ipv6, inPrefix, type Prefix, readIpv6, writeIpv6 } from "./ip.ts";
import { readU16, writeU16, writeU32 } from "./wire.ts";

export const PAYLOAD_LENGTH = 4;
const NEXT_HEADER = 6;
const HOP_LIMIT = 7;
const SOURCE = 8;
const DESTINATION = 24;
export const IPV6_HEADER_BYTES = 40;
/** Every link carries packets of this many bytes (RFC 8200 section 5). */
export const IPV6_MIN_MTU = 1280;

/** net.ipv6.conf.*.hop_limit unless it is set, and no router says otherwise (IPV6_DEFAULT_HOPLIMIT). */
export const DEFAULT_HOP_LIMIT = 64;

/** Next-header values that are not upper-layer protocols (k:include/net/ipv6.h NEXTHDR_*). */
export const NextHeader = { HOP: 0, ROUTING: 43, FRAGMENT: 44, AUTH: 51, NONE: 59, DEST: 60 } as const;
export const FRAGMENT_HEADER_BYTES = 8;

/** Types of hop-by-hop and destination options (k:include/uapi/linux/in6.h IPV6_TLV_*). */
export const Ipv6Option = {
  PAD1: 0,
  PADN: 1,
  ROUTERALERT: 0x05,
  CALIPSO: 0x07,
  IOAM: 0x31,
  JUMBO: 0xc2,
  HOME_ADDRESS: 0xc9,
} as const;
/** Bytes of padding in a row: more would be a whole unit of 8 bytes of nothing (ip6_parse_tlv). */
export const MAX_OPTION_PADDING = 7;
/** net.ipv6.max_hbh_opts_number, max_dst_opts_number: options in one header that are not padding. */
export const MAX_OPTIONS = 8;
/** What the payload length holds; longer is a jumbogram (RFC 2675). */
export const IPV6_MAX_PAYLOAD = 0xffff;

export interface Ipv6Header {
  readonly trafficClass: number;
  readonly flowLabel: number;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly source: Ipv6;
  readonly destination: Ipv6;
}

export class Ipv6View {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** The checks of ip6_rcv_core that are about the format; after null no accessor reads beyond the end. */
  check(): string | null {
    const { bytes, payloadLength } = this;
    if (bytes.length < IPV6_HEADER_BYTES) return `${bytes.length} bytes hold no IPv6 header`;
    if (this.version !== 6) return `IP version ${this.version}`;
    const total = IPV6_HEADER_BYTES + payloadLength;
    return total > bytes.length ? `truncated: ${bytes.length} of ${total} bytes` : null;
  }

  get version(): number {
    return this.bytes[0] >>> 4;
  }
  get trafficClass(): number {
    return (readU16(this.bytes, 0) >>> 4) & 0xff;
  }
  get payloadLength(): number {
    return readU16(this.bytes, PAYLOAD_LENGTH);
  }
  get nextHeader(): number {
    return this.bytes[NEXT_HEADER] | 0;
  }
  get hopLimit(): number {
    return this.bytes[HOP_LIMIT] | 0;
  }
  /** 0 when the header is not all there. */
  get source(): Ipv6 {
    return this.bytes.length < SOURCE + 16 ? 0n : readIpv6(this.bytes, SOURCE);
  }
  /** 0 when the header is not all there. */
  get destination(): Ipv6 {
    return this.bytes.length < DESTINATION + 16 ? 0n : readIpv6(this.bytes, DESTINATION);
  }
  /** What the payload length says, extension headers included. A view of the same memory. */
  get payload(): Uint8Array {
    return this.bytes.subarray(IPV6_HEADER_BYTES, IPV6_HEADER_BYTES + this.payloadLength);
  }
}

/** @param bytes the whole packet: its length becomes the payload length */
function emitIpv6(header: Ipv6Header, bytes: Uint8Array): void {
  writeU32(bytes, 0, (6 << 28) | (header.trafficClass << 20) | header.flowLabel);
  writeU16(bytes, PAYLOAD_LENGTH, bytes.length - IPV6_HEADER_BYTES);
  bytes[NEXT_HEADER] = header.nextHeader;
  bytes[HOP_LIMIT] = header.hopLimit;
  writeIpv6(bytes, SOURCE, header.source);
  writeIpv6(bytes, DESTINATION, header.destination);
}

/** A new packet around `payload`. */
export function ipv6Packet(header: Ipv6Header, payload: Uint8Array): Uint8Array {
  const packet = new Uint8Array(IPV6_HEADER_BYTES + payload.length);
  packet.set(payload, IPV6_HEADER_BYTES);
  emitIpv6(header, packet);
  return packet;
}

export interface UpperLayer {
  /** The first header that is not one of the known extension headers; the fragment header itself in a later fragment. */
  readonly protocol: number;
  /** Where it starts, in bytes of the packet; may lie beyond the end of a packet that is cut short. */
  readonly offset: number;
  /** Where the next-header field stands that names it. */
  readonly namedAt: number;
  /** Offset field and flags of the last fragment header that was passed, 0: none. */
  readonly fragment: number;
}

const EXTENSION_HEADERS: ReadonlySet<number> = new Set(Object.values(NextHeader));
/** ipv6_ext_hdr */
export const isExtensionHeader = (nextHeader: number): boolean => EXTENSION_HEADERS.has(nextHeader);

/** Bytes of an extension header, fragment headers aside (ipv6_optlen, ipv6_authlen). */
export const extensionHeaderBytes = (packet: Uint8Array, offset: number, nextHeader: number): number =>
  nextHeader === NextHeader.AUTH ? ((packet[offset + 1] | 0) + 2) * 4 : ((packet[offset + 1] | 0) + 1) * 8;

/**
 * ipv6_skip_exthdr from the IPv6 header on.
 * @returns null: the chain ends in "no next header", or is cut off before its end
 */
export function skipExtensionHeaders(packet: Uint8Array): UpperLayer | null {
  let [protocol, offset, namedAt, fragment] = [packet[NEXT_HEADER] | 0, IPV6_HEADER_BYTES, NEXT_HEADER, 0];
  while (isExtensionHeader(protocol)) {
    if (protocol === NextHeader.NONE || packet.length < offset + 2) return null;
    let length = FRAGMENT_HEADER_BYTES;
    if (protocol === NextHeader.FRAGMENT) {
      if (packet.length < offset + 4) return null;
      fragment = readU16(packet, offset + 2);
      if (fragment >>> 3 !== 0) break;
    } else length = extensionHeaderBytes(packet, offset, protocol);
    protocol = packet[offset];
    namedAt = offset;
    offset += length;
  }
  return { protocol, offset, namedAt, fragment };
}

const LINK_LOCAL: Prefix = { address: 0xfe80n << 112n, length: 10 };
export const isMulticast6 = (ip: Ipv6): boolean => ip >> 120n === 0xffn;
export const isLinkLocal6 = (ip: Ipv6): boolean => inPrefix(LINK_LOCAL, ip);
/** ff02::1 */
export const ALL_NODES: Ipv6 = (0xff02n << 112n) | 1n;
const SOLICITED_NODE_PREFIX: Ipv6 = (0xff02n << 112n) | 0x1ff000000n;
/** ff02::1:ffXX:XXXX (RFC 4291 section 2.7.1). */
export const solicitedNode = (ip: Ipv6): Ipv6 => SOLICITED_NODE_PREFIX | (ip & 0xffffffn);
export const isSolicitedNode = (ip: Ipv6): boolean => ip >> 24n === SOLICITED_NODE_PREFIX >> 24n;
