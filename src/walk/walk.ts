/**
 * A trace told to a person: numbered steps with the rules that were tried, the ones that did not match and why, the
 * table and route that decided, and the line of text behind each. Works on the trace of any engine; the model gives
 * names and origins.
 *
 *   walk = { WalkStep }
 *   WalkStep = number, title ("PREROUTING in=vethr1"), detail, lines { left, middle, right, origin }
 */
import type { Net, Origin, Rule } from "../../dsl/model.ts";
import { lineOf, type Source } from "../../dsl/span.ts";
import type { IfIndex } from "../../runtime/brand.ts";
import type { Hook } from "../../runtime/hooks.ts";
import { formatIp, formatPrefix } from "../../runtime/net/ip.ts";
import type { Flow, Selector, Trace, TraceStep } from "../../runtime/trace.ts";
import { DropReason, Errno, nameOf } from "../../runtime/verdict.ts";
import { deviceName, routeText, ruleText, tableName } from "./iproute2.ts";

/** Where a line of a walk comes from: the text (`seed.vrf:7`), the kernel's own doing, or both. */
export interface WalkOrigin {
  readonly file?: string;
  /** 1-based. */
  readonly line?: number;
  readonly kernel?: string;
}

/** One rule tried or one table consulted, below the step that did it. */
export interface WalkLine {
  readonly kind: "rule" | "table" | "suppress";
  /** Rules: the preference; tables: id. */
  readonly id: number;
  /** The rule or route in iproute2's words. */
  readonly text: string;
  readonly outcome: "matched" | "no match" | "found" | "nothing here" | "error" | "suppressed";
  /** Why it did not match, or what it gave. */
  readonly why: string;
  readonly origin: WalkOrigin | null;
}

export interface WalkStep {
  /** 1-based within the walk of one packet. */
  readonly n: number;
  readonly title: string;
  readonly detail: string;
  readonly lines: readonly WalkLine[];
  /** How the step ends the packet's way, for colour: null when it goes on. */
  readonly end: "sent" | "local" | "dropped" | "error" | null;
}

/** @returns the steps of `trace`, which must come from an engine of `net` */
export function walk(trace: Trace, net: Net, source: Source): WalkStep[] {
  const steps: WalkStep[] = [];
  const add = (title: string, detail = "", lines: WalkLine[] = [], end: WalkStep["end"] = null) =>
    steps.push({ n: steps.length + 1, title, detail, lines, end });
  for (let i = 0; i < trace.length; i++) {
    const step = trace[i];
    if (step.step === "lookup") {
      const last = endOfLookup(trace, i);
      add(lookupTitle(step.kind), flowText(net, step.flow), lookupLines(trace.slice(i + 1, last + 1), step.flow, net, source));
      i = last;
    } else {
      const [title, detail, end] = tell(step, net);
      add(title, detail, [], end);
    }
  }
  return steps;
}

function endOfLookup(trace: Trace, start: number): number {
  for (let i = start + 1; i < trace.length; i++) {
    const { step } = trace[i];
    if (step === "result") return i;
    if (step !== "rule" && step !== "fib" && step !== "suppress") return i - 1;
  }
  return trace.length - 1;
}

const lookupTitles = {
  input: "route lookup (input)",
  output: "route lookup (output)",
  source: "source validation lookup",
  vrf_xmit: "route lookup (vrf_xmit)",
} as const;
const lookupTitle = (kind: keyof typeof lookupTitles): string => lookupTitles[kind];

/** The flow in `ip route get` words; selectors at their "any" value are left out. */
export function flowText(net: Net, flow: Flow): string {
  const words = [`${formatIp(flow.saddr)} > ${formatIp(flow.daddr)}`];
  if (flow.iif !== 0) words.push(`iif ${deviceName(net, flow.iif)}`);
  if (flow.oif !== 0) words.push(`oif ${deviceName(net, flow.oif)}`);
  if (flow.l3mdev !== 0) words.push(`l3mdev ${deviceName(net, flow.l3mdev)}`);
  if (flow.mark !== 0) words.push(`mark 0x${flow.mark.toString(16)}`);
  if (flow.tos !== 0) words.push(`tos 0x${flow.tos.toString(16)}`);
  return words.join(" ");
}

