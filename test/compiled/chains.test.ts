/**
 * Chains compiled: the plan interpreted, and wasm at every level, do what the reference does, to verdicts, packets, traces,
 * counters and token buckets. Rule sets, networks and packets are drawn.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Netfilter } from "../../dsl/chain-model.ts";
import type { Model } from "../../dsl/model.ts";
import { load } from "../../runtime/dataplane.ts";
import type { Engine } from "../../runtime/engine.ts";
import { compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { fill, judged, SLOT_SIZE } from "./agree.ts";
import { planEngines } from "./plan-engine.ts";
import { anyChainPacket } from "./random-chain-packets.ts";
import { anyChains, anyPrograms, readChains } from "./random-chains.ts";
import { anyModel } from "./random-model.ts";
import type { DrawnPacket } from "./random-packets.ts";

const RUNS = Number(process.env.FC_RUNS ?? 3);
const SEED = Number(process.env.FC_SEED ?? 41);
const LEVELS = [0, 1, 2] as const;

const withChains = (model: Model, netfilter: Netfilter): Model => ({
  ...model,
  nets: model.nets.map((net) => ({ ...net, netfilter })),
});

const anyChainModel = fc
  .tuple(anyModel(), anyChains)
  .map(([model, chains]) => ({ model: withChains(model, readChains(chains)), chains }));

/** Engines remember: each judges the same batches in the same order, now by `process` and now by `trace`. */
function expectSame(reference: Engine, others: readonly Engine[], batches: readonly (readonly DrawnPacket[])[]): void {
  // Room for some of the copies that chains make.
  const size = Math.max(...batches.map((packets) => packets.length)) + 20;
  const own = [reference, ...others].map((engine) => ({ engine, batch: engine.createBatch(size, SLOT_SIZE) }));
  let now = 1_000_000_000n;
  for (const [round, packets] of batches.entries()) {
    now += BigInt(round % 3) * 400_000_000n;
    const answers = own.map(({ engine, batch }, i) => {
      engine.setTime(now);
      fill(batch, packets);
      const traces = i === 0 || round % 2 === 0 ? engine.trace(batch) : null;
      if (traces === null) engine.process(batch);
      return { traces, judged: judged(batch), counters: engine.readCounters() };
    });
    for (const [i, { traces, ...answer }] of answers.entries()) {
      const { name } = own[i].engine;
      if (traces !== null) expect(traces, `${name}: traces`).toEqual(answers[0].traces);
      expect(answer.judged, `${name}: verdicts`).toEqual(answers[0].judged);
      expect(answer.counters, `${name}: counters`).toEqual(answers[0].counters);
    }
  }
}

const batches = fc.sample(
  fc.array(fc.array(anyChainPacket, { minLength: 1, maxLength: 40, size: "max" }), { minLength: 6, maxLength: 6 }),
  {
    seed: SEED,
    numRuns: 1,
  },
)[0];

const anyProgramModel = fc
  .tuple(anyModel(), anyPrograms, anyChains)
  .map(([model, programs, chains]) => ({ model: withChains(model, readChains(`${programs}\n${chains}`)) }));

describe("random programs", () => {
  const drawn = fc.sample(anyProgramModel, { seed: SEED, numRuns: 2 * RUNS });
  test.each(drawn.map((one, i) => [i, one] as const))(
    "network %i: every engine agrees",
    async (i, { model }) => {
      expect(model.nets[0].netfilter.programs.length).toBeGreaterThan(0);
      const engines: Engine[] = planEngines(model, { level: 0 });
      for (const level of i === 0 ? LEVELS : ([0] as const)) {
        const dataplane = await load((await compileModel(model, { level })).artifact);
        engines.push(dataplane.net(0));
      }
      expectSame(referenceEngine(model.nets[0], model.kernel), engines, batches);
    },
    180_000,
  );
});

describe("random chains", () => {
  const drawn = fc.sample(anyChainModel, { seed: SEED, numRuns: RUNS });
  test.each(drawn.map((one, i) => [i, one] as const))(
    "rule set %i: every engine agrees",
    async (_, { model }) => {
      const engines: Engine[] = planEngines(model, { level: 0 });
      for (const level of LEVELS) {
        const dataplane = await load((await compileModel(model, { level })).artifact);
        engines.push(dataplane.net(0));
      }
      expectSame(referenceEngine(model.nets[0], model.kernel), engines, batches);
    },
    120_000,
  );
});

/** Every list a classifier, however short: with tables, and with none but vectors. */
const FORCED = [{ from: 1 }, { from: 1, budget: 0 }];

describe("random chains as classifiers", () => {
  const drawn = fc.sample(anyChainModel, { seed: SEED + 1, numRuns: RUNS });
  const programs = fc.sample(anyProgramModel, { seed: SEED + 1, numRuns: RUNS });
  test.each([...drawn, ...programs].map((one, i) => [i, one] as const))(
    "rule set %i: every engine agrees",
    async (i, { model }) => {
      const engines: Engine[] = FORCED.flatMap((classifiers) => planEngines(model, { level: 0, classifiers }));
      for (const level of i === 0 ? LEVELS : ([0] as const))
        for (const classifiers of FORCED)
          engines.push((await load((await compileModel(model, { level, classifiers })).artifact)).net(0));
      expectSame(referenceEngine(model.nets[0], model.kernel), engines, batches);
    },
    180_000,
  );
});
