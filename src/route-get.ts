/**
 * `ip route get` for IPv4, of any engine: one look-up, without a packet.
 * k:net/ipv4/route.c inet_rtm_getroute, rt_fill_info. With iif it is the route of a received packet (Entry ROUTE_INPUT); without, that
 * of a packet of this host (Entry LOOKUP). Such a packet is made up, as the kernel does, so that rules can look at its
 * protocol and ports.
 */
import { type Net, ROUTE_TYPES, type RouteType, Scope } from "../dsl/model.ts";
import { NEXT_HOP_IN_SLOT, type PacketBatch, PacketFlag } from "../runtime/batch.ts";
import { type IfIndex, ifIndex, type RouteId, routeId } from "../runtime/brand.ts";
import type { Engine } from "../runtime/engine.ts";
import { type Ip, readIpv4, readIpv6 } from "../runtime/net/ip.ts";
import { ipv4Packet } from "../runtime/net/ipv4.ts";
import { writeU16 } from "../runtime/net/wire.ts";
import { Entry, type Errno, Verdict } from "../runtime/verdict.ts";

/** Fields that are not asked about are 0; protocol: UDP, as `ip route get` has it. */
export interface RouteQuery<Address extends Ip = number> {
  readonly dst: Address;
  readonly src: Address;
  readonly iif: number;
  readonly oif: number;
  readonly mark: number;
  readonly tos: number;
  readonly protocol: number;
  readonly sport: number;
  readonly dport: number;
  readonly uid: number;
}

export type FoundRoute<Address extends Ip = number> =
  | { readonly error: Errno }
  | {
      readonly error: 0;
      readonly type: RouteType;
      readonly device: IfIndex;
      readonly gateway: Ip | null;
      /** Null: nothing to tell: the source was given, or the packet is received. */
      readonly prefsrc: Address | null;
      /** Null: no table decided. */
      readonly route: RouteId | null;
    };

/** @param batch of the engine, of one packet at least; `net` is the engine's namespace */
export function inetRouteGet(engine: Engine, batch: PacketBatch, net: Net, query: RouteQuery): FoundRoute {
  batch.count = 0;
  const { iif, oif, mark, uid } = query;
  const where = iif === 0 ? { entry: Entry.LOOKUP, device: oif } : { entry: Entry.ROUTE_INPUT, device: iif };
  batch.put(packetOf(query), { ...where, mark, uid });
  engine.process(batch);
  if ((batch.column("verdict")[0] as Verdict) !== Verdict.FOUND) return { error: batch.column("error")[0] as Errno };
  const id = batch.column("route")[0];
  const route = id === 0 ? null : routeId(id - 1);
  const device = ifIndex(batch.column("outDevice")[0]);
  const source = iif === 0 ? readIpv4(batch.bytes, batch.column("source")[0]) : query.src;
  return {
    error: 0,
    type: ROUTE_TYPES[batch.column("routeType")[0]],
    device,
    gateway: gatewayOf(batch, net, query.dst, device, route),
    prefsrc: source === query.src ? null : source,
    route,
  };
}

/**
 * The next hop, where that is not just the destination: of that address the route itself must have a gateway. "To nobody" has
 * become "to oneself".
 */
function gatewayOf(batch: PacketBatch, net: Net, dst: number, device: IfIndex, id: RouteId | null): Ip | null {
  const ipv6 = (batch.column("flags")[0] & PacketFlag.NEXT_HOP_IPV6) !== 0;
  const at = batch.slot(0) + NEXT_HOP_IN_SLOT;
  const nextHop = ipv6 ? readIpv6(batch.bytes, at) : readIpv4(batch.bytes, at);
  if (dst === 0) return null;
  if (nextHop !== dst) return nextHop;
  const hops = id === null ? [] : net.routes[id].nexthops;
  const isGateway = hops.some((hop) => hop.device === device && hop.gateway === dst && hop.scope === Scope.LINK);
  return isGateway ? nextHop : null;
}

const IPPROTO_ICMP = 1;
/** IPTOS_RT_MASK. */
const TOS_MASK = 0x1c;
/** Of a TCP header, the largest of those that are looked into. */
const TRANSPORT_BYTES = 20;

/** inet_rtm_getroute_build_skb; a flow of ICMP keeps type and code where others have the destination port. */
function packetOf(query: RouteQuery): Uint8Array {
  const transport = new Uint8Array(TRANSPORT_BYTES);
  const icmp = query.protocol === IPPROTO_ICMP;
  writeU16(transport, 0, icmp ? query.dport : query.sport);
  if (!icmp) writeU16(transport, 2, query.dport);
  const header = {
    tos: query.tos & TOS_MASK,
    identification: 0,
    dontFragment: false,
    ttl: 0,
    protocol: query.protocol,
    source: query.src,
    destination: query.dst,
  };
  return ipv4Packet(header, transport);
}
