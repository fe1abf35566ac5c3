/**
 * ICMP (RFC 792): eight bytes of header, the second word by type, then data: an echo's payload, or for errors the start
 * of the packet that caused it.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |     Type      |     Code      |          Checksum             |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |           Identifier          |        Sequence Number        |  echo
 *   |             unused            |         Next-Hop MTU          |  fragmentation needed (RFC 1191)
 *   |    Pointer    |                   unused                      |  parameter problem
 *   |                    Gateway Internet Address                   |  redirect
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |     Data ...
 */
import { checksum } from "./checksum.ts";
import { readU16, readU32, writeU16, writeU32 } from "./wire.ts";

const TYPE = 0;
const CODE = 1;
const CHECKSUM = 2;
const REST = 4;
export const ICMP_HEADER_BYTES = 8;

/** k:include/uapi/linux/icmp.h */
export const IcmpType = {
  ECHO_REPLY: 0,
  DEST_UNREACH: 3,
  SOURCE_QUENCH: 4,
  REDIRECT: 5,
  ECHO: 8,
  TIME_EXCEEDED: 11,
  PARAMETER_PROBLEM: 12,
  TIMESTAMP: 13,
  TIMESTAMP_REPLY: 14,
  ADDRESS: 17,
  ADDRESS_REPLY: 18,
} as const;

/** Codes of DEST_UNREACH. */
export const Unreachable = { NET: 0, HOST: 1, PROTOCOL: 2, PORT: 3, FRAG_NEEDED: 4, PKT_FILTERED: 13 } as const;

/** Codes of TIME_EXCEEDED. */
export const TimeExceeded = { TTL: 0, FRAGMENT_TIME: 1 } as const;

/** Of REDIRECT, the one code that Linux sends (ICMP_REDIR_HOST). */
export const REDIRECT_HOST = 1;

/** Types above this are "a mystery" to icmp_rcv, and count as errors to __icmp_send (k: NR_ICMP_TYPES). */
const NR_ICMP_TYPES = 18;
/** icmp_is_err */
export const ICMP_ERRORS: readonly number[] = [
  IcmpType.DEST_UNREACH,
  IcmpType.SOURCE_QUENCH,
  IcmpType.REDIRECT,
  IcmpType.TIME_EXCEEDED,
  IcmpType.PARAMETER_PROBLEM,
];
/** Never answered with an error (icmp_pointers[type].error); unknown types are taken for errors. */
export const isIcmpError = (type: number): boolean => ICMP_ERRORS.includes(type) || type > NR_ICMP_TYPES;

export interface IcmpMessage {
  readonly type: number;
  readonly code: number;
  /** Second word of the header: identifier << 16 | sequence, MTU, pointer << 24, gateway. */
  readonly rest: number;
  readonly data: Uint8Array;
}

/** The header that ICMP and ICMPv6 share. */
export class IcmpHeader {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get type(): number {
    return this.bytes[TYPE] | 0;
  }
  get code(): number {
    return this.bytes[CODE] | 0;
  }
  get rest(): number {
    return readU32(this.bytes, REST);
  }
  /** Of an echo. */
  get identifier(): number {
    return readU16(this.bytes, REST);
  }
  /** Of an echo. */
  get sequence(): number {
    return readU16(this.bytes, REST + 2);
  }
  get data(): Uint8Array {
    return this.bytes.subarray(ICMP_HEADER_BYTES);
  }
}

export class IcmpView extends IcmpHeader {
  /** Length and checksum over all of `bytes`. */
  check(): string | null {
    if (this.bytes.length < ICMP_HEADER_BYTES) return `${this.bytes.length} bytes hold no ICMP header`;
    return checksum(this.bytes) === 0 ? null : "bad ICMP checksum";
  }
}

/** A new message, checksum filled in. */
export function icmpMessage(message: IcmpMessage): Uint8Array {
  const bytes = new Uint8Array(ICMP_HEADER_BYTES + message.data.length);
  bytes.set(message.data, ICMP_HEADER_BYTES);
  bytes[TYPE] = message.type;
  bytes[CODE] = message.code;
  writeU32(bytes, REST, message.rest);
  writeU16(bytes, CHECKSUM, checksum(bytes));
  return bytes;
}
