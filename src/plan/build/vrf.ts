/**
 * The VRF device.
 * k:drivers/net/vrf.c
 *
 *   in     l3mdev_ip_rcv -> vrf_l3_rcv                    skb->dev = VRF, PREROUTING once more
 *   out    l3mdev_ip_out -> vrf_l3_out -> direct          LOCAL_OUT, POSTROUTING of the VRF, then on with the slave's
 *                                      -> redirect        dst = the VRF's own, whose output is vrf_output
 *   device vrf_xmit -> vrf_process_v4_outbound            routes anew, inside the VRF
 *                       -> vrf_local_xmit                 for this host: back in by the VRF device
 *                       -> vrf_ip_local_out               LOCAL_OUT of the slave, and out
 */

import { DEVICE } from "../../../runtime/abi/device.ts";
import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { EtherType } from "../../../runtime/net/ethernet.ts";
import { RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { DropReason } from "../../../runtime/verdict.ts";
import {
  and,
  type Expr,
  eq,
  eqz,
  guard,
  local,
  ne,
  or,
  type Proc,
  put,
  type Reg,
  ret,
  run,
  type Step,
  set,
  trace,
  when,
} from "../ir.ts";
import { type Context, callNet, drop, field, hasFlag, ifindexOf, proc, runNet } from "./context.ts";
import { RT_NEXTHOP } from "./dst.ts";
import { lookupKind } from "./fib_rules.ts";
import { flowi4 } from "./flow.ts";
import { HEADER, IPHDR_BYTES, iphdr, isLbcast, isMulticast, routingTos } from "./in.ts";
import { l3mdevMaster } from "./l3mdev.ts";
import { nfHook } from "./netfilter/hook.ts";
import { sending, protocol as skbProtocol } from "./netfilter/registers.ts";
import {
  DstInput,
  DstOutput,
  dev,
  doredirect,
  dstDev,
  dstGateway,
  dstInput,
  dstMtu,
  dstOutput,
  dstType,
  FlowFlag,
  iif,
  l3,
  l3slave,
  Next,
  next,
  PacketType,
  pktType,
} from "./skb.ts";

const vrf = local("vrf");
const direct = local("direct");
const told = local("told");

/** l3mdev_ip_rcv, vrf_ip_rcv: 1 when a chain ended the packet. Multicast, and what vrf_local_xmit sent, pass no second PREROUTING. */
export function l3mdevIpRcv(context: Context): Proc {
  const body: Step[] = [
    set(vrf, l3mdevMaster(dev)),
    when(eqz(vrf), [ret(0)]),
    trace(TraceEvent.vrf_l3_rcv, [ifindexOf(dev), ifindexOf(vrf)]),
    set(dev, vrf),
    set(l3slave, 1),
    when(isMulticast(iphdr.daddr), [ret(0)]),
    when(eq(pktType, PacketType.LOOPBACK), [set(pktType, PacketType.HOST), ret(0)]),
    ...nfHook(context, "prerouting", 4, [ifindexOf(vrf), 0], [ret(1)]),
    ret(0),
  ];
  const comment = "l3mdev_ip_rcv (include/net/l3mdev.h), vrf_ip_rcv (drivers/net/vrf.c)";
  return proc(context.name("l3mdev_ip_rcv"), { comment, result: "i32", requires: HEADER }, body);
}

/** l3mdev_ip_out, vrf_ip_out: of a slave; 1 when a chain ended the packet. Multicast and limited broadcast are not diverted. */
export function l3mdevIpOut(context: Context): Proc {
  const body: Step[] = [
    set(vrf, field(dstDev, DEVICE.master)),
    when(eqz(vrf), [ret(0)]),
    when(or(isMulticast(iphdr.daddr), isLbcast(iphdr.daddr)), [ret(0)]),
    set(direct, qdiscTxIsDefault(vrf)),
    trace(TraceEvent.vrf_l3_out, [ifindexOf(dstDev), ifindexOf(vrf), direct]),
    when(direct, outDirect(context, 4, vrf), outRedirect(vrf)),
    ret(0),
  ];
  const comment = "l3mdev_ip_out (include/net/l3mdev.h), vrf_ip_out (drivers/net/vrf.c)";
  return proc(context.name("l3mdev_ip_out"), { comment, result: "i32", requires: HEADER }, body);
}

/** A device that is down has the noop qdisc, which is none of its own and yet queues (dev_deactivate). */
export const qdiscTxIsDefault = (vrf: Reg): Expr =>
  and(ne(hasFlag(vrf, "UP"), 0), ne(hasFlag(vrf, "QDISC_DEFAULT"), 0));

/**
 * vrf_ip_out_direct, vrf_ip6_out_direct. The socket does not learn of a drop here: __ip_local_out takes what l3mdev_ip_out kept for
 * sent.
 */
export const outDirect = (context: Context, family: 4 | 6, vrf: Reg): Step[] => [
  set(dev, vrf),
  set(told, sending),
  set(sending, 0),
  ...nfHook(context, "output", family, [0, ifindexOf(vrf)], [ret(1)]),
  ...nfHook(context, "postrouting", family, [0, ifindexOf(vrf)], [ret(1)]),
  set(sending, told),
];

/** vrf_ip_out_redirect, vrf_ip6_out_redirect: the dst that leads through the VRF device (vrf_rtable_create, vrf_rt6_create). */
export const outRedirect = (vrf: Reg): Step[] => [
  set(dstDev, vrf),
  set(dstInput, DstInput.DISCARD),
  set(dstOutput, DstOutput.VRF),
  set(dstType, RouteTypeCode.unicast),
  set(dstGateway, 0),
  set(dstMtu, 0),
];

/** vrf_output, vrf_finish_output: no look at the MTU. */
export function vrfOutput(context: Context): Proc {
  const body: Step[] = [
    set(dev, dstDev),
    ...nfHook(context, "postrouting", 4, [0, ifindexOf(dev)]),
    run(RT_NEXTHOP, [iphdr.daddr]),
    runNet(context, "ip_finish_output2", dstDev),
    ret(),
  ];
  return proc(context.name("vrf_output"), { comment: "vrf_output (drivers/net/vrf.c)", requires: HEADER }, body);
}

/** vrf_process_v4_outbound: `dev`, the VRF, routes what it was given to send. The flow has neither mark nor ports nor uid. */
export function vrfXmit(context: Context): Proc {
  const { saddr, daddr, protocol } = iphdr;
  const flow = { saddr, daddr, protocol, tos: routingTos };
  const domain =
    context.kernel === "5.4"
      ? { oif: ifindexOf(dev), flags: FlowFlag.ANYSRC | FlowFlag.SKIP_NH_OIF }
      : { l3mdev: dev, flags: FlowFlag.ANYSRC };
  const body: Step[] = [
    trace(TraceEvent.vrf_xmit, [ifindexOf(dev)]),
    when(eq(skbProtocol, EtherType.IPV6), [runNet(context, "vrf_process_v6_outbound"), ret()]),
    // Programs can send any frame by a VRF device (vrf_tx_error).
    when(ne(skbProtocol, EtherType.IPV4), drop(DropReason.NOT_SPECIFIED)),
    guard(l3, IPHDR_BYTES, drop(DropReason.NOT_SPECIFIED)),
    ...flowi4({ ...flow, ...domain }),
    when(callNet(context, "ip_route_output_key", lookupKind("vrf_xmit")), drop(DropReason.IP_OUTNOROUTES)),
    when(eq(dstDev, dev), vrfLocalXmit),
    // The checksum is not mended: so it is in the kernel.
    when(eqz(saddr), [put(l3, 12, 4, field(dstDev, DEVICE.sourceLink))]),
    set(iif, 0),
    set(l3slave, 0),
    set(doredirect, 0),
    // vrf_ip_local_out: skb->dev is still the VRF, so POSTROUTING sees it as the in device.
    ...nfHook(context, "output", 4, [0, ifindexOf(dstDev)]),
    runNet(context, "dst_output"),
    ret(),
  ];
  return proc(context.name("vrf_xmit"), { comment: "vrf_xmit (drivers/net/vrf.c)" }, body);
}

/** For this host: back in by the VRF device. */
export const vrfLocalXmit: Step[] = [
  trace(TraceEvent.vrf_local_xmit, [ifindexOf(dev)]),
  set(pktType, PacketType.LOOPBACK),
  set(next, Next.NETIF_RX),
  ret(),
];
