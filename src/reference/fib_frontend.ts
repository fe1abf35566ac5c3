/**
 * Could this packet's source be reached by the device it came from?
 * k:net/ipv4/fib_frontend.c fib_validate_source, __fib_validate_source, inet_addr_type_dev_table, inet_dev_addr_type; include/net/ip_fib.h
 * nhc_l3mdev_matches_dev.
 */
import { type Device, type NextHop, type Route, Scope } from "../../dsl/model.ts";
import { LOOPBACK_IFINDEX, RT_TABLE_LOCAL } from "../../runtime/brand.ts";
import type { RouteType } from "../../runtime/net/route-types.ts";
import { Errno } from "../../runtime/verdict.ts";
import { ifa_list, inet_lookup_ifaddr } from "./devinet.ts";
import { fib_table_lookup } from "./fib_trie.ts";
import { fib_lookup, fib_rules_require_fldissect, fib4_has_custom_rules } from "./fib4_rules.ts";
import { flowi4 } from "./flow.ts";
import { skb_flow_dissect_flow_keys } from "./flow_dissector.ts";
import { ipv4_is_lbcast, ipv4_is_multicast, ipv4_is_zeronet } from "./in.ts";
import { l3mdev_fib_table, l3mdev_master_ifindex } from "./l3mdev.ts";
import type { NetNamespace } from "./net.ts";
import type { SkBuff } from "./skb.ts";

/** Refused, with which errno; or accepted, and then: is the source a neighbour on the link (the kernel's return of 1)? */
export interface SourceVerdict {
  readonly err: Errno | 0;
  readonly onlink: boolean;
}

const accept = (onlink: boolean): SourceVerdict => ({ err: 0, onlink });
const refuse = (err: Errno): SourceVerdict => ({ err, onlink: false });

/**
 * @param oif the device that the packet leaves by, 0 for this host
 * @param dev the receiving device: the slave, not its VRF
 */
export function fib_validate_source(
  net: NetNamespace,
  skb: SkBuff,
  src: number,
  dst: number,
  tos: number,
  oif: number,
  dev: Device,
): SourceVerdict {
  const verdict = validate(net, skb, src, dst, tos, oif, dev);
  net.record({ step: "fib_validate_source", device: dev.ifindex, error: verdict.err });
  return verdict;
}

function validate(
  net: NetNamespace,
  skb: SkBuff,
  src: number,
  dst: number,
  tos: number,
  oif: number,
  dev: Device,
): SourceVerdict {
  if (dev.conf.rpFilter === 0 && (dev.ifindex !== oif || !dev.conf.sendRedirects)) {
    if (dev.conf.acceptLocal) return accept(false);
    if (!fib_has_custom_local_routes(net.model.routes) && !fib4_has_custom_rules(net.model.rules))
      return inet_lookup_ifaddr(net, src) === undefined ? accept(false) : refuse(Errno.EINVAL);
  }
  return __fib_validate_source(net, skb, src, dst, tos, oif, dev);
}

/** k:net/ipv4/fib_frontend.c inet_rtm_newroute: a local route that did not come from an address. */
const fib_has_custom_local_routes = (routes: readonly Route[]): boolean =>
  routes.some((route) => route.family === 4 && route.type === "local" && route.protocol !== "kernel");

/** Routes the packet's answer, and sees whether it would leave by `dev`. */
function __fib_validate_source(
  net: NetNamespace,
  skb: SkBuff,
  src: number,
  dst: number,
  tos: number,
  oif: number,
  dev: Device,
): SourceVerdict {
  const rpf = dev.conf.rpFilter;
  const last_resort = rpf === 0 ? accept(false) : refuse(Errno.EXDEV);
  const domain = l3mdev_master_ifindex(dev);
  const fl4 = flowi4({ saddr: dst, daddr: src, tos, iif: oif === 0 ? LOOPBACK_IFINDEX : oif });
  if (net.kernel !== "5.4") fl4.l3mdev = domain;
  else if (domain !== 0) fl4.iif = domain;
  if (fib_rules_require_fldissect(net.rules)) {
    const { protocol, sport, dport } = skb_flow_dissect_flow_keys(skb);
    Object.assign(fl4, { protocol, sport: dport, dport: sport });
  }

  const { err, arg } = fib_lookup(net, "source", fl4);
  if (err !== 0) return last_resort;
  const { route, nhc } = arg.result!;
  if (route.type !== "unicast" && !(route.type === "local" && dev.conf.acceptLocal)) return refuse(Errno.EINVAL);
  const fromLoopback = route.type === "local" && dev === net.loopback_dev;
  if (fib_info_nh_uses_dev(net, route, dev) || fromLoopback) return accept(nhc.scope >= Scope.HOST);
  if (ifa_list(dev).length === 0) return last_resort;
  if (rpf === 1) return refuse(Errno.EXDEV);

  fl4.oif = dev.ifindex;
  const second = fib_lookup(net, "source", fl4);
  const found = second.err === 0 ? second.arg.result! : null;
  return accept(found !== null && found.route.type === "unicast" && found.nhc.scope >= Scope.HOST);
}

/** Does any next hop of the route leave by the device? */
export const fib_info_nh_uses_dev = (net: NetNamespace, route: Route, dev: Device): boolean =>
  route.nexthops.some((nhc) => nhc_l3mdev_matches_dev(net, nhc, dev));

/** By the device itself, or, when it is a VRF, by a slave of it. A sibling slave does not count. */
const nhc_l3mdev_matches_dev = (net: NetNamespace, nhc: NextHop, dev: Device): boolean =>
  nhc.device === dev.ifindex || l3mdev_master_ifindex(net.dev_get_by_index(nhc.device)) === dev.ifindex;

/** What kind of address it is to the device's VRF, or to table local outside of VRFs. */
export const inet_addr_type_dev_table = (net: NetNamespace, dev: Device, addr: number): RouteType =>
  dev_addr_type(net, addr, l3mdev_fib_table(net, dev), null);

/** Likewise, but only what is reached by the device has a type. @param dev null: to table local, by any device */
export const inet_dev_addr_type = (net: NetNamespace, dev: Device | null, addr: number): RouteType =>
  dev_addr_type(net, addr, dev === null ? 0 : l3mdev_fib_table(net, dev), dev);

/** __inet_dev_addr_type. To a table that is not there, as local where all addresses are in VRFs, every address is a broadcast address. */
function dev_addr_type(net: NetNamespace, addr: number, vrfTable: number, by: Device | null): RouteType {
  if (ipv4_is_zeronet(addr) || ipv4_is_lbcast(addr)) return "broadcast";
  if (ipv4_is_multicast(addr)) return "multicast";
  const table = vrfTable === 0 ? RT_TABLE_LOCAL : vrfTable;
  if (net.fib_get_table(table).length === 0) return "broadcast";
  const answer = fib_table_lookup(net, table, flowi4({ saddr: 0, daddr: addr }));
  if (answer.err !== 0) return "unicast";
  const { route } = answer.res;
  return by === null || by.ifindex === route.nexthops[0]?.device ? route.type : "unicast";
}
