/**
 * Routing a packet, in and out.
 * k:net/ipv4/route.c ip_route_input_noref, ip_route_input_slow, ip_route_input_mc, __mkroute_input, ip_error,
 * ip_rt_send_redirect, ip_route_output_key_hash_rcu, __mkroute_output.
 *
 *   ip_route_input_noref -> multicast: ip_route_input_mc -> ip_mc_validate_source
 *                        -> ip_route_input_slow -> broadcast, local: fib_validate_source -> dst.input = ip_local_deliver
 *                                               -> unicast: ip_mkroute_input -> fib_validate_source -> dst.input = ip_forward
 *                                               -> no route: dst.input = ip_error
 */
import { type Device, Scope } from "../../dsl/model.ts";
import { routeOf } from "../../dsl/route-columns.ts";
import { LOOPBACK_IFINDEX, routeId } from "../../runtime/brand.ts";
import { IcmpType, REDIRECT_HOST, Unreachable } from "../../runtime/net/icmp.ts";
import { type RouteType, RouteTypeCode } from "../../runtime/net/route-types.ts";
import { DropReason, Errno, type Verdict } from "../../runtime/verdict.ts";
import { inet_select_addr, ip_check_mc, ip_dev_find } from "./devinet.ts";
import { fib_validate_source } from "./fib_frontend.ts";
import { fib_select_multipath, fib_select_path } from "./fib_semantics.ts";
import type { FibResult } from "./fib_trie.ts";
import { fib_lookup, fib_rules_require_fldissect } from "./fib4_rules.ts";
import { FlowFlag, type Flowi4, flowi4, IPTOS_RT_MASK } from "./flow.ts";
import { skb_flow_dissect_flow_keys } from "./flow_dissector.ts";
import * as inaddr from "./in.ts";
import { l3mdev_master_dev } from "./l3mdev.ts";
import { skb_multipath_hash } from "./multipath_hash.ts";
import { isLoopback, type NetNamespace, netif_is_l3_master } from "./net.ts";
import { type Rtable, rt_nexthop } from "./rtable.ts";
import { icmp_send, kfree_skb, type SkBuff } from "./skb.ts";

// ---- in ------------------------------------------------------------------------------------------------------------------

/**
 * Finds the packet's dst.
 * @param dev the device that received it, also when a VRF has taken it over meanwhile
 * @returns null, or why the packet is dropped
 */
export function ip_route_input_noref(net: NetNamespace, skb: SkBuff, dev: Device): DropReason | null {
  return inaddr.ipv4_is_multicast(skb.iphdr.daddr)
    ? ip_route_input_multicast(net, skb, dev)
    : ip_route_input_slow(net, skb, dev);
}

/** The first half of ip_route_input_rcu: joined on the device, or on its VRF? */
function ip_route_input_multicast(net: NetNamespace, skb: SkBuff, dev: Device): DropReason | null {
  const { daddr } = skb.iphdr;
  noteRoute(skb, null, "multicast");
  if (!ip_check_mc(dev, daddr) && !ip_check_mc(skb.dev!, daddr)) return DropReason.NOT_JOINED;
  return ip_route_input_mc(net, skb, dev);
}

function ip_route_input_mc(net: NetNamespace, skb: SkBuff, dev: Device): DropReason | null {
  const { saddr, daddr, tos, protocol } = skb.iphdr;
  if (inaddr.ipv4_is_multicast(saddr) || inaddr.ipv4_is_lbcast(saddr)) return DropReason.MARTIAN_SOURCE;
  if (inaddr.ipv4_is_loopback(saddr) && !dev.conf.routeLocalnet) return DropReason.MARTIAN_SOURCE;
  if (inaddr.ipv4_is_zeronet(saddr)) {
    if (!inaddr.ipv4_is_local_multicast(daddr) && protocol !== inaddr.IPPROTO_IGMP) return DropReason.MARTIAN_SOURCE;
  } else {
    const { err } = fib_validate_source(net, skb, saddr, 0, tos & IPTOS_RT_MASK, 0, dev);
    if (err !== 0) return sourceDropReason(err);
  }
  skb.dst = localDst(net, "multicast", null);
  return null;
}

