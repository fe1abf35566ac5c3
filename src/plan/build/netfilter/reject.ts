/**
 * `reject`: what the sender is told of a packet that is dropped. net/netfilter/nft_reject_netdev.c of what a device's chain rejects;
 * k:net/ipv4/netfilter/nf_reject_ipv4.c nf_send_unreach, nf_send_reset; net/ipv6/netfilter/nf_reject_ipv6.c nf_send_unreach6,
 * nf_send_reset6; net/netfilter/utils.c nf_ip_checksum, nf_ip6_checksum.
 *
 *   nft_reject.N.VIEW(result) : i32         1: the packet has got its verdict; 0: nobody is told, it is dropped
 *
 * A chain says with its result what is to be told, and the hook tells it: of a copy of a multicast nobody is told.
 * The look-up of the way back takes the registers of flow and result, which the packet needs no more.
 */

import type { ChainId, Reject } from "../../../../dsl/chain-model.ts";
import { TraceEvent } from "../../../../runtime/abi/trace.ts";
import { PacketFlag } from "../../../../runtime/batch.ts";
import { ETHERNET_HEADER_BYTES, EtherType } from "../../../../runtime/net/ethernet.ts";
import { IcmpType } from "../../../../runtime/net/icmp.ts";
import { Icmp6Type } from "../../../../runtime/net/icmp6.ts";
import { IpProtocol } from "../../../../runtime/net/ipv4.ts";
import { IPV6_HEADER_BYTES } from "../../../../runtime/net/ipv6.ts";
import { RouteTypeCode } from "../../../../runtime/net/route-types.ts";
import { TCP_FLAGS, TCP_HEADER_BYTES, TcpFlag } from "../../../../runtime/net/tcp.ts";
import { UNSUMMED } from "../../../../runtime/net/verify-csum.ts";
import { DropReason, Verdict } from "../../../../runtime/verdict.ts";
import { reached, stepsOf } from "../../../netfilter/reach.ts";
import type { View } from "../../../netfilter/view.ts";
import {
  add,
  and,
  binary,
  call,
  type Expr,
  eq,
  eqz,
  expr,
  ge,
  guard,
  i64,
  leave,
  local,
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
  trace,
  unary,
  when,
} from "../../ir.ts";
import {
  type Context,
  callNet,
  ICMP_SEND,
  ICMPV6_SEND,
  ifindexOf,
  ifindexOrZero,
  proc,
  readColumn,
  writeColumn,
} from "../context.ts";
import { loopbackDev } from "../dst.ts";
import { lookupKind } from "../fib_rules.ts";
import { flowi4 } from "../flow.ts";
import { HEADER, IP_OFFSET, iphdr } from "../in.ts";
import { HEADER6, IN6ADDR_ANY, ipv6AddrNotUnicast, ipv6hdr, words6 } from "../ipv6/in6.ts";
import { l3mdevMaster } from "../l3mdev.ts";
import { DstInput, dev, dstDev, dstInput, dstType, l3, mac } from "../skb.ts";
import { writeExtent } from "../verdict.ts";
import { isExtension, mostHeaders, NEXTHDR } from "./pktinfo.ts";
import { macHeader, NO_L4PROTO, sending, skBound, thoff, tprot } from "./registers.ts";

/** What a chain's proc returns for `reject`: REJECT with the code of the ICMP error, or RESET. */
export const REJECT = 0x100;
const RESET = 0x200;
/** A device's chain has packets of both families: the code of ICMPv6 stands above. */
const CODE6_SHIFT = 16;

/** null: nothing is said in packets of this view. */
export function rejectResult({ icmp, icmp6, tcpReset }: Reject, view: View): number | null {
  if (tcpReset) return RESET;
  if (view === "ingress") return REJECT | (icmp ?? 0) | ((icmp6 ?? 0) << CODE6_SHIFT);
  const code = view === "ip6" ? icmp6 : icmp;
  return code === null ? null : REJECT | code;
}

export const rejects = ({ net: { netfilter } }: Context, chain: ChainId): boolean =>
  stepsOf(reached(netfilter, [chain])).some(({ kind }) => kind === "reject");

const result = local("result");

/** 1 when the sender was told. */
export const nftReject = (context: Context, view: View, result: Operand): Expr =>
  callNet(context, `nft_reject.${view}`, result);

