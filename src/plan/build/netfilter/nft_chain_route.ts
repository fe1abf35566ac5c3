/**
 * Chains of type `route`: a packet of this host is routed anew when one of them changed what routes go by.
 * k:net/netfilter/nft_chain_route.c; net/ipv4/netfilter.c ip_route_me_harder; net/ipv6/netfilter.c ip6_route_me_harder.
 *
 *   ip_route_me_harder.N(), ip6_route_me_harder.N() : i32      1: the packet has a new dst; 0: there is no route
 */
import { RouteTypeCode } from "../../../../runtime/net/route-types.ts";
import {
  and,
  type Expr,
  eq,
  eqz,
  expr,
  local,
  ne,
  or,
  type Expr as PlanExpr,
  type Proc,
  packet,
  ret,
  run,
  type Step,
  select,
  set,
  typeOf,
  when,
} from "../../ir.ts";
import { type Context, callNet, ifindexOf, proc, readColumn } from "../context.ts";
import { lookupKind } from "../fib_rules.ts";
import { dissect, flowi4, requiresDissection } from "../flow.ts";
import { HEADER, iphdr } from "../in.ts";
import { DISSECT6 } from "../ipv6/flow_dissector.ts";
import {
  HEADER6,
  IPV6HDR_DADDR,
  IPV6HDR_SADDR,
  ipv6AddrIsLinklocal,
  ipv6AddrIsMulticast,
  ipv6hdr,
} from "../ipv6/in6.ts";
import { TRACE_ROUTE6 } from "../ipv6/route.ts";
import { l3mdevMaster } from "../l3mdev.ts";
import { dstDev, FlowFlag, flSaddr, l3, mark } from "../skb.ts";
import { skBound, skOwner } from "./registers.ts";

const output = lookupKind("output");

/** What a change of has the packet routed anew: addresses, mark, and TOS; of IPv6 hop limit and flow label too. */
const routingKeys = (family: 4 | 6): readonly Expr[] =>
  family === 4
    ? [expr(mark), packet(l3, 12, 8), iphdr.tos]
    : [
        ...[expr(mark), packet(l3, 0, 4), ipv6hdr.hopLimit],
        ...[IPV6HDR_SADDR, IPV6HDR_SADDR + 8, IPV6HDR_DADDR, IPV6HDR_DADDR + 8].map((at) => packet(l3, at, 8)),
      ];

/**
 * nf_route_table_hook4, nf_route_table_hook6.
 * @param chain runs it, and leaves what it says @param accepted 1 or 0, of that @param dropped without a route
 */
export function routeTableHook(
  context: Context,
  family: 4 | 6,
  chain: readonly Step[],
  accepted: PlanExpr,
  dropped: readonly Step[],
): Step[] {
  const keys = routingKeys(family).map((value, i) => [value, local(`routing_key${i}`, typeOf(value))] as const);
  const changed = keys.map(([value, before]) => ne(value, before)).reduce(or);
  const again = callNet(context, family === 4 ? "ip_route_me_harder" : "ip6_route_me_harder");
  return [
    ...keys.map(([value, before]) => set(before, value)),
    ...chain,
    when(and(accepted, changed), [when(eqz(again), dropped)]),
  ];
}

export function routeMeHarderProcs(context: Context): Proc[] {
  const { chains, hooks } = context.net.netfilter;
  const routed = (family: 4 | 6): boolean =>
    hooks.some((hook) => hook.family === family && hook.chains.some((id) => chains[id].base?.type === "route"));
  return [...(routed(4) ? [ipRouteMeHarder(context)] : []), ...(routed(6) ? [ip6RouteMeHarder(context)] : [])];
}

/** The source need not be this host's own any more; it is chosen anew when it is no address one could send from. */
function ipRouteMeHarder(context: Context): Proc {
  const { saddr, daddr, tos } = iphdr;
  const [type, keep] = [local("type"), local("keep")];
  const body: Step[] = [
    set(type, callNet(context, "inet_addr_type", dstDev, saddr)),
    set(keep, or(eq(type, RouteTypeCode.local), eq(type, RouteTypeCode.unicast))),
    ...flowi4({
      saddr: select(keep, saddr, 0),
      daddr,
      tos: and(tos, IPTOS_RT_MASK),
      oif: skBound,
      l3mdev: l3mdevMaster(dstDev),
      mark,
      flags: select(keep, FlowFlag.ANYSRC, 0),
    }),
    ...dissect(context),
    ret(eqz(callNet(context, "ip_route_output_key", output))),
  ];
  const comment = "ip_route_me_harder (net/ipv4/netfilter.c)";
  return proc(context.name("ip_route_me_harder"), { comment, result: "i32", requires: HEADER }, body);
}

const IPTOS_RT_MASK = 0x1c;

function ip6RouteMeHarder(context: Context): Proc {
  const { saddr, daddr } = ipv6hdr;
  const strict = or(ipv6AddrIsMulticast(daddr), ipv6AddrIsLinklocal(daddr));
  const body: Step[] = [
    ...flowi4({
      saddr,
      daddr,
      tos: 0,
      iif: 0,
      oif: select(skBound, skBound, select(strict, ifindexOf(dstDev), 0)),
      l3mdev: l3mdevMaster(dstDev),
      mark,
      uid: select(skOwner, readColumn("uid"), 0),
      flags: FlowFlag.UNLABELLED,
    }),
    ...(requiresDissection(context.net, 6) ? [run(DISSECT6)] : []),
    when(callNet(context, "ip6_route_output_flags", output, ne(skBound, 0)), [ret(0)]),
    run(TRACE_ROUTE6, [flSaddr]),
    ret(1),
  ];
  const comment = "ip6_route_me_harder (net/ipv6/netfilter.c)";
  return proc(context.name("ip6_route_me_harder"), { comment, result: "i32", requires: HEADER6 }, body);
}
