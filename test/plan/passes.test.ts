/** Each pass by itself, before and after as text. */
import { describe, expect, it } from "vitest";
import { interpret } from "../../src/plan/interpret.ts";
import {
  add,
  and,
  binary,
  block,
  call,
  type Expr,
  eq,
  eqz,
  gt,
  guard,
  i64,
  le,
  leave,
  load,
  local,
  lt,
  mul,
  ne,
  or,
  type Proc,
  packet,
  repeat,
  ret,
  run,
  type Step,
  select,
  set,
  shl,
  shr,
  skbReg,
  sub,
  tail,
  trace,
  typeOf,
  unary,
  when,
  xor,
} from "../../src/plan/ir.ts";
import { withoutTrace } from "../../src/plan/optimize.ts";
import { branches } from "../../src/plan/passes/branches.ts";
import { deadSets } from "../../src/plan/passes/dead-sets.ts";
import { guards } from "../../src/plan/passes/guards.ts";
import { inline } from "../../src/plan/passes/inline.ts";
import { rewriter } from "../../src/plan/passes/pattern.ts";
import { propagate } from "../../src/plan/passes/propagate.ts";
import { CONDITION_REWRITES, REWRITES, type simplify, simplifyExpr } from "../../src/plan/passes/simplify.ts";
import { unused } from "../../src/plan/passes/unused.ts";
import { printExpr, printPlan, printSteps } from "../../src/plan/print.ts";
import { inner, planOf, proc } from "./helpers.ts";

const a = local("a");
const b = local("b");
const c = local("c");
const w = local("w", "i64");
const l2 = skbReg("l2");
const l3 = skbReg("l3");
const SKB = [l2, l3];

type Pass = typeof simplify;
/** The body of `f` after the pass; it has a, b, c, w as parameters. */
function passed(pass: Pass, body: readonly Step[], ...others: Proc[]): string {
  const plan = planOf(SKB, proc("f", [a, b, c, w], null, body), ...others);
  return printSteps(pass(plan).procs.find(({ name }) => name === "f")!.body).join("\n");
}
const text = (...lines: string[]): string => lines.join("\n");

