/**
 * Routes of this host's packets: with a source chosen where there is none.
 * k:net/ipv6/ip6_output.c ip6_dst_lookup_flow, ip6_dst_lookup_tail; include/net/ip6_route.h ip6_route_get_saddr.
 *
 *   source ::  -> ip6_route_output_flags -> source of its route, or of no route at all, when it failed -> then again, with that source
 *   else       -> ip6_route_output_flags
 */

import { FIB_ALIAS, NEXT_HOP } from "../../../../runtime/abi/fib.ts";
import { PacketFlag, SOURCE_IN_SLOT } from "../../../../runtime/batch.ts";
import { IpProtocol } from "../../../../runtime/net/ipv4.ts";
import { IPV6_HEADER_BYTES } from "../../../../runtime/net/ipv6.ts";
import { Errno, Verdict } from "../../../../runtime/verdict.ts";
import {
  add,
  and,
  eq,
  eqz,
  guard,
  local,
  ne,
  or,
  type Proc,
  packet,
  ret,
  run,
  type Step,
  select,
  set,
  when,
} from "../../ir.ts";
import { type Context, callNet, field, ifindexOf, proc, readColumn, writeColumn } from "../context.ts";
import { lookupKind } from "../fib_rules.ts";
import { flowi4 } from "../flow.ts";
import { l3mdevMaster } from "../l3mdev.ts";
import { sendError } from "../output.ts";
import {
  dstDev,
  FlowFlag,
  flDaddr,
  flDport,
  flFlags,
  flL3mdev,
  flOif,
  flProto,
  flSaddr,
  flSport,
  l3,
  mark,
  nhAddress,
  nhFamily,
  resAlias,
  resHop,
  slot,
} from "../skb.ts";
import { WRITE_NEXT_HOP } from "../verdict.ts";
import { refuseHeader6 } from "./af_inet6.ts";
import { HEADER6, IN6ADDR_LOOPBACK, ipv6AddrAny, ipv6hdr, routingTclass, storeAddress } from "./in6.ts";
import { rt6Nexthop, TRACE_ROUTE6 } from "./route.ts";

const kind = local("kind");
const iface = local("iface");
const err = local("err");
const l3mdev = local("l3mdev");
const device = local("device");
const sameVrf = local("same_vrf");
const source = local("source");

/**
 * `ip6_dst_lookup_flow(kind)`: routes a flow of this host, and sets `fl_saddr` where it is `::`. Returns 0, and then the route is traced, or an
 * errno. The flow's iif is 0 before.
 */
export function ip6DstLookupFlow(context: Context): Proc {
  const lookUp = set(err, callNet(context, "ip6_route_output_flags", kind, iface));
  const found: Step[] = [run(TRACE_ROUTE6, [flSaddr]), ret(0)];
  const body: Step[] = [
    set(iface, and(flFlags, FlowFlag.BOUND)),
    when(ipv6AddrAny(flSaddr), [
      lookUp,
      // Without a route, a source is chosen without a device.
      when(err, [set(resAlias, 0)]),
      set(source, callNet(context, "ip6_route_get_saddr", flL3mdev)),
      when(eqz(source), [ret(Errno.EADDRNOTAVAIL)]),
      set(flSaddr, source),
      when(eqz(err), found),
      set(iface, or(iface, flOif)),
    ]),
    lookUp,
    when(eqz(err), found),
    ret(err),
  ];
  const comment = "ip6_dst_lookup_flow, ip6_dst_lookup_tail (net/ipv6/ip6_output.c)";
  return proc(context.name("ip6_dst_lookup_flow"), { comment, params: [kind], result: "i32" }, body);
}

/**
 * `ip6_route_get_saddr(l3mdev)`: the source for `fl_daddr` by the route in `res_alias` (0: by none), as an address; 0: there is none. `l3mdev` is
 * the flow's VRF, a DEVICE, or 0.
 */
