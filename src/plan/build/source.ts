/**
 * Source validation: would an answer to the packet's source leave by the device that the packet came from?
 * k:net/ipv4/fib_frontend.c fib_validate_source, __fib_validate_source.
 */

import { type Net, type Route, type Rule, Scope } from "../../../dsl/model.ts";
import { DEVICE } from "../../../runtime/abi/device.ts";
import { FIB_ALIAS, NEXT_HOP, NEXT_HOP_BYTES } from "../../../runtime/abi/fib.ts";
import { TraceEvent } from "../../../runtime/abi/trace.ts";
import {
  LOOPBACK_IFINDEX,
  RT_TABLE_DEFAULT,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  type TableId,
} from "../../../runtime/brand.ts";
import { RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { SELECTORS } from "../../../runtime/trace.ts";
import { Errno } from "../../../runtime/verdict.ts";
import { rememberedOf } from "../../remember.ts";
import {
  add,
  and,
  type Expr,
  eq,
  eqz,
  ge,
  gt,
  local,
  ne,
  type Operand,
  or,
  type Proc,
  repeat,
  ret,
  type Step,
  select,
  set,
  trace,
  when,
} from "../ir.ts";
import { type Context, callNet, field, hasFlag, ifindexOf, proc } from "./context.ts";
import { inetLookupIfaddr } from "./devinet.ts";
import { lookupKind } from "./fib_rules.ts";
import { dissect, flowi4, requiresDissection } from "./flow.ts";
import { HEADER } from "./in.ts";
import { l3mdevMaster } from "./l3mdev.ts";
import { flDport, flOif, flSport, flTos, resAlias, resHop, resType } from "./skb.ts";

const src = local("src");
const dst = local("dst");
const oif = local("oif");
const input = local("in");
const err = local("err");
const hop = local("hop");

/** What `fib_validate_source` returns besides an errno: accepted, and the source is a neighbour on the link. */
export const ONLINK = 1;
/** Not zero for a return that refuses. */
export const refused = (verdict: Operand): Expr => gt(verdict, ONLINK);

/**
 * `fib_validate_source(src, dst, oif, in)`: 0 or ONLINK when the source is accepted, EXDEV or EINVAL when not. `oif` is the
 * ifindex of the device that the packet leaves by, 0 for this host; `in` the receiving DEVICE, the slave and not its VRF.
 * Precondition: `fl_tos` is the packet's. The flow and result registers are overwritten.
 */
export function fibValidateSource(context: Context): Proc {
  const body: Step[] = [
    set(err, callNet(context, "__fib_validate_source", src, dst, oif, input)),
    trace(TraceEvent.fib_validate_source, [ifindexOf(input), select(refused(err), err, 0)]),
    ret(err),
  ];
  const comment = "fib_validate_source (net/ipv4/fib_frontend.c)";
  return proc(
    context.name("fib_validate_source"),
    { comment, params: [src, dst, oif, input], result: "i32", requires: HEADER },
    body,
  );
}

export function fibValidateSourceFully(context: Context): Proc {
  const rpFilter = field(input, DEVICE.rpFilter);
  const onlink: Expr = ge(field(resHop, NEXT_HOP.scope), Scope.HOST);
  const lastResort = [ret(select(rpFilter, Errno.EXDEV, 0))];
  const body: Step[] = [
    when(and(eqz(rpFilter), or(ne(ifindexOf(input), oif), eqz(hasFlag(input, "SEND_REDIRECTS")))), shortWay(context)),
    ...reverseFlow(context),
    when(callNet(context, "fib_lookup", lookupKind("source")), lastResort),
    when(ne(resType, RouteTypeCode.unicast), [
      when(or(ne(resType, RouteTypeCode.local), eqz(hasFlag(input, "ACCEPT_LOCAL"))), [ret(Errno.EINVAL)]),
      when(hasFlag(input, "LOOPBACK"), [ret(onlink)]),
    ]),
    ...whenUsesDevice([ret(onlink)]),
    when(eqz(hasFlag(input, "HAS_ADDRESS")), lastResort),
    when(eq(rpFilter, 1), [ret(Errno.EXDEV)]),
    set(flOif, ifindexOf(input)),
    when(callNet(context, "fib_lookup", lookupKind("source")), [ret(0)]),
    ret(select(eq(resType, RouteTypeCode.unicast), onlink, 0)),
  ];
  const comment = "__fib_validate_source (net/ipv4/fib_frontend.c)";
  return proc(
    context.name("__fib_validate_source"),
    { comment, params: [src, dst, oif, input], result: "i32", requires: HEADER },
    body,
  );
}

/** Without rp_filter: only this host's own addresses are refused, and with custom rules or local routes not even those. */
function shortWay(context: Context): Step[] {
  const accepted = when(hasFlag(input, "ACCEPT_LOCAL"), [ret(0)]);
  if (hasCustomLocalRoutes(context.net) || hasCustomRules(context.net)) return [accepted];
  return [accepted, ret(select(inetLookupIfaddr(context, src), Errno.EINVAL, 0))];
}

/** inet_rtm_newroute sets net->ipv4.fib_has_custom_local_routes: a local route that did not come from an address. */
const hasCustomLocalRoutes = (net: Net): boolean =>
  localRoutes(net.routes, [], () =>
    net.routes.some((route) => route.family === 4 && route.type === "local" && route.origin.kernel === undefined),
  );

const localRoutes = rememberedOf<readonly Route[], boolean>(1);

/**
 * Was a rule ever added or taken away? The kernel keeps a flag that nothing clears; the model knows only the rules that there
 * are, so anything but the three that every namespace starts with counts.
 */
function hasCustomRules(net: Net): boolean {
  const tables = net.rules.filter((rule) => rule.family === 4).map(plainTable);
  return tables.join() !== [RT_TABLE_LOCAL, RT_TABLE_MAIN, RT_TABLE_DEFAULT].join();
}

/** The flow of an answer: addresses and ports swapped, no mark, from where the packet would go. */
function reverseFlow(context: Context): Step[] {
  const iif = select(oif, oif, LOOPBACK_IFINDEX);
  const common = { saddr: dst, daddr: src, tos: flTos };
  const port = local("port");
  return [
    // Up to 5.17 the VRF's index stands in iif.
    ...(context.kernel === "5.4"
      ? [set(hop, l3mdevMaster(input)), ...flowi4({ ...common, iif: select(hop, ifindexOf(hop), iif) })]
      : flowi4({ ...common, iif, l3mdev: l3mdevMaster(input) })),
    ...dissect(context),
    ...(requiresDissection(context.net, 4) ? [set(port, flSport), set(flSport, flDport), set(flDport, port)] : []),
  ];
}

/** fib_info_nh_uses_dev: a next hop of the route leaves by `in`, or by a slave of `in` when that is a VRF. */
function whenUsesDevice(then: Step[]): Step[] {
  const device = field(hop, NEXT_HOP.device);
  return [
    set(hop, field(resAlias, FIB_ALIAS.nextHops)),
    repeat(
      field(resAlias, FIB_ALIAS.hopCount),
      "hops",
      [when(or(eq(device, input), eq(l3mdevMaster(device), input)), then), set(hop, add(hop, NEXT_HOP_BYTES))],
      "hops",
    ),
  ];
}

/** The table of a rule without any selector (fib4_rule_default); null for other rules. */
function plainTable(rule: Rule): TableId | null {
  const selects = SELECTORS.some((selector) => (selector === "l3mdev" ? rule.l3mdev : isSet(rule[selector])));
  const suppresses = rule.suppressPrefixLength !== -1 || rule.suppressIfGroup !== -1;
  return selects || suppresses || rule.not || rule.action.kind !== "lookup" ? null : rule.action.table;
}

const isSet = (selector: unknown): boolean => selector !== null && selector !== 0;
