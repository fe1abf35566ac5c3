/**
 * The kernel's own routes of a dump (`proto kernel`) against those that vrfc makes of the addresses. They agree unless
 * somebody has taken one away, added one, or something made them that vrfc does not have.
 *
 *   connected route missing in the dump    the address gets `noprefixroute`
 *   any other missing in the dump          told: vrfc cannot take it away
 *   more in the dump                       written out
 */
import { deviceOf, type Model, type Net, type Route } from "../../../dsl/model.ts";
import { type Family, formatIp, formatPrefix, type Ip, type Prefix } from "../../../runtime/net/ip.ts";
import type { Device, NetNs } from "../state.ts";
import { isSamePrefix } from "../state.ts";
import { parseIp, parseNumber, type TableNames } from "../words.ts";
import { type Entry, type NamespaceDump, nameOf, numberOf, textOf } from "./form.ts";
import { typeOf } from "./words.ts";

/** iproute2 prints 2 with `-N`. */
export const isKernels = (route: Entry): boolean => ["kernel", "2"].includes(textOf(route, "protocol") ?? "");

export interface KernelRouteDifferences {
  /** Routes of the dump that vrfc does not make. */
  readonly more: readonly { readonly route: Entry; readonly family: Family }[];
  /** Routes that vrfc makes and the dump does not have. */
  readonly missing: readonly Route[];
}

export function compareKernelRoutes(net: Net, dump: NamespaceDump, tables: TableNames): KernelRouteDifferences {
  const more: { route: Entry; family: Family }[] = [];
  const missing: Route[] = [];
  for (const [family, list] of [
    [4, dump.route],
    [6, dump.route6],
  ] as const) {
    if (list === undefined) continue;
    const held = list.filter(isKernels).map((route) => ({ route, key: keyOfEntry(route, family, tables) }));
    const made = net.routes.filter((route) => route.family === family && route.protocol === "kernel");
    const madeKeys = new Set(made.map((route) => keyOfRoute(net, route)));
    const heldKeys = new Set(held.map(({ key }) => key));
    more.push(...held.filter(({ key }) => !madeKeys.has(key)).map(({ route }) => ({ route, family })));
    missing.push(...made.filter((route) => !heldKeys.has(keyOfRoute(net, route))));
  }
  return { more, missing };
}

/** Marks the addresses whose connected routes are missing; returns the routes that are missing otherwise. */
export function dropPrefixRoutes(ns: NetNs, net: Net, missing: readonly Route[]): Route[] {
  return missing.filter((route) => {
    const device = ns.device(deviceName(net, route) ?? "");
    const address = route.type === "unicast" && device ? addressWithSubnet(device, route.prefix) : undefined;
    if (address !== undefined) address.lostPrefixRoute = true;
    return address === undefined;
  });
}

const addressWithSubnet = (device: Device, prefix: Prefix) =>
  device.addresses.find(({ subnet, isSecondary }) => !isSecondary && isSamePrefix(subnet, prefix));

const deviceName = (net: Net, route: Route): string | undefined =>
  route.nexthops.length === 0 ? undefined : deviceOf(net, route.nexthops[0].device)?.name;

/** A route as words, for a message. */
export const kernelRouteText = (net: Net, route: Route): string =>
  `${route.type} ${formatPrefix(route.prefix)} dev ${deviceName(net, route) ?? "?"} table ${route.table}`;

// ---- what makes two routes the same -----------------------------------------------------------------------------------

const key = (family: Family, table: number, type: string, prefix: string, device: string, metric: number): string =>
  [family, table, type, prefix, device, metric].join(" ");

const keyOfRoute = (net: Net, route: Route): string =>
  key(
    route.family,
    route.table,
    route.type,
    `${formatIp(route.prefix.address)}/${route.prefix.length}`,
    deviceName(net, route) ?? "",
    route.metric,
  );

function keyOfEntry(route: Entry, family: Family, tables: TableNames): string {
  const table = nameOf(route, "table") ?? "main";
  const { address, length } = prefixOf(textOf(route, "dst") ?? "default", family);
  return key(
    family,
    tables.get(table) ?? parseNumber(table) ?? 0,
    typeOf(route) ?? "unicast",
    `${formatIp(address)}/${length}`,
    textOf(route, "dev") ?? "",
    numberOf(route, "metric") ?? 0,
  );
}

function prefixOf(text: string, family: Family): Prefix {
  const none: Prefix = { address: family === 4 ? 0 : 0n, length: 0 };
  const [addressText, lengthText] = text.split("/");
  const address: Ip | null = parseIp(addressText);
  if (address === null) return none;
  return { address, length: lengthText === undefined ? (family === 4 ? 32 : 128) : Number(lengthText) };
}

/** The network of a namespace in a checked text. */
export const netNamed = (model: Model, ns: NetNs): Net | undefined =>
  model.nets.find((net) => net.name === ns.name.value);
