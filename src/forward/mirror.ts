/**
 * What the kernel must know so that sockets of this machine can be bound to a VRF or a slave (`ping -I vrf`): the addresses of the
 * domain, on the device that has the VRF's name, and for each route of the VRF's table one to that device, and to the slave, with the
 * source address that Linux would choose. The kernel's routes lead only into the forwarder, which decides anew.
 *
 *   ip addr add 10.0.0.1/32 dev vrf             the forwarder's packets for 10.0.0.1 are the kernel's
 *   ip rule add oif vrf lookup 100              a socket bound to vrf ...
 *   ip route add 10.0.0.0/24 dev vrf src 10.0.0.1 table 100          ... sends from 10.0.0.1
 *
 * Each is undone when the forwarder stops; what names the tap goes with it in any case.
 */
import { execFileSync } from "node:child_process";
import type { Device, Net, Route } from "../../dsl/model.ts";
import { allRoutes } from "../../dsl/route-columns.ts";
import { familyOf, formatIp, formatPrefix, type Ip } from "../../runtime/net/ip.ts";
import { isLinkLocal6 } from "../../runtime/net/ipv6.ts";
import { ForwardError } from "./native.ts";

/** A line for `ip -batch`, and the one that undoes it (null: it goes with the device). */
export interface Setting {
  readonly family: 4 | 6;
  readonly add: string;
  readonly remove: string | null;
}

/** Marks routes and rules as the forwarder's (rtm_protocol, FRA_PROTOCOL); arbitrary, of those that nobody has taken. */
const PROTOCOL = 166;
/** The preference of Linux' own l3mdev rule. */
const RULE_PREFERENCE = 1000;
/** Behind every route of the table. */
const LAST_METRIC = 4_000_000_000;
/** More are not told to the kernel: its default route leads to the forwarder too, with the first source address. */
const MOST_ROUTES = 1000;

const IPV6_LEAST_MTU = 1280;
/** IP_MAX_MTU without an Ethernet header. */
const TAP_MOST_MTU = 65_521;

export function mirror(net: Net): Setting[] {
  const wired = net.devices.filter(({ kind }) => kind === "veth");
  return [
    ...wired.flatMap(({ name }) => [forgetNeighbours(name, 4), forgetNeighbours(name, 6)]),
    ...net.devices.filter(({ kind }) => kind === "vrf").flatMap((vrf) => mirrorVrf(net, vrf)),
  ];
}

/** What the kernel knows of a device's neighbours is not true of them while frames come here, nor what it was told here afterwards. */
const forgetNeighbours = (device: string, family: 4 | 6): Setting => {
  const flush = `neigh flush dev ${device}`;
  return { family, add: flush, remove: flush };
};

function mirrorVrf(net: Net, vrf: Device): Setting[] {
  const slaves = net.devices.filter(({ master, kind }) => master === vrf.ifindex && kind === "veth");
  const mtu = Math.min(TAP_MOST_MTU, Math.max(IPV6_LEAST_MTU, ...slaves.map((device) => device.mtu)));
  const links = [`addrgenmode none`, `mtu ${mtu} arp off up`].map(
    (words): Setting => ({ family: 4, add: `link set dev ${vrf.name} ${words}`, remove: null }),
  );
  return [
    ...links,
    ...[vrf, ...slaves].flatMap((device) => device.addresses.flatMap(({ prefix }) => addressOf(vrf, prefix.address))),
    ...[vrf, ...slaves].flatMap((device) => [ruleOf(vrf, device, 4), ruleOf(vrf, device, 6)]),
    ...routesOf(net, vrf, slaves),
  ];
}

const addressOf = (vrf: Device, address: Ip): Setting[] => {
  const family = familyOf(address);
  if (typeof address === "bigint" && isLinkLocal6(address)) return [];
  const text = `${formatIp(address)}/${family === 4 ? 32 : 128} dev ${vrf.name}`;
  return [{ family, add: `addr add ${text}${family === 4 ? "" : " nodad"} noprefixroute`, remove: `addr del ${text}` }];
};

