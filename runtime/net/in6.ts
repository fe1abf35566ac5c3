/**
 * Kinds and scopes of IPv6 addresses.
 * k:net/ipv6/addrconf_core.c __ipv6_addr_type, include/net/ipv6.h __ipv6_addr_src_scope, net/ipv6/addrlabel.c.
 */
import { inPrefix, type Prefix, parseIp } from "./ip.ts";

/** IPV6_ADDR_SCOPE_*: the four scope bits of a multicast address (RFC 4291 section 2.7), larger is farther. */
export const Scope6 = { LINKLOCAL: 0x2, SITELOCAL: 0x5, GLOBAL: 0xe } as const;

const prefix = (text: string): Prefix => {
  const [address, length] = text.split("/");
  return { address: parseIp(address)!, length: Number(length) };
};

/** IPv4-mapped, ::ffff:0:0/96. */
export const V4MAPPED: Prefix = { address: 0xffffn << 32n, length: 96 };
export const LINK_LOCAL = prefix("fe80::/10");
export const SITE_LOCAL = prefix("fec0::/10");
export const IN6ADDR_LOOPBACK = 1n;

export const ipv6_addr_is_multicast = (address: bigint): boolean => address >> 120n === 0xffn;
/** IPV6_ADDR_UNICAST: an IPv4-mapped address is none. */
export const ipv6_addr_is_unicast = (address: bigint): boolean =>
  address !== 0n && !ipv6_addr_is_multicast(address) && !inPrefix(V4MAPPED, address);
export const ipv6_addr_is_linklocal = (address: bigint): boolean => inPrefix(LINK_LOCAL, address);

export const ipv6_addr_loopback = (address: bigint): boolean => address === IN6ADDR_LOOPBACK;

/** IPV6_ADDR_MC_SCOPE: the scope bits of a multicast address. */
export const ipv6_addr_mc_scope = (address: bigint): number => Number((address >> 112n) & 0xfn);
/** Scopes that do not leave a node. */
export const MulticastScope = { RESERVED: 0, NODELOCAL: 1 } as const;

/** Multicast of interface scope counts as loopback, of link scope as link-local; both are multicast anyway. */
export const rt6_need_strict = (address: bigint): boolean =>
  ipv6_addr_is_multicast(address) || ipv6_addr_is_linklocal(address) || ipv6_addr_loopback(address);

export function ipv6_addr_src_scope(address: bigint): number {
  if (address === 0n) return 0;
  if (ipv6_addr_is_multicast(address)) return ipv6_addr_mc_scope(address);
  if (ipv6_addr_is_linklocal(address) || ipv6_addr_loopback(address)) return Scope6.LINKLOCAL;
  return inPrefix(SITE_LOCAL, address) ? Scope6.SITELOCAL : Scope6.GLOBAL;
}

/** Overlay routable cryptographic hash identifiers (RFC 4843). */
export const ORCHID = prefix("2001:10::/28");
export const ipv6_addr_orchid = (address: bigint): boolean => inPrefix(ORCHID, address);

/** The kernel's policy table, longest prefix first; 6to4 and ULA have other labels than in RFC 6724 section 2.1. */
export const LABELS: readonly (readonly [Prefix, number])[] = [
  [prefix("::1/128"), 0],
  [prefix("::/96"), 3],
  [prefix("::ffff:0:0/96"), 4],
  [prefix("2001::/32"), 6],
  [prefix("2001:10::/28"), 7],
  [prefix("3ffe::/16"), 12],
  [prefix("2002::/16"), 2],
  [prefix("fec0::/10"), 11],
  [prefix("fc00::/7"), 5],
  [prefix("::/0"), 1],
];

export const ipv6_addr_label = (address: bigint): number =>
  LABELS.find(([labelled]) => inPrefix(labelled, address))![1];

/** How many leading bits two addresses share. */
export function ipv6_addr_diff(a: bigint, b: bigint): number {
  const difference = a ^ b;
  return difference === 0n ? 128 : 128 - difference.toString(2).length;
}