describe("simplify", () => {
  const CASES: [Expr, string][] = [
    // constants
    [add(2, 3), "5"],
    [unary("bswap16", 0x0800), "8"],
    [unary("bswap64", i64(0x0102030405060708n)), "0x807060504030201n"],
    [binary("div", 7, 0), "7 / 0"],
    [add(i64(1n), i64(-2n)), "-1n"],
    // rewrites; each rule of the table has a case here, see below
    [add(7, a), "a + 7"],
    [mul(7, a), "a * 7"],
    [and(7, a), "a & 7"],
    [or(7, a), "a | 7"],
    [xor(7, a), "a ^ 7"],
    [eq(7, a), "a == 7"],
    [ne(7, a), "a != 7"],
    [lt(7, a), "a > 7"],
    [le(7, a), "a >= 7"],
    [gt(7, a), "a < 7"],
    [binary("ge", 7, a), "a <= 7"],
    [binary("lt_s", 7, a), "a >s 7"],
    [binary("gt_s", 7, a), "a <s 7"],
    [add(a, 0), "a"],
    [sub(a, 0), "a"],
    [or(w, i64(0n)), "w"],
    [xor(a, 0), "a"],
    [shl(a, 0), "a"],
    [shr(a, 0), "a"],
    [binary("shr_s", a, 0), "a"],
    [binary("rotl", a, 0), "a"],
    [and(a, -1), "a"],
    [mul(a, 1), "a"],
    [binary("div", a, 1), "a"],
    [and(a, a), "a"],
    [or(a, a), "a"],
    [select(b, a, a), "a"],
    [unary("wrap", unary("extend", a)), "a"],
    [unary("wrap", unary("extend_s", a)), "a"],
    [unary("bswap32", unary("bswap32", a)), "a"],
    [unary("bswap64", unary("bswap64", w)), "w"],
    [mul(a, 0), "0"],
    [and(w, i64(0n)), "0n"],
    [or(a, -1), "-1"],
    [binary("rem", a, 1), "0"],
    [sub(a, a), "0"],
    [xor(w, w), "0n"],
    [eq(w, w), "1"],
    [ne(a, a), "0"],
    [lt(a, a), "0"],
    [gt(a, a), "0"],
    [le(a, a), "1"],
    [binary("ge", a, a), "1"],
    [lt(a, 0), "0"],
    [binary("ge", a, 0), "1"],
    [le(a, -1), "1"],
    [gt(a, -1), "0"],
    [sub(a, 7), "a + -7"],
    [add(add(a, 7), 5), "a + 12"],
    [and(and(a, 12), 10), "a & 8"],
    [or(or(a, 12), 10), "a | 14"],
    [xor(xor(a, 12), 10), "a ^ 6"],
    [mul(mul(a, 3), 5), "a * 15"],
    [eq(add(a, 2), 7), "a == 5"],
    [ne(add(a, 2), 7), "a != 5"],
    [eq(a, 0), "eqz(a)"],
    [gt(a, 0), "a != 0"],
    [le(a, 0), "eqz(a)"],
    [lt(a, 1), "eqz(a)"],
    [binary("ge", a, 1), "a != 0"],
    [eqz(eq(a, b)), "a != b"],
    [eqz(ne(a, b)), "a == b"],
    [eqz(lt(a, b)), "a >= b"],
    [eqz(binary("ge", a, b)), "a < b"],
    [eqz(gt(a, b)), "a <= b"],
    [eqz(le(a, b)), "a > b"],
    [select(eqz(a), b, c), "select(a, c, b)"],
    [select(0, a, b), "b"],
    [select(5, a, b), "a"],
    [mul(a, 8), "a << 3"],
    [binary("div", a, -0x80000000), "a >> 31"],
    [binary("rem", a, 64), "a & 63"],
    [and(packet(l3, 0, 1), 0xff), "packet 1 skb.l3[0]"],
    [and(shl(and(a, 15), 2), 0x3c), "(a & 15) << 2"],
    [and(unary("extend", packet(l3, 0, 2)), i64(0xffffn)), "extend(packet 2 skb.l3[0])"],
    [eqz(eqz(lt(a, b))), "a < b"],
    [eqz(eqz(a)), "a != 0"],
    [ne(lt(a, b), 0), "a < b"],
    // in the place of a condition
    [select(ne(a, 0), b, c), "select(a, b, c)"],
    [select(ne(w, i64(0n)), b, c), "select(w != 0n, b, c)"],
  ];
  it.each(CASES)("%#: gives %s", (before, expected) => {
    expect(printExpr(simplifyExpr(before))).toBe(expected);
  });

  it("every rewrite has a case that it applies to as it stands", () => {
    const rewrites = [...REWRITES, ...CONDITION_REWRITES];
    const untested = rewrites.filter((rewrite) => !CASES.some(([before]) => rewriter(rewrite)(before) !== null));
    expect(untested).toEqual([]);
  });

  it.each(CASES.map(([before]) => before).filter((e) => printExpr(e) !== "7 / 0"))(
    "%#: computes the same",
    (before) => {
      const results = [before, simplifyExpr(before)].map((e) => VALUES.map((x) => evaluate(e, x, VALUES[1] - x)));
      expect(results[1]).toEqual(results[0]);
    },
  );

  it.each<[string, Expr]>([
    ["dropped", mul(call("g", []), 0)],
    ["doubled or merged", sub(call("g", []), call("g", []))],
    ["moved", select(eqz(call("g", [])), a, call("h", []))],
  ])("calls are not %s", (_, e) => {
    expect(printExpr(simplifyExpr(e))).toBe(printExpr(e));
  });

  it("a constant changes sides past a call", () => {
    expect(printExpr(simplifyExpr(add(7, call("g", []))))).toBe("call g() + 7");
  });
});

const VALUES = [0, 1, 5, 7, 8, 63, 64, 255, 0x12345678, 0x7fffffff, -0x80000000, -1];

