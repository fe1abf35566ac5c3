/**
 * The arrows between the parts, as src/ARCHITECTURE.md draws them:
 *
 *   examples, test -> src -> dsl -> runtime/{brand, hooks, net}        src -> runtime        runtime -> nothing
 *
 * Type-only imports follow the same arrows; they are exempt only from the search for cycles, because the compiler
 * erases them and no file waits for another.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { cycles, type Import, importsOf, ROOT, sourceImports } from "./source-imports.ts";

const PARTS = ["runtime", "dsl", "src", "examples", "test"];
const imports = sourceImports(PARTS);

type Edge = Import & { readonly from: string };
const edges: Edge[] = [...imports].flatMap(([from, list]) => list.map((edge) => ({ ...edge, from })));
const within = (path: string, ...folders: string[]): boolean => folders.some((folder) => path.startsWith(`${folder}/`));
const show = ({ from, kind, specifier }: Edge): string => `${from} -> ${specifier} (${kind})`;
const refuse = (bad: (edge: Edge) => boolean): void => expect(edges.filter(bad).map(show)).toEqual([]);

describe("arrows between files", () => {
  const relativeEdges = edges.filter((edge): edge is Edge & { file: string } => edge.file !== null);
  const arrow = (from: string, allowed: (file: string) => boolean): void =>
    expect(relativeEdges.filter((edge) => within(edge.from, from) && !allowed(edge.file)).map(show)).toEqual([]);

  test("relative imports name a .ts file that is there", () => {
    const missing = relativeEdges.filter(({ file }) => !file.endsWith(".ts") || !existsSync(join(ROOT, file)));
    expect(missing.map(show)).toEqual([]);
  });
  test("runtime imports only itself", () => arrow("runtime", (file) => within(file, "runtime")));
  test("dsl imports itself and the runtime's words: brand, hooks, net", () => {
    const words = ["runtime/brand.ts", "runtime/hooks.ts"];
    arrow("dsl", (file) => within(file, "dsl", "runtime/net") || words.includes(file));
  });
  test("src imports itself, dsl and runtime", () => arrow("src", (file) => within(file, "src", "dsl", "runtime")));
  test("examples import src, dsl and runtime", () =>
    arrow("examples", (file) => within(file, "examples", "src", "dsl", "runtime")));

  // The reference's files are the kernel's, and those call each other in a circle: dev_queue_xmit, vrf_xmit, ip_local_out,
  // dev_queue_xmit. The kernel breaks it with pointers in ops tables; there it would hide what calls what.
  test("no cycle of files, but among those of the reference", () => {
    const graph = new Map(
      [...imports].map(([from, list]) => [
        from,
        list.flatMap(({ kind, file }) => (kind === "type" || file === null ? [] : [file])),
      ]),
    );
    expect(cycles(graph).filter((files) => !files.every((file) => within(file, "src/reference")))).toEqual([]);
  });
});

describe("packages", () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const packages = edges.filter(({ file }) => file === null);
  const nameOf = (specifier: string): string =>
    specifier
      .split("/")
      .slice(0, specifier.startsWith("@") ? 2 : 1)
      .join("/");
  const only = (name: string, allowed: (edge: Edge) => boolean): void =>
    refuse((edge) => edge.file === null && nameOf(edge.specifier) === name && !allowed(edge));

  test("runtime imports none, and nothing of node", () =>
    refuse(({ from, file }) => within(from, "runtime") && file === null));
  test("chevrotain only in dsl", () => only("chevrotain", ({ from }) => within(from, "dsl")));
  test("binaryen only in src/wasm, and only when it is needed", () =>
    only("binaryen", ({ from, kind }) => within(from, "src/wasm") && kind !== "static"));
  test("koffi only in src/forward, and only when it is needed", () =>
    only("koffi", ({ from, kind }) => within(from, "src/forward") && kind !== "static"));
  test("cac only in the command line", () => only("cac", ({ from }) => within(from, "src/cli")));
  test("vitest and fast-check only in tests", () => {
    for (const name of ["vitest", "fast-check"]) only(name, ({ from }) => within(from, "test"));
  });
  test("what is shipped imports only dependencies, what is not also devDependencies", () => {
    const developing = ({ from }: Edge): boolean => within(from, "test") || from === "dsl/generate-cst.ts";
    const declared = (edge: Edge): boolean =>
      nameOf(edge.specifier) in manifest.dependencies ||
      nameOf(edge.specifier) in manifest.optionalDependencies ||
      (nameOf(edge.specifier) in manifest.devDependencies && developing(edge));
    expect(packages.filter((edge) => !edge.specifier.startsWith("node:") && !declared(edge)).map(show)).toEqual([]);
  });
});

describe("what starts fast", () => {
  /** Files and packages that are loaded before a file's first line runs. */
  const loadedBy = (start: string): Set<string> => {
    const seen = new Set<string>([start]);
    for (const file of seen)
      for (const edge of imports.get(file) ?? []) if (edge.kind === "static") seen.add(edge.file ?? edge.specifier);
    return seen;
  };
  test("the command line loads no command, no parser and no binaryen before it knows which it needs", () => {
    const loaded = [...loadedBy("src/cli/main.ts")];
    const heavy = (name: string) => ["binaryen", "chevrotain"].includes(name) || name.startsWith("src/cli/commands/");
    expect(loaded.filter(heavy)).toEqual([]);
  });
  test("the runtime is loaded without a package", () => {
    const loaded = [...loadedBy("runtime/index.ts")];
    expect(loaded.filter((name) => !name.startsWith("runtime/"))).toEqual([]);
    expect(loaded.length).toBeGreaterThan(1);
  });
});

