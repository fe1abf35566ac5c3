/**
 * `fib`: look-ups that an expression makes, of the packet's addresses in the routing tables.
 * k:net/ipv4/netfilter/nft_fib_ipv4.c nft_fib4_eval, nft_fib4_eval_type; net/ipv6/netfilter/nft_fib_ipv6.c nft_fib6_eval,
 * __nft_fib6_eval_type; net/netfilter/nft_fib.c nft_fib_store_result, nft_fib_netdev.c.
 */
import type { Fib } from "../../../dsl/chain-model.ts";
import type { Device } from "../../../dsl/model.ts";
import { LOOPBACK_IFINDEX } from "../../../runtime/brand.ts";
import { EtherType } from "../../../runtime/net/ethernet.ts";
import {
  ipv6_addr_is_linklocal,
  ipv6_addr_is_multicast,
  ipv6_addr_is_unicast,
  ipv6_addr_mc_scope,
  Scope6,
} from "../../../runtime/net/in6.ts";
import { IPV6_HEADER_BYTES } from "../../../runtime/net/ipv6.ts";
import { type RouteType, RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { Errno } from "../../../runtime/verdict.ts";
import { fib_info_nh_uses_dev, inet_dev_addr_type } from "../fib_frontend.ts";
import { fib_lookup } from "../fib4_rules.ts";
import { type Flowi6, flowi4, flowi6, INET_DSCP_MASK } from "../flow.ts";
import * as inaddr from "../in.ts";
import { IPHDR_BYTES } from "../iphdr.ts";
import { ipv6_chk_addr } from "../ipv6/addrconf.ts";
import { IPPROTO_ICMPV6, ipv6_hdr } from "../ipv6/ipv6hdr.ts";
import { ip6_route_lookup, ip6_route_output_flags, isOwnAddress, isOwnAnycast, type Rt6Info } from "../ipv6/route.ts";
import { l3mdev_master_ifindex } from "../l3mdev.ts";
import { isLoopback } from "../net.ts";
import { network_length, type PktInfo } from "./pktinfo.ts";

/** @returns null: the expression breaks, for the packet is not IP or its header not all there */
export function nft_fib_eval(expr: Fib, pkt: PktInfo): bigint | null {
  const ipv6 = pkt.skb.protocol === EtherType.IPV6;
  if (!ipv6 && pkt.skb.protocol !== EtherType.IPV4) return null;
  if (network_length(pkt.skb) < (ipv6 ? IPV6_HEADER_BYTES : IPHDR_BYTES)) return null;
  if (expr.result === "type") {
    const type = ipv6 ? nft_fib6_eval_type(expr, pkt) : nft_fib4_eval_type(expr, pkt);
    return BigInt(RouteTypeCode[type]);
  }
  return store_result(expr, ipv6 ? nft_fib6_eval(expr, pkt) : nft_fib4_eval(expr, pkt));
}

function store_result({ present }: Fib, dev: Device | null): bigint {
  if (present) return dev === null ? 0n : 1n;
  return BigInt(dev?.ifindex ?? 0);
}

const asked_device = (expr: Fib, { in: input, out }: PktInfo): Device | null =>
  expr.iif ? input : expr.oif ? out : null;

/** NF_INET_PRE_ROUTING, whose number NF_NETDEV_INGRESS has too. */
const at_prerouting = (hook: PktInfo["hook"]): boolean => hook === "prerouting" || hook === "netdev ingress";

/** What a host sends itself is reached by where it comes from. */
const nft_fib_is_loopback = ({ skb, in: input }: PktInfo): boolean =>
  skb.pkt_type === "LOOPBACK" || (input !== null && isLoopback(input));

// ---- IPv4 ----------------------------------------------------------------------------------------------------------------

function nft_fib4_eval_type(expr: Fib, pkt: PktInfo): RouteType {
  const { saddr, daddr } = pkt.skb.iphdr;
  return inet_dev_addr_type(pkt.net, asked_device(expr, pkt), expr.address === "daddr" ? daddr : saddr);
}

function nft_fib4_eval(expr: Fib, pkt: PktInfo): Device | null {
  const { net, skb, hook } = pkt;
  const oif = expr.oif ? pkt.out : expr.iif ? pkt.in : null;
  if (at_prerouting(hook) && nft_fib_is_loopback(pkt)) return pkt.in;
  const { saddr, daddr, tos } = skb.iphdr;
  const toAll = inaddr.ipv4_is_lbcast(daddr) || inaddr.ipv4_is_local_multicast(daddr);
  if (inaddr.ipv4_is_zeronet(saddr) && toAll) return skb.dev;

  const forwarded = expr.address === "saddr" && hook === "forward" && expr.iif;
  const fl4 = flowi4({
    iif: forwarded ? pkt.out!.ifindex : LOOPBACK_IFINDEX,
    l3mdev: l3mdev_master_ifindex(pkt.in ?? undefined),
    mark: expr.mark ? skb.mark : 0,
    tos: tos & INET_DSCP_MASK,
    saddr: get_saddr(expr.address === "daddr" ? saddr : daddr),
    daddr: expr.address === "daddr" ? daddr : saddr,
  });
  const { err, arg } = fib_lookup(net, "nft_fib", fl4);
  if (err !== 0) return null;
  const { route, nhc } = arg.result!;
  if (route.type === "local") return null;
  if (oif === null) return net.dev_get_by_index(nhc.device) ?? null;
  return fib_info_nh_uses_dev(net, route, oif) ? oif : null;
}

/** No route is looked for from these. */
const get_saddr = (addr: number): number =>
  inaddr.ipv4_is_multicast(addr) || inaddr.ipv4_is_lbcast(addr) || inaddr.ipv4_is_zeronet(addr) ? 0 : addr;

// ---- IPv6 ----------------------------------------------------------------------------------------------------------------

/** @param dev the device asked for */
function nft_fib6_flowi_init(expr: Fib, pkt: PktInfo, dev: Device | null): { fl6: Flowi6; iface: boolean } {
  const { skb, hook } = pkt;
  const { saddr, daddr, dsfield, flowlabel } = ipv6_hdr(skb);
  const forwarded = expr.address === "saddr" && hook === "forward" && expr.iif;
  const fl6 = flowi6({
    saddr: expr.address === "daddr" ? saddr : daddr,
    daddr: expr.address === "daddr" ? daddr : saddr,
    iif: forwarded ? pkt.out!.ifindex : LOOPBACK_IFINDEX,
    mark: expr.mark ? skb.mark : 0,
    protocol: pkt.l4?.protocol ?? 0,
    tos: dsfield,
    flowlabel,
  });
  const iface = is_linklocal(fl6.daddr);
  if (iface) fl6.oif = (dev ?? skb.dev)?.ifindex ?? 0;
  return { fl6, iface };
}

function nft_fib6_eval_type(expr: Fib, pkt: PktInfo): RouteType {
  const { net } = pkt;
  const dev = asked_device(expr, pkt);
  const { fl6 } = nft_fib6_flowi_init(expr, pkt, dev);
  fl6.l3mdev = l3mdev_master_ifindex(dev ?? undefined);
  const own = dev !== null && ipv6_chk_addr(net, fl6.daddr, dev, true);
  const { daddr } = fl6;
  const rt = ip6_route_output_flags(net, "nft_fib", fl6, false);
  if (rt.error !== 0) return refused_type(rt.error);
  if (ipv6_anycast_destination(rt, daddr)) return "anycast";
  if (own || (dev === null && rt.from?.route.type === "local")) return "local";
  if (ipv6_addr_is_multicast(daddr)) return "multicast";
  return ipv6_addr_is_unicast(daddr) ? "unicast" : "unspec";
}

function refused_type(error: Errno): RouteType {
  switch (error) {
    case Errno.EINVAL:
      return "blackhole";
    case Errno.EACCES:
      return "prohibit";
    case Errno.EAGAIN:
      return "throw";
    default:
      return "unreachable";
  }
}

/** An anycast address of the kernel's own, or the first address of a subnet on the link. */
function ipv6_anycast_destination({ from, gateway }: Rt6Info, daddr: bigint): boolean {
  if (from === null) return false;
  const { prefix } = from.route;
  return isOwnAnycast(from.route) || (prefix.length < 127 && gateway === null && prefix.address === daddr);
}

function nft_fib6_eval(expr: Fib, pkt: PktInfo): Device | null {
  const { net, skb, hook } = pkt;
  const oif = asked_device(expr, pkt);
  const { fl6, iface } = nft_fib6_flowi_init(expr, pkt, oif);
  fl6.l3mdev = l3mdev_master_ifindex(pkt.in ?? undefined);
  if (at_prerouting(hook) && (nft_fib_is_loopback(pkt) || nft_fib_v6_skip_icmpv6(pkt))) return pkt.in;
  const hasSaddr = ipv6_addr_is_unicast(fl6.saddr);
  const rt = ip6_route_lookup(net, fl6, skb, { iface, hasSaddr });
  if (rt.error !== 0 || rt.from === null || isOwnAddress(rt.from.route)) return null;
  if (oif === null) return rt.idev;
  return oif === rt.idev || l3mdev_master_ifindex(rt.idev) === oif.ifindex ? oif : null;
}

/** Duplicate address detection, and the like. */
function nft_fib_v6_skip_icmpv6({ skb, l4 }: PktInfo): boolean {
  const { saddr, daddr } = ipv6_hdr(skb);
  return l4?.protocol === IPPROTO_ICMPV6 && saddr === 0n && is_linklocal(daddr);
}

/** IPV6_ADDR_LINKLOCAL: multicast of that scope too. */
const is_linklocal = (address: bigint): boolean =>
  ipv6_addr_is_linklocal(address) ||
  (ipv6_addr_is_multicast(address) && ipv6_addr_mc_scope(address) === Scope6.LINKLOCAL);
