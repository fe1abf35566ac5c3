/**
 * The plan: what a packet program does, between the model and wasm. Structured, so that it reads like the kernel code
 * it stands for, prints as text, and translates to wasm one to one.
 *
 *   plan  = { proc }                                                 calls form no cycle
 *   proc  = NAME "(" { reg } ")" [ ":" TYPE ] "{" { step } "}"       every path ends in `return` when it has a type
 *         | "extern" NAME "(" { reg } ")" ":" TYPE                   what stands in the module's table at the first argument
 *   step  = "set" reg "=" expr
 *         | "store" SPACE BYTES "[" expr "+" N "]" "=" expr          image, batch, state (little endian); 16 bytes: a vector
 *         | "put" BYTES cursor "[" N "]" "=" expr                    packet (network order); dominated by a guard
 *         | "guard" cursor N "else" "{" { step } "}"                 afterwards N bytes from cursor are inside the packet; the else leaves
 *         | "if" expr "{" { step } "}" [ "else" "{" { step } "}" ]
 *         | "block" LABEL "{" { step } "}" | "break" LABEL           break: forward, to the end of the block
 *         | "repeat" expr LABEL [ "most" BOUND ] "{" { step } "}"    at most expr times, which is at most BOUND; `break LABEL` leaves early
 *         | "do" call | "return" [ expr ]
 *         | "trace" EVENT { expr }                                   gone in the hot build
 *   expr  = const | reg | load | packet | unary | binary | select | call | vector     vector: vector.ts
 *
 * A register is local to its proc, or a field of the packet in flight ("skb" scope), shared by all procs. Values are
 * i32 unless said otherwise, v128 (vector.ts) only in locals; comparisons are unsigned unless named `_s`. A cursor is an i32 register that holds the
 * offset in memory of a byte of the packet; `tail` is the skb register that holds the end of the packet.
 *
 * Order of evaluation is wasm's: operands left to right, a select's two values before its condition (all three always),
 * a store's base before its value, a put's value before its cursor is read. Shifts count modulo the width; `bswap16`
 * swaps the low two bytes and drops the rest; `div` and `rem` are unsigned, by a divisor that is visibly not 0 (a
 * constant, or something `or` a constant). A trace's arguments make no calls; it writes the record drawn in runtime/abi/trace.ts.
 *
 * What holds after buildPlan, and is asserted by validatePlan: every register is set before it is read on every path;
 * every packet read and write is dominated by a guard on its cursor that covers it (setting a cursor drops what was known,
 * moving it by a constant shifts it: bytes behind a cursor that was moved forward stay known, bytes in front of a packet
 * never are before a guard; changing `tail` drops all); labels are bound; calls are acyclic and match their
 * procs; a proc's `requires` holds at each of its calls.
 */
import type { VectorOp } from "./vector.ts";
import { VECTOR_OPS } from "./vector.ts";

export type ValueType = "i32" | "i64" | "v128";

export interface Reg {
  readonly name: string;
  readonly type: ValueType;
  readonly scope: "local" | "skb";
}

/**
 * Where a load or store goes: `image` the tables, `batch` columns and the batch header, `state` what a program module has of its own,
 * counted from where its host has put it. All are trusted, in-bounds by construction.
 */
export type Space = "image" | "batch" | "state";
export type Bytes = 1 | 2 | 4 | 8;

export type UnaryOp = "eqz" | "clz" | "popcnt" | "wrap" | "extend" | "extend_s" | "bswap16" | "bswap32" | "bswap64";
export type BinaryOp =
  | "add"
  | "sub"
  | "mul"
  | "and"
  | "or"
  | "xor"
  | "shl"
  | "shr"
  | "shr_s"
  | "rotl"
  | "eq"
  | "ne"
  | "lt"
  | "le"
  | "gt"
  | "ge"
  | "lt_s"
  | "gt_s"
  | "div"
  | "rem";

export type Expr =
  | { readonly kind: "const"; readonly type: ValueType; readonly value: number | bigint }
  | { readonly kind: "reg"; readonly reg: Reg }
  /** Zero-extended to i32 (8 bytes: i64). */
  | {
      readonly kind: "load";
      readonly space: Space;
      readonly bytes: Bytes;
      readonly base: Expr;
      readonly offset: number;
    }
  /** Bytes of the packet in network order, as a number in host order. */
  | { readonly kind: "packet"; readonly cursor: Reg; readonly offset: number; readonly bytes: Bytes }
  | { readonly kind: "unary"; readonly op: UnaryOp; readonly value: Expr }
  | { readonly kind: "binary"; readonly op: BinaryOp; readonly left: Expr; readonly right: Expr }
  | { readonly kind: "select"; readonly condition: Expr; readonly then: Expr; readonly otherwise: Expr }
  | { readonly kind: "call"; readonly proc: string; readonly args: readonly Expr[]; readonly type: ValueType }
  /** `offset` and `lane` are 0 where the operation has none. */
  | {
      readonly kind: "vector";
      readonly op: VectorOp;
      readonly args: readonly Expr[];
      readonly offset: number;
      readonly lane: number;
    };

