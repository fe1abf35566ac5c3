/** `vrfc import SCRIPT` and `vrfc import ip-json DUMP...` */

import type { File } from "../../../dsl/ast.ts";
import type { Diagnostic } from "../../../dsl/diagnostic.ts";
import { diagnosticsToJson, print, renderDiagnostics } from "../../../dsl/index.ts";
import type { Source } from "../../../dsl/span.ts";
import { importScript } from "../../import/import.ts";
import { readDump } from "../../import/ip-json/form.ts";
import { importDump } from "../../import/ip-json/import.ts";
import { painter } from "../colour.ts";
import { readDumpFiles } from "../dump-files.ts";
import { EXIT, readSource, UsageError, writeOutput } from "../io.ts";
import { colourOption } from "../policy.ts";

export interface ImportOptions {
  readonly output: string;
  readonly assumeForwarding: boolean;
  readonly json?: boolean;
  readonly color?: string;
}

interface Imported {
  readonly source: Source;
  readonly ast: File;
  readonly diagnostics: readonly Diagnostic[];
}

/** The policy goes to the output, what could not be expressed to standard error. */
export function run(what: string, files: readonly string[], options: ImportOptions): number {
  const { source, ast, diagnostics } = what === "ip-json" ? ipJson(files, options) : script(what, files, options);
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

function script(path: string, more: readonly string[], { assumeForwarding }: ImportOptions): Imported {
  if (more.length > 0) throw new UsageError(`one script at a time; what is \`${more[0]}\`?`);
  const source = readSource(path);
  return { source, ...importScript(source, { assumeForwarding }) };
}

function ipJson(paths: readonly string[], { assumeForwarding }: ImportOptions): Imported {
  const dump = readDump(readDumpFiles(paths));
  if (typeof dump === "string") throw new UsageError(`${paths.join(" ")}: ${dump}`);
  return importDump(dump, paths[0], { assumeForwarding });
}
