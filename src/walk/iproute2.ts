/**
 * Rules and routes of a model in the words of `ip rule show` and `ip route show`, so that what vrfc prints can be held
 * against the real box line by line. Table ids come with their names.
 */
import type { Net, NextHop, Route, Rule } from "../../dsl/model.ts";
import { deviceOf, Scope } from "../../dsl/model.ts";
import { RT_TABLE_MAIN, type TableId } from "../../runtime/brand.ts";
import { formatIp, formatPrefix, type Prefix } from "../../runtime/net/ip.ts";

/** `vethr1`, or `if7` for an index that no device has, as iproute2 prints it. */
export const deviceName = (net: Net, ifindex: number): string => deviceOf(net, ifindex)?.name ?? `if${ifindex}`;

/** `local`, `main`, `100 (vrf)`: the id, and the VRF whose table it is. */
export function tableName(net: Net, table: TableId): string {
  const name = net.tableNames.get(table);
  if (name === undefined) return `${table}`;
  return table >= 253 && table <= 255 ? name : `${table} (${name})`;
}

function prefixText(prefix: Prefix): string {
  const bits = typeof prefix.address === "number" ? 32 : 128;
  if (prefix.length === 0) return "default";
  return prefix.length === bits ? formatIp(prefix.address) : formatPrefix(prefix);
}

const scopeNames: Readonly<Record<number, string>> = {
  [Scope.SITE]: "site",
  [Scope.LINK]: "link",
  [Scope.HOST]: "host",
  [Scope.NOWHERE]: "nowhere",
};

function hopText(net: Net, hop: NextHop): string[] {
  const words: string[] = [];
  if (hop.gateway !== null) words.push("via", formatIp(hop.gateway));
  words.push("dev", deviceName(net, hop.device));
  return words;
}

/** `10.0.1.0/24 dev vethr2 proto kernel scope link src 10.0.1.1`; the table only when asked for. */
export function routeText(net: Net, route: Route, withTable = false): string {
  const words: string[] = [];
  if (route.type !== "unicast") words.push(route.type);
  words.push(prefixText(route.prefix));
  if (route.tos !== 0) words.push("tos", `0x${route.tos.toString(16).padStart(2, "0")}`);
  const [first] = route.nexthops;
  if (route.nexthops.length === 1) words.push(...hopText(net, first));
  if (withTable && route.table !== RT_TABLE_MAIN) words.push("table", tableName(net, route.table));
  if (route.protocol !== "boot") words.push("proto", route.protocol);
  if (route.family === 4 && route.scope in scopeNames) words.push("scope", scopeNames[route.scope]);
  if (route.prefsrc !== null) words.push("src", formatIp(route.prefsrc));
  if (route.metric !== 0) words.push("metric", metricText(route.metric));
  if (first?.onlink && route.nexthops.length === 1) words.push("onlink");
  if (route.nexthops.length > 1)
    for (const hop of route.nexthops) words.push("nexthop", ...hopText(net, hop), "weight", `${hop.weight}`);
  if (route.nexthops.length > 0 && route.nexthops.every((hop) => hop.dead)) words.push("dead");
  return words.join(" ");
}

/** 4278198272 is what FRR and vrf.rst write for "last resort": the administrative distance is in the top byte. */
const metricText = (metric: number): string => (metric === 4278198272 ? "4278198272 [255/8192]" : `${metric}`);

const rangeText = (range: { first: number; last: number }): string =>
  range.first === range.last ? `${range.first}` : `${range.first}-${range.last}`;
const protocolNames: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp" };

/** `from 10.0.0.0/8 fwmark 0x1/0xff lookup 200`, without the preference. */
export function ruleText(net: Net, rule: Rule): string {
  const words: string[] = [];
  if (rule.not) words.push("not");
  words.push("from", rule.from === null ? "all" : prefixText(rule.from));
  if (rule.to !== null) words.push("to", prefixText(rule.to));
  if (rule.tos !== 0) words.push("tos", `0x${rule.tos.toString(16).padStart(2, "0")}`);
  if (rule.fwmark !== null) {
    const { mark, mask } = rule.fwmark;
    words.push("fwmark", mask === 0xffffffff ? `0x${mark.toString(16)}` : `0x${mark.toString(16)}/0x${mask.toString(16)}`);
  }
  if (rule.iif !== null) words.push("iif", rule.iif.name, ...(rule.iif.ifindex === -1 ? ["[detached]"] : []));
  if (rule.oif !== null) words.push("oif", rule.oif.name, ...(rule.oif.ifindex === -1 ? ["[detached]"] : []));
  if (rule.uidrange !== null) words.push("uidrange", `${rule.uidrange.first}-${rule.uidrange.last}`);
  if (rule.ipproto !== 0) words.push("ipproto", protocolNames[rule.ipproto] ?? `${rule.ipproto}`);
  if (rule.sport !== null) words.push("sport", rangeText(rule.sport));
  if (rule.dport !== null) words.push("dport", rangeText(rule.dport));
  words.push(...actionText(net, rule));
  if (rule.suppressPrefixLength >= 0) words.push("suppress_prefixlength", `${rule.suppressPrefixLength}`);
  if (rule.suppressIfGroup >= 0) words.push("suppress_ifgroup", `${rule.suppressIfGroup}`);
  return words.join(" ");
}

function actionText(net: Net, rule: Rule): string[] {
  const { action } = rule;
  switch (action.kind) {
    case "lookup":
      return ["lookup", action.table === null ? "[l3mdev-table]" : tableName(net, action.table)];
    case "goto":
      return [...(rule.l3mdev ? ["l3mdev"] : []), "goto", `${action.pref}`, ...(action.target === null ? ["[unresolved]"] : [])];
    default:
      return [...(rule.l3mdev ? ["l3mdev"] : []), action.kind];
  }
}
