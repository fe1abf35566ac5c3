/**
 * The plan agrees with the reference over random networks and packets, as built and optimised, whatever structure its tables
 * have: verdict columns, packet bytes and traces. Interpreted, so that many networks are tried; the wasm is tried on fewer
 * (wasm.test.ts). FC_RUNS=1000 for a long run.
 */
import fc from "fast-check";
import { describe, test } from "vitest";
import type { LpmKind } from "../../runtime/lpm/lpm.ts";
import type { Level } from "../../src/plan/optimize.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { expectAgreement } from "./agree.ts";
import { planEngines } from "./plan-engine.ts";
import { anyModel } from "./random-model.ts";
import { anyPacket } from "./random-packets.ts";

const LONG = process.env.FC_RUNS === undefined ? null : Number(process.env.FC_RUNS);
const packets = fc.array(anyPacket, { minLength: 1, maxLength: 24, size: "max" });

const agree = (level: Level, runs: number, lpm?: LpmKind) =>
  fc.assert(
    fc.property(anyModel(), packets, (model, drawn) => {
      const plan = planEngines(model, { level, ...(lpm === undefined ? {} : { lpm }) });
      expectAgreement([referenceEngine(model.nets[0], model.kernel), ...plan], drawn);
    }),
    { numRuns: LONG ?? runs },
  );

describe("the plan does what the reference does", () => {
  test("as built", () => agree(0, 40));
  test("optimised within procs", () => agree(1, 5));
  test("optimised", () => agree(2, 5));
  test("its tables linear", () => agree(0, 15, "linear"));
  test("its tables in blocks", () => agree(0, 15, "blocks"));
  test("its tables ranges", () => agree(0, 15, "ranges"));
  test("its tables in two", () => agree(0, 15, "spill"));
});

test("namespaces do not mix", () => {
  fc.assert(
    fc.property(anyModel(3), packets, (model, drawn) => {
      const engines = planEngines(model, { level: 0 });
      for (const [i, net] of model.nets.entries())
        expectAgreement([referenceEngine(net, model.kernel), engines[i]], drawn);
    }),
    { numRuns: LONG ?? 10 },
  );
});
