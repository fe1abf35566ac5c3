/**
 * The dst of a packet (`struct rtable`): where a routed packet goes, in the `dst_*` registers.
 * k:net/ipv4/route.c rt_dst_alloc, rt_set_nexthop, rt_nexthop; include/net/ip.h ip_dst_mtu_maybe_forward.
 */

import { Scope } from "../../../dsl/model.ts";
import { DEVICE } from "../../../runtime/abi/device.ts";
import { FIB_ALIAS, NEXT_HOP } from "../../../runtime/abi/fib.ts";
import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { LOOPBACK_IFINDEX } from "../../../runtime/brand.ts";
import type { NetLayout } from "../../layout.ts";
import {
  add,
  and,
  eq,
  local,
  lt,
  ne,
  type Operand,
  type Proc,
  ret,
  type Step,
  select,
  set,
  trace,
  when,
} from "../ir.ts";
import { addressField, field, ifindexOf, proc, routeOf, writeColumn } from "./context.ts";
import { DstInput, dstDev, dstGateway, dstInput, dstMtu, dstType, nhAddress, nhFamily, resAlias } from "./skb.ts";

const alias = local("alias");
const hop = local("hop");

export const RT_SET_NEXTHOP = "rt_set_nexthop";

/** `rt_set_nexthop(alias, hop)`: gateway and MTU of the dst. A gateway counts when it is a neighbour; alias 0: no route, no gateway. */
export function rtSetNexthop(): Proc {
  const isNeighbour = and(ne(field(hop, NEXT_HOP.family), 0), eq(field(hop, NEXT_HOP.scope), Scope.LINK));
  const body: Step[] = [
    set(dstGateway, 0),
    set(dstMtu, 0),
    when(alias, [set(dstMtu, field(alias, FIB_ALIAS.mtu)), when(isNeighbour, [set(dstGateway, hop)])]),
    ret(),
  ];
  return proc(RT_SET_NEXTHOP, { comment: "rt_set_nexthop (net/ipv4/route.c)", params: [alias, hop] }, body);
}

/** The dst of a packet that is for this host, or for ip_error. */
export const localDst = (type: Operand, input: Operand = DstInput.LOCAL): Step[] => [
  set(dstInput, input),
  set(dstType, type),
];

export const RT_NEXTHOP = "rt_nexthop";

/** `rt_nexthop(daddr)`: the next hop of the dst, into the `nh_*` registers: its gateway, or the destination itself. */
export function rtNexthop(): Proc {
  const daddr = local("daddr");
  const body: Step[] = [
    set(nhFamily, 4),
    set(nhAddress, daddr),
    when(dstGateway, [
      set(nhFamily, field(dstGateway, NEXT_HOP.family)),
      set(
        nhAddress,
        select(eq(nhFamily, 4), addressField(dstGateway, NEXT_HOP.gateway), add(dstGateway, NEXT_HOP.gateway)),
      ),
    ]),
    ret(),
  ];
  return proc(RT_NEXTHOP, { comment: "rt_nexthop (include/net/route.h)", params: [daddr] }, body);
}

const IP_MAX_MTU = 0xffff;

export const IP_DST_MTU = "ip_dst_mtu";

/** Without path MTU discovery: a route's MTU counts even above the device's. */
export function ipDstMtu(): Proc {
  const mtu = local("mtu");
  const body: Step[] = [
    set(mtu, select(dstMtu, dstMtu, field(dstDev, DEVICE.mtu))),
    ret(select(lt(mtu, IP_MAX_MTU), mtu, IP_MAX_MTU)),
  ];
  return proc(IP_DST_MTU, { comment: "ip_dst_mtu_maybe_forward (include/net/ip.h)", result: "i32" }, body);
}

export const TRACE_ROUTE = "trace_route";

/** `trace_route(source)`: the dst that the look-up settled on. A proc of the trace alone: empty in the hot build. */
export function traceRoute(): Proc {
  const source = local("source");
  const family = select(dstGateway, field(dstGateway, NEXT_HOP.family), 0);
  const word = (at: number) => addressField(dstGateway, NEXT_HOP.gateway + at);
  const first = select(dstGateway, word(0), 0);
  // Behind an IPv4 gateway stands what the short way remembers.
  const others = [4, 8, 12].map((at) => select(eq(family, 6), word(at), 0));
  const body: Step[] = [trace(TraceEvent.route, [ifindexOf(dstDev), family, first, ...others, source]), ret()];
  return proc(TRACE_ROUTE, { comment: "the route, traced", params: [source] }, body);
}

/** Columns `route` and `routeType`: what decided, as long as nothing later does. */
export const noteRoute = (route: Operand, type: Operand): Step[] => [writeColumn("route", route), noteType(type)];
export const noteType = (type: Operand): Step => writeColumn("routeType", type);
/** After a look-up: the route that it found, or that refused, or none. */
export const noteLookup: Step[] = noteRoute(routeOf(resAlias), select(resAlias, field(resAlias, FIB_ALIAS.type), 0));

/** DEVICE of lo. */
export const loopbackDev = (layout: NetLayout): number => layout.devices.get(LOOPBACK_IFINDEX)!;