function lookupLines(steps: Trace, flow: Flow, net: Net, source: Source): WalkLine[] {
  const lines: WalkLine[] = [];
  for (const step of steps) {
    if (step.step === "rule") lines.push(ruleLine(step, flow, net, source));
    else if (step.step === "fib") lines.push(fibLine(step, flow, net, source));
    else if (step.step === "suppress") {
      const route = net.routes[step.route];
      const why = `rule ${net.rules[step.rule].pref} suppresses it -> next rule`;
      lines.push({ kind: "suppress", id: route.table, text: routeText(net, route), outcome: "suppressed", why, origin: originOf(route.origin, source) });
    }
  }
  return lines;
}

function ruleLine(step: TraceStep & { step: "rule" }, flow: Flow, net: Net, source: Source): WalkLine {
  const rule = net.rules[step.rule];
  const outcome = step.matched ? "matched" : "no match";
  const why = step.matched ? matchText(rule, flow, net) : mismatchText(rule, step.failed, flow, net);
  return { kind: "rule", id: rule.pref, text: ruleText(net, rule), outcome, why, origin: originOf(rule.origin, source) };
}

function matchText(rule: Rule, flow: Flow, net: Net): string {
  if (rule.action.kind === "lookup" && rule.action.table === null) {
    const vrf = net.devices.find((d) => d.ifindex === flow.l3mdev);
    return vrf === undefined ? "" : `flow in VRF ${vrf.name} -> table ${vrf.table}`;
  }
  if (rule.action.kind === "goto" && rule.action.target === null) return "target does not exist -> next rule";
  return "";
}

/** Why a rule did not match: what it asks for and what the flow has. */
function mismatchText(rule: Rule, failed: Selector | null, flow: Flow, net: Net): string {
  if (failed === null) return rule.not ? "every selector matches, and the rule says not" : "";
  const device = (ifindex: IfIndex) => (ifindex === 0 ? "none" : deviceName(net, ifindex));
  switch (failed) {
    case "iif":
      return `iif is ${device(flow.iif)}, not ${rule.iif?.name}`;
    case "oif":
      return `oif is ${device(flow.oif)}, not ${rule.oif?.name}`;
    case "l3mdev":
      return "flow in no VRF";
    case "fwmark":
      return `mark is 0x${flow.mark.toString(16)}`;
    case "uidrange":
      return `uid is ${flow.uid}`;
    case "from":
      return `${formatIp(flow.saddr)} is not in ${rule.from === null ? "?" : formatPrefix(rule.from)}`;
    case "to":
      return `${formatIp(flow.daddr)} is not in ${rule.to === null ? "?" : formatPrefix(rule.to)}`;
    case "tos":
      return `tos is 0x${flow.tos.toString(16)}`;
    case "ipproto":
      return `protocol is ${flow.protocol}`;
    case "sport":
      return `source port is ${flow.sport}`;
    case "dport":
      return `destination port is ${flow.dport}`;
  }
}

function fibLine(step: TraceStep & { step: "fib" }, flow: Flow, net: Net, source: Source): WalkLine {
  const route = step.route === null ? null : net.routes[step.route];
  const name = tableName(net, step.table);
  if (route === null) {
    const why = `${formatIp(flow.daddr)} has no route in ${name} -> next rule`;
    return { kind: "table", id: step.table, text: `table ${name}`, outcome: "nothing here", why, origin: null };
  }
  const text = `table ${name}: ${routeText(net, route)}`;
  const origin = originOf(route.origin, source);
  if (step.error === 0) return { kind: "table", id: step.table, text, outcome: "found", why: "", origin };
  const why = step.error === Errno.EAGAIN ? "throw -> next rule" : nameOf(Errno, step.error);
  return { kind: "table", id: step.table, text, outcome: "error", why, origin };
}

