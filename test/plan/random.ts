/**
 * Random plans, valid by construction, from a tape of choices: a shorter tape with smaller numbers is a simpler plan, so
 * fast-check shrinks them well.
 *
 *   plan    exported `main`, and procs that call those before them
 *   memory  packet at 1024, 64 bytes and room around; tables at 4096, 256 bytes; trace region at 8192
 */
import fc from "fast-check";
import {
  add,
  and,
  type BinaryOp,
  binary,
  block,
  call,
  type Expr,
  expr,
  guard,
  i32,
  i64,
  leave,
  load,
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
  select,
  set,
  skbReg,
  store,
  tail,
  trace,
  type UnaryOp,
  unary,
  type ValueType,
  when,
} from "../../src/plan/ir.ts";
import { allOperands, allSteps, expressions, mapBodies, mapExpr, mapExpressions } from "../../src/plan/visit.ts";

export const MEMORY_BYTES = 65536;
const PACKET = 1024;
const TABLES = 4096;
export const TRACE_REGION = { cursor: 16, end: 20, lost: 24 };
const TRACE_START = 8192;
const TRACE_BYTES = 1024;

export function randomMemory(seed: number): Uint8Array {
  const memory = new Uint8Array(MEMORY_BYTES);
  for (let i = PACKET - 64; i < PACKET + 128; i++) memory[i] = Math.imul(i ^ seed, 0x9e3779b1) >>> 24;
  for (let i = TABLES; i < TABLES + 512; i++) memory[i] = Math.imul(i + seed, 0x85ebca6b) >>> 24;
  new Uint32Array(memory.buffer, TRACE_REGION.cursor, 3).set([TRACE_START, TRACE_START + TRACE_BYTES, 0]);
  return memory;
}

/** The trace region cleared: what the hot build does not write. */
export function withoutTraceRegion(memory: Uint8Array): Uint8Array {
  const copy = memory.slice();
  copy.fill(0, TRACE_START, TRACE_START + TRACE_BYTES);
  copy.fill(0, TRACE_REGION.cursor, TRACE_REGION.lost + 4);
  return copy;
}

export interface RandomPlan {
  readonly plan: Plan;
  /** Arguments of calls of `main` to make one after the other. */
  readonly calls: readonly (readonly [number, number, bigint])[];
  readonly seed: number;
}

const BOUNDARY = [0, 1, -1, 2, 20, 64, 255, 0x7fffffff, -0x80000000];
const word = fc.oneof(fc.constantFrom(...BOUNDARY), fc.integer());
const call3 = fc.tuple(word, word, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }));

export const randomPlan: fc.Arbitrary<RandomPlan> = fc.record({
  plan: fc.array(fc.nat(0xffff), { maxLength: 600, size: "max" }).map((tape) => new Generator(tape).plan()),
  calls: fc.array(call3, { minLength: 1, maxLength: 4 }),
  seed: fc.nat(0xffff),
});

/** A plan with one thing wrong, or made wrong and right again by luck: a step dropped or said twice, an access moved. */
const harmedPlan = fc
  .record({ random: randomPlan, which: fc.nat(), by: fc.constantFrom(-4, -1, 1, 4) })
  .map(({ random, which, by }) => ({ ...random, plan: damage(random.plan, which, by) }));

/** A plan that reads what was guarded before a loop, a call or a new tail, and happens to be right now and then. */
const carelessPlan = fc
  .record({ tape: fc.array(fc.nat(0xffff), { maxLength: 200, size: "max" }), random: randomPlan })
  .map(({ tape, random }) => ({ ...random, plan: new Generator(tape, true).plan() }));

export const damagedPlan: fc.Arbitrary<RandomPlan> = fc
  .oneof(harmedPlan, carelessPlan)
  .map((random) => ({ ...random, calls: everyTail(random.calls[0]) }));

/** Packets of every length: a byte that is read by mistake is behind the end of some. */
const everyTail = ([, b, w]: readonly [number, number, bigint]): [number, number, bigint][] =>
  Array.from({ length: 64 }, (_, a) => [a, b, w]);

/** Harms the n-th step of the plan that can be harmed. */
function damage(plan: Plan, n: number, by: number): Plan {
  const steps = plan.procs.flatMap(({ body }) => allSteps(body).filter(harmable));
  const victim = steps[n % Math.max(steps.length, 1)];
  const moved = (e: Expr): Expr => (e.kind === "packet" ? { ...e, offset: e.offset + by } : e);
  const harm = (step: Step): Step[] => {
    if (step !== victim) return [step];
    if (step.kind === "put") return [{ ...step, offset: step.offset + by }];
    if (step.kind === "set" && isCursor(step.reg)) return by > 0 ? [step, step] : [];
    return step.kind === "guard" ? [] : [mapExpressions(step, (e) => mapExpr(e, moved))];
  };
  const harmed = (body: readonly Step[]): readonly Step[] =>
    body.flatMap((step) => harm(step).map((one) => mapBodies(one, harmed)));
  return { ...plan, procs: plan.procs.map((proc) => ({ ...proc, body: harmed(proc.body) })) };
}

