/**
 * Pings as the kernel recorded them, on every engine: exit status, every netfilter hook passed in every namespace, what ping
 * prints; and rules and tables, look-up by look-up.
 *
 *   walks.json.gz   the seed's six cases and six relatives
 *   steps.json.gz   the same cases: which table was consulted with which flow, what it gave, and each l3mdev rule tried
 *   pings.json.gz   sources, groups, unanswered neighbours, reject routes, rules for ICMP alone, rate limits, sockets and
 *                   l3mdev_accept, devices that are down
 */
import { describe, expect, test } from "vitest";
import type { Net } from "../../dsl/model.ts";
import type { LabEvent } from "../../runtime/host/events.ts";
import { formatIp } from "../../runtime/net/ip.ts";
import { openLab } from "../../src/lab.ts";
import { parsePingCommand } from "../../src/ping-command.ts";
import { Networks, replay } from "../../src/replay.ts";
import { compareAnswers, countLines } from "../../src/replay-compare.ts";
import type { Answer, PingAnswer, Scenario } from "../../src/scenario.ts";
import {
  COMPILE_TIMEOUT,
  ENGINES,
  type KernelStep,
  type KernelSteps,
  QUICK_ENGINES,
  readScenarios,
  readSteps,
} from "./recordings.ts";

const networks = new Networks();
const walks = readScenarios("walks.json.gz");
const pings = readScenarios("pings.json.gz");

describe.each(ENGINES)("the seed's cases: $name", (engine) => {
  test("20 of 20 pings, 20 of 20 hook walks, and what ping prints", { timeout: COMPILE_TIMEOUT }, async () => {
    const answers = await replay(walks, { ...engine, networks });
    const comparison = compareAnswers(walks, answers);
    expect(comparison.differences).toEqual([]);
    expect(countLines(comparison)).toEqual(["hooks of pings: 20 of 20", "pings: 20 of 20"]);
    expectSameOutput(walks, answers);
  });
});

// Traces are of the plan that is not inlined, at level 2 as well.
describe.each(QUICK_ENGINES)("the seed's cases, step by step: $name", (engine) => {
  test.each(readSteps())("rules and tables of case $case: $cmd", { timeout: COMPILE_TIMEOUT }, async (recorded) => {
    const { model, why } = networks.get(networkOf(recorded));
    if (model === null) throw new Error(why);
    const lab = await openLab(model, engine.engine, engine);
    const command = parsePingCommand(recorded.cmd);
    if ("unsupported" in command) throw new Error(command.unsupported);
    const root = lab.netNamed("host");
    const { events, exitCode } = lab.ping(command.namespace === "." ? root : lab.netNamed(command.namespace), command);
    expect(exitCode).toBe(recorded.rc);
    expect(engineLines(events, root, model.nets[root])).toEqual(kernelLines(recorded.steps));
  });
});

describe.each(QUICK_ENGINES)("further pings: $name", (engine) => {
  test("all that is supported is the kernel's, and what is not says so", { timeout: COMPILE_TIMEOUT }, async () => {
    const answers = await replay(pings, { ...engine, networks });
    const refused = answers.flatMap((a) =>
      (a.pings ?? []).flatMap(({ cmd, unsupported }) => (unsupported === undefined ? [] : [cmd])),
    );
    expect(refused).toEqual(UNSUPPORTED);
    const { differences } = compareAnswers(pings, answers);
    expect(differences.filter(({ asked }) => !UNSUPPORTED.includes(asked as string) && asked !== BACKLOG)).toEqual([]);
    expectSameOutput(pings, answers);
  });
});

/** Groups (one packet becomes several), values that ping itself refuses, and a deadline. */
const UNSUPPORTED: readonly string[] = [
  "ip netns exec ns0 ping -b -c1 -W1 10.0.0.255",
  "ip netns exec ns0 ping -c1 -W1 -I veth1 224.0.0.1",
  "ip netns exec ns0 ping -b -c1 -W1 10.0.0.255",
  "ip netns exec ns0 ping -c1 -W1 -t 0 10.0.1.7",
  "ip netns exec ns0 ping -c1 -W1 -t 256 10.0.1.7",
  "ip netns exec ns0 ping -n -c1 -w2 10.0.1.99",
];

/**
 * Three packets fail at once because their neighbour does not answer, and each error goes to this host itself. The kernel
 * queues what is looped back (netif_rx) and receives it after all three are sent; an engine follows each to its end first.
 */