function ip_route_input_slow(net: NetNamespace, skb: SkBuff, dev: Device): DropReason | null {
  const { saddr, daddr } = skb.iphdr;
  const tos = skb.iphdr.tos & IPTOS_RT_MASK;
  const { routeLocalnet, forwarding4 } = dev.conf;

  if (inaddr.ipv4_is_multicast(saddr) || inaddr.ipv4_is_lbcast(saddr)) return DropReason.MARTIAN_SOURCE;
  if (inaddr.ipv4_is_lbcast(daddr) || (saddr === 0 && daddr === 0)) {
    noteRoute(skb, null, "broadcast");
    return brd_input(net, skb, null, dev);
  }
  if (inaddr.ipv4_is_zeronet(saddr)) return DropReason.MARTIAN_SOURCE;
  if (inaddr.ipv4_is_zeronet(daddr)) return DropReason.MARTIAN_DESTINATION;
  if (inaddr.ipv4_is_loopback(daddr)) {
    if (!routeLocalnet) return DropReason.MARTIAN_DESTINATION;
  } else if (inaddr.ipv4_is_loopback(saddr)) {
    if (!routeLocalnet) return DropReason.MARTIAN_SOURCE;
  }

  const fl4 = flowi4({ saddr, daddr, tos, iif: dev.ifindex, mark: skb.mark });
  if (fib_rules_require_fldissect(net.rules)) Object.assign(fl4, skb_flow_dissect_flow_keys(skb));

  const { err, arg } = fib_lookup(net, "input", fl4);
  noteLookup(net, skb, arg.result, arg.reject, err);
  if (err !== 0) return no_route(net, skb, forwarding4 ? err : Errno.EHOSTUNREACH);
  const res = arg.result!;
  if (res.route.type === "broadcast" && !dev.conf.bcForwarding) return brd_input(net, skb, res, dev);
  if (res.route.type === "local") {
    const { err } = fib_validate_source(net, skb, saddr, daddr, tos, 0, dev);
    if (err !== 0) return sourceDropReason(err);
    skb.dst = localDst(net, "local", res);
    return null;
  }
  if (res.route.type !== "broadcast") {
    if (!forwarding4) return no_route(net, skb, Errno.EHOSTUNREACH);
    if (res.route.type !== "unicast") return DropReason.MARTIAN_DESTINATION;
  }
  return ip_mkroute_input(net, skb, res, dev);
}

/** Limited and subnet broadcasts are for this host, if their source is good. */
function brd_input(net: NetNamespace, skb: SkBuff, res: FibResult | null, dev: Device): DropReason | null {
  const { saddr, tos } = skb.iphdr;
  if (!inaddr.ipv4_is_zeronet(saddr)) {
    const { err } = fib_validate_source(net, skb, saddr, 0, tos & IPTOS_RT_MASK, 0, dev);
    if (err !== 0) return sourceDropReason(err);
  }
  skb.dst = localDst(net, "broadcast", res);
  return null;
}

/** The packet goes on to ip_error, which may tell the sender. */
function no_route(net: NetNamespace, skb: SkBuff, error: Errno): null {
  skb.dst = { ...localDst(net, "unreachable", null), input: "ip_error", error };
  return null;
}

function ip_mkroute_input(net: NetNamespace, skb: SkBuff, res: FibResult, dev: Device): DropReason | null {
  if (res.route.nexthops.length > 1) fib_select_multipath(res, skb_multipath_hash(net, skb));
  return __mkroute_input(net, skb, res, dev);
}

function __mkroute_input(net: NetNamespace, skb: SkBuff, res: FibResult, dev: Device): DropReason | null {
  const { saddr, daddr, tos } = skb.iphdr;
  const { nhc, route } = res;
  const out_dev = net.dev_get_by_index(nhc.device)!;
  const { err, onlink } = fib_validate_source(net, skb, saddr, daddr, tos & IPTOS_RT_MASK, nhc.device, dev);
  if (err !== 0) return sourceDropReason(err);
  // The sender is a neighbour on the same link as the next hop: it could have sent there itself.
  if (out_dev === dev && onlink && dev.conf.sendRedirects) skb.doredirect = true;
  skb.dst = { ...dstOf(out_dev, route.type, res), input: "ip_forward" };
  recordRoute(net, skb.dst, saddr);
  return null;
}

/** k:net/ipv4/ip_input.c ip_rcv_finish_core's drop_error */
const sourceDropReason = (err: Errno): DropReason =>
  err === Errno.EXDEV ? DropReason.IP_RPFILTER : DropReason.MARTIAN_SOURCE;

