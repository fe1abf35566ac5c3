/**
 * Rules and tables, look-up by look-up, as the kernel consulted them in the six cases and relatives: which table, with
 * which flow, and what it gave; and each l3mdev rule tried. The recording is of the root namespace alone.
 *
 * Not compared, because it is not policy: look-ups made for ARP packets, and the one that arp_constructor makes when a
 * neighbour entry is created (a fib step without iif). Of rules the recording shows only those with l3mdev.
 */
import { describe, expect, test } from "vitest";
import type { Net } from "../../dsl/model.ts";
import type { LabEvent } from "../../runtime/host/events.ts";
import { formatIp } from "../../runtime/net/ip.ts";
import { openLab } from "../../src/lab.ts";
import { parsePingCommand } from "../../src/ping-command.ts";
import { scenarioModel } from "../../src/replay.ts";
import { ENGINES, type KernelStep, type KernelSteps, readScenarios, readSteps } from "./recordings.ts";

/** Case of the recording -> scenario of walks.json.gz with the same network. */
const scenarios = readScenarios("walks.json.gz");
const scenarioOf = ({ case: name }: KernelSteps) => {
  const title = { "7": "local: bound to the VRF", "8": "local: bound to the VRF" }[name[0]] ?? `case ${name[0]}:`;
  return scenarios.find((scenario) => scenario.name.startsWith(title));
};

describe.each(ENGINES)("%s", (engine) => {
  test.each(readSteps())("case $case: $cmd", async (recorded) => {
    const scenario = scenarioOf(recorded);
    if (scenario === undefined) throw new Error(`no network for case ${recorded.case}`);
    const { model, why } = scenarioModel(scenario);
    if (model === null) throw new Error(why);
    const lab = await openLab(model, engine);
    const command = parsePingCommand(recorded.cmd);
    if ("unsupported" in command) throw new Error(command.unsupported);
    const root = lab.netNamed("host");
    const { events, exitCode } = lab.ping(command.namespace === "." ? root : lab.netNamed(command.namespace), command);
    expect(exitCode).toBe(recorded.rc);
    expect(engineLines(events, root, model.nets[root])).toEqual(kernelLines(recorded.steps));
  });
});

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
