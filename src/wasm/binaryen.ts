/**
 * The one file that knows binaryen: a module under construction in the few words that the emission needs. Binaryen is
 * large and slow to load, so it is imported when the first module is begun; its function names drift between releases,
 * so nothing else calls them.
 *
 * Every node is used once: a tree, not a graph.
 */
import type Binaryen from "binaryen";
import type { ValueType } from "../plan/ir.ts";
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

type Api = typeof Binaryen;
/** What binaryen's type declarations leave out. */
interface LoadApi {
  readonly Load: { setSigned(load: number, signed: boolean): void };
}
let loaded: Promise<Api> | null = null;

/** @param simd allows SIMD instructions; without it the module needs MVP, sign extension, multi-value and bulk memory */
export async function beginModules(): Promise<(simd: boolean) => WasmModule> {
  loaded ??= import("binaryen").then((imported) => imported.default);
  const api = await loaded;
  return (simd) => new WasmModule(api, simd);
}

export class WasmModule {
  readonly #api: Api;
  readonly #module: Binaryen.Module;

  constructor(api: Api, simd: boolean) {
    const { Features } = api;
    this.#api = api;
    this.#module = new api.Module();
    const portable = Features.MVP | Features.SignExt | Features.Multivalue | Features.BulkMemory;
    this.#module.setFeatures(portable | (simd ? Features.SIMD128 : 0));
  }

  // ---- declarations

  memory(initialPages: number, maximumPages: number, exportName: string, segments: readonly Segment[]): void {
    const data = segments.map(({ offset, bytes }) => ({ offset: this.constant("i32", offset), data: bytes }));
    this.#module.setMemory(initialPages, maximumPages, exportName, data);
  }

  importMemory(initialPages: number, maximumPages: number, from: string, name: string): void {
    this.#module.setMemory(initialPages, maximumPages, null as unknown as string, []);
    this.#module.addMemoryImport("0", from, name);
  }

  /** One that never changes. */
  importGlobal(name: string, type: ValueType, from: string, externalName: string): void {
    this.#module.addGlobalImport(name, from, externalName, this.#type(type), false);
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

  /** The low bytes of an i32; 8 bytes take an i64. Any alignment. */
  store(bytes: 1 | 2 | 4 | 8, offset: number, address: Node, value: Node): Node {
    const { i32, i64 } = this.#module;
    if (bytes === 8) return i64.store(offset, 1, address, value) as Node;
    const make = bytes === 1 ? i32.store8 : bytes === 2 ? i32.store16 : i32.store;
    return make(offset, 1, address, value) as Node;
  }

  select(condition: Node, then: Node, otherwise: Node): Node {
    return this.#module.select(condition, then, otherwise) as Node;
  }

  call(name: string, args: readonly Node[], result: ValueType | null): Node {
    return this.#module.call(name, args, result === null ? this.#api.none : this.#type(result)) as Node;
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
    return type === "i32" ? this.#api.i32 : this.#api.i64;
  }
}
