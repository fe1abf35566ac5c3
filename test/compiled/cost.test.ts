/** No packet takes more instructions than it can take: in no call of any proc, of networks, chains and packets that are drawn, and of the examples. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { EXPORTS } from "../../runtime/abi/exports.ts";
import { batchBytes, PacketBatch } from "../../runtime/batch.ts";
import { imageOffset } from "../../runtime/brand.ts";
import { load } from "../../runtime/dataplane.ts";
import { compileModel } from "../../src/compile.ts";
import { costsOf, MOST_COST } from "../../src/cost.ts";
import { costReport } from "../../src/cost-report.ts";
import { buildFib } from "../../src/fib/build.ts";
import { layout } from "../../src/layout.ts";
import { limitsOf } from "../../src/limits.ts";
import { buildPlan } from "../../src/plan/build/index.ts";
import { planCost } from "../../src/plan/cost.ts";
import { interpret } from "../../src/plan/interpret.ts";
import { withoutTrace } from "../../src/plan/optimize.ts";
import { fill, SLOT_SIZE } from "./agree.ts";
import { anyChains, anyPrograms, readChains } from "./random-chains.ts";
import { anyModel } from "./random-model.ts";
import { anyPacket, type DrawnPacket } from "./random-packets.ts";

const SEED = Number(process.env.FC_SEED ?? 5);
const RUNS = Number(process.env.FC_RUNS ?? 6);

/** The dearest call of each proc. */
function taken(
  model: Model,
  packets: readonly DrawnPacket[],
): { most: Map<string, number>; costs: Map<string, number> } {
  const fibs = buildFib(model);
  const image = layout(model, fibs);
  const plan = withoutTrace(buildPlan(model, image, { fast: true }));
  const memory = new Uint8Array(image.heap + batchBytes(packets.length, SLOT_SIZE) + 64);
  memory.set(image.image);
  const batch = new PacketBatch(
    () => memory.buffer,
    imageOffset(Math.ceil(image.heap / 64) * 64),
    packets.length,
    SLOT_SIZE,
  );
  fill(batch, packets);
  const most = new Map<string, number>();
  const onCall = (name: string, count: number) => void most.set(name, Math.max(most.get(name) ?? 0, count));
  interpret(plan, { memory, onCall }).call(EXPORTS.process, [0, batch.base, batch.count]);
  const costs = planCost(plan, { ...limitsOf(image, fibs), packets: packets.length, copies: packets.length });
  return { most, costs: new Map(costs) };
}

describe("the bound of every proc holds", () => {
  const rules = fc.tuple(anyPrograms, anyChains).map((texts) => texts.join("\n"));
  const drawn = fc.sample(fc.tuple(anyModel(), rules), { seed: SEED, numRuns: RUNS });
  const packets = fc.sample(anyPacket, { seed: SEED, numRuns: 150 });
  test.each(drawn.map((one, i) => [i, ...one] as const))("network %i", (_, model, text) => {
    const nets = model.nets.map((net) => ({ ...net, netfilter: readChains(text) }));
    const { most, costs } = taken({ ...model, nets }, packets);
    const beyond = [...most].filter(([name, count]) => !(count <= costs.get(name)!));
    expect(beyond).toEqual([]);
    expect(most.size).toBeGreaterThan(20);
  });
});

const example = (name: string): Model => {
  const { model } = checkText(readFileSync(new URL(`../../examples/${name}`, import.meta.url), "utf8"), name);
  return model as Model;
};

const costOf = (model: Model) => {
  const fibs = buildFib(model);
  const image = layout(model, fibs);
  return costsOf(model, image, fibs, withoutTrace(buildPlan(model, image, { fast: true })));
};

describe("the cost of a namespace", () => {
  test("of what is attached, where", () => {
    const [host] = costOf(example("xdp-scrubber.vrf"));
    expect(host.points.map(({ hook, attached }) => [hook, ...attached.map(({ name }) => name)])).toEqual([
      ["xdp", "scrub"],
      ["xdp", "web-out"],
      ["xdp", "dns-out"],
    ]);
    for (const { instructions, attached } of host.points) expect(instructions).toBe(attached[0].instructions);
    const [scrub, web] = host.points;
    expect(web.instructions).toBeGreaterThan(0);
    expect(scrub.instructions).toBeGreaterThan(web.instructions);
  });

  test("a pass holds what is attached on its way, and says so in finite numbers", () => {
    for (const name of ["seed.vrf", "firewall.vrf"])
      for (const { pass, again, forwarded4, forwarded6, shortWay, points } of costOf(example(name))) {
        for (const number of [pass, again, forwarded4, forwarded6]) expect(Number.isSafeInteger(number)).toBe(true);
        for (const { instructions, attached } of points) {
          expect(pass).toBeGreaterThan(instructions);
          for (const one of attached) expect(instructions).toBeGreaterThanOrEqual(one.instructions);
        }
        expect(pass).toBeGreaterThan(Math.max(forwarded4, forwarded6));
        if (shortWay !== null) expect(shortWay).toBeLessThan(forwarded4);
      }
  });

  test("a rule more costs more", () => {
    const rules = (count: number): string =>
      `interface a {}\nprogram p on xdp a {\n${"udp dport 53 counter DROP\n".repeat(count)}}\n`;
    const costs = [1, 2, 3].map((count) => costOf(checkText(rules(count)).model as Model)[0].points[0].instructions);
    expect(costs[1] - costs[0]).toBeGreaterThan(10);
    expect(costs[2] - costs[1]).toBe(costs[1] - costs[0]);
  });

  test("chains whose jumps multiply beyond what a number tells still load, and the report says so", async () => {
    const jumps = (to: number) => `jump c${to}\n`.repeat(60);
    const chains = Array.from({ length: 10 }, (_, i) => `chain c${i} {\n${i === 9 ? "counter" : jumps(i + 1)}\n}\n`);
    const { model } = checkText(
      `interface a {}\ntable ip t {\nchain f { type filter hook forward priority 0; policy accept; jump c0 }\n${chains.join("")}}\n`,
    );
    const [{ pass, points }] = costOf(model as Model);
    expect([pass, points[0].instructions]).toEqual([MOST_COST, MOST_COST]);
    expect(costReport(model as Model)).toContain("at most 2^53 or more instructions a packet and pass");
    await expect(load((await compileModel(model as Model, { level: 0 })).artifact)).resolves.toBeDefined();
  });

  test("the report", () => {
    const report = costReport(example("xdp-scrubber.vrf"));
    expect(report).toMatch(
      /^namespace host: at most \d+ instructions a packet and pass\n {2}forwarded: IPv4 \d+.*, IPv6 \d+\n {2}further passes: at most 2806, of \d+ each\n {2}xdp of uplink: \d+\n {4}program scrub: \d+\n/,
    );
    expect(report).toMatch(/each of \d+ loops counts down/);
  });
});
