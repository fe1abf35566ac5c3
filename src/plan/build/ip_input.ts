/**
 * Receiving an IPv4 packet.
 * k:net/ipv4/ip_input.c ip_rcv, ip_rcv_core, ip_rcv_finish, ip_rcv_finish_core, ip_local_deliver.
 *
 *   ip_rcv -> ip_rcv_core -> PREROUTING -> ip_rcv_finish -> l3mdev_ip_rcv -> ip_route_input -> dst_input
 */

import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { PacketFlag } from "../../../runtime/batch.ts";
import { IcmpType } from "../../../runtime/net/icmp.ts";
import { RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { DropReason, Verdict } from "../../../runtime/verdict.ts";
import {
  add,
  and,
  call,
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
  ret,
  run,
  type Step,
  select,
  set,
  sub,
  tail,
  trace,
  when,
} from "../ir.ts";
import { IP_FAST_CSUM } from "./checksum.ts";
import {
  type Context,
  callNet,
  drop,
  hasFlag,
  icmpSend,
  ifindexOf,
  KFREE_SKB,
  proc,
  readColumn,
  runNet,
  writeColumn,
} from "./context.ts";
import { HEADER, IPHDR_BYTES, iphdr, isFragment } from "./in.ts";
import { nfHook } from "./netfilter/hook.ts";
import { REFUSE_HEADER } from "./output.ts";
import { ROUTED } from "./route_input.ts";
import { DstInput, dev, doredirect, dstInput, dstType, iif, l3, l3slave, PacketType, pktType } from "./skb.ts";
import { writeExtent } from "./verdict.ts";

const reason = local("reason");
const input = local("in");

/** What `ip_rcv_core` returns for a good packet: no drop reason has this number. */
const ACCEPTED = -1;

export function ipRcv(context: Context): Proc {
  const body: Step[] = [
    writeColumn("l3", l3),
    set(reason, call(IP_RCV_CORE, [])),
    when(ne(reason, ACCEPTED), [run(KFREE_SKB, [reason]), ret()]),
    guard(l3, IPHDR_BYTES, drop(DropReason.IP_INHDR)),
    ...nfHook(context, "prerouting", 4, [ifindexOf(dev), 0]),
    runNet(context, "ip_rcv_finish"),
    ret(),
  ];
  return proc(context.name("ip_rcv"), { comment: "ip_rcv (net/ipv4/ip_input.c)" }, body);
}

const IP_RCV_CORE = "ip_rcv_core";

/** The checks, in the kernel's order: a DropReason or ACCEPTED. Then padding is cut off: `tail` is the end of the IP packet. */
export function ipRcvCore(): Proc {
  const refuse = (reason: DropReason): Step[] => [ret(reason)];
  const length = local("length");
  const body: Step[] = [
    when(eq(pktType, PacketType.OTHERHOST), refuse(DropReason.OTHERHOST)),
    guard(l3, IPHDR_BYTES, refuse(DropReason.IP_INHDR)),
    set(length, iphdr.length),
    when(or(lt(length, IPHDR_BYTES), ne(iphdr.version, 4)), refuse(DropReason.IP_INHDR)),
    when(lt(sub(tail, l3), length), refuse(DropReason.IP_INHDR)),
    when(call(IP_FAST_CSUM, []), refuse(DropReason.IP_CSUM)),
    when(lt(sub(tail, l3), iphdr.totalLength), refuse(DropReason.PKT_TOO_SMALL)),
    when(lt(iphdr.totalLength, length), refuse(DropReason.IP_INHDR)),
    set(tail, add(l3, iphdr.totalLength)),
    set(iif, dev),
    set(l3slave, 0),
    set(doredirect, 0),
    ret(ACCEPTED),
  ];
  return proc(IP_RCV_CORE, { comment: "ip_rcv_core (net/ipv4/ip_input.c)", result: "i32" }, body);
}

export function ipRcvFinish(context: Context): Proc {
  const group = or(eq(pktType, PacketType.BROADCAST), eq(pktType, PacketType.MULTICAST));
  const groupRoute = or(eq(dstType, RouteTypeCode.multicast), eq(dstType, RouteTypeCode.broadcast));
  const body: Step[] = [
    guard(l3, IPHDR_BYTES, drop(DropReason.IP_INHDR)),
    // Before the VRF takes over: IPv4 routes by the slave.
    set(input, dev),
    when(callNet(context, "l3mdev_ip_rcv"), [ret()]),
    // What this host looped back to itself knows where it goes.
    when(eq(dstInput, DstInput.NONE), [
      set(reason, callNet(context, "ip_route_input_noref", input)),
      when(ne(reason, ROUTED), [run(KFREE_SKB, [reason]), ret()]),
    ]),
    when(gt(iphdr.length, IPHDR_BYTES), ipRcvOptions),
    when(and(group, eqz(groupRoute)), [
      when(hasFlag(input, "DROP_UNICAST_IN_L2_MULTICAST"), drop(DropReason.UNICAST_IN_L2_MULTICAST)),
    ]),
    ...dstInputSteps(context),
    ret(),
  ];
  return proc(
    context.name("ip_rcv_finish"),
    { comment: "ip_rcv_finish, ip_rcv_finish_core (net/ipv4/ip_input.c)" },
    body,
  );
}

/** ip_rcv_options: the host has read the options; it knows where a parameter problem points to. accept_source_route is off. */
const ipRcvOptions: Step[] = [
  when(and(readColumn("flags"), PacketFlag.OPTIONS_INVALID), icmpSend(IcmpType.PARAMETER_PROBLEM, 0, 0)),
  when(and(readColumn("flags"), PacketFlag.OPTIONS_SOURCE_ROUTE), drop(DropReason.NOT_SPECIFIED)),
];

/** Entry LOCAL_IN: the second half of ip_local_deliver, of a packet that ip_defrag has put together. */
export function ipLocalDeliverWhole(context: Context): Proc {
  const body: Step[] = [
    when(call(REFUSE_HEADER, []), [ret()]),
    set(dev, callNet(context, "dev_get_by_index", readColumn("device"))),
    when(eqz(dev), drop(DropReason.DEVICE_DOWN)),
    guard(l3, IPHDR_BYTES, drop(DropReason.IP_INHDR)),
    ...nfHook(context, "input", 4, [ifindexOf(dev), 0]),
    ...deliver(0),
    ret(),
  ];
  return proc(context.name("ip_local_deliver_whole"), { comment: "ip_local_deliver (net/ipv4/ip_input.c)" }, body);
}

/** dst_input */
const dstInputSteps = (context: Context): Step[] => [
  when(eq(dstInput, DstInput.FORWARD), [runNet(context, "ip_forward"), ret()]),
  when(eq(dstInput, DstInput.LOCAL), [runNet(context, "ip_local_deliver"), ret()]),
  when(eq(dstInput, DstInput.ERROR), [runNet(context, "ip_error"), ret()]),
  ...drop(DropReason.NOT_SPECIFIED),
];

/** A fragment goes to the host as it is: INPUT is passed by the whole packet. */
export function ipLocalDeliver(context: Context): Proc {
  // inet_sdif: the device below the VRF; a packet that the VRF sent to itself came in by the VRF.
  const sdif = select(l3slave, ifindexOf(iif), 0);
  const body: Step[] = [
    trace(TraceEvent.ip_local_deliver, [ifindexOf(dev), sdif]),
    when(eqz(isFragment), nfHook(context, "input", 4, [ifindexOf(dev), 0])),
    ...deliver(sdif),
    ret(),
  ];
  const comment = "ip_local_deliver (net/ipv4/ip_input.c)";
  return proc(context.name("ip_local_deliver"), { comment, requires: HEADER }, body);
}

/** Verdict LOCAL. */
const deliver = (sdif: Operand): Step[] => [
  writeColumn("verdict", Verdict.LOCAL),
  writeColumn("skbDevice", ifindexOf(dev)),
  writeColumn("sdif", sdif),
  ...writeExtent(l3),
];
