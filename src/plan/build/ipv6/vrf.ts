/**
 * The VRF device and IPv6.
 * k:drivers/net/vrf.c vrf_ip6_rcv, vrf_ip6_input_dst, vrf_ip6_out, vrf_output6, vrf_process_v6_outbound.
 *
 * What belongs to a link (multicast, link-local) is routed by the device that received it, in the VRF's table without rules; what
 * neighbour discovery sends and receives stays with that device altogether.
 */

import { DEVICE } from "../../../../runtime/abi/device.ts";
import { TraceEvent } from "../../../../runtime/abi/trace.ts";
import { Icmp6Type } from "../../../../runtime/net/icmp6.ts";
import { V4MAPPED } from "../../../../runtime/net/in6.ts";
import { IpProtocol } from "../../../../runtime/net/ipv4.ts";
import { IPV6_HEADER_BYTES } from "../../../../runtime/net/ipv6.ts";
import { DropReason } from "../../../../runtime/verdict.ts";
import {
  add,
  and,
  call,
  eq,
  eqz,
  guard,
  le,
  local,
  ne,
  or,
  type Proc,
  packet,
  ret,
  type Step,
  set,
  sub,
  trace,
  when,
} from "../../ir.ts";
import { type Context, callNet, drop, field, ifindexOf, proc, runNet } from "../context.ts";
import { lookupKind } from "../fib_rules.ts";
import { flowi4 } from "../flow.ts";
import { l3mdevMaster } from "../l3mdev.ts";
import { nfHook } from "../netfilter/hook.ts";
import {
  DstInput,
  dev,
  dstDev,
  dstInput,
  FlowFlag,
  iif,
  l3,
  l3slave,
  mark,
  PacketType,
  pktType,
  resAlias,
} from "../skb.ts";
import { outDirect, outRedirect, qdiscTxIsDefault, vrfLocalXmit } from "../vrf.ts";
import { HEADER6, ipv6AddrAny, ipv6hdr, ipv6PrefixEqual, routingTclass, rt6NeedStrict } from "./in6.ts";
import { setNextHop6 } from "./ip6_output.ts";

const vrf = local("vrf");
const direct = local("direct");
const strict = local("strict");
const ndisc = local("ndisc");
const input = local("in");
const icmp6 = local("icmp6");

/** l3mdev_ip6_rcv, vrf_ip6_rcv: 1 when a chain ended the packet. */
export function l3mdevIp6Rcv(context: Context): Proc {
  const takeOver: Step[] = [set(dev, vrf), set(l3slave, 1)];
  const body: Step[] = [
    set(vrf, l3mdevMaster(dev)),
    when(eqz(vrf), [ret(0)]),
    trace(TraceEvent.vrf_l3_rcv, [ifindexOf(dev), ifindexOf(vrf)]),
    when(eq(pktType, PacketType.LOOPBACK), [...takeOver, set(pktType, PacketType.HOST), ret(0)]),
    set(input, dev),
    set(strict, rt6NeedStrict(ipv6hdr.daddr)),
    set(ndisc, call(IPV6_NDISC_FRAME, [])),
    when(eqz(ndisc), takeOver),
    when(strict, [runNet(context, "vrf_ip6_input_dst", vrf, input), when(eqz(ndisc), [ret(0)])]),
    ...nfHook(context, "prerouting", 6, [ifindexOf(vrf), 0], [ret(1)]),
    ret(0),
  ];
  const comment = "l3mdev_ip6_rcv (include/net/l3mdev.h), vrf_ip6_rcv (drivers/net/vrf.c)";
  return proc(context.name("l3mdev_ip6_rcv"), { comment, result: "i32", requires: HEADER6 }, body);
}

const IPV6_NDISC_FRAME = "ipv6_ndisc_frame";

/** Router and neighbour solicitations and advertisements, and redirects, directly behind the IPv6 header. */
export function ipv6NdiscFrame(): Proc {
  const body: Step[] = [
    when(ne(ipv6hdr.nexthdr, IpProtocol.ICMPV6), [ret(0)]),
    set(icmp6, add(l3, IPV6_HEADER_BYTES)),
    guard(icmp6, 8, [ret(0)]),
    ret(
      le(sub(packet(icmp6, 0, 1), Icmp6Type.ROUTER_SOLICITATION), Icmp6Type.REDIRECT - Icmp6Type.ROUTER_SOLICITATION),
    ),
  ];
  return proc(
    IPV6_NDISC_FRAME,
    { comment: "ipv6_ndisc_frame (drivers/net/vrf.c)", result: "i32", requires: HEADER6 },
    body,
  );
}

