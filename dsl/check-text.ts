/** Text to model in one step: parse and check. */
import type { File } from "./ast.ts";
import type { CheckOptions, CheckResult } from "./check.ts";
import { check } from "./check.ts";
import { parse } from "./parse.ts";
import type { Source } from "./span.ts";

export interface TextResult extends CheckResult {
  readonly source: Source;
  /** What could be understood, also of a text with errors. */
  readonly ast: File;
}

/** Findings of the parser and the checker, in text order; the model is null when any of them is an error. Never throws. */
export function checkText(text: string, name = "policy", options: CheckOptions = {}): TextResult {
  const source: Source = { name, text };
  const { ast, diagnostics: syntax } = parse(source);
  const { model, diagnostics } = check(ast, source, options);
  const all = [...syntax, ...diagnostics].sort((a, b) => a.primary.span.start - b.primary.span.start);
  const failed = all.some((d) => d.severity === "error");
  return { source, ast, model: failed ? null : model, diagnostics: all };
}
