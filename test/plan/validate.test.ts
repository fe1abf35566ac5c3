/** The checker: each way to be wrong is found under its name, and what is right passes. */
import { describe, expect, it } from "vitest";
import {
  add,
  block,
  call,
  type Expr,
  eq,
  eqz,
  expr,
  guard,
  i64,
  leave,
  local,
  or,
  type Plan,
  type Proc,
  packet,
  put,
  type Reg,
  repeat,
  ret,
  run,
  type Step,
  set,
  skbReg,
  store,
  sub,
  tail,
  trace,
  unary,
  vector,
  when,
} from "../../src/plan/ir.ts";
import { VIOLATIONS, type ViolationKind, validatePlan, violationsOf } from "../../src/plan/validate.ts";
import { inner, planOf, proc } from "./helpers.ts";

const a = local("a");
const c = local("c");
const wide = local("wide", "i64");
const v = local("v", "v128");
const mark = skbReg("mark", "v128");
const l2 = skbReg("l2");
const l3 = skbReg("l3");
const skb = [l2, l3];

const kinds = (plan: Plan): ViolationKind[] => violationsOf(plan).map(({ kind }) => kind);
/** A proc with a, c, wide as parameters and a result. */
const body = (...steps: Step[]): Plan => planOf(skb, proc("f", [a, c, wide], "i32", [...steps, ret(0)]));
const read = (cursor: Reg, offset: number): Step => set(a, packet(cursor, offset, 1));
/** Guarded: afterwards `bytes` of l3 are known. */
const guarded = (bytes: number, cursor = l3): Step[] => [set(tail, a), set(cursor, c), guard(cursor, bytes, [ret(1)])];
const bad = (e: unknown): Expr => e as Expr;
/** What modules have in common. */
const SHARED = { reads: [tail, l2, l3], sets: [l2] };
/** A proc that another module calls, which has looked at 20 bytes. */
const entryOf = (steps: readonly Step[], ...more: Proc[]): Plan =>
  planOf(skb, proc("f", [], "i32", steps, { requires: [{ cursor: l3, bytes: 20 }], shared: SHARED }), ...more);

