/**
 * What a base chain knows of a packet before its first rule: its L4 protocol and where that header starts.
 * k:include/net/netfilter/nf_tables_ipv4.h nft_set_pktinfo_ipv4, nft_set_pktinfo_ipv4_validate; nf_tables_ipv6.h
 * nft_set_pktinfo_ipv6, nft_set_pktinfo_ipv6_validate; net/ipv6/exthdrs_core.c ipv6_find_hdr.
 */

import { EtherType } from "../../../../runtime/net/ethernet.ts";
import { IpProtocol } from "../../../../runtime/net/ipv4.ts";
import { IPV6_HEADER_BYTES, NextHeader } from "../../../../runtime/net/ipv6.ts";
import type { View } from "../../../netfilter/view.ts";
import {
  add,
  and,
  call,
  type Expr,
  eq,
  eqz,
  gt,
  guard,
  local,
  lt,
  ne,
  type Operand,
  or,
  type Proc,
  packet,
  repeat,
  ret,
  run,
  type Step,
  select,
  set,
  shl,
  shr,
  sub,
  tail,
  when,
} from "../../ir.ts";
import { proc } from "../context.ts";
import { HEADER, IP_OFFSET, IPHDR_BYTES, iphdr } from "../in.ts";
import { HEADER6, ipv6hdr } from "../ipv6/in6.ts";
import { l3, mac } from "../skb.ts";
import { macHeader, NO_L4PROTO, NOWHERE, protocol, thoff, thoffAny, tprot } from "./registers.ts";

const SET_IPV4 = "nft_set_pktinfo_ipv4";
const SET_IPV6 = "nft_set_pktinfo_ipv6";
const SET_NETDEV = "nft_set_pktinfo_netdev";

/** Sets `tprot` and `thoff`. */
export function setPktinfo(view: View): Step[] {
  const set_ = run(view === "ip" ? SET_IPV4 : view === "ip6" ? SET_IPV6 : SET_NETDEV);
  // Of fragments but the first ipv6_find_hdr finds no header, and leaves the offset at the start of what the hook sees.
  const start = [set(thoffAny, mac)];
  if (view === "egress" || view === "xdp") return [set_, when(eq(thoffAny, l3), start)];
  return view === "tc" ? [set_, when(and(eq(thoffAny, l3), macHeader), start)] : [set_];
}

/** The same of a frame with an IPv4 header without options, or an IPv6 header without extension headers. */
export const setPktinfoPlain = (not: readonly Step[]): Step[] => [
  when(
    eq(protocol, EtherType.IPV4),
    [
      guard(l3, IPHDR_BYTES, not),
      set(tprot, iphdr.protocol),
      set(thoffAny, add(l3, IPHDR_BYTES)),
      set(thoff, select(and(iphdr.fragment, IP_OFFSET), NOWHERE, thoffAny)),
    ],
    [
      guard(l3, IPV6_HEADER_BYTES, not),
      set(tprot, ipv6hdr.nexthdr),
      set(thoffAny, add(l3, IPV6_HEADER_BYTES)),
      set(thoff, thoffAny),
    ],
  ),
];

/** nft_set_pktinfo_unspec */
const unspec: Step[] = [set(tprot, NO_L4PROTO), set(thoff, NOWHERE), set(thoffAny, NOWHERE)];

/** `requires` a header of 20 bytes; one whose options are longer than the packet has no transport header. */
export function nftSetPktinfoIpv4(): Proc {
  const body: Step[] = [
    set(tprot, iphdr.protocol),
    set(thoffAny, add(l3, iphdr.length)),
    set(thoff, select(and(iphdr.fragment, IP_OFFSET), NOWHERE, thoffAny)),
    ret(),
  ];
  return proc(SET_IPV4, { comment: "nft_set_pktinfo_ipv4 (nf_tables_ipv4.h)", requires: HEADER }, body);
}

export const NEXTHDR = {
  HOP: NextHeader.HOP,
  ROUTING: 43,
  FRAGMENT: 44,
  AUTH: IpProtocol.AH,
  NONE: 59,
  DEST: 60,
} as const;

/** ipv6_ext_hdr; 59, "none", is one too. */
export const isExtension = (nexthdr: Operand): Expr => {
  const { HOP, ROUTING, FRAGMENT, AUTH, DEST } = NEXTHDR;
  return [HOP, ROUTING, FRAGMENT, AUTH, NEXTHDR.NONE, DEST].map((one) => eq(nexthdr, one)).reduce(or);
};
/** Extension headers behind which nft_set_pktinfo_ipv6 looks for the transport's. */
export const isSkipped = (nexthdr: Operand): Expr => {
  const { HOP, ROUTING, FRAGMENT, DEST } = NEXTHDR;
  return [HOP, ROUTING, FRAGMENT, DEST].map((one) => eq(nexthdr, one)).reduce(or);
};
/** A header that nothing follows: not an extension, or "none". */
const endsChain = (nexthdr: Operand): Expr => or(eqz(isExtension(nexthdr)), eq(nexthdr, NEXTHDR.NONE));

