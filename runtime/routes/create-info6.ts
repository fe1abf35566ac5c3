/**
 * What Linux asks of an IPv6 route before a table takes it, in its order: inet6_rtm_newroute, ip6_route_multipath_add, fib6_nh_init,
 * ip6_validate_gw of k:net/ipv6/route.c.
 */
import { DEVICE, DeviceFlag } from "../abi/device.ts";
import {
  FIB_ALIAS6_BYTES,
  FIB_ENTRY,
  FIB_ENTRY_BYTES,
  NEXT_HOP,
  NEXT_HOP_BYTES,
  NextHopFlag,
  Route6Flag,
} from "../abi/fib.ts";
import { RT_TABLE_MAIN } from "../brand.ts";
import type { DeviceConfig } from "../host/config.ts";
import { key6 } from "../lpm/prefix-trie6.ts";
import * as in6 from "../net/in6.ts";
import { parseIp } from "../net/ip.ts";
import { type RouteType, RouteTypeCode } from "../net/route-types.ts";
import { refuseRoute } from "../refusal.ts";
import { Errno } from "../verdict.ts";
import { DEFAULT_PROTOCOL, typeAndError } from "./create-info.ts";
import { A } from "./entries.ts";
import type { Route6 } from "./entries6.ts";
import type { DeleteMatch6, FibTable6 } from "./fib6.ts";
import { type Answer, isHit, l3mdevMaster, type RulesContext, rulesLookup, Scope } from "./gateway.ts";
import type { Hop } from "./hops.ts";
import { type HopSpec, hopsOf, prefixOf6, protocolOf, type RouteSpec } from "./spec.ts";
import type { RouteTables } from "./tables.ts";

export interface Context6 extends RulesContext {
  readonly devices: readonly DeviceConfig[];
  /** Offset of the DEVICE of a config. */
  deviceOf(ifindex: number): number;
  table(id: number): FibTable6 | null;
}

/** Of routes that do not say one. */
const IP6_RT_PRIO_USER = 1024;

/** A route of IPv6, each next hop by itself, but for what the prefix makes of it. */
export function createInfo6(
  tables: RouteTables,
  spec: RouteSpec,
  command: string,
): { table: number; routes: readonly Route6[] } {
  prefixOf6(spec.prefix);
  const { type, error } = typeAndError(spec, command);
  if (spec.src !== undefined) refuseRoute(Errno.EOPNOTSUPP, "src: not in changes of IPv6 routes");
  if (spec.nexthops?.some(({ via }) => via === undefined))
    refuseRoute(Errno.EINVAL, "Error: Device only routes can not be added for IPv6 using the multipath API.");
  const said = hopsOf(spec);
  const named = said.map((hop) => ({ ...hop, device: hop.dev === undefined ? 0 : tables.deviceNamed(hop.dev) }));
  if (spec.tos) refuseRoute(Errno.EINVAL, "Error: Invalid dsfield (tos): option not available for IPv6.");
  const table = tables.tableOf(spec);
  tables.requireTable6(table);
  const hops = error === 0 ? checkHops6(tables.context6, table, named) : [rejectHop(tables.context6)];
  const common = {
    type: RouteTypeCode[type as RouteType],
    error,
    metric: spec.metric || IP6_RT_PRIO_USER,
    mtu: spec.mtu ?? 0,
    protocol: spec.proto === undefined ? DEFAULT_PROTOCOL : protocolOf(spec.proto),
    prefsrc: 0n,
    route: 0,
    flags: 0,
  };
  return { table, routes: hops.map((hop) => ({ ...common, hop })) };
}

/** What a route to be deleted is like. */
export function matchOf6(tables: RouteTables, spec: RouteSpec): DeleteMatch6 {
  if (spec.nexthops !== undefined) refuseRoute(Errno.EOPNOTSUPP, "nexthop: delete IPv6 next hops one by one, by `via`");
  if (spec.src !== undefined) refuseRoute(Errno.EOPNOTSUPP, "src: not in changes of IPv6 routes");
  prefixOf6(spec.prefix);
  const gateway = spec.via === undefined ? null : parseIp(spec.via);
  if (typeof gateway === "number")
    refuseRoute(Errno.EINVAL, `Error: inet6 address is expected rather than "${spec.via}".`);
  return {
    device: spec.dev === undefined ? null : tables.deviceNamed(spec.dev),
    gateway: gateway as bigint | null,
    metric: spec.metric || null,
    protocol: spec.proto === undefined ? null : protocolOf(spec.proto),
  };
}

