/**
 * The shell's tokens: words with their quotes undone and their variables still in them, operators, redirections, comments
 * and ends of lines.
 *
 *   ip -n "$NS" a 10.0.$i.1/24 2>/dev/null   ->   word word word[variable NS] word word[text, variable i, text] redirect word
 */
import type { Span } from "../../dsl/span.ts";

/** A stretch of a word that is read in one way. */
export type Segment =
  | { readonly kind: "text"; readonly text: string; readonly quoted: boolean }
  | { readonly kind: "variable"; readonly name: string; readonly fallback: string | null; readonly quoted: boolean }
  | { readonly kind: "arithmetic" | "substitution"; readonly text: string };

/** A word with its variables still in it. */
export interface RawWord {
  readonly segments: readonly Segment[];
  readonly span: Span;
}

export type Token =
  | { readonly kind: "word"; readonly word: RawWord; readonly literal: string | null }
  | { readonly kind: "operator"; readonly text: string; readonly span: Span }
  | { readonly kind: "redirect"; readonly operator: string; readonly fd: string; readonly span: Span }
  | { readonly kind: "comment"; readonly text: string; readonly span: Span }
  | { readonly kind: "newline"; readonly span: Span }
  | { readonly kind: "end"; readonly span: Span };

const BLANK = /[^\S\n]/;
const WORD_END = /[\s;&|<>()]/;

export class Lexer {
  position = 0;
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }

  next(): Token {
    this.skipBlanks();
    const start = this.position;
    const rest = this.text.slice(start, start + 12);
    if (rest === "") return { kind: "end", span: { start, end: start } };
    if (rest[0] === "\n") return { kind: "newline", span: this.advance(1) };
    if (rest[0] === "#") {
      const newline = this.text.indexOf("\n", start);
      const span = this.advance((newline < 0 ? this.text.length : newline) - start);
      return { kind: "comment", text: this.text.slice(span.start + 1, span.end).trimEnd(), span };
    }
    const redirect = /^(\d?)(<<<|<<-|<<|>>|>&|<&|>|<)|^(&)>>?/.exec(rest);
    if (redirect)
      return {
        kind: "redirect",
        operator: redirect[2] ?? ">",
        fd: redirect[1] ?? "&",
        span: this.advance(redirect[0].length),
      };
    const operator = /^(&&|\|\||;;|;|&|\||\(|\))/.exec(rest);
    if (operator) return { kind: "operator", text: operator[0], span: this.advance(operator[0].length) };
    const word = this.word();
    const [only] = word.segments;
    const literal = word.segments.length === 1 && only.kind === "text" && !only.quoted ? only.text : null;
    return { kind: "word", word, literal };
  }

  /** The lines of a here-document up to its delimiter; the position moves behind them. Called at a line's end. */
  hereDocument(delimiter: string, stripTabs: boolean): RawWord {
    const start = this.position;
    const lines: string[] = [];
    while (this.position < this.text.length) {
      const newline = this.text.indexOf("\n", this.position);
      const end = newline < 0 ? this.text.length : newline;
      const line = this.text.slice(this.position, end);
      this.position = Math.min(end + 1, this.text.length);
      if ((stripTabs ? line.replace(/^\t+/, "") : line).trimEnd() === delimiter) break;
      lines.push(stripTabs ? line.replace(/^\t+/, "") : line);
    }
    return { segments: [{ kind: "text", text: lines.join("\n"), quoted: true }], span: { start, end: this.position } };
  }

  private advance(length: number): Span {
    const start = this.position;
    this.position += length;
    return { start, end: this.position };
  }

  private skipBlanks(): void {
    for (;;) {
      const char = this.text[this.position];
      if (char !== undefined && BLANK.test(char)) this.position++;
      else if (char === "\\" && this.text[this.position + 1] === "\n") this.position += 2;
      else return;
    }
  }

  private word(): RawWord {
    const start = this.position;
    const segments: Segment[] = [];
    const add = (text: string, quoted: boolean) => {
      const last = segments.at(-1);
      if (last?.kind === "text" && last.quoted === quoted)
        segments[segments.length - 1] = { kind: "text", text: last.text + text, quoted };
      else segments.push({ kind: "text", text, quoted });
    };
    while (this.position < this.text.length) {
      const char = this.text[this.position];
      if (WORD_END.test(char)) break;
      if (char === "\\") {
        const escaped = this.text[this.position + 1] ?? "";
        if (escaped !== "\n") add(escaped, true);
        this.position += 2;
      } else if (char === "'") {
        const close = this.text.indexOf("'", this.position + 1);
        const end = close < 0 ? this.text.length : close;
        add(this.text.slice(this.position + 1, end), true);
        this.position = end + 1;
      } else if (char === '"') this.doubleQuoted(segments, add);
      else if (char === "$") segments.push(this.dollar(false));
      else if (char === "`") {
        segments.push({ kind: "substitution", text: this.enclosed("`", "`", 1) });
      } else {
        add(char, false);
        this.position++;
      }
    }
    this.position = Math.min(this.position, this.text.length);
    return { segments, span: { start, end: this.position } };
  }

  private doubleQuoted(segments: Segment[], add: (text: string, quoted: boolean) => void): void {
    this.position++;
    add("", true);
    while (this.position < this.text.length && this.text[this.position] !== '"') {
      const char = this.text[this.position];
      if (char === "$") segments.push(this.dollar(true));
      else if (char === "`") segments.push({ kind: "substitution", text: this.enclosed("`", "`", 1) });
      else if (char === "\\" && /["\\$`\n]/.test(this.text[this.position + 1] ?? "")) {
        add(this.text[this.position + 1] === "\n" ? "" : this.text[this.position + 1], true);
        this.position += 2;
      } else {
        add(char, true);
        this.position++;
      }
    }
    this.position++;
  }

  private dollar(quoted: boolean): Segment {
    const rest = this.text.slice(this.position);
    const variable = /^\$(?:([A-Za-z_]\w*|[0-9@*#?$!-])|\{([A-Za-z_]\w*|[0-9@*#?])(?::?-([^}"'$`]*))?\})/.exec(rest);
    if (variable) {
      this.position += variable[0].length;
      return { kind: "variable", name: variable[1] ?? variable[2], fallback: variable[3] ?? null, quoted };
    }
    if (rest.startsWith("$((")) {
      const text = this.enclosed("(", ")", 1);
      return { kind: "arithmetic", text: text.slice(1, -1) };
    }
    if (rest.startsWith("$(")) return { kind: "substitution", text: this.enclosed("(", ")", 1) };
    if (rest.startsWith("${")) return { kind: "substitution", text: this.enclosed("{", "}", 1) };
    this.position++;
    return { kind: "text", text: "$", quoted: true };
  }

  /** What stands between `open` (at `position + skip`, or at `position` for a back-quote) and its `close`. */
  private enclosed(open: string, close: string, skip: number): string {
    const start = this.position + skip + (open === close ? 0 : 1);
    let depth = 1;
    let i = start;
    for (; i < this.text.length && depth > 0; i++) {
      if (this.text[i] === close) depth--;
      else if (this.text[i] === open) depth++;
    }
    this.position = i;
    return this.text.slice(start, depth === 0 ? i - 1 : i);
  }
}

export const tokenSpan = (token: Token): Span => (token.kind === "word" ? token.word.span : token.span);
