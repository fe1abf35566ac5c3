/**
 * The kernel's selftests (tools/testing/selftests/net of Linux 6.1) said again as scenarios: the script's network and its
 * cases, each with the outcome that the script asserts, in one line of text.
 *
 *   SelfTest = { group, name, setup, asks }         a network and what is asked of it, in order
 *   Ask      = a ping | a look-up | a frame | an exchange over sockets       with `expect`, the outcome
 *
 *   outcome of a ping      reply from 10.0.0.1            | silence | 10.0.0.1: Time to live exceeded
 *                          connect: Network is unreachable
 *   outcome of a look-up   via 10.0.0.2 dev eth0 table 100 | unreachable table 100 | ENETUNREACH; with `fibmatch` the prefix first
 *   outcome of a frame     eth0: udp 10.0.0.1:1 > 10.0.0.2:2 ttl 63 length 8, ...  | nothing | refused ENETDOWN
 *   outcome of an exchange listening | bind: EADDRNOTAVAIL | refused | connect: ENETUNREACH | timeout
 *                          connected, heard from 172.16.1.2 by red
 *
 * One outcome is read from an answer in the same way, whoever gave the answer: the recorded kernel, or an engine.
 */
import { describeFrame } from "../../runtime/net/describe.ts";
import type {
  ClientAnswer,
  Exchange,
  ExchangeAnswer,
  Frame,
  FrameAnswer,
  PingAnswer,
  Query,
  RouteAnswer,
  Scenario,
} from "../../src/scenario.ts";

/** A set-up command that Linux refuses, with words of its refusal; it has no effect on what follows. */
export interface Refused {
  readonly command: string;
  readonly refused: string;
}
export type Command = string | Refused;

interface Asked {
  /** What the script calls the case. */
  readonly about: string;
  readonly expect: string;
}
export type PingAsk = Asked & { readonly ping: string };
export type QueryAsk = Asked & { readonly query: Query };
export type FrameAsk = Asked & { readonly frame: Frame };
export type ExchangeAsk = Asked & { readonly exchange: Exchange };
export type Ask = PingAsk | QueryAsk | FrameAsk | ExchangeAsk;

export interface SelfTest {
  /** The script's function. */
  readonly group: string;
  readonly name: string;
  readonly setup: readonly Command[];
  readonly asks: readonly Ask[];
}

/** A script's tests, or some of them; `script` is its path below tools/testing/selftests/net. */
export interface Script {
  readonly script: string;
  /** Which of its tests: where a script has several of these. */
  readonly part?: string;
  readonly tests: readonly SelfTest[];
}

export const ping = (about: string, command: string, expect: string): PingAsk => ({ about, ping: command, expect });
export const query = (about: string, asked: Query, expect: string): QueryAsk => ({ about, query: asked, expect });
export const frame = (about: string, sent: Frame, expect: string): FrameAsk => ({ about, frame: sent, expect });
export const exchange = (about: string, sockets: Exchange, expect: string): ExchangeAsk => ({
  about,
  exchange: sockets,
  expect,
});
export const refused = (command: string, words: string): Refused => ({ command, refused: words });

export const commandOf = (command: Command): string => (typeof command === "string" ? command : command.command);

/** `fib_rule_tests.sh: fib_rule4_test: oif` */
const titleOf = ({ script }: Script, { group, name }: SelfTest): string => `${script}: ${group}: ${name}`;

// ---- as a scenario --------------------------------------------------------------------------------------------------

/** Keys that only the recording of a kernel heeds. */
interface RecordedScenario extends Scenario {
  /** Seconds to wait after the set-up. */
  readonly settle?: number;
}

/** As a kernel is asked, refused commands and all. */
export function toScenario(script: Script, test: SelfTest): RecordedScenario {
  const setup = test.setup.map(commandOf);
  const netns = setup.flatMap((command) => /^ip netns add (\S+)$/.exec(command)?.[1] ?? []);
  const { pings, queries, frames, sockets } = questions(test);
  return {
    name: titleOf(script, test),
    setup,
    netns,
    ...(queries.length > 0 ? { queries } : {}),
    ...(pings.length > 0 ? { pings } : {}),
    ...(sockets.length > 0 ? { sockets } : {}),
    ...(frames.length > 0 ? { frames, ports: portsOf(setup) } : {}),
    ...(pings.length > 0 || frames.length > 0 ? { hooks_in: [".", ...netns] } : {}),
  };
}

/** Without the refused commands: what an engine is asked, which must have refused them before. */
export function withoutRefused(script: Script, test: SelfTest): Scenario {
  return toScenario(script, { ...test, setup: test.setup.filter((command) => typeof command === "string") });
}

const questions = ({ asks }: SelfTest) => ({
  pings: asks.flatMap((ask) => ("ping" in ask ? [ask.ping] : [])),
  queries: asks.flatMap((ask) => ("query" in ask ? [ask.query] : [])),
  frames: asks.flatMap((ask) => ("frame" in ask ? [ask.frame] : [])),
  sockets: asks.flatMap((ask) => ("exchange" in ask ? [ask.exchange] : [])),
});

