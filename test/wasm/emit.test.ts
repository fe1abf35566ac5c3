/** Emission step by step: every operator and step as wasm computes it, against the interpreter. */
import { describe, expect, it } from "vitest";
import type { Value } from "../../src/plan/arithmetic.ts";
import { interpret, traceRecorder } from "../../src/plan/interpret.ts";
import {
  add,
  and,
  type BinaryOp,
  binary,
  block,
  call,
  type Expr,
  eq,
  eqz,
  guard,
  i32,
  i64,
  leave,
  load,
  local,
  ne,
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
  select,
  set,
  skbReg,
  store,
  sub,
  tail,
  trace,
  typeOf,
  type UnaryOp,
  unary,
  when,
} from "../../src/plan/ir.ts";
import { emitModule } from "../../src/wasm/emit.ts";

const LEVELS = [0, 1, 2] as const;
const TRACE = { cursor: 16, end: 20, lost: 24 };
const [PACKET, PACKET_END] = [1024, 1056];

const a = local("a");
const b = local("b");
const a64 = local("a64", "i64");
const b64 = local("b64", "i64");
const cursor = local("cursor");
const l3 = skbReg("l3");

const proc = (name: string, params: readonly Reg[], result: Proc["result"], body: readonly Step[]): Proc => ({
  name,
  comment: "",
  params,
  result,
  requires: [],
  body,
  exported: true,
});
const planOf = (...procs: Proc[]): Plan => ({ procs, skb: [tail, l3] });

/** Bytes 0x81, 0x92, ... from PACKET on, an empty trace region of two small records elsewhere. */
function freshMemory(): Uint8Array {
  const memory = new Uint8Array(65536);
  for (let i = 0; i < PACKET_END - PACKET; i++) memory[PACKET + i] = 0x81 + i * 17;
  new Uint32Array(memory.buffer, TRACE.cursor, 2).set([2048, 2048 + 32]);
  return memory;
}

/** Runs a proc by the interpreter and by wasm at every level; they must agree in result and memory. */
async function agree(plan: Plan, name: string, calls: readonly (readonly Value[])[]): Promise<(Value | null)[]> {
  const memory = freshMemory();
  const twin = interpret(plan, { memory, onTrace: traceRecorder(memory, TRACE) });
  const expected = calls.map((args) => twin.call(name, args));
  for (const level of LEVELS) {
    const segments = [{ offset: 0, bytes: freshMemory() }];
    const options = { segments, initialPages: 1, maximumPages: 1, traceRegion: TRACE, level };
    const { wasm } = await emitModule([{ plan, suffix: "_x" }], options);
    const instance = new WebAssembly.Instance(new WebAssembly.Module(wasm));
    const run = instance.exports[`${name}_x`] as (...args: Value[]) => Value | undefined;
    const results = calls.map((args) => run(...args) ?? null);
    expect({ level, results }).toEqual({ level, results: expected });
    const after = new Uint8Array((instance.exports.memory as WebAssembly.Memory).buffer);
    expect(Buffer.compare(after, memory), `memory at level ${level}`).toBe(0);
  }
  return expected;
}

const VALUES = [0, 1, -1, 2, 31, 32, 33, 255, 0x8000, 0x12345678, 0x7fffffff, -0x80000000];
const VALUES64 = [0n, 1n, -1n, 63n, 64n, 65n, 0x123456789abcdef0n, 2n ** 63n - 1n, -(2n ** 63n)];
const pairs = <T>(values: readonly T[]): T[][] => values.flatMap((x) => values.map((y) => [x, y]));

