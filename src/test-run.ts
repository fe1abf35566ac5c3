/** Runs the `test` blocks of a model: each on a lab of its own, on the engines asked for. */
import { deviceName } from "../dsl/iproute2.ts";
import type { Model, Net, PingCase, TestCase } from "../dsl/model.ts";
import { lineOf, type Span } from "../dsl/span.ts";
import type { LabPing } from "../runtime/lab/lab.ts";
import { IcmpType, Unreachable } from "../runtime/net/icmp.ts";
import { formatIp, type Ip, type Ipv4 } from "../runtime/net/ip.ts";
import { Errno, nameOf } from "../runtime/verdict.ts";
import type { EngineKind } from "./engines.ts";
import { openLab } from "./lab.ts";

export interface PingRun {
  /** As one would type it: `in ns0 ping 10.0.1.7`. */
  readonly command: string;
  readonly line: number;
  /** What came of it, in the words of an expectation: `reply ttl 63 from 10.0.1.7`. */
  readonly outcome: string;
  /** Null: as expected, or nothing was expected. */
  readonly failure: string | null;
  readonly ping: LabPing;
}

export interface TestRun {
  readonly name: string;
  readonly nets: readonly Net[];
  readonly pings: readonly PingRun[];
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
  const pings = test.pings.map((ping): PingRun => {
    const result = lab.ping(ping.net, pingOptions(ping));
    const outcome = outcomeWords(result);
    return {
      command: pingCommand(nets, ping),
      line: lineOfSpan(model, ping.span),
      outcome,
      failure: meets(ping.expect, result) ? null : `expected ${expectWords(ping.expect)}, got ${outcome}`,
      ping: result,
    };
  });
  return { name: test.name, nets, pings, passed: pings.every((p) => p.failure === null) };
}

const lineOfSpan = (model: Model, span: Span): number => lineOf(model.source, span.start);

const pingOptions = (ping: PingCase) => ({
  destination: ping.destination as Ipv4,
  device: ping.bindDevice,
  source: (ping.bindAddress ?? 0) as Ipv4,
  ttl: ping.ttl,
  mark: ping.mark,
});

export function pingCommand(nets: readonly Net[], ping: PingCase): string {
  const words = [`in ${nets[ping.net].name} ping ${formatIp(ping.destination)}`];
  if (ping.bindDevice !== 0) words.push(`-I ${deviceName(nets[ping.net], ping.bindDevice)}`);
  if (ping.bindAddress !== null) words.push(`-I ${formatIp(ping.bindAddress)}`);
  return words.join(" ");
}

/** What a ping got, in the words of the language's expectations. */
export function outcomeWords({ outcome }: Pick<LabPing, "outcome">): string {
  switch (outcome.kind) {
    case "reply":
      return `reply ttl ${outcome.ttl} from ${formatIp(outcome.from)}`;
    case "icmp":
      return `${icmpWords(outcome.type, outcome.code)} from ${formatIp(outcome.from)}`;
    case "error":
      return `error ${nameOf(Errno, outcome.errno)} (${outcome.call})`;
    case "unsupported":
      return `unsupported: ${outcome.why}`;
    case "nothing":
      return "nothing";
  }
}

const unreachableWords: Readonly<Record<number, "net" | "host" | "prohibited">> = {
  [Unreachable.NET]: "net",
  [Unreachable.HOST]: "host",
  [Unreachable.PKT_FILTERED]: "prohibited",
};

function icmpWords(type: number, code: number): string {
  if (type === IcmpType.DEST_UNREACH) return `unreachable ${unreachableWords[code] ?? `code ${code}`}`;
  return type === IcmpType.TIME_EXCEEDED ? "exceeded" : `icmp ${type}/${code}`;
}

type Expectation = NonNullable<PingCase["expect"]>;

/** Does the outcome fulfil the expectation? What the expectation leaves open matches anything. */
export function meets(expect: PingCase["expect"], { outcome }: Pick<LabPing, "outcome">): boolean {
  if (expect === null) return true;
  const from = (wanted: Ip | null) => wanted === null || ("from" in outcome && outcome.from === wanted);
  switch (expect.kind) {
    case "reply":
      return outcome.kind === "reply" && (expect.ttl === null || outcome.ttl === expect.ttl) && from(expect.from);
    case "unreachable":
      return (
        outcome.kind === "icmp" &&
        outcome.type === IcmpType.DEST_UNREACH &&
        (expect.what === null || unreachableWords[outcome.code] === expect.what) &&
        from(expect.from)
      );
    case "exceeded":
      return outcome.kind === "icmp" && outcome.type === IcmpType.TIME_EXCEEDED && from(expect.from);
    case "error":
      return outcome.kind === "error" && (expect.errno === null || nameOf(Errno, outcome.errno) === expect.errno);
    case "nothing":
      return outcome.kind === "nothing";
  }
}

function expectWords(expect: Expectation | null): string {
  if (expect === null) return "anything";
  const from = "from" in expect && expect.from !== null ? ` from ${formatIp(expect.from)}` : "";
  switch (expect.kind) {
    case "reply":
      return `reply${expect.ttl === null ? "" : ` ttl ${expect.ttl}`}${from}`;
    case "unreachable":
      return `unreachable${expect.what === null ? "" : ` ${expect.what}`}${from}`;
    case "error":
      return `error${expect.errno === null ? "" : ` ${expect.errno}`}`;
    default:
      return `${expect.kind}${from}`;
  }
}