export function ip6RouteGetSaddr(context: Context): Proc {
  const prefsrc = add(resAlias, FIB_ALIAS.prefsrc6);
  // A route that leaks into another VRF: the source stays one of the flow's VRF (since 6.11, and in the stable 6.1).
  const leaks: Step[] = context.kernel === "5.4" ? [] : [when(l3mdev, [set(sameVrf, eq(l3mdevOf(device), l3mdev))])];
  const body: Step[] = [
    set(device, 0),
    when(resAlias, [set(device, field(resHop, NEXT_HOP.device))]),
    set(sameVrf, 1),
    ...leaks,
    when(and(ne(resAlias, 0), sameVrf), [when(eqz(ipv6AddrAny(prefsrc)), [ret(prefsrc)])]),
    ret(callNet(context, "ipv6_dev_get_saddr", select(sameVrf, device, l3mdev), flDaddr)),
  ];
  const comment = "ip6_route_get_saddr (include/net/ip6_route.h)";
  return proc(context.name("ip6_route_get_saddr"), { comment, params: [l3mdev], result: "i32" }, body);
}

/** Of no device: none. */
const l3mdevOf = (device: typeof source) => select(device, l3mdevMaster(device), 0);

/** The flow of a socket's packet at `l3`. The destination `::` means this host. */
export function socketFlow6(): Step[] {
  const { saddr, daddr, nexthdr } = ipv6hdr;
  const unbound = ne(and(readColumn("flags"), PacketFlag.OIF_UNBOUND), 0);
  return [
    ...flowi4({
      saddr,
      daddr: select(ipv6AddrAny(daddr), IN6ADDR_LOOPBACK, daddr),
      tos: routingTclass,
      iif: 0,
      protocol: nexthdr,
      oif: readColumn("device"),
      uid: readColumn("uid"),
      mark,
    }),
    set(flFlags, select(or(unbound, eqz(flOif)), 0, FlowFlag.BOUND)),
    run(SOCKET_PORTS6),
  ];
}

const SOCKET_PORTS6 = "socket_ports6";

/**
 * Ports of a flow of TCP or UDP; one of ICMPv6 keeps type and code where others have the destination port; one that is only asked about
 * (inet6_rtm_getroute) has ports with any protocol.
 */
export function socketPorts6(): Proc {
  const l4 = local("l4");
  const asked = ne(and(readColumn("flags"), PacketFlag.RTM_GETROUTE), 0);
  const body: Step[] = [
    set(l4, add(l3, IPV6_HEADER_BYTES)),
    when(eq(flProto, IpProtocol.ICMPV6), [guard(l4, 2, [ret()]), set(flDport, packet(l4, 0, 2)), ret()]),
    when(or(or(eq(flProto, IpProtocol.TCP), eq(flProto, IpProtocol.UDP)), asked), [
      guard(l4, 4, [ret()]),
      set(flSport, packet(l4, 0, 2)),
      set(flDport, packet(l4, 2, 2)),
    ]),
    ret(),
  ];
  const comment = "fl6_sport, fl6_dport, fl6_icmp_type, fl6_icmp_code";
  return proc(SOCKET_PORTS6, { comment, requires: HEADER6 }, body);
}

/** Entry LOOKUP: the route that connect() would find. */
export function ip6DatagramDstUpdate(context: Context): Proc {
  const body: Step[] = [
    ...refuseHeader6,
    ...socketFlow6(),
    set(err, callNet(context, "ip6_dst_lookup_flow", lookupKind("output"))),
    when(err, sendError(err)),
    ...found6,
    ...writeSource(flSaddr),
    ret(),
  ];
  const comment = "ip6_datagram_dst_update (net/ipv6/datagram.c)";
  return proc(context.name("ip6_datagram_dst_update"), { comment }, body);
}

/** FOUND: the dst's device and next hop. */
export const found6: Step[] = [
  writeColumn("verdict", Verdict.FOUND),
  writeColumn("outDevice", ifindexOf(dstDev)),
  set(nhFamily, 6),
  set(nhAddress, rt6Nexthop(flDaddr)),
  run(WRITE_NEXT_HOP),
];

/** Column `source`. */
export const writeSource = (address: typeof source): Step[] => [
  ...storeAddress(slot, SOURCE_IN_SLOT, address),
  writeColumn("source", add(slot, SOURCE_IN_SLOT)),
];
