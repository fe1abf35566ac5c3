/** `vrfc check FILE...` */
import { diagnosticsToJson, explainCode, renderDiagnostics } from "../../../dsl/index.ts";
import type { Model } from "../../../dsl/model.ts";
import { IMPORT_CODES, type ImportCode } from "../../import/codes.ts";
import { painter } from "../colour.ts";
import { EXIT, UsageError } from "../io.ts";
import { checkFile, colourOption, type PolicyOptions, someFiles } from "../policy.ts";

export interface CheckOptions extends PolicyOptions {
  readonly json?: boolean;
  readonly explain?: string;
  readonly cost?: boolean;
}

export async function run(files: readonly string[], options: CheckOptions): Promise<number> {
  if (options.explain !== undefined) return explain(options.explain);
  const results = someFiles(files).map((file) => checkFile(file, options));
  if (options.json) {
    console.log(JSON.stringify(diagnosticsToJson(results), null, 2));
  } else {
    const color = painter(colourOption(options.color)).enabled;
    for (const { source, diagnostics } of results)
      process.stdout.write(renderDiagnostics(source, diagnostics, { color }));
    if (results.every((r) => r.diagnostics.length === 0))
      console.log(`${results.length === 1 ? files[0] : `${results.length} files`}: no findings`);
  }
  if (options.cost && !options.json) for (const { model } of results) if (model !== null) await printCost(model);
  return results.some((r) => r.diagnostics.some((d) => d.severity !== "note")) ? EXIT.FINDINGS : EXIT.OK;
}

async function printCost(model: Model): Promise<void> {
  const { costReport } = await import("../../cost-report.ts");
  process.stdout.write(costReport(model));
}

function explain(code: string): number {
  const text = explainCode(code) ?? importCode(code);
  if (text === null) throw new UsageError(`--explain ${code}: no such diagnostic`);
  console.log(text);
  return EXIT.OK;
}

/** The importer's own codes. */
const importCode = (code: string): string | null =>
  Object.hasOwn(IMPORT_CODES, code) ? IMPORT_CODES[code as ImportCode] : null;
