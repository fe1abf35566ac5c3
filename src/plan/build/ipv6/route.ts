/**
 * Routing an IPv6 flow, in and out: the look-up, and the dst that it gives.
 * k:net/ipv6/route.c ip6_route_input_lookup, ip6_route_output_flags_noref, ip6_create_rt_rcu, ip6_rt_init_dst, ip6_rt_get_dev;
 * drivers/net/vrf.c vrf_link_scope_lookup.
 *
 *   ip6_route_input_lookup | ip6_route_output_flags -> fib6_rule_lookup -> ip6_pol_route for each table
 *                            -> l3mdev_link_scope_lookup: link-local and multicast, bound to a device of a VRF: its table, no rules
 *
 * The flow is in the `fl_*` registers, its addresses as offsets. Afterwards the packet has a dst: the `dst_*` registers, and `res_alias` and
 * `res_hop` are its `from` (0: ip6_null_entry and its like).
 */

import { DEVICE } from "../../../../runtime/abi/device.ts";
import { FIB_ALIAS, NEXT_HOP, Route6Flag } from "../../../../runtime/abi/fib.ts";
import { TraceEvent } from "../../../../runtime/abi/trace.ts";
import { LOOPBACK_IFINDEX } from "../../../../runtime/brand.ts";
import { RouteTypeCode } from "../../../../runtime/net/route-types.ts";
import { Errno } from "../../../../runtime/verdict.ts";
import {
  add,
  and,
  type Expr,
  eq,
  eqz,
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
  trace,
  when,
} from "../../ir.ts";
import { type Context, callNet, field, hasFlag, ifindexOf, proc } from "../context.ts";
import { loopbackDev, noteLookup } from "../dst.ts";
import { err, lookupKind, traceFib } from "../fib_rules.ts";
import { flowi4, requiresDissection } from "../flow.ts";
import { l3mdevMaster } from "../l3mdev.ts";
import {
  DstInput,
  DstOutput,
  dev,
  dstDev,
  dstError,
  dstGateway,
  dstIdev,
  dstInput,
  dstMtu,
  dstOutput,
  dstType,
  flDaddr,
  flIif,
  flOif,
  flSaddr,
  mark,
  resAlias,
  resHop,
  resType,
} from "../skb.ts";
import { lookUpIn6, traceLookup6 } from "./fib6_rules.ts";
import { DISSECT6 } from "./flow_dissector.ts";
import {
  HEADER6,
  ipv6AddrAny,
  ipv6AddrIsLinklocal,
  ipv6AddrIsMulticast,
  ipv6hdr,
  routingTclass,
  rt6NeedStrict,
  word6,
  words6,
} from "./in6.ts";

const kind = local("kind");
const iface = local("iface");
const skb = local("skb");
const device = local("device");
const master = local("master");
const entry = local("entry");
const error = local("error");
const source = local("source");

/** `ip6_route_input()`: routes the packet at `l3`, which `dev` received: a VRF has taken it over by now. */
export function ip6RouteInput(context: Context): Proc {
  const { saddr, daddr, nexthdr } = ipv6hdr;
  const body: Step[] = [
    ...flowi4({ saddr, daddr, tos: routingTclass, iif: ifindexOf(dev), mark, protocol: nexthdr }),
    ...(requiresDissection(context.net, 6) ? [run(DISSECT6)] : []),
    run(context.name("ip6_route_input_lookup"), [1]),
    when(eq(dstInput, DstInput.FORWARD), [run(TRACE_ROUTE6, [flSaddr])]),
    ret(),
  ];
  const comment = "ip6_route_input (net/ipv6/route.c)";
  return proc(context.name("ip6_route_input"), { comment, requires: HEADER6 }, body);
}

/**
 * `ip6_route_input_lookup(skb)`: the route of a received flow; `skb` 0: there is no packet, only a question. Precondition: `fl_iif` is the
 * receiving device. Returns the dst's error.
 */
export function ip6RouteInputLookup(context: Context): Proc {
  const body: Step[] = [
    set(err, callNet(context, "fib6_rule_lookup", lookupKind("input"), rt6NeedStrict(flDaddr), skb)),
    ret(callNet(context, "ip6_create_rt", err)),
  ];
  const comment = "ip6_route_input_lookup (net/ipv6/route.c)";
  return proc(context.name("ip6_route_input_lookup"), { comment, params: [skb], result: "i32" }, body);
}

/**
 * `ip6_route_output_flags(kind, iface)`: the route of a packet of this host; `iface` not 0: only by the device that the flow is bound to
 * (RT6_LOOKUP_F_IFACE). Returns the dst's error.
 */
