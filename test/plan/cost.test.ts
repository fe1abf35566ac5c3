/** The cost estimate: of a path the sum, of paths the dearest, of loops the rounds. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Limits, planCost } from "../../src/plan/cost.ts";
import { interpret } from "../../src/plan/interpret.ts";
import {
  add,
  and,
  type Bound,
  block,
  call,
  guard,
  leave,
  load,
  local,
  type Operand,
  type Plan,
  packet,
  put,
  repeat,
  ret,
  run,
  type Step,
  set,
  skbReg,
  tail,
  trace,
  when,
} from "../../src/plan/ir.ts";
import { optimize } from "../../src/plan/optimize.ts";
import { inner, planOf, proc } from "./helpers.ts";
import { randomMemory, randomPlan } from "./random.ts";

const a = local("a");
const l3 = skbReg("l3");
const costOf = (...body: Step[]): number => planCost(planOf([l3], proc("f", [a], null, body))).get("f")!;
const cheap = set(a, 1); // i32.const, local.set
const dear = set(a, add(a, 1));
const CHEAP = 2;
const DEAR = 4;

describe("paths", () => {
  it.each<[string, number, Step[]]>([
    ["nothing", 0, []],
    ["a sum", CHEAP + DEAR, [cheap, dear]],
    ["the dearer side", 2 + DEAR + CHEAP, [when(a, [cheap], [dear]), cheap]],
    ["a side that returns is not gone on from", 2 + CHEAP + 1, [when(a, [cheap, ret()], []), ret()]],
    ["nothing behind a return", CHEAP + 1, [cheap, ret(), dear]],
    ["a break goes on behind its block", 2 + 1 + DEAR, [block("l", [when(a, [leave("l")]), leave("l")]), dear]],
  ])("%s", (_, expected, body) => {
    expect(costOf(...body)).toBe(expected);
  });

  it("a call costs what it calls", () => {
    const plan = planOf([], proc("f", [a], "i32", [ret(call("g", [a]))]), inner("g", [a], "i32", [dear, ret(a)]));
    expect(planCost(plan).get("f")).toBe(1 + 1 + 1 + DEAR + 2);
  });
});

describe("loops", () => {
  const costOfLoop = (times: Operand, most?: Bound, limits?: Partial<Limits>): number => {
    const body = [repeat(times, "l", [cheap], most)];
    return planCost(planOf([l3], proc("f", [a], null, body)), limits).get("f")!;
  };
  /** `times` and the counter set; the round's test and countdown (7), the step, the jump back; the test that ends it (3). */
  const ofRounds = (rounds: number, times = 1): number => times + 1 + rounds * (7 + CHEAP + 1) + 3;

  it.each<[string, number, number]>([
    ["none", 0, ofRounds(0)],
    ["by a constant", 100, ofRounds(100)],
  ])("%s", (_, times, expected) => expect(costOfLoop(times)).toBe(expected));

  it("by what the form allows", () => expect(costOfLoop(and(a, 3))).toBe(ofRounds(3, 3)));

  const count = load("image", 4, a, 0);
  it("by a table's count: by its bound", () => {
    expect(costOfLoop(count, 20)).toBe(ofRounds(20, 2));
    expect(costOfLoop(count, "hops", { hops: 5 })).toBe(ofRounds(5, 2));
    expect(costOfLoop(count, "hops", {})).toBe(Number.POSITIVE_INFINITY);
    expect(costOfLoop(count)).toBe(Number.POSITIVE_INFINITY);
  });
  it("the least of what is known counts", () => {
    expect(costOfLoop(7, "hops", { hops: 5 })).toBe(ofRounds(5));
    expect(costOfLoop(3, "hops", { hops: 5 })).toBe(ofRounds(3));
  });
  it("left in the last round by the dearest way", () => {
    // Two full rounds, then into the third as far as the return.
    const full = 7 + 2 + CHEAP + 1;
    expect(costOf(repeat(3, "l", [when(a, [dear, dear, dear, ret()]), cheap]))).toBe(
      2 + 2 * full + 7 + 2 + 3 * DEAR + 1,
    );
  });
  it("that nothing comes through is entered once", () => {
    expect(costOf(repeat(100, "l", [dear, leave("l")]))).toBe(2 + 7 + DEAR + 1);
  });
});

describe("paths that do not come to a proc", () => {
  const plan = planOf(
    [],
    proc("f", [a], null, [when(a, [run("dear", [a])], [run("cheap", [a])])]),
    inner("dear", [a], null, [dear, dear, dear]),
    inner("cheap", [a], null, [cheap]),
  );
  it("are the others", () => {
    const of = (...shunned: string[]) => planCost(plan, {}, shunned).get("f");
    expect(of()).toBe(2 + 3 + 3 * DEAR);
    expect(of("dear")).toBe(2 + 3 + CHEAP);
    expect(of("dear", "cheap")).toBe(Number.NEGATIVE_INFINITY);
  });
});

it("counts turning bytes, guards and records", () => {
  const guarded = [set(tail, a), set(l3, a), guard(l3, 8, [ret()])];
  const with_ = (step: Step) => costOf(...guarded, step) - costOf(...guarded);
  expect(with_(set(a, packet(l3, 0, 4)))).toBeGreaterThan(with_(set(a, packet(l3, 0, 1))));
  expect(with_(put(l3, 0, 4, a))).toBeGreaterThan(with_(put(l3, 0, 1, a)));
  expect(with_(trace(1, [a]))).toBeGreaterThan(with_(trace(1, [])));
});

it("is finite and positive for any plan, and rarely grows by optimising", () => {
  let [grown, runs] = [0, 0];
  const property = fc.property(randomPlan, ({ plan }) => {
    const [before, after] = [plan, optimize(plan, 1)].map((p) => planCost(p).get("main")!);
    expect(before).toBeGreaterThan(0);
    expect(Number.isFinite(before)).toBe(true);
    runs++;
    if (after > before) grown++;
  });
  fc.assert(property, { numRuns: 100 });
  expect(grown).toBeLessThan(runs / 20);
});

it("is no less with a step more", () => {
  const property = fc.property(randomPlan, fc.nat(), ({ plan }, n) => {
    const body = plan.procs.at(-1)!.body;
    const at = n % (body.length + 1);
    const longer = [...body.slice(0, at), set(local("more"), 1), ...body.slice(at)];
    const changed = { ...plan, procs: [...plan.procs.slice(0, -1), { ...plan.procs.at(-1)!, body: longer }] };
    const cost = (p: Plan) => planCost(p).get("main")!;
    expect(cost(changed)).toBeGreaterThanOrEqual(cost(plan));
    expect(cost(changed)).toBeLessThanOrEqual(cost(plan) + CHEAP);
  });
  fc.assert(property, { numRuns: 100 });
});

it("is never less than what a call takes", () => {
  const property = fc.property(randomPlan, ({ plan, calls, seed }) => {
    const costs = planCost(plan);
    const onCall = (name: string, instructions: number) =>
      expect(instructions, name).toBeLessThanOrEqual(costs.get(name)!);
    const interpreter = interpret(plan, { memory: randomMemory(seed), onCall, fuel: 1e6 });
    for (const args of calls) interpreter.call("main", args);
  });
  fc.assert(property, { numRuns: 100 });
});
