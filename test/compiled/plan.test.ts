/** The plan agrees with the reference, unoptimised and optimised, over random networks and packets: interpreted, so quickly. */
import fc from "fast-check";
import { test } from "vitest";
import { referenceEngine } from "../../src/reference/engine.ts";
import { expectAgreement } from "./agree.ts";
import { planEngines } from "./plan-engine.ts";
import { anyModel } from "./random-model.ts";
import { anyPacket } from "./random-packets.ts";

const RUNS = Number(process.env.FC_RUNS ?? 150);

test("the plan as built does what the reference does", () => {
  fc.assert(
    fc.property(anyModel(), fc.array(anyPacket, { minLength: 1, maxLength: 24, size: "max" }), (model, packets) => {
      const [net] = model.nets;
      expectAgreement([referenceEngine(net, model.kernel), ...planEngines(model, { level: 0 })], packets);
    }),
    { numRuns: RUNS },
  );
});
