/**
 * emit: plans -> one wasm module. The plan is structured as wasm is, so each step becomes its instructions in place:
 *
 *     proc                      func                       name + suffix; locals: parameters, registers, hidden ones
 *     skb register              (global (mut T) 0)         the packet in flight; one of both builds, and outside, where modules share it
 *     extern proc               (call_indirect (place + Unit.place) ARGS)
 *     guard C N else {}         (if (C + N > tail) ...)    in 64 bits, so that no C can wrap round
 *     block L {} / break L      (block $L) / (br $L)
 *     repeat N L {}             (block $L (loop (br_if $L (eqz n)) n -= 1 ... (br)))    a hidden n, so that it ends
 *     packet, put               load, store and a turn of the bytes (bytes.ts)
 *     trace E ARGS              if the record fits before `end`: store it at `cursor` and move that, else set `lost`
 *
 *     atomic proc               the instruction, in a module for several threads; else the body
 *
 * No imports; exports are the memory, the procs marked so, and where a plan has extern procs the shared registers and the table that those
 * go through. The same plans give the same bytes. A program's module (src/program.ts) imports the memory, where in it its state is, and
 * the shared registers; it has no segments. Modules for several threads import a shared memory; an image is put there by `initialize`.
 */
import { EXPORTS, MEMORY_IMPORT } from "../../runtime/abi/exports.ts";
import { TRACE_WORD_BYTES, traceHeader } from "../../runtime/abi/trace.ts";
import type { BinaryOp, Expr, Plan, Proc, Reg, Space, Step, UnaryOp, ValueType } from "../plan/ir.ts";
import { isExtern, tail, typeOf } from "../plan/ir.ts";
import { hasCall, regKey } from "../plan/visit.ts";
import { beginModules, type Instruction, type Node, type WasmModule } from "./binaryen.ts";
import {
  type ByteContext,
  bswap16,
  bswap32,
  bswap64,
  networkOrder,
  readPacket,
  turned,
  turnedEquality,
  zeroOrNot,
} from "./bytes.ts";
import { concatenate, type Parts, type Segment, withContents } from "./data.ts";

/** A plan and what is put behind its names, so that several builds of one plan stand in one module. */
export interface Unit {
  readonly plan: Plan;
  readonly suffix: string;
  /** What exported procs are called outside; absent: as inside, suffix and all. */
  readonly exports?: Readonly<Record<string, string>>;
  /** Extern procs go through the table so many places behind the one that they are called with: 0 when absent. */
  readonly place?: number;
}

export interface EmitOptions {
  readonly segments: readonly Segment[];
  /** Pages of 64 KiB. */
  readonly initialPages: number;
  readonly maximumPages: number;
  /** Addresses of three words: where the next trace record goes, the end of the region, and "a record was lost". */
  readonly traceRegion: { readonly cursor: number; readonly end: number; readonly lost: number };
  /** For several threads: the register that the addresses of the trace region count from. */
  readonly threads?: Reg;
  /** 0: as the plan says; 1: without turning bytes where that can be avoided; 2: and through passes of binaryen's. */
  readonly level: 0 | 1 | 2;
  readonly simd?: boolean;
  /** Works in the memory of another module: the names by which that and the place of its own state are imported. */
  readonly imports?: { readonly module: string; readonly memory: string; readonly state: string };
}

export interface EmittedModule {
  /** The module, as it will be written. */
  readonly parts: Parts;
  readonly wasm: Uint8Array<ArrayBuffer>;
  /** The module in the text format, with the plan's names. Built anew at each call. */
  readonly wat: () => string;
}

