/**
 * Routing a packet of this host anew, after a chain changed it.
 * k:net/netfilter/nft_chain_route.c; net/ipv4/netfilter.c ip_route_me_harder; net/ipv6/netfilter.c ip6_route_me_harder.
 */
import { EtherType } from "../../../runtime/net/ethernet.ts";
import { ipv6_addr_is_linklocal, ipv6_addr_is_multicast } from "../../../runtime/net/in6.ts";
import { readU32 } from "../../../runtime/net/wire.ts";
import { inet_addr_type_dev_table } from "../fib_frontend.ts";
import { fib_rules_require_fldissect } from "../fib4_rules.ts";
import { FlowFlag, flowi4, flowi6 } from "../flow.ts";
import { skb_flow_dissect_flow_keys } from "../flow_dissector.ts";
import { skb_flow_dissect_flow_keys6 } from "../ipv6/flow_dissector.ts";
import { ipv6_hdr } from "../ipv6/ipv6hdr.ts";
import { ip6_route_output_flags, noteRoute, recordRoute } from "../ipv6/route.ts";
import { l3mdev_master_ifindex } from "../l3mdev.ts";
import type { NetNamespace } from "../net.ts";
import { ip_route_output_key } from "../route.ts";
import type { SkBuff } from "../skb.ts";
import type { PktInfo } from "./pktinfo.ts";

/** What a change of has the packet routed anew: addresses, mark, and TOS; of IPv6 hop limit and flow label too. */
export function routing_keys(skb: SkBuff): string {
  if (skb.protocol !== EtherType.IPV6) return [skb.mark, skb.iphdr.saddr, skb.iphdr.daddr, skb.iphdr.tos].join();
  const { saddr, daddr, hop_limit, bytes, offset } = ipv6_hdr(skb);
  return [skb.mark, saddr, daddr, hop_limit, readU32(bytes, offset)].join();
}

/** @returns is there a route? */
export const route_me_harder = ({ net, skb }: PktInfo): boolean =>
  skb.protocol === EtherType.IPV6 ? ip6_route_me_harder(net, skb) : ip_route_me_harder(net, skb);

/** The source need not be this host's own any more; it is chosen anew when it is no address one could send from. */
function ip_route_me_harder(net: NetNamespace, skb: SkBuff): boolean {
  const { dev } = skb.dst!;
  const { saddr, daddr, tos } = skb.iphdr;
  const type = inet_addr_type_dev_table(net, dev, saddr);
  const keep = type === "local" || type === "unicast";
  const fl4 = flowi4({
    daddr,
    saddr: keep ? saddr : 0,
    tos,
    oif: skb.sk_bound_dev_if,
    l3mdev: l3mdev_master_ifindex(dev),
    mark: skb.mark,
    flags: keep ? FlowFlag.ANYSRC : 0,
  });
  if (fib_rules_require_fldissect(net.rules)) Object.assign(fl4, skb_flow_dissect_flow_keys(skb));
  const rt = ip_route_output_key(net, skb, "output", fl4);
  if (typeof rt === "number") return false;
  skb.dst = rt;
  return true;
}

function ip6_route_me_harder(net: NetNamespace, skb: SkBuff): boolean {
  const { dev } = skb.dst6!;
  const { saddr, daddr } = ipv6_hdr(skb);
  const strict = ipv6_addr_is_multicast(daddr) || ipv6_addr_is_linklocal(daddr);
  const bound = skb.sk_bound_dev_if;
  const fl6 = flowi6({
    saddr,
    daddr,
    iif: 0,
    oif: bound === 0 && strict ? dev.ifindex : bound,
    l3mdev: l3mdev_master_ifindex(dev),
    mark: skb.mark,
    uid: skb.sk_uid ?? 0,
  });
  if (fib_rules_require_fldissect(net.rules6)) Object.assign(fl6, skb_flow_dissect_flow_keys6(skb));
  const rt = ip6_route_output_flags(net, "output", fl6, bound !== 0);
  noteRoute(skb, rt);
  if (rt.error !== 0) return false;
  recordRoute(net, rt, saddr);
  skb.dst6 = rt;
  return true;
}
