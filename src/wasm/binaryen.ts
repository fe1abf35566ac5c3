/**
 * The one file that knows binaryen: a module under construction in the few words that the emission needs. Binaryen is
 * large and slow to load, so it is imported when the first module is begun; its function names drift between releases,
 * so nothing else calls them.
 *
 * Every node is used once: a tree, not a graph.
 */
import type Binaryen from "binaryen";
import type { ValueType } from "../plan/ir.ts";
import { type VectorOp, WORD_MOVES } from "../plan/vector.ts";
import type { Segment } from "./data.ts";

declare const node: unique symbol;
/** An instruction under construction. */
export type Node = number & { readonly [node]: true };

/** Numeric instructions without immediates, under their names in the text format ("_u" and "_s" included). */
export type Instruction =
  | "add"
  | "sub"
  | "mul"
  | "div_u"
  | "rem_u"
  | "and"
  | "or"
  | "xor"
  | "shl"
  | "shr_u"
  | "shr_s"
  | "rotl"
  | "eq"
  | "ne"
  | "lt_u"
  | "le_u"
  | "gt_u"
  | "ge_u"
  | "lt_s"
  | "gt_s"
  | "eqz"
  | "clz"
  | "popcnt"
  | "wrap"
  | "extend_u"
  | "extend_s";

export interface FunctionType {
  readonly params: readonly ValueType[];
  readonly result: ValueType | null;
}

/** Of a table: what engines allow at least. */
const MOST_PLACES = 10_000_000;

type Api = typeof Binaryen;
/** What binaryen's type declarations leave out. */
interface LoadApi {
  readonly Load: { setSigned(load: number, signed: boolean): void };
}
let loaded: Promise<Api> | null = null;

export async function beginModules(): Promise<(features: ModuleFeatures) => WasmModule> {
  loaded ??= import("binaryen").then((imported) => imported.default);
  const api = await loaded;
  return (features) => new WasmModule(api, features);
}

/** Beyond MVP, sign extension, multi-value and bulk memory. */
export interface ModuleFeatures {
  readonly simd: boolean;
  /** Shared memory and atomic instructions. */
  readonly threads: boolean;
}

export class WasmModule {
  readonly #api: Api;
  readonly #module: Binaryen.Module;

  constructor(api: Api, { simd, threads }: ModuleFeatures) {
    const { Features } = api;
    this.#api = api;
    this.#module = new api.Module();
    const portable =
      Features.MVP | Features.MutableGlobals | Features.SignExt | Features.Multivalue | Features.BulkMemory;
    this.#module.setFeatures(portable | (simd ? Features.SIMD128 : 0) | (threads ? Features.Atomics : 0));
  }

  // ---- declarations

  memory(initialPages: number, maximumPages: number, exportName: string, segments: readonly Segment[]): void {
    const data = segments.map(({ offset, bytes }) => ({ offset: this.constant("i32", offset), data: bytes }));
    this.#module.setMemory(initialPages, maximumPages, exportName, data);
  }

  /**
   * One that several instances share, exported as well. The segments are not written when the module is instantiated, but by the function
   * `initialize`, which is exported under that name.
   */
  sharedMemory(
    initialPages: number,
    maximumPages: number,
    names: { readonly from: string; readonly memory: string; readonly initialize: string },
    segments: readonly Segment[],
  ): void {
    const m = this.#module;
    // A passive segment has no offset: for binaryen that is 0, no node.
    const passive = segments.map(({ bytes }, i) => ({ name: `${i}`, offset: 0, data: bytes, passive: true }));
    m.setMemory(initialPages, maximumPages, names.memory, passive, true, false, "0");
    m.addMemoryImport("0", names.from, names.memory, true);
    const copies = segments.map(({ offset, bytes }, i) =>
      m.memory.init(`${i}`, m.i32.const(offset), m.i32.const(0), m.i32.const(bytes.length)),
    );
    this.function(names.initialize, { params: [], result: null }, [], this.sequence(copies as Node[]));
    this.exportFunction(names.initialize);
  }

  importMemory(
    initialPages: number,
    maximumPages: number,
    { from, memory, shared }: { readonly from: string; readonly memory: string; readonly shared: boolean },
  ): void {
    this.#module.setMemory(initialPages, maximumPages, null as unknown as string, [], shared);
    this.#module.addMemoryImport("0", from, memory, shared);
  }

  importGlobal(name: string, type: ValueType, mutable: boolean, from: string, externalName: string): void {
    this.#module.addGlobalImport(name, from, externalName, this.#type(type), mutable);
  }

