/**
 * What can be seen of a plan without following paths: names, types, ranges, labels.
 */
import type { Expr, Plan, Proc, Reg, Step, ValueType } from "./ir.ts";
import { storedType, typeOf } from "./ir.ts";
import { type Place, printExpr, printPlace } from "./print.ts";
import type { Report } from "./validate.ts";
import { VECTOR_OPS } from "./vector.ts";
import { allOperands, bodies, expressions, hasCall, regKey } from "./visit.ts";

/** A record counts its words in 24 bits (runtime/abi/trace.ts), but no event comes near: a mistake, then. */
const TRACE_WORDS = 64;
/** The largest IP packet, its link-layer header and room in front of it. */
const PACKET_SPAN = 0x20000;

interface Shape {
  readonly procs: ReadonlyMap<string, Proc>;
  readonly skb: ReadonlyMap<string, ValueType>;
  readonly proc: Proc;
  /** Types of the registers met so far. */
  readonly types: Map<string, ValueType>;
  /** Labels that surround the step. */
  readonly labels: readonly string[];
  readonly report: Report;
}

export function checkShape(plan: Plan, reportFor: (proc: string) => Report): void {
  const procs = new Map<string, Proc>();
  for (const proc of plan.procs) {
    if (procs.has(proc.name)) reportFor(proc.name)("duplicate-proc", "there is another proc of this name");
    procs.set(proc.name, proc);
  }
  const skb = new Map<string, ValueType>();
  for (const reg of plan.skb) {
    if (reg.scope !== "skb") reportFor("skb")("parameter-scope", `${reg.name} has scope ${reg.scope}`);
    if (skb.has(regKey(reg))) reportFor("skb")("duplicate-register", reg.name);
    skb.set(regKey(reg), reg.type);
  }
  for (const proc of plan.procs) {
    const shape: Shape = { procs, skb, proc, types: new Map(), labels: [], report: reportFor(proc.name) };
    checkHead(shape, proc);
    checkSteps(shape, proc.body);
  }
}

function checkHead(shape: Shape, { params, requires, shared }: Proc): void {
  for (const reg of shared?.reads ?? []) checkRegister(shape, reg, "shared registers");
  for (const reg of params) {
    if (reg.scope !== "local") shape.report("parameter-scope", `parameter ${regKey(reg)} is not local`);
    if (shape.types.has(regKey(reg))) shape.report("duplicate-register", `two parameters ${regKey(reg)}`);
    checkRegister(shape, reg, "the parameters");
  }
  for (const { cursor, bytes } of requires) {
    checkCursor(shape, cursor, "requires");
    checkSpan(shape, 0, bytes, "requires");
    if (cursor.scope === "local" && !params.some((reg) => regKey(reg) === regKey(cursor)))
      shape.report("parameter-scope", `requires ${regKey(cursor)}, which is not a parameter`);
  }
}

function checkSteps(shape: Shape, steps: readonly Step[]): void {
  for (const step of steps) {
    for (const part of allOperands(expressions(step))) {
      // The call of a `do` may have no result.
      if (part.kind === "call" && step.kind === "do" && part === step.call) checkArguments(shape, part, step);
      else checkExpr(shape, part, step);
    }
    checkStep(shape, step);
    const labels = "label" in step && step.kind !== "break" ? [...shape.labels, step.label] : shape.labels;
    for (const body of bodies(step)) checkSteps({ ...shape, labels }, body);
  }
}

function checkStep(shape: Shape, step: Step): void {
  switch (step.kind) {
    case "set":
      checkRegister(shape, step.reg, step);
      checkType(shape, step.value, step.reg.type, step);
      break;
    case "store":
      checkType(shape, step.base, "i32", step);
      checkOffset(shape, step.offset, step);
      checkType(shape, step.value, storedType(step.bytes), step);
      break;
    case "put":
      checkCursor(shape, step.cursor, step);
      checkSpan(shape, step.offset, step.bytes, step);
      checkType(shape, step.value, storedType(step.bytes), step);
      break;
    case "guard":
      checkCursor(shape, step.cursor, step);
      checkSpan(shape, 0, step.bytes, step);
      break;
    case "if":
      checkType(shape, step.condition, "i32", step);
      break;
    case "repeat":
      checkLabel(shape, step.label, step);
      checkType(shape, step.times, "i32", step);
      break;
    case "block":
      checkLabel(shape, step.label, step);
      break;
    case "break":
      if (!shape.labels.includes(step.label)) shape.report("unbound-label", printPlace(step));
      break;
    case "return":
      checkReturn(shape, step.value, step);
      break;
    case "trace":
      checkTrace(shape, step.args, step);
      break;
    case "do":
      break;
    default:
      step satisfies never;
  }
}

function checkLabel({ labels, report }: Shape, label: string, at: Place): void {
  if (labels.includes(label)) report("label-reuse", printPlace(at));
}

function checkReturn({ proc, report }: Shape, value: Expr | null, at: Place): void {
  const found = value === null ? null : typeOf(value);
  if (found !== proc.result) report("wrong-return", `${printPlace(at)}: ${found} where the result is ${proc.result}`);
}

function checkTrace({ report }: Shape, args: readonly Expr[], at: Place): void {
  if (args.some(hasCall)) report("trace-call", printPlace(at));
  if (args.some((arg) => typeOf(arg) === "v128")) report("type-mismatch", `${printPlace(at)}: a vector in a trace`);
  const words = args.reduce((sum, arg) => sum + (typeOf(arg) === "i64" ? 2 : 1), 0);
  if (words > TRACE_WORDS) report("trace-size", `${printPlace(at)}: ${words} words, ${TRACE_WORDS} are the most`);
}

