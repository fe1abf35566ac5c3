/**
 * A model as text (`vrfc dump --stage model`): each network with every default written out, in iproute2's words, and
 * behind each line where it comes from.
 *
 *   kernel 6.1
 *   namespace host
 *     devices
 *       3 vethr1 veth master vrf peer ns0/veth1 02:00:00:00:00:03 mtu 1500 up forwarding        line 4
 *         10.0.0.1/24                                                                           line 4
 *     rules
 *       1000: from all lookup [l3mdev-table]                                 kernel: added with the first VRF, vrf (line 3)
 *     routes
 *       table 100 (vrf)
 *         10.0.0.0/24 dev vethr1 proto kernel scope link src 10.0.0.1        kernel: connected route of ... (line 4)
 */
import type { Ip, Prefix } from "../runtime/net/ip.ts";
import { formatIp, formatPrefix } from "../runtime/net/ip.ts";
import { formatMac } from "../runtime/net/mac.ts";
import type { Range } from "./ast.ts";
import type {
  Address,
  Device,
  Model,
  Net,
  NextHop,
  Origin,
  PingCase,
  Route,
  Rule,
  RuleAction,
  TestCase,
} from "./model.ts";
import { deviceOf, Scope } from "./model.ts";
import type { Source } from "./span.ts";

/** A line of the dump and, in the right column, where it comes from. */
interface Line {
  readonly text: string;
  readonly origin?: Origin;
}

export function printModel(model: Model): string {
  const lines = [
    { text: `kernel ${model.kernel}` },
    ...model.nets.flatMap((net) => netLines(model.nets, net)),
    ...model.tests.flatMap((test) => testLines(model, test)),
  ];
  return `${layOut(lines, model.source).join("\n")}\n`;
}

/** Column at which origins stand, unless a line is longer. */
const ORIGIN_COLUMN = 84;

function layOut(lines: readonly Line[], source: Source): string[] {
  const lineOf = lineCounter(source.text);
  return lines.map(({ text, origin }) => {
    const from = origin && describeOrigin(origin, lineOf);
    return from ? `${text.padEnd(ORIGIN_COLUMN - 2)}  ${from}` : text;
  });
}

/** Line number (from 1) of an offset. */
function lineCounter(text: string): (offset: number) => number {
  const starts = [0];
  for (let i = text.indexOf("\n"); i >= 0; i = text.indexOf("\n", i + 1)) starts.push(i + 1);
  return (offset) => starts.findLastIndex((start) => start <= offset) + 1;
}

function describeOrigin(origin: Origin, lineOf: (offset: number) => number): string {
  const line = origin.span && `line ${lineOf(origin.span.start)}`;
  const where = origin.file ? `${origin.file.name}:${origin.file.line}` : line;
  if (origin.kernel === undefined) return where ?? "";
  return where ? `${origin.kernel} (${where})` : origin.kernel;
}

function netLines(nets: readonly Net[], net: Net): Line[] {
  return [
    { text: `namespace ${net.name}` },
    { text: `  sysctl${sysctlWords(net)}` },
    { text: "  devices" },
    ...net.devices.flatMap((device) => deviceLines(nets, net, device)),
    ...section(
      "neighbours",
      net.neighbours.map((n) => ({
        text: `    ${formatIp(n.address)} lladdr ${formatMac(n.mac)} dev ${deviceName(net, n.device)}`,
        origin: n.origin,
      })),
    ),
    ...([4, 6] as const).flatMap((family) => [
      ...section(
        `rules IPv${family}`,
        net.rules
          .filter((r) => r.family === family)
          .map((r) => ({ text: `    ${ruleWords(net, r)}`, origin: r.origin })),
      ),
      ...tableLines(net, family),
    ]),
  ];
}

const section = (title: string, lines: Line[]): Line[] =>
  lines.length === 0 ? [] : [{ text: `  ${title}` }, ...lines];