/** @param units of valid plans (validatePlan), no two procs with the same name and suffix */
export async function emitModule(units: readonly Unit[], options: EmitOptions): Promise<EmittedModule> {
  const begin = await beginModules();
  const built = <T>(segments: readonly Segment[], use: (module: WasmModule) => T): T => {
    const module = begin({ simd: options.simd ?? false, threads: options.threads !== undefined });
    try {
      buildModule(module, units, { ...options, segments });
      return use(module);
    } finally {
      module.dispose();
    }
  };
  const wat = (): string => built(options.segments, (module) => module.text());
  // A memory that threads share is not the module's, and filled once: by code.
  if (options.threads !== undefined) {
    const wasm = built(options.segments, (module) => module.binary());
    return { parts: [wasm], wasm, wat };
  }
  const parts = partsOf(units, options);
  if (last === null || parts.length !== last.parts.length || !parts.every((part, i) => part === last!.parts[i]))
    last = { parts, code: built([], (module) => module.binary()) };
  const whole = withContents(last.code, options);
  return {
    parts: whole,
    get wasm() {
      return concatenate(whole);
    },
    wat,
  };
}

/** What was emitted last, without the memory's contents: where only those change it is the next module's code too. */
let last: { readonly parts: readonly unknown[]; readonly code: Uint8Array } | null = null;

/** All that the code is made of: procs are compared as objects, which a plan that was adopted (plan/adopt.ts) has in common. */
const partsOf = (units: readonly Unit[], { segments: _, initialPages: __, ...options }: EmitOptions): unknown[] => [
  JSON.stringify(options),
  ...units.flatMap(({ plan, suffix, exports }) => [
    JSON.stringify([suffix, exports, plan.skb]),
    plan.procs.length,
    ...plan.procs,
  ]),
];

function buildModule(module: WasmModule, units: readonly Unit[], options: EmitOptions): void {
  const { initialPages, maximumPages, segments, level } = options;
  if (options.threads !== undefined && options.imports === undefined) {
    const names = { from: MEMORY_IMPORT.module, memory: MEMORY_IMPORT.memory, initialize: EXPORTS.initialize };
    module.sharedMemory(initialPages, maximumPages, names, segments);
  } else if (options.imports === undefined) module.memory(initialPages, maximumPages, EXPORTS.memory, segments);
  else {
    const { module: from, memory, state } = options.imports;
    module.importMemory(initialPages, maximumPages, { from, memory, shared: options.threads !== undefined });
    module.importGlobal(STATE, "i32", false, from, state);
  }
  const procs = units.flatMap(({ plan }) => plan.procs);
  const shared = new Map(procs.flatMap((proc) => (proc.shared?.reads ?? []).map((reg) => [regKey(reg), reg])));
  for (const [name, reg] of shared)
    if (options.imports === undefined) {
      module.global(name, reg.type);
      module.exportGlobal(name, name);
    } else module.importGlobal(name, reg.type, true, options.imports.module, name);
  if (procs.some(isExtern)) module.table(EXPORTS.table, EXPORTS.table);
  for (const unit of units) {
    const nameOf = (reg: Reg): string => regKey(reg) + (shared.has(regKey(reg)) ? "" : unit.suffix);
    for (const reg of unit.plan.skb) if (!shared.has(regKey(reg))) module.global(nameOf(reg), reg.type);
    const results = new Map(unit.plan.procs.map((proc) => [proc.name, proc.result]));
    for (const proc of unit.plan.procs) new ProcEmitter(module, unit, nameOf, results, options).emit(proc);
  }
  if (level === 2) module.optimize();
  if (segments.length > 0) module.pack();
  if (!module.validate()) throw new Error("internal error: the emitted module is not valid WebAssembly");
}

/** Plans' names have no blank. */
const STATE = "program state";

const BINARY: Readonly<Record<BinaryOp, Instruction>> = {
  add: "add",
  sub: "sub",
  mul: "mul",
  and: "and",
  or: "or",
  xor: "xor",
  shl: "shl",
  shr: "shr_u",
  shr_s: "shr_s",
  rotl: "rotl",
  eq: "eq",
  ne: "ne",
  lt: "lt_u",
  le: "le_u",
  gt: "gt_u",
  ge: "ge_u",
  lt_s: "lt_s",
  gt_s: "gt_s",
  div: "div_u",
  rem: "rem_u",
};

/** The others are written out. */
const UNARY: Readonly<Partial<Record<UnaryOp, Instruction>>> = {
  eqz: "eqz",
  clz: "clz",
  popcnt: "popcnt",
  wrap: "wrap",
  extend: "extend_u",
  extend_s: "extend_s",
};