  exportGlobal(name: string, externalName: string): void {
    this.#module.addGlobalExport(name, externalName);
  }

  /** One of functions, empty at first: the host makes it as large as it needs. */
  table(name: string, exportName: string): void {
    this.#module.addTable(name, 0, MOST_PLACES);
    this.#module.addTableExport(name, exportName);
  }

  global(name: string, type: ValueType): void {
    this.#module.addGlobal(name, this.#type(type), true, this.constant(type, 0));
  }

  /** Locals stand after the parameters. */
  function(name: string, { params, result }: FunctionType, locals: readonly ValueType[], body: Node): void {
    const types = this.#api.createType(params.map((type) => this.#type(type)));
    const results = result === null ? this.#api.none : this.#type(result);
    const vars = locals.map((type) => this.#type(type));
    this.#module.addFunction(name, types, results, vars, body);
  }

  exportFunction(name: string, externalName = name): void {
    this.#module.addFunctionExport(name, externalName);
  }

  // ---- instructions

  constant(type: ValueType, value: number | bigint): Node {
    return (type === "i32" ? this.#module.i32.const(Number(value)) : this.#module.i64.const(BigInt(value))) as Node;
  }

  localGet(index: number, type: ValueType): Node {
    return this.#module.local.get(index, this.#type(type)) as Node;
  }

  localSet(index: number, value: Node): Node {
    return this.#module.local.set(index, value) as Node;
  }

  localTee(index: number, type: ValueType, value: Node): Node {
    return this.#module.local.tee(index, value, this.#type(type)) as Node;
  }

  globalGet(name: string, type: ValueType): Node {
    return this.#module.global.get(name, this.#type(type)) as Node;
  }

  globalSet(name: string, value: Node): Node {
    return this.#module.global.set(name, value) as Node;
  }

  /** @param type of the operands, except for `wrap` and `extend`: of the result, as in the text format */
  numeric(type: ValueType, instruction: Instruction, ...operands: Node[]): Node {
    const make = this.#module[type] as unknown as Readonly<Record<Instruction, (...operands: Node[]) => Node>>;
    return make[instruction](...operands);
  }

  /**
   * Zero-extended; 8 bytes give an i64, fewer an i32. Any alignment.
   *
   * binaryen makes an i32.load "signed", which means nothing until its optimiser merges one with an i64.extend_i32_u around it: that
   * becomes i64.load32_s then. So the flag is taken away.
   */
  load(bytes: 1 | 2 | 4 | 8, offset: number, address: Node): Node {
    const { i32, i64 } = this.#module;
    if (bytes === 8) return i64.load(offset, 1, address) as Node;
    const make = bytes === 1 ? i32.load8_u : bytes === 2 ? i32.load16_u : i32.load;
    const load = make(offset, 1, address);
    (this.#api as unknown as LoadApi).Load.setSigned(load, false);
    return load as Node;
  }

  /** The word four times, as a constant: engines keep it in a register where they compute one that is splat anew. */
  words(value: number): Node {
    const word = [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
    return this.#module.v128.const([...word, ...word, ...word, ...word]) as Node;
  }

  /** Any alignment. @param at what the operation reads from memory, and which element it is about */
  vector(op: VectorOp, at: { readonly offset: number; readonly lane: number }, args: readonly Node[]): Node {
    const { v128, i32x4, i16x8, i8x16 } = this.#module;
    const { offset, lane } = at;
    const [a, b] = args;
    const moved = (move: keyof typeof WORD_MOVES): number => {
      const bytes = WORD_MOVES[move].flatMap((word) => [0, 1, 2, 3].map((byte) => 4 * word + byte));
      return this.#module.i8x16.shuffle(a, b, bytes);
    };
    const halves = (high: boolean): number => (high ? i16x8.extend_high_i8x16_u(a) : i16x8.extend_low_i8x16_u(a));
    const widened = (from: number): number =>
      lane % 2 === 1 ? i32x4.extend_high_i16x8_u(from) : i32x4.extend_low_i16x8_u(from);
    const make: Readonly<Record<VectorOp, () => number>> = {
      splat: () => i32x4.splat(a),
      load: () => v128.load(offset, 1, a),
      add: () => i32x4.add(a, b),
      and: () => v128.and(a, b),
      or: () => v128.or(a, b),
      shl: () => i32x4.shl(a, b),
      shr: () => i32x4.shr_u(a, b),
      mix: () => moved("mix"),
      mixHigh: () => moved("mixHigh"),
      low: () => moved("low"),
      high: () => moved("high"),
      widen1: () => widened(halves(lane > 1)),
      widen2: () => widened(a),
      halves: () => halves(lane === 1),
      equal1: () => i8x16.bitmask(i8x16.eq(a, b)),
      equal2: () => i16x8.bitmask(i16x8.eq(a, b)),
      word: () => i32x4.extract_lane(a, lane),
      load1: () => v128.load8_lane(offset, 1, lane, a, b),
      load2: () => v128.load16_lane(offset, 1, lane, a, b),
      load4: () => v128.load32_lane(offset, 1, lane, a, b),
    };
    return make[op]() as Node;
  }

  /** The low bytes of an i32; 8 bytes take an i64, 16 a vector. Any alignment. */
  store(bytes: 1 | 2 | 4 | 8 | 16, offset: number, address: Node, value: Node): Node {
    const { i32, i64, v128 } = this.#module;
    if (bytes === 16) return v128.store(offset, 1, address, value) as Node;
    if (bytes === 8) return i64.store(offset, 1, address, value) as Node;
    const make = bytes === 1 ? i32.store8 : bytes === 2 ? i32.store16 : i32.store;
    return make(offset, 1, address, value) as Node;
  }

  /** Indivisible: adds an i32 at a multiple of 4. Gives what was there. */
  atomicAdd(address: Node, by: Node): Node {
    return this.#module.i32.atomic.rmw.add(0, address, by) as Node;
  }

  /** Indivisible: puts an i64 at a multiple of 8 in the place of `expected`. Gives what was there. */
  atomicCmpxchg(address: Node, expected: Node, value: Node): Node {
    return this.#module.i64.atomic.rmw.cmpxchg(0, address, expected, value) as Node;
  }

  select(condition: Node, then: Node, otherwise: Node): Node {
    return this.#module.select(condition, then, otherwise) as Node;
  }

  call(name: string, args: readonly Node[], result: ValueType | null): Node {
    return this.#module.call(name, args, result === null ? this.#api.none : this.#type(result)) as Node;
  }

  /** Traps where nothing of this type stands at the place. */
  callIndirect(table: string, place: Node, args: readonly Node[], { params, result }: FunctionType): Node {
    const types = this.#api.createType(params.map((type) => this.#type(type)));
    const results = result === null ? this.#api.none : this.#type(result);
    return this.#module.call_indirect(table, place, args, types, results) as Node;
  }

  drop(value: Node): Node {
    return this.#module.drop(value) as Node;
  }

  // ---- control

  sequence(nodes: readonly Node[]): Node {
    return nodes.length === 1 ? nodes[0] : this.block(null, nodes);
  }

  block(label: string | null, nodes: readonly Node[]): Node {
    return this.#module.block(label, nodes) as Node;
  }

  loop(label: string, body: Node): Node {
    return this.#module.loop(label, body) as Node;
  }

  if(condition: Node, then: Node, otherwise: Node | null): Node {
    return this.#module.if(condition, then, otherwise ?? undefined) as Node;
  }

  branch(label: string, condition: Node | null = null): Node {
    return (condition === null ? this.#module.br(label) : this.#module.br_if(label, condition)) as Node;
  }

  return(value: Node | null): Node {
    return this.#module.return(value ?? undefined) as Node;
  }

  unreachable(): Node {
    return this.#module.unreachable() as Node;
  }

  // ---- results

  /**
   * Puts functions with one caller, and small ones, into their callers. Binaryen's other passes take half of a compilation for a tenth
   * of the size; engines do the same when they load the module, and packets were not measurably faster (bench packets).
   */
  optimize(): void {
    this.#api.setOptimizeLevel(2);
    this.#api.setShrinkLevel(0);
    this.#module.runPasses(["inlining", "remove-unused-module-elements"]);
  }

  /** Drops zeros of segments: memory has them anyway. */
  pack(): void {
    this.#module.runPasses(["memory-packing"]);
  }

  /** False when the module breaks a rule of the specification; binaryen then writes which to the console. */
  validate(): boolean {
    return this.#module.validate() === 1;
  }

  text(): string {
    return this.#module.emitText();
  }

  binary(): Uint8Array<ArrayBuffer> {
    this.#api.setDebugInfo(false);
    return this.#module.emitBinary() as Uint8Array<ArrayBuffer>;
  }

  /** Frees binaryen's memory; the module is not usable afterwards. */
  dispose(): void {
    this.#module.dispose();
  }

  #type(type: ValueType): Binaryen.Type {
    return this.#api[type];
  }
}