/** With a and its relatives from `x` and `y`, and a packet of bytes 0x91. */
function evaluate(e: Expr, x: number, y: number) {
  const memory = new Uint8Array(64).fill(0x91);
  const start = [set(tail, 64), set(l3, 8), set(a, x), set(b, y), set(c, x ^ y), set(w, i64(BigInt(x) * 3n))];
  const plan = planOf(SKB, proc("f", [], typeOf(e), [...start, ret(e)]));
  return interpret(plan, { memory }).call("f");
}

describe("propagate", () => {
  it.each<[string, Step[], string]>([
    ["constants", [set(a, 7), set(l2, add(a, b))], text("set a = 7", "set skb.l2 = 7 + b")],
    ["copies of locals", [set(l2, a), set(b, l2)], text("set skb.l2 = a", "set b = a")],
    ["not copies of the packet in flight", [set(a, l2), set(b, a)], text("set a = skb.l2", "set b = a")],
    ["not when the source changed", [set(a, b), set(b, 1), set(c, a)], text("set a = b", "set b = 1", "set c = a")],
    ["not itself", [set(a, a), set(b, a)], text("set a = a", "set b = a")],
    [
      "what both sides agree on",
      [when(a, [set(b, 1), set(c, 2)], [set(b, 1), set(c, 3)]), set(l2, add(b, c))],
      text("if a {", "  set b = 1", "  set c = 2", "} else {", "  set b = 1", "  set c = 3", "}", "set skb.l2 = 1 + c"),
    ],
    [
      "not into a loop that changes it",
      [set(a, 1), set(b, 2), repeat(3, "l", [set(a, add(a, b))])],
      text("set a = 1", "set b = 2", "repeat 3 l {", "  set a = a + 2", "}"),
    ],
    [
      "what every way to the end of a block has",
      [set(a, 1), set(b, 1), block("l", [when(c, [set(a, 2), leave("l")])]), set(l2, add(a, b))],
      text(
        ...["set a = 1", "set b = 1", "block l {", "  if c {", "    set a = 2", "    break l", "  }", "}"],
        "set skb.l2 = a + 1",
      ),
    ],
    [
      "not cursors: guards know them by name",
      [set(tail, 9), set(a, b), guard(a, 1, [ret()]), set(c, add(a, 1))],
      text("set skb.tail = 9", "set a = b", "guard a 1 else {", "  return", "}", "set c = a + 1"),
    ],
  ])("%s", (_, body, expected) => {
    expect(passed(propagate, body)).toBe(expected);
  });

  it("up to the first call of a step, not behind it", () => {
    const change = inner("change", [a], "i32", [set(l2, 5), ret(1)]);
    const body = [set(l2, 1), set(a, add(l2, add(call("change", [l2]), l2)))];
    expect(passed(propagate, body, change)).toBe(text("set skb.l2 = 1", "set a = 1 + (call change(1) + skb.l2)"));
  });
});

describe("branches", () => {
  it.each<[string, Step[], string]>([
    ["a true condition", [when(1, [set(a, 1)], [set(a, 2)])], "set a = 1"],
    ["a false condition", [when(0, [set(a, 1)], [set(a, 2)])], "set a = 2"],
    ["only an else", [when(a, [], [set(a, 2)])], text("if eqz(a) {", "  set a = 2", "}")],
    ["nothing to choose", [when(a, [])], ""],
    ["a call in the condition", [when(call("g", []), [])], text("if call g() {", "}")],
    ["a block without a break", [block("l", [set(a, 1)])], "set a = 1"],
    [
      "a break at its end",
      [block("l", [when(a, [leave("l")]), leave("l")])],
      text("block l {", "  if a {", "    break l", "  }", "}"),
    ],
    ["no rounds", [repeat(0, "l", [set(a, 1)])], ""],
    ["empty rounds", [repeat(a, "l", [])], ""],
    ["behind a return", [ret(), set(a, 1)], "return"],
    [
      "behind two sides that leave",
      [when(a, [ret()], [ret()]), set(a, 1)],
      text("if a {", "  return", "} else {", "  return", "}"),
    ],
    [
      "not behind a block that is left by a break",
      [block("l", [when(a, [leave("l")]), ret()]), set(b, 1)],
      text("block l {", "  if a {", "    break l", "  }", "  return", "}", "set b = 1"),
    ],
  ])("%s", (_, body, expected) => {
    expect(passed(branches, body, inner("g", [], "i32", [ret(1)]))).toBe(expected);
  });
});

