/**
 * Receiving an IPv6 packet.
 * k:net/ipv6/ip6_input.c ipv6_rcv, ip6_rcv_core, ip6_rcv_finish, ip6_input, ip6_mc_input; net/ipv6/mcast.c ipv6_chk_mcast_addr.
 *
 *   ipv6_rcv -> ip6_rcv_core -> options -> PREROUTING -> l3mdev_ip6_rcv -> ip6_route_input -> dst_input
 *                                                                  ip6_input | ip6_mc_input | ip6_forward | ip6_pkt_drop
 */

import { DEVICE, GROUP6_BYTES } from "../../../../runtime/abi/device.ts";
import { TraceEvent } from "../../../../runtime/abi/trace.ts";
import { IPV6_HEADER_BYTES, NextHeader } from "../../../../runtime/net/ipv6.ts";
import { DropReason, Verdict } from "../../../../runtime/verdict.ts";
import {
  add,
  and,
  call,
  eq,
  eqz,
  gt,
  guard,
  local,
  ne,
  or,
  type Proc,
  repeat,
  ret,
  run,
  type Step,
  select,
  set,
  tail,
  trace,
  when,
} from "../../ir.ts";
import {
  type Context,
  callNet,
  drop,
  field,
  hasFlag,
  ifindexOf,
  ifindexOrZero,
  KFREE_SKB,
  proc,
  runNet,
  writeColumn,
} from "../context.ts";
import { nfHook } from "../netfilter/hook.ts";
import { DstInput, dev, dstIdev, dstInput, iif, l3, l3slave, PacketType, pktType } from "../skb.ts";
import { writeExtent } from "../verdict.ts";
import { IPV6_PARSE_HOPOPTS } from "./exthdrs.ts";
import { HEADER6, ipv6AddrEqual, ipv6AddrIsMulticast, ipv6AddrLoopback, ipv6hdr, multicastScope } from "./in6.ts";

export function ipv6Rcv(context: Context): Proc {
  const body: Step[] = [
    writeColumn("l3", l3),
    when(eqz(call(IP6_RCV_CORE, [])), [ret()]),
    guard(l3, IPV6_HEADER_BYTES, drop(DropReason.IP_INHDR)),
    ...nfHook(context, "prerouting", 6, [ifindexOf(dev), 0]),
    runNet(context, "ip6_rcv_finish"),
    ret(),
  ];
  return proc(context.name("ipv6_rcv"), { comment: "ipv6_rcv (net/ipv6/ip6_input.c)" }, body);
}

const IP6_RCV_CORE = "ip6_rcv_core";

/** The checks, in the kernel's order: 1, or 0 and the packet has its verdict. Then padding is cut off: `tail` is the end of the packet. */
export function ip6RcvCore(): Proc {
  const refuse = (reason: DropReason): Step[] => [run(KFREE_SKB, [reason]), ret(0)];
  const invalid = refuse(DropReason.IP_INHDR);
  const { saddr, daddr } = ipv6hdr;
  const hasNoWire = or(hasFlag(dev, "LOOPBACK"), hasFlag(dev, "VRF"));
  const group = or(eq(pktType, PacketType.BROADCAST), eq(pktType, PacketType.MULTICAST));
  const end = add(add(l3, IPV6_HEADER_BYTES), ipv6hdr.payloadLength);
  const body: Step[] = [
    when(eq(pktType, PacketType.OTHERHOST), refuse(DropReason.OTHERHOST)),
    when(hasFlag(dev, "DISABLE_IPV6"), refuse(DropReason.IPV6DISABLED)),
    // IP6CB(skb)->iif. What was looped back with its dst has the device of its address there.
    set(iif, select(eq(dstInput, DstInput.NONE), dev, dstIdev)),
    set(l3slave, 0),
    guard(l3, IPV6_HEADER_BYTES, invalid),
    when(ne(ipv6hdr.version, 6), refuse(DropReason.UNHANDLED_PROTO)),
    when(and(eqz(hasNoWire), or(ipv6AddrLoopback(saddr), ipv6AddrLoopback(daddr))), invalid),
    when(ipv6AddrIsMulticast(daddr), [
      when(eq(multicastScope(daddr), INTERFACE_SCOPE), [
        when(and(eqz(hasFlag(dev, "LOOPBACK")), ne(pktType, PacketType.LOOPBACK)), invalid),
      ]),
    ]),
    when(and(group, eqz(ipv6AddrIsMulticast(daddr))), [
      when(hasFlag(dev, "DROP_UNICAST_IN_L2_MULTICAST6"), refuse(DropReason.UNICAST_IN_L2_MULTICAST)),
    ]),
    when(and(ipv6AddrIsMulticast(daddr), eqz(multicastScope(daddr))), invalid),
    when(ipv6AddrIsMulticast(saddr), invalid),
    // Without a payload length there is a jumbo option, or nothing.
    when(or(ne(ipv6hdr.payloadLength, 0), ne(ipv6hdr.nexthdr, NextHeader.HOP)), [
      when(gt(end, tail), refuse(DropReason.PKT_TOO_SMALL)),
      set(tail, end),
      guard(l3, IPV6_HEADER_BYTES, invalid),
    ]),
    when(eq(ipv6hdr.nexthdr, NextHeader.HOP), [ret(call(IPV6_PARSE_HOPOPTS, []))]),
    ret(1),
  ];
  return proc(IP6_RCV_CORE, { comment: "ip6_rcv_core (net/ipv6/ip6_input.c)", result: "i32" }, body);
}