const isCursor = (reg: Reg): boolean => reg === c1 || reg === c2 || reg === CURSOR;
const harmable = (step: Step): boolean =>
  step.kind === "put" ||
  step.kind === "guard" ||
  (step.kind === "set" && isCursor(step.reg)) ||
  allOperands(expressions(step)).some(({ kind }) => kind === "packet");

const c1 = skbReg("c1");
const c2 = skbReg("c2");
const x = skbReg("x");
const y = skbReg("y", "i64");
const SKB = [tail, c1, c2, x, y];
const LOCALS = [local("a"), local("b"), local("d")];
const WIDE = [local("w", "i64"), local("v", "i64")];
const CURSOR = local("c3");

const CONSTANTS = [0, 1, 2, 3, 4, 8, 14, 20, 31, 255, 256, 0xffff, -1, -14, 0x12345678, -0x80000000];
const BINARY: BinaryOp[] = ["add", "sub", "mul", "and", "or", "xor", "shl", "shr", "shr_s", "rotl", "div", "rem"];
const COMPARE: BinaryOp[] = ["eq", "ne", "lt", "le", "gt", "ge", "lt_s", "gt_s"];
const UNARY: UnaryOp[] = ["clz", "popcnt", "bswap16", "bswap32", "eqz"];
const UNARY64: UnaryOp[] = ["clz", "popcnt", "bswap64"];

/** What the generator keeps in mind on its way down the text. */
interface Scope {
  /** Bytes guarded from a cursor, for certain; emptied wherever it may be less. */
  readonly guarded: Map<Reg, number>;
  readonly labels: readonly string[];
  readonly result: ValueType | null;
  readonly callable: readonly Proc[];
  /** Deeper is simpler. */
  readonly depth: number;
}

class Generator {
  readonly #tape: readonly number[];
  #at = 0;
  #labels = 0;
  readonly #careless: boolean;

  /** @param careless believes that what was guarded once is guarded for ever: mostly wrong */
  constructor(tape: readonly number[], careless = false) {
    this.#tape = tape;
    this.#careless = careless;
  }

