/** `test` blocks: the network each runs on, and its steps with names resolved. */
import { type IfIndex, NO_DEVICE } from "../../runtime/brand.ts";
import { familyOf, type Ip, parseIp } from "../../runtime/net/ip.ts";
import type * as Ast from "../ast.ts";
import type { Name, Spanned, Test } from "../ast.ts";
import type { ConnectCase, Expectation, ExpectationKind, ListenCase, Net, PingCase, TestStep } from "../model.ts";
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

/** Finds the step's names in the namespace that it runs in. @returns undefined: reported */
export function testStep(nets: readonly Net[], step: Ast.TestStep, report: Reporter): TestStep | undefined {
  const net = netOf(nets, step, report);
  if (net === undefined) return undefined;
  switch (step.kind) {
    case "ping":
      return pingCase(nets, net, step, report);
    case "listen":
      return listenCase(nets, net, step, report);
    case "connect":
      return connectCase(nets, net, step, report);
  }
}

function pingCase(nets: readonly Net[], net: Net, ping: Ast.Ping, report: Reporter): PingCase | undefined {
  const bind = bindOf(net, ping, report);
  const expect = expectationOf(nets, ping, PING_OUTCOMES, report);
  const ttl = ping.ttl;
  if (ttl && (ttl.value < 1 || ttl.value > 255)) {
    report.error("E0290", ttl.span, `ttl ${ttl.value} is out of range`, { label: "1 to 255" });
    return undefined;
  }
  if (bind === undefined || expect === undefined) return undefined;
  return {
    kind: "ping",
    net: net.index,
    destination: ping.destination.value,
    ...bind,
    ttl: ttl?.value ?? net.sysctl.ipDefaultTtl,
    mark: ping.mark?.value ?? 0,
    expect,
    span: ping.span,
  };
}

function listenCase(nets: readonly Net[], net: Net, listen: Ast.Listen, report: Reporter): ListenCase | undefined {
  const bindDevice = deviceOf(net, listen.device, report);
  const expect = expectationOf(nets, listen, LISTEN_OUTCOMES, report);
  if (bindDevice === undefined || expect === undefined) return undefined;
  const { transport, endpoint, span } = listen;
  return { kind: "listen", net: net.index, transport, ...endpoint.value, bindDevice, expect, span };
}

function connectCase(nets: readonly Net[], net: Net, connect: Ast.Connect, report: Reporter): ConnectCase | undefined {
  const { transport, endpoint, from, mark, span } = connect;
  const { address, port } = endpoint.value;
  const bindDevice = deviceOf(net, connect.device, report);
  const expect = expectationOf(nets, connect, transport === "tcp" ? TCP_OUTCOMES : UDP_OUTCOMES, report);
  if (address === null) {
    report.error("E0293", endpoint.span, `\`connect\` needs an address to connect to`, {
      label: "only a port",
      help: [{ message: `say where: \`connect ${transport} 10.0.0.1:${port}\`` }],
    });
    return undefined;
  }
  if (from !== undefined && !isOfFamily(from, { value: address, span: endpoint.span }, report)) return undefined;
  if (bindDevice === undefined || expect === undefined) return undefined;
  const bindAddress = from?.value ?? null;
  return {
    kind: "connect",
    net: net.index,
    transport,
    address,
    port,
    bindDevice,
    bindAddress,
    mark: mark?.value ?? 0,
    expect,
    span,
  };
}

function netOf(nets: readonly Net[], step: Ast.TestStep, report: Reporter): Net | undefined {
  const name = step.namespace?.value ?? HOST;
  const net = nets.find((n) => n.name === name);
  if (net !== undefined) return net;
  const said = step.namespace ?? { value: name, span: step.span };
  report.error("E0201", said.span, `no namespace \`${name}\` in this file`, {
    label: step.namespace ? "not defined" : `a ${step.kind} without \`in NAMESPACE\` is run by \`host\``,
    ...(step.namespace
      ? didYouMean(
          said,
          nets.map((n) => n.name),
        )
      : {}),
  });
  return undefined;
}

/** `-I` of a socket: a device. */
function deviceOf(net: Net, name: Name | undefined, report: Reporter): IfIndex | undefined {
  if (name === undefined) return NO_DEVICE;
  const device = net.devices.find((d) => d.name === name.value);
  if (device !== undefined) return device.ifindex;
  const isAddress = parseIp(name.value) !== null;
  report.error("E0202", name.span, `no device \`${name.value}\` in namespace \`${net.name}\``, {
    label: isAddress ? "an address" : "not defined",
    ...(isAddress
      ? { help: [{ message: `the address to send from is said so: \`from ${name.value}\`` }] }
      : didYouMean(
          name,
          net.devices.map((d) => d.name),
        )),
  });
  return undefined;
}