/** What each view needs. */
export function rejectProcs(context: Context): Proc[] {
  const families = context.net.netfilter.hooks.filter(({ chains }) => chains.some((chain) => rejects(context, chain)));
  return [
    ...(families.some(({ family }) => family === null) ? [nftRejectNetdev(context)] : []),
    ...(families.some(({ family }) => family === 4)
      ? [rejectProc(context, "ip"), nfSendUnreach(context), nfSendReset(context), nfRejectFillSkbDst(context)]
      : []),
    ...(families.some(({ family }) => family === 6)
      ? [rejectProc(context, "ip6"), nfSendUnreach6(context), nfSendReset6(context), nfReject6FillSkbDst(context)]
      : []),
  ];
}

const requiresOf = (view: View): Proc["requires"] => (view === "ip6" ? HEADER6 : HEADER);

function rejectProc(context: Context, view: "ip" | "ip6"): Proc {
  const version = view === "ip6" ? "6" : "";
  const body: Step[] = [
    when(eq(result, RESET), [ret(callNet(context, `nf_send_reset${version}`))]),
    ret(callNet(context, `nf_send_unreach${version}`, and(result, 0xff))),
  ];
  const comment = "nft_reject_inet_eval (net/netfilter/nft_reject_inet.c)";
  const options = { comment, params: [result], result: "i32" as const, requires: requiresOf(view) };
  return proc(context.name(`nft_reject.${view}`), options, body);
}

/** Nobody is told of a frame to a group, of what is not IP, and of what has no Ethernet header. The host looks at the packet itself. */
function nftRejectNetdev(context: Context): Proc {
  const { IPV4, IPV6 } = EtherType;
  const unreachable4 = or(IcmpType.DEST_UNREACH << 8, and(result, 0xff));
  const unreachable6 = or(Icmp6Type.DEST_UNREACH << 8, and(shr(result, CODE6_SHIFT), 0xff));
  const body: Step[] = [
    when(eqz(macHeader), silent),
    guard(mac, ETHERNET_HEADER_BYTES, silent),
    when(and(packet(mac, 0, 1), 1), silent),
    set(at, sub(l3, 2)),
    guard(at, 2, silent),
    set(type, packet(at, 0, 2)),
    when(and(ne(type, IPV4), ne(type, IPV6)), silent),
    set(error, select(eq(result, RESET), 0, select(eq(type, IPV4), unreachable4, unreachable6))),
    writeColumn("verdict", Verdict.REJECT_FRAME),
    writeColumn("error", error),
    writeColumn("outDevice", ifindexOf(dev)),
    writeColumn("l3", l3),
    ...writeExtent(mac),
    trace(TraceEvent.nft_reject_netdev, [error]),
    ...told,
  ];
  const comment = "nft_reject_netdev_eval (net/netfilter/nft_reject_netdev.c)";
  return proc(context.name("nft_reject.ingress"), { comment, params: [result], result: "i32" }, body);
}

const type = local("type");
const error = local("error");

function raise(flag: number): Step {
  return writeColumn("flags", or(readColumn("flags"), flag));
}

/** NF_DROP_ERR(-EPERM): what nf_hook returns is what the socket's call to send returns. */
export const tellSender: readonly Step[] = [when(sending, [raise(PacketFlag.SEND_EPERM)])];

const at = local("at");
const code = local("code");
const noDst = eq(dstInput, DstInput.NONE);
const silent: Step[] = [ret(0)];
const told: Step[] = [writeColumn("reason", DropReason.NETFILTER_DROP), ret(1)];

// ---- IPv4

function nfSendUnreach(context: Context): Proc {
  const body: Step[] = [
    when(and(iphdr.fragment, IP_OFFSET), silent),
    when(noDst, [when(eqz(callNet(context, "nf_reject_fill_skb_dst")), silent), raise(PacketFlag.OPTIONS_UNREAD)]),
    set(at, add(l3, iphdr.length)),
    when(call(VERIFY_CSUM, [at, iphdr.protocol]), [when(eqz(checksumOk4(at)), silent)]),
    run(ICMP_SEND, [IcmpType.DEST_UNREACH, code, 0]),
    ...told,
  ];
  const comment = "nf_send_unreach (net/ipv4/netfilter/nf_reject_ipv4.c)";
  return proc(context.name("nf_send_unreach"), { comment, params: [code], result: "i32", requires: HEADER }, body);
}

/** nf_reject_fill_skb_dst: the way back to the source; no VRF has a say. */
function nfRejectFillSkbDst(context: Context): Proc {
  const body: Step[] = [
    ...flowi4({ saddr: 0, daddr: iphdr.saddr, tos: 0 }),
    ret(eqz(callNet(context, "ip_route_output_key", lookupKind("output")))),
  ];
  const comment = "nf_reject_fill_skb_dst (net/ipv4/netfilter/nf_reject_ipv4.c)";
  return proc(context.name("nf_reject_fill_skb_dst"), { comment, result: "i32", requires: HEADER }, body);
}

