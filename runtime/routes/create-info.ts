/** What Linux asks of an IPv4 route before a table takes it, in its order (k:net/ipv4/fib_semantics.c fib_create_info, fib_check_nh). */
import { DEVICE, DeviceFlag } from "../abi/device.ts";
import { NEXT_HOP } from "../abi/fib.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../brand.ts";
import { type RouteType, RouteTypeCode } from "../net/route-types.ts";
import { refuseRoute } from "../refusal.ts";
import { Errno } from "../verdict.ts";
import { A, ALIAS_WORDS } from "./entries.ts";
import type { DeleteMatch } from "./fib.ts";
import {
  type Answer,
  addrType,
  isHit,
  isValidPrefsrc,
  l3mdevMaster,
  rulesLookup,
  Scope,
  tableLookup,
} from "./gateway.ts";
import type { Hop } from "./hops.ts";
import { inetSelectAddr } from "./select-addr.ts";
import {
  addressOf,
  type HopSpec,
  hopsOf,
  numbered,
  prefixOf,
  protocolOf,
  ROUTE_SCOPES,
  type RouteSpec,
  typeOf,
} from "./spec.ts";
import type { RouteTables } from "./tables.ts";

/** fib_props[]: errors of routes that refuse. */
const ERRORS: Readonly<Record<string, number>> = {
  blackhole: Errno.EINVAL,
  unreachable: Errno.EHOSTUNREACH,
  prohibit: Errno.EACCES,
  throw: Errno.EAGAIN,
};
/** Of routes that do not say one (RTPROT_BOOT). */
export const DEFAULT_PROTOCOL = 3;
/** fib_props[]: how near a route of a type must at least be. */
const LEAST_SCOPE: Readonly<Record<string, number>> = { local: Scope.HOST, broadcast: Scope.LINK, anycast: Scope.LINK };

/** A route as it will stand in a table. */
export interface Checked {
  readonly table: number;
  readonly address: number;
  readonly length: number;
  readonly alias: Uint32Array;
}

/**
 * RouteTypeCode, and the error that a route of the type answers with (0: it leads somewhere).
 * @throws RouteError when the host adds none of the type
 */
export function typeAndError(spec: RouteSpec, command: string): { readonly type: string; readonly error: number } {
  const type = typeOf(spec);
  const error = ERRORS[type] ?? 0;
  if (type !== "unicast" && error === 0)
    refuseRoute(Errno.EOPNOTSUPP, `${type}: routes of this type can be deleted, not added (${command})`);
  return { type, error };
}

/** fib_create_info: a route that can stand in its table; its list of next hops has a use more. */
export function createInfo(tables: RouteTables, spec: RouteSpec, command: string): Checked {
  const { address, length } = prefixOf(spec.prefix);
  const { type, error } = typeAndError(spec, command);
  const tos = spec.tos ?? 0;
  if (tos > 255 || (tos & 3) !== 0) refuseRoute(Errno.EINVAL, "Error: Invalid dsfield (tos): ECN bits must be 0.");
  const table = tables.tableOf(spec);
  tables.requireTable(table);
  const said = hopsOf(spec);
  const scope = scopeOf(spec, type, said);
  if (error !== 0 && said.length > 0)
    refuseRoute(Errno.EINVAL, "Error: Gateway, device and multipath can not be specified for this route type.");
  if (error === 0 && scope > Scope.HOST) refuseRoute(Errno.EINVAL, "Error: Invalid scope.");
  if (error === 0 && said.length === 0) refuseRoute(Errno.ENODEV, "RTNETLINK answers: No such device");
  if (scope === Scope.HOST && said.length > 1)
    refuseRoute(Errno.EINVAL, "Error: Route with host scope can not have multiple nexthops.");
  if (scope === Scope.HOST && said.some(({ via }) => via !== undefined))
    refuseRoute(Errno.EINVAL, "Error: Route with host scope can not have a gateway.");
  const hops = error !== 0 ? [] : said.map((hop) => checkHop(tables, hop, table, scope));
  const prefsrc = prefsrcOf(tables, spec, table, error !== 0);
  const alias = new Uint32Array(ALIAS_WORDS);
  alias[A.type] = RouteTypeCode[type as RouteType];
  alias[A.error] = error;
  alias[A.tos] = tos;
  alias[A.hopCount] = hops.length;
  alias[A.prefsrc] = prefsrc;
  alias[A.scope] = scope;
  alias[A.metric] = spec.metric ?? 0;
  alias[A.mtu] = spec.mtu ?? 0;
  alias[A.protocol] = spec.proto === undefined ? DEFAULT_PROTOCOL : protocolOf(spec.proto);
  alias[A.nextHops] = tables.hops.intern(hops);
  return { table, address, length, alias };
}

function scopeOf({ scope }: RouteSpec, type: string, hops: readonly HopSpec[]): number {
  const isOnLink = type === "unicast" && hops.length === 1 && hops[0].via === undefined;
  const chosen =
    scope === undefined ? (isOnLink ? Scope.LINK : Scope.UNIVERSE) : numbered("scope", scope, ROUTE_SCOPES);
  if (chosen < (LEAST_SCOPE[type] ?? 0) || chosen > Scope.NOWHERE) refuseRoute(Errno.EINVAL, "Error: Invalid scope.");
  return chosen;
}

function prefsrcOf(tables: RouteTables, { src }: RouteSpec, table: number, isReject: boolean): number {
  if (src === undefined) return 0;
  const source = addressOf("src", src);
  if (!isReject && !isValidPrefsrc(tables.context, source, table))
    refuseRoute(Errno.EINVAL, "Error: Invalid prefsrc address.");
  return source;
}

