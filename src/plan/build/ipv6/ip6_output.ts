/**
 * Sending an IPv6 packet.
 * k:net/ipv6/ip6_output.c ip6_output, ip6_finish_output, ip6_finish_output2, ip6_fragment; net/ipv6/output_core.c __ip6_local_out;
 * net/ipv6/raw.c rawv6_sendmsg; net/ipv6/ndisc.c ndisc_send_skb.
 *
 *   rawv6_sendmsg -> ip6_dst_lookup_flow -> ip6_local_out -> l3mdev_ip6_out -> LOCAL_OUT -> dst_output -> ip6_output
 *   -> POSTROUTING -> ip6_finish_output -> ip6_finish_output2 -> neighbour -> dev_queue_xmit
 */

import { DEVICE } from "../../../../runtime/abi/device.ts";
import { TraceEvent } from "../../../../runtime/abi/trace.ts";
import { PacketFlag } from "../../../../runtime/batch.ts";
import { Icmp6Type } from "../../../../runtime/net/icmp6.ts";
import { IpProtocol } from "../../../../runtime/net/ipv4.ts";
import { IPV6_HEADER_BYTES } from "../../../../runtime/net/ipv6.ts";
import { DropReason, Verdict } from "../../../../runtime/verdict.ts";
import {
  and,
  call,
  eq,
  eqz,
  gt,
  guard,
  le,
  local,
  ne,
  or,
  type Proc,
  put,
  ret,
  run,
  type Step,
  select,
  set,
  sub,
  tail,
  trace,
  when,
} from "../../ir.ts";
import {
  type Context,
  callNet,
  drop,
  field,
  hasFlag,
  icmpv6Send,
  ifindexOf,
  ifindexOrZero,
  proc,
  readColumn,
  runNet,
  writeColumn,
} from "../context.ts";
import { lookupKind } from "../fib_rules.ts";
import { nfHook, nfHookClone } from "../netfilter/hook.ts";
import { sendError, skbSetOwnerW } from "../output.ts";
import {
  DstOutput,
  dev,
  dstDev,
  dstGateway,
  dstMtu,
  dstOutput,
  flDaddr,
  flSaddr,
  ignoreDf,
  l3,
  mcLoop,
  nhAddress,
  nhFamily,
  xmitRecursion,
} from "../skb.ts";
import { LEAVE } from "../verdict.ts";
import { refuseHeader6 } from "./af_inet6.ts";
import { socketFlow6 } from "./dst_lookup.ts";
import {
  HEADER6,
  IPV6HDR_DADDR,
  IPV6HDR_SADDR,
  ipv6AddrIsMulticast,
  ipv6hdr,
  multicastScope,
  putAddress,
} from "./in6.ts";
import { INTERFACE_SCOPE, IPV6_CHK_MCAST_ADDR } from "./ip6_input.ts";
import { rt6Nexthop } from "./route.ts";

const err = local("err");
const indev = local("indev");
const mtu = local("mtu");
const byTcp = local("by_tcp");
const routeDev = local("route_dev");

/** The next hop of the dst, into the `nh_*` registers. */
export const setNextHop6: Step[] = [set(nhFamily, 6), set(nhAddress, rt6Nexthop(ipv6hdr.daddr))];

/** Entry OUTPUT: routes the packet, fills in its addresses, and sends it. */
export function rawv6Sendmsg(context: Context): Proc {
  const body: Step[] = [
    ...refuseHeader6,
    ...socketFlow6(),
    set(err, callNet(context, "ip6_dst_lookup_flow", lookupKind("output"))),
    when(err, sendError(err)),
    ...skbSetOwnerW,
    ...putAddress(l3, IPV6HDR_SADDR, flSaddr),
    ...putAddress(l3, IPV6HDR_DADDR, flDaddr),
    set(ignoreDf, 1),
    runNet(context, "ip6_local_out", isOfTcp),
    ret(),
  ];
  return proc(context.name("rawv6_sendmsg"), { comment: "rawv6_sendmsg (net/ipv6/raw.c)" }, body);
}

/** What tcp_ipv6.c sends; a reset that a chain sends (nf_send_reset6) has ANYSRC. */
const isOfTcp = and(eq(ipv6hdr.nexthdr, IpProtocol.TCP), eqz(and(readColumn("flags"), PacketFlag.ANYSRC)));

/**
 * `ip6_local_out(by_tcp)`: a packet of this host, routed: header finished, VRF passed through, LOCAL_OUT, and out. Of TCP, LOCAL_OUT is
 * told the route's own device, also where the VRF has put itself in its place.
 */