/** The root namespace's ends of wires into other namespaces. */
const portsOf = (setup: readonly string[]): string[] =>
  setup.flatMap((command) => /^ip link add (\S+) type veth .* netns /.exec(command)?.[1] ?? []);

/** What was answered to each ask, in their order. */
export interface Answers {
  readonly answers?: readonly RouteAnswer[];
  readonly pings?: readonly PingAnswer[];
  readonly outputs?: readonly FrameAnswer[];
  readonly sockets?: readonly ExchangeAnswer[];
}

/** Pairs asks with their answers' outcomes. */
export function outcomes({ asks }: SelfTest, answers: Answers): string[] {
  const next = { ping: 0, query: 0, frame: 0, exchange: 0 };
  return asks.map((ask) => {
    if ("ping" in ask) return pingOutcome(answers.pings?.[next.ping++]);
    if ("exchange" in ask) return exchangeOutcome(answers.sockets?.[next.exchange++]);
    if ("query" in ask) return queryOutcome(ask.query, answers.answers?.[next.query++]);
    return frameOutcome(answers.outputs?.[next.frame++]);
  });
}

// ---- outcomes -------------------------------------------------------------------------------------------------------

const UNSUPPORTED = "unsupported: ";
export const isUnsupported = (outcome: string): boolean => outcome.startsWith(UNSUPPORTED);

function pingOutcome(answer: PingAnswer | undefined): string {
  if (answer === undefined) return "no answer";
  if (answer.unsupported !== undefined) return UNSUPPORTED + answer.unsupported;
  const { rc, out = "", err = "" } = answer;
  const reply = /^\d+ bytes from (\S+?):? /m.exec(out);
  if (rc === 0 && reply) return `reply from ${reply[1]}`;
  const error = /^From (\S+?):? icmp_seq=1 (.*)$/m.exec(out);
  if (rc === 1 && error) return `${error[1]}: ${error[2]}`;
  const complaint = /^ping: (?!Warning)(.*)$/m.exec(err);
  if (complaint) return complaint[1];
  return rc === 1 ? "silence" : `exit status ${rc}`;
}

function queryOutcome({ fibmatch }: Query, answer: RouteAnswer | undefined): string {
  if (answer === undefined) return "no answer";
  const { unsupported, error, type, dst, table, priority, prefsrc } = answer;
  if (unsupported !== undefined) return UNSUPPORTED + unsupported;
  if (error !== undefined) return error;
  const hops = (answer.nexthops ?? []) as readonly Hop[];
  const words = [
    type === "unicast" ? "" : type,
    fibmatch ? (dst ?? "default") : "",
    hopText(answer),
    ...hops.map((hop) => `nexthop ${hopText(hop)} weight ${hop.weight}`),
    `table ${table}`,
    priority === undefined ? "" : `metric ${priority}`,
    fibmatch && prefsrc !== undefined ? `src ${prefsrc}` : "",
  ];
  return words.filter((word) => word !== "").join(" ");
}

interface Hop {
  readonly dev?: string;
  readonly gateway?: string;
  readonly weight?: number;
}
const hopText = ({ gateway, dev }: Hop): string =>
  [gateway === undefined ? "" : `via ${gateway}`, dev === undefined ? "" : `dev ${dev}`].filter(Boolean).join(" ");

function frameOutcome(answer: FrameAnswer | undefined): string {
  if (answer === undefined) return "no answer";
  if (answer.unsupported !== undefined) return UNSUPPORTED + answer.unsupported;
  if (answer.refused !== undefined) return `refused ${answer.refused}`;
  const frames = (answer.frames ?? []).map(({ port, hex }) => `${port}: ${describeFrame(Buffer.from(hex, "hex"))}`);
  return frames.length === 0 ? "nothing" : frames.sort().join(", ");
}

function exchangeOutcome(answer: ExchangeAnswer | undefined): string {
  if (answer === undefined) return "no answer";
  const { unsupported, servers = [], client, heard = [] } = answer;
  if (unsupported !== undefined) return UNSUPPORTED + unsupported;
  const binds = servers.flatMap(({ error }) => (error === undefined ? [] : [`bind: ${error}`]));
  const came = client === undefined ? (binds.length > 0 ? [] : ["listening"]) : [clientOutcome(client)];
  const said = heard.map(({ from, device }) => `heard from ${from}${device === null ? "" : ` by ${device}`}`);
  return [...binds, ...came, ...said].join(", ");
}

function clientOutcome(client: ClientAnswer): string {
  if (client.outcome === "error") return `${client.call}: ${client.error}`;
  if (client.outcome === "icmp") return `ICMP ${client.type}/${client.code} from ${client.from}`;
  return client.outcome;
}
