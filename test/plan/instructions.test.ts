/** The table of instructions is what src/wasm emits at level 0: of each form, and of random plans from end to end. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { instructionsOfExpr, instructionsOfStep, ROUND } from "../../src/plan/instructions.ts";
import {
  add,
  type Bytes,
  call,
  type Expr,
  expr,
  guard,
  i64,
  leave,
  load,
  local,
  type Plan,
  packet,
  put,
  repeat,
  ret,
  run,
  type Step,
  select,
  set,
  skbReg,
  store,
  tail,
  trace,
  typeOf,
  unary,
  vector,
  when,
} from "../../src/plan/ir.ts";
import { allSteps, expressions, operands } from "../../src/plan/visit.ts";
import { emitModule } from "../../src/wasm/emit.ts";
import { inner, planOf, proc } from "./helpers.ts";
import { randomPlan, TRACE_REGION } from "./random.ts";

/** Instructions of each function, as the text has them. `unreachable` stands where no path ends. */
async function emitted(plan: Plan): Promise<Map<string, number>> {
  const options = {
    segments: [],
    initialPages: 1,
    maximumPages: 1,
    traceRegion: TRACE_REGION,
    level: 0,
    simd: true,
  } as const;
  const text = (await emitModule([{ plan, suffix: "" }], options)).wat();
  const functions = text.split(/\n {1,2}\(func \$/).slice(1);
  return new Map(
    functions.map((body) => [
      body.match(/^[^\s()]+/)![0],
      [...body.matchAll(/\(([a-z0-9_.]+)/g)].filter(([, word]) => !STRUCTURE.has(word)).length,
    ]),
  );
}
const STRUCTURE = new Set([
  ...["param", "result", "local", "type", "block", "loop", "then", "else", "unreachable"],
  ...["export", "func", "memory", "global", "mut", "module"],
]);

const ofExpr = (e: Expr): number => operands(e).reduce((sum, part) => sum + ofExpr(part), instructionsOfExpr(e));
/** A trace's i64 is written twice. */
const ofStep = (step: Step): number =>
  expressions(step).reduce(
    (sum, e) => sum + ofExpr(e) * (step.kind === "trace" && typeOf(e) === "i64" ? 2 : 1),
    instructionsOfStep(step) + (step.kind === "repeat" ? ROUND.enter + ROUND.again : 0),
  );
/** Of the text: each step once. What a trace does when there is no room is another way than the one that is counted. */
const NO_ROOM = 3;
const ofProc = (body: readonly Step[]): number =>
  allSteps(body).reduce((sum, step) => sum + ofStep(step) + (step.kind === "trace" ? NO_ROOM : 0), 0);

const a = local("a");
const l = local("l", "i64");
const l3 = skbReg("l3");
const reads = ([1, 2, 4, 8] as Bytes[]).flatMap((bytes) => [packet(l3, 4, bytes), packet(l3, -2, bytes)]);
const into = (e: Expr): Step => set(typeOf(e) === "i64" ? l : a, e);
const STEPS: Step[] = [
  ...reads.map(into),
  ...[load("image", 4, a, 8), load("image", 8, 64), select(a, 1, 2), call("g", [a]), i64(5n)].map(into),
  ...(["eqz", "clz", "popcnt", "bswap16", "bswap32", "extend", "extend_s"] as const).map((op) => into(unary(op, a))),
  into(unary("wrap", l)),
  into(unary("bswap64", l)),
  ...([1, 2, 4] as Bytes[]).flatMap((bytes) => [put(l3, 4, bytes, a), put(l3, -2, bytes, call("g", [a]))]),
  put(l3, 0, 8, l),
  put(l3, 0, 8, unary("extend", call("g", [a]))),
  store("image", 4, a, 4, a),
  store("image", 4, 64, 4, a),
  store("image", 16, a, 4, vector("and", [vector("splat", [a]), vector("load", [a], { offset: 8 })])),
  into(vector("word", [vector("load2", [a, vector("shr", [vector("splat", [7]), a])], { lane: 7 })], { lane: 2 })),
  store("image", 16, a, 4, vector("widen1", [vector("widen2", [vector("load", [a])], { lane: 1 })], { lane: 2 })),
  ...(["equal1", "equal2"] as const).map((op) =>
    into(vector(op, [vector("splat", [a]), vector("halves", [vector("splat", [7])])])),
  ),
  guard(l3, 8, []),
  when(a, [set(a, 1)], [set(a, 2)]),
  repeat(5, "r", [set(a, 1)]),
  repeat(5, "r", [leave("r")]),
  run("g", [a]),
  trace(1, [a, l]),
  trace(2, []),
];

describe("each form", () => {
  it.each(STEPS.map((step, i) => [i, step] as const))("%i", async (_, step) => {
    const entered = [set(tail, a), set(l3, a), set(l, i64(0n))];
    const plan = planOf([l3], proc("f", [a], null, [...entered, step]), inner("g", [a], "i32", [ret(expr(a))]));
    expect((await emitted(plan)).get("f")).toBe(ofProc([...entered, step]));
  });
});

it("random plans", async () => {
  const property = fc.asyncProperty(randomPlan, async ({ plan }) => {
    const counted = await emitted(plan);
    for (const { name, body } of plan.procs) {
      // A result that nobody wants is dropped, and not every proc has one.
      const calls = allSteps(body).filter(({ kind }) => kind === "do").length;
      const expected = ofProc(body);
      expect(counted.get(name)).toBeLessThanOrEqual(expected);
      expect(counted.get(name)).toBeGreaterThanOrEqual(expected - calls);
    }
  });
  await fc.assert(property, { numRuns: 12 });
});

it("counts what a sum takes", () => expect(ofProc([set(a, add(a, 1))])).toBe(4));