describe("guards", () => {
  const first = guard(l3, 20, [ret()]);
  const start = [set(tail, a), set(l3, b)];
  const kept = (body: Step[]) => passed(guards, [...start, ...body]).match(/guard .* else/g) ?? [];
  const one = ["guard skb.l3 20 else"];

  it.each<[string, Step[], string[]]>([
    ["known", [first, guard(l3, 8, [ret()])], one],
    ["more than known", [first, guard(l3, 24, [ret()])], [...one, "guard skb.l3 24 else"]],
    ["seen from further on", [first, set(l2, add(l3, 12)), guard(l2, 8, [ret()])], one],
    ["too far on", [first, set(l2, add(l3, 12)), guard(l2, 9, [ret()])], [...one, "guard skb.l2 9 else"]],
    ["there and back", [first, set(l3, add(l3, 8)), set(l3, sub(l3, 8)), guard(l3, 20, [ret()])], one],
    ["moved by something", [first, set(l3, add(l3, c)), first], [...one, ...one]],
    ["tail changed", [first, set(tail, c), first], [...one, ...one]],
    ["guarded on one side", [when(c, [first]), first], [...one, ...one]],
    ["guarded on both sides", [when(c, [first], [first]), first], [...one, ...one]],
    ["inside a loop that leaves it", [first, repeat(c, "l", [first])], one],
    ["inside a loop that moves it", [first, repeat(c, "l", [first, set(l3, add(l3, 4))])], [...one, ...one]],
    ["behind a call that moves it", [first, run("move"), first], [...one, ...one]],
    ["behind a call that does not", [first, run("stay"), first], one],
  ])("%s", (_, body, expected) => {
    const others = [inner("move", [], null, [set(l3, add(l3, 1))]), inner("stay", [], null, [set(l2, 1)])];
    const found = passed(guards, [...start, ...body], ...others).match(/guard .* else/g) ?? [];
    expect(found).toEqual(expected);
  });

  it("of a parameter that is required", () => {
    const callee = inner("g", [a], null, [guard(a, 8, [ret()])], { requires: [{ cursor: a, bytes: 8 }] });
    expect(guards(planOf(SKB, callee)).procs[0].body).toEqual([]);
  });

  it("keeps the first", () => {
    expect(kept([first])).toEqual(one);
  });
});

describe("dead-sets", () => {
  const stay = inner("g", [], "i32", [ret(l2)]);
  it.each<[string, Step[], string]>([
    ["set again", [set(a, b), set(a, c), set(l2, a)], text("set a = c", "set skb.l2 = a")],
    ["never read", [set(a, b)], ""],
    ["read on one side", [set(a, b), when(c, [set(l2, a)])], text("set a = b", "if c {", "  set skb.l2 = a", "}")],
    [
      "in the next round",
      [repeat(b, "l", [set(l2, a), set(a, c)])],
      text("repeat b l {", "  set skb.l2 = a", "  set a = c", "}"),
    ],
    [
      "at a break",
      [block("l", [set(a, 1), when(c, [leave("l")]), set(a, 2)]), set(l2, a)],
      text(...["block l {", "  set a = 1", "  if c {", "    break l", "  }", "  set a = 2", "}", "set skb.l2 = a"]),
    ],
    ["a call stays", [set(a, call("g", []))], "do call g()"],
    ["a trace reads", [set(a, b), trace(1, [a])], text("set a = b", "trace 1 (a)")],
    [
      "a guard reads",
      [set(tail, 1), set(a, b), guard(a, 1, [ret()])],
      text("set skb.tail = 1", "set a = b", "guard a 1 else {", "  return", "}"),
    ],
    ["in flight, set again", [set(l2, 1), set(l2, 2)], "set skb.l2 = 2"],
    [
      "in flight, a call may read it",
      [set(l2, 1), run("g"), set(l2, 2)],
      text("set skb.l2 = 1", "do call g()", "set skb.l2 = 2"),
    ],
    ["in flight, nobody ever reads it", [set(l3, 1)], ""],
  ])("%s", (_, body, expected) => {
    expect(passed(deadSets, body, stay)).toBe(expected);
  });

  it("registers that are gone are not declared", () => {
    const plan = deadSets(planOf(SKB, proc("f", [], null, [set(l3, 1)]), stay));
    expect(plan.skb.map(({ name }) => name)).toEqual(["tail", "l2"]);
  });
});