const WRONG: [ViolationKind, string, Plan][] = [
  ["duplicate-proc", "same name", planOf([], proc("f", [], null, []), proc("f", [], null, []))],
  ["unknown-proc", "call", body(run("nobody"))],
  ["call-cycle", "itself", planOf([], proc("f", [], null, [run("f")]))],
  ["call-cycle", "through another", planOf([], proc("f", [], null, [run("g")]), inner("g", [], null, [run("f")]))],
  ["duplicate-register", "skb", { skb: [tail, tail], procs: [] }],
  ["duplicate-register", "parameters", planOf([], proc("f", [a, a], null, []))],
  ["unknown-register", "skb register", body(set(skbReg("nowhere"), 1))],
  ["register-type", "local", body(set(local("a", "i64"), i64(1n)))],
  ["register-type", "skb", body(set(skbReg("l3", "i64"), i64(1n)))],
  ["parameter-scope", "parameter", planOf(skb, proc("f", [l3], null, []))],
  ["parameter-scope", "requires", planOf(skb, inner("f", [a], null, [], { requires: [{ cursor: c, bytes: 1 }] }))],
  ["type-mismatch", "set", body(set(a, wide))],
  ["type-mismatch", "operands", body(set(a, eq(a, wide)))],
  ["type-mismatch", "operator", body(set(a, unary("bswap32", wide)))],
  ["type-mismatch", "operator of a word", body(set(wide, unary("bswap64", a)))],
  ["type-mismatch", "condition", body(when(wide, []))],
  ["type-mismatch", "store", body(store("image", 8, a, 0, a))],
  ["type-mismatch", "cursor", body(set(tail, 1), guard(wide, 1, [ret(0)]))],
  ["type-mismatch", "vector operand", body(set(v, vector("splat", [wide])))],
  ["type-mismatch", "vector operands", body(set(v, vector("add", [vector("splat", [a])])))],
  ["type-mismatch", "operator of vectors", body(set(v, vector("splat", [a])), set(v, add(v, v)))],
  ["type-mismatch", "store of a vector", body(store("image", 16, a, 0, a))],
  ["type-mismatch", "vector in a trace", body(set(v, vector("splat", [a])), trace(1, [v]))],
  ["register-type", "vector in flight", planOf([mark], proc("f", [a], null, [set(mark, vector("splat", [a]))]))],
  ["offset-range", "lane", body(set(v, vector("splat", [a])), set(a, vector("word", [v], { lane: 4 })))],
  ["offset-range", "vector load", body(set(v, vector("load", [a], { offset: -1 })))],
  ["call-mismatch", "count", planOf([], proc("f", [], null, [run("g", [1])]), inner("g", [], null, []))],
  ["call-mismatch", "type", planOf([], proc("f", [], null, [run("g", [1])]), inner("g", [wide], null, []))],
  ["call-mismatch", "no result", planOf([], proc("f", [], "i32", [ret(call("g", []))]), inner("g", [], null, []))],
  ["wrong-return", "none", planOf([], proc("f", [], "i32", [ret()]))],
  ["wrong-return", "too much", planOf([], proc("f", [], null, [ret(1)]))],
  ["constant-range", "unsigned", body(set(a, bad({ kind: "const", type: "i32", value: 0x80000000 })))],
  ["constant-range", "bigint", body(set(a, bad({ kind: "const", type: "i32", value: 1n })))],
  ["offset-range", "load", body(store("image", 4, a, -4, a))],
  ["offset-range", "packet", body(...guarded(20), read(l3, 1e6))],
  ["zero-divisor", "register", body(set(a, { kind: "binary", op: "div", left: expr(a), right: expr(c) }))],
  ["zero-divisor", "zero", body(set(a, { kind: "binary", op: "rem", left: expr(a), right: expr(0) }))],
  ["unbound-label", "nowhere", body(leave("l"))],
  ["unbound-label", "a block that is closed", body(block("l", []), leave("l"))],
  ["label-reuse", "inside itself", body(block("l", [repeat(1, "l", [])]))],
  ["trace-call", "call", planOf([], proc("f", [], null, [trace(1, [call("g", [])])]), inner("g", [], "i32", [ret(1)]))],
  ["trace-size", "65 words", body(trace(1, Array<Reg>(65).fill(a)))],

  ["unset-register", "local", body(set(a, local("b")))],
  ["unset-register", "on one side", body(when(a, [set(local("b"), 1)]), set(a, local("b")))],
  ["unset-register", "in a loop that may not run", body(repeat(a, "l", [set(local("b"), 1)]), set(a, local("b")))],
  ["unset-register", "skb, exported", body(set(a, l3))],
  ["unset-register", "tail", body(guard(a, 1, [ret(0)]))],
  [
    "unset-register",
    "by a callee's reading",
    planOf(skb, proc("f", [], "i32", [ret(call("g", []))]), inner("g", [], "i32", [ret(l3)])),
  ],

  ["unguarded-access", "no guard", body(set(tail, 1), read(a, 0))],
  ["unguarded-access", "behind the guard", body(...guarded(20), set(a, packet(l3, 17, 4)))],
  ["unguarded-access", "before the cursor", body(...guarded(20), read(l3, -1))],
  ["unguarded-access", "put", body(...guarded(20), put(l3, 20, 1, 0))],
  ["unguarded-access", "cursor set", body(...guarded(20), set(l3, add(a, c)), read(l3, 0))],
  ["unguarded-access", "cursor moved on", body(...guarded(20), set(l3, add(l3, 4)), read(l3, 16))],
  ["unguarded-access", "cursor moved back", body(...guarded(20), set(l3, sub(l3, 14)), read(l3, 13))],
  ["unguarded-access", "tail set", body(...guarded(20), set(tail, a), read(l3, 0))],
  ["unguarded-access", "guarded on one side", body(set(tail, a), when(a, [guard(c, 1, [ret(1)])]), read(c, 0))],
  ["unguarded-access", "in the else of the guard", body(set(tail, a), guard(c, 1, [read(c, 0), ret(1)]))],
  ["unguarded-access", "less on one side", body(...guarded(8), when(a, [guard(l3, 20, [ret(1)])]), read(l3, 8))],
  ["unguarded-access", "moved in a loop", body(...guarded(20), repeat(a, "l", [read(l3, 0), set(l3, add(l3, 4))]))],
  [
    "unguarded-access",
    "known at the end of a block, not at a break out of it",
    body(set(tail, a), block("l", [when(a, [leave("l")]), guard(c, 4, [ret(1)])]), read(c, 0)),
  ],
  [
    "unguarded-access",
    "callee moves the cursor",
    planOf(
      skb,
      proc("f", [a, c], "i32", [...guarded(20), run("g"), ret(packet(l3, 0, 1))]),
      inner("g", [], null, [set(l3, add(l3, 4))]),
    ),
  ],
  [
    "unguarded-access",
    "callee's callee sets tail",
    planOf(
      skb,
      proc("f", [a, c], "i32", [...guarded(20), run("g"), ret(packet(l3, 0, 1))]),
      inner("g", [], null, [run("h")]),
      inner("h", [], null, [set(tail, sub(tail, 1))]),
    ),
  ],
  [
    "unguarded-access",
    "callee's guard leaves, but the caller goes on",
    planOf(
      skb,
      proc("f", [a, c], "i32", [set(tail, a), set(l3, c), run("g"), ret(packet(l3, 0, 1))]),
      inner("g", [], null, [guard(l3, 20, [ret()])]),
    ),
  ],
  ["guard-falls-through", "empty", body(set(tail, 1), guard(a, 1, []))],
  ["guard-falls-through", "one side", body(set(tail, 1), guard(a, 1, [when(c, [ret(1)])]))],
  ["missing-result", "empty", planOf([], proc("f", [], "i32", []))],
  ["missing-result", "one side", planOf([], proc("f", [a], "i32", [when(a, [ret(1)])]))],
  ["missing-result", "loop", planOf([], proc("f", [a], "i32", [repeat(a, "l", [ret(1)])]))],
  ["unproved-requires", "exported", planOf(skb, proc("f", [], null, [], { requires: [{ cursor: l3, bytes: 20 }] }))],
  [
    "unproved-requires",
    "too little",
    planOf(
      skb,
      proc("f", [a, c], null, [set(tail, a), guard(c, 8, [ret()]), run("g", [add(c, 1)])]),
      inner("g", [a], null, [], { requires: [{ cursor: a, bytes: 8 }] }),
    ),
  ],
  [
    "unproved-requires",
    "stale by a call among the arguments",
    planOf(
      skb,
      proc("f", [a, c], null, [set(tail, a), guard(c, 8, [ret()]), run("g", [c, call("h", [])])]),
      inner("g", [a, c], null, [], { requires: [{ cursor: a, bytes: 8 }] }),
      inner("h", [], "i32", [set(tail, 0), ret(0)]),
    ),
  ],
  [
    "unproved-requires",
    "of another module's proc",
    planOf(
      skb,
      proc("f", [a, c], "i32", [set(tail, a), set(l3, c), set(l2, c), ret(call("g", [a]))]),
      inner("g", [a], "i32", [], { requires: [{ cursor: l3, bytes: 20 }], shared: SHARED }),
    ),
  ],
  [
    "unset-register",
    "that another module reads",
    planOf(skb, proc("f", [a], "i32", [ret(call("g", [a]))]), inner("g", [a], "i32", [], { shared: SHARED })),
  ],
  [
    "unguarded-access",
    "behind what another module may have set",
    planOf(
      skb,
      proc("f", [a, c], "i32", [...guarded(20), set(l2, l3), run("g", [a]), ret(packet(l2, 0, 4))]),
      inner("g", [a], "i32", [], { shared: SHARED }),
    ),
  ],
  ["foreign-register", "through a callee", entryOf([run("g"), ret(0)], inner("g", [], null, [set(l3, 0)]))],
];