/** The end of a packet without a route: silent, or an ICMP error, as the receiving device forwards or not. */
export function ip_error(net: NetNamespace, skb: SkBuff): Verdict {
  const dev = netif_is_l3_master(skb.dev!) ? net.dev_get_by_index(skb.iif) : skb.dev;
  if (!dev?.conf.forwarding4) return kfree_skb(net, skb, DropReason.IP_INADDRERRORS);
  switch (skb.dst!.error) {
    case Errno.EHOSTUNREACH:
      return icmp_send(net, skb, IcmpType.DEST_UNREACH, Unreachable.HOST, 0);
    case Errno.ENETUNREACH:
      return icmp_send(net, skb, IcmpType.DEST_UNREACH, Unreachable.NET, 0);
    case Errno.EACCES:
      return icmp_send(net, skb, IcmpType.DEST_UNREACH, Unreachable.PKT_FILTERED, 0);
    default:
      return kfree_skb(net, skb, DropReason.BLACKHOLE);
  }
}

/** Tells the sender of the better gateway. The kernel's rate limit is the host's part. */
export function ip_rt_send_redirect(net: NetNamespace, skb: SkBuff): void {
  skb.writeRedirect(rt_nexthop(skb.dst!, skb.iphdr.daddr));
  net.record({ step: "icmp_send", type: IcmpType.REDIRECT, code: REDIRECT_HOST });
}

// ---- out -----------------------------------------------------------------------------------------------------------------

/**
 * Routes a packet of this host; fills in `fl4.saddr` where it is 0.
 * @param kind for whom: a socket, or the VRF device
 */
export function ip_route_output_key(
  net: NetNamespace,
  skb: SkBuff,
  kind: "output" | "vrf_xmit",
  fl4: Flowi4,
): Rtable | Errno {
  fl4.iif = LOOPBACK_IFINDEX;
  fl4.tos &= IPTOS_RT_MASK;
  const rt = ip_route_output_key_hash_rcu(net, skb, kind, fl4);
  if (typeof rt === "object") recordRoute(net, rt, fl4.saddr);
  return rt;
}

function ip_route_output_key_hash_rcu(
  net: NetNamespace,
  skb: SkBuff,
  kind: "output" | "vrf_xmit",
  fl4: Flowi4,
): Rtable | Errno {
  const { ipv4_is_multicast, ipv4_is_lbcast, ipv4_is_local_multicast } = inaddr;
  const { daddr } = fl4;
  noteRoute(skb, null, "unspec");
  if (fl4.saddr !== 0) {
    if (ipv4_is_multicast(fl4.saddr) || ipv4_is_lbcast(fl4.saddr)) return Errno.EINVAL;
    if (fl4.oif === 0 && (ipv4_is_multicast(daddr) || ipv4_is_lbcast(daddr))) {
      const dev_out = ip_dev_find(net, fl4.saddr);
      return dev_out === undefined ? Errno.ENETUNREACH : __mkroute_output(skb, null, fl4, dev_out, "unicast");
    }
    if ((fl4.flags & FlowFlag.ANYSRC) === 0 && ip_dev_find(net, fl4.saddr) === undefined) return Errno.ENETUNREACH;
  }

  const bound = fl4.oif === 0 ? null : net.dev_get_by_index(fl4.oif);
  if (bound === undefined) return Errno.ENODEV;
  if (bound !== null) {
    if (!bound.up) return Errno.ENETUNREACH;
    if (ipv4_is_local_multicast(daddr) || ipv4_is_lbcast(daddr) || fl4.protocol === inaddr.IPPROTO_IGMP) {
      if (fl4.saddr === 0) fl4.saddr = inet_select_addr(net, bound, 0, Scope.LINK);
      return __mkroute_output(skb, null, fl4, bound, "unicast");
    }
    if (fl4.saddr === 0 && ipv4_is_multicast(daddr)) fl4.saddr = inet_select_addr(net, bound, 0, Scope.UNIVERSE);
    else if (fl4.saddr === 0 && daddr === 0) fl4.saddr = inet_select_addr(net, bound, 0, Scope.HOST);
  }
  if (daddr === 0) {
    // "To nobody" means to oneself.
    if (fl4.saddr === 0) fl4.saddr = inaddr.INADDR_LOOPBACK;
    fl4.daddr = fl4.saddr;
    return __mkroute_output(skb, null, fl4, net.loopback_dev, "local");
  }

  const { err, arg } = fib_lookup(net, kind, fl4);
  noteLookup(net, skb, arg.result, arg.reject, err);
  if (err !== 0) {
    // Bound to a device outside of VRFs: perhaps the destination is on its link.
    if (fl4.oif === 0 || bound === null || (fl4.l3mdev !== 0 && !ipv4_is_multicast(daddr))) return err;
    noteRoute(skb, null, "unspec");
    if (fl4.saddr === 0) fl4.saddr = inet_select_addr(net, bound, 0, Scope.LINK);
    return __mkroute_output(skb, null, fl4, bound, "unicast");
  }
  const res = arg.result!;
  const { route } = res;
  if (route.type === "local") {
    if (fl4.saddr === 0) fl4.saddr = route.prefsrc === null ? daddr : Number(route.prefsrc);
    const dev = net.dev_get_by_index(res.nhc.device)!;
    const dev_out = l3mdev_master_dev(net, dev) ?? net.loopback_dev; // the VRF is the loopback of its domain
    return __mkroute_output(skb, res, fl4, dev_out, "local");
  }
  fib_select_path(net, res, fl4);
  return __mkroute_output(skb, res, fl4, net.dev_get_by_index(res.nhc.device)!, route.type);
}

