/**
 * `ip route get`, of any engine: one look-up, without a packet.
 * k:net/ipv4/route.c inet_rtm_getroute, rt_fill_info; net/ipv6/route.c inet6_rtm_getroute, rt6_fill_node. With iif it is the route of a received packet (Entry ROUTE_INPUT); without, that
 * of a packet of this host (Entry LOOKUP). Such a packet is made up, as the kernel does, so that rules can look at its
 * protocol and ports.
 */
import { type Net, type NextHop, type Route, Scope } from "../dsl/model.ts";
import { routeOf } from "../dsl/route-columns.ts";
import { NEXT_HOP_IN_SLOT, type PacketBatch, PacketFlag } from "../runtime/batch.ts";
import { type IfIndex, ifIndex, type RouteId, routeId } from "../runtime/brand.ts";
import type { Engine } from "../runtime/engine.ts";
import { type Ip, readIpv4, readIpv6 } from "../runtime/net/ip.ts";
import { IpProtocol, ipv4Packet } from "../runtime/net/ipv4.ts";
import { ipv6Packet } from "../runtime/net/ipv6.ts";
import { ROUTE_TYPES, type RouteType } from "../runtime/net/route-types.ts";
import { writeU16 } from "../runtime/net/wire.ts";
import type { LookupKind } from "../runtime/trace.ts";
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
  const { iif, oif, mark, uid } = query;
  const where = iif === 0 ? { entry: Entry.LOOKUP, device: oif } : { entry: Entry.ROUTE_INPUT, device: iif };
  const put = (): void => {
    batch.count = 0;
    batch.put(packetOf(query), { ...where, mark, uid });
  };
  put();
  engine.process(batch);
  if ((batch.column("verdict")[0] as Verdict) !== Verdict.FOUND) return { error: batch.column("error")[0] as Errno };
  const id = batch.column("route")[0];
  if (id === 0) put();
  const route = id === 0 ? rowOfTrace(engine, batch, net) : routeId(id - 1);
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

/** Rows share their answers, which so do not say whose they are: the trace does. */
function rowOfTrace(engine: Engine, batch: PacketBatch, net: Net): RouteId | null {
  let kind: LookupKind = "nft_fib";
  let found: RouteId | null = null;
  for (const step of engine.trace(batch)[0]) {
    if (step.step === "lookup") kind = step.kind;
    if (step.step === "result" && (kind === "input" || kind === "output")) found = step.route;
  }
  return found !== null && found >= net.routes.length ? found : null;
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
  const hops = id === null ? [] : routeOf(net, id).nexthops;
  const isGateway = hops.some((hop) => hop.device === device && hop.gateway === dst && hop.scope === Scope.LINK);
  return isGateway ? nextHop : null;
}

export type FoundRoute6 =
  | { readonly error: Errno }
  | {
      readonly error: 0;
      readonly route: Route;
      readonly device: IfIndex;
      /** The next hop that was chosen, and all of a multipath route, from the chosen one on: siblings are a ring. */
      readonly nh: NextHop;
      readonly nexthops: readonly NextHop[];
      /** Null: none, or the packet is received. */
      readonly prefsrc: bigint | null;
    };

/** As inetRouteGet; without a route there is always an error. */
export function inet6RouteGet(engine: Engine, batch: PacketBatch, net: Net, query: RouteQuery<bigint>): FoundRoute6 {
  batch.count = 0;
  const { iif, oif, mark, uid, dst } = query;
  const where = iif === 0 ? { entry: Entry.LOOKUP, device: oif } : { entry: Entry.ROUTE_INPUT, device: iif };
  batch.put(packetOf6(query), { ...where, mark, uid, flags: PacketFlag.RTM_GETROUTE });
  engine.process(batch);
  if ((batch.column("verdict")[0] as Verdict) !== Verdict.FOUND) return { error: batch.column("error")[0] as Errno };
  const route = net.routes[batch.column("route")[0] - 1];
  const device = ifIndex(batch.column("outDevice")[0]);
  const nh = chosenHop(route, device, readIpv6(batch.bytes, batch.slot(0) + NEXT_HOP_IN_SLOT), dst);
  const source = iif === 0 ? readIpv6(batch.bytes, batch.column("source")[0]) : route.prefsrc;
  return {
    error: 0,
    route,
    device,
    nh,
    nexthops: siblings(net, route, nh),
    prefsrc: (source || null) as bigint | null,
  };
}

/** An own address has another device than its next hop. */
function chosenHop({ nexthops }: Route, device: IfIndex, nextHop: bigint, dst: bigint): NextHop {
  const ofDevice = nexthops.filter((hop) => hop.device === device);
  const onLink = nextHop === dst ? ofDevice.find((hop) => hop.gateway === null) : undefined;
  return ofDevice.find((hop) => hop.gateway === nextHop) ?? onLink ?? nexthops[0];
}

/** rt6_qualify_for_ecmp: those of equal routes that have a gateway. */
function siblings(net: Net, { table, prefix, metric }: Route, nh: NextHop): readonly NextHop[] {
  if (nh.gateway === null) return [nh];
  const isEqual = (other: Route): boolean =>
    other.family === 6 &&
    other.table === table &&
    other.metric === metric &&
    other.prefix.length === prefix.length &&
    other.prefix.address === prefix.address;
  const all = net.routes.filter(isEqual).flatMap(({ nexthops }) => nexthops.filter(({ gateway }) => gateway !== null));
  const at = all.indexOf(nh);
  return [...all.slice(at), ...all.slice(0, at)];
}

/** IPTOS_RT_MASK. */
const TOS_MASK = 0x1c;
/** Of a TCP header, the largest of those that are looked into. */
const TRANSPORT_BYTES = 20;

/** inet_rtm_getroute_build_skb; a flow of ICMP keeps type and code where others have the destination port. */
function packetOf(query: RouteQuery): Uint8Array {
  const header = {
    tos: query.tos & TOS_MASK,
    identification: 0,
    dontFragment: false,
    ttl: 0,
    protocol: query.protocol,
    source: query.src,
    destination: query.dst,
  };
  return ipv4Packet(header, transportOf(query, IpProtocol.ICMP));
}

function packetOf6(query: RouteQuery<bigint>): Uint8Array {
  const header = {
    trafficClass: query.tos,
    flowLabel: 0,
    nextHeader: query.protocol,
    hopLimit: 0,
    source: query.src,
    destination: query.dst,
  };
  return ipv6Packet(header, transportOf(query, IpProtocol.ICMPV6));
}

function transportOf({ protocol, sport, dport }: RouteQuery<Ip>, icmp: number): Uint8Array {
  const transport = new Uint8Array(TRANSPORT_BYTES);
  writeU16(transport, 0, protocol === icmp ? dport : sport);
  if (protocol !== icmp) writeU16(transport, 2, dport);
  return transport;
}
