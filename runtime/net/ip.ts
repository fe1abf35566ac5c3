/**
 * IP addresses and prefixes as small comparable values.
 *
 * An IPv4 address is a `number` (unsigned, 0 .. 2^32-1), an IPv6 address a `bigint` (0n .. 2^128-1n), both in host
 * order, so `typeof` tells the family, `===` compares, and masks are plain arithmetic. This is the one place that
 * knows about unsigned comparison of 32-bit values.
 */
export type Family = 4 | 6;
export type Ipv4 = number;
export type Ipv6 = bigint;
export type Ip = Ipv4 | Ipv6;

/** An address and a prefix length; `address` has no bits set beyond `length` when it names a network. */
export interface Prefix {
  readonly address: Ip;
  /** 0 .. 32 (IPv4) or 0 .. 128 (IPv6), in bits. */
  readonly length: number;
}

export const familyOf = (ip: Ip): Family => (typeof ip === "number" ? 4 : 6);
export const bitsOf = (family: Family): 32 | 128 => (family === 4 ? 32 : 128);

/** `mask4(24)` is 0xffffff00; `mask4(0)` is 0. */
export const mask4 = (length: number): number => (length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0);
export const mask6 = (length: number): bigint => ((1n << BigInt(length)) - 1n) << BigInt(128 - length);

/** The network part: bits beyond `length` cleared. */
export function network(ip: Ip, length: number): Ip {
  return typeof ip === "number" ? (ip & mask4(length)) >>> 0 : ip & mask6(length);
}

/** Length of the prefix that an inclusive range of values of `bits` width is; null: it is none. */
export function prefixLength({ first, last }: { readonly first: Ip; readonly last: Ip }, bits: number): number | null {
  const [low, high] = [BigInt(first), BigInt(last)];
  const size = high - low + 1n;
  if ((size & (size - 1n)) !== 0n || low % size !== 0n) return null;
  return bits - (size.toString(2).length - 1);
}

/** True when `ip` is of the prefix's family and inside it. */
export function inPrefix(prefix: Prefix, ip: Ip): boolean {
  return typeof prefix.address === typeof ip && network(ip, prefix.length) === network(prefix.address, prefix.length);
}

/** Last address of the prefix: the subnet's broadcast address for IPv4. */
export function lastAddress(prefix: Prefix): Ip {
  const { address, length } = prefix;
  return typeof address === "number" ? (address | ~mask4(length)) >>> 0 : address | (mask6(128) ^ mask6(length));
}

export function formatIp(ip: Ip): string {
  if (typeof ip === "number") return `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
  return formatIpv6(ip);
}

/** As ss(8) writes it: `10.0.0.1:80`, `[2001:db8::1]:80`, and `*:80` where no address (null) is said. */
export function formatEndpoint(address: Ip | null, port: number): string {
  if (address === null) return `*:${port}`;
  return typeof address === "number" ? `${formatIp(address)}:${port}` : `[${formatIp(address)}]:${port}`;
}

export const formatPrefix = (prefix: Prefix): string => `${formatIp(prefix.address)}/${prefix.length}`;

/** RFC 5952: lower case, the longest run of two or more zero groups (the first of equals) as `::`, `::ffff:a.b.c.d`. */
function formatIpv6(ip: Ipv6): string {
  if (ip >> 32n === 0xffffn) return `::ffff:${formatIp(Number(ip & 0xffffffffn))}`;
  const groups = Array.from({ length: 8 }, (_, i) => Number((ip >> BigInt(112 - 16 * i)) & 0xffffn));
  let best = { start: -1, length: 1 };
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === 0) n++;
    if (n > best.length) best = { start: i, length: n };
  }
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((g) => g.toString(16))
      .join(":");
  if (best.start < 0) return hex(0, 8);
  return `${hex(0, best.start)}::${hex(best.start + best.length, 8)}`;
}

/** The address at `offset`, in network order, 4 bytes. */
export function readIpv4(bytes: Uint8Array, offset: number): Ipv4 {
  return ((bytes[offset] << 24) | (bytes[offset + 1] << 16) | (bytes[offset + 2] << 8) | bytes[offset + 3]) >>> 0;
}

/** The address at `offset`, in network order, 16 bytes. */
export function readIpv6(bytes: Uint8Array, offset: number): Ipv6 {
  let value = 0n;
  for (let i = 0; i < 16; i++) value = (value << 8n) | BigInt(bytes[offset + i]);
  return value;
}

export function writeIpv4(bytes: Uint8Array, offset: number, ip: Ipv4): void {
  bytes[offset] = ip >>> 24;
  bytes[offset + 1] = ip >>> 16;
  bytes[offset + 2] = ip >>> 8;
  bytes[offset + 3] = ip;
}

export function writeIpv6(bytes: Uint8Array, offset: number, ip: Ipv6): void {
  for (let i = 15; i >= 0; i--) {
    bytes[offset + i] = Number(ip & 255n);
    ip >>= 8n;
  }
}

/** Order for sorting: IPv4 before IPv6, then numeric. */
export function compareIp(a: Ip, b: Ip): number {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Strict: dotted decimal without leading zeros, or RFC 4291 section 2.2 (with `::` and a dotted tail), nothing around it,
 * no zone. @returns null for anything else
 */
export function parseIp(text: string): Ip | null {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

const DECIMAL_OCTET = /^(?:0|[1-9]\d{0,2})$/;

function parseIpv4(text: string): Ipv4 | null {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  let value = 0;
  for (const part of parts) {
    if (!DECIMAL_OCTET.test(part) || Number(part) > 255) return null;
    value = value * 256 + Number(part);
  }
  return value;
}

function parseIpv6(text: string): Ipv6 | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const [head, tail] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const last = tail ?? head;
  const dotted = last.at(-1)?.includes(".") ? parseIpv4(last.pop() as string) : undefined;
  if (dotted === null) return null;
  if (dotted !== undefined) last.push((dotted >>> 16).toString(16), (dotted & 0xffff).toString(16));
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const groups = [...head, ...Array<string>(missing).fill("0"), ...(tail ?? [])];
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return null;
  return groups.reduce((value, group) => (value << 16n) | BigInt(Number.parseInt(group, 16)), 0n);
}