/** `vrf_ip6_input_dst(vrf, in)`: a dst straight from the VRF's table, unless that has none. */
export function vrfIp6InputDst(context: Context): Proc {
  const { saddr, daddr, nexthdr } = ipv6hdr;
  const body: Step[] = [
    ...flowi4({ saddr, daddr, tos: routingTclass, iif: ifindexOf(input), protocol: nexthdr, mark }),
    runNet(context, "vrf_ip6_route_lookup", vrf, ifindexOf(input)),
    when(eqz(resAlias), [set(dstInput, DstInput.NONE)]),
    ret(),
  ];
  const comment = "vrf_ip6_input_dst (drivers/net/vrf.c)";
  return proc(context.name("vrf_ip6_input_dst"), { comment, params: [vrf, input], requires: HEADER6 }, body);
}

/** l3mdev_ip6_out, vrf_ip6_out: of a slave; 1 when a chain ended the packet. What belongs to the link is not diverted. */
export function l3mdevIp6Out(context: Context): Proc {
  const body: Step[] = [
    set(vrf, field(dstDev, DEVICE.master)),
    when(eqz(vrf), [ret(0)]),
    when(rt6NeedStrict(ipv6hdr.daddr), [ret(0)]),
    set(direct, qdiscTxIsDefault(vrf)),
    trace(TraceEvent.vrf_l3_out, [ifindexOf(dstDev), ifindexOf(vrf), direct]),
    when(direct, outDirect(context, 6, vrf), outRedirect(vrf)),
    ret(0),
  ];
  const comment = "l3mdev_ip6_out (include/net/l3mdev.h), vrf_ip6_out (drivers/net/vrf.c)";
  return proc(context.name("l3mdev_ip6_out"), { comment, result: "i32", requires: HEADER6 }, body);
}

/** vrf_output6, vrf_finish_output6: no look at the MTU. */
export function vrfOutput6(context: Context): Proc {
  const body: Step[] = [
    set(dev, dstDev),
    ...nfHook(context, "postrouting", 6, [0, ifindexOf(dev)]),
    ...setNextHop6,
    runNet(context, "ip6_neigh_output", dstDev),
    ret(),
  ];
  return proc(context.name("vrf_output6"), { comment: "vrf_output6 (drivers/net/vrf.c)", requires: HEADER6 }, body);
}

/** vrf_process_v6_outbound: `dev`, the VRF, routes what it was given to send. The flow has neither ports nor uid. */
export function vrfProcessV6Outbound(context: Context): Proc {
  const { saddr, daddr, nexthdr } = ipv6hdr;
  const flow = { saddr, daddr, protocol: nexthdr, tos: routingTclass, mark };
  const domain =
    context.kernel === "5.4"
      ? { oif: ifindexOf(dev), flags: FlowFlag.ANYSRC | FlowFlag.SKIP_NH_OIF }
      : { l3mdev: dev, flags: FlowFlag.ANYSRC };
  const body: Step[] = [
    guard(l3, IPV6_HEADER_BYTES, drop(DropReason.NOT_SPECIFIED)),
    ...flowi4({ ...flow, ...domain }),
    when(callNet(context, "ip6_dst_lookup_flow", lookupKind("vrf_xmit")), drop(DropReason.IP_OUTNOROUTES)),
    // The end of ip6_dst_lookup_tail, EAFNOSUPPORT; only what is forwarded has such a source.
    when(
      and(ipv6PrefixEqual(saddr, V4MAPPED), eqz(or(ipv6PrefixEqual(daddr, V4MAPPED), ipv6AddrAny(daddr)))),
      drop(DropReason.IP_OUTNOROUTES),
    ),
    when(eq(dstDev, dev), vrfLocalXmit),
    set(iif, 0),
    set(l3slave, 0),
    // vrf_ip6_local_out: skb->dev is still the VRF, so POSTROUTING sees it as the in device.
    ...nfHook(context, "output", 6, [0, ifindexOf(dstDev)]),
    runNet(context, "dst_output6"),
    ret(),
  ];
  const comment = "vrf_process_v6_outbound (drivers/net/vrf.c)";
  return proc(context.name("vrf_process_v6_outbound"), { comment }, body);
}
