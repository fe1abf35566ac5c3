/** `vrfc compile FILE -o OUT.wasm` */
import { diagnosticsToJson, renderDiagnostics } from "../../../dsl/index.ts";
import { cNetwork } from "../../c-network.ts";
import { compile } from "../../compile.ts";
import { painter } from "../colour.ts";
import { EXIT, readSource, writeOutput } from "../io.ts";
import { choiceOption, colourOption, kernelOption, type PolicyOptions, readBeside } from "../policy.ts";

export interface CompileOptions extends PolicyOptions {
  readonly output?: string;
  readonly optimize: string | number;
  readonly lpm?: string;
  readonly threads?: boolean;
  readonly cNetwork?: string;
  readonly json?: boolean;
}

export async function run(file: string, options: CompileOptions): Promise<number> {
  const source = readSource(file);
  const kernel = kernelOption(options.kernel);
  const level = Number(choiceOption("optimize", options.optimize, ["0", "1", "2"])) as 0 | 1 | 2;
  const lpm = options.lpm === undefined ? undefined : choiceOption("lpm", options.lpm, ["linear", "blocks", "dir24"]);
  const { artifact, diagnostics, manifest, model } = await compile(source, {
    level,
    threads: options.threads ?? false,
    readFile: readBeside(file),
    ...(kernel === undefined ? {} : { kernel }),
    ...(lpm === undefined ? {} : { lpm }),
  });
  const output = options.output ?? `${file === "-" ? "policy" : file.replace(/\.vrf$/, "")}.wasm`;
  if (artifact !== null) writeOutput(output, artifact);
  if (artifact !== null && model !== null && options.cNetwork !== undefined)
    writeOutput(options.cNetwork, cNetwork(model));
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
