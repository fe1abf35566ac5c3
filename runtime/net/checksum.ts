/**
 * The Internet checksum (RFC 1071): the one's complement of the one's complement sum of all 16-bit words, an odd last
 * byte padded with zero. Over bytes that hold their own correct checksum the result is 0.
 */

import type { Ip } from "./ip.ts";
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

/**
 * Sum of the pseudo header that UDP, TCP and ICMPv6 prepend: source, destination, zero, protocol, length (RFC 793 section 3.1, RFC
 * 8200 section 8.1: the fields are wider in IPv6, the sum is the same).
 */
export const pseudoHeaderSum = (source: Ip, destination: Ip, protocol: number, length: number): number =>
  addressSum(source) + addressSum(destination) + protocol + length;

function addressSum(ip: Ip): number {
  if (typeof ip === "number") return (ip >>> 16) + (ip & 0xffff);
  let sum = 0;
  for (let rest = ip; rest !== 0n; rest >>= 16n) sum += Number(rest & 0xffffn);
  return sum;
}
