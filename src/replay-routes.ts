/**
 * Look-ups of a scenario (RTM_GETROUTE): asked in the root namespace, answered with what `ip route get` shows.
 */
import { deviceNamed, deviceOf, type Net, type NextHop, type Route } from "../dsl/model.ts";
import { routeOf } from "../dsl/route-columns.ts";
import type { PacketBatch } from "../runtime/batch.ts";
import type { Engine } from "../runtime/engine.ts";
import { bitsOf, type Family, familyOf, formatIp, formatPrefix, type Ip, parseIp } from "../runtime/net/ip.ts";
import { IpProtocol } from "../runtime/net/ipv4.ts";
import { Errno, nameOf } from "../runtime/verdict.ts";
import { inet6RouteGet, inetRouteGet, type RouteQuery } from "./route-get.ts";
import type { Query, RouteAnswer } from "./scenario.ts";

/** Holds what questions to one namespace share. */
export class RouteGetter {
  readonly #net: Net;
  readonly #engine: Engine;
  readonly #batch: PacketBatch;

  /** @param engine of `net` */
  constructor(net: Net, engine: Engine) {
    this.#net = net;
    this.#engine = engine;
    this.#batch = engine.createBatch(1, SLOT_BYTES);
  }

  answer(query: Query): RouteAnswer {
    const [dst, src] = [parseIp(query.dst), query.src === undefined ? undefined : parseIp(query.src)];
    if (dst === null || src === null) return { unsupported: "an address that is none" };
    if (src !== undefined && typeof src !== typeof dst) return { unsupported: "addresses of two families" };
    const [iif, oif] = [this.#ifindex(query.iif), this.#ifindex(query.oif)];
    if (iif === undefined || oif === undefined) return errorAnswer(Errno.ENODEV);
    if (query.proto !== undefined && !ASKABLE_PROTOCOLS[familyOf(dst)].includes(query.proto)) return EOPNOTSUPP;
    const { mark = 0, tos = 0, sport = 0, dport = 0 } = query;
    const rest = { iif, oif, mark, tos, sport, dport };
    if (typeof dst === "bigint") return this.#answer6(query, { dst, src: (src ?? 0n) as bigint, ...rest });
    return this.#answer4(query, { dst, src: (src ?? 0) as number, ...rest });
  }

  #answer4({ fibmatch, proto, uid = 0 }: Query, asked: Omit<RouteQuery, "protocol" | "uid">): RouteAnswer {
    const query = { ...asked, protocol: proto ?? IpProtocol.UDP, uid };
    const why = this.#unaskable(query);
    if (why !== null) return { unsupported: why };
    const found = inetRouteGet(this.#engine, this.#batch, this.#net, query);
    if (found.error !== 0) return errorAnswer(found.error);
    const route = found.route === null ? null : routeOf(this.#net, found.route);
    const { type, device, gateway, prefsrc } = found;
    if (!fibmatch) {
      const hop = this.#hop({ device, gateway });
      return { type, table: route?.table ?? 0, dst: fullPrefix(query.dst), ...hop, ...source(prefsrc) };
    }
    // fib_dump_info has nothing to show.
    if (route === null) return errorAnswer(Errno.EHOSTUNREACH);
    const priority = route.metric === 0 ? {} : { priority: route.metric };
    return { type, ...this.#matched(route, route.nexthops), ...priority };
  }

  /** What a flow can hold and a made-up packet cannot. */
  #unaskable({ iif, oif, dst, protocol, sport }: RouteQuery): string | null {
    if (protocol === IpProtocol.ICMP && sport !== 0) return "a source port of ICMP";
    const bound = deviceOf(this.#net, oif);
    if (iif === 0 && bound?.kind === "vrf" && dst >>> 28 === 0xe) return "multicast out of a VRF device";
    return null;
  }

  #unaskable6({ protocol, sport }: RouteQuery<bigint>): string | null {
    return protocol === IpProtocol.ICMPV6 && sport !== 0 ? "a source port of ICMP" : null;
  }

  #answer6({ fibmatch, proto = 0, uid }: Query, asked: Omit<RouteQuery<bigint>, "protocol" | "uid">): RouteAnswer {
    const query = { ...asked, protocol: proto, uid: uid ?? (asked.iif === 0 ? 0 : INVALID_UID) };
    const why = this.#unaskable6(query);
    if (why !== null) return { unsupported: why };
    const { dst: daddr } = asked;
    const found = inet6RouteGet(this.#engine, this.#batch, this.#net, query);
    if (found.error !== 0) return errorAnswer(found.error);
    const { route, device, nh, nexthops, prefsrc } = found;
    const shown = { type: route.type, priority: route.metric };
    if (fibmatch) return { ...shown, ...this.#matched(route, nexthops.length > 1 ? nexthops : [nh]) };
    const hop = this.#hop({ device, gateway: nh.gateway });
    return { ...shown, table: route.table, dst: fullPrefix(daddr), ...hop, ...source(prefsrc) };
  }

  /** `fibmatch`: the route as it stands in its table. */
  #matched(route: Route, nexthops: readonly NextHop[]): RouteAnswer {
    const dst = route.prefix.length === 0 ? {} : { dst: formatPrefix(route.prefix) };
    const hops =
      nexthops.length === 1 ? this.#hop(nexthops[0]) : { nexthops: nexthops.map((nh) => this.#weighted(nh)) };
    return { table: route.table, ...dst, ...source(route.prefsrc), ...hops };
  }

  #hop({ device, gateway }: Pick<NextHop, "device" | "gateway">): { dev: string; gateway?: string } {
    const dev = deviceOf(this.#net, device)?.name ?? `if${device}`;
    return gateway === null ? { dev } : { dev, gateway: formatIp(gateway) };
  }

  /** Keys in the order in which recordings have them. */
  #weighted(nh: NextHop): { dev: string; weight: number; gateway?: string } {
    const { dev, ...via } = this.#hop(nh);
    return { dev, weight: nh.weight, ...via };
  }

  /** 0: none named; undefined: no such device. */
  #ifindex(name: string | undefined): number | undefined {
    return name === undefined || name === "" ? 0 : deviceNamed(this.#net, name)?.ifindex;
  }
}

const SLOT_BYTES = 256;
/** rtm_getroute_parse_ip_proto: TCP, UDP, and ICMP of the family. */
const ASKABLE_PROTOCOLS: Readonly<Record<Family, readonly number[]>> = {
  4: [IpProtocol.TCP, IpProtocol.UDP, IpProtocol.ICMP],
  6: [IpProtocol.TCP, IpProtocol.UDP, IpProtocol.ICMPV6],
};
/** As recordings name it: Linux has one number for both names. */
const EOPNOTSUPP: RouteAnswer = { error: "ENOTSUP" };
/** Nobody's: no rule's uidrange holds it. */
const INVALID_UID = 0xffffffff;

const errorAnswer = (error: Errno): RouteAnswer => ({ error: nameOf(Errno, error) });
const fullPrefix = (ip: Ip): string => formatPrefix({ address: ip, length: bitsOf(familyOf(ip)) });
const source = (prefsrc: Ip | null): { prefsrc?: string } => (prefsrc === null ? {} : { prefsrc: formatIp(prefsrc) });
