/**
 * The compiler as a library: text in, a WebAssembly module out. What runs the module is `vrfc/runtime`, what reads the
 * language alone `vrfc/dsl`.
 *
 *   const { artifact, diagnostics } = await compile({ name: "seed.vrf", text });
 */
export { checkText, type Diagnostic, type Model, type Source } from "../dsl/index.ts";
export {
  type BackEndOptions,
  type Compiled,
  type CompiledModel,
  type CompileOptions,
  compile,
  compileModel,
  type Stage,
} from "./compile.ts";
export { type EngineKind, openEngines } from "./engines.ts";
export { type OpenLabOptions, openLab } from "./lab.ts";
export { type CompiledProgram, compileProgram } from "./program.ts";