describe("operators", () => {
  const BINARY: BinaryOp[] = [
    "add",
    "sub",
    "mul",
    "and",
    "or",
    "xor",
    "shl",
    "shr",
    "shr_s",
    "rotl",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "lt_s",
    "gt_s",
  ];
  it.each(BINARY)("%s of i32 and i64", async (op) => {
    await agree(planOf(proc("f", [a, b], "i32", [ret(binary(op, a, b))])), "f", pairs(VALUES));
    const e = binary(op, a64, b64);
    await agree(planOf(proc("f", [a64, b64], typeOf(e), [ret(e)])), "f", pairs(VALUES64));
  });

  it.each([1, 2, 4] as const)("extend of %i loaded bytes, the highest bit set", async (bytes) => {
    const extended = unary("extend", load("image", bytes, a));
    const f = proc("f", [a], "i64", [ret(extended)]);
    expect(await agree(planOf(f), "f", [[PACKET], [PACKET + 4]])).not.toContain(0n);
    const g = proc("f", [a], "i32", [ret(unary("wrap", binary("shr", extended, i64(32n))))]);
    expect(await agree(planOf(g), "f", [[PACKET], [PACKET + 4]])).toEqual([0, 0]);
  });

  it.each(["div", "rem"] as const)("%s by what is not 0", async (op) => {
    await agree(planOf(proc("f", [a, b], "i32", [ret(binary(op, a, or(b, 1)))])), "f", pairs(VALUES));
    const divisor = or(b64, i64(1n));
    await agree(planOf(proc("f", [a64, b64], "i64", [ret(binary(op, a64, divisor))])), "f", pairs(VALUES64));
  });

  const UNARY: [UnaryOp, Reg][] = [
    ["eqz", a],
    ["clz", a],
    ["popcnt", a],
    ["bswap16", a],
    ["bswap32", a],
    ["extend", a],
    ["extend_s", a],
    ["eqz", a64],
    ["clz", a64],
    ["popcnt", a64],
    ["wrap", a64],
    ["bswap64", a64],
  ];
  it.each(UNARY)("%s of %o", async (op, reg) => {
    const e = unary(op, reg);
    const plan = planOf(proc("f", [reg], typeOf(e), [ret(e)]));
    await agree(
      plan,
      "f",
      (reg === a ? VALUES : VALUES64).map((x) => [x]),
    );
  });

  it("select takes by any bit of the condition", async () => {
    const plan = planOf(proc("f", [a, b], "i32", [ret(select(a, b, sub(b, 1)))]));
    await agree(plan, "f", pairs(VALUES));
  });
});

