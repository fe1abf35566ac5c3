/** What the importer's tests share: import a text, print it, and see what was reported. */
import { check } from "../../dsl/check.ts";
import type { Model } from "../../dsl/model.ts";
import { print } from "../../dsl/print.ts";
import { type ImportOptions, type ImportResult, importScript } from "../../src/import/import.ts";

export const imported = (text: string, options: ImportOptions = {}): ImportResult =>
  importScript({ name: "script.sh", text }, options);

/** The vrfc text of a script, without the assumption about forwarding. */
export const printed = (text: string, options: ImportOptions = {}): string =>
  print(imported(text, { assumeForwarding: false, ...options }).ast);

/** Each finding as `CODE line: message [kernel's words]`. */
export function findings(text: string, options: ImportOptions = {}): string[] {
  const { diagnostics } = imported(text, { assumeForwarding: false, ...options });
  return diagnostics.map(({ code, message, kernel, primary }) => {
    const line = text.slice(0, primary.span.start).split("\n").length;
    return `${code} ${line}: ${kernel ?? message}`;
  });
}

/** The parts of a model that say what a network is, without where each came from. */
export function meaning(model: Model): unknown {
  const skipped = new Set(["origin", "span", "source"]);
  return JSON.parse(
    JSON.stringify({ kernel: model.kernel, nets: model.nets, tests: model.tests }, (key, value: unknown) => {
      if (skipped.has(key)) return undefined;
      if (value instanceof Map) return [...value];
      return typeof value === "bigint" ? `${value}n` : value;
    }),
  );
}

/** The model of a script, or null with the checker's errors. */
export function modelOf(text: string, options: ImportOptions = {}): { model: Model | null; errors: string[] } {
  const source = { name: "script.sh", text };
  const { model, diagnostics } = check(importScript(source, options).ast, source);
  return { model, errors: diagnostics.filter((d) => d.severity === "error").map((d) => d.message) };
}