export function ip6RouteOutputFlags(context: Context): Proc {
  const strict = or(rt6NeedStrict(flDaddr), and(ne(flOif, 0), ipv6AddrAny(flSaddr)));
  const body: Step[] = [
    when(and(ne(flOif, 0), or(ipv6AddrIsMulticast(flDaddr), ipv6AddrIsLinklocal(flDaddr))), [
      set(device, callNet(context, "dev_get_by_index", flOif)),
      set(master, 0),
      when(device, [set(master, l3mdevMaster(device))]),
      when(master, [
        // A VRF device has no link of its own: nothing of link scope is sent by it.
        when(eq(device, master), [set(resAlias, 0), ret(callNet(context, "ip6_create_rt", Errno.ENETUNREACH))]),
        ret(callNet(context, "vrf_ip6_route_lookup", master, flOif)),
      ]),
    ]),
    set(flIif, LOOPBACK_IFINDEX),
    set(err, callNet(context, "fib6_rule_lookup", kind, or(ne(iface, 0), strict), 0)),
    ret(callNet(context, "ip6_create_rt", err)),
  ];
  const comment = "ip6_route_output_flags_noref (net/ipv6/route.c)";
  return proc(context.name("ip6_route_output_flags"), { comment, params: [kind, iface], result: "i32" }, body);
}

/** `vrf_ip6_route_lookup(vrf, ifindex)`: straight in the VRF's table, and only by that device. Returns the dst's error. */
export function vrfIp6RouteLookup(context: Context): Proc {
  const vrf = local("vrf");
  const ifindex = local("ifindex");
  const body: Step[] = [
    traceLookup6(lookupKind("link_scope")),
    ...lookUpIn6(context, entry, vrf),
    // Of a packet of this host, no device is known yet that it came in by.
    set(err, callNet(context, "ip6_pol_route", entry, ifindex, 1, ne(flIif, 0))),
    traceFib(field(vrf, DEVICE.tableId)),
    // The table holds nothing: ip6_null_entry.
    set(err, select(resAlias, err, Errno.ENETUNREACH)),
    trace(TraceEvent.result, [0, select(resAlias, field(resAlias, FIB_ALIAS.route), 0), err]),
    ret(callNet(context, "ip6_create_rt", err)),
  ];
  const comment = "vrf_ip6_route_lookup (drivers/net/vrf.c)";
  return proc(context.name("vrf_ip6_route_lookup"), { comment, params: [vrf, ifindex], result: "i32" }, body);
}

/** `ip6_create_rt(error)`: the result becomes the packet's dst. Returns the error. */
export function ip6CreateRt(context: Context): Proc {
  const flags = field(resAlias, FIB_ALIAS.flags);
  const ownAddress = or(eq(resType, RouteTypeCode.local), eq(resType, RouteTypeCode.anycast));
  const input = select(
    ownAddress,
    DstInput.LOCAL,
    select(and(flags, Route6Flag.MULTICAST), DstInput.MULTICAST, DstInput.FORWARD),
  );
  const body: Step[] = [
    set(dstError, error),
    set(dstInput, DstInput.ERROR),
    set(dstOutput, DstOutput.IP),
    set(dstDev, loopbackDev(context.layout)),
    set(dstIdev, dstDev),
    set(dstGateway, 0),
    set(dstMtu, 0),
    set(dstType, RouteTypeCode.unspec),
    ...noteLookup,
    when(resAlias, [
      when(eqz(error), [set(dstInput, input)]),
      set(dstType, resType),
      set(dstMtu, field(resAlias, FIB_ALIAS.mtu)),
      when(field(resHop, NEXT_HOP.family), [set(dstGateway, resHop)]),
      ...ip6RtGetDev(context),
    ]),
    ret(error),
  ];
  const comment = "ip6_create_rt_rcu, ip6_rt_init_dst (net/ipv6/route.c)";
  return proc(context.name("ip6_create_rt"), { comment, params: [error], result: "i32" }, body);
}

/** ip6_rt_get_dev: what is for this host goes to the VRF of the address, or to lo. */
function ip6RtGetDev(context: Context): Step[] {
  const flags = field(resAlias, FIB_ALIAS.flags);
  const isMasterOrLoopback: Expr = or(hasFlag(dstDev, "LOOPBACK"), hasFlag(dstDev, "VRF"));
  const hasMaster = and(eqz(and(flags, Route6Flag.NEED_STRICT)), ne(field(dstDev, DEVICE.master), 0));
  return [
    set(dstDev, field(resHop, NEXT_HOP.device)),
    set(dstIdev, dstDev),
    set(dstIdev, dstDev),
    when(and(ne(and(flags, Route6Flag.OWN_ADDRESS), 0), eqz(isMasterOrLoopback)), [
      set(dstDev, select(hasMaster, field(dstDev, DEVICE.master), loopbackDev(context.layout))),
    ]),
  ];
}

export const TRACE_ROUTE6 = "trace_route6";

/** `trace_route6(source)`: the dst that the look-up settled on. A proc of the trace alone: empty in the hot build. */
export function traceRoute6(): Proc {
  const word = (at: number): Operand => select(dstGateway, word6(dstGateway, NEXT_HOP.gateway + at), 0);
  const family = select(dstGateway, 6, 0);
  const body: Step[] = [
    trace(TraceEvent.route6, [ifindexOf(dstDev), family, word(0), word(4), word(8), word(12), ...words6(source)]),
    ret(),
  ];
  return proc(TRACE_ROUTE6, { comment: "the route, traced", params: [source] }, body);
}

/** The next hop of the dst, an address: its gateway, or the destination itself (rt6_nexthop). */
export const rt6Nexthop = (daddr: Operand): Expr => select(dstGateway, add(dstGateway, NEXT_HOP.gateway), daddr);
