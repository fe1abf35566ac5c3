/**
 * Entry ROUTE_INPUT: the route of a received packet, source validation and all, without the packet's way there.
 * k:net/ipv4/route.c inet_rtm_getroute (`ip route get ... iif`); net/ipv4/arp.c arp_process asks the same.
 */

import { DropReason, Errno, Verdict } from "../../../runtime/verdict.ts";
import { call, eq, eqz, guard, local, ne, type Proc, ret, run, type Step, select, set, when } from "../ir.ts";
import { type Context, callNet, drop, ifindexOf, proc, readColumn, runNet, writeColumn } from "./context.ts";
import { RT_NEXTHOP } from "./dst.ts";
import { IPHDR_BYTES, iphdr } from "./in.ts";
import { whenIpv6 } from "./ipv6/af_inet6.ts";
import { REFUSE_HEADER, sendError } from "./output.ts";
import { ROUTED } from "./route_input.ts";
import { dev, dstDev, dstError, dstGateway, l3 } from "./skb.ts";
import { WRITE_NEXT_HOP } from "./verdict.ts";

const reason = local("reason");

export function inetRtmGetroute(context: Context): Proc {
  const body: Step[] = [
    whenIpv6([runNet(context, "inet6_route_input"), ret()]),
    when(call(REFUSE_HEADER, []), [ret()]),
    guard(l3, IPHDR_BYTES, drop(DropReason.IP_INHDR)),
    set(dev, callNet(context, "dev_get_by_index", readColumn("device"))),
    when(eqz(dev), sendError(Errno.ENODEV)),
    // Set by no way that ends at this host.
    set(dstError, 0),
    set(dstGateway, 0),
    set(reason, callNet(context, "ip_route_input_noref", dev)),
    when(ne(reason, ROUTED), sendError(select(eq(reason, DropReason.IP_RPFILTER), Errno.EXDEV, Errno.EINVAL))),
    when(dstError, sendError(dstError)),
    writeColumn("verdict", Verdict.FOUND),
    writeColumn("outDevice", ifindexOf(dstDev)),
    run(RT_NEXTHOP, [iphdr.daddr]),
    run(WRITE_NEXT_HOP),
    ret(),
  ];
  return proc(context.name("inet_rtm_getroute"), { comment: "inet_rtm_getroute (net/ipv4/route.c)" }, body);
}
