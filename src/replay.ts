/**
 * `vrfc replay`: answers scenarios in the form in which the kernel's answers are recorded (src/scenario.ts), with an
 * engine of this project in the kernel's place.
 *
 *   setup --import, check--> Model --openLab--> Lab --ping--> exit status, output, netfilter hooks of every namespace
 *                                                   --frame-> frames out of every port, hooks; in the end the counters
 *                                                   --exchange--> what a client came to, what servers heard
 *                                    --openEngines--> Engine --query--> the route that `ip route get` shows
 *
 * What cannot be answered exactly is answered `{"unsupported": "why"}`, never guessed.
 */
import { check } from "../dsl/check.ts";
import type { KernelProfile, Model } from "../dsl/model.ts";
import { SECOND } from "../runtime/host/events.ts";
import { hookWalk } from "../runtime/lab/hook-walk.ts";
import type { Lab } from "../runtime/lab/lab.ts";
import { type EngineSource, openEngines } from "./engines.ts";
import { importForReplay } from "./import/replay.ts";
import { ROOT } from "./import/state.ts";
import { openLab } from "./lab.ts";
import { reportEffects } from "./listener-reports.ts";
import { parsePingCommand } from "./ping-command.ts";
import { answerFrame } from "./replay-frames.ts";
import { type Times, timesOf } from "./replay-pace.ts";
import { RouteGetter } from "./replay-routes.ts";
import { answerExchange } from "./replay-sockets.ts";
import type {
  Answer,
  Counters,
  CounterValue,
  Exchange,
  ExchangeAnswer,
  HookAnswer,
  PingAnswer,
  Query,
  RouteAnswer,
  Scenario,
} from "./scenario.ts";

export interface ReplayOptions {
  readonly engine: EngineSource;
  /** "6.1" by default, which recordings are of. */
  readonly kernel?: KernelProfile;
  /** Optimisation level of the compiled engine. */
  readonly level?: 0 | 1 | 2;
  /** To share with other replays; by default scenarios of one call with the same set-up share their network. */
  readonly networks?: Networks;
}

/** @returns one answer a scenario, in their order; never rejects because of what a scenario says */
export async function replay(scenarios: readonly Scenario[], options: ReplayOptions): Promise<Answer[]> {
  const answers: Answer[] = [];
  const networks = options.networks ?? new Networks();
  for (const scenario of scenarios) answers.push(await answer(scenario, { networks, ...options }));
  return answers;
}

async function answer(scenario: Scenario, options: ReplayOptions & { networks: Networks }): Promise<Answer> {
  const { queries, frames, pings, sockets } = scenario;
  const { model, why } = options.networks.get(scenario, options.kernel);
  if (model === null) return unanswered(scenario, why);
  const answers = queries && (await answerQueries(model, options, queries));
  const sent = frames && (await answerFrames(scenario, model, options));
  const logged = new Set(scenario.hooks_in ?? []);
  const pinged = pings && (await openAnd(model, options, (lab) => pings.map((cmd) => answerPing(lab, cmd, logged))));
  const exchanged = sockets && (await answerExchanges(model, options, sockets));
  return {
    name: scenario.name,
    ...(answers && { answers }),
    ...sent,
    ...(pinged && { pings: pinged }),
    ...(exchanged && { sockets: exchanged }),
  };
}

async function answerFrames(scenario: Scenario, model: Model, options: ReplayOptions): Promise<Answer> {
  const { frames = [], nft, expect } = scenario;
  const sendAt = (times: Times, by: ReplayOptions) =>
    openAnd(model, by, (lab) => ({
      outputs: frames.map((frame, i) => answerFrame(lab, model, frame, scenario, times[i])),
      ...(nft && answerCounters(model, lab, Object.keys(nft), expect)),
    }));
  // Whatever engine is asked: of one recording all of them are asked at the same times.
  const times = await timesOf(scenario, (tried) => sendAt(tried, { engine: "reference" }));
  return sendAt(times, options);
}

/** Seconds until `nft list ruleset` reads the counters, in a recording that does not say when. */
const LISTING = 0.1;

function answerCounters(
  model: Model,
  lab: Lab,
  namespaces: readonly string[],
  { counters: expected, counted_at: at = lab.now + LISTING * SECOND }: Answer = {},
) {
  lab.idle(Math.max(0, at - lab.now) / SECOND);
  const read = () => countersOf(model, lab, namespaces);
  const counters = read();
  const isRecorded = expected === undefined || JSON.stringify(expected) === JSON.stringify(counters);
  return { counters, ...(isRecorded ? {} : { reports: reportEffects(lab, model, read) }) };
}

