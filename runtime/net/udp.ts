/**
 * UDP (RFC 768).
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |          Source Port          |       Destination Port        |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |            Length             |           Checksum            |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { foldChecksum, pseudoHeaderSum, wordSum } from "./checksum.ts";
import type { Ip } from "./ip.ts";
import { IpProtocol } from "./ipv4.ts";
import { readU16, writeU16 } from "./wire.ts";

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const LENGTH = 4;
export const UDP_CHECKSUM = 6;
export const UDP_HEADER_BYTES = 8;

export class UdpView {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Checks as __udp4_lib_rcv and __udp6_lib_rcv: header, length field, and the checksum; IPv4 may do without one (0). */
  check(source: Ip, destination: Ip): string | null {
    const { bytes, length } = this;
    if (bytes.length < UDP_HEADER_BYTES) return `${bytes.length} bytes hold no UDP header`;
    if (length > bytes.length || length < UDP_HEADER_BYTES) return `UDP length ${length} in ${bytes.length} bytes`;
    if (readU16(bytes, UDP_CHECKSUM) === 0) return typeof source === "number" ? null : "no UDP checksum";
    const sum = pseudoHeaderSum(source, destination, IpProtocol.UDP, length) + wordSum(bytes.subarray(0, length));
    return foldChecksum(sum) === 0 ? null : "bad UDP checksum";
  }

  get sourcePort(): number {
    return readU16(this.bytes, SOURCE_PORT);
  }
  get destinationPort(): number {
    return readU16(this.bytes, DESTINATION_PORT);
  }
  /** Header and data, in bytes. */
  get length(): number {
    return readU16(this.bytes, LENGTH);
  }
}

export interface UdpDatagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly data: Uint8Array;
}

/** A new datagram; a checksum that comes out as 0 is sent as 0xffff (RFC 768). */
export function udpDatagram(datagram: UdpDatagram, source: Ip, destination: Ip): Uint8Array {
  const bytes = new Uint8Array(UDP_HEADER_BYTES + datagram.data.length);
  bytes.set(datagram.data, UDP_HEADER_BYTES);
  writeU16(bytes, SOURCE_PORT, datagram.sourcePort);
  writeU16(bytes, DESTINATION_PORT, datagram.destinationPort);
  writeU16(bytes, LENGTH, bytes.length);
  const sum = pseudoHeaderSum(source, destination, IpProtocol.UDP, bytes.length) + wordSum(bytes);
  writeU16(bytes, UDP_CHECKSUM, foldChecksum(sum) || 0xffff);
  return bytes;
}
