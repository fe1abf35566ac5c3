/**
 * Routing a received packet.
 * k:net/ipv4/route.c ip_route_input_noref, ip_route_input_rcu, ip_route_input_slow, ip_route_input_mc, __mkroute_input, ip_error.
 *
 *   ip_route_input_noref -> multicast: ip_route_input_mc
 *                        -> ip_route_input_slow -> broadcast, local: fib_validate_source -> dst.input = ip_local_deliver
 *                                               -> unicast: __mkroute_input -> fib_validate_source -> dst.input = ip_forward
 *                                               -> no route: dst.input = ip_error
 *
 * Each proc returns ROUTED, and then the packet has a dst, or the DropReason for which it is dropped.
 */

import { NEXT_HOP } from "../../../runtime/abi/fib.ts";
import { IcmpType, Unreachable } from "../../../runtime/net/icmp.ts";
import { IpProtocol } from "../../../runtime/net/ipv4.ts";
import { RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { DropReason, Errno } from "../../../runtime/verdict.ts";
import {
  and,
  type Expr,
  eq,
  eqz,
  i32,
  local,
  ne,
  type Operand,
  or,
  type Proc,
  ret,
  run,
  type Step,
  select,
  set,
  when,
} from "../ir.ts";
import { type Context, callNet, drop, field, hasFlag, icmpSend, ifindexOf, proc } from "./context.ts";
import { localDst, loopbackDev, noteLookup, noteRoute, RT_SET_NEXTHOP, TRACE_ROUTE } from "./dst.ts";
import { lookupKind } from "./fib_rules.ts";
import { dissect, flowi4 } from "./flow.ts";
import {
  HEADER,
  IGMP_ALL_HOSTS,
  iphdr,
  isLbcast,
  isLocalMulticast,
  isLoopback,
  isMulticast,
  isZeronet,
  routingTos,
} from "./in.ts";
import { l3mdevMaster } from "./l3mdev.ts";
import { isMultipath, setPacketHash } from "./multipath.ts";
import {
  DstInput,
  DstOutput,
  dev,
  doredirect,
  dstDev,
  dstError,
  dstInput,
  dstOutput,
  dstType,
  flTos,
  iif,
  mark,
  resAlias,
  resHop,
  resType,
} from "./skb.ts";
import { ONLINK, refused } from "./source.ts";

/** No drop reason has this number. */
export const ROUTED = -1;

const input = local("in");
const saddr = local("saddr");
const daddr = local("daddr");
const err = local("err");
const alias = local("alias");
const hop = local("hop");
const out = local("out");
const type = local("type");
const hash = local("hash");

const routed = ret(ROUTED);
const refuse = (reason: DropReason): Step[] => [ret(reason)];
/** 127/8 is not for the wire, unless the device says so. */
const isConfined = (address: Operand): Expr => and(isLoopback(address), eqz(hasFlag(input, "ROUTE_LOCALNET")));
const isGroupSource: Expr = or(isMulticast(saddr), isLbcast(saddr));

/** `ip_route_input_noref(in)`: `in` is the DEVICE that received the packet, also when a VRF has taken it over meanwhile. */
export function ipRouteInputNoref(context: Context): Proc {
  const body: Step[] = [
    set(flTos, routingTos),
    when(isMulticast(iphdr.daddr), [ret(callNet(context, "ip_route_input_mc", input))]),
    ret(callNet(context, "ip_route_input_slow", input)),
  ];
  const comment = "ip_route_input_noref, ip_route_input_rcu (net/ipv4/route.c)";
  return proc(
    context.name("ip_route_input_noref"),
    { comment, params: [input], result: "i32", requires: HEADER },
    body,
  );
}

/** Of the groups, only all-hosts is joined without a socket's asking, by every device that is up: the receiving one, or its VRF. */
export function ipRouteInputMc(context: Context): Proc {
  const joined = and(eq(daddr, IGMP_ALL_HOSTS), ne(or(hasFlag(input, "UP"), hasFlag(dev, "UP")), 0));
  const mayComeFromNobody = or(isLocalMulticast(daddr), eq(iphdr.protocol, IpProtocol.IGMP));
  const body: Step[] = [
    ...noteRoute(0, RouteTypeCode.multicast),
    set(saddr, iphdr.saddr),
    set(daddr, iphdr.daddr),
    when(eqz(joined), refuse(DropReason.NOT_JOINED)),
    when(or(isGroupSource, isConfined(saddr)), refuse(DropReason.MARTIAN_SOURCE)),
    when(
      isZeronet(saddr),
      [when(eqz(mayComeFromNobody), refuse(DropReason.MARTIAN_SOURCE))],
      validate(context, i32(0), i32(0)),
    ),
    set(dstDev, loopbackDev(context.layout)),
    ...localDst(RouteTypeCode.multicast),
    routed,
  ];
  const comment = "ip_route_input_mc, ip_mc_validate_source (net/ipv4/route.c)";
  return proc(context.name("ip_route_input_mc"), { comment, params: [input], result: "i32", requires: HEADER }, body);
}

/** Source validation; drop_error of ip_rcv_finish_core tells its errors apart. */
const validate = (context: Context, destination: Operand, oif: Operand): Step[] => [
  set(err, callNet(context, "fib_validate_source", saddr, destination, oif, input)),
  when(refused(err), [ret(select(eq(err, Errno.EXDEV), DropReason.IP_RPFILTER, DropReason.MARTIAN_SOURCE))]),
];

/** ip_rt_get_dev: what is for this host goes to the VRF of the address, or to lo. Validation has a result of its own: set before. */
const localDev = (context: Context): Step[] => [
  set(out, l3mdevMaster(field(resHop, NEXT_HOP.device))),
  set(dstDev, select(out, out, loopbackDev(context.layout))),
];

export function ipRouteInputSlow(context: Context): Proc {
  const broadcast: Step[] = [ret(callNet(context, "brd_input", input))];
  const forwards = hasFlag(input, "FORWARDING");
  const noRoute = (error: Operand): Step[] => [
    ...localDst(RouteTypeCode.unreachable, DstInput.ERROR),
    set(dstError, error),
    routed,
  ];
  const body: Step[] = [
    set(saddr, iphdr.saddr),
    set(daddr, iphdr.daddr),
    when(isGroupSource, refuse(DropReason.MARTIAN_SOURCE)),
    when(or(isLbcast(daddr), eqz(or(saddr, daddr))), [
      ...noteRoute(0, RouteTypeCode.broadcast),
      set(dstDev, loopbackDev(context.layout)),
      ...broadcast,
    ]),
    when(isZeronet(saddr), refuse(DropReason.MARTIAN_SOURCE)),
    when(or(isZeronet(daddr), isConfined(daddr)), refuse(DropReason.MARTIAN_DESTINATION)),
    when(and(isConfined(saddr), eqz(isLoopback(daddr))), refuse(DropReason.MARTIAN_SOURCE)),
    ...flowi4({ saddr, daddr, tos: flTos, iif: ifindexOf(input), mark }),
    ...dissect(context),
    set(err, callNet(context, "fib_lookup", lookupKind("input"))),
    ...noteLookup,
    when(err, noRoute(select(forwards, err, Errno.EHOSTUNREACH))),
    set(type, resType),
    when(eq(type, RouteTypeCode.local), [
      ...localDev(context),
      ...validate(context, daddr, 0),
      ...localDst(RouteTypeCode.local),
      routed,
    ]),
    when(
      eq(type, RouteTypeCode.broadcast),
      [when(eqz(hasFlag(input, "BC_FORWARDING")), [...localDev(context), ...broadcast])],
      [
        when(eqz(forwards), noRoute(Errno.EHOSTUNREACH)),
        when(ne(type, RouteTypeCode.unicast), refuse(DropReason.MARTIAN_DESTINATION)),
      ],
    ),
    ret(callNet(context, "ip_mkroute_input", input)),
  ];
  const comment = "ip_route_input_slow (net/ipv4/route.c)";
  return proc(context.name("ip_route_input_slow"), { comment, params: [input], result: "i32", requires: HEADER }, body);
}

/** Limited and subnet broadcasts are for this host, if their source is good. */
export function brdInput(context: Context): Proc {
  const body: Step[] = [
    set(saddr, iphdr.saddr),
    when(eqz(isZeronet(saddr)), validate(context, 0, 0)),
    ...localDst(RouteTypeCode.broadcast),
    routed,
  ];
  const comment = "ip_route_input_slow, brd_input (net/ipv4/route.c)";
  return proc(context.name("brd_input"), { comment, params: [input], result: "i32", requires: HEADER }, body);
}

/** The look-up's result becomes the packet's dst, if its source is good. */
export function ipMkrouteInput(context: Context): Proc {
  const body: Step[] = [
    set(saddr, iphdr.saddr),
    when(isMultipath, [...setPacketHash(context, hash), run("fib_select_multipath", [hash])]),
    // Source validation has a result of its own.
    set(alias, resAlias),
    set(hop, resHop),
    set(type, resType),
    set(out, field(hop, NEXT_HOP.device)),
    ...validate(context, iphdr.daddr, ifindexOf(out)),
    // The sender is a neighbour on the same link as the next hop: it could have sent there itself.
    when(and(eq(out, input), eq(err, ONLINK)), [when(hasFlag(input, "SEND_REDIRECTS"), [set(doredirect, 1)])]),
    set(dstInput, DstInput.FORWARD),
    set(dstOutput, DstOutput.IP),
    set(dstDev, out),
    set(dstType, type),
    run(RT_SET_NEXTHOP, [alias, hop]),
    run(TRACE_ROUTE, [saddr]),
    routed,
  ];
  const comment = "ip_mkroute_input, __mkroute_input (net/ipv4/route.c)";
  return proc(context.name("ip_mkroute_input"), { comment, params: [input], result: "i32", requires: HEADER }, body);
}

/** The end of a packet without a route: silent, or an ICMP error, as the receiving device forwards or not. */
export function ipError(context: Context): Proc {
  const unreachable = (error: Errno, code: number): Step =>
    when(eq(dstError, error), icmpSend(IcmpType.DEST_UNREACH, code, 0));
  const body: Step[] = [
    set(input, select(hasFlag(dev, "VRF"), iif, dev)),
    when(eqz(hasFlag(input, "FORWARDING")), drop(DropReason.IP_INADDRERRORS)),
    unreachable(Errno.EHOSTUNREACH, Unreachable.HOST),
    unreachable(Errno.ENETUNREACH, Unreachable.NET),
    unreachable(Errno.EACCES, Unreachable.PKT_FILTERED),
    ...drop(DropReason.BLACKHOLE),
  ];
  return proc(context.name("ip_error"), { comment: "ip_error (net/ipv4/route.c)", requires: HEADER }, body);
}
