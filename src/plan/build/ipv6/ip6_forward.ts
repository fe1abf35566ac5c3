/**
 * Forwarding an IPv6 packet. Hop limit, source and MTU are tested, and their errors sent, before the FORWARD hook sees the packet.
 * k:net/ipv6/ip6_output.c ip6_forward; net/ipv6/ndisc.c ndisc_send_redirect; net/ipv6/route.c ip6_pkt_drop.
 */

import { DEVICE } from "../../../../runtime/abi/device.ts";
import { TraceEvent } from "../../../../runtime/abi/trace.ts";
import { REDIRECT_IN_SLOT } from "../../../../runtime/batch.ts";
import { Icmp6Type, TimeExceeded6, Unreachable6 } from "../../../../runtime/net/icmp6.ts";
import { IPV6_MIN_MTU } from "../../../../runtime/net/ipv6.ts";
import { DropReason, Errno } from "../../../../runtime/verdict.ts";
import {
  eq,
  gt,
  le,
  local,
  lt,
  ne,
  or,
  type Proc,
  put,
  ret,
  type Step,
  select,
  set,
  sub,
  tail,
  trace,
  when,
} from "../../ir.ts";
import { type Context, drop, field, icmpv6Send, ifindexOf, proc, runNet } from "../context.ts";
import { nfHook } from "../netfilter/hook.ts";
import { dev, dstDev, dstError, iif, l3, nhAddress, PacketType, pktType, slot } from "../skb.ts";
import { writeRedirect } from "../verdict.ts";
import {
  HEADER6,
  ipv6AddrAny,
  ipv6AddrIsLinklocal,
  ipv6AddrIsMulticast,
  ipv6AddrLoopback,
  ipv6hdr,
  storeAddress,
} from "./in6.ts";
import { setNextHop6 } from "./ip6_output.ts";

const mtu = local("mtu");

export function ip6Forward(context: Context): Proc {
  const { saddr, hopLimit } = ipv6hdr;
  const deviceMtu = field(dstDev, DEVICE.mtu);
  const invalid = drop(DropReason.IP_INADDRERRORS);
  const forward: Step[] = [
    when(ne(pktType, PacketType.HOST), drop(DropReason.NOT_SPECIFIED)),
    trace(TraceEvent.ip6_forward, [hopLimit]),
    when(le(hopLimit, 1), icmpv6Send(Icmp6Type.TIME_EXCEED, TimeExceeded6.HOPLIMIT, 0)),
    when(eq(dstDev, iif), redirect, [
      when(or(or(ipv6AddrAny(saddr), ipv6AddrLoopback(saddr)), ipv6AddrIsMulticast(saddr)), invalid),
      when(ipv6AddrIsLinklocal(saddr), icmpv6Send(Icmp6Type.DEST_UNREACH, Unreachable6.NOT_NEIGHBOUR, 0)),
    ]),
    set(mtu, select(lt(deviceMtu, IPV6_MIN_MTU), IPV6_MIN_MTU, deviceMtu)),
    when(gt(sub(tail, l3), mtu), packetTooBig),
    put(l3, 7, 1, sub(hopLimit, 1)),
    ...nfHook(context, "forward", 6, [ifindexOf(dev), ifindexOf(dstDev)]),
    runNet(context, "dst_output6"),
    ret(),
  ];
  const body = context.net.sysctl.ipv6Forwarding ? forward : invalid;
  return proc(context.name("ip6_forward"), { comment: "ip6_forward (net/ipv6/ip6_output.c)", requires: HEADER6 }, body);
}

/** The error is about the device that the packet does not fit. */
const packetTooBig: Step[] = [set(dev, dstDev), ...icmpv6Send(Icmp6Type.PKT_TOOBIG, 0, mtu)];

/** ndisc_send_redirect: the sender is told of the better next hop, which the host finds in the slot. */
const redirect: Step[] = [
  ...setNextHop6,
  ...storeAddress(slot, REDIRECT_IN_SLOT, nhAddress),
  ...writeRedirect,
  trace(TraceEvent.icmpv6_send, [Icmp6Type.REDIRECT, 0]),
];

/** `ip6_pkt_drop`: the end of a packet whose route refuses, or that has none. */
export function ip6PktDrop(): Proc {
  const body: Step[] = [
    when(eq(dstError, Errno.EINVAL), drop(DropReason.BLACKHOLE)),
    when(eq(dstError, Errno.EACCES), icmpv6Send(Icmp6Type.DEST_UNREACH, Unreachable6.ADM_PROHIBITED, 0)),
    ...icmpv6Send(Icmp6Type.DEST_UNREACH, Unreachable6.NOROUTE, 0),
  ];
  return proc("ip6_pkt_drop", { comment: "ip6_pkt_drop (net/ipv6/route.c)", requires: HEADER6 }, body);
}