describe("memory", () => {
  const inPacket = (...body: Step[]): Plan =>
    planOf(proc("f", [cursor, a, a64], "i64", [set(tail, PACKET_END), guard(cursor, 16, [ret(i64(-1n))]), ...body]));
  const calls: Value[][] = [
    [PACKET, 0x12345678, 0x0123456789abcdefn],
    [PACKET + 16, -1, -2n],
  ];
  const wide = (e: Expr): Expr => (typeOf(e) === "i64" ? e : unary("extend", e));

  it.each([1, 2, 4, 8] as const)("packet bytes in network order, %i at a time", async (bytes) => {
    const [read] = await agree(inPacket(ret(wide(packet(cursor, 3, bytes)))), "f", calls);
    const expected = [...freshMemory().subarray(PACKET + 3, PACKET + 3 + bytes)]
      .map((x) => x.toString(16).padStart(2, "0"))
      .join("");
    expect(BigInt.asUintN(64, read as bigint).toString(16)).toBe(expected);
  });

  it.each([1, 2, 4, 8] as const)("put in network order, %i at a time", async (bytes) => {
    const value = bytes === 8 ? a64 : a;
    await agree(inPacket(put(cursor, 5, bytes, value), ret(wide(packet(cursor, 5, bytes)))), "f", calls);
    const copy = put(cursor, 0, bytes, packet(cursor, 8, bytes));
    await agree(inPacket(copy, ret(wide(packet(cursor, 0, bytes)))), "f", calls);
  });

  it("put as it lies in a table", async () => {
    const copy = put(cursor, 5, 8, unary("bswap64", load("image", 8, 1024, 0)));
    await agree(inPacket(copy, ret(packet(cursor, 5, 8))), "f", calls);
  });

  it("bytes before the cursor", async () => {
    const moved = [set(cursor, add(cursor, 8)), put(cursor, -8, 4, a), ret(wide(packet(cursor, -6, 4)))];
    await agree(inPacket(...moved), "f", calls);
  });

  it.each([
    ["equal to a constant", eq(packet(cursor, 2, 2), 0xa3b4)],
    ["equal to a constant that is too large", eq(packet(cursor, 2, 2), 0x1a3b4)],
    ["not equal, 4 bytes", ne(packet(cursor, 0, 4), 0x8192a3b4 | 0)],
    ["masked", eq(and(packet(cursor, 0, 4), 0xffff0000 | 0), 0x81920000 | 0)],
    ["masked by 16 bits of a larger mask", eq(and(packet(cursor, 0, 2), 0x3ff00), 0x8100)],
    ["two fields", eq(packet(cursor, 0, 4), packet(cursor, 4, 4))],
    ["a table's word in network order", eq(unary("bswap32", load("image", 4, 1024, 0)), packet(cursor, 0, 4))],
    ["a table's eight bytes in network order", eq(unary("bswap64", load("image", 8, 1024, 0)), packet(cursor, 0, 8))],
    ["six bytes of eight", eq(and(packet(cursor, 0, 8), i64(-0x10000n)), i64(-0x7e6d5c4c00000000n))],
    ["a bit", eqz(and(packet(cursor, 0, 2), 0x8000))],
    ["a masked field as a number", and(packet(cursor, 0, 2), 0xff00)],
  ])("compares without turning: %s", async (_, e) => {
    await agree(inPacket(when(e, [ret(i64(7n))]), ret(wide(e))), "f", calls);
  });

  it("loads and stores are little-endian", async () => {
    const body = ([1, 2, 4] as const).map((bytes, i) =>
      store("image", bytes, a, 8 * i, load("batch", bytes, PACKET, i)),
    );
    const last = store("batch", 8, add(a, 1), 32, load("image", 8, a, 3));
    const plan = planOf(proc("f", [a], "i64", [...body, last, ret(load("image", 8, a, 0))]));
    await agree(plan, "f", [[512], [4096], [513]]);
  });

  it("a guard cannot be passed by wrapping round", async () => {
    const plan = planOf(proc("f", [cursor], "i32", [set(tail, PACKET_END), guard(cursor, 8, [ret(0)]), ret(1)]));
    const cursors = [PACKET, PACKET_END - 8, PACKET_END - 7, PACKET_END, PACKET_END + 1, -1, -8, -0x80000000];
    expect(
      await agree(
        plan,
        "f",
        cursors.map((c) => [c]),
      ),
    ).toEqual([1, 1, 0, 0, 0, 0, 0, 0]);
  });
});

describe("control", () => {
  it("repeat runs its count, and ends early by a break", async () => {
    const n = local("n");
    const plan = planOf(
      proc("f", [a, b], "i32", [
        set(n, 0),
        repeat(a, "rounds", [
          set(a, 1000), // the count was taken before the first round
          when(eq(n, b), [leave("rounds")]),
          set(n, add(n, 1)),
        ]),
        ret(n),
      ]),
    );
    expect(
      await agree(plan, "f", [
        [5, 9],
        [5, 2],
        [0, 0],
      ]),
    ).toEqual([5, 2, 0]);
  });

  it("loops in loops, breaks out of both, and a label used twice in a row", async () => {
    const n = local("n");
    const inner = repeat(4, "inner", [
      set(n, add(n, 1)),
      when(eq(n, a), [leave("outer")]),
      when(eq(n, b), [leave("inner")]),
    ]);
    const body = [set(n, 0), repeat(3, "outer", [inner, block("inner", [leave("inner")])]), ret(n)];
    const plan = planOf(proc("f", [a, b], "i32", body));
    expect(
      await agree(plan, "f", [
        [99, 99],
        [6, 99],
        [99, 2],
        [99, 5],
      ]),
    ).toEqual([12, 6, 10, 9]);
  });

  it("calls change the packet in flight, and operands before them are read before", async () => {
    const move = proc("move", [a], "i32", [set(l3, add(l3, a)), ret(l3)]);
    const nothing = proc("nothing", [], null, [set(l3, add(l3, 1000))]);
    const e = add(add(l3, call("move", [a])), add(l3, call("move", [100])));
    const main = proc("f", [a], "i32", [set(l3, 1), run("nothing"), run("move", [10]), ret(e)]);
    expect(await agree(planOf(move, nothing, main), "f", [[3]])).toEqual([1011 + 1014 + 1014 + 1114]);
  });

  it("a put reads its cursor after its value", async () => {
    const move = proc("move", [], "i32", [set(l3, add(l3, 4)), ret(0x77)]);
    const body = [
      set(tail, PACKET_END),
      set(l3, PACKET),
      guard(l3, 8, [ret(0)]),
      put(l3, 0, 1, call("move", [])),
      ret(packet(l3, 0, 1)),
    ];
    expect(await agree(planOf(move, proc("f", [], "i32", body)), "f", [[]])).toEqual([0x77]);
  });
});

