/**
 * Base chains and programs as modules of their own: a network whose last ones are attached, the others compiled in, does what the
 * reference does with all of them in its text, to verdicts, packets, traces and counters; on a module of one thread, and of three in turn.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Chain, Netfilter, Program } from "../../dsl/chain-model.ts";
import type { Model } from "../../dsl/model.ts";
import { type Dataplane, join, load } from "../../runtime/dataplane.ts";
import type { Engine, RuleCounter } from "../../runtime/engine.ts";
import type { Link } from "../../runtime/links/links.ts";
import { loadProgram } from "../../runtime/links/manifest.ts";
import { Entry } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { copiesFrames, leadsTo, reached, stepsOf, writesBytes } from "../../src/netfilter/reach.ts";
import { type CompiledProgram, compileProgram, type ProgramOptions } from "../../src/program.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { fill, judged, SLOT_SIZE } from "../compiled/agree.ts";
import { attachedPlanEngine } from "../compiled/plan-engine.ts";
import { anyChainPacket } from "../compiled/random-chain-packets.ts";
import { anyChains, anyPrograms, readChains } from "../compiled/random-chains.ts";
import { anyModel } from "../compiled/random-model.ts";

const SEED = Number(process.env.FC_SEED ?? 23);
const RUNS = Number(process.env.FC_RUNS ?? 4);

type List = Chain | Program;
const isChain = (list: List): list is Chain => "base" in list;
const stepsBehind = (netfilter: Netfilter, list: List) =>
  stepsOf([list, ...reached(netfilter, leadsTo(netfilter, list.rules))]);

/** What cannot stand alone here: copies, unless the rest copies too, and bytes written where copies are put back. */
function standsAlone(netfilter: Netfilter, list: List): boolean {
  const steps = stepsBehind(netfilter, list);
  const writes = isChain(list) && list.base?.hook === "postrouting" && steps.some(writesBytes);
  return !writes && !steps.some(({ kind }) => kind === "dup");
}

/** The last base chains of the text: those attached later come before their equals, as those do that stand later in a text. */
function lastChains(netfilter: Netfilter): Chain[] {
  const base = netfilter.chains.filter((chain) => chain.base !== null);
  const last = base.findLastIndex((chain) => !standsAlone(netfilter, chain));
  return base.slice(Math.max(last + 1, Math.floor(base.length / 3)));
}

/** A token bucket that two modules have is two buckets. */
function sharesLimits(netfilter: Netfilter, attached: readonly List[]): boolean {
  const limitsOf = (lists: readonly List[]) =>
    new Set(
      lists.flatMap((list) => stepsBehind(netfilter, list).flatMap((s) => (s.kind === "limit" ? [s.limit] : []))),
    );
  const lists: readonly List[] = [...netfilter.chains.filter(({ base }) => base !== null), ...netfilter.programs];
  const modules = [...attached.map((list) => [list]), lists.filter((list) => !attached.includes(list))];
  const all = modules.flatMap((one) => [...limitsOf(one)]);
  return new Set(all).size !== all.length;
}

const anyCase = fc
  .tuple(anyModel(), anyPrograms, anyChains)
  .map(([model, programs, chains]) => {
    const netfilter = readChains(`${programs}\n${chains}`);
    const attached = [...netfilter.programs, ...lastChains(netfilter)];
    return { model: withChains(model, netfilter), attached };
  })
  .filter(({ model, attached }) => {
    const { netfilter } = model.nets[0];
    return attached.some(isChain) && !sharesLimits(netfilter, attached);
  });

const withChains = (model: Model, netfilter: Netfilter): Model => ({
  ...model,
  nets: model.nets.map((net) => ({ ...net, netfilter })),
});

function without(model: Model, attached: readonly List[]): Model {
  const { netfilter } = model.nets[0];
  const ids = new Set(attached.filter(isChain).map(({ id }) => id));
  const hooks = netfilter.hooks.map((hook) => ({ ...hook, chains: hook.chains.filter((id) => !ids.has(id)) }));
  return withChains(model, { ...netfilter, hooks, programs: [] });
}