function isOfFamily(source: Spanned<Ip>, destination: Spanned<Ip>, report: Reporter): boolean {
  if (familyOf(source.value) === familyOf(destination.value)) return true;
  report.error("E0291", source.span, "the source is not of the destination's family", {
    label: `IPv${familyOf(source.value)}`,
    secondary: [{ span: destination.span, message: `IPv${familyOf(destination.value)}` }],
  });
  return false;
}

/** `-I`: an address of the ping's family, or a device. */
function bindOf(net: Net, ping: Ast.Ping, report: Reporter): Pick<PingCase, "bindDevice" | "bindAddress"> | undefined {
  if (ping.bind === undefined) return { bindDevice: NO_DEVICE, bindAddress: null };
  const { value, span } = ping.bind;
  const address: Ip | null = parseIp(value);
  if (address !== null) {
    const isUsable = isOfFamily({ value: address, span }, ping.destination, report);
    return isUsable ? { bindDevice: NO_DEVICE, bindAddress: address } : undefined;
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
  "EADDRINUSE",
  "ENODEV",
  "EMSGSIZE",
  "EPERM",
];

/** What each kind of step can come to. */
const PING_OUTCOMES = ["reply", "unreachable", "exceeded", "error", "nothing", "drop"] as const;
const LISTEN_OUTCOMES = ["error"] as const;
const TCP_OUTCOMES = ["connected", "refused", "unreachable", "exceeded", "error", "timeout", "drop"] as const;
const UDP_OUTCOMES = ["reply", "refused", "unreachable", "exceeded", "error", "timeout", "drop"] as const;

/** Null: nothing is expected. @returns undefined: reported */
function expectationOf<K extends ExpectationKind>(
  nets: readonly Net[],
  step: Ast.TestStep,
  outcomes: readonly K[],
  report: Reporter,
): Expectation<K> | null | undefined {
  const said = step.expect;
  if (said === undefined) return null;
  const kind = outcomes.find((outcome) => outcome === said.kind);
  if (kind === undefined) {
    const what = step.kind === "ping" ? "ping" : `${step.kind} ${step.transport}`;
    report.error("E0292", said.span, `\`${what}\` does not come to \`${said.kind}\``, { label: outcomes.join(", ") });
    return undefined;
  }
  return expectation(nets, said, report) as Expectation<K> | undefined;
}

function expectation(nets: readonly Net[], expect: Ast.Expectation, report: Reporter): Expectation | undefined {
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
    case "drop":
      return dropOf(nets, expect, report);
    default:
      return { kind: expect.kind };
  }
}

function unknownWord(word: Name, known: readonly string[], report: Reporter): undefined {
  report.error("E0292", word.span, `\`${word.value}\` cannot be expected`, {
    label: known.join(", "),
    ...didYouMean(word, known),
  });
}

/** Every chain and program of the name; where there is none, every rule with that comment. */
function dropOf(
  nets: readonly Net[],
  { by, rule, namespace }: Extract<Ast.Expectation, { kind: "drop" }>,
  report: Reporter,
): Expectation | undefined {
  const asked = nets.filter(({ name }) => namespace === undefined || name === namespace.value);
  if (namespace !== undefined && asked.length === 0) {
    report.error("E0201", namespace.span, `no namespace \`${namespace.value}\` in this file`, {
      label: "not defined",
      ...didYouMean(
        namespace,
        nets.map(({ name }) => name),
      ),
    });
    return undefined;
  }
  const lists = asked.flatMap(listsOf);
  const named = lists.filter(({ name }) => name === by.value);
  const places =
    named.length > 0
      ? named
          .filter(({ rules }) => rule === undefined || (rule.value >= 1 && rule.value <= rules.length))
          .map(({ rules: _, name: __, ...place }) => ({ ...place, rule: rule === undefined ? null : rule.value - 1 }))
      : rule === undefined
        ? lists.flatMap(({ rules, name: _, ...place }) =>
            rules.flatMap(({ comment }, i) => (comment === by.value ? [{ ...place, rule: i }] : [])),
          )
        : [];
  if (places.length > 0)
    return {
      kind: "drop",
      by: by.value,
      rule: rule?.value ?? null,
      namespace: namespace?.value ?? null,
      places,
    };
  if (named.length > 0 && rule !== undefined) {
    const most = Math.max(...named.map(({ rules }) => rules.length));
    report.error("E0292", rule.span, `\`${by.value}\` has no rule ${rule.value}`, {
      label: most === 0 ? "it has none" : most === 1 ? "it has one" : `1 to ${most}`,
    });
    return undefined;
  }
  report.error("E0292", by.span, `no chain or program is called \`${by.value}\``, {
    label: rule === undefined ? "nor has a rule this comment" : "not defined",
    ...didYouMean(
      by,
      lists.map(({ name }) => name),
    ),
  });
  return undefined;
}

const listsOf = ({ index: net, netfilter: { chains, programs } }: Net) => [
  ...chains.map(({ id, name, rules }) => ({ net, list: "chain" as const, id: id as number, name, rules })),
  ...programs.map(({ id, name, rules }) => ({ net, list: "program" as const, id: id as number, name, rules })),
];
