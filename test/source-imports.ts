/** Who imports what: the project's TypeScript files as a graph, read with TypeScript's own parser. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");

export type ImportKind =
  /** Runs the other file first. */
  | "static"
  /** Erased by the compiler: no arrow at run time. */
  | "type"
  /** `import(...)`: runs the other file when it is reached. */
  | "dynamic";

export interface Import {
  readonly kind: ImportKind;
  /** As written. */
  readonly specifier: string;
  /** A relative specifier's file, from the project's root; null for packages. */
  readonly file: string | null;
}

/** Imports of every .ts file below the folders, by file name from the root with forward slashes. */
export function sourceImports(folders: readonly string[]): Map<string, Import[]> {
  const files = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => posix.join(folder, name.replaceAll("\\", "/"))),
  );
  return new Map(files.sort().map((file) => [file, importsOf(file, readFileSync(join(ROOT, file), "utf8"))]));
}

/** @param file from the root; only its folder matters here */
export function importsOf(file: string, text: string): Import[] {
  const found: Import[] = [];
  const add = (kind: ImportKind, specifier: ts.Node | undefined): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return;
    const relative = specifier.text.startsWith(".");
    const target = relative ? posix.join(posix.dirname(file), specifier.text) : null;
    found.push({ kind, specifier: specifier.text, file: target });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(onlyTypes(node) ? "type" : "static", node.moduleSpecifier);
    else if (ts.isExportDeclaration(node)) add(exportsOnlyTypes(node) ? "type" : "static", node.moduleSpecifier);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add("type", node.argument.literal);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add("dynamic", node.arguments[0]);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, false));
  return found;
}

/** `import type`, or nothing but `type` names: verbatimModuleSyntax keeps `import {} from`, which runs the file. */
const onlyTypes = ({ importClause }: ts.ImportDeclaration): boolean =>
  importClause !== undefined && importClause.phaseModifier === ts.SyntaxKind.TypeKeyword;

const exportsOnlyTypes = (node: ts.ExportDeclaration): boolean => node.isTypeOnly;

/** The files of each cycle of the graph: strongly connected components of more than one file (Tarjan 1972), or a file that imports itself. */
export function cycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const open = new Set<string>();
  const found: string[][] = [];
  const connect = (v: string): void => {
    index.set(v, index.size);
    low.set(v, index.get(v)!);
    stack.push(v);
    open.add(v);
    for (const w of graph.get(v) ?? []) {
      if (!index.has(w)) connect(w);
      if (open.has(w)) low.set(v, Math.min(low.get(v)!, low.get(w)!));
    }
    if (low.get(v) !== index.get(v)) return;
    const component = stack.splice(stack.indexOf(v));
    for (const w of component) open.delete(w);
    if (component.length > 1 || (graph.get(v) ?? []).includes(v)) found.push(component.sort());
  };
  for (const v of graph.keys()) if (!index.has(v)) connect(v);
  return found;
}
