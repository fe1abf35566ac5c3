/**
 * IPv4 rule sets with IPv6 addresses in place of theirs: nested as they were, so that every packet comes to the same rule. Networks become
 * sites of 2001:db8::/32, a /24 a subnet, and hosts have their last byte, as servers that are numbered by hand:
 *
 *   10.1.0.0/16    2001:db8:a01::/48           10.1.2.0/24    2001:db8:a01:2::/64
 *   10.0.0.0/8     2001:db8:a00::/40           10.1.2.3/32    2001:db8:a01:2::3/128
 */
import type { Ipv6 } from "../../runtime/net/ip.ts";

const SITE = 0x20010db8n << 96n;

export const mapped6 = (address: number): Ipv6 =>
  SITE | (BigInt(address >>> 16) << 80n) | (BigInt((address >>> 8) & 0xff) << 64n) | BigInt(address & 0xff);

export function length6(length: number): number {
  if (length === 0) return 0;
  return length + (length <= 16 ? 32 : length <= 24 ? 40 : 96);
}

/** Its u32s, the first one first. */
export const words6 = (address: Ipv6): number[] =>
  [96n, 64n, 32n, 0n].map((shift) => Number((address >> shift) & 0xffffffffn));
