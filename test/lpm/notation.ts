/** Addresses and prefixes as the tests write them; independent of the project's own parser. */
import { isIPv6 } from "node:net";
import type { Ip, Prefix } from "../../runtime/net/ip.ts";

export function parseIp(text: string): Ip {
  if (!isIPv6(text)) return text.split(".").reduce((ip, octet) => ip * 256 + Number(octet), 0);
  const [head, tail] = text.split("::").map((half) => half.split(":").filter((group) => group !== ""));
  const groups = [...head, ...Array<string>(8 - head.length - (tail?.length ?? 0)).fill("0"), ...(tail ?? [])];
  return groups.reduce((ip, group) => (ip << 16n) | BigInt(`0x${group}`), 0n);
}

export function parsePrefix(text: string): Prefix {
  const [address, length] = text.split("/");
  return { address: parseIp(address), length: Number(length) };
}
