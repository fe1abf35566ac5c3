/**
 * IPv6 addresses in the plan, and the IPv6 header.
 *
 * An IPv6 address is the offset in memory of its 16 bytes, as on the wire: in the packet (under a guard of its header), in a
 * record of the image, or in the slot's headroom. So it fits one register, tables and neighbours are searched by it as it is, and
 * comparing two takes two loads each. Halves are compared as they lie: constants are swapped when the plan is built.
 *
 *   fe80::/10    half 0 & 0x000000000000c0ff == 0x00000000000080fe
 */

import { IMAGE } from "../../../../runtime/abi/image.ts";
import { LABELS, LINK_LOCAL, ORCHID, Scope6, SITE_LOCAL, V4MAPPED } from "../../../../runtime/net/in6.ts";
import { mask6, type Prefix } from "../../../../runtime/net/ip.ts";
import { IPV6_HEADER_BYTES } from "../../../../runtime/net/ipv6.ts";
import {
  add,
  and,
  type Expr,
  eq,
  eqz,
  i32,
  i64,
  load,
  type Operand,
  or,
  type Proc,
  packet,
  put,
  type Reg,
  type Step,
  select,
  shr,
  store,
  unary,
  xor,
} from "../../ir.ts";
import { l3 } from "../skb.ts";

/** The unspecified address, `::`. */
export const IN6ADDR_ANY = IMAGE.any;
/** `::1`. */
export const IN6ADDR_LOOPBACK = IMAGE.loopback;

/** The eight bytes at 0 or 8 of an address, as they lie. */
const half = (address: Operand, at: 0 | 8): Expr => load("image", 8, address, at);
/** The four bytes at 0, 4, 8 or 12 of an address, as a number. */
export const word6 = (address: Operand, at: number): Expr => unary("bswap32", load("image", 4, address, at));
/** An address for a trace: four words. */
export const words6 = (address: Operand): Expr[] => [0, 4, 8, 12].map((at) => word6(address, at));

/** A number of 64 bits as a load of its eight bytes on the wire gives it. */
function asItLies(value: bigint): Expr {
  let swapped = 0n;
  for (let i = 0n; i < 64n; i += 8n) swapped = (swapped << 8n) | ((value >> i) & 0xffn);
  return i64(swapped);
}

const halvesOf = (value: bigint): readonly [bigint, bigint] => [value >> 64n, value & 0xffff_ffff_ffff_ffffn];

/** i64, not zero when the addresses differ. */
const difference = (a: Operand, b: Operand): Expr => or(xor(half(a, 0), half(b, 0)), xor(half(a, 8), half(b, 8)));

export const ipv6AddrAny = (address: Operand): Expr => eqz(or(half(address, 0), half(address, 8)));
export const ipv6AddrEqual = (a: Operand, b: Operand): Expr => eqz(difference(a, b));

/** ipv6_prefix_equal */
export function ipv6PrefixEqual(address: Operand, { address: network, length }: Prefix): Expr {
  const masks = halvesOf(mask6(length));
  const halves = halvesOf(network as bigint);
  const tests = ([0, 8] as const).flatMap((at, i) => {
    if (masks[i] === 0n) return [];
    const whole = masks[i] === 0xffff_ffff_ffff_ffffn;
    const value = whole ? half(address, at) : and(half(address, at), asItLies(masks[i]));
    return [eq(value, asItLies(halves[i]))];
  });
  return tests.length === 0 ? i32(1) : tests.reduce(and);
}

/** Not IPV6_ADDR_UNICAST. */
export const ipv6AddrNotUnicast = (address: Operand): Expr =>
  or(or(ipv6AddrAny(address), ipv6AddrIsMulticast(address)), ipv6PrefixEqual(address, V4MAPPED));

const LOOPBACK: Prefix = { address: 1n, length: 128 };

export const ipv6AddrIsMulticast = (address: Operand): Expr => eq(load("image", 1, address), 0xff);
/** Of a multicast address: its four scope bits (RFC 4291 section 2.7). */
export const multicastScope = (address: Operand): Expr => and(load("image", 1, address, 1), 0xf);
export const ipv6AddrIsLinklocal = (address: Operand): Expr => ipv6PrefixEqual(address, LINK_LOCAL);
export const ipv6AddrLoopback = (address: Operand): Expr => ipv6PrefixEqual(address, LOOPBACK);
/** Multicast, link-local, loopback: the device counts. 1 or 0. */
export const rt6NeedStrict = (address: Operand): Expr =>
  or(or(ipv6AddrIsMulticast(address), ipv6AddrIsLinklocal(address)), ipv6AddrLoopback(address));

/** Scope6, or for a multicast address its four scope bits. */
export function ipv6AddrSrcScope(address: Operand): Expr {
  const linkLocal = or(ipv6AddrIsLinklocal(address), ipv6AddrLoopback(address));
  const siteOrGlobal = select(ipv6PrefixEqual(address, SITE_LOCAL), Scope6.SITELOCAL, Scope6.GLOBAL);
  const unicast = select(ipv6AddrAny(address), 0, select(linkLocal, Scope6.LINKLOCAL, siteOrGlobal));
  return select(ipv6AddrIsMulticast(address), multicastScope(address), unicast);
}

/** The label of the first prefix that holds the address. */
export const ipv6AddrLabel = (address: Operand): Expr =>
  LABELS.reduceRight(
    (otherwise, [labelled, label]) => select(ipv6PrefixEqual(address, labelled), label, otherwise),
    i32(0),
  );

export const ipv6AddrOrchid = (address: Operand): Expr => ipv6PrefixEqual(address, ORCHID);

/** How many leading bits two addresses share. A word without a difference has 32 leading zeros. */
export function ipv6AddrDiff(a: Operand, b: Operand): Expr {
  const same = (at: number): Expr => unary("clz", xor(word6(a, at), word6(b, at)));
  return [8, 4, 0].reduce((rest, at) => select(eq(same(at), 32), add(32, rest), same(at)), same(12));
}

/** Copies an address to `to` + `at`, in a slot's headroom. */
export const storeAddress = (to: Operand, at: number, address: Operand): Step[] =>
  ([0, 8] as const).map((part) => store("batch", 8, to, at + part, half(address, part)));

/** Writes an address into the packet. */
export const putAddress = (cursor: Reg, at: number, address: Operand): Step[] =>
  [0, 4, 8, 12].map((part) => put(cursor, at + part, 4, word6(address, part)));

/** Of the header's addresses. */
export const IPV6HDR_SADDR = 8;
export const IPV6HDR_DADDR = 24;

/** The IPv6 header at `l3` (RFC 8200 section 3), to be read under a guard of 40 bytes; `saddr` and `daddr` are offsets of addresses. */
export const ipv6hdr = {
  version: shr(packet(l3, 0, 1), 4),
  /** Traffic class: DSCP and ECN. */
  tclass: and(shr(packet(l3, 0, 2), 4), 0xff),
  flowlabel: and(packet(l3, 0, 4), 0xfffff),
  payloadLength: packet(l3, 4, 2),
  nexthdr: packet(l3, 6, 1),
  hopLimit: packet(l3, 7, 1),
  saddr: add(l3, IPV6HDR_SADDR),
  daddr: add(l3, IPV6HDR_DADDR),
} as const;

/** The traffic class bits that routing looks at: not ECN. */
export const routingTclass: Expr = and(ipv6hdr.tclass, 0xfc);

/** What a proc that reads the header asks of its callers. */
export const HEADER6: Proc["requires"] = [{ cursor: l3, bytes: IPV6_HEADER_BYTES }];