function nfSendReset(context: Context): Proc {
  const group = or(eq(dstType, RouteTypeCode.broadcast), eq(dstType, RouteTypeCode.multicast));
  const body: Step[] = [
    when(or(and(iphdr.fragment, IP_OFFSET), ne(iphdr.protocol, IpProtocol.TCP)), silent),
    set(at, add(l3, iphdr.length)),
    ...mayReset,
    when(eqz(checksumOk4(at)), silent),
    when(noDst, [when(eqz(callNet(context, "nf_reject_fill_skb_dst")), silent)]),
    when(group, silent),
    set(vrf, l3mdevMaster(dstDev)),
    ...reset(select(skBound, skBound, ifindexOrZero(vrf))),
  ];
  const comment = "nf_send_reset (net/ipv4/netfilter/nf_reject_ipv4.c)";
  return proc(context.name("nf_send_reset"), { comment, result: "i32", requires: HEADER }, body);
}

const long = (value: Expr): Expr => unary("extend", value);

/** nf_ip_checksum: of TCP and UDP with the pseudo header. */
function checksumOk4(at: Operand): Expr {
  const { protocol, saddr, daddr } = iphdr;
  const hasPseudo = or(eq(protocol, IpProtocol.TCP), eq(protocol, IpProtocol.UDP));
  const pseudo = [saddr, daddr, protocol, sub(tail, at)].map(long).reduce(add);
  return call(CHECKSUM_OK, [at, select(hasPseudo, pseudo, i64(0n))]);
}

// ---- IPv6

function nfSendUnreach6(context: Context): Proc {
  const body: Step[] = [
    run(UPPER_LAYER),
    when(or(eq(tprot, NO_L4PROTO), or(ge(thoff, tail), eq(tprot, NEXTHDR.FRAGMENT))), silent),
    when(call(VERIFY_CSUM, [thoff, tprot]), [when(eqz(checksumOk6()), silent)]),
    // At OUTPUT no device has touched the packet yet.
    when(eqz(dev), [set(dev, loopbackDev(context.layout))]),
    when(noDst, [when(eqz(callNet(context, "nf_reject6_fill_skb_dst")), silent)]),
    run(ICMPV6_SEND, [Icmp6Type.DEST_UNREACH, code, 0]),
    ...told,
  ];
  const comment = "nf_send_unreach6 (net/ipv6/netfilter/nf_reject_ipv6.c)";
  return proc(context.name("nf_send_unreach6"), { comment, params: [code], result: "i32", requires: HEADER6 }, body);
}

function nfReject6FillSkbDst(context: Context): Proc {
  const body: Step[] = [
    ...flowi4({ saddr: IN6ADDR_ANY, daddr: ipv6hdr.saddr, tos: 0, iif: 0 }),
    ret(eqz(callNet(context, "ip6_route_output_flags", lookupKind("output"), 0))),
  ];
  const comment = "nf_reject6_fill_skb_dst (net/ipv6/netfilter/nf_reject_ipv6.c)";
  return proc(context.name("nf_reject6_fill_skb_dst"), { comment, result: "i32", requires: HEADER6 }, body);
}

function nfSendReset6(context: Context): Proc {
  const { saddr, daddr } = ipv6hdr;
  const body: Step[] = [
    when(or(ipv6AddrNotUnicast(saddr), ipv6AddrNotUnicast(daddr)), silent),
    run(UPPER_LAYER),
    when(ne(tprot, IpProtocol.TCP), silent),
    set(at, thoff),
    ...mayReset,
    when(eqz(checksumOk6()), silent),
    when(noDst, [when(eqz(callNet(context, "nf_reject6_fill_skb_dst")), silent)]),
    set(vrf, l3mdevMaster(dstDev)),
    ...reset(ifindexOrZero(vrf)),
  ];
  const comment = "nf_send_reset6 (net/ipv6/netfilter/nf_reject_ipv6.c)";
  return proc(context.name("nf_send_reset6"), { comment, result: "i32", requires: HEADER6 }, body);
}

/** nf_ip6_checksum: always with the pseudo header. */
function checksumOk6(): Expr {
  const parts = [...words6(ipv6hdr.saddr), ...words6(ipv6hdr.daddr), expr(tprot), sub(tail, thoff)];
  return call(CHECKSUM_OK, [thoff, parts.map(long).reduce(add)]);
}

