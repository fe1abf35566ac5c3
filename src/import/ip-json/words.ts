/**
 * Rules, routes and next hops of a dump as the words after `ip rule`, `ip route` and `ip nexthop` that would make them.
 * What iproute2 prints and does not read back (`pref medium`, `offload`, a nexthop's scope) is left out.
 */
import { ROUTE_TYPES } from "../../../runtime/net/route-types.ts";
import { parseNumber } from "../words.ts";
import { type Entry, entryOf, hasFlag, listOf, nameOf, numberOf, textOf } from "./form.ts";

type Words = readonly (string | undefined | false)[];

const join = (words: Words): string => words.filter((word) => typeof word === "string" && word !== "").join(" ");
/** `KEY VALUE`, or nothing. */
const said = (word: string, value: string | number | undefined): string | false =>
  value !== undefined && `${word} ${value}`;

// ---- rules ----------------------------------------------------------------------------------------------------------

/** iproute2's print_rule, backwards. */
export function ruleWords(rule: Entry): string {
  return join([
    said("pref", numberOf(rule, "priority")),
    "not" in rule && "not",
    said("from", prefixOf(rule, "src", "srclen")),
    said("to", prefixOf(rule, "dst", "dstlen")),
    said("tos", nameOf(rule, "tos")),
    said("fwmark", markOf(rule)),
    said("iif", textOf(rule, "iif")),
    said("oif", textOf(rule, "oif")),
    "l3mdev" in rule && "l3mdev",
    said("uidrange", rangeOf(rule, "uid")),
    said("ipproto", textOf(rule, "ipproto")?.replace(/^ipproto-/, "")),
    said("sport", rangeOf(rule, "sport")),
    said("dport", rangeOf(rule, "dport")),
    said("tun_id", nameOf(rule, "tun_id")),
    said("lookup", "l3mdev" in rule ? undefined : nameOf(rule, "table")),
    said("suppress_prefixlength", numberOf(rule, "suppress_prefixlen")),
    said("suppress_ifgroup", nameOf(rule, "suppress_ifgroup")),
    said("goto", nameOf(rule, "goto")),
    "nop" in rule && "nop",
    typeOf(rule, "action"),
    said("proto", protocolOf(rule)),
  ]);
}

function prefixOf(entry: Entry, addressKey: string, lengthKey: string): string | undefined {
  const address = textOf(entry, addressKey);
  if (address === undefined || address === "all") return undefined;
  const length = numberOf(entry, lengthKey);
  return length === undefined ? address : `${address}/${length}`;
}

function markOf(rule: Entry): string | undefined {
  const mark = nameOf(rule, "fwmark");
  const mask = nameOf(rule, "fwmask");
  return mark === undefined || mask === undefined ? mark : `${mark}/${mask}`;
}

/** A port or user range: `KEY`, or `KEY_start` and `KEY_end`. */
function rangeOf(rule: Entry, key: string): string | undefined {
  const one = nameOf(rule, key);
  const [start, end] = [nameOf(rule, `${key}_start`), nameOf(rule, `${key}_end`)];
  return one ?? (start !== undefined && end !== undefined ? `${start}-${end}` : undefined);
}

// ---- routes ---------------------------------------------------------------------------------------------------------

/** Types that stand for an error: iproute2 prints a device for IPv6 ones, which means nothing. */
const isReject = (type: string | undefined): boolean =>
  type !== undefined && ["blackhole", "unreachable", "prohibit", "throw"].includes(type);

/** iproute2's print_route, backwards; `family` tells that `default` apart which nothing else tells. */
export function routeWords(route: Entry, family: 4 | 6): string {
  const type = typeOf(route);
  const nhid = numberOf(route, "nhid");
  const hops = listOf(route, "nexthops");
  const hasHop = !isReject(type) && nhid === undefined && hops.length === 0;
  return join([
    // Of a route through a nexthop object, what is printed may be the object's (blackhole).
    type !== "unicast" && nhid === undefined && type,
    textOf(route, "dst") ?? "default",
    said("tos", nameOf(route, "tos")),
    said("nhid", nhid),
    hasHop && hopWords(route),
    said("table", tableOf(route)),
    said("proto", protocolOf(route)),
    said("scope", family === 4 ? scopeOf(route) : undefined),
    said("src", textOf(route, "prefsrc")),
    said("metric", metricOf(route, family)),
    ...metricsOf(route),
    ...(nhid === undefined && !isReject(type) ? hops.map((hop) => `nexthop ${hopWords(hop)}`) : []),
  ]);
}