export type Step =
  | { readonly kind: "set"; readonly reg: Reg; readonly value: Expr }
  | {
      readonly kind: "store";
      readonly space: Space;
      readonly bytes: Bytes | 16;
      readonly base: Expr;
      readonly offset: number;
      readonly value: Expr;
    }
  | { readonly kind: "put"; readonly cursor: Reg; readonly offset: number; readonly bytes: Bytes; readonly value: Expr }
  | { readonly kind: "guard"; readonly cursor: Reg; readonly bytes: number; readonly otherwise: readonly Step[] }
  | {
      readonly kind: "if";
      readonly condition: Expr;
      readonly then: readonly Step[];
      readonly otherwise: readonly Step[];
    }
  | { readonly kind: "block"; readonly label: string; readonly body: readonly Step[] }
  | { readonly kind: "break"; readonly label: string }
  | {
      readonly kind: "repeat";
      readonly times: Expr;
      readonly label: string;
      readonly body: readonly Step[];
      /** Rounds at the most, for cost.ts alone; null: what `times` itself tells. */
      readonly most: Bound | null;
    }
  | { readonly kind: "do"; readonly call: Expr & { readonly kind: "call" } }
  | { readonly kind: "return"; readonly value: Expr | null }
  | { readonly kind: "trace"; readonly event: number; readonly args: readonly Expr[]; readonly comment: string };

/**
 * How many rounds a loop takes at the most: so many, or as many as ...
 *   hops, aliases, covers   next hops of a route; routes of a prefix; prefixes of a table that contain one another
 *   levels, rows            levels and rows of a look-up structure
 *   devices, addresses, groups   of a namespace; IPv6 addresses and groups of a device
 *   neighbours              slots of the neighbour table that are taken one behind the other
 *   bytes, words, headers, tags   fit into the longest packet: extension headers, VLAN tags
 *   rules, rulePages, ruleWords, ruleBits   of a long rule list: all; pages; words of a page; rules of a word
 *   passes                  times that a packet comes back from a device without a wire
 *   links                   programs attached at a point of a packet's way: as compiled none
 *   group, eights           packets that the short way takes at a time, and eight of them each
 *   packets, copies         packets of a batch; copies that chains make of one
 */
export type Bound =
  | number
  | "hops"
  | "aliases"
  | "covers"
  | "levels"
  | "rows"
  | "devices"
  | "addresses"
  | "groups"
  | "neighbours"
  | "headers"
  | "bytes"
  | "words"
  | "tags"
  | "rules"
  | "rulePages"
  | "ruleWords"
  | "ruleBits"
  | "passes"
  | "links"
  | "group"
  | "eights"
  | "packets"
  | "copies";

export interface Proc {
  readonly name: string;
  /** The kernel function that this one does the work of, for readers of the dump. */
  readonly comment: string;
  readonly params: readonly Reg[];
  readonly result: ValueType | null;
  /** Bytes known to be inside the packet from these cursors (parameters or skb registers) on entry. */
  readonly requires: readonly { readonly cursor: Reg; readonly bytes: number }[];
  readonly body: readonly Step[];
  /** Exported under its name. */
  readonly exported: boolean;
  /** Emitted as this instruction, of its parameters, where other threads work in the memory too. It is not inlined. */
  readonly atomic?: "add" | "cmpxchg";
  /**
   * Where one module calls another: of a proc that is not exported, that its body is another module's, reached through the table
   * (its first parameter is the place there, the others are handed over); of an exported one, that it is such a body. So what it
   * `requires` holds, and the registers that both know are set, when it is called.
   */
  readonly shared?: SharedRegisters;
}

/** Registers of scope "skb" that modules have in common: what a program reads of the packet in flight, and which of it it may set. */
export interface SharedRegisters {
  readonly reads: readonly Reg[];
  readonly sets: readonly Reg[];
}

export const isExtern = (proc: Proc): boolean => proc.shared !== undefined && !proc.exported;

export interface Plan {
  readonly procs: readonly Proc[];
  /** All registers of scope "skb", wasm globals. The last word on what survives between procs. */
  readonly skb: readonly Reg[];
}

// ---- constructors: lower case, short, so that a builder reads like the code it builds --------------------------------

export const i32 = (value: number): Expr => ({ kind: "const", type: "i32", value: value | 0 });
export const i64 = (value: bigint): Expr => ({ kind: "const", type: "i64", value: BigInt.asIntN(64, value) });
/** A number stands for an i32 constant, a register for its value. */
export type Operand = Expr | Reg | number;
export const expr = (o: Operand): Expr => (typeof o === "number" ? i32(o) : "kind" in o ? o : { kind: "reg", reg: o });

export const local = (name: string, type: ValueType = "i32"): Reg => ({ name, type, scope: "local" });
export const skbReg = (name: string, type: ValueType = "i32"): Reg => ({ name, type, scope: "skb" });
/** End of the packet: offset in memory of the first byte after it. */
export const tail: Reg = skbReg("tail");