/** @param said each with the DEVICE that it names, 0: none */
function checkHops6(context: Context6, table: number, said: readonly (HopSpec & { readonly device: number })[]): Hop[] {
  if (said.length === 0 || said.some(({ via, device }) => via === undefined && device === 0))
    refuseRoute(Errno.ENODEV, "RTNETLINK answers: No such device");
  const hops = said.map((hop) => checkHop(context, table, hop));
  const isTwice = hops.some((hop, i) =>
    hops.slice(0, i).some(({ device, gateway }) => device === hop.device && gateway === hop.gateway),
  );
  if (isTwice) refuseRoute(Errno.EEXIST, "RTNETLINK answers: File exists");
  return hops;
}

/** A route that refuses leads to lo (fib6_nh_init). */
const rejectHop = (context: Context6): Hop => {
  const lo = context.devices.find(({ kind }) => kind === "loopback")!;
  return hopBy(context.deviceOf(lo.ifindex), 0n, {});
};

/** Route6Flag of a route by hand. */
export const flagsOf = (address: bigint): number =>
  (in6.rt6_need_strict(address) ? Route6Flag.NEED_STRICT : 0) |
  (in6.ipv6_addr_is_multicast(address) ? Route6Flag.MULTICAST : 0);

const hopBy = (device: number, gateway: bigint, { weight = 1, onlink = false }: HopSpec): Hop => ({
  device,
  gateway,
  weight,
  onlink,
  scope: Scope.UNIVERSE,
  dead: false,
  source: 0,
});

/** fib6_nh_init */
function checkHop(context: Context6, table: number, hop: HopSpec & { readonly device: number }): Hop {
  const { weight = 1, device: oif } = hop;
  const { words } = context.image;
  const has = (device: number, flag: number): boolean => (words[(device + DEVICE.flags) >>> 2] & flag) !== 0;
  if (!(Number.isInteger(weight) && weight >= 1 && weight <= 256))
    refuseRoute(Errno.EINVAL, `Error: argument "${weight}" is wrong: "weight" is invalid`);
  const gateway = hop.via === undefined ? 0n : parseIp(hop.via);
  if (typeof gateway !== "bigint")
    return refuseRoute(Errno.EINVAL, `Error: inet6 address is expected rather than "${hop.via}".`);
  if (oif !== 0 && has(oif, DeviceFlag.DISABLE_IPV6))
    refuseRoute(Errno.EINVAL, "Error: IPv6 is disabled on nexthop device.");
  if (hop.via === undefined) {
    if (!has(oif, DeviceFlag.UP)) refuseRoute(Errno.ENETDOWN, "Error: Nexthop device is not up.");
    return hopBy(oif, 0n, hop);
  }
  if (hop.onlink && oif === 0) refuseRoute(Errno.ENODEV, "Error: Nexthop device required for onlink.");
  if (oif !== 0) refuseLocal(context, gateway, oif);
  if (gateway === 0n || in6.ipv6_addr_is_multicast(gateway))
    refuseRoute(Errno.EINVAL, "Error: Invalid gateway address.");
  const isLinkLocal = in6.ipv6_addr_is_linklocal(gateway);
  const egress = hop.onlink || isLinkLocal ? oif : reachedBy(context, gateway, oif, table);
  if (egress === 0) refuseRoute(Errno.EINVAL, "Error: Egress device not specified.");
  if (!has(egress, DeviceFlag.UP)) refuseRoute(Errno.ENETDOWN, "Error: Nexthop device is not up.");
  if (has(egress, DeviceFlag.LOOPBACK))
    refuseRoute(Errno.EINVAL, "Error: Egress device can not be loopback device for this route.");
  if (hop.onlink && !isLinkLocal) checkOnlink(context, gateway, oif);
  if (oif === 0) refuseLocal(context, gateway, egress);
  return hopBy(egress, gateway, hop);
}

