/**
 * Collects what is wrong with the wording of a text: at most one error for each statement, because what follows a
 * misunderstanding is rarely worth reading. The statement is then broken and does not become part of the AST.
 */
import type { IToken } from "chevrotain";
import type { Diagnostic, Help, Label } from "./diagnostic.ts";
import type { Span } from "./span.ts";
import type { SyntaxCode } from "./syntax-codes.ts";
import { endOf, placeOf, startOf } from "./tokens.ts";

export interface Finding {
  /** Said under the carets. */
  readonly label?: string;
  readonly secondary?: readonly Label[];
  readonly help?: readonly Help[];
  /** Where, when it is not the token itself. */
  readonly span?: Span;
}

export const spanOf = (first: IToken, last: IToken = first): Span => ({ start: startOf(first), end: endOf(last) });

export class SyntaxReport {
  readonly diagnostics: Diagnostic[] = [];
  private readonly broken = new Set<number>();

  /** The statement of `token` cannot be understood. */
  error(token: IToken, code: SyntaxCode, message: string, finding: Finding = {}): void {
    const { statement } = placeOf(token);
    if (this.broken.has(statement)) return;
    this.broken.add(statement);
    this.errorAt(finding.span ?? spanOf(token), code, message, finding);
  }

  /** An error that belongs to no statement. */
  errorAt(span: Span, code: SyntaxCode, message: string, finding: Finding = {}): void {
    this.add("error", span, code, message, finding);
  }

  note(token: IToken, code: SyntaxCode, message: string, finding: Finding = {}): void {
    this.add("note", finding.span ?? spanOf(token), code, message, finding);
  }

  private add(severity: "error" | "note", span: Span, code: SyntaxCode, message: string, finding: Finding): void {
    const { label = "", secondary = [], help = [] } = finding;
    this.diagnostics.push({ code, severity, message, primary: { span, message: label }, secondary, help });
  }

  isBroken(token: IToken): boolean {
    return this.broken.has(placeOf(token).statement);
  }
}

/** Help that replaces a token. */
export const replaceBy = (token: IToken, text: string, message = `write \`${text}\``): Help => ({
  message,
  edit: { span: spanOf(token), text },
});

export const didYouMean = (token: IToken, word: string): Help => replaceBy(token, word, `did you mean \`${word}\`?`);