export function ip6LocalOut(context: Context): Proc {
  const body: Step[] = [
    put(l3, 4, 2, sub(sub(tail, l3), IPV6_HEADER_BYTES)),
    set(routeDev, dstDev),
    when(callNet(context, "l3mdev_ip6_out"), [ret()]),
    ...nfHook(context, "output", 6, [0, ifindexOf(select(byTcp, routeDev, dstDev))]),
    runNet(context, "dst_output6"),
    ret(),
  ];
  const comment = "__ip6_local_out (net/ipv6/output_core.c), ip6_xmit (net/ipv6/ip6_output.c)";
  return proc(context.name("ip6_local_out"), { comment, params: [byTcp], requires: HEADER6 }, body);
}

export function dstOutput6(context: Context): Proc {
  const body: Step[] = [
    when(eq(dstOutput, DstOutput.VRF), [runNet(context, "vrf_output6"), ret()]),
    runNet(context, "ip6_output", ifindexOrZero(dev)),
    ret(),
  ];
  return proc(context.name("dst_output6"), { comment: "dst_output (include/net/dst.h)", requires: HEADER6 }, body);
}

/** `ip6_output(indev)`: POSTROUTING sees the ifindex `indev` as in device. */
export function ip6Output(context: Context): Proc {
  const body: Step[] = [
    set(dev, dstDev),
    when(hasFlag(dev, "DISABLE_IPV6"), drop(DropReason.IPV6DISABLED)),
    ...nfHook(context, "postrouting", 6, [indev, ifindexOf(dev)]),
    set(mtu, select(dstMtu, dstMtu, field(dstDev, DEVICE.mtu))),
    when(gt(sub(tail, l3), mtu), ip6Fragment),
    runNet(context, "ip6_finish_output2"),
    ret(),
  ];
  const comment = "ip6_output, ip6_finish_output (net/ipv6/ip6_output.c)";
  return proc(context.name("ip6_output"), { comment, params: [indev], requires: HEADER6 }, body);
}

/** Larger than the route takes: the host cuts its own packets; a router cuts none. */
const ip6Fragment: Step[] = [
  when(eqz(ignoreDf), icmpv6Send(Icmp6Type.PKT_TOOBIG, 0, mtu)),
  trace(TraceEvent.ip6_fragment, [ifindexOf(dstDev), mtu]),
  ...setNextHop6,
  writeColumn("info", mtu),
  run(LEAVE, [Verdict.FRAGMENT, dstDev]),
  ret(),
];

/** Of a multicast that this host has joined it gets a copy, which passes POSTROUTING too. */
export function ip6FinishOutput2(context: Context): Proc {
  const { daddr, hopLimit } = ipv6hdr;
  const copy = nfHookClone(context, 6, ifindexOf(dstDev));
  const wired = eqz(hasFlag(dstDev, "LOOPBACK"));
  // sk_mc_loop: not what neighbour discovery sends, nor what a VRF is sending.
  const copies = and(and(mcLoop, eqz(xmitRecursion)), call(IPV6_CHK_MCAST_ADDR, [dstDev, daddr]));
  const body: Step[] = [
    when(and(ipv6AddrIsMulticast(daddr), wired), [
      when(copies, [
        ...copy.steps,
        when(copy.accepted, [writeColumn("flags", or(readColumn("flags"), PacketFlag.LOOP_BACK))]),
        when(eqz(hopLimit), drop(DropReason.NOT_SPECIFIED)),
      ]),
      when(le(multicastScope(daddr), INTERFACE_SCOPE), drop(DropReason.NOT_SPECIFIED)),
    ]),
    ...setNextHop6,
    runNet(context, "ip6_neigh_output", dstDev),
    ret(),
  ];
  const comment = "ip6_finish_output2 (net/ipv6/ip6_output.c)";
  return proc(context.name("ip6_finish_output2"), { comment, requires: HEADER6 }, body);
}

/** Entry NDISC: neighbour discovery sends by a device to its link, without a route and past the VRF. */
export function ndiscSendSkb(context: Context): Proc {
  const body: Step[] = [
    set(l3, readColumn("data")),
    guard(l3, IPV6_HEADER_BYTES, drop(DropReason.IP_INHDR)),
    when(ne(ipv6hdr.version, 6), drop(DropReason.IP_INHDR)),
    writeColumn("l3", l3),
    set(dstDev, callNet(context, "dev_get_by_index", readColumn("device"))),
    when(eqz(dstDev), drop(DropReason.DEVICE_DOWN)),
    set(dev, dstDev),
    set(mcLoop, 0),
    set(dstGateway, 0),
    set(dstMtu, 0),
    ...nfHook(context, "output", 6, [0, ifindexOf(dstDev)]),
    runNet(context, "ip6_output", ifindexOf(dev)),
    ret(),
  ];
  return proc(context.name("ndisc_send_skb"), { comment: "ndisc_send_skb (net/ipv6/ndisc.c)" }, body);
}
