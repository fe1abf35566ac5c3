/**
 * How the wire formats beside this file are made, in three layers that do not mix:
 *
 *   view    `new Ipv4View(bytes)`: any bytes at all. Accessors never throw; a field that lies beyond the end reads as 0.
 *           `check()` says what is wrong with the bytes, or null, and after null no field lies beyond the end.
 *   header  `Ipv4Header`: plain values, only ever valid ones. Of ARP `parseArp` makes it from checked bytes.
 *   emit    `emitIpv4(header, bytes)`: writes every byte of the header, whatever was there before, and the checksum over
 *           the payload that already stands behind it.
 *
 * All fields are big-endian ("network order", RFC 1700).
 */

/** What `parse...` gives for bytes that are not such a packet: the first thing found wrong. */
export interface Malformed {
  readonly malformed: string;
}

export const isMalformed = (result: object): result is Malformed => "malformed" in result;

/** 16 bits at `offset`; bytes beyond the end count as 0. */
export const readU16 = (bytes: Uint8Array, offset: number): number => (bytes[offset] << 8) | bytes[offset + 1];

/** 32 bits at `offset`, unsigned; bytes beyond the end count as 0. */
export const readU32 = (bytes: Uint8Array, offset: number): number =>
  ((readU16(bytes, offset) << 16) | readU16(bytes, offset + 2)) >>> 0;

/** Writes the low 16 bits of `value`. */
export function writeU16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

/** Writes the low 32 bits of `value`. */
export function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  writeU16(bytes, offset, value >>> 16);
  writeU16(bytes, offset + 2, value);
}
