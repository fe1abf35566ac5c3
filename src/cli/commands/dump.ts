/** `vrfc dump FILE --stage STAGE`: every form of the pipeline as text. */
import { parse, printModel, renderDiagnostics } from "../../../dsl/index.ts";
import { painter } from "../colour.ts";
import { EXIT, readSource, UsageError } from "../io.ts";
import { checkFile, choiceOption, colourOption, kernelOption, type PolicyOptions, readBeside } from "../policy.ts";

const STAGES = ["ast", "model", "fib", "plan", "layout", "wat"] as const;

export interface DumpOptions extends PolicyOptions {
  readonly stage?: string;
  readonly optimize: string | number;
}

export async function run(file: string, options: DumpOptions): Promise<number> {
  if (options.stage === undefined) throw new UsageError(`dump needs --stage, one of ${STAGES.join(", ")}`);
  const stage = choiceOption("stage", options.stage, STAGES);
  if (stage === "ast") {
    const { ast } = parse(readSource(file));
    console.log(JSON.stringify(ast, (_, value) => (typeof value === "bigint" ? `0x${value.toString(16)}` : value), 2));
    return EXIT.OK;
  }
  const checked = checkFile(file, options);
  if (checked.model === null) {
    const errors = checked.diagnostics.filter((d) => d.severity === "error");
    process.stderr.write(
      renderDiagnostics(checked.source, errors, {
        color: painter(colourOption(options.color), process.stderr).enabled,
      }),
    );
    return EXIT.FINDINGS;
  }
  if (stage === "model") {
    process.stdout.write(printModel(checked.model));
    return EXIT.OK;
  }
  const level = Number(choiceOption("optimize", options.optimize, ["0", "1", "2"])) as 0 | 1 | 2;
  process.stdout.write(await compiledForm(stage, checked.source, options, level, file));
  return EXIT.OK;
}

async function compiledForm(
  stage: "fib" | "plan" | "layout" | "wat",
  source: Parameters<typeof parse>[0],
  options: DumpOptions,
  level: 0 | 1 | 2,
  file: string,
): Promise<string> {
  const { compile } = await import("../../compile.ts");
  const kernel = kernelOption(options.kernel);
  const compiled = await compile(source, {
    level,
    readFile: readBeside(file),
    ...(kernel === undefined ? {} : { kernel }),
  });
  return compiled.print(stage);
}
