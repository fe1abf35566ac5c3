/** `vrfc fmt FILE...`: one format, no options. A file with syntax errors is left alone. */
import { parse, print, renderDiagnostics } from "../../../dsl/index.ts";
import { painter } from "../colour.ts";
import { EXIT, readSource, writeOutput } from "../io.ts";
import { colourOption, someFiles } from "../policy.ts";

export function run(files: readonly string[], options: { check?: boolean; color?: string }): number {
  const color = painter(colourOption(options.color), process.stderr).enabled;
  let status: number = EXIT.OK;
  for (const file of someFiles(files)) {
    const source = readSource(file);
    const { ast, diagnostics } = parse(source);
    if (diagnostics.some((d) => d.severity === "error")) {
      process.stderr.write(renderDiagnostics(source, diagnostics, { color }));
      status = EXIT.FINDINGS;
      continue;
    }
    const formatted = print(ast);
    if (!isStable(formatted)) {
      process.stderr.write(
        `${source.name}: left alone, as it would not be read again as it is: \`vrfc check\` says what is wrong in it\n`,
      );
      status = EXIT.FINDINGS;
      continue;
    }
    if (options.check) {
      if (formatted === source.text) continue;
      console.log(`${source.name}: not formatted`);
      status = EXIT.FINDINGS;
    } else if (file === "-" || formatted !== source.text) {
      writeOutput(file, formatted);
    }
  }
  return status;
}

/** Words that only the checker refuses (`type ""`) may print as what does not parse. */
function isStable(formatted: string): boolean {
  const { ast, diagnostics } = parse({ name: "formatted", text: formatted });
  return !diagnostics.some((d) => d.severity === "error") && print(ast) === formatted;
}
