/** Forwarding. TTL and MTU are tested, and their errors sent, before the FORWARD hook sees the packet. k:net/ipv4/ip_forward.c */

import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { REDIRECT_IN_SLOT } from "../../../runtime/batch.ts";
import { IcmpType, REDIRECT_HOST, TimeExceeded, Unreachable } from "../../../runtime/net/icmp.ts";
import { DropReason } from "../../../runtime/verdict.ts";
import {
  and,
  binary,
  call,
  type Expr,
  eq,
  gt,
  i64,
  le,
  local,
  ne,
  type Operand,
  type Proc,
  ret,
  run,
  type Step,
  select,
  set,
  shl,
  store,
  sub,
  tail,
  trace,
  unary,
  when,
} from "../ir.ts";
import { ipDecreaseTtl } from "./checksum.ts";
import { type Context, drop, icmpSend, ifindexOf, proc, runNet } from "./context.ts";
import { IP_DST_MTU, RT_NEXTHOP } from "./dst.ts";
import { HEADER, IP_DF, iphdr } from "./in.ts";
import { nfHook } from "./netfilter/hook.ts";
import { priority } from "./netfilter/registers.ts";
import { dev, doredirect, dstDev, l3, nhAddress, nhFamily, PacketType, pktType, slot } from "./skb.ts";
import { writeRedirect } from "./verdict.ts";

const mtu = local("mtu");

export function ipForward(context: Context): Proc {
  const body: Step[] = [
    when(ne(pktType, PacketType.HOST), drop(DropReason.NOT_SPECIFIED)),
    trace(TraceEvent.ip_forward, [iphdr.ttl]),
    when(le(iphdr.ttl, 1), icmpSend(IcmpType.TIME_EXCEEDED, TimeExceeded.TTL, 0)),
    set(mtu, call(IP_DST_MTU, [])),
    when(exceedsMtu(mtu), icmpSend(IcmpType.DEST_UNREACH, Unreachable.FRAG_NEEDED, mtu)),
    ...ipDecreaseTtl(),
    when(doredirect, sendRedirect),
    set(priority, rtTos2priority(iphdr.tos)), // sysctl_ip_fwd_update_priority is on
    ...nfHook(context, "forward", 4, [ifindexOf(dev), ifindexOf(dstDev)]),
    runNet(context, "dst_output"),
    ret(),
  ];
  return proc(context.name("ip_forward"), { comment: "ip_forward (net/ipv4/ip_forward.c)", requires: HEADER }, body);
}

/** ip_rt_send_redirect: the sender is told of the better gateway; an IPv6 one counts for nothing here. */
const sendRedirect: Step[] = [
  run(RT_NEXTHOP, [iphdr.daddr]),
  store("batch", 4, slot, REDIRECT_IN_SLOT, unary("bswap32", select(eq(nhFamily, 4), nhAddress, iphdr.daddr))),
  ...writeRedirect,
  trace(TraceEvent.icmp_send, [IcmpType.REDIRECT, REDIRECT_HOST]),
];

/** TC_PRIO_* by the four TOS bits (k:net/ipv4/route.c ip_tos2prio), a digit each: best effort 0, bulk 2, interactive 6, 4. */
const IP_TOS2PRIO = 0x4444_6666_2222_0000n;
export const rtTos2priority = (tos: Expr): Expr =>
  and(unary("wrap", binary("shr", i64(IP_TOS2PRIO), unary("extend", shl(and(tos, 0x1e), 1)))), 0xf);

/** ip_exceeds_mtu: larger, and may not be cut. Without DF the packet is cut on its way out. */
export const exceedsMtu = (mtu: Operand): Expr => and(gt(sub(tail, l3), mtu), ne(and(iphdr.fragment, IP_DF), 0));
