/**
 * Collects what the checks find. A check reports and goes on; nothing is thrown, and one finding does not hide the next.
 */
import type { CheckCode } from "../codes.ts";
import type { Diagnostic, Help, Label, Severity } from "../diagnostic.ts";
import type { Source, Span } from "../span.ts";

/** What may stand beside the headline. */
export interface Finding {
  /** Said under the carets. */
  readonly label?: string;
  readonly secondary?: readonly Label[];
  readonly help?: readonly Help[];
  /** Linux' words for the same refusal, verbatim. */
  readonly kernel?: string;
}

export interface Reporter {
  readonly source: Source;
  readonly diagnostics: readonly Diagnostic[];
  error(code: CheckCode, span: Span, message: string, finding?: Finding): void;
  warning(code: CheckCode, span: Span, message: string, finding?: Finding): void;
  /** A remark that does not make `vrfc check` fail. */
  note(code: CheckCode, span: Span, message: string, finding?: Finding): void;
}

export function createReporter(source: Source): Reporter {
  const diagnostics: Diagnostic[] = [];
  const seen = new Set<string>();
  const report =
    (severity: Severity) =>
    (code: CheckCode, span: Span, message: string, finding: Finding = {}) => {
      const key = `${code} ${span.start} ${span.end} ${message}`;
      if (seen.has(key)) return;
      seen.add(key);
      diagnostics.push({
        code,
        severity,
        message,
        primary: { span, message: finding.label ?? "" },
        secondary: finding.secondary ?? [],
        help: finding.help ?? [],
        ...(finding.kernel === undefined ? {} : { kernel: finding.kernel }),
      });
    };
  return { source, diagnostics, error: report("error"), warning: report("warning"), note: report("note") };
}

/** An edit that inserts `text` at an offset. */
export const insertAt = (offset: number, text: string): { span: Span; text: string } => ({
  span: { start: offset, end: offset },
  text,
});

/** An edit that takes a statement away, with the `;`, the blank or the line that was only its own. */
export function removal({ text }: Source, { start, end }: Span): { span: Span; text: string } {
  const before = text.slice(0, start);
  const after = text.slice(end);
  const separator = /[ \t]*;[ \t]*$/.exec(before);
  if (separator !== null) return { span: { start: start - separator[0].length, end }, text: "" };
  const following = /^[ \t]*;[ \t]*/.exec(after);
  if (following !== null) return { span: { start, end: end + following[0].length }, text: "" };
  const indent = /(?:^|\n)([ \t]*)$/.exec(before);
  const lineEnd = /^[ \t]*(?:\n|$)/.exec(after);
  if (indent !== null && lineEnd !== null) {
    return { span: { start: start - indent[1].length, end: end + lineEnd[0].length }, text: "" };
  }
  const blank = /[ \t]$/.test(before) && /^[ \t]/.test(after) ? 1 : 0;
  return { span: { start: start - blank, end }, text: "" };
}

/** The blanks before the first word of the line that holds `offset`. */
export function indentAt(source: Source, offset: number): string {
  const start = source.text.lastIndexOf("\n", offset - 1) + 1;
  return /^[ \t]*/.exec(source.text.slice(start))![0];
}