/** @param res null when no table was asked, or none answered: the destination is then on the link */
function __mkroute_output(
  skb: SkBuff,
  res: FibResult | null,
  fl4: Flowi4,
  dev_out: Device,
  found: RouteType,
): Rtable | Errno {
  const { saddr, daddr } = fl4;
  const confined = inaddr.ipv4_is_loopback(saddr) && !dev_out.conf.routeLocalnet;
  if (confined && !isLoopback(dev_out) && !netif_is_l3_master(dev_out)) return Errno.EINVAL;
  if (inaddr.ipv4_is_zeronet(daddr)) return Errno.EINVAL;

  const lbcast = inaddr.ipv4_is_lbcast(daddr);
  const type: RouteType = lbcast ? "broadcast" : inaddr.ipv4_is_multicast(daddr) ? "multicast" : found;
  const multicast = type === "multicast";
  const joined = multicast && ip_check_mc(dev_out, daddr);
  const loopsBack = type === "broadcast" || joined;
  const local = loopsBack || (!multicast && (isLoopback(dev_out) || found === "local"));
  // A multicast without a route of its own takes the default route's device, but not its gateway; likewise by a route of that type.
  const noGateway = lbcast || (multicast && res !== null && res.route.prefix.length < 4);
  noteType(skb, type);
  return {
    ...dstOf(dev_out, type, noGateway ? null : res),
    input: local ? "ip_local_deliver" : "dst_discard",
    output: loopsBack && !isLoopback(dev_out) ? "ip_mc_output" : "ip_output",
  };
}

// ---- both ----------------------------------------------------------------------------------------------------------------

/** rt_dst_alloc and rt_set_nexthop: a gateway counts when it is a neighbour. */
function dstOf(dev: Device, rt_type: RouteType, res: FibResult | null): Rtable {
  const gateway = res !== null && res.nhc.scope === Scope.LINK ? res.nhc.gateway : null;
  return {
    dev,
    rt_type,
    input: "dst_discard",
    output: "ip_output",
    rt_gw: gateway,
    mtu: res?.route.mtu ?? null,
    error: 0,
  };
}

/** The dst of a packet that is for this host: its device is the VRF of the address, or lo (ip_rt_get_dev). */
function localDst(net: NetNamespace, rt_type: RouteType, res: FibResult | null): Rtable {
  const owner = res === null ? undefined : net.dev_get_by_index(res.nhc.device);
  const dev = (owner && l3mdev_master_dev(net, owner)) ?? net.loopback_dev;
  return { ...dstOf(dev, rt_type, null), input: "ip_local_deliver", output: "ip_rt_bug" };
}

/** The dst that a broadcast or multicast of this host has when it comes back in (ip_mc_finish_output). */
export function loopedDst(net: NetNamespace, skb: SkBuff): Rtable {
  const type = inaddr.ipv4_is_multicast(skb.iphdr.daddr) ? "multicast" : "broadcast";
  noteRoute(skb, null, type);
  return localDst(net, type, null);
}

const recordRoute = (net: NetNamespace, rt: Rtable, source: number): void =>
  net.record({ step: "route", device: rt.dev.ifindex, gateway: rt.rt_gw, source });

/** Columns `route` and `routeType`: what decided, as long as nothing later does. */
function noteRoute(skb: SkBuff, id: number | null, type: RouteType): void {
  skb.set("route", id === null ? 0 : id + 1);
  noteType(skb, type);
}

const noteType = (skb: SkBuff, type: RouteType): void => skb.set("routeType", RouteTypeCode[type]);

function noteLookup(
  net: NetNamespace,
  skb: SkBuff,
  result: FibResult | null,
  reject: number | null,
  err: Errno | 0,
): void {
  const id = err === 0 ? result!.route.id : reject;
  noteRoute(skb, id, id === null ? "unspec" : routeOf(net.model, routeId(id)).type);
}
