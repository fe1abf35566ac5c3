/** Sources as a program without a loader of TypeScript has them: for worker threads and browsers, which tests start. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import ts from "typescript";

/**
 * The runtime, and more files, as ES modules in a new folder, at their places.
 * @param more paths from the checkout's root, which import only each other and the runtime
 * @returns the folder; whoever asked removes it
 */
export function transpiled(more: readonly string[] = []): string {
  const folder = mkdtempSync(join(tmpdir(), "vrfc-transpiled-"));
  const runtime = readdirSync("runtime", { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  for (const path of [...runtime.map((name) => join("runtime", name)), ...more]) {
    const { outputText } = ts.transpileModule(readFileSync(path, "utf8"), { compilerOptions: OPTIONS, fileName: path });
    const target = join(folder, path.replace(/\.ts$/, ".js"));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, outputText);
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  return folder;
}

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
};
