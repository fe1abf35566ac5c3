/** What grows with a network, and what must not: the code of many VRFs and many rules is that of few, memory goes with routes and rules. */
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { EXPORTS } from "../../runtime/abi/exports.ts";
import { batchBytes, PacketBatch } from "../../runtime/batch.ts";
import { imageOffset } from "../../runtime/brand.ts";
import { load } from "../../runtime/dataplane.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { buildFib } from "../../src/fib/build.ts";
import { layout } from "../../src/layout.ts";
import { buildPlan } from "../../src/plan/build/index.ts";
import { interpret } from "../../src/plan/interpret.ts";
import type { Plan } from "../../src/plan/ir.ts";
import { withoutTrace } from "../../src/plan/optimize.ts";
import { allSteps } from "../../src/plan/visit.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { framesOf, modelOf as rulesModel } from "../bench/rules.ts";
import { prefixesOf, framesOf as vrfFrames, vrfText } from "../bench/vrfs.ts";

const modelOf = (text: string): Model => {
  const { model, diagnostics } = checkText(text);
  if (model === null) throw new Error(JSON.stringify(diagnostics));
  return model;
};
const vrfs = (count: number): Model => modelOf(vrfText(prefixesOf(count, 1), { neighbours: 1 }));

const built = (model: Model) => {
  const image = layout(model, buildFib(model));
  const plans = [buildPlan(model, image), withoutTrace(buildPlan(model, image, { fast: true }))];
  return { image, plans, steps: plans.map(stepsOf) };
};
const stepsOf = ({ procs }: Plan): number => procs.reduce((sum, { body }) => sum + allSteps(body).length, 0);

describe("VRFs", () => {
  const [few, many] = [16, 96].map((count) => ({ count, ...built(vrfs(count)) }));

  test("the plan has as many steps for many as for few", () => {
    expect(many.steps).toEqual(few.steps);
  });

  test("packets of many, each of another one than before, are forwarded as the reference forwards them", async () => {
    const model = vrfs(64);
    const drawn = vrfFrames(prefixesOf(64, 1), 1, 3).slice(0, 256);
    const engine = (await load((await compileModel(model, { level: 0 })).artifact)).net(0);
    const reference = referenceEngine(model.nets[0], model.kernel);
    const [batch, twin] = [engine, reference].map((each) => each.createBatch(drawn.length, 128));
    for (const each of [batch, twin])
      for (const { device, bytes } of drawn) each.put(bytes, { entry: Entry.RECEIVE, device });
    engine.process(batch);
    reference.process(twin);
    const verdicts = [...twin.column("verdict")];
    expect(new Set(verdicts)).toEqual(new Set([Verdict.TRANSMIT, Verdict.UNRESOLVED]));
    for (const column of ["verdict", "outDevice", "route", "routeType"] as const)
      expect([column, ...batch.column(column)]).toEqual([column, ...twin.column(column)]);
    for (const i of drawn.keys()) expect(batch.packet(i)).toEqual(twin.packet(i));
  });

  test("a VRF more takes what its routes take: at most 200 bytes each", () => {
    const more = (many.image.image.length - few.image.image.length) / (many.count - few.count) / 100;
    expect(more).toBeLessThan(200);
  });
});

describe("rules", () => {
  test("the plan of a long list does not grow with it", () => {
    const [few, many] = [64, 2048].map((count) => built(rulesModel(count)));
    expect(many.steps).toEqual(few.steps);
    const perRule = (many.image.image.length - few.image.image.length) / (2048 - 64);
    expect(perRule).toBeLessThan(256);
  });

  /** The most instructions that a look-up takes, of packets for rules all over the list. */
  function dearest(count: number): number {
    const { image, plans } = built(rulesModel(count));
    const packets = 64;
    const base = Math.ceil(image.heap / 64) * 64;
    const memory = new Uint8Array(base + batchBytes(packets, 128));
    memory.set(image.image);
    const batch = new PacketBatch(() => memory.buffer, imageOffset(base), packets, 128);
    for (const { device, bytes } of framesOf(count).slice(0, packets))
      batch.put(bytes, { device, entry: Entry.RECEIVE });
    let most = 0;
    const onCall = (name: string, instructions: number): void => {
      if (name === "fib_lookup.0") most = Math.max(most, instructions);
    };
    interpret(plans[1], { memory, onCall }).call(EXPORTS.process, [0, batch.base, batch.count]);
    expect([...batch.column("verdict").subarray(0, packets)]).toEqual(Array(packets).fill(Verdict.TRANSMIT));
    return most;
  }

  test("a look-up takes as many instructions through 2,048 rules as through 64, but for the levels of the tables", () => {
    const [few, many] = [64, 2048].map(dearest);
    expect(few).toBeGreaterThan(100);
    expect(many).toBeLessThan(1.25 * few);
  });
});

describe("one compilation after the other", () => {
  test("another rule of a long list is another image under the same code, and counts", async () => {
    const model = rulesModel(64);
    const first = await compileModel(model);
    const [net] = model.nets;
    const rules = net.rules.map((rule) =>
      rule.from === null ? rule : { ...rule, action: { kind: "blackhole" as const } },
    );
    const second = await compileModel({ ...model, nets: [{ ...net, rules }] });
    expect(second.plan.procs.every((proc, i) => proc === first.plan.procs[i])).toBe(true);
    const verdicts = [];
    for (const { artifact } of [first, second]) {
      const engine = (await load(artifact)).net(0);
      const batch = engine.createBatch(1);
      const [{ device, bytes }] = framesOf(64);
      batch.put(bytes, { device, entry: Entry.RECEIVE });
      engine.process(batch);
      verdicts.push(batch.column("verdict")[0]);
    }
    expect(verdicts).toEqual([Verdict.TRANSMIT, Verdict.DROP]);
  });

  test("is as if it were the first", async () => {
    const models = [vrfs(2), rulesModel(64), vrfs(3)];
    const alone = [];
    for (const model of models) alone.push((await compileModel(model)).artifact);
    for (const i of [0, 1, 2]) expect((await compileModel(models[i])).artifact).toEqual(alone[i]);
  });
});
