/**
 * `ip -6 route get`: one look-up, without a packet's way there.
 * k:net/ipv6/route.c inet6_rtm_getroute, rt6_fill_node.
 */

import { PacketFlag } from "../../../../runtime/batch.ts";
import { Errno } from "../../../../runtime/verdict.ts";
import { and, eq, eqz, local, type Proc, ret, run, type Step, select, set, when } from "../../ir.ts";
import { type Context, callNet, ifindexOf, proc, readColumn, runNet } from "../context.ts";
import { lookupKind } from "../fib_rules.ts";
import { sendError } from "../output.ts";
import { DstInput, dev, dstInput, flDaddr, flIif, flOif, flSaddr } from "../skb.ts";
import { refuseHeader6 } from "./af_inet6.ts";
import { found6, socketFlow6, writeSource } from "./dst_lookup.ts";
import { IN6ADDR_ANY, ipv6hdr } from "./in6.ts";
import { TRACE_ROUTE6 } from "./route.ts";

const err = local("err");
const source = local("source");

/** Entry LOOKUP: the route that connect() would find, or, as asked by flag RTM_GETROUTE, one look-up and the source that goes with it. */
export function ip6Lookup(context: Context): Proc {
  const body: Step[] = [
    when(eqz(and(readColumn("flags"), PacketFlag.RTM_GETROUTE)), [runNet(context, "ip6_datagram_dst_update"), ret()]),
    ...refuseHeader6,
    ...socketFlow6(),
    set(flDaddr, ipv6hdr.daddr),
    set(err, callNet(context, "ip6_route_output_flags", lookupKind("output"), 0)),
    when(err, sendError(err)),
    set(source, callNet(context, "ip6_route_get_saddr", 0)),
    set(source, select(source, source, IN6ADDR_ANY)),
    run(TRACE_ROUTE6, [source]),
    ...found6,
    ...writeSource(source),
    ret(),
  ];
  return proc(context.name("ip6_lookup"), { comment: "inet6_rtm_getroute (net/ipv6/route.c)" }, body);
}

/** Entry ROUTE_INPUT. No multicast router tells anything of a group. */
export function inet6RouteInput(context: Context): Proc {
  const body: Step[] = [
    ...refuseHeader6,
    set(dev, callNet(context, "dev_get_by_index", readColumn("device"))),
    when(eqz(dev), sendError(Errno.ENODEV)),
    ...socketFlow6(),
    set(flOif, 0),
    set(flIif, ifindexOf(dev)),
    set(flDaddr, ipv6hdr.daddr),
    set(err, callNet(context, "ip6_route_input_lookup", 0)),
    when(err, sendError(err)),
    when(eq(dstInput, DstInput.MULTICAST), sendError(Errno.EMSGSIZE)),
    run(TRACE_ROUTE6, [flSaddr]),
    ...found6,
    ret(),
  ];
  return proc(context.name("inet6_route_input"), { comment: "inet6_rtm_getroute (net/ipv6/route.c)" }, body);
}