/** Compiles each and attaches it, in the order of the text. */
async function attachAll(
  dataplane: Dataplane,
  model: Model,
  attached: readonly List[],
  options: ProgramOptions,
): Promise<[CompiledProgram[], Link[]]> {
  const { tables } = model.nets[0].netfilter;
  const programs: CompiledProgram[] = [];
  for (const list of attached) {
    const name = isChain(list) ? `${tables[list.table].name} ${list.name}` : list.name;
    programs.push(await compileProgram(model, name, options));
  }
  const loaded = await Promise.all(programs.map(({ artifact }) => loadProgram(artifact)));
  return [programs, loaded.map((program) => dataplane.attach(program.manifest.hook, program))];
}

interface EngineAt {
  engineAt(round: number): Engine;
  /** Who tells what all threads have counted; absent: the engine does. */
  readonly total?: Engine;
  linked(): RuleCounter[][];
}

/** Each module has counted some of the packets. */
function sum(initial: readonly RuleCounter[], counted: readonly (readonly RuleCounter[])[]): RuleCounter[] {
  const all = (id: number, of: keyof RuleCounter) =>
    counted.reduce((total, one) => total + one[id][of] - initial[id][of], initial[id][of]);
  return initial.map((_, id) => ({ packets: all(id, "packets"), bytes: all(id, "bytes") }));
}

describe("random chains and programs, attached", () => {
  const drawn = fc.sample(anyCase, { seed: SEED, numRuns: RUNS });
  const [batches] = fc.sample(
    fc.array(fc.array(anyChainPacket, { minLength: 1, maxLength: 40, size: "max" }), { minLength: 6, maxLength: 6 }),
    { seed: SEED, numRuns: 1 },
  );
  test.each(drawn.map((one, i) => [i, one] as const))(
    "network %i: as the reference",
    async (i, { model, attached }) => {
      const rest = without(model, attached);
      const level = ([2, 1, 0] as const)[i % 3];
      const dataplane = await load((await compileModel(rest, { level })).artifact);
      const threads = await load((await compileModel(rest, { level, threads: true })).artifact);
      const before = join(threads.threads.seat({ bytes: 1 << 20 }));
      const [programs, links] = await attachAll(dataplane, model, attached, { level });
      const [, threaded] = await attachAll(threads, model, attached, { level, threads: true });
      const planes = [threads, before, join(threads.threads.seat({ bytes: 1 << 20 }))];
      const reference = referenceEngine(model.nets[0], model.kernel);
      const ofPlans = attachedPlanEngine(rest, programs);
      const engines = [
        { engineAt: () => dataplane.net(0), linked: () => links.map((link) => link.readCounters()) },
        // Seats that were given before and after; what is counted is read by the first thread.
        {
          engineAt: (round: number) => planes[round % 3].net(0),
          total: threads.net(0),
          linked: () => threaded.map((link) => link.readCounters()),
        },
        { engineAt: () => ofPlans.engine, linked: ofPlans.linked },
      ];
      const { counters } = model.nets[0].netfilter;
      const size = Math.max(...batches.map((packets) => packets.length)) + 20;
      const own = reference.createBatch(size, SLOT_SIZE);
      for (const [round, packets] of batches.entries()) {
        reference.setTime(BigInt(round) * 400_000_000n);
        fill(own, packets);
        const traces = reference.trace(own);
        for (const { engineAt, linked, total } of engines as readonly EngineAt[]) {
          const engine = engineAt(round);
          const batch = engine.createBatch(size, SLOT_SIZE);
          engine.setTime(BigInt(round) * 400_000_000n);
          fill(batch, packets);
          if (round % 2 === 0) {
            const steps = engine.trace(batch).map((trace) => trace.filter(({ step }) => step !== "link"));
            expect(steps, engine.name).toEqual(traces);
          } else engine.process(batch);
          const entries = batch.column("entry");
          for (const [k, { entry }] of packets.entries()) if (entry === Entry.RECEIVE) entries[k] = entry;
          expect(judged(batch), engine.name).toEqual(judged(own));
          expect(sum(counters, [(total ?? engine).readCounters(), ...linked()]), engine.name).toEqual(
            reference.readCounters(),
          );
        }
      }
      expect(copiesFrames(rest.nets[0].netfilter)).toBe(dataplane.manifest.nets[0].chains.copies);
    },
    180_000,
  );
});
