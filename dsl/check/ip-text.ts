/** Addresses and prefixes of bulk files: one pass, no allocation beyond the value. Undefined for anything else. */
import type { Ip, Prefix } from "../../runtime/net/ip.ts";
import { bitsOf, familyOf } from "../../runtime/net/ip.ts";

/** `a.b.c.d`, each part decimal, 0 to 255, no leading zero. */
export function parseIpv4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let value = 0;
  for (const part of match.slice(1)) {
    if (Number(part) > 255 || (part.length > 1 && part.startsWith("0"))) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

/** RFC 4291 section 2.2: eight groups, one run of zeros as `::`, the last 32 bits possibly dotted. */
export function parseIpv6(text: string): bigint | undefined {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted !== null) {
    const low = parseIpv4(dotted[2]);
    if (low === undefined) return undefined;
    return parseIpv6(`${dotted[1]}${(low >>> 16).toString(16)}:${(low & 0xffff).toString(16)}`);
  }
  const halves = text.split("::");
  if (halves.length > 2 || !text.includes(":")) return undefined;
  const [head, tail] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array<string>(tail === undefined ? 0 : missing).fill("0"), ...(tail ?? [])];
  if (!groups.every((g) => /^[0-9a-fA-F]{1,4}$/.test(g))) return undefined;
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

export const parseIp = (text: string): Ip | undefined => parseIpv4(text) ?? parseIpv6(text);

/** `ADDRESS` or `ADDRESS/LENGTH`; a lone address is the longest prefix of its family. */
export function parsePrefix(text: string): Prefix | undefined {
  const [ip, bits, ...rest] = text.split("/");
  const address = parseIp(ip);
  if (address === undefined || rest.length > 0) return undefined;
  const most = bitsOf(familyOf(address));
  if (bits === undefined) return { address, length: most };
  const length = /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  return length <= most ? { address, length } : undefined;
}