const at = local("at");
const nexthdr = local("nexthdr");
const bytes = local("bytes");

/** Every header takes 8 bytes at least. */
export const mostHeaders = add(shr(sub(tail, l3), 3), 1);

/** Bytes of the extension header at `at`. */
const headerBytes = (ah: Operand): Expr => select(eq(nexthdr, NEXTHDR.AUTH), ah, shl(add(packet(at, 1, 1), 1), 3));
const ipv6Authlen = shl(add(packet(at, 1, 1), 2), 2);

/** On to the next header; `otherwise` when this one is not all there. */
const advance = (otherwise: readonly Step[]): Step[] => [
  when(lt(sub(tail, at), bytes), otherwise),
  set(nexthdr, packet(at, 0, 1)),
  set(at, add(at, bytes)),
];

/** ipv6_find_hdr with target -1 and IP6_FH_F_AUTH: the first header that is no extension, or the authentication header. */
export function nftSetPktinfoIpv6(): Proc {
  const none = [ret()];
  const inner = packet(at, 0, 1);
  const found = [set(tprot, nexthdr), set(thoff, at), set(thoffAny, at), ret()];
  const body: Step[] = [
    ...unspec,
    set(at, add(l3, IPV6_HEADER_BYTES)),
    set(nexthdr, ipv6hdr.nexthdr),
    repeat(
      mostHeaders,
      "headers",
      [
        when(endsChain(nexthdr), found),
        guard(at, 2, none),
        when(eq(nexthdr, NEXTHDR.ROUTING), [guard(at, 4, none)]),
        when(eq(nexthdr, NEXTHDR.AUTH), found),
        set(bytes, shl(add(packet(at, 1, 1), 1), 3)),
        when(eq(nexthdr, NEXTHDR.FRAGMENT), [
          guard(at, 4, none),
          when(and(packet(at, 2, 2), FRAGMENT_OFFSET), [
            when(endsChain(inner), [set(tprot, inner), set(thoffAny, l3)]),
            ret(),
          ]),
          set(bytes, 8),
        ]),
        ...advance(none),
      ],
      "headers",
    ),
    ret(),
  ];
  return proc(SET_IPV6, { comment: "nft_set_pktinfo_ipv6 (nf_tables_ipv6.h)", requires: HEADER6 }, body);
}

const FRAGMENT_OFFSET = 0xfff8;

/** At the hooks of a device the header is checked first. */
export function nftSetPktinfoNetdev(): Proc {
  const rest = sub(tail, l3);
  const body: Step[] = [
    ...unspec,
    when(eq(protocol, EtherType.IPV4), [
      guard(l3, IPHDR_BYTES, [ret()]),
      when(or(lt(iphdr.length, IPHDR_BYTES), ne(iphdr.version, 4)), [ret()]),
      when(or(lt(rest, iphdr.totalLength), lt(iphdr.totalLength, iphdr.length)), [ret()]),
      run(SET_IPV4),
      ret(),
    ]),
    when(eq(protocol, EtherType.IPV6), [
      guard(l3, IPV6_HEADER_BYTES, [ret()]),
      when(ne(ipv6hdr.version, 6), [ret()]),
      when(gt(add(ipv6hdr.payloadLength, IPV6_HEADER_BYTES), rest), [ret()]),
      run(SET_IPV6),
      ret(),
    ]),
    ret(),
  ];
  const comment = "nft_set_pktinfo_ipv4_validate, nft_set_pktinfo_ipv6_validate";
  return proc(SET_NETDEV, { comment }, body);
}

const FIND = "ipv6_find_hdr";
const target = local("target");

/** The header of this number among the extension headers (or the transport header): a cursor, 0 when there is none. */
export const ipv6FindHdr = (number: number): Expr => call(FIND, [number]);

export function ipv6FindHdrProc(): Proc {
  const none = [ret(0)];
  const body: Step[] = [
    set(at, add(l3, IPV6_HEADER_BYTES)),
    set(nexthdr, ipv6hdr.nexthdr),
    repeat(
      mostHeaders,
      "headers",
      [
        when(endsChain(nexthdr), [ret(select(eq(nexthdr, target), at, 0))]),
        guard(at, 2, none),
        when(eq(nexthdr, NEXTHDR.ROUTING), [guard(at, 4, none)]),
        when(eq(nexthdr, NEXTHDR.FRAGMENT), [guard(at, 4, none)]),
        when(eq(nexthdr, target), [ret(at)]),
        set(bytes, headerBytes(ipv6Authlen)),
        when(eq(nexthdr, NEXTHDR.FRAGMENT), [
          guard(at, 4, none),
          when(and(packet(at, 2, 2), FRAGMENT_OFFSET), none),
          set(bytes, 8),
        ]),
        ...advance(none),
      ],
      "headers",
    ),
    ret(0),
  ];
  const comment = "ipv6_find_hdr (net/ipv6/exthdrs_core.c)";
  return proc(FIND, { comment, params: [target], result: "i32", requires: HEADER6 }, body);
}