describe("trace", () => {
  const plan = planOf(
    proc("f", [a, a64], "i32", [
      trace(7, [add(a, 1), a64]), // 16 bytes
      trace(8, []), // 4 bytes
      trace(9, [a, a, a]), // does not fit behind the first two
      ret(0),
    ]),
  );

  it("writes records one after the other until one does not fit", async () => {
    await agree(plan, "f", [[0x1234, -2n]]);
    const memory = freshMemory();
    interpret(plan, { memory, onTrace: traceRecorder(memory, TRACE) }).call("f", [0x1234, -2n]);
    const words = [...new Uint32Array(memory.buffer, 2048, 6)];
    expect(words).toEqual([7 | (3 << 8), 0x1235, 0xfffffffe, 0xffffffff, 8, 0]);
    expect([...new Uint32Array(memory.buffer, TRACE.cursor, 3)]).toEqual([2048 + 20, 2048 + 32, 1]);
  });
});

describe("module", () => {
  const plan = planOf(proc("f", [a], "i32", [ret(add(a, 1))]), { ...proc("hidden", [], null, []), exported: false });
  const options = { segments: [], initialPages: 1, maximumPages: 2, traceRegion: TRACE, level: 2 } as const;
  const units = [
    { plan, suffix: "" },
    { plan, suffix: "_trace" },
  ];

  it("exports the memory and what is marked, of every unit, and imports nothing", async () => {
    const module = new WebAssembly.Module((await emitModule(units, options)).wasm);
    expect(
      WebAssembly.Module.exports(module)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(["f", "f_trace", "memory"]);
    expect(WebAssembly.Module.imports(module)).toEqual([]);
  });

  it("gives the same bytes for the same plan", async () => {
    const [first, second] = [await emitModule(units, options), await emitModule(units, options)];
    expect(Buffer.compare(first.wasm, second.wasm)).toBe(0);
  });

  it("prints itself with the plan's names", async () => {
    const { wat } = await emitModule(units, { ...options, level: 0 });
    expect(wat()).toContain("$f_trace");
    expect(wat()).toContain("$skb.tail");
  });

  it("takes an image of megabytes", async () => {
    const bytes = new Uint8Array(20 << 20).fill(1);
    const big = { ...options, segments: [{ offset: 0, bytes }], initialPages: 320, maximumPages: 400 };
    const { wasm } = await emitModule([{ plan, suffix: "" }], big);
    const instance = new WebAssembly.Instance(new WebAssembly.Module(wasm));
    expect(new Uint8Array((instance.exports.memory as WebAssembly.Memory).buffer)[(20 << 20) - 1]).toBe(1);
  });

  it("folds a constant address into the instruction", async () => {
    const constant = planOf(proc("f", [], "i32", [ret(load("image", 4, i32(4096), 8))]));
    const { wat } = await emitModule([{ plan: constant, suffix: "" }], { ...options, level: 0 });
    expect(wat()).toMatch(/i32\.load offset=4104 align=1\s+\(i32\.const 0\)/);
  });
});
