/**
 * Diagnostics for people and for programs.
 *
 *   error[E0101]: unexpected `vai` in `route`             severity, code, headline
 *     --> seed.vrf:4:19
 *      |
 *    4 |   route 2.2.2.2 vai 10.0.0.7
 *      |                 ^^^ what is said under the carets
 *      |
 *      = note: Linux says: ...                            what the kernel answers to the same
 *   help: did you mean `via`?
 *      |
 *    4 -   route 2.2.2.2 vai 10.0.0.7
 *    4 +   route 2.2.2.2 via 10.0.0.7                     the exact edit
 *
 * Lines of second labels stand where they stand in the text, with `...` for what is left out between.
 */
import { createColors } from "picocolors";
import type { Diagnostic, Help, Label, Severity } from "./diagnostic.ts";
import type { Source, Span } from "./span.ts";

export interface RenderOptions {
  readonly color: boolean;
}

export interface Findings {
  readonly source: Source;
  readonly diagnostics: readonly Diagnostic[];
}

/** One paragraph for each diagnostic, in the order given, an empty line behind each. */
export function renderDiagnostics(
  source: Source,
  diagnostics: readonly Diagnostic[],
  { color }: RenderOptions,
): string {
  const text = new Lines(source);
  const paint = painter(color);
  return diagnostics.map((diagnostic) => `${renderOne(text, diagnostic, paint).join("\n")}\n\n`).join("");
}

// Positions.

/** From 1; columns count UTF-16 units, as editors and language servers do. */
interface Position {
  readonly line: number;
  readonly column: number;
}

class Lines {
  readonly source: Source;
  /** Offset of the start of each line. */
  private readonly starts: number[] = [0];

  constructor(source: Source) {
    this.source = source;
    for (let i = source.text.indexOf("\n"); i >= 0; i = source.text.indexOf("\n", i + 1)) this.starts.push(i + 1);
  }

  position(offset: number): Position {
    let low = 0;
    let high = this.starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= offset) low = middle;
      else high = middle;
    }
    return { line: low + 1, column: offset - this.starts[low] + 1 };
  }

  startOf(line: number): number {
    return this.starts[line - 1];
  }

  /** Without the line's end. */
  text(line: number): string {
    const end = line < this.starts.length ? this.starts[line] - 1 : this.source.text.length;
    return this.source.text.slice(this.starts[line - 1], end).replace(/\r$/, "");
  }
}

// What stands on the screen: tabs and control characters have a width of their own.

const TAB = "    ";
/** Control and formatting characters (Unicode Cc and Cf): a quoted file must not play tricks on the terminal. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;
const shown = (text: string): string => text.replace(UNPRINTABLE, (char) => (char === "\t" ? TAB : "\ufffd"));

/** East Asian wide characters and pictographs take two columns (Unicode TR 11, roughly). */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}]/u;
function width(text: string): number {
  let columns = 0;
  for (const char of shown(text)) columns += WIDE.test(char) ? 2 : 1;
  return columns;
}

// Painting.

type Paint = ReturnType<typeof painter>;

function painter(color: boolean) {
  const c = createColors(color);
  const severities: Record<Severity, (text: string) => string> = { error: c.red, warning: c.yellow, note: c.cyan };
  return {
    severity: (severity: Severity, text: string) => c.bold(severities[severity](text)),
    head: (text: string) => c.bold(text),
    gutter: (text: string) => c.blue(text),
    second: (text: string) => c.blue(text),
    help: (text: string) => c.bold(c.green(text)),
    removed: (text: string) => c.red(text),
    added: (text: string) => c.green(text),
  };
}

// One diagnostic.

function renderOne(text: Lines, diagnostic: Diagnostic, paint: Paint): string[] {
  const { severity, code, message, primary, secondary, help, kernel } = diagnostic;
  const at = text.position(primary.span.start);
  const lastLine = Math.max(
    ...[primary, ...secondary].map((label) => text.position(label.span.start).line),
    ...help.map((h) => editLine(text, h)),
  );
  const gutter = new Gutter(`${lastLine}`.length, paint);
  return [
    `${paint.severity(severity, `${severity}[${code}]`)}${paint.head(`: ${shown(message)}`)}`,
    `${gutter.arrow()} ${text.source.name}:${at.line}:${at.column}`,
    ...excerpt(text, primary, secondary, gutter, (mark) => paint.severity(severity, mark), paint),
    ...(kernel === undefined ? [] : [gutter.empty(), gutter.note(`note: Linux says: ${shown(kernel)}`)]),
    ...help.flatMap((one) => renderHelp(text, one, gutter, paint)),
  ];
}

