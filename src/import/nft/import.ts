/**
 * `vrfc import nft FILE`: a rule set as text, in the form of `nft -f` and of what `nft list ruleset` prints.
 *
 *   importRuleSet = tokens -> define -> commands (script.ts) -> tables
 */
import type { File } from "../../../dsl/ast.ts";
import type { FilterTable } from "../../../dsl/chain-ast.ts";
import type { Diagnostic, Severity } from "../../../dsl/diagnostic.ts";
import type { Source, Span } from "../../../dsl/span.ts";
import type { ImportCode } from "../codes.ts";
import { runScript } from "./script.ts";

export interface RuleSetImport {
  readonly tables: readonly FilterTable[];
  /** Comments below the last table. */
  readonly tail: readonly (string | null)[];
  readonly diagnostics: readonly Diagnostic[];
}

/** Imports the rule set that stands in `text` between two offsets, which its spans count from 0 of the text. Never throws. */
export function importRuleSet(text: string, span: Span = { start: 0, end: text.length }): RuleSetImport {
  const diagnostics: Diagnostic[] = [];
  const report = (code: ImportCode, severity: Severity, at: Span, message: string, kernel?: string): void => {
    const said = { code, severity, message, primary: { span: at, message: "" }, secondary: [], help: [] };
    diagnostics.push(kernel === undefined ? said : { ...said, kernel });
  };
  const { ruleSet, tail } = runScript(text, span, {
    leftOut: (at, why) => report("W0501", "warning", at, `not imported: ${why}`),
    refused: (at, kernel) => report("E0501", "error", at, `this command fails here: ${kernel}`, kernel),
  });
  return { tables: ruleSet.ast(), tail, diagnostics };
}

/** A file whose root namespace has the rule set. Never throws. */
export function importNft({ text }: Source): { readonly ast: File; readonly diagnostics: readonly Diagnostic[] } {
  const { tables, tail, diagnostics } = importRuleSet(text);
  const span = { start: 0, end: text.length };
  return { ast: { kind: "file", span, items: tables, ...(tail.length > 0 ? { tail } : {}) }, diagnostics };
}