  plan(): Plan {
    const procs: Proc[] = [];
    const count = this.#pick(4);
    for (let i = 0; i < count; i++) procs.push(this.#proc(`p${i}`, procs));
    return { procs: [...procs, this.#main(procs)], skb: SKB };
  }

  /** The next choice, 0 .. n-1; 0 when the tape is over. */
  #pick(n: number): number {
    return (this.#tape[this.#at++] ?? 0) % n;
  }

  #of<T>(list: readonly T[]): T {
    return list[this.#pick(list.length)];
  }

  #main(callable: readonly Proc[]): Proc {
    const params = [LOCALS[0], LOCALS[1], WIDE[0]];
    const start = [
      set(tail, add(PACKET, and(LOCALS[0], 63))),
      set(c1, add(PACKET, and(LOCALS[1], 31))),
      set(c2, this.#of([c1, PACKET, add(c1, 4)] as const)),
      set(x, LOCALS[0]),
      set(y, WIDE[0]),
      set(LOCALS[2], 0),
      set(WIDE[1], i64(1n)),
      set(CURSOR, c1),
    ];
    const body = [...start, ...this.#mixed(this.#body(this.#scope("i32", callable), 9))];
    return { name: "main", comment: "", params, result: "i32", requires: [], body, exported: true };
  }

  #proc(name: string, callable: readonly Proc[]): Proc {
    const result = this.#of(["i32", null, "i64"] as const);
    const params = [LOCALS[0], WIDE[0]];
    const start = [set(LOCALS[1], 3), set(LOCALS[2], x), set(WIDE[1], y), set(CURSOR, c2)];
    const body = [...start, ...this.#body(this.#scope(result, callable), 5)];
    return { name, comment: "", params, result, requires: [], body, exported: false };
  }

  #scope(result: ValueType | null, callable: readonly Proc[]): Scope {
    return { guarded: new Map(), labels: [], result, callable, depth: 0 };
  }

  /** Ends in a return. */
  #body(scope: Scope, most: number): Step[] {
    return [...this.#steps(scope, most), this.#return(scope)];
  }

  /** The result of `main` has a bit of everything in it. */
  #mixed(body: readonly Step[]): Step[] {
    const all = [...LOCALS, x, c1, c2, CURSOR].map(expr).concat(unary("wrap", y), unary("wrap", WIDE[1]));
    const mix = all.reduce((sum, e) => binary("xor", binary("rotl", sum, 5), e));
    return body.map((step) =>
      step.kind === "return" && step.value !== null ? ret(binary("add", step.value, mix)) : step,
    );
  }

  #return(scope: Scope): Step {
    if (scope.result === null) return ret();
    return ret(scope.result === "i32" ? this.#expr(scope) : this.#wide(scope));
  }

  #steps(scope: Scope, most: number): Step[] {
    const steps: Step[] = [];
    for (let n = this.#pick(most + 1); n > 0; n--) steps.push(...this.#step(scope));
    return steps;
  }

  /** Inside a step nothing is taken over that was known outside, and nothing is known afterwards but what was before. */
  #inside(scope: Scope, labels = scope.labels): Scope {
    const guarded = new Map(this.#careless ? scope.guarded : []);
    return { ...scope, guarded, labels, depth: scope.depth + 1 };
  }

  #forget(scope: Scope): void {
    if (!this.#careless) scope.guarded.clear();
  }

  #leave(scope: Scope): Step {
    return scope.labels.length > 0 && this.#pick(2) === 1 ? leave(this.#of(scope.labels)) : this.#return(scope);
  }

  #step(scope: Scope): Step[] {
    const choice = this.#pick(scope.depth > 2 ? 8 : 14);
    switch (choice) {
      case 0:
        return [set(this.#of([...LOCALS, x]), this.#expr(scope))];
      case 1:
        return [set(this.#of([...WIDE, y]), this.#wide(scope))];
      case 2:
        return [trace(1 + this.#pick(20), [this.#pure(scope), this.#pureWide(scope)].slice(this.#pick(3)))];
      case 3:
        return [...this.#guard(scope), ...this.#put(scope), set(this.#of(LOCALS), this.#read(scope))];
      case 4:
        return [...this.#guard(scope), ...this.#move(scope), ...this.#guard(scope), ...this.#put(scope)];
      case 5:
        return [store("image", this.#of([1, 2, 4] as const), this.#table(scope), this.#pick(9), this.#expr(scope))];
      case 6:
        return this.#move(scope);
      case 7:
        return this.#do(scope);
      case 8:
      case 9: {
        const body = [
          when(this.#expr(scope), this.#steps(this.#inside(scope), 4), this.#steps(this.#inside(scope), 3)),
        ];
        this.#forget(scope);
        return body;
      }
      case 10: {
        const leaving = when(this.#expr(scope), [
          ...this.#steps(this.#inside(scope), 2),
          this.#leave(this.#inside(scope)),
        ]);
        return [leaving];
      }
      case 11: {
        const label = `l${this.#labels++}`;
        const inside = this.#inside(scope, [...scope.labels, label]);
        const last = this.#pick(3) === 1 ? [this.#leave(inside)] : [];
        this.#forget(scope);
        return [block(label, [...this.#steps(inside, 4), ...last])];
      }
      case 12: {
        const label = `l${this.#labels++}`;
        const times = and(this.#expr(scope), 3);
        const inside = this.#steps(this.#inside(scope, [...scope.labels, label]), 3);
        this.#forget(scope);
        return [repeat(times, label, inside)];
      }
      default:
        this.#forget(scope);
        return [set(tail, add(PACKET, and(this.#pure(scope), 63)))];
    }
  }

  #guard(scope: Scope): Step[] {
    const cursor = this.#of([c1, c2, CURSOR]);
    const bytes = this.#of([1, 4, 8, 20]);
    const step = guard(cursor, bytes, [...this.#steps(this.#inside(scope), 1), this.#leave(this.#inside(scope))]);
    scope.guarded.set(cursor, Math.max(bytes, scope.guarded.get(cursor) ?? 0));
    return [step];
  }

  #put(scope: Scope): Step[] {
    const value = this.#expr(scope);
    const place = this.#place(scope);
    if (place === null) return [];
    const { cursor, offset, bytes } = place;
    return [put(cursor, offset, bytes, bytes === 8 ? i64(BigInt(this.#pick(0xffff))) : value)];
  }

  #read(scope: Scope): Expr {
    const place = this.#place(scope);
    if (place === null) return expr(x);
    const read = packet(place.cursor, place.offset, place.bytes);
    return place.bytes === 8 ? unary("wrap", read) : read;
  }

  /** Some guarded bytes, or null. */
  #place(scope: Scope): { cursor: Reg; offset: number; bytes: 1 | 2 | 4 | 8 } | null {
    const cursors = [...scope.guarded];
    if (cursors.length === 0) return null;
    const [cursor, known] = this.#of(cursors);
    const bytes = this.#of(([1, 2, 4, 8] as const).filter((n) => n <= known));
    return { cursor, offset: this.#pick(known - bytes + 1), bytes };
  }

  /** A cursor set to another one and moved. */
  #move(scope: Scope): Step[] {
    const [to, from] = [this.#of([c1, c2, CURSOR]), this.#of([c1, c2, CURSOR])];
    const by = this.#of([0, 4, -4]);
    const known = (scope.guarded.get(from) ?? 0) - by;
    if (this.#careless) return [set(to, add(from, by === 0 ? and(this.#pure(scope), 3) : by))];
    scope.guarded.delete(to);
    if (by >= 0 && known > 0) scope.guarded.set(to, known);
    return [set(to, by === 0 ? from : add(from, by))];
  }

  #do(scope: Scope): Step[] {
    if (scope.callable.length === 0) return [];
    const { proc, args } = this.#callee(scope, scope.callable);
    this.#forget(scope);
    return [run(proc.name, args)];
  }

  /** Arguments are evaluated first, so what they say of the packet still holds. */
  #callee(scope: Scope, procs: readonly Proc[]): { proc: Proc; args: Expr[] } {
    return { proc: this.#of(procs), args: [this.#pure(scope), this.#pureWide(scope)] };
  }

  #table(scope: Scope): Expr {
    return add(TABLES, and(this.#pure(scope), 255));
  }

  /** An i32 that may call: nothing is known of the packet behind it. */
  #expr(scope: Scope): Expr {
    const callable = scope.callable.filter((proc) => proc.result === "i32");
    if (callable.length === 0 || this.#pick(4) > 0) return this.#pure(scope);
    const left = this.#pure(scope);
    const { proc, args } = this.#callee(scope, callable);
    this.#forget(scope);
    const called = call(proc.name, args);
    const placed = [called, add(left, called), add(called, x), add(x, called), unary("eqz", called)];
    return this.#of([...placed, select(called, x, left)]);
  }

  #wide(scope: Scope): Expr {
    const callable = scope.callable.filter((proc) => proc.result === "i64");
    if (callable.length === 0 || this.#pick(4) > 0) return this.#pureWide(scope);
    const { proc, args } = this.#callee(scope, callable);
    this.#forget(scope);
    return add(y, call(proc.name, args, "i64"));
  }

  #pure(scope: Scope, depth = 0): Expr {
    const choice = this.#pick(depth > 2 ? 4 : 12);
    const inner = () => this.#pure(scope, depth + 1);
    switch (choice) {
      case 0:
        return i32(this.#of(CONSTANTS));
      case 1:
      case 2:
        return expr(this.#of([...LOCALS, x, c1]));
      case 3:
        return this.#read(scope);
      case 4:
        return load("image", this.#of([1, 2, 4] as const), this.#table(scope), this.#pick(9));
      case 5:
        return select(inner(), inner(), inner());
      case 6:
        return unary(this.#of(UNARY), inner());
      case 7:
        return unary(this.#of(["wrap", "eqz"] as const), this.#pureWide(scope, depth + 1));
      case 8:
        return binary(this.#of(COMPARE), this.#pureWide(scope, depth + 1), this.#pureWide(scope, depth + 1));
      case 9:
        return binary(this.#of(COMPARE), inner(), inner());
      default:
        return this.#arithmetic(inner(), inner(), i32(1));
    }
  }

  #pureWide(scope: Scope, depth = 0): Expr {
    const choice = this.#pick(depth > 2 ? 2 : 6);
    const inner = () => this.#pureWide(scope, depth + 1);
    switch (choice) {
      case 0:
        return i64(BigInt(this.#of(CONSTANTS)));
      case 1:
        return expr(this.#of([...WIDE, y]));
      case 2:
        return unary(this.#of(["extend", "extend_s"] as const), this.#pure(scope, depth + 1));
      case 3:
        return load("image", 8, this.#table(scope), this.#pick(9));
      case 4:
        return unary(this.#of(UNARY64), inner());
      default:
        return this.#arithmetic(inner(), inner(), i64(1n));
    }
  }

  #arithmetic(left: Expr, right: Expr, one: Expr): Expr {
    const op = this.#of(BINARY);
    return binary(op, left, op === "div" || op === "rem" ? or(right, one) : right);
  }
}
