/**
 * Routing a packet of this host, or one that a VRF device was given to send.
 * k:net/ipv4/route.c ip_route_output_key_hash_rcu, __mkroute_output; net/ipv4/fib_semantics.c fib_select_path.
 */

import { DEVICE } from "../../../runtime/abi/device.ts";
import { FIB_ALIAS, NEXT_HOP } from "../../../runtime/abi/fib.ts";
import { IpProtocol } from "../../../runtime/net/ipv4.ts";
import { RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { Errno } from "../../../runtime/verdict.ts";
import {
  and,
  eq,
  eqz,
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
  when,
} from "../ir.ts";
import { type Context, callNet, field, hasFlag, proc } from "./context.ts";
import { loopbackDev, noteLookup, noteRoute, noteType, RT_SET_NEXTHOP, TRACE_ROUTE } from "./dst.ts";
import {
  IGMP_ALL_HOSTS,
  INADDR_LOOPBACK,
  isLbcast,
  isLocalMulticast,
  isLoopback,
  isMulticast,
  isZeronet,
} from "./in.ts";
import { l3mdevMaster } from "./l3mdev.ts";
import { flowHash, isMultipath } from "./multipath.ts";
import {
  DstInput,
  DstOutput,
  dstDev,
  dstInput,
  dstOutput,
  dstType,
  FlowFlag,
  flDaddr,
  flFlags,
  flL3mdev,
  flOif,
  flProto,
  flSaddr,
  resAlias,
  resHop,
  resPrefixLength,
  resType,
} from "./skb.ts";

const kind = local("kind");
const bound = local("bound");
const out = local("out");
const err = local("err");
const alias = local("alias");
const found = local("found");
const type = local("type");
const loopsBack = local("loops_back");

const fails = (error: Errno): Step[] => [ret(error)];

/**
 * `ip_route_output_key(kind)`: routes the flow; 0 and the packet has a dst, or an errno. `fl_saddr` is filled in where it is 0,
 * `fl_daddr` too. `kind`: for whom, of LOOKUPS.
 */
export function ipRouteOutputKey(context: Context): Proc {
  const body: Step[] = [
    set(err, callNet(context, "ip_route_output_key_hash_rcu", kind)),
    when(eqz(err), [run(TRACE_ROUTE, [flSaddr])]),
    ret(err),
  ];
  const comment = "__ip_route_output_key (include/net/route.h)";
  return proc(context.name("ip_route_output_key"), { comment, params: [kind], result: "i32" }, body);
}

export function ipRouteOutputKeyHashRcu(context: Context): Proc {
  const mkroute = (alias: Operand, out: Operand, found: Operand): Step =>
    ret(callNet(context, "__mkroute_output", alias, out, found));
  const lo = loopbackDev(context.layout);
  const isGroup = or(isMulticast(flDaddr), isLbcast(flDaddr));
  const source = (offset: number): Step => set(flSaddr, field(bound, offset));
  const body: Step[] = [
    ...noteRoute(0, 0),
    when(flSaddr, [
      when(or(isMulticast(flSaddr), isLbcast(flSaddr)), fails(Errno.EINVAL)),
      when(and(eqz(flOif), isGroup), [
        set(out, callNet(context, "ip_dev_find", flSaddr)),
        when(eqz(out), fails(Errno.ENETUNREACH)),
        mkroute(0, out, RouteTypeCode.unicast),
      ]),
      when(eqz(and(flFlags, FlowFlag.ANYSRC)), [
        when(eqz(callNet(context, "ip_dev_find", flSaddr)), fails(Errno.ENETUNREACH)),
      ]),
    ]),
    set(bound, 0),
    when(flOif, [
      set(bound, callNet(context, "dev_get_by_index", flOif)),
      when(eqz(bound), fails(Errno.ENODEV)),
      when(eqz(hasFlag(bound, "UP")), fails(Errno.ENETUNREACH)),
      when(or(or(isLocalMulticast(flDaddr), isLbcast(flDaddr)), eq(flProto, IpProtocol.IGMP)), [
        when(eqz(flSaddr), [source(DEVICE.sourceLink)]),
        mkroute(0, bound, RouteTypeCode.unicast),
      ]),
      when(eqz(flSaddr), [
        when(isMulticast(flDaddr), [source(DEVICE.sourceUniverse)], [when(eqz(flDaddr), [source(DEVICE.sourceHost)])]),
      ]),
    ]),
    // "To nobody" means to oneself.
    when(eqz(flDaddr), [
      when(eqz(flSaddr), [set(flSaddr, INADDR_LOOPBACK)]),
      set(flDaddr, flSaddr),
      mkroute(0, lo, RouteTypeCode.local),
    ]),
    set(err, callNet(context, "fib_lookup", kind)),
    ...noteLookup,
    when(err, [
      // Bound to a device outside of VRFs: perhaps the destination is on its link.
      when(or(or(eqz(flOif), eqz(bound)), and(ne(flL3mdev, 0), eqz(isMulticast(flDaddr)))), [ret(err)]),
      ...noteRoute(0, 0),
      when(eqz(flSaddr), [source(DEVICE.sourceLink)]),
      mkroute(0, bound, RouteTypeCode.unicast),
    ]),
    set(out, field(resHop, NEXT_HOP.device)),
    when(eq(resType, RouteTypeCode.local), [
      when(eqz(flSaddr), [set(flSaddr, select(prefsrc, prefsrc, flDaddr))]),
      // The VRF is the loopback of its domain.
      set(out, l3mdevMaster(out)),
      mkroute(resAlias, select(out, out, lo), RouteTypeCode.local),
    ]),
    ...fibSelectPath(context),
    mkroute(resAlias, field(resHop, NEXT_HOP.device), resType),
  ];
  const comment = "ip_route_output_key_hash_rcu (net/ipv4/route.c)";
  return proc(context.name("ip_route_output_key_hash_rcu"), { comment, params: [kind], result: "i32" }, body);
}

const prefsrc = field(resAlias, FIB_ALIAS.prefsrc);

/** fib_select_path: one of several next hops, unless the flow is bound to a device; and the source, where it is not given. */
function fibSelectPath(context: Context): Step[] {
  const unbound = context.kernel === "5.4" ? or(eqz(flOif), ne(and(flFlags, FlowFlag.SKIP_NH_OIF), 0)) : eqz(flOif);
  const resultPrefsrc = select(prefsrc, prefsrc, field(resHop, NEXT_HOP.source));
  const master = l3mdevMaster(field(resHop, NEXT_HOP.device));
  // A route that leaks into another VRF: the source stays one of the flow's VRF (since 6.11, and in the stable 6.1).
  const leaks = and(ne(flL3mdev, 0), ne(master, flL3mdev));
  const source =
    context.kernel === "5.4" ? resultPrefsrc : select(leaks, field(flL3mdev, DEVICE.sourceLink), resultPrefsrc);
  return [
    when(and(unbound, isMultipath), [run("fib_select_multipath", [flowHash(context)])]),
    when(eqz(flSaddr), [set(flSaddr, source)]),
  ];
}

/** `__mkroute_output(alias, out, found)`: alias 0 when no table was asked, or none answered: the destination is then on the link. */
export function mkrouteOutput(context: Context): Proc {
  const confined = and(isLoopback(flSaddr), eqz(hasFlag(out, "ROUTE_LOCALNET")));
  const ownLoopback = or(hasFlag(out, "LOOPBACK"), hasFlag(out, "VRF"));
  const joined = and(eq(flDaddr, IGMP_ALL_HOSTS), ne(hasFlag(out, "UP"), 0));
  const ownRoute = or(hasFlag(out, "LOOPBACK"), eq(found, RouteTypeCode.local));
  const isGroup = eq(type, RouteTypeCode.multicast);
  const isLocal = select(isGroup, loopsBack, or(ownRoute, loopsBack));
  const body: Step[] = [
    when(and(confined, eqz(ownLoopback)), fails(Errno.EINVAL)),
    when(isZeronet(flDaddr), fails(Errno.EINVAL)),
    set(type, found),
    when(isMulticast(flDaddr), [set(type, RouteTypeCode.multicast)]),
    when(isLbcast(flDaddr), [set(type, RouteTypeCode.broadcast), set(alias, 0)]),
    set(loopsBack, 0),
    // A multicast without a route of its own takes the default route's device, but not its gateway; likewise by a route of that type.
    when(isGroup, [set(loopsBack, joined), when(alias, [when(lt(resPrefixLength, 4), [set(alias, 0)])])]),
    when(eq(type, RouteTypeCode.broadcast), [set(loopsBack, 1)]),
    noteType(type),
    set(dstDev, out),
    set(dstType, type),
    set(dstInput, select(isLocal, DstInput.LOCAL, DstInput.DISCARD)),
    set(dstOutput, select(and(loopsBack, eqz(hasFlag(out, "LOOPBACK"))), DstOutput.IP_MC, DstOutput.IP)),
    run(RT_SET_NEXTHOP, [alias, resHop]),
    ret(0),
  ];
  const comment = "__mkroute_output (net/ipv4/route.c)";
  return proc(context.name("__mkroute_output"), { comment, params: [alias, out, found], result: "i32" }, body);
}
