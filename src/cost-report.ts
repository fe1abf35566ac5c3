/**
 * What packets cost at the most and what else is promised of them, before anything is compiled: `vrfc check --cost`.
 *
 *   namespace host: at most 9120 instructions a packet and pass
 *     forwarded: IPv4 4811 (by the short way 480), IPv6 5920
 *     further passes: at most 2806, of 4400 each
 *     forward, IPv4: 411
 *       chain edge: 310
 *     xdp of eth0: 120
 *       program scrub: 120
 *
 *   for packets of at most 2048 bytes, with the routes, neighbours and elements of the text
 *   every packet: 812 procs call one another without a circle, 61 loops have a bound
 *   ...
 */
import type { Model, Net } from "../dsl/model.ts";
import type { CostManifest, PointCost } from "../runtime/manifest.ts";
import { costsOf, MOST_COST } from "./cost.ts";
import { buildFib } from "./fib/build.ts";
import { layout } from "./layout.ts";
import { LONGEST_PACKET } from "./limits.ts";
import { buildPlan } from "./plan/build/index.ts";
import type { Plan } from "./plan/ir.ts";
import { withoutTrace } from "./plan/optimize.ts";
import { validatePlan } from "./plan/validate.ts";
import { allExpressions, allSteps } from "./plan/visit.ts";

export function costReport(model: Model): string {
  const fibs = buildFib(model);
  const image = layout(model, fibs);
  const plan = withoutTrace(buildPlan(model, image, { fast: true }));
  const costs = costsOf(model, image, fibs, plan);
  return [...model.nets.map((net, index) => ofNet(net, costs[index])), promises(plan)].join("\n");
}

const say = (cost: number): string => (cost === MOST_COST ? "2^53 or more" : `${cost}`);

function ofNet(net: Net, cost: CostManifest): string {
  const { pass, again, copy, passes, forwarded4, forwarded6, shortWay, points } = cost;
  const short = shortWay === null ? "" : ` (by the short way ${say(shortWay)})`;
  const lines = [
    `namespace ${net.name}: at most ${say(pass)} instructions a packet and pass`,
    `  forwarded: IPv4 ${say(forwarded4)}${short}, IPv6 ${say(forwarded6)}`,
    `  further passes: at most ${passes}, of ${say(again)} each`,
    ...(copy === null ? [] : [`  copies: of ${say(copy)} each`]),
    ...points.flatMap((point) => ofPoint(net, point)),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function ofPoint(net: Net, { hook, family, device, instructions, attached }: PointCost): string[] {
  const what = net.netfilter.programs.some((program) => program.hook === hook) ? "program" : "chain";
  const name = net.devices.find(({ ifindex }) => ifindex === device)?.name;
  const whose = family !== null ? `, IPv${family}` : ` of ${name ?? device}`;
  return [
    `  ${hook}${whose}: ${say(instructions)}`,
    ...attached.map((one) => `    ${what} ${one.name}: ${say(one.instructions)}`),
  ];
}

/** What validatePlan has found to hold of every packet, and of how much. */
function promises(plan: Plan): string {
  const violations = validatePlan(plan);
  if (violations.length > 0) throw new Error(`internal error: the plan is not valid\n${violations.join("\n")}`);
  const steps = plan.procs.flatMap(({ body }) => allSteps(body));
  const loops = steps.filter(({ kind }) => kind === "repeat").length;
  const reads = plan.procs.flatMap(({ body }) => allExpressions(body)).filter(({ kind }) => kind === "packet").length;
  const writes = steps.filter(({ kind }) => kind === "put").length;
  return [
    `for packets of at most ${LONGEST_PACKET} bytes, with the routes, neighbours and elements of the text`,
    `bounded: ${plan.procs.length} procs call each other without a circle, branches lead forward, each of ${loops} loops counts down`,
    `in bounds: ${reads} reads and ${writes} writes of packets, each behind a test that the bytes are there`,
    "initialised: no register is read before it is set",
    "known hooks: rules and programs read only what there is at their hooks",
    "",
  ].join("\n");
}
