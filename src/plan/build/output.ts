/**
 * Sending an IPv4 packet.
 * k:net/ipv4/ip_output.c __ip_local_out, ip_output, ip_mc_output, ip_finish_output, ip_finish_output2, ip_fragment;
 * net/ipv4/raw.c raw_sendmsg.
 *
 *   raw_sendmsg -> ip_route_output_key -> ip_local_out -> l3mdev_ip_out -> LOCAL_OUT -> dst_output -> ip_output
 *   -> POSTROUTING -> ip_finish_output -> ip_finish_output2 -> neighbour -> dev_queue_xmit
 */

import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { PacketFlag, SOURCE_IN_SLOT } from "../../../runtime/batch.ts";
import { IcmpType, Unreachable } from "../../../runtime/net/icmp.ts";
import { IpProtocol } from "../../../runtime/net/ipv4.ts";
import { RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { DropReason, Errno, Verdict } from "../../../runtime/verdict.ts";
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
  packet,
  put,
  ret,
  run,
  type Step,
  select,
  set,
  store,
  sub,
  tail,
  trace,
  unary,
  when,
} from "../ir.ts";
import { ipSendCheck } from "./checksum.ts";
import {
  type Context,
  callNet,
  drop,
  hasFlag,
  icmpSend,
  ifindexOf,
  ifindexOrZero,
  KFREE_SKB,
  proc,
  readColumn,
  runNet,
  writeColumn,
} from "./context.ts";
import { IP_DST_MTU, RT_NEXTHOP } from "./dst.ts";
import { lookupKind } from "./fib_rules.ts";
import { DISSECT, flowi4 } from "./flow.ts";
import { exceedsMtu } from "./forward.ts";
import { HEADER, IP_OFFSET, IPHDR_BYTES, iphdr, isMulticast, routingTos } from "./in.ts";
import { whenIpv6 } from "./ipv6/af_inet6.ts";
import { nfHook, nfHookClone } from "./netfilter/hook.ts";
import { sending, skBound, skOwner } from "./netfilter/registers.ts";
import {
  DstOutput,
  dev,
  dstDev,
  dstOutput,
  dstType,
  FlowFlag,
  flDaddr,
  flDport,
  flOif,
  flSaddr,
  l3,
  mark,
  slot,
} from "./skb.ts";
import { LEAVE, WRITE_NEXT_HOP } from "./verdict.ts";

const err = local("err");
const bound = local("bound");
const flags = local("flags");
const indev = local("indev");
const mtu = local("mtu");
const output = lookupKind("output");

/** Entry OUTPUT: routes the packet, fills in its source, and sends it. */
export function rawSendmsg(context: Context): Proc {
  const body: Step[] = [
    whenIpv6([runNet(context, "rawv6_sendmsg"), ret()]),
    when(call(REFUSE_HEADER, []), [ret()]),
    guard(l3, IPHDR_BYTES, drop(DropReason.IP_INHDR)),
    ...socketFlow(context),
    set(err, callNet(context, "ip_route_output_key", output)),
    when(err, sendError(err)),
    ...skbSetOwnerW,
    when(exceedsMtu(call(IP_DST_MTU, [])), sendError(Errno.EMSGSIZE)),
    // ip_copy_addrs: those that were 0.
    put(l3, 12, 4, flSaddr),
    put(l3, 16, 4, flDaddr),
    runNet(context, "ip_local_out"),
    ret(),
  ];
  return proc(context.name("raw_sendmsg"), { comment: "raw_sendmsg (net/ipv4/raw.c)" }, body);
}

/** Entry LOOKUP: the route that connect() would find. */
export function ipRouteConnect(context: Context): Proc {
  const place = add(slot, SOURCE_IN_SLOT);
  const body: Step[] = [
    whenIpv6([runNet(context, "ip6_lookup"), ret()]),
    when(call(REFUSE_HEADER, []), [ret()]),
    guard(l3, IPHDR_BYTES, drop(DropReason.IP_INHDR)),
    ...socketFlow(context),
    set(err, callNet(context, "ip_route_output_key", output)),
    when(err, sendError(err)),
    writeColumn("verdict", Verdict.FOUND),
    writeColumn("outDevice", ifindexOf(dstDev)),
    run(RT_NEXTHOP, [flDaddr]),
    run(WRITE_NEXT_HOP),
    store("batch", 4, place, 0, unary("bswap32", flSaddr)),
    writeColumn("source", place),
    ret(),
  ];
  return proc(context.name("ip_route_connect"), { comment: "ip_route_connect (include/net/route.h)" }, body);
}

/** sock_alloc_send_skb, skb_set_owner_w: a packet of a socket, whose call to send is under way. */
export const skbSetOwnerW: readonly Step[] = [
  set(skOwner, eqz(and(readColumn("flags"), PacketFlag.KERNEL_SOCKET))),
  set(sending, 1),
  set(skBound, select(and(readColumn("flags"), PacketFlag.OIF_UNBOUND), 0, readColumn("device"))),
];

/** A send that fails before any hook, or a look-up without a route. */
export const sendError = (error: Operand): Step[] => [
  writeColumn("verdict", Verdict.SEND_ERROR),
  writeColumn("error", error),
  trace(TraceEvent.send_error, [error]),
  ret(),
];

export const REFUSE_HEADER = "refuse_header";