describe("inline", () => {
  const twice = inner("twice", [a], "i32", [when(eqz(a), [ret(0)]), ret(add(a, a))]);
  const body = [
    ...["block inline~1 {", "  set a~1 = 7", "  if eqz(a~1) {", "    set result~1 = 0", "    break inline~1", "  }"],
    ...["  set result~1 = a~1 + a~1", "  break inline~1", "}"],
  ];
  it.each<[string, Step, string[]]>([
    ["the whole value", set(l2, call("twice", [7])), [...body, "set skb.l2 = result~1"]],
    ["deep in an expression", set(l2, add(b, eqz(call("twice", [7])))), [...body, "set skb.l2 = b + eqz(result~1)"]],
    ["a condition", when(call("twice", [7]), [ret()]), [...body, "if result~1 {", "  return", "}"]],
    ["a result that is not used", run("twice", [7]), body],
    [
      "behind something that it may change",
      set(l2, add(l3, call("twice", [7]))),
      ["set skb.l2 = skb.l3 + call twice(7)"],
    ],
  ])("%s", (_, step, expected) => {
    expect(passed(inline, [step], twice)).toBe(text(...expected));
  });

  it("names and labels of a body that was inlined into stay apart", () => {
    const loops = inner("loops", [], null, [repeat(3, "l", [set(a, 1)]), repeat(3, "l~1", [set(local("a~1"), 2)])]);
    expect(passed(inline, [run("loops")], loops)).toBe(
      text(
        ...["block inline~1 {", "  repeat 3 l~1 {", "    set a~1 = 1", "  }"],
        ...["  repeat 3 l~1~1 {", "    set a~1~1 = 2", "  }", "}"],
      ),
    );
  });

  it("what is called often is inlined when it is tiny, and left when it is not", () => {
    const tiny = inner("tiny", [], "i32", [ret(l3)]);
    const large = inner(
      "large",
      [],
      null,
      [1, 2, 3, 4].map((n) => set(l2, n)),
    );
    const steps = [set(a, call("tiny", [])), set(b, call("tiny", [])), run("large"), run("large")];
    expect(passed(inline, steps, tiny, large).match(/call \w+/g)).toEqual(["call large", "call large"]);
  });
});

describe("unused", () => {
  it("drops what no exported proc reaches", () => {
    const plan = planOf(
      [],
      proc("f", [], null, [run("g")]),
      inner("g", [], null, [set(tail, 1)]),
      inner("h", [], null, []),
    );
    expect(unused(plan).procs.map(({ name }) => name)).toEqual(["f", "g"]);
  });

  it("drops calls that change nothing", () => {
    const pure = inner("pure", [a], "i32", [ret(load("image", 4, a))]);
    const loud = inner("loud", [], null, [trace(1, [])]);
    expect(passed(unused, [run("pure", [1]), run("loud")], pure, loud)).toBe("do call loud()");
  });
});

it("withoutTrace drops every trace and nothing else", () => {
  const plan = planOf([], proc("f", [a], null, [trace(1, [a]), when(a, [trace(2, []), set(tail, 1)])]));
  expect(printPlan(withoutTrace(plan))).toBe(
    "skb tail\n\nexport proc f(a) {\n  if a {\n    set skb.tail = 1\n  }\n}\n",
  );
});
