/**
 * Networks as a real kernel (6.1.192) had them: recorded/networks.json holds each as policy text and what `ip` then showed of
 * its devices, addresses, rules and routes. The model must hold exactly that, in the same order within a prefix.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Net, NextHop, Route } from "../../dsl/model.ts";
import { deviceOf, Scope } from "../../dsl/model.ts";
import { formatIp, formatPrefix, type Prefix } from "../../runtime/net/ip.ts";
import { modelOf } from "./policy.ts";

interface Recording {
  readonly name: string;
  readonly policy: string;
  readonly dump: Readonly<Record<string, NetDump>>;
}

/** As `ip link`, `ip addr`, `ip rule` (preferences, per family) and `ip route show table all` say it. */
interface NetDump {
  readonly devices: readonly string[];
  readonly addresses: readonly string[];
  readonly rules: readonly (readonly number[])[];
  readonly routes: readonly string[];
}

const RECORDINGS: Recording[] = JSON.parse(readFileSync(new URL("recorded/networks.json", import.meta.url), "utf8"));

const SCOPES = new Map<Scope, string>([
  [Scope.UNIVERSE, "global"],
  [Scope.SITE, "site"],
  [Scope.LINK, "link"],
  [Scope.HOST, "host"],
]);

function dumpOf(net: Net): NetDump {
  return {
    devices: net.devices.map((d) => `${d.ifindex} ${d.name} mtu ${d.mtu}`),
    addresses: net.devices.flatMap((device) =>
      device.addresses.map(({ prefix, peer, scope, secondary }) => {
        const other = peer === prefix.address ? "" : ` peer ${formatIp(peer)}`;
        const address = `${formatIp(prefix.address)}${other}/${prefix.length}`;
        return `${device.name} ${address} ${SCOPES.get(scope)}${secondary ? " secondary" : ""}`;
      }),
    ),
    rules: [4, 6].map((family) => net.rules.filter((r) => r.family === family).map((r) => r.pref)),
    routes: net.routes.map((route) => routeLine(net, route)),
  };
}

const TABLES = new Map<number, string>([
  [253, "default"],
  [254, "main"],
  [255, "local"],
]);

function destination({ address, length }: Prefix): string {
  if (length === 0) return "default";
  return length === (typeof address === "number" ? 32 : 128) ? formatIp(address) : formatPrefix({ address, length });
}

function hopWords(net: Net, route: Route, hop: NextHop, multipath: boolean): string {
  const inet6 = route.family === 4 && typeof hop.gateway === "bigint" ? "inet6 " : "";
  return [
    hop.gateway === null ? "" : `via ${inet6}${formatIp(hop.gateway)}`,
    `dev ${deviceOf(net, hop.device)!.name}`,
    multipath ? `weight ${hop.weight}` : "",
    hop.onlink ? "onlink" : "",
  ]
    .filter((word) => word !== "")
    .join(" ");
}

function routeLine(net: Net, route: Route): string {
  const multipath = route.nexthops.length > 1;
  return [
    route.type,
    destination(route.prefix),
    route.tos === 0 ? "" : `tos 0x${route.tos.toString(16).padStart(2, "0")}`,
    `table ${TABLES.get(route.table) ?? route.table}`,
    ...route.nexthops.map((hop) => `${multipath ? "nexthop " : ""}${hopWords(net, route, hop, multipath)}`),
    `proto ${route.protocol}`,
    route.family === 4 ? `scope ${SCOPES.get(route.scope)}` : "",
    route.prefsrc === null ? "" : `src ${formatIp(route.prefsrc)}`,
    route.metric === 0 ? "" : `metric ${route.metric}`,
  ]
    .filter((word) => word !== "")
    .join(" ");
}

/** Routes by family, table and prefix; their order within one is what the kernel tries them in. */
function byPrefix(routes: readonly string[]): Record<string, string[]> {
  const groups: Record<string, string[]> = {};
  for (const route of routes) {
    const [, prefix, table] = /^\w+ (\S+) (?:tos \S+ )?table (\S+)/.exec(route)!;
    const family = prefix === "default" ? (/scope/.test(route) ? 4 : 6) : prefix.includes(":") ? 6 : 4;
    const key = `IPv${family} table ${table} ${prefix}`;
    groups[key] = [...(groups[key] ?? []), route];
  }
  return groups;
}

describe.each(RECORDINGS)("$name", ({ policy, dump }) => {
  const model = modelOf(policy);

  test.each(Object.keys(dump))("namespace %s", (name) => {
    const found = dumpOf(model.nets.find((net) => net.name === name)!);
    const recorded = dump[name];
    expect(found.devices).toEqual(recorded.devices);
    expect(found.addresses).toEqual(recorded.addresses);
    expect(found.rules).toEqual(recorded.rules);
    expect(byPrefix(found.routes)).toEqual(byPrefix(recorded.routes));
  });
});