const BACKLOG = "ping -c3 -W1 -I vrf 10.0.0.97";

/** Holds standard output and error against the kernel's, but for times and for what `-q` leaves out. */
function expectSameOutput(scenarios: readonly Scenario[], answers: readonly Answer[]): void {
  const said = (list: readonly PingAnswer[]) =>
    list.map(({ cmd, out = "", err }) => ({ cmd, out: withoutTimes(out), err }));
  for (const [i, { name, expect: wanted }] of scenarios.entries()) {
    const got = answers[i].pings ?? [];
    const isComparable = ({ cmd }: PingAnswer) =>
      !cmd.includes(" -q") && got.find((p) => p.cmd === cmd)?.unsupported === undefined;
    expect(said(got.filter(isComparable)), name).toEqual(said((wanted?.pings ?? []).filter(isComparable)));
  }
}
const withoutTimes = (out: string): string => out.replace(/time[ =][\d.]+ ?ms/g, "time").replace(/^rtt .*$/m, "rtt");

// ---- steps --------------------------------------------------------------------------------------------------------
// The recording is of the root namespace alone, and of rules it shows only those with l3mdev. Not compared, because it is not
// policy: look-ups made for ARP packets, and the one that arp_constructor makes when a neighbour entry is created (a fib
// step without iif).

/** The scenario of walks.json.gz with the same network. */
function networkOf({ case: name }: KernelSteps): Scenario {
  const title = { "7": "local: bound to the VRF", "8": "local: bound to the VRF" }[name[0]] ?? `case ${name[0]}:`;
  const scenario = walks.find((walk) => walk.name.startsWith(title));
  if (scenario === undefined) throw new Error(`no network for case ${name}`);
  return scenario;
}

const fibLine = (table: number, oif: string | null, iif: string, src: string, dst: string, gave: string): string =>
  `  table ${table}: iif ${iif} oif ${oif} ${src} > ${dst}: ${gave}`;
const ruleLine = (matched: boolean): string => `  l3mdev rule: ${matched ? "matched" : "no match"}`;

function engineLines(events: readonly LabEvent[], root: number, net: Net): string[] {
  const name = (ifindex: number) =>
    ifindex === 0 ? null : (net.devices.find((d) => d.ifindex === ifindex)?.name ?? "?");
  const lines: string[] = [];
  for (const event of events) {
    if (event.kind !== "packet" || event.net !== root) continue;
    let flow = null;
    for (const step of event.trace) {
      if (step.step === "lookup") {
        flow = step.flow;
        lines.push("lookup");
      } else if (step.step === "rule" && net.rules[step.rule].l3mdev) lines.push(ruleLine(step.matched));
      else if (step.step === "fib" && flow !== null) {
        const device = step.route === null ? null : name(net.routes[step.route].nexthops[0]?.device ?? 0);
        const gave = step.error === 0 ? `dev ${device}` : `error ${-step.error}`;
        lines.push(
          fibLine(
            step.table,
            name(flow.oif),
            name(flow.iif) ?? "none",
            formatIp(flow.saddr),
            formatIp(flow.daddr),
            gave,
          ),
        );
      }
    }
  }
  return lines;
}

const LOOKUP_STEPS = new Set(["l3mdev_update_flow", "validate_source"]);

function kernelLines(steps: readonly KernelStep[]): string[] {
  const lines: string[] = [];
  /** The device that a frame has just come in by, until ip_rcv says that it is an IP packet. */
  let arrived: string | null = null;
  let isArp = false;
  for (const step of steps) {
    if (step.hook === "nf_ingress") arrived = step.in ?? null;
    if (step.fn === "ip_rcv") arrived = null;
    if (step.fn === "l3mdev_update_flow") {
      isArp ||= arrived !== null && step.iif === arrived;
      if (!isArp) lines.push("lookup");
    } else if (step.rule !== undefined) {
      if (!isArp) lines.push(ruleLine(step.match === true));
    } else if (step.fib !== undefined) {
      const gave = step.err === 0 ? `dev ${step.dev}` : `error ${step.err}`;
      if (!isArp && step.iif)
        lines.push(fibLine(step.fib, step.oif ?? null, step.iif, step.src ?? "", step.dst ?? "", gave));
    } else if (!LOOKUP_STEPS.has(step.fn ?? "")) isArp = false;
  }
  return lines;
}
