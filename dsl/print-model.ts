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
 *     netfilter                                                              dsl/print-netfilter.ts
 */
import { formatEndpoint, formatIp, formatPrefix } from "../runtime/net/ip.ts";
import { formatMac } from "../runtime/net/mac.ts";
import { deviceName, routeWords, ruleWords, scopeName, words } from "./iproute2.ts";
import type {
  Address,
  ConnectCase,
  Device,
  Expectation,
  ListenCase,
  Model,
  Net,
  Origin,
  PingCase,
  TestCase,
  TestStep,
} from "./model.ts";
import { netfilterLines } from "./print-netfilter.ts";
import { allRoutes } from "./route-columns.ts";
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
          .map((r) => ({ text: `    ${r.pref}: ${ruleWords(net, r)}`, origin: r.origin })),
      ),
      ...tableLines(net, family),
    ]),
    ...netfilterLines(net),
  ];
}

const section = (title: string, lines: Line[]): Line[] =>
  lines.length === 0 ? [] : [{ text: `  ${title}` }, ...lines];

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
    conf.dropUnicastInL2Multicast6 && "drop_unicast_in_l2_multicast6",
    conf.disableIpv6 && "disable_ipv6",
  ]);
}

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
  const routes = allRoutes(net).filter((r) => r.family === family);
  const tables = [...new Set(routes.map((r) => r.table))];
  return tables.flatMap((table) => {
    const name = net.tableNames.get(table);
    return section(
      `table ${table}${name ? ` (${name})` : ""} IPv${family}`,
      routes
        .filter((r) => r.table === table)
        .map((r) => ({ text: `    ${routeWords(net, r, true)}`, origin: r.origin })),
    );
  });
}

function testLines(model: Model, test: TestCase): Line[] {
  const nets = test.nets ?? model.nets;
  return [
    { text: `test "${test.name}"${test.nets ? " (on a network of its own)" : ""}`, origin: { span: test.span } },
    ...test.steps.map((step) => ({ text: `  ${stepWords(nets, step)}`, origin: { span: step.span } })),
  ];
}

function stepWords(nets: readonly Net[], step: TestStep): string {
  switch (step.kind) {
    case "ping":
      return pingWords(nets, step);
    case "listen":
      return listenWords(nets, step);
    case "connect":
      return connectWords(nets, step);
  }
}

function listenWords(nets: readonly Net[], { net, transport, address, port, bindDevice, expect }: ListenCase): string {
  return words([
    `in ${nets[net].name} listen ${transport} ${formatEndpoint(address, port)}`,
    bindDevice !== 0 && `-I ${deviceName(nets[net], bindDevice)}`,
    expect && `expect ${expectWords(expect)}`,
  ]);
}

function connectWords(nets: readonly Net[], connect: ConnectCase): string {
  const { net, transport, address, port, bindDevice, bindAddress, mark, expect } = connect;
  return words([
    `in ${nets[net].name} connect ${transport} ${formatEndpoint(address, port)}`,
    bindDevice !== 0 && `-I ${deviceName(nets[net], bindDevice)}`,
    bindAddress !== null && `from ${formatIp(bindAddress)}`,
    mark !== 0 && `-m ${mark}`,
    expect && `expect ${expectWords(expect)}`,
  ]);
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

function expectWords(expect: Expectation): string {
  const from = "from" in expect && expect.from !== null && `from ${formatIp(expect.from)}`;
  switch (expect.kind) {
    case "reply":
      return words(["reply", expect.ttl !== null && `ttl ${expect.ttl}`, from]);
    case "unreachable":
      return words(["unreachable", expect.what, from]);
    case "error":
      return words(["error", expect.errno]);
    case "drop":
      return words([
        `drop by ${expect.by}`,
        expect.rule !== null && `rule ${expect.rule}`,
        expect.namespace !== null && `in ${expect.namespace}`,
      ]);
    default:
      return words([expect.kind, from]);
  }
}
