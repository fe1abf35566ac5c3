/**
 * A trace told to a person: numbered steps with the rules that were tried, the ones that did not match and why, the
 * table and route that decided, and the line of text behind each. Works on the trace of any engine; the model gives
 * names and origins.
 *
 *   walk = { WalkStep }
 *   WalkStep = number, title ("PREROUTING in=vethr1"), detail, lines { left, middle, right, origin }
 */
import { deviceName, routeWords, ruleWords, tableName } from "../../dsl/iproute2.ts";
import type { Net, Rule } from "../../dsl/model.ts";
import { routeOf } from "../../dsl/route-columns.ts";
import type { Source } from "../../dsl/span.ts";
import type { IfIndex } from "../../runtime/brand.ts";
import { type Hook, NETFILTER_HOOKS } from "../../runtime/hooks.ts";
import { icmpErrorName } from "../../runtime/host/messages.ts";
import { formatIp, formatPrefix } from "../../runtime/net/ip.ts";
import type { Flow, Selector, Trace, TraceStep } from "../../runtime/trace.ts";
import { Errno, nameOf } from "../../runtime/verdict.ts";
import { chainLines, chainTitle, endOfChain, isChainStep } from "./chain-lines.ts";
import { dropText } from "./drop-text.ts";
import { originOf, type WalkLine } from "./line.ts";

export interface WalkStep {
  /** 1-based within the walk of one packet. */
  readonly n: number;
  /** The trace step that this tells. */
  readonly step: TraceStep["step"];
  /** For step "hook": which, and the devices that it sees; null where it has none. */
  readonly hook?: { readonly name: Hook; readonly in: string | null; readonly out: string | null };
  readonly title: string;
  readonly detail: string;
  readonly lines: readonly WalkLine[];
  /** How the step ends the packet's way, for colour: null when it goes on. */
  readonly end: "sent" | "local" | "dropped" | "error" | null;
}

/** @returns the steps of `trace`, which must come from an engine of `net` */
export function walk(trace: Trace, net: Net, source: Source): WalkStep[] {
  const steps: WalkStep[] = [];
  for (let i = 0; i < trace.length; i++) {
    const step = trace[i];
    const n = steps.length + 1;
    if (step.step === "lookup") {
      const last = endOfLookup(trace, i);
      const lines = lookupLines(trace.slice(i + 1, last + 1), step.flow, net, source);
      steps.push({
        n,
        step: "lookup",
        title: lookupTitles[step.kind],
        detail: flowText(net, step.flow),
        lines,
        end: null,
      });
      i = last;
    } else if (step.step === "nft_chain" || step.step === "program" || isChainStep(step)) {
      const last = endOfChain(trace, i);
      const lines = chainLines(trace.slice(i, last + 1), net, source);
      steps.push({ n, ...chainTitle(step, net), lines, end: null });
      i = last;
    } else {
      const [title, detail, end] = tell(step, net);
      const hook =
        step.step === "hook"
          ? { hook: { name: step.hook, in: nameOrNull(net, step.in), out: nameOrNull(net, step.out) } }
          : {};
      steps.push({ n, step: step.step, ...hook, title, detail, lines: [], end });
    }
  }
  return steps;
}

const nameOrNull = (net: Net, ifindex: IfIndex): string | null => (ifindex === 0 ? null : deviceName(net, ifindex));

function endOfLookup(trace: Trace, start: number): number {
  for (let i = start + 1; i < trace.length; i++) {
    const { step } = trace[i];
    if (step === "result") return i;
    if (step !== "rule" && step !== "fib" && step !== "suppress") return i - 1;
  }
  return trace.length - 1;
}

const lookupTitles = {
  input: "fib_lookup (input)",
  output: "fib_lookup (output)",
  source: "fib_lookup (source validation)",
  vrf_xmit: "fib_lookup (vrf_xmit)",
  link_scope: "l3mdev_link_scope_lookup",
  nft_fib: "fib_lookup (an expression of the chain)",
} as const;

/** The flow in `ip route get` words; selectors at their "any" value are left out. */
function flowText(net: Net, flow: Flow): string {
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
      const route = routeOf(net, step.route);
      const why = `rule ${net.rules[step.rule].pref} suppresses it -> next rule`;
      lines.push({
        kind: "suppress",
        id: route.table,
        text: routeWords(net, route),
        outcome: "suppressed",
        why,
        origin: originOf(route.origin, source),
      });
    }
  }
  return lines;
}

function ruleLine(step: TraceStep & { step: "rule" }, flow: Flow, net: Net, source: Source): WalkLine {
  const rule = net.rules[step.rule];
  const outcome = step.matched ? "matched" : "no match";
  const why = step.matched ? matchText(rule, flow, net) : mismatchText(rule, step.failed, flow, net);
  return {
    kind: "rule",
    id: rule.pref,
    text: ruleWords(net, rule),
    outcome,
    why,
    origin: originOf(rule.origin, source),
  };
}

