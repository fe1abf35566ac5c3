/**
 * A plan as text, in the grammar of ir.ts, for `vrfc dump --stage plan` and for tests of passes.
 *
 *     skb tail l3 mark
 *
 *     # ip_rcv_core
 *     export proc ip_rcv_core(device): i32 requires skb.l3 20 {
 *       guard skb.l3 20 else {
 *         return 6
 *       }
 *       set skb.tail = skb.l3 + packet 2 skb.l3[2]
 *       if (packet 1 skb.l3[0] >> 4) != 4 {
 *         trace 20 (3) # drop
 *         return 3
 *       }
 *       return call route_input.0(device, load image 4 [device + 8])
 *     }
 *
 * Registers of scope skb have their scope before the name; a type is written when it is not i32. Constants are decimal when
 * small and hexadecimal when large; an i64 ends in `n`. Operators without a name of their own are written as in C, `_s`
 * (signed) ones with an `s` behind.
 */
import { type BinaryOp, type Expr, isExtern, type Plan, type Proc, type Reg, type Step, type ValueType } from "./ir.ts";
import { VECTOR_OPS } from "./vector.ts";
import { regKey } from "./visit.ts";

export function printPlan(plan: Plan): string {
  const skb = plan.skb.map((reg) => ` ${declare(reg, reg.name)}`).join("");
  return [`skb${skb}\n`, ...plan.procs.map(printProc)].join("\n");
}

function printProc(proc: Proc): string {
  const { name, comment, params, result, requires, exported } = proc;
  const how = isExtern(proc) ? "extern " : exported ? "export " : "";
  const types = result === null ? "" : `: ${result}`;
  const needs = requires.map(({ cursor, bytes }) => ` requires ${regKey(cursor)} ${bytes}`).join("");
  const head = `${how}proc ${name}(${params.map((reg) => declare(reg)).join(", ")})${types}${needs} {`;
  const lines = [...(comment === "" ? [] : [`# ${comment}`]), head, ...printSteps(proc.body, "  "), "}"];
  return `${lines.join("\n")}\n`;
}

const declare = (reg: Reg, name = regKey(reg)): string => name + typeSuffix(reg.type);
const typeSuffix = (type: ValueType): string => (type === "i32" ? "" : `:${type}`);

export function printSteps(steps: readonly Step[], indent = ""): string[] {
  return steps.flatMap((step) => {
    const head = indent + printHead(step);
    switch (step.kind) {
      case "guard":
        return bracket(head, step.otherwise, indent);
      case "if": {
        const then = bracket(head, step.then, indent);
        if (step.otherwise.length === 0) return then;
        return [...then.slice(0, -1), ...bracket(`${indent}} else {`, step.otherwise, indent)];
      }
      case "block":
      case "repeat":
        return bracket(head, step.body, indent);
      default:
        return [head];
    }
  });
}

const bracket = (head: string, steps: readonly Step[], indent: string): string[] => [
  head,
  ...printSteps(steps, `${indent}  `),
  `${indent}}`,
];

/** Where something was found: a step, or words for a place that is none. */
export type Place = Step | string;
export const printPlace = (place: Place): string => (typeof place === "string" ? place : printHead(place));

/** The first line of a step: all of it, when no steps are inside. */
export function printHead(step: Step): string {
  switch (step.kind) {
    case "set":
      return `set ${declare(step.reg)} = ${printExpr(step.value)}`;
    case "store":
      return `store ${step.space} ${step.bytes} ${address(step.base, step.offset)} = ${printExpr(step.value)}`;
    case "put":
      return `put ${step.bytes} ${regKey(step.cursor)}[${step.offset}] = ${printExpr(step.value)}`;
    case "guard":
      return `guard ${regKey(step.cursor)} ${step.bytes} else {`;
    case "if":
      return `if ${printExpr(step.condition)} {`;
    case "block":
      return `block ${step.label} {`;
    case "break":
      return `break ${step.label}`;
    case "repeat":
      return `repeat ${printExpr(step.times)} ${step.label}${step.most === null ? "" : ` most ${step.most}`} {`;
    case "do":
      return `do ${printExpr(step.call)}`;
    case "return":
      return step.value === null ? "return" : `return ${printExpr(step.value)}`;
    case "trace":
      return `trace ${step.event} (${step.args.map(printExpr).join(", ")})${step.comment === "" ? "" : ` # ${step.comment}`}`;
    default:
      return step satisfies never;
  }
}

export function printExpr(e: Expr): string {
  switch (e.kind) {
    case "const":
      return printConstant(e.value);
    case "reg":
      return regKey(e.reg);
    case "load":
      return `load ${e.space} ${e.bytes} ${address(e.base, e.offset)}`;
    case "packet":
      return `packet ${e.bytes} ${regKey(e.cursor)}[${e.offset}]`;
    case "unary":
      return `${e.op}(${printExpr(e.value)})`;
    case "binary":
      return `${operand(e.left)} ${SYMBOLS[e.op]} ${operand(e.right)}`;
    case "select":
      return `select(${[e.condition, e.then, e.otherwise].map(printExpr).join(", ")})`;
    case "call":
      return `call ${e.proc}(${e.args.map(printExpr).join(", ")})${typeSuffix(e.type)}`;
    case "vector": {
      const { lanes, reads } = VECTOR_OPS[e.op];
      const numbers = [...(reads > 0 ? [`offset ${e.offset}`] : []), ...(lanes > 1 ? [`lane ${e.lane}`] : [])];
      return `v128.${e.op}(${[...e.args.map(printExpr), ...numbers].join(", ")})`;
    }
    default:
      return e satisfies never;
  }
}

const SYMBOLS: Readonly<Record<BinaryOp, string>> = {
  add: "+",
  sub: "-",
  mul: "*",
  and: "&",
  or: "|",
  xor: "^",
  shl: "<<",
  shr: ">>",
  shr_s: ">>s",
  rotl: "rotl",
  eq: "==",
  ne: "!=",
  lt: "<",
  le: "<=",
  gt: ">",
  ge: ">=",
  lt_s: "<s",
  gt_s: ">s",
  div: "/",
  rem: "%",
};

const operand = (e: Expr): string => (e.kind === "binary" ? `(${printExpr(e)})` : printExpr(e));

const address = (base: Expr, offset: number): string => `[${operand(base)}${offset === 0 ? "" : ` + ${offset}`}]`;

/** From here on, and for negative ones below -this, the bits matter more than the size. */
const LARGE = 0x10000;

function printConstant(value: number | bigint): string {
  const suffix = typeof value === "bigint" ? "n" : "";
  if (value > -LARGE && value < LARGE) return `${value}${suffix}`;
  const bits = typeof value === "bigint" ? BigInt.asUintN(64, value) : value >>> 0;
  return `0x${bits.toString(16)}${suffix}`;
}