const editLine = (text: Lines, help: Help): number =>
  help.edit === undefined ? 0 : text.position(help.edit.span.end).line;

/** The column of line numbers. */
class Gutter {
  private readonly digits: number;
  private readonly paint: Paint;

  constructor(digits: number, paint: Paint) {
    this.digits = digits;
    this.paint = paint;
  }
  private blank(): string {
    return " ".repeat(this.digits);
  }
  arrow(): string {
    return ` ${this.blank()}${this.paint.gutter("-->")}`;
  }
  empty(): string {
    return this.paint.gutter(` ${this.blank()} |`);
  }
  row(text: string): string {
    return text === "" ? this.empty() : `${this.empty()} ${text}`;
  }
  line(number: number, text: string, separator = "|"): string {
    return `${this.paint.gutter(` ${`${number}`.padStart(this.digits)} ${separator}`)}${text === "" ? "" : ` ${text}`}`;
  }
  note(text: string): string {
    return `${this.paint.gutter(` ${this.blank()} =`)} ${text}`;
  }
}

/** A label as it is drawn on its line. */
interface Mark {
  readonly line: number;
  /** Screen columns, from 0; `to` is exclusive and larger. */
  readonly from: number;
  readonly to: number;
  readonly message: string;
  readonly primary: boolean;
}

function markOf(text: Lines, { span, message }: Label, primary: boolean): Mark {
  const { line } = text.position(span.start);
  const start = text.startOf(line);
  const whole = text.text(line);
  const from = width(whole.slice(0, span.start - start));
  const to = width(whole.slice(0, Math.max(0, span.end - start)));
  return { line, from, to: Math.max(to, from + 1), message: shown(message), primary };
}

function excerpt(
  text: Lines,
  primary: Label,
  secondary: readonly Label[],
  gutter: Gutter,
  paintPrimary: (mark: string) => string,
  paint: Paint,
): string[] {
  const marks = [markOf(text, primary, true), ...secondary.map((label) => markOf(text, label, false))];
  const lines = [...new Set(marks.map((mark) => mark.line))].sort((a, b) => a - b);
  const paintMark = (mark: Mark, piece: string) => (mark.primary ? paintPrimary(piece) : paint.second(piece));
  const rows = lines.flatMap((line, i) => {
    const here = marks.filter((mark) => mark.line === line);
    const view = cut(shown(text.text(line)), Math.min(...here.map((mark) => mark.from)));
    return [
      ...(i > 0 && line > lines[i - 1] + 1 ? [paint.gutter("...")] : []),
      gutter.line(line, view.text),
      ...underlines(
        here.map((mark) => view.move(mark)),
        paintMark,
      ).map((row) => gutter.row(row)),
    ];
  });
  return [gutter.empty(), ...rows];
}

const MAX_WIDTH = 160;
const LEFT_CONTEXT = 60;

/** The part of a very long line that holds column `from`, and where marks are in it. */
function cut(line: string, from: number): { text: string; move: (mark: Mark) => Mark } {
  if (line.length <= MAX_WIDTH) return { text: line, move: (mark) => mark };
  const start = Math.max(0, from - LEFT_CONTEXT);
  const [left, right] = [start > 0 ? "..." : "", line.length > start + MAX_WIDTH ? "..." : ""];
  const shift = (column: number) => Math.min(Math.max(0, column - start), MAX_WIDTH) + left.length;
  return {
    text: `${left}${line.slice(start, start + MAX_WIDTH)}${right}`,
    move: (mark) => ({ ...mark, from: shift(mark.from), to: Math.max(shift(mark.to), shift(mark.from) + 1) }),
  };
}

/**
 * The rows under a line: the carets with the message of the rightmost label, then a row for every other message.
 *
 *     ---      ^^^ the second time
 *     |
 *     the first time
 */
function underlines(marks: readonly Mark[], paint: (mark: Mark, drawn: string) => string): string[] {
  const order = marks.toSorted((a, b) => a.from - b.from);
  const last = order.at(-1)!;
  const others = order.slice(0, -1).filter((mark) => mark.message !== "");
  const under = drawn(
    order.map((mark) => [mark.from, paint(mark, (mark.primary ? "^" : "-").repeat(mark.to - mark.from)), mark.to]),
  );
  const rows = [last.message === "" ? under : `${under} ${paint(last, last.message)}`];
  for (let i = others.length - 1; i >= 0; i--) {
    const bars = (count: number) =>
      others.slice(0, count).map((mark) => [mark.from, paint(mark, "|"), mark.from + 1] as const);
    if (i === others.length - 1) rows.push(drawn(bars(i + 1)));
    rows.push(drawn([...bars(i), [others[i].from, paint(others[i], others[i].message), others[i].from + 1]]));
  }
  return rows;
}