const ruleOf = (vrf: Device, device: Device, family: 4 | 6): Setting => {
  const text = `pref ${RULE_PREFERENCE} oif ${device.name} lookup ${vrf.table} protocol ${PROTOCOL}`;
  return { family, add: `rule add ${text}`, remove: `rule del ${text}` };
};

/** One for each prefix and device: of several routes the first, which the kernel tries first. */
function routesOf(net: Net, vrf: Device, slaves: readonly Device[]): Setting[] {
  const made = new Map<string, Setting>();
  const add = (route: string, family: 4 | 6, device: Device, source: Ip | null): void => {
    const metric = device === vrf ? 1 : 2 + slaves.indexOf(device);
    const place = `${route} dev ${device.name} table ${vrf.table} metric ${route.endsWith("/0") ? LAST_METRIC + metric : metric}`;
    if (made.has(place)) return;
    const from = source === null ? "" : ` src ${formatIp(source)}`;
    made.set(place, {
      family,
      add: `route add ${place}${from} proto ${PROTOCOL}`,
      remove: `route del ${place}`,
    });
  };
  const routes = allRoutes(net).filter(({ table, type }) => table === vrf.table && type === "unicast");
  for (const route of routes.slice(0, MOST_ROUTES)) {
    const [hop] = route.nexthops;
    const text = formatPrefix(route.prefix);
    const source = sourceOf(route);
    add(text, route.family, vrf, source);
    const slave = slaves.find(({ ifindex }) => ifindex === hop?.device);
    if (slave !== undefined) add(text, route.family, slave, source);
  }
  for (const device of [vrf, ...slaves]) {
    add("0.0.0.0/0", 4, device, null);
    add("::/0", 6, device, null);
  }
  return [...made.values()];
}

function sourceOf({ prefsrc, nexthops: [hop] }: Route): Ip | null {
  const source = prefsrc ?? hop?.source ?? null;
  return source === 0 || source === 0n || (typeof source === "bigint" && isLinkLocal6(source)) ? null : source;
}

/** Makes the kernel know `wanted` instead of `present`. @throws ForwardError */
export function applySettings(present: readonly Setting[], wanted: readonly Setting[]): void {
  const had = new Set(present.map(({ add }) => add));
  const wants = new Set(wanted.map(({ add }) => add));
  const gone = present.filter(({ add }) => !wants.has(add)).reverse();
  for (const family of [4, 6] as const) {
    const of = (settings: readonly Setting[]) => settings.filter((setting) => setting.family === family);
    const removed = of(gone).flatMap(({ remove }) => (remove === null ? [] : [remove]));
    if (removed.length > 0) ip(family, removed, { mayFail: true });
    const added = of(wanted).filter(({ add }) => !had.has(add));
    if (added.length > 0)
      ip(
        family,
        added.map(({ add }) => add),
        { mayFail: false },
      );
  }
}

/** The settings that are left when these devices have gone, and may have come back. */
export const withoutRoutesBy = (devices: readonly string[], settings: readonly Setting[]): Setting[] =>
  settings.filter(({ add }) => !devices.some((device) => add.startsWith("route ") && add.includes(` dev ${device} `)));

/** Rules and routes of a forwarder that was killed. */
export function removeLeftovers(settings: readonly Setting[]): void {
  for (const family of [4, 6] as const) {
    const left = settings.filter(({ family: of, add }) => of === family && /^(rule|route)/.test(add));
    const lines = left.flatMap(({ remove }) => (remove === null ? [] : [remove]));
    if (lines.length > 0) ip(family, lines, { mayFail: true });
  }
}

function ip(family: 4 | 6, lines: readonly string[], { mayFail }: { mayFail: boolean }): void {
  try {
    execFileSync("ip", [`-${family}`, ...(mayFail ? ["-force"] : []), "-batch", "-"], {
      input: `${lines.join("\n")}\n`,
      stdio: ["pipe", "ignore", "pipe"],
    });
  } catch (error) {
    if (mayFail) return;
    const { code, stderr } = error as { code?: string; stderr?: Buffer };
    if (code === "ENOENT") throw new ForwardError("the command `ip` (Debian: iproute2) is not there");
    throw new ForwardError(`ip -${family} -batch: ${stderr?.toString().trim() ?? error}`);
  }
}
