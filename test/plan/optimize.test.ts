/** The optimiser keeps what a plan does: results, memory and trace, by the interpreter and by wasm, at every level. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Value } from "../../src/plan/arithmetic.ts";
import { interpret, traceRecorder } from "../../src/plan/interpret.ts";
import type { Plan } from "../../src/plan/ir.ts";
import { optimize, PASSES, withoutTrace } from "../../src/plan/optimize.ts";
import { printPlan } from "../../src/plan/print.ts";
import { validatePlan } from "../../src/plan/validate.ts";
import { emitModule } from "../../src/wasm/emit.ts";
import {
  damagedPlan,
  MEMORY_BYTES,
  type RandomPlan,
  randomMemory,
  randomPlan,
  TRACE_REGION,
  withoutTraceRegion,
} from "./random.ts";

/** Runs of each property are in proportion to it. */
const RUNS = Number(process.env.FC_RUNS ?? 150);

interface Outcome {
  readonly results: readonly (Value | null)[];
  readonly memory: Uint8Array;
}

function interpreted(plan: Plan, { calls, seed }: RandomPlan): Outcome {
  const memory = randomMemory(seed);
  const twin = interpret(plan, { memory, onTrace: traceRecorder(memory, TRACE_REGION), fuel: 1e6 });
  return { results: calls.map((args) => twin.call("main", args)), memory };
}

async function compiled(plan: Plan, { calls, seed }: RandomPlan, level: 0 | 1 | 2): Promise<Outcome> {
  const segments = [{ offset: 0, bytes: randomMemory(seed) }];
  const pages = MEMORY_BYTES / 65536;
  const options = { segments, initialPages: pages, maximumPages: pages, traceRegion: TRACE_REGION, level };
  const { wasm } = await emitModule([{ plan, suffix: "" }], options);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm));
  const main = exports.main as (...args: Value[]) => Value;
  const results = calls.map((args) => main(...args));
  return { results, memory: new Uint8Array((exports.memory as WebAssembly.Memory).buffer) };
}

function expectSame(found: Outcome, expected: Outcome, what: string): void {
  expect(found.results, what).toEqual(expected.results);
  expect(Buffer.compare(found.memory, expected.memory), `${what}: memory`).toBe(0);
}

const untraced = ({ results, memory }: Outcome): Outcome => ({ results, memory: withoutTraceRegion(memory) });

describe("random plans", () => {
  it("are valid", () => {
    const property = fc.property(randomPlan, ({ plan }) => {
      expect(validatePlan(plan)).toEqual([]);
    });
    fc.assert(property, { numRuns: RUNS * 2 });
  });

  it("never reach out of the packet, and print", () => {
    const property = fc.property(randomPlan, (random) => {
      interpreted(random.plan, random);
      expect(printPlan(random.plan)).toContain("export proc main");
    });
    fc.assert(property, { numRuns: RUNS * 2 });
  });

  it("damaged, are found out or do no harm", () => {
    let found = 0;
    const property = fc.property(damagedPlan, (random) => {
      if (validatePlan(random.plan).length > 0) found++;
      else interpreted(random.plan, random);
    });
    fc.assert(property, { numRuns: RUNS * 4 });
    expect(found).toBeGreaterThan(RUNS / 4);
  });

  it.each(PASSES)("mean the same after $name", ({ run }) => {
    const property = fc.property(randomPlan, (random) => {
      const plan = run(random.plan);
      expect(validatePlan(plan)).toEqual([]);
      expectSame(interpreted(plan, random), interpreted(random.plan, random), printPlan(plan));
    });
    fc.assert(property, { numRuns: RUNS });
  });

  it.each([1, 2] as const)("mean the same at level %i, and then nothing is left to do", (level) => {
    const property = fc.property(randomPlan, (random) => {
      const plan = optimize(random.plan, level);
      expect(validatePlan(plan)).toEqual([]);
      expectSame(interpreted(plan, random), interpreted(random.plan, random), printPlan(plan));
      expect(optimize(plan, level)).toBe(plan);
    });
    fc.assert(property, { numRuns: RUNS });
  });

  it("mean the same without trace, but for the trace", () => {
    const property = fc.property(randomPlan, (random) => {
      const hot = optimize(withoutTrace(random.plan), 2);
      expect(printPlan(hot)).not.toContain("trace");
      const expected = untraced(interpreted(random.plan, random));
      expectSame(untraced(interpreted(hot, random)), expected, printPlan(hot));
    });
    fc.assert(property, { numRuns: RUNS });
  });

  it.each([0, 1, 2] as const)("mean the same as wasm at level %i", async (level) => {
    const property = fc.asyncProperty(randomPlan, async (random) => {
      const plan = optimize(random.plan, level);
      expectSame(await compiled(plan, random, level), interpreted(random.plan, random), printPlan(plan));
    });
    await fc.assert(property, { numRuns: Math.ceil(RUNS / 3) });
  });
});
