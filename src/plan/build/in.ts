/** Kinds of IPv4 address as conditions (k:include/linux/in.h), and the fields of an IPv4 header. */
import { and, type Expr, eq, eqz, type Operand, type Proc, packet, shl, shr } from "../ir.ts";
import { l3 } from "./skb.ts";

export const INADDR_LOOPBACK = 0x7f000001;
/** 224.0.0.1: every device that is up has joined it (k:net/ipv4/igmp.c ip_mc_up). */
export const IGMP_ALL_HOSTS = 0xe0000001;

/** 127/8. */
export const isLoopback = (address: Operand): Expr => eq(shr(address, 24), 127);
/** 224/4. */
export const isMulticast = (address: Operand): Expr => eq(shr(address, 28), 14);
/** 224.0.0/24, never forwarded. */
export const isLocalMulticast = (address: Operand): Expr => eq(shr(address, 8), 0xe00000);
export const isLbcast = (address: Operand): Expr => eq(address, 0xffffffff);
/** 0.0.0.0 alone: the rest of 0/8 is ordinary unicast since 5.3. */
export const isZeronet = (address: Operand): Expr => eqz(address);

export const IPHDR_BYTES = 20;
/** Bits of the fragment word. */
export const IP_DF = 0x4000;
const IP_MF = 0x2000;
export const IP_OFFSET = 0x1fff;

/**
 * The IPv4 header at `l3` (RFC 791 section 3.1; drawn in runtime/net/ipv4.ts), to be read under a guard of 20 bytes.
 */
export const iphdr = {
  version: shr(packet(l3, 0, 1), 4),
  /** Bytes of the header with its options. */
  length: shl(and(packet(l3, 0, 1), 15), 2),
  tos: packet(l3, 1, 1),
  totalLength: packet(l3, 2, 2),
  fragment: packet(l3, 6, 2),
  ttl: packet(l3, 8, 1),
  protocol: packet(l3, 9, 1),
  check: packet(l3, 10, 2),
  saddr: packet(l3, 12, 4),
  daddr: packet(l3, 16, 4),
} as const;

/** The TOS bits that routing looks at (IPTOS_RT_MASK). */
export const routingTos: Expr = and(iphdr.tos, 0x1c);
/** ip_is_fragment */
export const isFragment: Expr = and(iphdr.fragment, IP_MF | IP_OFFSET);

/** What a proc that reads the header asks of its callers. */
export const HEADER: Proc["requires"] = [{ cursor: l3, bytes: IPHDR_BYTES }];
