/** `test` blocks: the network each runs on, and its pings with names resolved. */
import { NO_DEVICE } from "../../runtime/brand.ts";
import type { Ip } from "../../runtime/net/ip.ts";
import { familyOf, parseIp } from "../../runtime/net/ip.ts";
import type { Name, Ping, PingExpectation, Test } from "../ast.ts";
import type { Net, PingCase } from "../model.ts";
import { HOST } from "./gather.ts";
import { didYouMean } from "./names.ts";
import type { Reporter } from "./report.ts";

/** Two tests of one name could not be told apart in a report. */
export function checkTestNames(tests: readonly Test[], report: Reporter): void {
  const first = new Map<string, Name>();
  for (const { name } of tests) {
    const earlier = first.get(name.value);
    if (earlier === undefined) first.set(name.value, name);
    else {
      report.warning("W0312", name.span, `two tests are called "${name.value}"`, {
        secondary: [{ span: earlier.span, message: "the first one" }],
      });
    }
  }
}

export function pingCase(nets: readonly Net[], ping: Ping, report: Reporter): PingCase | undefined {
  const net = netOf(nets, ping, report);
  if (net === undefined) return undefined;
  const bind = bindOf(net, ping, report);
  const expect = ping.expect === undefined ? null : expectation(ping.expect, report);
  const ttl = ping.ttl;
  if (ttl && (ttl.value < 1 || ttl.value > 255)) {
    report.error("E0290", ttl.span, `ttl ${ttl.value} is out of range`, { label: "1 to 255" });
    return undefined;
  }
  if (bind === undefined || expect === undefined) return undefined;
  return {
    net: net.index,
    destination: ping.destination.value,
    ...bind,
    ttl: ttl?.value ?? net.sysctl.ipDefaultTtl,
    mark: ping.mark?.value ?? 0,
    expect,
    span: ping.span,
  };
}

function netOf(nets: readonly Net[], ping: Ping, report: Reporter): Net | undefined {
  const name = ping.namespace?.value ?? HOST;
  const net = nets.find((n) => n.name === name);
  if (net !== undefined) return net;
  const said = ping.namespace ?? { value: name, span: ping.span };
  report.error("E0201", said.span, `no namespace \`${name}\` in this file`, {
    label: ping.namespace ? "not defined" : "a ping without `in NAMESPACE` is sent by `host`",
    ...(ping.namespace
      ? didYouMean(
          said,
          nets.map((n) => n.name),
        )
      : {}),
  });
  return undefined;
}

/** `-I`: an address of the ping's family, or a device. */
function bindOf(net: Net, ping: Ping, report: Reporter): Pick<PingCase, "bindDevice" | "bindAddress"> | undefined {
  if (ping.bind === undefined) return { bindDevice: NO_DEVICE, bindAddress: null };
  const { value, span } = ping.bind;
  const address: Ip | null = parseIp(value);
  if (address !== null) {
    if (familyOf(address) === familyOf(ping.destination.value)) return { bindDevice: NO_DEVICE, bindAddress: address };
    report.error("E0291", span, "the source is not of the destination's family", {
      label: `IPv${familyOf(address)}`,
      secondary: [{ span: ping.destination.span, message: `IPv${familyOf(ping.destination.value)}` }],
    });
    return undefined;
  }
  const device = net.devices.find((d) => d.name === value);
  if (device !== undefined) return { bindDevice: device.ifindex, bindAddress: null };
  report.error("E0202", span, `no device \`${value}\` in namespace \`${net.name}\``, {
    label: "neither a device nor an address",
    kernel: `ping: SO_BINDTODEVICE ${value}: No such device`,
    ...didYouMean(
      ping.bind,
      net.devices.map((d) => d.name),
    ),
  });
  return undefined;
}

const UNREACHABLE = ["net", "host", "prohibited"] as const;
/** What a send can fail with before a packet exists. */
const ERRNOS = [
  "ENETUNREACH",
  "EHOSTUNREACH",
  "EACCES",
  "EINVAL",
  "ENETDOWN",
  "EADDRNOTAVAIL",
  "ENODEV",
  "EMSGSIZE",
  "EPERM",
];

function expectation(expect: PingExpectation, report: Reporter): Exclude<PingCase["expect"], null> | undefined {
  switch (expect.kind) {
    case "reply":
      return { kind: "reply", ttl: expect.ttl?.value ?? null, from: expect.from?.value ?? null };
    case "unreachable": {
      const what = UNREACHABLE.find((w) => w === expect.what?.value);
      if (expect.what && what === undefined) return unknownWord(expect.what, UNREACHABLE, report);
      return { kind: "unreachable", what: what ?? null, from: expect.from?.value ?? null };
    }
    case "exceeded":
      return { kind: "exceeded", from: expect.from?.value ?? null };
    case "error":
      if (expect.errno && !ERRNOS.includes(expect.errno.value)) return unknownWord(expect.errno, ERRNOS, report);
      return { kind: "error", errno: expect.errno?.value ?? null };
    case "nothing":
      return { kind: "nothing" };
  }
}

function unknownWord(word: Name, known: readonly string[], report: Reporter): undefined {
  report.error("E0292", word.span, `\`${word.value}\` cannot be expected`, {
    label: known.join(", "),
    ...didYouMean(word, known),
  });
}