/** The counters of rules as `nft list ruleset` has them, in the order of the text; named ones are listed elsewhere. */
function countersOf(model: Model, lab: Lab, namespaces: readonly string[]): Counters {
  const read = (namespace: string): CounterValue[] => {
    const net = model.nets[lab.netNamed(namespace === "." ? ROOT : namespace)];
    const counted = lab.hosts[net.index].readCounters();
    return net.netfilter.counters
      .filter(({ name }) => name === null)
      .map(({ id }) => [Number(counted[id].packets), Number(counted[id].bytes)]);
  };
  return Object.fromEntries(namespaces.map((namespace) => [namespace, read(namespace)]));
}

/** Each kind of question has a lab of its own. */
async function openAnd<T>(model: Model, { engine, level }: ReplayOptions, ask: (lab: Lab) => T): Promise<T> {
  return ask(await openLab(model, engine, { rest: 0, ...(level === undefined ? {} : { level }) }));
}

/** A lab for each exchange: that is how its sockets are closed. */
async function answerExchanges(model: Model, options: ReplayOptions, exchanges: readonly Exchange[]) {
  const answers: ExchangeAnswer[] = [];
  for (const exchange of exchanges) answers.push(await openAnd(model, options, (lab) => answerExchange(lab, exchange)));
  return answers;
}

/** What set-up commands make. The root namespace is called "host". A model of null comes with the reason. */
export interface Network {
  readonly model: Model | null;
  readonly why: string;
}

/** Networks by their set-up, so that each is imported, checked and compiled once. */
export class Networks {
  readonly #networks = new Map<string, Network>();

  get(scenario: Scenario, kernel: KernelProfile = "6.1"): Network {
    const key = JSON.stringify([kernel, scenario.setup, scenario.nft]);
    const network = this.#networks.get(key) ?? makeNetwork(scenario, kernel);
    this.#networks.set(key, network);
    return network;
  }
}

function makeNetwork({ name, setup = [], nft = {} }: Scenario, kernel: KernelProfile): Network {
  const { ast, source, leftOut } = importForReplay(setup, [], name, nft);
  if (leftOut.length > 0) return { model: null, why: `${leftOut[0].command}: ${leftOut[0].why}` };
  const checked = check(ast, source, { kernel });
  const error = checked.diagnostics.find((diagnostic) => diagnostic.severity === "error");
  return { model: checked.model, why: error?.message ?? "" };
}

/** Look-ups need an engine, but no host around it. */
async function answerQueries(
  model: Model,
  { engine: kind, level }: ReplayOptions,
  queries: readonly Query[],
): Promise<RouteAnswer[]> {
  const root = model.nets.find((net) => net.name === ROOT);
  if (root === undefined) return queries.map(() => ({ unsupported: "no root namespace" }));
  const engines = await openEngines(model, kind, level);
  const getter = new RouteGetter(root, engines[root.index]);
  return queries.map((query) => getter.answer(query));
}

const unanswered = ({ name, queries, frames, pings, sockets }: Scenario, why: string): Answer => ({
  name,
  ...(queries && { answers: queries.map(() => ({ unsupported: why })) }),
  ...(frames && { outputs: frames.map(() => ({ unsupported: why })) }),
  ...(pings && { pings: pings.map((cmd) => ({ cmd, unsupported: why })) }),
  ...(sockets && { sockets: sockets.map(() => ({ unsupported: why })) }),
});

function answerPing(lab: Lab, cmd: string, logged: ReadonlySet<string>): PingAnswer {
  const command = parsePingCommand(cmd);
  if ("unsupported" in command) return { cmd, unsupported: command.unsupported };
  const net = lab.netNamed(command.namespace === "." ? ROOT : command.namespace);
  if (net < 0) return { cmd, unsupported: `no namespace ${command.namespace}` };
  const ping = lab.ping(net, command);
  if (ping.outcome.kind === "unsupported") return { cmd, unsupported: ping.outcome.why };
  const hooks: HookAnswer[] = hookWalk(ping.events, lab.nets)
    .map((hook) => ({ ...hook, ns: hook.ns === ROOT ? "." : hook.ns }))
    .filter((hook) => logged.has(hook.ns));
  return { cmd, rc: ping.exitCode, out: ping.stdout, err: ping.stderr, hooks };
}
