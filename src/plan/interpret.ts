/**
 * The plain interpreter of plans: the slow twin of src/wasm/emit.ts, and what optimised plans are compared with. It runs
 * a plan over a buffer as wasm would over its memory, and says so when a plan does what a valid one never does: read a
 * register that was not set, or a packet byte at or behind `tail`.
 */
import { TRACE_WORD_BYTES, traceHeader } from "../../runtime/abi/trace.ts";
import { evalBinary, evalUnary, type Value, wrapTo } from "./arithmetic.ts";
import { procsByName } from "./callgraph.ts";
import { instructionsOfExpr, instructionsOfStep, NO_ROUND, ROUND } from "./instructions.ts";
import type { Bytes, Expr, Plan, Proc, Reg, Space, Step } from "./ir.ts";
import { isExtern, tail } from "./ir.ts";
import { printHead } from "./print.ts";
import { evalVector } from "./vector.ts";
import { regKey } from "./visit.ts";

/** A plan did what validatePlan promises it does not. */
export class PlanFault extends Error {
  override readonly name = "PlanFault";
}

export interface InterpretOptions {
  /** Linear memory. */
  readonly memory: Uint8Array;
  /** Where in it a program module's own state is. */
  readonly state?: number;
  readonly onTrace?: (event: number, args: readonly Value[]) => void;
  /** After each call of a proc: the wasm instructions that it took with what it called, as planCost counts them. */
  readonly onCall?: (proc: string, instructions: number) => void;
  /** Those registers of the packet in flight that plans share. */
  readonly registers?: Map<string, Value>;
  /** What stands in the table at `place`. */
  readonly table?: (place: number, args: readonly Value[]) => Value | null;
  /** Steps to take before giving up with a PlanFault. */
  readonly fuel?: number;
}

export interface PlanInterpreter {
  /** Runs a proc; null when it has no result. Registers of scope skb live on from call to call, as wasm's globals do. */
  call(name: string, args?: readonly Value[]): Value | null;
}

export function interpret(plan: Plan, options: InterpretOptions): PlanInterpreter {
  return new Interpreter(plan, options);
}

/** Trace records as the emitted program writes them; give it to `onTrace`. Addresses are those of EmitOptions.traceRegion. */
export function traceRecorder(
  memory: Uint8Array,
  region: { readonly cursor: number; readonly end: number; readonly lost: number },
): (event: number, args: readonly Value[]) => void {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  return (event, args) => {
    const words = args.flatMap((arg) =>
      typeof arg === "number" ? [arg] : [Number(arg & M32), Number((arg >> 32n) & M32)],
    );
    const start = view.getUint32(region.cursor, true);
    const end = start + (1 + words.length) * TRACE_WORD_BYTES;
    if (end > view.getUint32(region.end, true)) return view.setUint32(region.lost, 1, true);
    for (const [i, word] of [traceHeader(event, words.length), ...words].entries())
      view.setUint32(start + i * TRACE_WORD_BYTES, word, true);
    view.setUint32(region.cursor, end, true);
  };
}

const M32 = 0xffffffffn;

/** How a list of steps was left: at its end (null), by a break, or by a return. */
type Exit = null | { readonly label: string } | { readonly result: Value | null };

type Frame = Map<string, Value>;

class Interpreter implements PlanInterpreter {
  readonly #procs: ReadonlyMap<string, Proc>;
  readonly #options: InterpretOptions;
  readonly #view: DataView;
  readonly #state: number;
  /** Registers that modules share, and the plan's own. */
  readonly #shared: Frame;
  readonly #isShared: ReadonlySet<string>;
  readonly #skb: Frame = new Map();
  #fuel: number;
  #instructions = 0;

  constructor(plan: Plan, options: InterpretOptions) {
    const { memory, state = 0, fuel = Number.POSITIVE_INFINITY } = options;
    this.#state = state;
    this.#procs = procsByName(plan);
    this.#shared = options.registers ?? new Map();
    this.#isShared = new Set(plan.procs.flatMap((proc) => (proc.shared?.reads ?? []).map(regKey)));
    this.#options = options;
    this.#view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
    this.#fuel = fuel;
  }

  call(name: string, args: readonly Value[] = []): Value | null {
    const proc = this.#procs.get(name);
    if (proc === undefined) throw new PlanFault(`no proc ${name}`);
    if (isExtern(proc)) {
      if (this.#options.table === undefined) throw new PlanFault(`${name}: there is no table`);
      return this.#options.table(Number(args[0]), args.slice(1));
    }
    const frame: Frame = new Map(proc.params.map((reg, i) => [regKey(reg), wrapTo(reg.type, args[i])]));
    const before = this.#instructions;
    const exit = this.#steps(frame, proc.body);
    this.#options.onCall?.(name, this.#instructions - before);
    if (exit !== null && "result" in exit) return exit.result;
    if (proc.result !== null) throw new PlanFault(`${name} ended without a result`);
    return null;
  }

  // ---- steps

  #steps(frame: Frame, steps: readonly Step[]): Exit {
    for (const step of steps) {
      const exit = this.#step(frame, step);
      if (exit !== null) return exit;
    }
    return null;
  }

