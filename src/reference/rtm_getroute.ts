/**
 * `ip route get`: one look-up, without a packet.
 * k:net/ipv4/route.c inet_rtm_getroute, rt_fill_info. With iif it is the route of a received packet, source validation and
 * all; without, that of a packet of this host. Such a packet is made up, as the kernel does, so that rules can look at its
 * protocol and ports.
 */
import type { KernelProfile, Net, RouteType } from "../../dsl/model.ts";
import { batchBytes, PacketBatch } from "../../runtime/batch.ts";
import { type IfIndex, imageOffset, type RouteId, routeId } from "../../runtime/brand.ts";
import type { Ip } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { writeU16 } from "../../runtime/net/wire.ts";
import { DropReason, Entry, Errno } from "../../runtime/verdict.ts";
import { flowi4, IPTOS_RT_MASK } from "./flow.ts";
import { IPPROTO_TCP, IPPROTO_UDP } from "./in.ts";
import { NetNamespace } from "./net.ts";
import { ip_route_input_noref, ip_route_output_key } from "./route.ts";
import type { Rtable } from "./rtable.ts";
import { SkBuff } from "./skb.ts";

/** Fields that are not asked about are 0; protocol: UDP, as `ip route get` has it. */
export interface RouteQuery {
  readonly dst: number;
  readonly src: number;
  readonly iif: number;
  readonly oif: number;
  readonly mark: number;
  readonly tos: number;
  readonly protocol: number;
  readonly sport: number;
  readonly dport: number;
  readonly uid: number;
}

export type RouteAnswer =
  | { readonly error: Errno }
  | {
      readonly error: 0;
      readonly type: RouteType;
      readonly device: IfIndex;
      readonly gateway: Ip | null;
      /** Null: the source was given, or the packet is received. */
      readonly prefsrc: number | null;
      /** Null: no table decided. */
      readonly route: RouteId | null;
    };

export function inet_rtm_getroute(model: Net, kernel: KernelProfile, query: RouteQuery): RouteAnswer {
  const net = new NetNamespace(model, kernel);
  const skb = inet_rtm_getroute_build_skb(query);
  return query.iif === 0 ? getroute_output(net, skb, query) : getroute_input(net, skb, query);
}

function getroute_input(net: NetNamespace, skb: SkBuff, query: RouteQuery): RouteAnswer {
  const dev = net.dev_get_by_index(query.iif);
  if (dev === undefined) return { error: Errno.ENODEV };
  skb.dev = dev;
  const reason = ip_route_input_noref(net, skb, dev);
  if (reason !== null) return { error: reason === DropReason.IP_RPFILTER ? Errno.EXDEV : Errno.EINVAL };
  const rt = skb.dst!;
  return rt.error === 0 ? rt_fill_info(skb, rt, null) : { error: rt.error };
}

function getroute_output(net: NetNamespace, skb: SkBuff, query: RouteQuery): RouteAnswer {
  const { src, dst, iif: _, ...rest } = query;
  const fl4 = flowi4({ ...rest, saddr: src, daddr: dst });
  const rt = ip_route_output_key(net, skb, "output", fl4);
  if (typeof rt === "number") return { error: rt };
  return rt_fill_info(skb, rt, fl4.saddr === src ? null : fl4.saddr);
}

function rt_fill_info(skb: SkBuff, rt: Rtable, prefsrc: number | null): RouteAnswer {
  const route = skb.batch.column("route")[skb.index];
  return {
    error: 0,
    type: rt.rt_type,
    device: rt.dev.ifindex,
    gateway: rt.rt_gw,
    prefsrc,
    route: route === 0 ? null : routeId(route - 1),
  };
}

const TRANSPORT_BYTES = 20;
const SLOT_BYTES = 256;

function inet_rtm_getroute_build_skb(query: RouteQuery): SkBuff {
  const transport = new Uint8Array(TRANSPORT_BYTES);
  if (query.protocol === IPPROTO_UDP || query.protocol === IPPROTO_TCP) {
    writeU16(transport, 0, query.sport);
    writeU16(transport, 2, query.dport);
  }
  const header = {
    tos: query.tos & IPTOS_RT_MASK,
    identification: 0,
    dontFragment: false,
    ttl: 0,
    protocol: query.protocol,
    source: query.src,
    destination: query.dst,
  };
  const buffer = new ArrayBuffer(batchBytes(1, SLOT_BYTES));
  const batch = new PacketBatch(() => buffer, imageOffset(0), 1, SLOT_BYTES);
  batch.put(ipv4Packet(header, transport), { entry: Entry.LOOKUP, device: 0, mark: query.mark });
  const skb = new SkBuff(batch, 0);
  skb.set_network_header();
  return skb;
}
