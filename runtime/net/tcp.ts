/**
 * TCP header (RFC 9293 section 3.1).
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |          Source Port          |       Destination Port        |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                        Sequence Number                        |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                    Acknowledgment Number                      |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   | Data  |       |C|E|U|A|P|R|S|F|                               |
 *   | Offset| Rsrvd |W|C|R|C|S|S|Y|I|            Window             |
 *   |       |       |R|E|G|K|H|T|N|N|                               |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |           Checksum            |         Urgent Pointer        |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { foldChecksum, pseudoHeaderSum, wordSum } from "./checksum.ts";
import type { Ip } from "./ip.ts";
import { IpProtocol } from "./ipv4.ts";
import { readU16, readU32, writeU16, writeU32 } from "./wire.ts";

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const SEQUENCE = 4;
const ACKNOWLEDGMENT = 8;
const DATA_OFFSET = 12;
export const TCP_FLAGS = 13;
const WINDOW = 14;
export const TCP_CHECKSUM = 16;
const URGENT = 18;
export const TCP_HEADER_BYTES = 20;

/** Bits of the flags byte, by name for printing in tcpdump's letters. */
export const TcpFlag = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32 } as const;

/** Kinds of options (RFC 9293 section 3.1). */
export const TcpOption = { NOP: 1, MSS: 2 } as const;

export class TcpView {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Checks as tcp_v4_rcv and tcp_v6_rcv: header, data offset, checksum. */
  check(source: Ip, destination: Ip): string | null {
    const { bytes, headerLength } = this;
    if (bytes.length < TCP_HEADER_BYTES) return `${bytes.length} bytes hold no TCP header`;
    if (headerLength < TCP_HEADER_BYTES || headerLength > bytes.length) return `TCP header length ${headerLength}`;
    const sum = pseudoHeaderSum(source, destination, IpProtocol.TCP, bytes.length) + wordSum(bytes);
    return foldChecksum(sum) === 0 ? null : "bad TCP checksum";
  }

  get sourcePort(): number {
    return readU16(this.bytes, SOURCE_PORT);
  }
  get destinationPort(): number {
    return readU16(this.bytes, DESTINATION_PORT);
  }
  get sequence(): number {
    return readU32(this.bytes, SEQUENCE);
  }
  get acknowledgment(): number {
    return readU32(this.bytes, ACKNOWLEDGMENT);
  }
  /** In bytes. */
  get headerLength(): number {
    return (this.bytes[DATA_OFFSET] >>> 4) * 4;
  }
  get flags(): number {
    return this.bytes[TCP_FLAGS] | 0;
  }
}

export interface TcpSegment {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
  readonly window: number;
  readonly data?: Uint8Array;
}

/** A new segment without options. */
export function tcpSegment(segment: TcpSegment, source: Ip, destination: Ip): Uint8Array {
  const { data = new Uint8Array() } = segment;
  const bytes = new Uint8Array(TCP_HEADER_BYTES + data.length);
  bytes.set(data, TCP_HEADER_BYTES);
  writeU16(bytes, SOURCE_PORT, segment.sourcePort);
  writeU16(bytes, DESTINATION_PORT, segment.destinationPort);
  writeU32(bytes, SEQUENCE, segment.sequence);
  writeU32(bytes, ACKNOWLEDGMENT, segment.acknowledgment);
  bytes[DATA_OFFSET] = (TCP_HEADER_BYTES / 4) << 4;
  bytes[TCP_FLAGS] = segment.flags;
  writeU16(bytes, WINDOW, segment.window);
  writeU16(bytes, URGENT, 0);
  const sum = pseudoHeaderSum(source, destination, IpProtocol.TCP, bytes.length) + wordSum(bytes);
  writeU16(bytes, TCP_CHECKSUM, foldChecksum(sum));
  return bytes;
}

/**
 * The segment that refuses another (RFC 9293 section 3.10.7.1; tcp_v4_send_reset, tcp_v6_send_response, nf_reject_ip_tcphdr_put).
 *
 * @param source of the answer, which is the refused one's destination
 */
export function tcpReset(tcp: TcpView, source: Ip, destination: Ip): Uint8Array {
  const { sourcePort, destinationPort, sequence, acknowledgment, flags, headerLength, bytes } = tcp;
  const has = (flag: number) => ((flags & flag) === 0 ? 0 : 1);
  const consumed = has(TcpFlag.SYN) + has(TcpFlag.FIN) + bytes.length - headerLength;
  const ports = { sourcePort: destinationPort, destinationPort: sourcePort, window: 0 };
  const segment =
    has(TcpFlag.ACK) === 1
      ? { ...ports, sequence: acknowledgment, acknowledgment: 0, flags: TcpFlag.RST }
      : { ...ports, sequence: 0, acknowledgment: (sequence + consumed) >>> 0, flags: TcpFlag.RST | TcpFlag.ACK };
  return tcpSegment(segment, source, destination);
}
