/**
 * What `vrfc/runtime` promises, as text: every name that runtime/index.ts exports with its declaration, as TypeScript writes it into the
 * package, without comments and without what is private. A change of it is a change for embedders, and so is to be seen in review.
 */
import { join, relative } from "node:path";
import ts from "typescript";

/**
 * @param entry path of the file whose exports are reported
 * @returns Markdown: the declarations, and the types that they name without that these are exported
 */
export function apiReport(entry: string): string {
  const declarations = declarationsOf(entry);
  const root = declarationName(entry);
  const program = programOver(declarations, root);
  const checker = program.getTypeChecker();
  const exported = new Map(
    checker
      .getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(root)!)!)
      .map((symbol) => [symbol.name, targetOf(checker, symbol)]),
  );
  const names = [...exported.keys()].sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1));
  const known = new Set(exported.values());
  const hidden = new Map<string, string[]>();
  const blocks = names.map((name) => {
    const parts = ownDeclarations(exported.get(name)!);
    for (const part of parts)
      for (const symbol of namedIn(checker, part, declarations))
        if (!known.has(symbol)) hidden.set(symbol.name, [...(hidden.get(symbol.name) ?? []), name]);
    return parts.map(print).join("\n");
  });
  const named = [...hidden].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, by]) => `- ${name}, by ${by.join(", ")}`);
  return `\`\`\`ts\n${blocks.join("\n\n")}\n\`\`\`\n\nNamed by these, and not exported:\n\n${named.join("\n")}\n`;
}

const declarationName = (path: string): string => join(process.cwd(), path.replace(/\.ts$/, ".d.ts"));

/** The .d.ts files that the sources become, by their path. */
function declarationsOf(entry: string): ReadonlyMap<string, string> {
  const { config } = ts.readConfigFile("tsconfig.json", ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, process.cwd());
  const outDir = process.cwd();
  const program = ts.createProgram([entry], { ...options, noEmit: false, emitDeclarationOnly: true, outDir });
  const found = new Map<string, string>();
  program.emit(undefined, (path, text) => found.set(path, text));
  return found;
}

function programOver(files: ReadonlyMap<string, string>, root: string): ts.Program {
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    lib: ["lib.es2023.d.ts", "lib.dom.d.ts"],
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (path) => files.has(path) || (!isOurs(path) && fileExists(path));
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.getSourceFile = (path, language, ...rest) => {
    const text = files.get(path);
    return text === undefined ? getSourceFile(path, language, ...rest) : ts.createSourceFile(path, text, language);
  };
  return ts.createProgram([root], options, host);
}

/** A source beside its declaration would be found first. */
const isOurs = (path: string): boolean =>
  !relative(process.cwd(), path).startsWith("..") && !path.includes("node_modules");

const targetOf = (checker: ts.TypeChecker, symbol: ts.Symbol): ts.Symbol =>
  symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;

/** Statements, for a variable's declaration is in a list of them. */
function ownDeclarations(symbol: ts.Symbol): ts.Node[] {
  return (symbol.declarations ?? []).map((node) => (ts.isVariableDeclaration(node) ? node.parent.parent : node));
}

/** Symbols of these files that a declaration speaks of; not those of its private members. */
function namedIn(checker: ts.TypeChecker, node: ts.Node, files: ReadonlyMap<string, string>): Set<ts.Symbol> {
  const found = new Set<ts.Symbol>();
  const visit = (each: ts.Node): void => {
    if (isPrivate(each)) return;
    if (ts.isIdentifier(each)) {
      const symbol = checker.getSymbolAtLocation(each);
      const target = symbol && targetOf(checker, symbol);
      const declared = target?.declarations?.[0];
      const isTopLevel = declared !== undefined && ts.isSourceFile(ownDeclarations(target!)[0].parent);
      if (isTopLevel && files.has(declared.getSourceFile().fileName)) found.add(target!);
    }
    ts.forEachChild(each, visit);
  };
  visit(node);
  return found;
}

const isPrivate = (node: ts.Node): boolean =>
  (ts.isClassElement(node) && node.name !== undefined && ts.isPrivateIdentifier(node.name)) ||
  (ts.canHaveModifiers(node) &&
    (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword));

const printer = ts.createPrinter({ removeComments: true });

function print(node: ts.Node): string {
  const isShown = <T extends ts.Node>(each: T): boolean => !isPrivate(each);
  const shown = ts.isClassDeclaration(node)
    ? ts.factory.updateClassDeclaration(
        node,
        node.modifiers,
        node.name,
        node.typeParameters,
        node.heritageClauses,
        node.members.filter(isShown),
      )
    : node;
  return printer
    .printNode(ts.EmitHint.Unspecified, shown, node.getSourceFile())
    .replace(/^export declare |^export |^declare /, "");
}
