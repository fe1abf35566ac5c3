/** Runs the `test` blocks of a model: each on a lab of its own, on the engines asked for. */
import { deviceName, words } from "../dsl/iproute2.ts";
import type { ConnectCase, DropPlace, Expectation, Model, Net, PingCase, TestCase, TestStep } from "../dsl/model.ts";
import { lineOf } from "../dsl/span.ts";
import type { LabEvent } from "../runtime/host/events.ts";
import type { PingOutcome } from "../runtime/host/ping-run.ts";
import type { ConnectOptions, ConnectOutcome } from "../runtime/host/sockets/client.ts";
import type { Lab } from "../runtime/lab/lab.ts";
import { IcmpType, Unreachable } from "../runtime/net/icmp.ts";
import { Icmp6Type, Unreachable6 } from "../runtime/net/icmp6.ts";
import { familyOf, formatEndpoint, formatIp, type Ip } from "../runtime/net/ip.ts";
import type { RuleDecision, TraceStep } from "../runtime/trace.ts";
import { Errno, nameOf } from "../runtime/verdict.ts";
import type { EngineKind } from "./engines.ts";
import { openLab } from "./lab.ts";

export interface StepRun {
  readonly kind: TestStep["kind"];
  /** As one would type it: `in ns0 ping 10.0.1.7`. */
  readonly command: string;
  readonly line: number;
  /** What came of it, in the words of an expectation: `reply ttl 63 from 10.0.1.7`. */
  readonly outcome: string;
  /** Null: as expected, or nothing was expected. */
  readonly failure: string | null;
  /** What happened meanwhile. */
  readonly events: readonly LabEvent[];
}

export interface TestRun {
  readonly name: string;
  readonly nets: readonly Net[];
  readonly steps: readonly StepRun[];
  readonly passed: boolean;
}

export async function runTests(model: Model, kind: EngineKind): Promise<TestRun[]> {
  const runs: TestRun[] = [];
  for (const test of model.tests) runs.push(await runTest(model, test, kind));
  return runs;
}

async function runTest(model: Model, test: TestCase, kind: EngineKind): Promise<TestRun> {
  const nets = test.nets ?? model.nets;
  const lab = await openLab(test.nets === null ? model : { ...model, nets }, kind);
  const steps = test.steps.map((step): StepRun => {
    const { outcome, met, events } = runStep(lab, step);
    const came = outcomeWords({ outcome });
    const drops = step.expect?.kind === "drop" ? `, ${dropWords(nets, events)}` : "";
    return {
      kind: step.kind,
      command: stepCommand(nets, step),
      line: lineOf(model.source, step.span.start),
      outcome: came,
      failure: met ? null : `expected ${expectWords(step)}, got ${came}${drops}`,
      events,
    };
  });
  return { name: test.name, nets, steps, passed: steps.every(({ failure }) => failure === null) };
}

type Outcome = PingOutcome | ConnectOutcome | { readonly kind: "listening" };
interface StepResult {
  readonly outcome: Outcome;
  readonly met: boolean;
  readonly events: readonly LabEvent[];
}

function runStep(lab: Lab, step: TestStep): StepResult {
  if (step.kind === "listen") {
    const outcome = lab.listen(step.net, { ...step, device: step.bindDevice }) ?? { kind: "listening" };
    const met = step.expect === null ? outcome.kind === "listening" : meets(step.expect, { outcome, events: [] });
    return { outcome, met, events: [] };
  }
  const { outcome, events } =
    step.kind === "ping" ? lab.ping(step.net, pingOptions(step)) : lab.connect(step.net, connectOptions(step));
  return { outcome, met: meets(step.expect, { outcome, events }), events };
}

const pingOptions = (ping: PingCase) => ({
  destination: ping.destination,
  device: ping.bindDevice,
  source: ping.bindAddress ?? undefined,
  ttl: ping.ttl,
  mark: ping.mark,
});

const connectOptions = ({ bindDevice, bindAddress, ...connect }: ConnectCase): ConnectOptions => ({
  ...connect,
  device: bindDevice,
  source: bindAddress ?? undefined,
});

function stepCommand(nets: readonly Net[], step: TestStep): string {
  const net = nets[step.net];
  const device = step.bindDevice !== 0 && `-I ${deviceName(net, step.bindDevice)}`;
  const address = "bindAddress" in step && step.bindAddress !== null && formatIp(step.bindAddress);
  if (step.kind === "ping")
    return words([`in ${net.name} ping ${formatIp(step.destination)}`, device, address && `-I ${address}`]);
  const what = `${step.kind} ${step.transport} ${formatEndpoint(step.address, step.port)}`;
  return words([`in ${net.name} ${what}`, device, address && `from ${address}`]);
}

/** What a step got, in the words of the language's expectations. */
export function outcomeWords({ outcome }: { readonly outcome: Outcome }): string {
  switch (outcome.kind) {
    case "reply":
      return `reply ttl ${outcome.ttl} from ${formatIp(outcome.from)}`;
    case "icmp":
      return `${icmpWords(outcome)} from ${formatIp(outcome.from)}`;
    case "error":
      return `error ${nameOf(Errno, outcome.errno)} (${outcome.call})`;
    case "unsupported":
      return `unsupported: ${outcome.why}`;
    default:
      return outcome.kind;
  }
}