/** Sets `l3` to the start of the host's packet; 1, with a verdict, when that is something else than an IPv4 packet. */
export function refuseHeader(): Proc {
  const invalid: Step[] = [run(KFREE_SKB, [DropReason.IP_INHDR]), ret(1)];
  const badLength = or(lt(iphdr.length, IPHDR_BYTES), gt(iphdr.length, sub(tail, l3)));
  const body: Step[] = [
    set(l3, readColumn("data")),
    guard(l3, IPHDR_BYTES, invalid),
    when(or(ne(iphdr.version, 4), badLength), invalid),
    writeColumn("l3", l3),
    ret(0),
  ];
  return proc(REFUSE_HEADER, { comment: "the host's packet is IPv4", result: "i32" }, body);
}

/** A multicast leaves by the socket's multicast device (none here), not by the VRF that the socket is bound to. */
function socketFlow(context: Context): Step[] {
  const { saddr, daddr, protocol } = iphdr;
  return [
    set(bound, readColumn("device")),
    when(isMulticast(daddr), [
      set(flOif, callNet(context, "dev_get_by_index", bound)),
      when(flOif, [when(hasFlag(flOif, "VRF"), [set(bound, 0)])]),
    ]),
    set(flags, select(and(readColumn("flags"), PacketFlag.ANYSRC), FlowFlag.ANYSRC, 0)),
    ...flowi4({ saddr, daddr, tos: routingTos, protocol, oif: bound, uid: readColumn("uid"), mark, flags }),
    run(SOCKET_PORTS),
  ];
}

const SOCKET_PORTS = "socket_ports";

/** Ports of a flow of TCP or UDP; one of ICMP keeps type and code where others have the destination port. */
export function socketPorts(): Proc {
  const icmp = local("icmp");
  const body: Step[] = [
    when(eq(iphdr.protocol, IpProtocol.ICMP), [
      when(and(iphdr.fragment, IP_OFFSET), [ret()]),
      set(icmp, add(l3, iphdr.length)),
      guard(icmp, 2, [ret()]),
      set(flDport, packet(icmp, 0, 2)),
      ret(),
    ]),
    when(or(eq(iphdr.protocol, IpProtocol.TCP), eq(iphdr.protocol, IpProtocol.UDP)), [run(DISSECT)]),
    ret(),
  ];
  return proc(SOCKET_PORTS, { comment: "fl4_sport, fl4_dport, fl4_icmp_type, fl4_icmp_code", requires: HEADER }, body);
}

/** A packet of this host, routed: header finished, VRF passed through, LOCAL_OUT, and out. */
export function ipLocalOut(context: Context): Proc {
  const body: Step[] = [
    put(l3, 2, 2, sub(tail, l3)),
    ...ipSendCheck,
    when(callNet(context, "l3mdev_ip_out"), [ret()]),
    ...nfHook(context, "output", 4, [0, ifindexOf(dstDev)]),
    runNet(context, "dst_output"),
    ret(),
  ];
  return proc(
    context.name("ip_local_out"),
    { comment: "__ip_local_out (net/ipv4/ip_output.c)", requires: HEADER },
    body,
  );
}

export function dstOutputProc(context: Context): Proc {
  const outputs = (indev: Operand): Step[] => [runNet(context, "ip_output", indev), ret()];
  const copy = nfHookClone(context, 4, ifindexOf(dstDev));
  const body: Step[] = [
    when(eq(dstOutput, DstOutput.IP), outputs(ifindexOrZero(dev))),
    when(eq(dstOutput, DstOutput.VRF), [runNet(context, "vrf_output"), ret()]),
    // ip_mc_output: this host gets a copy, which passes POSTROUTING too. A multicast with TTL 0 must not leave.
    set(dev, dstDev),
    ...copy.steps,
    when(copy.accepted, [writeColumn("flags", or(readColumn("flags"), PacketFlag.LOOP_BACK))]),
    when(eq(dstType, RouteTypeCode.multicast), [when(eqz(iphdr.ttl), drop(DropReason.NOT_SPECIFIED))]),
    ...outputs(0),
  ];
  return proc(
    context.name("dst_output"),
    { comment: "dst_output (include/net/dst.h), ip_mc_output", requires: HEADER },
    body,
  );
}

/** `ip_output(indev)`: POSTROUTING sees the ifindex `indev` as in device. */
export function ipOutput(context: Context): Proc {
  const body: Step[] = [
    set(dev, dstDev),
    ...nfHook(context, "postrouting", 4, [indev, ifindexOf(dev)]),
    set(mtu, call(IP_DST_MTU, [])),
    run(RT_NEXTHOP, [iphdr.daddr]),
    when(gt(sub(tail, l3), mtu), ipFragment),
    runNet(context, "ip_finish_output2", dstDev),
    ret(),
  ];
  const comment = "ip_output, ip_finish_output (net/ipv4/ip_output.c)";
  return proc(context.name("ip_output"), { comment, params: [indev], requires: HEADER }, body);
}

/** ip_fragment: too large for the device. The host cuts it, unless that is forbidden. */
const ipFragment: Step[] = [
  when(exceedsMtu(mtu), icmpSend(IcmpType.DEST_UNREACH, Unreachable.FRAG_NEEDED, mtu)),
  trace(TraceEvent.ip_fragment, [ifindexOf(dstDev), mtu]),
  writeColumn("info", mtu),
  run(LEAVE, [Verdict.FRAGMENT, dstDev]),
  ret(),
];
