/**
 * Rules and routes of a model in the words of `ip rule show` and `ip route show`, so that what vrfc prints can be held
 * against the real box line by line. Tables go by their names where they have one.
 */
import type { TableId } from "../runtime/brand.ts";
import { formatIp, formatPrefix, type Ip, type Prefix } from "../runtime/net/ip.ts";
import type { Range } from "./ast.ts";
import { ipProtocolName } from "./ip-protocols.ts";
import { deviceOf, type Net, type NextHop, type Route, type Rule, type RuleAction, Scope } from "./model.ts";

/** The parts that are there, with a space between. */
export const words = (parts: readonly (string | false | null | undefined)[]): string =>
  parts.filter((p) => p).join(" ");

/** `vethr1`, or `if7` for an index that no device has, as iproute2 prints it. */
export const deviceName = (net: Net, ifindex: number): string => deviceOf(net, ifindex)?.name ?? `if${ifindex}`;

/** `local`, `main`, `100 (vrf)`: the id and the VRF whose table it is. */
export function tableName(net: Net, table: TableId): string {
  const name = net.tableNames.get(table);
  return name === undefined ? `${table}` : table >= 253 && table <= 255 ? name : `${table} (${name})`;
}

const SCOPE_NAMES = new Map<number, string>([
  [Scope.UNIVERSE, "global"],
  [Scope.SITE, "site"],
  [Scope.LINK, "link"],
  [Scope.HOST, "host"],
  [Scope.NOWHERE, "nowhere"],
]);
export const scopeName = (scope: Scope): string => SCOPE_NAMES.get(scope)!;

/** As `ip route show` writes it: the default prefix by its name, host routes without a length. */
function destinationWords({ address, length }: Prefix): string {
  if (length === 0) return "default";
  return length === (typeof address === "number" ? 32 : 128) ? formatIp(address) : formatPrefix({ address, length });
}

/** As `ip route show` writes it; with `details` also what it leaves out: `proto boot`, `scope global`, the source without `src`. */
export function routeWords(net: Net, route: Route, details = false): string {
  const single = route.nexthops.length === 1;
  return words([
    route.type !== "unicast" && route.type,
    destinationWords(route.prefix),
    route.tos !== 0 && `tos 0x${route.tos.toString(16).padStart(2, "0")}`,
    single && hopWords(net, route, route.nexthops[0], details),
    (details || route.protocol !== "boot") && `proto ${route.protocol}`,
    route.family === 4 && (details || route.scope !== Scope.UNIVERSE) && `scope ${scopeName(route.scope)}`,
    route.prefsrc !== null && `src ${formatIp(route.prefsrc)}`,
    route.metric !== 0 && `metric ${metricWords(route.metric)}`,
    route.mtu !== null && `mtu ${route.mtu}`,
    ...(single ? [] : route.nexthops.map((n) => `nexthop ${hopWords(net, route, n, details)} weight ${n.weight}`)),
  ]);
}

/** 4278198272 is what FRR and vrf.rst write for "last resort": administrative distance 255 in the top byte. */
const metricWords = (metric: number): string => (metric === 4278198272 ? "4278198272 [255/8192]" : `${metric}`);

/** `[source A]`: what the host would send from, when no `src` says it. */
function hopWords(net: Net, route: Route, hop: NextHop, details: boolean): string {
  return words([
    hop.gateway !== null && `via ${viaFamily(route, hop.gateway)}${formatIp(hop.gateway)}`,
    `dev ${deviceName(net, hop.device)}`,
    hop.onlink && "onlink",
    hop.dead && "dead",
    details &&
      route.prefsrc === null &&
      typeof hop.source === "number" &&
      hop.source !== 0 &&
      `[source ${formatIp(hop.source)}]`,
  ]);
}

const viaFamily = (route: Route, gateway: Ip): string =>
  route.family === 4 && typeof gateway !== "number" ? "inet6 " : "";

const fwmarkWords = ({ mark, mask }: NonNullable<Rule["fwmark"]>): string =>
  mask === 0xffffffff ? `0x${mark.toString(16)}` : `0x${mark.toString(16)}/0x${mask.toString(16)}`;
const rangeWords = ({ first, last }: Range): string => (first === last ? `${first}` : `${first}-${last}`);

/** As `ip rule show` writes it, the preference aside. */
export function ruleWords(net: Net, rule: Rule): string {
  const device = (word: string, d: Rule["iif"]) => d && `${word} ${d.name}${d.ifindex === -1 ? " [detached]" : ""}`;
  return words([
    rule.not && "not",
    `from ${rule.from ? destinationWords(rule.from) : "all"}`,
    rule.to && `to ${destinationWords(rule.to)}`,
    rule.tos !== 0 && `tos 0x${rule.tos.toString(16).padStart(2, "0")}`,
    rule.fwmark && `fwmark ${fwmarkWords(rule.fwmark)}`,
    device("iif", rule.iif),
    device("oif", rule.oif),
    rule.uidrange && `uidrange ${rangeWords(rule.uidrange)}`,
    rule.ipproto !== 0 && `ipproto ${ipProtocolName.get(rule.ipproto) ?? rule.ipproto}`,
    rule.sport && `sport ${rangeWords(rule.sport)}`,
    rule.dport && `dport ${rangeWords(rule.dport)}`,
    rule.l3mdev && rule.action.kind !== "lookup" && "l3mdev",
    actionWords(net, rule.action),
    rule.suppressPrefixLength >= 0 && `suppress_prefixlength ${rule.suppressPrefixLength}`,
    rule.suppressIfGroup >= 0 && `suppress_ifgroup ${rule.suppressIfGroup}`,
    rule.protocol !== "kernel" && rule.protocol !== "unspec" && `proto ${rule.protocol}`,
  ]);
}

function actionWords(net: Net, action: RuleAction): string {
  switch (action.kind) {
    case "lookup":
      return `lookup ${action.table === null ? "[l3mdev-table]" : tableName(net, action.table)}`;
    case "goto":
      return `goto ${action.pref}${action.target === null ? " [unresolved]" : ""}`;
    default:
      return action.kind;
  }
}