type UnreachableWord = Exclude<(Expectation & { kind: "unreachable" })["what"], null>;
type IcmpOutcome = Extract<Outcome, { readonly kind: "icmp" }>;

/** How the families number what expectations name. */
const FAMILIES: Readonly<
  Record<4 | 6, { unreachable: number; exceeded: number; words: Record<number, UnreachableWord> }>
> = {
  4: {
    unreachable: IcmpType.DEST_UNREACH,
    exceeded: IcmpType.TIME_EXCEEDED,
    words: { [Unreachable.NET]: "net", [Unreachable.HOST]: "host", [Unreachable.PKT_FILTERED]: "prohibited" },
  },
  6: {
    unreachable: Icmp6Type.DEST_UNREACH,
    exceeded: Icmp6Type.TIME_EXCEED,
    words: {
      [Unreachable6.NOROUTE]: "net",
      [Unreachable6.ADDR_UNREACH]: "host",
      [Unreachable6.ADM_PROHIBITED]: "prohibited",
    },
  },
};
const numbersOf = ({ from }: IcmpOutcome) => FAMILIES[familyOf(from)];

function icmpWords(outcome: IcmpOutcome): string {
  const { unreachable, exceeded, words: names } = numbersOf(outcome);
  const { type, code } = outcome;
  if (type === unreachable) return `unreachable ${names[code] ?? `code ${code}`}`;
  return type === exceeded ? "exceeded" : `icmp${familyOf(outcome.from) === 6 ? "6" : ""} ${type}/${code}`;
}

/** Does what came of a step fulfil the expectation? What the expectation leaves open matches anything. */
function meets(expect: Expectation | null, { outcome, events }: Pick<StepResult, "outcome" | "events">): boolean {
  if (expect === null) return true;
  const from = (wanted: Ip | null) => wanted === null || ("from" in outcome && outcome.from === wanted);
  switch (expect.kind) {
    case "reply":
      return outcome.kind === "reply" && (expect.ttl === null || outcome.ttl === expect.ttl) && from(expect.from);
    case "unreachable":
      return (
        outcome.kind === "icmp" &&
        outcome.type === numbersOf(outcome).unreachable &&
        (expect.what === null || numbersOf(outcome).words[outcome.code] === expect.what) &&
        from(expect.from)
      );
    case "exceeded":
      return outcome.kind === "icmp" && outcome.type === numbersOf(outcome).exceeded && from(expect.from);
    case "error":
      return outcome.kind === "error" && (expect.errno === null || nameOf(Errno, outcome.errno) === expect.errno);
    case "drop":
      return dropsIn(events).some((drop) => expect.places.some((place) => isAt(drop, place)));
    default:
      return outcome.kind === expect.kind;
  }
}

function expectWords({ kind, expect }: TestStep): string {
  if (expect === null) return kind === "listen" ? "to listen" : "anything";
  const from = "from" in expect && expect.from !== null ? ` from ${formatIp(expect.from)}` : "";
  switch (expect.kind) {
    case "reply":
      return `reply${expect.ttl === null ? "" : ` ttl ${expect.ttl}`}${from}`;
    case "unreachable":
      return `unreachable${expect.what === null ? "" : ` ${expect.what}`}${from}`;
    case "error":
      return `error${expect.errno === null ? "" : ` ${expect.errno}`}`;
    case "drop": {
      const rule = expect.rule === null ? "" : ` rule ${expect.rule}`;
      return `drop by ${expect.by}${rule}${expect.namespace === null ? "" : ` in ${expect.namespace}`}`;
    }
    default:
      return `${expect.kind}${from}`;
  }
}

// ---- drops by rules

const DROPS: ReadonlySet<RuleDecision> = new Set<RuleDecision>(["drop", "reject", "DROP", "SHOT", "ABORTED"]);

/** Where rules, or policies (rule null), ended packets. */
const dropsIn = (events: readonly LabEvent[]): DropPlace[] =>
  events.flatMap((event) => (event.kind === "packet" ? event.trace.flatMap((step) => dropIn(event.net, step)) : []));

function dropIn(net: number, step: TraceStep): DropPlace[] {
  switch (step.step) {
    case "nft_rule":
      return DROPS.has(step.decision) ? [{ net, list: "chain", id: step.chain, rule: step.rule }] : [];
    case "nft_policy":
      return DROPS.has(step.policy) ? [{ net, list: "chain", id: step.chain, rule: null }] : [];
    case "program_rule":
      return DROPS.has(step.decision) ? [{ net, list: "program", id: step.program, rule: step.rule }] : [];
    case "program_end":
      return DROPS.has(step.decision) ? [{ net, list: "program", id: step.program, rule: null }] : [];
    default:
      return [];
  }
}

const isAt = (drop: DropPlace, place: DropPlace): boolean =>
  drop.net === place.net &&
  drop.list === place.list &&
  drop.id === place.id &&
  (place.rule === null || drop.rule === place.rule);

/** What dropped packets instead. */
function dropWords(nets: readonly Net[], events: readonly LabEvent[]): string {
  const places = dropsIn(events).map(({ net, list, id, rule }) => {
    const { name, netfilter } = nets[net];
    const by = list === "chain" ? netfilter.chains[id].name : netfilter.programs[id].name;
    return `${by}${rule === null ? "" : ` rule ${rule + 1}`} in ${name}`;
  });
  return places.length === 0 ? "no rule dropped anything" : `dropped by ${[...new Set(places)].join(", ")}`;
}