function matchText(rule: Rule, flow: Flow, net: Net): string {
  if (rule.action.kind === "lookup" && rule.action.table === null) {
    const vrf = net.devices.find((d) => d.ifindex === flow.l3mdev);
    return vrf === undefined ? "" : `flow in VRF ${vrf.name} -> table ${vrf.table}`;
  }
  switch (rule.action.kind) {
    case "goto":
      return rule.action.target === null ? "target does not exist -> next rule" : `-> rule ${rule.action.pref}`;
    case "nop":
      return "-> next rule";
    case "lookup":
      return "";
    default:
      return "ends the look-up";
  }
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
  const route = step.route === null ? null : routeOf(net, step.route);
  const name = tableName(net, step.table);
  if (route === null) {
    const why = `no route to ${formatIp(flow.daddr)} -> next rule`;
    return { kind: "table", id: step.table, text: `table ${name}`, outcome: "nothing here", why, origin: null };
  }
  const text = `table ${name}: ${routeWords(net, route)}`;
  const origin = originOf(route.origin, source);
  if (step.error === 0) return { kind: "table", id: step.table, text, outcome: "found", why: "", origin };
  if (step.error === Errno.EAGAIN)
    return { kind: "table", id: step.table, text, outcome: "nothing here", why: "thrown -> next rule", origin };
  return { kind: "table", id: step.table, text, outcome: "error", why: nameOf(Errno, step.error), origin };
}

/** Title, detail and end of every step that is not part of a lookup. */
function tell(step: Exclude<TraceStep, { step: "lookup" }>, net: Net): [string, string, WalkStep["end"]] {
  const device = (ifindex: IfIndex) => deviceName(net, ifindex);
  switch (step.step) {
    case "hook":
      return [hookTitle(step.hook, step.in, step.out, net), "", null];
    case "vrf_l3_rcv":
      return ["vrf_l3_rcv", `${device(step.device)} -> ${device(step.vrf)}`, null];
    case "vrf_l3_out":
      return [
        "vrf_l3_out",
        `${device(step.device)} by way of ${device(step.vrf)}${step.direct ? "" : " (redirected: it has a qdisc)"}`,
        null,
      ];
    case "vrf_xmit":
      return ["vrf_xmit", `${device(step.vrf)} sends: the VRF's table decides`, null];
    case "vrf_local_xmit":
      return ["vrf_local_xmit", `local to ${device(step.vrf)}: straight back in`, null];
    case "route": {
      const gateway = step.gateway === null ? "on link" : `via ${formatIp(step.gateway)}`;
      return ["route", `${gateway} dev ${device(step.device)} src ${formatIp(step.source)}`, null];
    }
    case "fib_validate_source":
      return [
        "fib_validate_source",
        step.error === 0 ? `${device(step.device)} ok` : `${device(step.device)} refused: ${nameOf(Errno, step.error)}`,
        null,
      ];
    case "ip_forward":
      return ["ip_forward", `ttl ${step.ttl} -> ${step.ttl - 1}`, null];
    case "ip6_forward":
      return ["ip6_forward", `hop limit ${step.hopLimit} -> ${step.hopLimit - 1}`, null];
    case "ip6_input":
    case "ip_local_deliver": {
      const sdif = step.sdif === 0 ? "" : ` (received by ${device(step.sdif)})`;
      return [step.step, `=> LOCAL: for a socket of this host, dev ${device(step.device)}${sdif}`, "local"];
    }
    case "neighbour":
      return [
        "neighbour",
        `${formatIp(step.nextHop)} dev ${device(step.device)} ${step.resolved ? "known" : "unknown: resolve first"}`,
        null,
      ];
    case "transmit":
      return ["=> SENT", device(step.device), "sent"];
    case "icmp_send":
      return ["=> ICMP ERROR", `${step.type}/${step.code} ${icmpErrorName(step.type, step.code)}`, "error"];
    case "send_error":
      return ["=> SEND FAILS", nameOf(Errno, step.error), "error"];
    case "icmpv6_send":
      return ["=> ICMPv6 ERROR", `${step.type}/${step.code}`, "error"];
    case "ip6_fragment":
    case "ip_fragment":
      return ["=> FRAGMENT", `${device(step.device)} mtu ${step.mtu}: the host cuts it`, "sent"];
    case "drop":
      return ["=> DROPPED", dropText(step.reason), "dropped"];
    case "link":
      return ["link", `program ${step.link}, attached`, null];
    case "nf_send_reset":
      return ["=> TCP RESET", "the host answers", "error"];
    case "nft_reject_netdev":
      return [
        "=> REJECTED",
        step.error === 0
          ? "a TCP reset answers the frame"
          : `ICMP ${step.error >>> 8}/${step.error & 0xff} answers the frame`,
        "error",
      ];
    case "rule":
    case "fib":
    case "suppress":
    case "result":
    case "nft_chain":
    case "nft_rule":
    case "nft_policy":
    case "nft_log":
    case "program":
    case "program_rule":
    case "program_log":
    case "program_end":
      return [step.step, "", null];
  }
}

/** `PREROUTING in=vethr1`, `tc ingress vethr1`: netfilter's five as the kernel's log spells them. */
function hookTitle(hook: Hook, input: IfIndex, output: IfIndex, net: Net): string {
  if (!NETFILTER_HOOKS.includes(hook)) return `${hook} ${deviceName(net, input === 0 ? output : input)}`;
  const devices = [
    input === 0 ? "" : ` in=${deviceName(net, input)}`,
    output === 0 ? "" : ` out=${deviceName(net, output)}`,
  ];
  return `${hook.toUpperCase()}${devices.join("")}`;
}