describe("package.json", () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  test("every export and command is a file that the build writes", () => {
    const written = new Set(buildOutputs());
    const promised = [
      ...Object.values<Record<string, string>>(manifest.exports).flatMap((conditions) => Object.values(conditions)),
      ...Object.values<string>(manifest.bin),
    ];
    expect(promised.length).toBeGreaterThan(0);
    expect(promised.filter((path) => !written.has(join(ROOT, path)))).toEqual([]);
  });
  test("every file that is packed is there, or is built", () => {
    const packed: string[] = manifest.files;
    expect(packed.filter((path) => !path.startsWith("dist/") && !existsSync(join(ROOT, path)))).toEqual([]);
  });
});

/** What `npm run build` writes, by TypeScript's own reckoning. */
function buildOutputs(): string[] {
  const config = join(ROOT, "tsconfig.build.json");
  const host: ts.ParseConfigFileHost = {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (diagnostic) => {
      throw new Error(ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n"));
    },
  };
  const parsed = ts.getParsedCommandLineOfConfigFile(config, undefined, host)!;
  expect(parsed.errors).toEqual([]);
  const inputs = parsed.fileNames.filter((name) => !relative(ROOT, name).startsWith(".."));
  return inputs.flatMap((name) => [...ts.getOutputFileNames(parsed, name, false)]);
}

describe("the scan itself", () => {
  test("tells static, type and dynamic imports", () => {
    const text = `
      import a from "./a.ts";
      import type { B } from "../b.ts";
      import { type C } from "c";
      import "d";
      export * from "./e.ts";
      export type { F } from "./f.ts";
      const g = await import("g");
      type H = import("./h.ts").H; // import "./comment.ts"
      const text = 'import "./string.ts"';`;
    expect(importsOf("src/x/y.ts", text)).toEqual([
      { kind: "static", specifier: "./a.ts", file: "src/x/a.ts" },
      { kind: "type", specifier: "../b.ts", file: "src/b.ts" },
      { kind: "static", specifier: "c", file: null }, // kept as `import {} from "c"` by verbatimModuleSyntax
      { kind: "static", specifier: "d", file: null },
      { kind: "static", specifier: "./e.ts", file: "src/x/e.ts" },
      { kind: "type", specifier: "./f.ts", file: "src/x/f.ts" },
      { kind: "dynamic", specifier: "g", file: null },
      { kind: "type", specifier: "./h.ts", file: "src/x/h.ts" },
    ]);
  });
  test("finds cycles", () => {
    const graph = new Map([
      ["a", ["b"]],
      ["b", ["c"]],
      ["c", ["b", "d"]],
      ["d", []],
      ["e", ["e"]],
    ]);
    expect(cycles(graph)).toEqual([["b", "c"], ["e"]]);
  });
});