  #step(frame: Frame, step: Step): Exit {
    if (this.#fuel-- <= 0) throw new PlanFault("out of fuel");
    this.#instructions += instructionsOfStep(step);
    switch (step.kind) {
      case "set":
        this.#frameOf(frame, step.reg).set(regKey(step.reg), this.#value(frame, step.value));
        return null;
      case "store": {
        const base = this.#base(step.space) + (this.#number(frame, step.base) >>> 0);
        this.#write(base + step.offset, step.bytes, this.#value(frame, step.value), true);
        return null;
      }
      case "put": {
        const value = this.#value(frame, step.value);
        this.#write(this.#packetAddress(frame, step.cursor, step.offset, step.bytes, step), step.bytes, value, false);
        return null;
      }
      case "guard": {
        const end = (Number(this.#get(frame, step.cursor)) >>> 0) + step.bytes;
        return end > Number(this.#get(frame, tail)) >>> 0 ? this.#steps(frame, step.otherwise) : null;
      }
      case "if":
        return this.#steps(frame, this.#number(frame, step.condition) !== 0 ? step.then : step.otherwise);
      case "block":
        return caught(this.#steps(frame, step.body), step.label);
      case "break":
        return { label: step.label };
      case "repeat":
        return this.#repeat(frame, step);
      case "do":
        this.#value(frame, step.call, true);
        return null;
      case "return":
        return { result: step.value === null ? null : this.#value(frame, step.value) };
      case "trace": {
        const args = step.args.map((arg) => this.#value(frame, arg));
        this.#options.onTrace?.(step.event, args);
        return null;
      }
      default:
        return step satisfies never;
    }
  }

  #repeat(frame: Frame, { times, label, body }: Step & { kind: "repeat" }): Exit {
    for (let left = this.#number(frame, times) >>> 0; left > 0; left--) {
      this.#instructions += ROUND.enter;
      const exit = this.#steps(frame, body);
      if (exit !== null) return caught(exit, label);
      this.#instructions += ROUND.again;
    }
    this.#instructions += NO_ROUND;
    return null;
  }

  // ---- expressions

  #value(frame: Frame, e: Expr, unused = false): Value {
    this.#instructions += instructionsOfExpr(e);
    switch (e.kind) {
      case "const":
        return e.value;
      case "reg":
        return this.#get(frame, e.reg);
      case "load":
        return this.#read(this.#base(e.space) + (this.#number(frame, e.base) >>> 0) + e.offset, e.bytes, true);
      case "packet":
        return this.#read(this.#packetAddress(frame, e.cursor, e.offset, e.bytes, null), e.bytes, false);
      case "unary":
        return evalUnary(e.op, this.#value(frame, e.value));
      case "binary": {
        const left = this.#value(frame, e.left);
        return evalBinary(e.op, left, this.#value(frame, e.right));
      }
      case "select": {
        const [then, otherwise] = [this.#value(frame, e.then), this.#value(frame, e.otherwise)];
        return this.#number(frame, e.condition) !== 0 ? then : otherwise;
      }
      case "call": {
        const args = e.args.map((arg) => this.#value(frame, arg));
        const result = this.call(e.proc, args);
        if (result === null && !unused) throw new PlanFault(`${e.proc} has no result`);
        return result ?? 0;
      }
      case "vector": {
        const args = e.args.map((arg) => this.#value(frame, arg));
        return evalVector(e.op, args, e, (address, bytes) => this.#readWide(address, bytes));
      }
      default:
        return e satisfies never;
    }
  }

  #number(frame: Frame, e: Expr): number {
    return Number(this.#value(frame, e));
  }

  // ---- registers and memory

  #base(space: Space): number {
    return space === "state" ? this.#state : 0;
  }

  #frameOf(frame: Frame, reg: Reg): Frame {
    if (reg.scope !== "skb") return frame;
    return this.#isShared.has(regKey(reg)) ? this.#shared : this.#skb;
  }

  #get(frame: Frame, reg: Reg): Value {
    const value = this.#frameOf(frame, reg).get(regKey(reg));
    if (value === undefined) throw new PlanFault(`${regKey(reg)} is read before it is set`);
    return value;
  }

  #packetAddress(frame: Frame, cursor: Reg, offset: number, bytes: Bytes, step: Step | null): number {
    const address = ((Number(this.#get(frame, cursor)) >>> 0) + offset) >>> 0;
    const end = Number(this.#get(frame, tail)) >>> 0;
    if (address + bytes > end) {
      const where = step === null ? `packet ${bytes} ${regKey(cursor)}[${offset}]` : printHead(step);
      throw new PlanFault(`${where} reaches ${address + bytes}, behind the end of the packet at ${end}`);
    }
    return address;
  }

  #read(address: number, bytes: Bytes, littleEndian: boolean): Value {
    this.#inBounds(address, bytes);
    const view = this.#view;
    if (bytes === 8) return view.getBigInt64(address, littleEndian);
    if (bytes === 4) return view.getInt32(address, littleEndian);
    return bytes === 2 ? view.getUint16(address, littleEndian) : view.getUint8(address);
  }

  /** Any number of bytes, unsigned, little endian. */
  #readWide(address: number, bytes: number): bigint {
    let value = 0n;
    for (let i = bytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#read(address + i, 1, true));
    return value;
  }

  #write(address: number, bytes: Bytes | 16, value: Value, littleEndian: boolean): void {
    this.#inBounds(address, bytes);
    const view = this.#view;
    if (bytes === 16) {
      view.setBigUint64(address, BigInt.asUintN(64, BigInt(value)), littleEndian);
      view.setBigUint64(address + 8, BigInt(value) >> 64n, littleEndian);
    } else if (bytes === 8) view.setBigInt64(address, BigInt(value), littleEndian);
    else if (bytes === 4) view.setInt32(address, Number(value), littleEndian);
    else if (bytes === 2) view.setUint16(address, Number(value), littleEndian);
    else view.setUint8(address, Number(value));
  }

  #inBounds(address: number, bytes: number): void {
    if (address + bytes > this.#view.byteLength) throw new PlanFault(`address ${address} is outside of the memory`);
  }
}

const caught = (exit: Exit, label: string): Exit =>
  exit !== null && "label" in exit && exit.label === label ? null : exit;