const deviceName = (net: Net, ifindex: number): string => deviceOf(net, ifindex)?.name ?? `if${ifindex}`;
const words = (parts: readonly (string | false | null | undefined)[]): string => parts.filter((p) => p).join(" ");

function sysctlWords({ sysctl }: Net): string {
  return Object.entries(sysctl)
    .map(([key, value]) => ` ${key}=${Number(value)}`)
    .join("");
}

function deviceLines(nets: readonly Net[], net: Net, device: Device): Line[] {
  const peer = device.peer && nets[device.peer.net];
  const text = words([
    `   ${String(device.ifindex).padStart(2)} ${device.name} ${device.kind}`,
    device.kind === "vrf" && `table ${device.table}`,
    device.master !== 0 && `master ${deviceName(net, device.master)}`,
    peer && `peer ${peer.name}/${deviceName(peer, device.peer!.ifindex)}`,
    device.kind !== "loopback" && formatMac(device.mac),
    `mtu ${device.mtu}`,
    device.up ? "up" : "down",
    device.group !== 0 && `group ${device.group}`,
    !device.qdiscDefault && "qdisc set",
    confWords(device),
  ]);
  return [
    { text, origin: device.origin },
    ...device.addresses.map((a) => ({ text: `       ${addressWords(a)}`, origin: a.origin })),
  ];
}

/** Settings that are on; send_redirects, on by default, when it is off. */
function confWords({ conf }: Device): string {
  return words([
    conf.forwarding4 && "forwarding",
    conf.forwarding6 && "forwarding6",
    conf.rpFilter !== 0 && `rp_filter=${conf.rpFilter}`,
    conf.acceptLocal && "accept_local",
    conf.routeLocalnet && "route_localnet",
    conf.bcForwarding && "bc_forwarding",
    !conf.sendRedirects && "send_redirects=0",
    conf.ignoreRoutesWithLinkdown && "ignore_routes_with_linkdown",
    conf.dropUnicastInL2Multicast && "drop_unicast_in_l2_multicast",
  ]);
}

const SCOPE_NAMES = new Map<number, string>([
  [Scope.UNIVERSE, "global"],
  [Scope.SITE, "site"],
  [Scope.LINK, "link"],
  [Scope.HOST, "host"],
  [Scope.NOWHERE, "nowhere"],
]);
const scopeName = (scope: Scope): string => SCOPE_NAMES.get(scope)!;

function addressWords({ prefix, peer, scope, secondary }: Address): string {
  return words([
    peer === prefix.address
      ? formatPrefix(prefix)
      : `${formatIp(prefix.address)} peer ${formatIp(peer)}/${prefix.length}`,
    `scope ${scopeName(scope)}`,
    secondary && "secondary",
  ]);
}

function tableLines(net: Net, family: 4 | 6): Line[] {
  const routes = net.routes.filter((r) => r.family === family);
  const tables = [...new Set(routes.map((r) => r.table))];
  return tables.flatMap((table) => {
    const name = net.tableNames.get(table);
    return section(
      `table ${table}${name ? ` (${name})` : ""} IPv${family}`,
      routes.filter((r) => r.table === table).map((r) => ({ text: `    ${routeWords(net, r)}`, origin: r.origin })),
    );
  });
}

/** As `ip route show` writes it: the default prefix by its name, host routes without a length. */
function destinationWords({ address, length }: Prefix): string {
  if (length === 0) return "default";
  return length === (typeof address === "number" ? 32 : 128) ? formatIp(address) : formatPrefix({ address, length });
}

