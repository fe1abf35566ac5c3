/**
 * What a sender left to the hardware, done: checksums completed, super-frames cut into segments, VLAN tags put back.
 *
 *   struct virtio_net_hdr
 *     0  1  flags        NEEDS_CSUM: from csum_start to the end is to be summed up, the sum to be put at csum_start + csum_offset,
 *                        where that of the pseudo header stands
 *     1  1  gso_type     what it is to be cut into
 *     2  2  hdr_len      4  2  gso_size   bytes of payload of a segment
 *     6  2  csum_start   8  2  csum_offset
 */
import { foldChecksum, wordSum } from "../../runtime/net/checksum.ts";
import { ETHERNET_HEADER_BYTES, VLAN_TAG_BYTES } from "../../runtime/net/ethernet.ts";
import { IPV4_HEADER_BYTES, IpProtocol } from "../../runtime/net/ipv4.ts";
import { IPV6_HEADER_BYTES } from "../../runtime/net/ipv6.ts";
import { TcpFlag } from "../../runtime/net/tcp.ts";
import { UDP_HEADER_BYTES } from "../../runtime/net/udp.ts";
import { readU16, readU32, writeU16, writeU32 } from "../../runtime/net/wire.ts";

export const VNET_HEADER_BYTES = 10;
const VNET = { flags: 0, gsoType: 1, gsoSize: 4, checksumStart: 6, checksumOffset: 8 } as const;
const NEEDS_CSUM = 1;
const GsoType = { NONE: 0, TCPV4: 1, TCPV6: 4, UDP_L4: 5 } as const;
const GSO_ECN = 0x80;

const CWR = 0x80;
/** Offsets in the headers. */
const IP4 = { totalLength: 2, identification: 4, checksum: 10, source: 12 } as const;
const IP6 = { payloadLength: 4, source: 8 } as const;
const TCP = { sequence: 4, dataOffset: 12, flags: 13, checksum: 16 } as const;
const UDP = { length: 4, checksum: 6 } as const;

export const isSuperFrame = (header: DataView): boolean => (header.getUint8(VNET.gsoType) & ~GSO_ECN) !== GsoType.NONE;

/** Completes the checksum of a frame in place, where its sender did not. Whatever the header says, nothing else is written. */
export function completeChecksum(frame: Uint8Array, header: DataView): void {
  if ((header.getUint8(VNET.flags) & NEEDS_CSUM) === 0) return;
  const start = header.getUint16(VNET.checksumStart, true);
  const at = start + header.getUint16(VNET.checksumOffset, true);
  if (at + 2 > frame.length) return;
  // A UDP checksum of 0 would say that there is none.
  writeU16(frame, at, foldChecksum(wordSum(frame.subarray(start))) || 0xffff);
}

/** The segments of a super-frame (tcp_gso_segment, __udp_gso_segment); null: it is of a kind that is not known. */
export function segments(frame: Uint8Array, header: DataView): Uint8Array[] | null {
  const type = header.getUint8(VNET.gsoType) & ~GSO_ECN;
  const size = header.getUint16(VNET.gsoSize, true);
  const transport = header.getUint16(VNET.checksumStart, true);
  const isTcp = type === GsoType.TCPV4 || type === GsoType.TCPV6;
  if (!(isTcp || type === GsoType.UDP_L4) || size === 0 || transport + 20 > frame.length) return null;
  const payload = transport + (isTcp ? (frame[transport + TCP.dataOffset] >>> 4) * 4 : UDP_HEADER_BYTES);
  const count = Math.max(1, Math.ceil((frame.length - payload) / size));
  return Array.from({ length: count }, (_, k) => {
    const start = payload + k * size;
    const segment = new Uint8Array(payload + Math.min(size, Math.max(0, frame.length - start)));
    segment.set(frame.subarray(0, payload));
    segment.set(frame.subarray(start, start + size), payload);
    if (isTcp) finishTcp(segment, transport, k * size, { isFirst: k === 0, isLast: k === count - 1 });
    else writeU16(segment, transport + UDP.length, segment.length - transport);
    finishIp(segment, transport, k, isTcp ? IpProtocol.TCP : IpProtocol.UDP);
    return segment;
  });
}

interface Place {
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

function finishTcp(segment: Uint8Array, transport: number, offset: number, { isFirst, isLast }: Place): void {
  writeU32(segment, transport + TCP.sequence, (readU32(segment, transport + TCP.sequence) + offset) >>> 0);
  if (!isLast) segment[transport + TCP.flags] &= ~(TcpFlag.FIN | TcpFlag.PSH);
  if (!isFirst) segment[transport + TCP.flags] &= ~CWR;
}

/** Lengths, identification and both checksums. */
function finishIp(segment: Uint8Array, transport: number, index: number, protocol: number): void {
  const ip = segment.subarray(ETHERNET_HEADER_BYTES);
  const upper = segment.subarray(transport);
  const isIpv6 = ip[0] >>> 4 === 6;
  if (isIpv6) writeU16(ip, IP6.payloadLength, ip.length - IPV6_HEADER_BYTES);
  else {
    writeU16(ip, IP4.totalLength, ip.length);
    writeU16(ip, IP4.identification, (readU16(ip, IP4.identification) + index) & 0xffff);
    writeU16(ip, IP4.checksum, 0);
    const headerBytes = Math.max(IPV4_HEADER_BYTES, (ip[0] & 0xf) * 4);
    writeU16(ip, IP4.checksum, foldChecksum(wordSum(ip.subarray(0, headerBytes))));
  }
  const addresses = isIpv6 ? ip.subarray(IP6.source, IP6.source + 32) : ip.subarray(IP4.source, IP4.source + 8);
  const at = protocol === IpProtocol.TCP ? TCP.checksum : UDP.checksum;
  writeU16(upper, at, 0);
  writeU16(upper, at, foldChecksum(wordSum(addresses) + protocol + upper.length + wordSum(upper)) || 0xffff);
}

const ADDRESSES_BYTES = 12;

/** The frame with a tag, protocol in the upper half, behind its addresses. */
export function withVlanTag(frame: Uint8Array, tag: number): Uint8Array {
  const tagged = new Uint8Array(frame.length + VLAN_TAG_BYTES);
  tagged.set(frame.subarray(0, ADDRESSES_BYTES));
  writeU32(tagged, ADDRESSES_BYTES, tag);
  tagged.set(frame.subarray(ADDRESSES_BYTES), ADDRESSES_BYTES + VLAN_TAG_BYTES);
  return tagged;
}
