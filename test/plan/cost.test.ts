/** The cost estimate: of a path the sum, of paths the dearest, of loops the rounds. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planCost } from "../../src/plan/cost.ts";
import {
  add,
  and,
  block,
  call,
  guard,
  leave,
  load,
  local,
  packet,
  put,
  repeat,
  ret,
  type Step,
  set,
  skbReg,
  tail,
  trace,
  when,
} from "../../src/plan/ir.ts";
import { optimize } from "../../src/plan/optimize.ts";
import { inner, planOf, proc } from "./helpers.ts";
import { randomPlan } from "./random.ts";

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
  const rounds = (times: Parameters<typeof repeat>[0], tableRounds?: number): number => {
    const body = [repeat(times, "l", [cheap])];
    return planCost(planOf([l3], proc("f", [a], null, body)), tableRounds).get("f")!;
  };
  const PER_ROUND = rounds(2) - rounds(1);

  it("by a constant", () => {
    expect(rounds(100) - rounds(10)).toBe(90 * PER_ROUND);
    expect(PER_ROUND).toBeGreaterThan(CHEAP);
  });
  it("by what the form allows", () => {
    expect(rounds(and(a, 3)) - rounds(and(a, 1))).toBe(2 * PER_ROUND);
  });
  it("by a table's count: as often as asked", () => {
    const count = load("image", 4, a, 0);
    expect(rounds(count, 20) - rounds(count, 5)).toBe(15 * PER_ROUND);
  });
  it("left in the last round by the dearest way", () => {
    const body = (extra: Step[]) => costOf(repeat(3, "l", [when(a, [...extra, ret()]), cheap]));
    expect(body(Array(9).fill(dear)) - body(Array(8).fill(dear))).toBe(DEAR);
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