/** Main is where a route goes by itself, but one of this host's own addresses. */
function tableOf(route: Entry): string | undefined {
  const table = nameOf(route, "table");
  const isOwn = ["local", "broadcast", "anycast"].includes(typeOf(route) ?? "");
  return (table === "main" || table === "254") && !isOwn ? undefined : table;
}

/** `[{"mtu": 1300, "advmss": 1260}]` */
const metricsOf = (route: Entry): string[] =>
  listOf(route, "metrics").flatMap((metrics) =>
    Object.keys(metrics).flatMap((name) => said(name, nameOf(metrics, name)) || []),
  );

/** IP6_RT_PRIO_USER is what an IPv6 route has by itself. */
function metricOf(route: Entry, family: 4 | 6): number | undefined {
  const metric = numberOf(route, "metric");
  return metric === (family === 4 ? 0 : 1024) ? undefined : metric;
}

/** The type by its name: with -N iproute2 prints the number (RTN_*). */
export function typeOf(entry: Entry, key = "type"): string | undefined {
  const text = textOf(entry, key);
  const number = text === undefined ? null : parseNumber(text);
  return number === null ? text : ROUTE_TYPES[number];
}

/** `boot` is what `ip route add` says where nobody does, a rule has none; -N prints numbers. */
function protocolOf(entry: Entry): string | undefined {
  const given = nameOf(entry, "protocol");
  const protocol = PROTOCOLS.get(given ?? "") ?? given;
  return protocol === "boot" || protocol === "unspec" ? undefined : protocol;
}

/** rt_protos and rt_scopes: what -N prints for the usual ones. */
const PROTOCOLS = new Map([
  ["0", "unspec"],
  ["2", "kernel"],
  ["3", "boot"],
  ["4", "static"],
]);
const SCOPES = new Map([
  ["0", "global"],
  ["200", "site"],
  ["253", "link"],
  ["254", "host"],
]);

/** Of an IPv4 route, unless iproute2 fills it in by itself. IPv6 routes have none, whatever is printed. */
function scopeOf(route: Entry): string | undefined {
  const given = nameOf(route, "scope");
  const scope = SCOPES.get(given ?? "") ?? given;
  const type = typeOf(route);
  const leadsOn = isReject(type) || "nhid" in route || "nexthops" in route || gatewayOf(route) !== undefined;
  const isOnLink = type === "broadcast" || type === "multicast" || type === "anycast" || !leadsOn;
  const usual = type === "local" ? "host" : isOnLink ? "link" : "global";
  return scope === usual ? undefined : scope;
}

function hopWords(hop: Entry): string {
  const via = entryOf(hop, "via");
  const gateway = textOf(hop, "gateway");
  return join([
    said("via", gateway),
    said(`via ${textOf(via, "family")}`, textOf(via, "host")),
    said("dev", textOf(hop, "dev")),
    said("weight", numberOf(hop, "weight")),
    hasFlag(hop, "onlink") && "onlink",
  ]);
}

/** The gateway of a route of one next hop. */
export const gatewayOf = (route: Entry): string | undefined =>
  textOf(route, "gateway") ?? textOf(entryOf(route, "via"), "host");

// ---- next-hop objects -----------------------------------------------------------------------------------------------

/** iproute2's print_nexthop, backwards. */
export function nexthopWords(nexthop: Entry): string {
  const group = listOf(nexthop, "group").map((member) => `${member.id},${numberOf(member, "weight") ?? 1}`);
  const type = textOf(nexthop, "type");
  return join([
    said("id", numberOf(nexthop, "id")),
    group.length > 0 && `group ${group.join("/")}`,
    said("type", group.length > 0 && type !== "mpath" ? type : undefined),
    "blackhole" in nexthop && "blackhole",
    group.length === 0 && !("blackhole" in nexthop) && hopWords(nexthop),
    "fdb" in nexthop && "fdb",
  ]);
}