/** Pieces at columns, left to right; what overlaps an earlier one is left out. */
function drawn(pieces: readonly (readonly [from: number, text: string, to: number])[]): string {
  let row = "";
  let column = 0;
  for (const [from, text, to] of pieces) {
    if (from < column) continue;
    row += " ".repeat(from - column) + text;
    column = to;
  }
  return row;
}

// Help.

function renderHelp(text: Lines, { message, edit }: Help, gutter: Gutter, paint: Paint): string[] {
  const head = `${paint.help("help")}: ${shown(message)}`;
  return edit === undefined ? [head] : [head, gutter.empty(), ...renderEdit(text, edit, gutter, paint)];
}

/** The lines that an edit changes, before and after. */
function renderEdit(text: Lines, edit: { span: Span; text: string }, gutter: Gutter, paint: Paint): string[] {
  const start = text.position(edit.span.start);
  const end = text.position(edit.span.end);
  const before = Array.from({ length: end.line - start.line + 1 }, (_, i) => text.text(start.line + i));
  const head = before[0].slice(0, start.column - 1);
  const tail = before[before.length - 1].slice(end.column - 1);
  const after = `${head}${edit.text}${tail}`.split("\n");
  const same = commonEnds(before, after);
  const rows = (lines: readonly string[], sign: string, paintLine: (line: string) => string) =>
    lines
      .slice(same.head, lines.length - same.tail)
      .map((line, i) => gutter.line(start.line + same.head + i, paintLine(cut(shown(line), 0).text), sign));
  return [...rows(before, "-", paint.removed), ...rows(after, "+", paint.added)];
}

/** How many lines at the beginning and at the end are the same. */
function commonEnds(a: readonly string[], b: readonly string[]): { head: number; tail: number } {
  const least = Math.min(a.length, b.length);
  let head = 0;
  while (head < least && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < least - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  return { head, tail };
}

// For programs.

export interface JsonPosition {
  readonly line: number;
  readonly column: number;
  readonly endLine: number;
  readonly endColumn: number;
}

export interface JsonDiagnostic extends JsonPosition {
  readonly code: string;
  readonly severity: Severity;
  readonly message: string;
  readonly file: string;
  /** The line that `line` names, without its end. */
  readonly lineText: string;
  /** What is said under the carets; may be empty. */
  readonly label: string;
  readonly notes: readonly (JsonPosition & { readonly message: string; readonly lineText: string })[];
  /** Linux' words for the same refusal. */
  readonly kernel: string | null;
  readonly help: readonly { readonly message: string; readonly edit: JsonEdit | null }[];
}

/** Replace what stands between the positions (and UTF-16 offsets) by `text`. */
export interface JsonEdit extends JsonPosition {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export const DIAGNOSTICS_SCHEMA = "vrfc.diagnostics/1";

/** Columns and lines count from 1, `endColumn` is exclusive; the schema's number grows when a field changes its meaning. */
export function diagnosticsToJson(results: readonly Findings[]): {
  readonly schema: typeof DIAGNOSTICS_SCHEMA;
  readonly diagnostics: readonly JsonDiagnostic[];
} {
  return { schema: DIAGNOSTICS_SCHEMA, diagnostics: results.flatMap(toJson) };
}

function toJson({ source, diagnostics }: Findings): JsonDiagnostic[] {
  const lines = new Lines(source);
  return diagnostics.map(({ code, severity, message, primary, secondary, help, kernel }) => ({
    code,
    severity,
    message,
    file: source.name,
    ...jsonPosition(lines, primary.span),
    lineText: lines.text(lines.position(primary.span.start).line),
    label: primary.message,
    notes: secondary.map((label) => ({
      message: label.message,
      ...jsonPosition(lines, label.span),
      lineText: lines.text(lines.position(label.span.start).line),
    })),
    kernel: kernel ?? null,
    help: help.map((one) => ({
      message: one.message,
      edit:
        one.edit === undefined
          ? null
          : { ...jsonPosition(lines, one.edit.span), ...one.edit.span, text: one.edit.text },
    })),
  }));
}

function jsonPosition(lines: Lines, { start, end }: Span): JsonPosition {
  const from = lines.position(start);
  const to = lines.position(end);
  return { line: from.line, column: from.column, endLine: to.line, endColumn: to.column };
}