export const load = (space: Space, bytes: Bytes, base: Operand, offset = 0): Expr => ({
  kind: "load",
  space,
  bytes,
  base: expr(base),
  offset,
});
export const packet = (cursor: Reg, offset: number, bytes: Bytes): Expr => ({ kind: "packet", cursor, offset, bytes });
export const unary = (op: UnaryOp, value: Operand): Expr => ({ kind: "unary", op, value: expr(value) });
export const binary = (op: BinaryOp, left: Operand, right: Operand): Expr => ({
  kind: "binary",
  op,
  left: expr(left),
  right: expr(right),
});
export const add = (a: Operand, b: Operand): Expr => binary("add", a, b);
export const sub = (a: Operand, b: Operand): Expr => binary("sub", a, b);
export const and = (a: Operand, b: Operand): Expr => binary("and", a, b);
export const or = (a: Operand, b: Operand): Expr => binary("or", a, b);
export const xor = (a: Operand, b: Operand): Expr => binary("xor", a, b);
export const shl = (a: Operand, b: Operand): Expr => binary("shl", a, b);
export const shr = (a: Operand, b: Operand): Expr => binary("shr", a, b);
export const mul = (a: Operand, b: Operand): Expr => binary("mul", a, b);
export const eq = (a: Operand, b: Operand): Expr => binary("eq", a, b);
export const ne = (a: Operand, b: Operand): Expr => binary("ne", a, b);
export const lt = (a: Operand, b: Operand): Expr => binary("lt", a, b);
export const le = (a: Operand, b: Operand): Expr => binary("le", a, b);
export const gt = (a: Operand, b: Operand): Expr => binary("gt", a, b);
export const ge = (a: Operand, b: Operand): Expr => binary("ge", a, b);
export const eqz = (a: Operand): Expr => unary("eqz", a);
export const select = (condition: Operand, then: Operand, otherwise: Operand): Expr => ({
  kind: "select",
  condition: expr(condition),
  then: expr(then),
  otherwise: expr(otherwise),
});
export const call = (proc: string, args: readonly Operand[], type: ValueType = "i32"): Expr & { kind: "call" } => ({
  kind: "call",
  proc,
  args: args.map(expr),
  type,
});

export const vector = (op: VectorOp, args: readonly Operand[], { offset = 0, lane = 0 } = {}): Expr => ({
  kind: "vector",
  op,
  args: args.map(expr),
  offset,
  lane,
});

export const set = (reg: Reg, value: Operand): Step => ({ kind: "set", reg, value: expr(value) });
export const store = (space: Space, bytes: Bytes | 16, base: Operand, offset: number, value: Operand): Step => ({
  kind: "store",
  space,
  bytes,
  base: expr(base),
  offset,
  value: expr(value),
});
export const put = (cursor: Reg, offset: number, bytes: Bytes, value: Operand): Step => ({
  kind: "put",
  cursor,
  offset,
  bytes,
  value: expr(value),
});
export const guard = (cursor: Reg, bytes: number, otherwise: readonly Step[]): Step => ({
  kind: "guard",
  cursor,
  bytes,
  otherwise,
});
export const when = (condition: Operand, then: readonly Step[], otherwise: readonly Step[] = []): Step => ({
  kind: "if",
  condition: expr(condition),
  then,
  otherwise,
});
export const block = (label: string, body: readonly Step[]): Step => ({ kind: "block", label, body });
export const leave = (label: string): Step => ({ kind: "break", label });
export const repeat = (times: Operand, label: string, body: readonly Step[], most: Bound | null = null): Step => ({
  kind: "repeat",
  times: expr(times),
  label,
  body,
  most,
});
export const run = (proc: string, args: readonly Operand[] = []): Step => ({ kind: "do", call: call(proc, args) });
export const ret = (value: Operand | null = null): Step => ({
  kind: "return",
  value: value === null ? null : expr(value),
});
export const trace = (event: number, args: readonly Operand[], comment = ""): Step => ({
  kind: "trace",
  event,
  args: args.map(expr),
  comment,
});

/** What a store of so many bytes takes. */
export const storedType = (bytes: Bytes | 16): ValueType => (bytes === 16 ? "v128" : bytes === 8 ? "i64" : "i32");

export function typeOf(e: Expr): ValueType {
  switch (e.kind) {
    case "const":
    case "call":
      return e.type;
    case "reg":
      return e.reg.type;
    case "load":
    case "packet":
      return e.bytes === 8 ? "i64" : "i32";
    case "unary":
      return e.op === "extend" || e.op === "extend_s"
        ? "i64"
        : e.op === "eqz" || e.op === "wrap"
          ? "i32"
          : typeOf(e.value);
    case "binary":
      return ["eq", "ne", "lt", "le", "gt", "ge", "lt_s", "gt_s"].includes(e.op) ? "i32" : typeOf(e.left);
    case "select":
      return typeOf(e.then);
    case "vector":
      return VECTOR_OPS[e.op].gives;
  }
}