/** ipv6_chk_addr_and_flags: an address of the device's VRF is an own one, a link-local one only the device's; ::1 is lo's. */
function refuseLocal({ image: { words }, devices, deviceOf }: Context6, gateway: bigint, device: number): void {
  const vrf = l3mdevMaster(words, device);
  const isOwn = devices.some((config) => {
    const other = deviceOf(config.ifindex);
    if (l3mdevMaster(words, other) !== vrf) return false;
    if (config.kind === "loopback" && config.up && gateway === in6.IN6ADDR_LOOPBACK) return true;
    return config.addresses.some(
      ({ address }) => parseIp(address) === gateway && (other === device || !in6.ipv6_addr_is_linklocal(gateway)),
    );
  });
  if (isOwn) refuseRoute(Errno.EINVAL, "Error: Gateway can not be a local address.");
}

/** ip6_route_check_nh_onlink: nothing more specific than the default route may lead elsewhere. */
function checkOnlink(context: Context6, gateway: bigint, device: number): void {
  const { words } = context.image;
  const vrf = l3mdevMaster(words, device);
  const table = context.table(vrf === 0 ? RT_TABLE_MAIN : words[(vrf + DEVICE.tableId) >>> 2]);
  const found = table === null ? null : bestRoute(table, gateway, device);
  if (found === null || found.isDefault || found.route.error !== 0) return;
  if (found.route.type !== RouteTypeCode.unicast || found.route.hop.device !== device)
    refuseRoute(Errno.EINVAL, "Error: Nexthop has invalid gateway or device mismatch.");
}

/** fib6_table_lookup of a flow that prefers a device: of the lowest metric one by it, else the first. */
function bestRoute(table: FibTable6, to: bigint, device: number): { route: Route6; isDefault: boolean } | null {
  const { trie } = table;
  for (let node = trie.covering(key6(to)); node !== 0; node = trie.coverOf(node)) {
    const alive = table.routesOf(node).filter(({ hop }) => !hop.dead);
    const best = alive.filter(({ metric }) => metric === alive[0].metric);
    const route = best.find(({ hop }) => hop.device === device) ?? best[0];
    if (route !== undefined) return { route, isDefault: trie.keyOf(node).every((word) => word === 0) };
  }
  return null;
}

/** ip6_route_check_nh: in the route's own table, then by the rules; the way to a gateway needs none itself. */
function reachedBy(context: Context6, destination: bigint, oif: number, id: number): number {
  const { words } = context.image;
  const look = (table: number, by: number): Answer => lookUp(context, table, destination, by);
  const field = (hop: number, name: keyof typeof NEXT_HOP): number => words[(hop + NEXT_HOP[name]) >>> 2];
  const deviceOf = (answer: Answer): number => {
    if (!isHit(answer) || field(answer.hop, "family") !== 0) return 0;
    const device = field(answer.hop, "device");
    return oif === 0 || device === oif ? device : 0;
  };
  const device = deviceOf(look(id, oif)) || deviceOf(rulesLookup(context, { destination, oif }, look));
  return device || refuseRoute(Errno.EHOSTUNREACH, "RTNETLINK answers: No route to host");
}

/** The first next hop that is alive, by the device asked for; longest prefixes and lowest metrics before others. */
function lookUp({ image: { words }, table: tableOf }: Context6, id: number, to: bigint, oif: number): Answer {
  const table = tableOf(id);
  if (table === null) return "again";
  const { trie } = table;
  for (let node = trie.covering(key6(to)); node !== 0; node = trie.coverOf(node)) {
    const entry = trie.valueOf(node);
    for (let i = 0; i < words[(entry + FIB_ENTRY.aliases) >>> 2]; i++) {
      const alias = (entry + FIB_ENTRY_BYTES + i * FIB_ALIAS6_BYTES) >>> 2;
      // It leads to lo: a flow through another device does not see it (RT6_LOOKUP_F_IFACE).
      if (words[alias + A.error] !== 0 && oif !== 0) continue;
      if (words[alias + A.error] !== 0) return words[alias + A.type] === RouteTypeCode.throw ? "again" : "refused";
      for (let k = 0; k < words[alias + A.hopCount]; k++) {
        const hop = words[alias + A.nextHops] + k * NEXT_HOP_BYTES;
        const isDead = (words[(hop + NEXT_HOP.flags) >>> 2] & NextHopFlag.DEAD) !== 0;
        if (!isDead && (oif === 0 || words[(hop + NEXT_HOP.device) >>> 2] === oif))
          return { alias, hop, prefixLength: trie.lengthOf(node) };
      }
    }
  }
  return "again";
}