/** Scope of a multicast address that never leaves its host (RFC 4291 section 2.7). */
export const INTERFACE_SCOPE = 1;

export function ip6RcvFinish(context: Context): Proc {
  const body: Step[] = [
    guard(l3, IPV6_HEADER_BYTES, drop(DropReason.IP_INHDR)),
    when(callNet(context, "l3mdev_ip6_rcv"), [ret()]),
    // What this host looped back to itself, and what a VRF has found a dst for, know where they go.
    when(eq(dstInput, DstInput.NONE), [runNet(context, "ip6_route_input")]),
    when(eq(dstInput, DstInput.LOCAL), [runNet(context, "ip6_input"), ret()]),
    when(eq(dstInput, DstInput.MULTICAST), [runNet(context, "ip6_mc_input"), ret()]),
    when(eq(dstInput, DstInput.FORWARD), [runNet(context, "ip6_forward"), ret()]),
    when(eq(dstInput, DstInput.ERROR), [run("ip6_pkt_drop"), ret()]),
    ...drop(DropReason.NOT_SPECIFIED),
  ];
  return proc(context.name("ip6_rcv_finish"), { comment: "ip6_rcv_finish (net/ipv6/ip6_input.c)" }, body);
}

/** For this host. All extension headers but the hop-by-hop options are the host's to read. */
export function ip6Input(context: Context): Proc {
  const sdif = select(l3slave, ifindexOrZero(iif), 0);
  const body: Step[] = [
    trace(TraceEvent.ip6_input, [ifindexOf(dev), sdif]),
    ...nfHook(context, "input", 6, [ifindexOf(dev), 0]),
    writeColumn("verdict", Verdict.LOCAL),
    writeColumn("skbDevice", ifindexOf(dev)),
    writeColumn("sdif", sdif),
    ...writeExtent(l3),
    ret(),
  ];
  return proc(context.name("ip6_input"), { comment: "ip6_input (net/ipv6/ip6_input.c)", requires: HEADER6 }, body);
}

/** Multicast is for this host if the device that received it has joined the group. */
export function ip6McInput(context: Context): Proc {
  const receiver = local("receiver");
  const body: Step[] = [
    set(receiver, select(l3slave, iif, dev)),
    when(eqz(call(IPV6_CHK_MCAST_ADDR, [receiver, ipv6hdr.daddr])), drop(DropReason.NOT_JOINED)),
    runNet(context, "ip6_input"),
    ret(),
  ];
  return proc(
    context.name("ip6_mc_input"),
    { comment: "ip6_mc_input (net/ipv6/ip6_input.c)", requires: HEADER6 },
    body,
  );
}

export const IPV6_CHK_MCAST_ADDR = "ipv6_chk_mcast_addr";

/** `ipv6_chk_mcast_addr(device, group)`: 1 when the DEVICE has joined the group at the offset `group`. */
export function ipv6ChkMcastAddr(): Proc {
  const device = local("device");
  const group = local("group");
  const joined = local("joined");
  const body: Step[] = [
    set(joined, field(device, DEVICE.groups6)),
    repeat(
      field(device, DEVICE.groupCount6),
      "groups",
      [when(ipv6AddrEqual(joined, group), [ret(1)]), set(joined, add(joined, GROUP6_BYTES))],
      "groups",
    ),
    ret(0),
  ];
  const comment = "ipv6_chk_mcast_addr (net/ipv6/mcast.c)";
  return proc(IPV6_CHK_MCAST_ADDR, { comment, params: [device, group], result: "i32" }, body);
}
