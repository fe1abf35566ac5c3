/**
 * IPv6 look-ups: the plan, interpreted at every optimisation level and with every structure, and a compiled module do what the reference
 * does: verdict columns and traces. FC_RUNS=1000 for a long run.
 */
import fc from "fast-check";
import { describe, test } from "vitest";
import { load } from "../../runtime/dataplane.ts";
import type { LpmKind } from "../../runtime/lpm/lpm.ts";
import { compileModel } from "../../src/compile.ts";
import type { Level } from "../../src/plan/optimize.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { expectAgreement } from "./agree.ts";
import { planEngines } from "./plan-engine.ts";
import { anyLookup6 } from "./random-lookups6.ts";
import { anyModel } from "./random-model.ts";

const LONG = process.env.FC_RUNS === undefined ? null : Number(process.env.FC_RUNS);
const lookups = fc.array(anyLookup6, { minLength: 1, maxLength: 40, size: "max" });

const agree = (level: Level, runs: number, lpm?: LpmKind) =>
  fc.assert(
    fc.property(anyModel(), lookups, (model, drawn) => {
      const plan = planEngines(model, { level, ...(lpm === undefined ? {} : { lpm }) });
      expectAgreement([referenceEngine(model.nets[0], model.kernel), ...plan], drawn);
    }),
    { numRuns: LONG ?? runs },
  );

describe("the plan looks up as the reference does", () => {
  test("as built", () => agree(0, 60));
  test("optimised within procs", () => agree(1, 3));
  test("optimised", () => agree(2, 3));
  test("its tables linear", () => agree(0, 10, "linear"));
  test("its tables in blocks", () => agree(0, 10, "blocks"));
});

describe.each([0, 1, 2] as const)("wasm -O%d", (level) => {
  test("looks up as the reference does", async () => {
    for (const model of fc.sample(anyModel(), { seed: 6, numRuns: 2 })) {
      const dataplane = await load((await compileModel(model, { level })).artifact);
      const engines = [referenceEngine(model.nets[0], model.kernel), dataplane.net(0)];
      fc.assert(
        fc.property(lookups, (drawn) => expectAgreement(engines, drawn)),
        { numRuns: LONG ?? 40 },
      );
    }
  }, 300_000);
});