function checkExpr(shape: Shape, e: Expr, at: Place): void {
  switch (e.kind) {
    case "const":
      checkConstant(shape, e, at);
      break;
    case "reg":
      checkRegister(shape, e.reg, at);
      break;
    case "load":
      checkType(shape, e.base, "i32", at);
      checkOffset(shape, e.offset, at);
      break;
    case "packet":
      checkCursor(shape, e.cursor, at);
      checkSpan(shape, e.offset, e.bytes, at);
      break;
    case "unary": {
      if (typeOf(e.value) === "v128") shape.report("type-mismatch", `${printPlace(at)}: ${e.op} of a vector`);
      const takes = {
        wrap: "i64",
        extend: "i32",
        extend_s: "i32",
        bswap16: "i32",
        bswap32: "i32",
        bswap64: "i64",
      } as const;
      if (e.op in takes) checkType(shape, e.value, takes[e.op as keyof typeof takes], at);
      break;
    }
    case "binary":
      if (typeOf(e.left) === "v128") shape.report("type-mismatch", `${printPlace(at)}: ${e.op} of vectors`);
      checkType(shape, e.right, typeOf(e.left), at);
      if ((e.op === "div" || e.op === "rem") && !neverZero(e.right)) shape.report("zero-divisor", printPlace(at));
      break;
    case "select":
      checkType(shape, e.condition, "i32", at);
      checkType(shape, e.otherwise, typeOf(e.then), at);
      break;
    case "call": {
      checkArguments(shape, e, at);
      const result = shape.procs.get(e.proc)?.result;
      if (result !== undefined && result !== e.type)
        shape.report("call-mismatch", `${printPlace(at)}: ${e.proc} gives ${result}, ${e.type} is expected`);
      break;
    }
    case "vector":
      checkVector(shape, e, at);
      break;
    default:
      e satisfies never;
  }
}

function checkVector(shape: Shape, { op, args, offset, lane }: Expr & { kind: "vector" }, at: Place): void {
  const { takes, lanes } = VECTOR_OPS[op];
  if (args.length !== takes.length)
    shape.report("type-mismatch", `${printPlace(at)}: ${args.length} operands of ${op}`);
  for (const [i, arg] of args.entries()) if (i < takes.length) checkType(shape, arg, takes[i], at);
  checkOffset(shape, offset, at);
  if (!Number.isInteger(lane) || lane < 0 || lane >= lanes) shape.report("offset-range", printPlace(at));
}

function checkArguments(shape: Shape, { proc, args }: Expr & { kind: "call" }, at: Place): void {
  const callee = shape.procs.get(proc);
  if (callee === undefined) {
    shape.report("unknown-proc", `${printPlace(at)}: ${proc}`);
    return;
  }
  if (callee.params.length !== args.length)
    shape.report(
      "call-mismatch",
      `${printPlace(at)}: ${proc} takes ${callee.params.length} arguments, not ${args.length}`,
    );
  for (const [i, arg] of args.entries()) {
    const param = callee.params[i];
    if (param !== undefined && param.type !== typeOf(arg))
      shape.report("call-mismatch", `${printPlace(at)}: ${param.name} of ${proc} is ${param.type}`);
  }
}

function checkConstant({ report }: Shape, e: Expr & { kind: "const" }, at: Place): void {
  const fits =
    typeof e.value === "bigint"
      ? e.type === "i64" && BigInt.asIntN(64, e.value) === e.value
      : e.type === "i32" && (e.value | 0) === e.value;
  if (!fits) report("constant-range", `${printPlace(at)}: ${e.value} as ${e.type}`);
}

/** Visibly not 0: a constant, or something `or` a constant. */
function neverZero(e: Expr): boolean {
  if (e.kind === "const") return e.value !== 0 && e.value !== 0n;
  return e.kind === "binary" && e.op === "or" && (neverZero(e.left) || neverZero(e.right));
}

function checkRegister({ skb, types, report }: Shape, reg: Reg, at: Place): void {
  const key = regKey(reg);
  if (reg.scope === "skb" && !skb.has(key)) report("unknown-register", `${printPlace(at)}: ${key}`);
  if (reg.scope === "skb" && reg.type === "v128") report("register-type", `${printPlace(at)}: ${key} is a vector`);
  const type = skb.get(key) ?? types.get(key);
  if (type !== undefined && type !== reg.type)
    report("register-type", `${printPlace(at)}: ${key} is ${type} elsewhere`);
  types.set(key, reg.type);
}

function checkCursor(shape: Shape, reg: Reg, at: Place): void {
  checkRegister(shape, reg, at);
  if (reg.type !== "i32") shape.report("type-mismatch", `${printPlace(at)}: cursor ${regKey(reg)} is ${reg.type}`);
}

function checkType({ report }: Shape, e: Expr, type: ValueType, at: Place): void {
  if (typeOf(e) !== type) report("type-mismatch", `${printPlace(at)}: ${printExpr(e)} is ${typeOf(e)}, not ${type}`);
}

function checkOffset({ report }: Shape, offset: number, at: Place): void {
  if (!Number.isInteger(offset) || offset < 0 || offset > 0xffffffff) report("offset-range", printPlace(at));
}

function checkSpan({ report }: Shape, offset: number, bytes: number, at: Place): void {
  const inside = Number.isInteger(offset) && Number.isInteger(bytes) && bytes >= 0;
  if (!inside || Math.abs(offset) > PACKET_SPAN || bytes > PACKET_SPAN) report("offset-range", printPlace(at));
}