export function routeWords(net: Net, route: Route): string {
  const single = route.nexthops.length === 1;
  return words([
    route.type !== "unicast" && route.type,
    destinationWords(route.prefix),
    route.tos !== 0 && `tos 0x${route.tos.toString(16).padStart(2, "0")}`,
    single && hopWords(net, route, route.nexthops[0]),
    `proto ${route.protocol}`,
    route.family === 4 && `scope ${scopeName(route.scope)}`,
    route.prefsrc !== null && `src ${formatIp(route.prefsrc)}`,
    route.metric !== 0 && `metric ${route.metric}`,
    route.mtu !== null && `mtu ${route.mtu}`,
    ...(single ? [] : route.nexthops.map((n) => `nexthop ${hopWords(net, route, n)} weight ${n.weight}`)),
  ]);
}

/** `[source A]`: what the host would send from, when no `src` says it. */
function hopWords(net: Net, route: Route, hop: NextHop): string {
  return words([
    hop.gateway !== null && `via ${viaFamily(route, hop.gateway)}${formatIp(hop.gateway)}`,
    `dev ${deviceName(net, hop.device)}`,
    hop.onlink && "onlink",
    hop.dead && "dead",
    route.prefsrc === null && typeof hop.source === "number" && hop.source !== 0 && `[source ${formatIp(hop.source)}]`,
  ]);
}

const viaFamily = (route: Route, gateway: Ip): string =>
  route.family === 4 && typeof gateway !== "number" ? "inet6 " : "";

const rangeWords = ({ first, last }: Range): string => (first === last ? `${first}` : `${first}-${last}`);

/** As `ip rule show` writes it. */
export function ruleWords(net: Net, rule: Rule): string {
  const device = (word: string, d: Rule["iif"]) => d && `${word} ${d.name}${d.ifindex === -1 ? " [detached]" : ""}`;
  return words([
    `${rule.pref}:`,
    rule.not && "not",
    `from ${rule.from ? destinationWords(rule.from) : "all"}`,
    rule.to && `to ${destinationWords(rule.to)}`,
    rule.tos !== 0 && `tos 0x${rule.tos.toString(16).padStart(2, "0")}`,
    rule.fwmark && `fwmark 0x${rule.fwmark.mark.toString(16)}/0x${rule.fwmark.mask.toString(16)}`,
    device("iif", rule.iif),
    device("oif", rule.oif),
    rule.uidrange && `uidrange ${rangeWords(rule.uidrange)}`,
    rule.ipproto !== 0 && `ipproto ${rule.ipproto}`,
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
      return action.table === null
        ? "lookup [l3mdev-table]"
        : `lookup ${net.tableNames.get(action.table) ?? action.table}`;
    case "goto":
      return `goto ${action.pref}${action.target === null ? " [unresolved]" : ""}`;
    default:
      return action.kind;
  }
}

function testLines(model: Model, test: TestCase): Line[] {
  const nets = test.nets ?? model.nets;
  return [
    { text: `test "${test.name}"${test.nets ? " (on a network of its own)" : ""}`, origin: { span: test.span } },
    ...test.pings.map((ping) => ({ text: `  ${pingWords(nets, ping)}`, origin: { span: ping.span } })),
  ];
}

function pingWords(nets: readonly Net[], ping: PingCase): string {
  const net = nets[ping.net];
  return words([
    `in ${net.name} ping ${formatIp(ping.destination)}`,
    ping.bindDevice !== 0 && `-I ${deviceName(net, ping.bindDevice)}`,
    ping.bindAddress !== null && `-I ${formatIp(ping.bindAddress)}`,
    `-t ${ping.ttl}`,
    ping.mark !== 0 && `-m ${ping.mark}`,
    ping.expect && `expect ${expectWords(ping.expect)}`,
  ]);
}

function expectWords(expect: NonNullable<PingCase["expect"]>): string {
  const from = "from" in expect && expect.from !== null && `from ${formatIp(expect.from)}`;
  switch (expect.kind) {
    case "reply":
      return words(["reply", expect.ttl !== null && `ttl ${expect.ttl}`, from]);
    case "unreachable":
      return words(["unreachable", expect.what, from]);
    case "error":
      return words(["error", expect.errno]);
    default:
      return words([expect.kind, from]);
  }
}