/** Title, detail and end of every step that is not part of a lookup. */
function tell(step: Exclude<TraceStep, { step: "lookup" }>, net: Net): [string, string, WalkStep["end"]] {
  const device = (ifindex: IfIndex) => deviceName(net, ifindex);
  switch (step.step) {
    case "hook":
      return [hookTitle(step.hook, step.in, step.out, net), "", null];
    case "vrf_l3_rcv":
      return ["l3mdev receive", `${device(step.device)} -> ${device(step.vrf)}`, null];
    case "vrf_l3_out":
      return ["l3mdev transmit", `${device(step.device)} by way of ${device(step.vrf)}${step.direct ? "" : " (redirected: it has a qdisc)"}`, null];
    case "vrf_xmit":
      return ["vrf_xmit", `${device(step.vrf)} sends: the VRF's table decides`, null];
    case "vrf_local_xmit":
      return ["vrf_local_xmit", `local to ${device(step.vrf)}: straight back in`, null];
    case "route": {
      const gateway = step.gateway === null ? "on link" : `via ${formatIp(step.gateway)}`;
      return ["route", `${gateway} dev ${device(step.device)} src ${formatIp(step.source)}`, null];
    }
    case "fib_validate_source":
      return ["source validation", step.error === 0 ? `${device(step.device)} ok` : `${device(step.device)} refused: ${nameOf(Errno, step.error)}`, null];
    case "ip_forward":
      return ["forward", `ttl ${step.ttl} -> ${step.ttl - 1}`, null];
    case "ip_local_deliver": {
      const sdif = step.sdif === 0 ? "" : ` (received by ${device(step.sdif)})`;
      return ["=> LOCAL", `for a socket of this host, dev ${device(step.device)}${sdif}`, "local"];
    }
    case "neighbour":
      return ["neighbour", `${formatIp(step.nextHop)} dev ${device(step.device)} ${step.resolved ? "known" : "unknown: resolve first"}`, null];
    case "transmit":
      return ["=> SENT", device(step.device), "sent"];
    case "icmp_send":
      return ["=> ICMP ERROR", icmpErrorText(step.type, step.code), "error"];
    case "send_error":
      return ["=> SEND FAILS", nameOf(Errno, step.error), "error"];
    case "ip_fragment":
      return ["=> FRAGMENT", `${device(step.device)} mtu ${step.mtu}: the host cuts it`, "sent"];
    case "drop":
      return ["=> DROPPED", nameOf(DropReason, step.reason), "dropped"];
    case "rule":
    case "fib":
    case "suppress":
    case "result":
      return [step.step, "", null];
  }
}

/** `PREROUTING in=vethr1`, `tc ingress vethr1`: netfilter's five as the kernel's log spells them. */
function hookTitle(hook: Hook, input: IfIndex, output: IfIndex, net: Net): string {
  const inName = input === 0 ? "" : deviceName(net, input);
  const outName = output === 0 ? "" : deviceName(net, output);
  if (hook.includes(" ") || hook === "xdp") return `${hook} ${inName || outName}`;
  return [hook.toUpperCase(), inName && `in=${inName}`, outName && `out=${outName}`].filter(Boolean).join(" ");
}

const icmpErrorNames: Readonly<Record<string, string>> = {
  "3/0": "destination net unreachable",
  "3/1": "destination host unreachable",
  "3/2": "destination protocol unreachable",
  "3/3": "destination port unreachable",
  "3/4": "fragmentation needed",
  "3/13": "communication administratively prohibited",
  "5/0": "redirect for the network",
  "5/1": "redirect for the host",
  "11/0": "time to live exceeded",
  "12/0": "parameter problem",
};
/** `3/0 destination net unreachable` (RFC 792, RFC 1812 section 5.2.7). */
export const icmpErrorText = (type: number, code: number): string =>
  `${type}/${code} ${icmpErrorNames[`${type}/${code}`] ?? ""}`.trimEnd();

function originOf(origin: Origin, source: Source): WalkOrigin {
  return {
    ...(origin.span === undefined ? {} : { file: source.name, line: lineOf(source, origin.span.start) }),
    ...(origin.kernel === undefined ? {} : { kernel: origin.kernel }),
  };
}
