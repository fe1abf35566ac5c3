/**
 * Which thread a frame goes to: by its flow, so that a flow's packets stay in order, and both directions of one to the same thread (as
 * the kernel's __skb_get_hash_symmetric, by which AF_PACKET sockets of a PACKET_FANOUT_HASH group share what a device receives).
 *
 *   frame   Ethernet, up to two VLAN tags | IPv4 or IPv6 | TCP, UDP, UDP-Lite, SCTP, DCCP
 *   hash    mix(addresses, of both ends alike; ports, of both ends alike; protocol)
 *
 * Of a fragment, and behind IPv6 extension headers, ports are not looked at: where a flow has such packets and others, those may go to
 * another thread than these, as with the kernel's. What is not IP has hash 0.
 */
import { ETHERNET_HEADER_BYTES, EtherType, isVlan, VLAN_TAG_BYTES } from "./net/ethernet.ts";
import { IPV4_HEADER_BYTES } from "./net/ipv4.ts";
import { IPV6_HEADER_BYTES } from "./net/ipv6.ts";
import { readU16, readU32 } from "./net/wire.ts";

const MOST_TAGS = 2;
/** Protocols whose first four bytes are two ports: TCP, UDP, DCCP, SCTP, UDP-Lite. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);
/** More fragments, and the offset. */
const FRAGMENT = 0x3fff;

/**
 * @param bytes with the frame at `start`, `length` bytes of it
 * @returns 32 bits, unsigned; any bits of it are good to choose a thread by
 */
export function flowHash(bytes: Uint8Array, start = 0, length = bytes.length - start): number {
  const end = start + length;
  let ip = start + ETHERNET_HEADER_BYTES;
  const typeBefore = () => (ip <= end ? readU16(bytes, ip - 2) : 0);
  for (let tags = 0; tags < MOST_TAGS && isVlan(typeBefore()); tags++) ip += VLAN_TAG_BYTES;
  const type = typeBefore();
  if (type === EtherType.IPV4) return hash4(bytes, ip, end);
  return type === EtherType.IPV6 ? hash6(bytes, ip, end) : 0;
}

/** RFC 791 section 3.1. */
function hash4(bytes: Uint8Array, ip: number, end: number): number {
  if (ip + IPV4_HEADER_BYTES > end) return 0;
  const protocol = bytes[ip + 9];
  const isWhole = (readU16(bytes, ip + 6) & FRAGMENT) === 0;
  const ports = isWhole ? portsAt(bytes, ip + 4 * (bytes[ip] & 15), end, protocol) : 0;
  return mix(readU32(bytes, ip + 12) ^ readU32(bytes, ip + 16), ports, protocol);
}

/** RFC 8200 section 3. */
function hash6(bytes: Uint8Array, ip: number, end: number): number {
  if (ip + IPV6_HEADER_BYTES > end) return 0;
  let addresses = 0;
  for (let i = 8; i < IPV6_HEADER_BYTES; i += 4) addresses ^= readU32(bytes, ip + i);
  const protocol = bytes[ip + 6];
  return mix(addresses, portsAt(bytes, ip + IPV6_HEADER_BYTES, end, protocol), protocol);
}

function portsAt(bytes: Uint8Array, at: number, end: number, protocol: number): number {
  return WITH_PORTS.has(protocol) && at + 4 <= end ? readU16(bytes, at) ^ readU16(bytes, at + 2) : 0;
}

/** The finaliser of MurmurHash3 (A. Appleby): each bit of the input changes each of the output about half of the time. */
function mix(addresses: number, ports: number, protocol: number): number {
  let h = addresses ^ Math.imul(ports | (protocol << 16), 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
