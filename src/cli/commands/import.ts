/** `vrfc import SCRIPT` */
import { diagnosticsToJson, print, renderDiagnostics } from "../../../dsl/index.ts";
import { importScript } from "../../import/import.ts";
import { painter } from "../colour.ts";
import { EXIT, readSource, writeOutput } from "../io.ts";
import { colourOption } from "../policy.ts";

export interface ImportOptions {
  readonly output: string;
  readonly assumeForwarding: boolean;
  readonly json?: boolean;
  readonly color?: string;
}

/** The policy goes to the output, what could not be expressed to standard error. */
export function run(script: string, options: ImportOptions): number {
  const source = readSource(script);
  const { ast, diagnostics } = importScript(source, { assumeForwarding: options.assumeForwarding });
  const policy = print(ast);
  if (options.json) {
    console.log(
      JSON.stringify({ ...diagnosticsToJson([{ source, diagnostics }]), schema: "vrfc.import/1", policy }, null, 2),
    );
    if (options.output !== "-") writeOutput(options.output, policy);
  } else {
    writeOutput(options.output, policy);
    process.stderr.write(
      renderDiagnostics(source, diagnostics, { color: painter(colourOption(options.color), process.stderr).enabled }),
    );
  }
  return diagnostics.some((d) => d.severity !== "note") ? EXIT.FINDINGS : EXIT.OK;
}
