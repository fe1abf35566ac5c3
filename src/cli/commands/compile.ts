/** `vrfc compile FILE -o OUT.wasm`; with `--program NAME` that program alone */
import {
  checkText,
  type Diagnostic,
  diagnosticsToJson,
  type Model,
  renderDiagnostics,
  type Source,
} from "../../../dsl/index.ts";
import type { ProgramManifest } from "../../../runtime/links/manifest.ts";
import { LpmKind } from "../../../runtime/lpm/lpm.ts";
import type { Manifest } from "../../../runtime/manifest.ts";
import { cNetwork } from "../../c-network.ts";
import { cProgram } from "../../c-program.ts";
import { type CompileOptions as CompilerOptions, compile } from "../../compile.ts";
import { compileProgram } from "../../program.ts";
import { painter } from "../colour.ts";
import { EXIT, readSource, UsageError, writeOutput } from "../io.ts";
import { choiceOption, colourOption, kernelOption, type PolicyOptions, readBeside } from "../policy.ts";

export interface CompileOptions extends PolicyOptions {
  readonly output?: string;
  readonly optimize: string | number;
  readonly lpm?: string;
  readonly cProgram?: string;
  readonly threads?: boolean;
  readonly cNetwork?: string;
  readonly program?: string | number;
  readonly json?: boolean;
}

export async function run(file: string, options: CompileOptions): Promise<number> {
  const source = readSource(file);
  const kernel = kernelOption(options.kernel);
  const level = Number(choiceOption("optimize", options.optimize, ["0", "1", "2"])) as 0 | 1 | 2;
  const lpm =
    options.lpm === undefined ? undefined : choiceOption("lpm", options.lpm, Object.keys(LpmKind) as LpmKind[]);
  const how: CompilerOptions = {
    level,
    threads: options.threads ?? false,
    readFile: readBeside(file),
    ...(kernel === undefined ? {} : { kernel }),
    ...(lpm === undefined ? {} : { lpm }),
  };
  if (options.program !== undefined && options.cNetwork !== undefined)
    throw new UsageError("--program does not go with --c-network: a program is part of another module");
  if (options.program === undefined && options.cProgram !== undefined)
    throw new UsageError("--c-program is of a program: --program NAME says which");
  const { artifact, diagnostics, manifest, model, header } =
    options.program === undefined
      ? { ...(await compile(source, how)), header: null }
      : await programOf(source, `${options.program}`, how);
  const name = options.program ?? (file === "-" ? "policy" : file.replace(/\.vrf$/, ""));
  const output = options.output ?? `${name}.wasm`;
  if (artifact !== null) writeOutput(output, artifact);
  if (artifact !== null && model !== null && options.cNetwork !== undefined)
    writeOutput(options.cNetwork, cNetwork(model));
  if (header !== null && options.cProgram !== undefined) writeOutput(options.cProgram, header);
  if (options.json) {
    const report = {
      schema: "vrfc.compile/1",
      output: artifact === null ? null : output,
      bytes: artifact?.length ?? 0,
      manifest,
    };
    console.log(JSON.stringify({ ...diagnosticsToJson([{ source, diagnostics }]), ...report }, null, 2));
  } else {
    const shown = diagnostics.filter((d) => d.severity !== "note");
    process.stderr.write(
      renderDiagnostics(source, shown, { color: painter(colourOption(options.color), process.stderr).enabled }),
    );
    if (artifact !== null && output !== "-") console.log(`${output}: ${artifact.length} bytes`);
  }
  return artifact === null ? EXIT.FINDINGS : EXIT.OK;
}

interface Made {
  readonly artifact: Uint8Array | null;
  readonly manifest: Manifest | ProgramManifest | null;
  readonly diagnostics: readonly Diagnostic[];
  readonly model: Model | null;
  /** Of a program: what a host in C must know besides. */
  readonly header: string | null;
}

/** @throws UsageError when there is no such program in the text, or none that can stand alone */
async function programOf(source: Source, name: string, options: CompilerOptions): Promise<Made> {
  const { model, diagnostics } = checkText(source.text, source.name, options);
  if (model === null) return { model, artifact: null, manifest: null, header: null, diagnostics };
  try {
    const { artifact, manifest, state } = await compileProgram(model, name, options);
    return { artifact, manifest, header: cProgram(manifest, state), diagnostics, model };
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`--program: ${error.message}`);
    throw error;
  }
}
