/** Long rule lists: as data they say what they say as code, and what the reference says; the classifier leaves out no rule that matches. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Model, Rule } from "../../dsl/model.ts";
import { load } from "../../runtime/dataplane.ts";
import { compileModel } from "../../src/compile.ts";
import { buildFib } from "../../src/fib/build.ts";
import { layout } from "../../src/layout.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { expectAgreement } from "./agree.ts";
import { planEngines } from "./plan-engine.ts";
import { anyModel } from "./random-model.ts";
import { anyPacket } from "./random-packets.ts";

const LONG = process.env.FC_RUNS === undefined ? null : Number(process.env.FC_RUNS);
const packets = fc.array(anyPacket, { minLength: 8, maxLength: 24, size: "max" });

/** Without `not l3mdev`, whose lists stay code, and with few rules that refuse, so that walks are long. */
const tamed = (model: Model): Model => ({
  ...model,
  nets: model.nets.map((net) => ({ ...net, rules: net.rules.map(tame) })),
});
const tame = (rule: Rule): Rule => {
  const refuses = !["lookup", "goto", "nop"].includes(rule.action.kind) && rule.id % 8 !== 0;
  const not = rule.not && !rule.l3mdev;
  return refuses ? { ...rule, not, action: { kind: "nop" } } : { ...rule, not };
};

const AS_DATA = { longList: 1 };
const longModel = anyModel(1, 200).map(tamed);

const isData = (model: Model): boolean => {
  const [{ ruleLists }] = layout(model, buildFib(model), AS_DATA).nets;
  return ruleLists[4] !== null && ruleLists[6] !== null;
};

describe("lists as data agree with the reference, traces too", () => {
  test.each([
    ["short ones", anyModel(1), 0, 30],
    ["long ones", longModel, 0, 40],
    ["long ones, optimised", longModel, 2, 5],
  ] as const)("%s", (_, models, level, runs) => {
    let data = 0;
    fc.assert(
      fc.property(models, packets, (model, drawn) => {
        const plan = planEngines(model, { level, ...AS_DATA });
        expectAgreement([referenceEngine(model.nets[0], model.kernel), ...plan], drawn);
        data += Number(isData(model));
      }),
      { numRuns: LONG ?? runs },
    );
    expect(data).toBeGreaterThan(runs / 2);
  });

  test("compiled", async () => {
    const models = fc.sample(longModel, { seed: 3, numRuns: 3 });
    for (const model of models) {
      const engines = [];
      for (const options of [{}, AS_DATA, { ...AS_DATA, level: 0 as const }])
        engines.push((await load((await compileModel(model, options)).artifact)).net(0));
      for (const drawn of fc.sample(packets, { seed: 4, numRuns: 20 }))
        expectAgreement([referenceEngine(model.nets[0], model.kernel), ...engines], drawn);
    }
  });
});