const RIGHT: [string, Plan][] = [
  ["reading what is guarded", body(...guarded(20), set(a, packet(l3, 16, 4)), put(l3, 0, 8, wide))],
  ["behind a cursor that moved on", body(...guarded(34, l2), set(l3, add(l2, 14)), read(l3, -14), read(l3, 19))],
  ["there and back", body(...guarded(34, l2), set(l2, add(l2, 14)), set(l2, sub(l2, 14)), read(l2, 0))],
  ["two guards", body(...guarded(8), guard(l3, 20, [ret(1)]), read(l3, 19))],
  ["before and behind joined", body(...guarded(14, l2), set(l3, add(14, l2)), guard(l3, 20, [ret(1)]), read(l3, -3))],
  ["guarded on both sides", body(set(tail, a), when(a, [guard(c, 4, [ret(1)])], [guard(c, 8, [ret(2)])]), read(c, 3))],
  ["one side leaves", body(...guarded(8), when(a, [guard(l3, 20, [ret(1)])], [ret(2)]), read(l3, 19))],
  ["a guard in a loop", body(set(tail, a), repeat(a, "l", [guard(c, 4, [leave("l")]), read(c, 3), set(c, add(c, 4))]))],
  ["a loop that leaves the cursor alone", body(...guarded(20), repeat(a, "l", [read(l3, 19)]), read(l3, 0))],
  ["set on both sides", body(when(a, [set(local("b"), 1)], [set(local("b"), 2)]), set(a, local("b")))],
  ["steps behind a return", body(ret(0), read(a, 5))],
  ["dividing by what is or-ed", body(set(a, { kind: "binary", op: "div", left: expr(a), right: or(c, 1) }))],
  ["a label twice, one after the other", body(block("l", []), block("l", [leave("l")]))],
  [
    "a bare `do` of a proc with a result",
    planOf([], proc("f", [], null, [run("g")]), inner("g", [], "i64", [ret(i64(1n))])),
  ],
  [
    "a callee that leaves the cursor alone",
    planOf(
      skb,
      proc("f", [a, c], "i32", [...guarded(20), run("g"), ret(packet(l3, 0, 1))]),
      inner("g", [], null, [set(l2, l3)]),
    ),
  ],
  [
    "what a callee knows at all its returns",
    planOf(
      skb,
      proc("f", [a, c], "i32", [...guarded(34), run("pull"), ret(packet(l3, 19, 1))]),
      inner("pull", [], null, [set(l2, l3), when(eqz(l2), [set(l3, add(l2, 10)), ret()]), set(l3, add(l3, 14))], {
        requires: [{ cursor: l3, bytes: 34 }],
      }),
    ),
  ],
  [
    "what is required is known",
    planOf(
      skb,
      proc("f", [a, c], "i32", [...guarded(20), ret(call("g", [add(l3, 12)]))]),
      inner("g", [a], "i32", [ret(add(packet(a, 0, 4), packet(l3, 19, 1)))], {
        requires: [
          { cursor: a, bytes: 8 },
          { cursor: l3, bytes: 20 },
        ],
      }),
    ),
  ],
  [
    "another module's proc",
    planOf(
      skb,
      proc("f", [a, c], "i32", [...guarded(20), set(l2, l3), run("g", [a]), ret(packet(l3, 0, 4))]),
      inner("g", [a], "i32", [], { requires: [{ cursor: l3, bytes: 20 }], shared: SHARED }),
    ),
  ],
  ["what another module calls", entryOf([set(l2, packet(l3, 0, 4)), ret(0)])],
  [
    "a callee reads what the caller set, and sets what it reads",
    planOf(skb, proc("f", [a, c], "i32", [...guarded(20), run("g"), ret(l2)]), inner("g", [], null, [set(l2, l3)])),
  ],
];

describe("wrong", () => {
  it.each(WRONG)("%s: %s", (kind, _, plan) => {
    expect(new Set(kinds(plan))).toEqual(new Set([kind]));
  });

  it("every kind has a case", () => {
    expect(new Set(WRONG.map(([kind]) => kind))).toEqual(new Set(Object.keys(VIOLATIONS)));
  });
});

describe("right", () => {
  it.each(RIGHT)("%s", (_, plan) => {
    expect(validatePlan(plan)).toEqual([]);
  });
});

it("says what was found, and where", () => {
  const plan = body(...guarded(20), when(eqz(a), [set(a, packet(l3, 18, 4))]));
  expect(validatePlan(plan)).toEqual([
    "unguarded-access: f: set a = packet 4 skb.l3[18]: 4 bytes at skb.l3[18]; known of skb.l3: bytes 0 to 20",
  ]);
});

it("reports once what a loop goes over several times", () => {
  const plan = body(...guarded(20), repeat(a, "l", [set(a, packet(c, 0, 1)), set(l3, add(l3, 4))]));
  expect(kinds(plan)).toHaveLength(1);
});