class ProcEmitter implements ByteContext {
  readonly module: WasmModule;
  readonly turned: boolean;
  readonly #suffix: string;
  readonly #place: number;
  readonly #globalName: (reg: Reg) => string;
  readonly #exports: Readonly<Record<string, string>>;
  readonly #results: ReadonlyMap<string, ValueType | null>;
  readonly #trace: EmitOptions["traceRegion"];
  readonly #threads: Reg | null;
  /** Type of each local, parameters first. */
  readonly #locals: ValueType[] = [];
  readonly #index = new Map<string, number>();
  /** Open labels of the plan and their unique names in wasm. */
  readonly #labels = new Map<string, string>();
  #labelCount = 0;

  constructor(
    module: WasmModule,
    { suffix, exports = {}, place = 0 }: Unit,
    globalName: (reg: Reg) => string,
    results: ReadonlyMap<string, ValueType | null>,
    options: EmitOptions,
  ) {
    this.module = module;
    this.turned = options.level > 0;
    this.#suffix = suffix;
    this.#place = place;
    this.#globalName = globalName;
    this.#exports = exports;
    this.#results = results;
    this.#trace = options.traceRegion;
    this.#threads = options.threads ?? null;
  }

  emit(proc: Proc): void {
    const { name, params, result, exported } = proc;
    for (const reg of params) this.#local(regKey(reg), reg.type);
    const nodes = this.#body(proc);
    // A plan has a result on every path (validatePlan); wasm wants the end of the text to agree.
    if (result !== null) nodes.push(this.module.unreachable());
    const type = { params: params.map((reg) => reg.type), result };
    this.module.function(name + this.#suffix, type, this.#locals.slice(params.length), this.module.block(null, nodes));
    if (exported) this.module.exportFunction(name + this.#suffix, this.#exports[name]);
  }

  #body(proc: Proc): Node[] {
    const { body, params, atomic } = proc;
    if (isExtern(proc)) return [this.module.return(this.#callThroughTable(proc))];
    if (atomic !== undefined && this.#threads !== null) return [this.module.return(this.#atomic(atomic, params))];
    return body.map((step) => this.#step(step));
  }

  #atomic(atomic: NonNullable<Proc["atomic"]>, params: readonly Reg[]): Node {
    const [address, ...values] = params.map((reg) => this.#get(reg));
    return atomic === "add"
      ? this.module.atomicAdd(address, values[0])
      : this.module.atomicCmpxchg(address, values[0], values[1]);
  }

  #callThroughTable({ params: [place, ...params], result }: Proc): Node {
    const m = this.module;
    const at = m.numeric("i32", "add", this.#get(place), m.constant("i32", this.#place));
    const args = params.map((reg) => this.#get(reg));
    return m.callIndirect(EXPORTS.table, at, args, { params: params.map(({ type }) => type), result });
  }

  // ---- locals

  /** Index of a local, given one at its first use. Names with a blank are hidden from plans. */
  #local(name: string, type: ValueType): number {
    const known = this.#index.get(name);
    if (known !== undefined) return known;
    this.#index.set(name, this.#locals.length);
    return this.#locals.push(type) - 1;
  }

  #get(reg: Reg): Node {
    return reg.scope === "skb"
      ? this.module.globalGet(this.#globalName(reg), reg.type)
      : this.module.localGet(this.#local(regKey(reg), reg.type), reg.type);
  }

  #set(reg: Reg, value: Node): Node {
    return reg.scope === "skb"
      ? this.module.globalSet(this.#globalName(reg), value)
      : this.module.localSet(this.#local(regKey(reg), reg.type), value);
  }

  /** One local per type serves all: between the tee and its last reading nothing else is evaluated. */
  once(type: ValueType, value: Node, use: (first: Node, again: () => Node) => Node): Node {
    const index = this.#local(`once ${type}`, type);
    return use(this.module.localTee(index, type, value), () => this.module.localGet(index, type));
  }

  // ---- expressions

  value(e: Expr): Node {
    const m = this.module;
    switch (e.kind) {
      case "const":
        return m.constant(e.type, e.value);
      case "reg":
        return this.#get(e.reg);
      case "load": {
        const { base, offset } = this.#trusted(e.space, e.base, e.offset);
        return m.load(e.bytes, offset, base);
      }
      case "packet":
        return readPacket(this, e);
      case "unary":
        return this.#unary(e.op, e.value);
      case "binary":
        return this.#binary(e);
      case "select": {
        const [then, otherwise] = [this.value(e.then), this.value(e.otherwise)];
        return m.select(zeroOrNot(this, e.condition), then, otherwise);
      }
      case "call":
        return this.#call(e);
      case "vector": {
        if (e.op === "splat" && e.args[0].kind === "const") return m.words(Number(e.args[0].value));
        const args = e.args.map((arg) => this.value(arg));
        return m.vector(e.op, e, args);
      }
      default:
        return e satisfies never;
    }
  }

  #unary(op: UnaryOp, operand: Expr): Node {
    if (op === "bswap16") return turned(this, 2, operand) ?? bswap16(this, this.value(operand));
    if (op === "bswap64") return turned(this, 8, operand) ?? bswap64(this, this.value(operand));
    if (op === "bswap32") return turned(this, 4, operand) ?? bswap32(this, this.value(operand));
    const value = op === "eqz" ? zeroOrNot(this, operand) : this.value(operand);
    const type = op === "wrap" ? "i32" : op === "extend" || op === "extend_s" ? "i64" : typeOf(operand);
    return this.module.numeric(type, UNARY[op]!, value);
  }

  #binary({ op, left, right }: Expr & { kind: "binary" }): Node {
    const operands =
      (op === "eq" || op === "ne" ? turnedEquality(this, left, right) : null) ??
      ([this.value(left), this.value(right)] as const);
    return this.module.numeric(typeOf(left), BINARY[op], ...operands);
  }

  #call({ proc, args }: Expr & { kind: "call" }): Node {
    const values = args.map((arg) => this.value(arg));
    return this.module.call(proc + this.#suffix, values, this.#results.get(proc)!);
  }

  /** Where a trusted access goes. A constant base is folded into the immediate. */
  #trusted(space: Space, base: Expr, offset: number): { base: Node; offset: number } {
    const m = this.module;
    const state = () => m.globalGet(STATE, "i32");
    if (base.kind !== "const") {
      const value = this.value(base);
      return { base: space === "state" ? m.numeric("i32", "add", state(), value) : value, offset };
    }
    return { base: space === "state" ? state() : m.constant("i32", 0), offset: (Number(base.value) >>> 0) + offset };
  }

  /** An immediate cannot be negative: bytes before the cursor are reached by a subtraction. */
  address({ cursor, offset }: { cursor: Reg; offset: number }): { base: () => Node; offset: number } {
    if (offset >= 0) return { base: () => this.#get(cursor), offset };
    const m = this.module;
    return { base: () => m.numeric("i32", "add", this.#get(cursor), m.constant("i32", offset)), offset: 0 };
  }

  // ---- steps

  #steps(steps: readonly Step[]): Node {
    return this.module.sequence(steps.map((step) => this.#step(step)));
  }

  #step(step: Step): Node {
    const m = this.module;
    switch (step.kind) {
      case "set":
        return this.#set(step.reg, this.value(step.value));
      case "store": {
        const { base, offset } = this.#trusted(step.space, step.base, step.offset);
        return m.store(step.bytes, offset, base, this.value(step.value));
      }
      case "put":
        return this.#put(step);
      case "guard":
        return m.if(this.#outside(step.cursor, step.bytes), this.#steps(step.otherwise), null);
      case "if": {
        const condition = zeroOrNot(this, step.condition);
        const otherwise = step.otherwise.length === 0 ? null : this.#steps(step.otherwise);
        return m.if(condition, this.#steps(step.then), otherwise);
      }
      case "block":
        return this.#labelled(step.label, (label) => m.block(label, [this.#steps(step.body)]));
      case "break":
        return m.branch(this.#labels.get(step.label)!);
      case "repeat":
        return this.#repeat(step);
      case "do": {
        const result = this.#results.get(step.call.proc)!;
        return result === null ? this.#call(step.call) : m.drop(this.#call(step.call));
      }
      case "return":
        return m.return(step.value === null ? null : this.value(step.value));
      case "trace":
        return this.#traceRecord(step);
      default:
        return step satisfies never;
    }
  }

  /** The value comes before the cursor is read; wasm wants the address first, so a value that may move it waits in a local. */
  #put({ cursor, offset, bytes, value }: Step & { kind: "put" }): Node {
    const m = this.module;
    const address = this.address({ cursor, offset });
    const ordered = networkOrder(this, bytes, value);
    if (!hasCall(value)) return m.store(bytes, address.offset, address.base(), ordered);
    const type = bytes === 8 ? "i64" : "i32";
    const index = this.#local(`put ${type}`, type);
    const write = m.store(bytes, address.offset, address.base(), m.localGet(index, type));
    return m.block(null, [m.localSet(index, ordered), write]);
  }

  /** cursor + bytes > tail, not modulo 2^32. */
  #outside(cursor: Reg, bytes: number): Node {
    const m = this.module;
    const wide = (reg: Reg) => m.numeric("i64", "extend_u", this.#get(reg));
    return m.numeric("i64", "gt_u", m.numeric("i64", "add", wide(cursor), m.constant("i64", bytes)), wide(tail));
  }

  #labelled(name: string, use: (label: string) => Node): Node {
    const label = `${name}#${this.#labelCount++}`;
    this.#labels.set(name, label);
    const made = use(label);
    this.#labels.delete(name);
    return made;
  }

  #repeat({ times, label: name, body }: Step & { kind: "repeat" }): Node {
    const m = this.module;
    return this.#labelled(name, (label) => {
      const left = this.#local(`left ${label}`, "i32");
      const get = () => m.localGet(left, "i32");
      const again = `${label} again`;
      const start = m.localSet(left, this.value(times));
      const round = m.block(null, [
        m.branch(label, m.numeric("i32", "eqz", get())),
        m.localSet(left, m.numeric("i32", "sub", get(), m.constant("i32", 1))),
        this.#steps(body),
        m.branch(again),
      ]);
      return m.block(null, [start, m.block(label, [m.loop(again, round)])]);
    });
  }

  #traceRecord({ event, args }: Step & { kind: "trace" }): Node {
    const m = this.module;
    const words = args.flatMap((arg) => this.#words(arg));
    const bytes = (1 + words.length) * TRACE_WORD_BYTES;
    const record = this.#local("trace record", "i32");
    const get = () => m.localGet(record, "i32");
    const start = () => (this.#threads === null ? m.constant("i32", 0) : this.#get(this.#threads));
    const word = (address: number) => m.load(4, address, start());
    const setWord = (address: number, value: Node) => m.store(4, address, start(), value);
    const end = () => m.numeric("i32", "add", get(), m.constant("i32", bytes));
    const write = [m.constant("i32", traceHeader(event, words.length)), ...words].map((value, i) =>
      m.store(4, i * TRACE_WORD_BYTES, get(), value),
    );
    return m.block(null, [
      m.localSet(record, word(this.#trace.cursor)),
      m.if(
        m.numeric("i32", "le_u", end(), word(this.#trace.end)),
        m.block(null, [...write, setWord(this.#trace.cursor, end())]),
        setWord(this.#trace.lost, m.constant("i32", 1)),
      ),
    ]);
  }

  /** An argument as words: one, or the two of an i64, low first. Arguments make no calls, so evaluating twice is harmless. */
  #words(arg: Expr): Node[] {
    const m = this.module;
    if (typeOf(arg) === "i32") return [this.value(arg)];
    const high = m.numeric("i64", "shr_u", this.value(arg), m.constant("i64", 32));
    return [m.numeric("i32", "wrap", this.value(arg)), m.numeric("i32", "wrap", high)];
  }
}