const UPPER_LAYER = "ipv6_skip_exthdr";

/** Sets `tprot` and `thoff` as ipv6_skip_exthdr has them: 44, a fragment but the first; NO_L4PROTO: the headers end in nothing. */
export function ipv6SkipExthdr(): Proc {
  const none: Step[] = [set(tprot, NO_L4PROTO), ret()];
  const length = packet(thoff, 1, 1);
  const body: Step[] = [
    set(tprot, ipv6hdr.nexthdr),
    set(thoff, add(l3, IPV6_HEADER_BYTES)),
    repeat(
      mostHeaders,
      "headers",
      [
        when(eqz(isExtension(tprot)), [ret()]),
        when(eq(tprot, NEXTHDR.NONE), none),
        guard(thoff, 2, none),
        when(
          eq(tprot, NEXTHDR.FRAGMENT),
          [guard(thoff, 4, none), when(shr(packet(thoff, 2, 2), 3), [ret()]), set(bytes, 8)],
          [set(bytes, select(eq(tprot, NEXTHDR.AUTH), shl(add(length, 2), 2), shl(add(length, 1), 3)))],
        ),
        set(tprot, packet(thoff, 0, 1)),
        set(thoff, add(thoff, bytes)),
      ],
      "headers",
    ),
    ret(),
  ];
  const comment = "ipv6_skip_exthdr (net/ipv6/exthdrs_core.c)";
  return proc(UPPER_LAYER, { comment, requires: HEADER6 }, body);
}

// ---- both

const vrf = local("vrf");
const bytes = local("bytes");

/** The TCP header is there, and is no reset itself. */
const mayReset: Step[] = [
  guard(at, TCP_HEADER_BYTES, silent),
  when(and(packet(at, TCP_FLAGS, 1), TcpFlag.RST), silent),
];

/** @param oif what the answer is routed by: a VRF, or the sending socket's device */
const reset = (oif: Expr): Step[] => [
  writeColumn("verdict", Verdict.TCP_RESET),
  writeColumn("outDevice", oif),
  writeColumn("skbDevice", ifindexOrZero(dev)),
  ...writeExtent(l3),
  trace(TraceEvent.nf_send_reset, []),
  ...told,
];

const VERIFY_CSUM = "nf_reject_verify_csum";
const protocol = local("protocol");

/** `nf_reject_verify_csum(at, protocol)`: protocols whose checksum is optional, or no sum over all of the payload, are not looked at. */
export function nfRejectVerifyCsum(): Proc {
  const unchecked = [...UNSUMMED].map((one) => eq(protocol, one)).reduce(or);
  const body: Step[] = [
    when(eq(protocol, IpProtocol.UDP), [guard(at, 8, [ret(1)]), ret(ne(packet(at, 6, 2), 0))]),
    ret(eqz(unchecked)),
  ];
  const comment = "nf_reject_verify_csum (include/net/netfilter/nf_reject.h)";
  return proc(VERIFY_CSUM, { comment, params: [at, protocol], result: "i32" }, body);
}

const CHECKSUM_OK = "nf_checksum_ok";
const sum = local("sum", "i64");

/** `nf_checksum_ok(at, sum)`: `sum` and the words from the cursor to the packet's end add up to what a right checksum gives. */
export function nfChecksumOk(): Proc {
  const fold = (width: number): Step =>
    set(sum, add(binary("shr", sum, i64(BigInt(width))), and(sum, i64((1n << BigInt(width)) - 1n))));
  const rest = sub(tail, at);
  const body: Step[] = [
    when(ge(at, tail), [ret(0)]),
    repeat(
      shr(rest, 2),
      "words",
      [guard(at, 4, [leave("words")]), set(sum, add(sum, long(packet(at, 0, 4)))), set(at, add(at, 4))],
      "words",
    ),
    when(and(rest, 2), [guard(at, 2, [ret(0)]), set(sum, add(sum, long(packet(at, 0, 2)))), set(at, add(at, 2))]),
    when(and(rest, 1), [guard(at, 1, [ret(0)]), set(sum, add(sum, long(shl(packet(at, 0, 1), 8))))]),
    ...[fold(32), fold(16), fold(16)],
    ret(eq(sum, i64(0xffffn))),
  ];
  const comment = "nf_ip_checksum, nf_ip6_checksum (net/netfilter/utils.c)";
  return proc(CHECKSUM_OK, { comment, params: [at, sum], result: "i32" }, body);
}