/** fib_check_nh: where a next hop leaves. */
function checkHop(tables: RouteTables, hop: HopSpec, table: number, scope: number): Hop {
  const { weight = 1, onlink = false } = hop;
  if (!(Number.isInteger(weight) && weight >= 1 && weight <= 256))
    refuseRoute(Errno.EINVAL, `Error: argument "${weight}" is wrong: "weight" is invalid`);
  const device = hop.dev === undefined ? 0 : tables.deviceNamed(hop.dev);
  const gateway = hop.via === undefined ? 0 : addressOf("via", hop.via);
  if (gateway === 0) {
    if (device === 0) refuseRoute(Errno.ENODEV, "RTNETLINK answers: No such device");
    if (onlink) refuseRoute(Errno.EINVAL, "Error: Invalid flags for nexthop - PERVASIVE and ONLINK can not be set.");
    if (scope === Scope.HOST) return hopBy(tables, device, 0, weight, false, Scope.NOWHERE, scope);
    if (!tables.isUp(device)) refuseRoute(Errno.ENETDOWN, "Error: Device for nexthop is not up.");
    return hopBy(tables, device, 0, weight, false, Scope.HOST, scope);
  }
  if (onlink) return checkOnlink(tables, device, gateway, weight, scope);
  const found = lookUpGateway(tables, gateway, device, table, scope);
  const { words } = tables.image;
  const isGood =
    isHit(found) &&
    (words[found.alias + A.type] === RouteTypeCode.unicast || words[found.alias + A.type] === RouteTypeCode.local);
  if (!isHit(found) || !isGood) return refuseRoute(Errno.EINVAL, "Error: Nexthop has invalid gateway.");
  const egress = words[(found.hop + NEXT_HOP.device) >>> 2];
  if (!tables.isUp(egress)) refuseRoute(Errno.ENETDOWN, "RTNETLINK answers: Network is down");
  return hopBy(tables, egress, gateway, weight, false, words[found.alias + A.scope], scope);
}

/** The gateway must be nearer than the route. */
function lookUpGateway(tables: RouteTables, destination: number, oif: number, id: number, scope: number): Answer {
  const flow = { destination, oif, scope: Math.max(scope + 1, Scope.LINK) };
  const table = id === RT_TABLE_MAIN ? null : tables.table(id);
  const found = table === null ? "again" : tableLookup(tables.context, table, flow);
  if (isHit(found)) return found;
  return rulesLookup(tables.context, flow, (table, by) => {
    const fib = tables.table(table);
    return fib === null ? "again" : tableLookup(tables.context, fib, { ...flow, oif: by });
  });
}

/** fib_check_nh, RTNH_F_ONLINK */
function checkOnlink(tables: RouteTables, device: number, gateway: number, weight: number, scope: number): Hop {
  if (scope >= Scope.LINK) refuseRoute(Errno.EINVAL, "Error: Nexthop has invalid scope.");
  if (device === 0) refuseRoute(Errno.ENODEV, "Error: Nexthop device required for onlink.");
  if (!tables.isUp(device)) refuseRoute(Errno.ENETDOWN, "Error: Nexthop device is not up.");
  const { words } = tables.image;
  const vrf = l3mdevMaster(words, device);
  const table = vrf === 0 ? RT_TABLE_LOCAL : words[(vrf + DEVICE.tableId) >>> 2];
  if (addrType(tables.context, gateway, table) !== RouteTypeCode.unicast)
    refuseRoute(Errno.EINVAL, "Error: Nexthop has invalid gateway.");
  return hopBy(tables, device, gateway, weight, true, Scope.LINK, scope);
}

function hopBy(
  tables: RouteTables,
  device: number,
  gateway: number,
  weight: number,
  onlink: boolean,
  own: number,
  scope: number,
): Hop {
  const { words } = tables.image;
  const flags = words[(device + DEVICE.flags) >>> 2];
  const config = tables.devices.find(({ ifindex }) => ifindex === words[(device + DEVICE.ifindex) >>> 2])!;
  const localnet = (flags & DeviceFlag.ROUTE_LOCALNET) !== 0;
  return {
    device,
    gateway,
    weight,
    onlink,
    scope: own,
    // fib_lookup_good_nhc: without a carrier as good as dead, where that is asked for.
    dead: (flags & DeviceFlag.IGNORE_LINKDOWN) !== 0 && scope !== Scope.HOST && !tables.hasCarrier(config),
    source: inetSelectAddr(tables.devices, config, gateway, scope, localnet),
  };
}

/** What a route to be deleted is like. */
export function matchOf(tables: RouteTables, spec: RouteSpec): DeleteMatch {
  const said = hopsOf(spec);
  const isSeveral = spec.nexthops !== undefined;
  return {
    tos: spec.tos ?? 0,
    type: spec.type === undefined ? null : RouteTypeCode[typeOf(spec) as RouteType],
    scope: spec.scope === undefined ? null : numbered("scope", spec.scope, ROUTE_SCOPES),
    protocol: spec.proto === undefined ? null : protocolOf(spec.proto),
    prefsrc: spec.src === undefined ? null : addressOf("src", spec.src),
    metric: spec.metric ?? 0,
    mtu: spec.mtu ?? null,
    hops: said.map(({ via, dev, weight }) => ({
      ...(via === undefined ? {} : { gateway: addressOf("via", via) }),
      ...(dev === undefined ? {} : { device: tables.deviceNamed(dev) }),
      ...(isSeveral ? { weight: weight ?? 1 } : {}),
    })),
  };
}
