/**
 * The Internet checksum (RFC 1071): the one's complement of the one's complement sum of all 16-bit words, an odd last
 * byte padded with zero. Over bytes that hold their own correct checksum the result is 0.
 */

import type { Ipv4 } from "./ip.ts";
import { readU16 } from "./wire.ts";

/**
 * Unfolded sum of the words of `bytes`; sums of parts may be added when all but the last part have even length.
 * Exact for any packet: 2^16 words of 16 bits stay far below 2^53.
 */
export function wordSum(bytes: Uint8Array): number {
  let sum = 0;
  const even = bytes.length & ~1;
  for (let i = 0; i < even; i += 2) sum += readU16(bytes, i);
  return bytes.length === even ? sum : sum + (bytes[even] << 8);
}

/** Folds the carries back in and complements: 0x2ddf0 -> 0xddf0 + 2 = 0xddf2 -> 0x220d (the example of RFC 1071). */
export function foldChecksum(sum: number): number {
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

export const checksum = (bytes: Uint8Array): number => foldChecksum(wordSum(bytes));

/** Sum of the pseudo header that UDP and TCP prepend: source, destination, zero, protocol, length (RFC 793 section 3.1). */
export const pseudoHeaderSum = (source: Ipv4, destination: Ipv4, protocol: number, length: number): number =>
  (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + protocol + length;
