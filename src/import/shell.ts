/**
 * The part of the POSIX shell that network set-up scripts are written in, read into one statement after the other.
 *
 *   script    = { line }                    line     = [ list ] [ "#" comment ] NEWLINE
 *   list      = pipeline { ( "&&" | "||" | ";" | "&" ) pipeline }
 *   pipeline  = command [ "|" command ]
 *   command   = { NAME "=" word } { word | redirect }
 *             | "for" NAME "in" { word } ";" "do" list "done"
 *   redirect  = [ N ] ( ">" | ">>" | "<" ) word | "<<" DELIMITER
 *   word      = { char | '…' | "…" | \char | $NAME | ${NAME} | ${NAME:-text} | $((A op B)) | $(seq A B) | {A..B} }
 *
 * Reading has two steps: `parse` builds a tree whose words still hold their variables, `expand` walks it with the
 * variables' values. What is outside the grammar (if, while, case, functions, command substitution, …) becomes an
 * `unreadable` statement that spans the whole construct, so that the importer can report it and keep its text.
 */
import type { Span } from "../../dsl/span.ts";

/** A word after expansion; `span` is where it was written (a variable's use, not its assignment). */
export interface Word {
  readonly text: string;
  readonly span: Span;
}

export interface Redirect {
  readonly operator: ">" | ">>" | "<" | "<<";
  /** File descriptor as written, "" when none was. */
  readonly fd: string;
  /** The file name; for a here-document its text. */
  readonly target: Word;
}

export type Statement =
  | {
      readonly kind: "command";
      readonly words: readonly Word[];
      readonly redirects: readonly Redirect[];
      /** Right side of `|`. */
      readonly pipe?: readonly Word[];
      readonly span: Span;
      /** Run it always, only after success (`&&`), or only after failure (`||`). */
      readonly when: "always" | "success" | "failure";
      /** A `||` follows: the script expects that this may fail. */
      readonly mayFail: boolean;
    }
  | { readonly kind: "comment"; readonly text: string; readonly span: Span; readonly trailing: boolean }
  | { readonly kind: "blank"; readonly span: Span }
  | { readonly kind: "unreadable"; readonly why: string; readonly span: Span };

/** Statements that loops may come to, in all; loops in loops in loops must not fill the memory. */
const MAX_LOOPED = 20_000;
const MAX_DEPTH = 50;

// ---- the tree ---------------------------------------------------------------------------------------------------

type Segment =
  | { readonly kind: "text"; readonly text: string; readonly quoted: boolean }
  | { readonly kind: "variable"; readonly name: string; readonly fallback: string | null; readonly quoted: boolean }
  | { readonly kind: "arithmetic" | "substitution"; readonly text: string };

interface RawWord {
  readonly segments: readonly Segment[];
  readonly span: Span;
}
interface RawRedirect {
  readonly operator: Redirect["operator"];
  readonly fd: string;
  readonly target: RawWord;
}
interface SimpleCommand {
  readonly kind: "command";
  readonly words: RawWord[];
  readonly redirects: RawRedirect[];
  pipe?: RawWord[];
  span: Span;
  when: "always" | "success" | "failure";
  mayFail: boolean;
}
type Tree =
  | SimpleCommand
  | {
      readonly kind: "for";
      readonly name: string;
      readonly list: readonly RawWord[];
      readonly body: readonly Tree[];
      readonly span: Span;
    }
  | Exclude<Statement, { kind: "command" }>;

// ---- tokens -----------------------------------------------------------------------------------------------------

type Token =
  | { readonly kind: "word"; readonly word: RawWord; readonly literal: string | null }
  | { readonly kind: "operator"; readonly text: string; readonly span: Span }
  | { readonly kind: "redirect"; readonly operator: string; readonly fd: string; readonly span: Span }
  | { readonly kind: "comment"; readonly text: string; readonly span: Span }
  | { readonly kind: "newline"; readonly span: Span }
  | { readonly kind: "end"; readonly span: Span };

const BLANK = /[^\S\n]/;
const WORD_END = /[\s;&|<>()]/;

class Lexer {
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

// ---- parse ------------------------------------------------------------------------------------------------------

/** Compound commands that are not read, and the word that ends each. */
const COMPOUND_END: Readonly<Record<string, string>> = {
  if: "fi",
  while: "done",
  until: "done",
  for: "done",
  select: "done",
  case: "esac",
  "{": "}",
  "(": ")",
};

class Parser {
  private readonly lexer: Lexer;
  private token: Token;
  private readonly hereDocuments: {
    readonly command: SimpleCommand;
    readonly delimiter: string;
    readonly stripTabs: boolean;
  }[] = [];
  private previousEnd = 0;

  constructor(text: string) {
    this.lexer = new Lexer(text);
    this.token = this.lexer.next();
  }

  /** Up to the end of the text, or up to `done`. */
  block(end: "done" | null, depth: number): Tree[] {
    const trees: Tree[] = [];
    let lineHasCommand = false;
    for (;;) {
      const token = this.token;
      if (token.kind === "end") return trees;
      if (token.kind === "newline") {
        if (this.lineIsBlank(token.span)) trees.push({ kind: "blank", span: token.span });
        lineHasCommand = false;
        this.advance();
      } else if (token.kind === "comment") {
        trees.push({ kind: "comment", text: token.text, span: token.span, trailing: lineHasCommand });
        this.advance();
      } else if (token.kind === "operator" && /^(;|&|;;)$/.test(token.text)) this.advance();
      else if (end !== null && token.kind === "word" && token.literal === end) return trees;
      else {
        lineHasCommand = true;
        this.list(trees, depth);
      }
    }
  }

  private list(trees: Tree[], depth: number): void {
    let when: SimpleCommand["when"] = "always";
    for (;;) {
      const tree = this.command(depth);
      if (tree.kind === "command") tree.when = when;
      trees.push(tree);
      if (this.token.kind !== "operator" || !/^(&&|\|\|)$/.test(this.token.text)) return;
      when = this.token.text === "&&" ? "success" : "failure";
      if (when === "failure" && tree.kind === "command") tree.mayFail = true;
      this.advance();
      this.skipLines();
      if (this.isAt("end")) return;
    }
  }

  private command(depth: number): Tree {
    const token = this.token;
    const start = tokenSpan(token).start;
    if (token.kind === "word" && token.literal === "for" && depth < MAX_DEPTH) return this.forLoop(start, depth);
    if (token.kind === "word" && token.literal === "function") return this.skipFunction(start);
    const opener = token.kind === "word" ? token.literal : token.kind === "operator" ? token.text : null;
    if (opener !== null && Object.hasOwn(COMPOUND_END, opener)) return this.skipCompound(start, opener);
    return this.simpleCommand(start);
  }

  private simpleCommand(start: number): Tree {
    const command: SimpleCommand = {
      kind: "command",
      words: [],
      redirects: [],
      span: { start, end: start },
      when: "always",
      mayFail: false,
    };
    let target = command.words;
    for (;;) {
      const token = this.token;
      if (token.kind === "word") {
        target.push(token.word);
        this.advance();
      } else if (token.kind === "redirect") this.redirect(command);
      else if (token.kind === "operator" && token.text === "|" && command.pipe === undefined) {
        command.pipe = target = [];
        this.advance();
        this.skipLines();
      } else if (token.kind === "operator" && token.text === "(") {
        if (command.words.length === 1) return this.skipFunction(start);
        return this.skipCompound(start, "(");
      } else if (token.kind === "operator" && (token.text === ")" || token.text === "|")) {
        this.skipLine();
        return {
          kind: "unreadable",
          why: `\`${token.text}\` is not expected here`,
          span: { start, end: this.previousEnd },
        };
      } else break;
    }
    command.span = { start, end: this.previousEnd };
    return command;
  }

  private redirect(command: SimpleCommand): void {
    if (this.token.kind !== "redirect") return;
    const { operator, fd } = this.token;
    const next = this.advance();
    if (next.kind !== "word") return;
    const target = next.word;
    if (operator === "<<" || operator === "<<-") {
      const delimiter = target.segments.map((s) => (s.kind === "text" ? s.text : "")).join("");
      this.hereDocuments.push({ command, delimiter, stripTabs: operator === "<<-" });
    } else if (operator === "<<<") command.redirects.push({ operator: "<<", fd, target });
    else if (operator === ">" || operator === ">>" || operator === "<")
      command.redirects.push({ operator, fd, target });
    this.advance();
  }

  private forLoop(start: number, depth: number): Tree {
    this.advance();
    const name = this.token.kind === "word" ? this.token.literal : null;
    this.advance();
    if (name === null || !/^[A-Za-z_]\w*$/.test(name) || !this.isWord("in")) return this.skipCompound(start, "for");
    this.advance();
    const list: RawWord[] = [];
    while (this.token.kind === "word") {
      list.push(this.token.word);
      this.advance();
    }
    if (this.isOperator(";")) this.advance();
    this.skipLines();
    if (!this.isWord("do")) return this.skipCompound(start, "for");
    this.advance();
    const body = this.block("done", depth + 1);
    this.advance();
    return { kind: "for", name, list, body, span: { start, end: this.previousEnd } };
  }

  private skipFunction(start: number): Tree {
    while (!this.isWord("{") && !this.isWord("(") && this.token.kind !== "end") this.advance();
    const skipped = this.skipCompound(start, "{");
    return { kind: "unreadable", why: "shell functions are not imported", span: skipped.span };
  }

  /** Consumes up to the word that closes `opener`, counting what is nested. */
  private skipCompound(start: number, opener: string): Tree {
    const stack = [COMPOUND_END[opener]];
    // The opener itself may already be behind us.
    const first = this.token;
    if ((first.kind === "word" && first.literal === opener) || (first.kind === "operator" && first.text === opener))
      this.advance();
    while (stack.length > 0 && this.token.kind !== "end") {
      const token = this.token;
      const text = token.kind === "word" ? token.literal : token.kind === "operator" ? token.text : null;
      if (text !== null && text === stack.at(-1)) stack.pop();
      else if (text !== null && Object.hasOwn(COMPOUND_END, text) && stack.length < MAX_DEPTH)
        stack.push(COMPOUND_END[text]);
      this.advance();
    }
    return { kind: "unreadable", why: `\`${opener}\` is not imported`, span: { start, end: this.previousEnd } };
  }

  private skipLine(): void {
    while (this.token.kind !== "newline" && this.token.kind !== "end") this.advance();
  }

  private isWord(text: string): boolean {
    return this.token.kind === "word" && this.token.literal === text;
  }

  private isOperator(text: string): boolean {
    return this.token.kind === "operator" && this.token.text === text;
  }

  private isAt(kind: Token["kind"]): boolean {
    return this.token.kind === kind;
  }

  private skipLines(): void {
    while (this.isAt("newline") || this.isAt("comment")) this.advance();
  }

  private advance(): Token {
    if (this.token.kind !== "newline") this.previousEnd = tokenSpan(this.token).end;
    if (this.token.kind === "newline")
      for (const { command, delimiter, stripTabs } of this.hereDocuments.splice(0))
        command.redirects.push({ operator: "<<", fd: "", target: this.lexer.hereDocument(delimiter, stripTabs) });
    this.token = this.lexer.next();
    return this.token;
  }

  private lineIsBlank(newline: Span): boolean {
    const lineStart = this.lexer.text.lastIndexOf("\n", newline.start - 1) + 1;
    return newline.start === 0 || this.lexer.text.slice(lineStart, newline.start).trim() === "";
  }
}

function tokenSpan(token: Token): Span {
  return token.kind === "word" ? token.word.span : token.span;
}

// ---- expand -----------------------------------------------------------------------------------------------------

/** What cannot be expanded, in words for the user. */
class NotExpandable extends Error {}

const ASSIGNMENT = /^([A-Za-z_]\w*)=/;
/** Words before an assignment that change nothing about it. */
const DECLARATION = new Set(["export", "readonly", "local", "declare"]);

interface Expansion {
  readonly variables: Map<string, string>;
  readonly out: Statement[];
  /** Statements that loops may still come to. */
  budget: number;
}

function expandTrees(trees: readonly Tree[], to: Expansion): void {
  for (const tree of trees) {
    if (tree.kind === "for") expandFor(tree, to);
    else if (tree.kind === "command") expandCommand(tree, to);
    else to.out.push(tree);
  }
}

function expandFor(tree: Extract<Tree, { kind: "for" }>, to: Expansion): void {
  try {
    const values = tree.list.flatMap((word) => expandWord(word, to.variables));
    for (const value of values) {
      to.budget -= tree.body.length + 1;
      if (to.budget < 0) throw new NotExpandable(`loops of more than ${MAX_LOOPED} commands are not imported`);
      to.variables.set(tree.name, value.text);
      expandTrees(tree.body, to);
    }
  } catch (error) {
    if (!(error instanceof NotExpandable)) throw error;
    to.out.push({ kind: "unreadable", why: error.message, span: tree.span });
  }
}

function expandCommand(tree: SimpleCommand, to: Expansion): void {
  const { variables, out } = to;
  try {
    let words = tree.words;
    const isDeclaration = DECLARATION.has(plainText(words[0]));
    if (isDeclaration) words = words.slice(1);
    while (words.length > 0 && ASSIGNMENT.test(plainText(words[0]))) {
      assign(words[0], variables);
      words = words.slice(1);
    }
    if (words.length === 0 || isDeclaration) return;
    const expand = (list: readonly RawWord[]) => list.flatMap((word) => expandWord(word, variables));
    const target = (word: RawWord): Word => expandWord(word, variables)[0] ?? { text: "", span: word.span };
    out.push({
      kind: "command",
      words: expand(words),
      redirects: tree.redirects.map((redirect) => ({ ...redirect, target: target(redirect.target) })),
      ...(tree.pipe === undefined ? {} : { pipe: expand(tree.pipe) }),
      span: tree.span,
      when: tree.when,
      mayFail: tree.mayFail,
    });
  } catch (error) {
    if (!(error instanceof NotExpandable)) throw error;
    out.push({ kind: "unreadable", why: error.message, span: tree.span });
  }
}

/** The unquoted text at a word's beginning: enough to recognise `NAME=`. */
function plainText(word: RawWord | undefined): string {
  const first = word?.segments[0];
  return first?.kind === "text" && !first.quoted ? first.text : "";
}

function assign(word: RawWord, variables: Map<string, string>): void {
  const name = ASSIGNMENT.exec(plainText(word))?.[1] ?? "";
  try {
    const value = word.segments.map((segment) => segmentText(segment, variables)).join("");
    variables.set(name, value.slice(name.length + 1));
  } catch (error) {
    if (!(error instanceof NotExpandable)) throw error;
    // A value that cannot be known leaves the name unset: its uses are reported, not the assignment.
    variables.delete(name);
  }
}

function segmentText(segment: Segment, variables: ReadonlyMap<string, string>): string {
  switch (segment.kind) {
    case "text":
      return segment.text;
    case "variable": {
      const value = variables.get(segment.name) ?? segment.fallback;
      if (value === null) throw new NotExpandable(`the value of $${segment.name} is not known here`);
      return value;
    }
    case "arithmetic":
      return arithmetic(segment.text, variables);
    case "substitution": {
      const sequence = /^\s*seq\s+(\d{1,5})(?:\s+(\d{1,5}))?\s*$/.exec(segment.text);
      if (sequence === null) throw new NotExpandable("command substitution is not imported");
      const [first, last] =
        sequence[2] === undefined ? [1, Number(sequence[1])] : [Number(sequence[1]), Number(sequence[2])];
      return range(first, last).join(" ");
    }
  }
}

/** One operation on numbers or variables, as in `$((i + 1))`. */
function arithmetic(text: string, variables: ReadonlyMap<string, string>): string {
  const match = /^\s*\$?(\w+)\s*(?:([-+*])\s*\$?(\w+)\s*)?$/.exec(text);
  const value = (operand: string): number => Number(/^\d+$/.test(operand) ? operand : variables.get(operand));
  const result =
    match === null
      ? Number.NaN
      : match[2] === undefined
        ? value(match[1])
        : match[2] === "+"
          ? value(match[1]) + value(match[3])
          : match[2] === "-"
            ? value(match[1]) - value(match[3])
            : value(match[1]) * value(match[3]);
  if (!Number.isSafeInteger(result)) throw new NotExpandable("this arithmetic is not imported");
  return `${result}`;
}

function range(first: number, last: number): string[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => `${first + i}`);
}

/** One written word gives several when an unquoted variable holds blanks, or for `{1..3}`. */
function expandWord(word: RawWord, variables: ReadonlyMap<string, string>): Word[] {
  // Fields under construction; an unquoted value breaks at its blanks, everything else joins the last field.
  const fields: string[] = [""];
  let isQuoted = false;
  for (const segment of word.segments) {
    const text = segmentText(segment, variables);
    const splits = segment.kind === "substitution" || (segment.kind === "variable" && !segment.quoted);
    isQuoted ||= segment.kind !== "substitution" && "quoted" in segment && segment.quoted;
    if (!splits) fields[fields.length - 1] += text;
    else {
      const [head, ...rest] = text.split(/\s+/);
      fields[fields.length - 1] += head;
      fields.push(...rest);
    }
  }
  const words = isQuoted ? fields : fields.filter((field) => field !== "");
  const only = word.segments.length === 1 ? word.segments[0] : null;
  if (only?.kind === "text" && !only.quoted) {
    const braces = /^(.*?)\{(\d{1,5})\.\.(\d{1,5})\}(.*)$/.exec(only.text);
    if (braces)
      return range(Number(braces[2]), Number(braces[3])).map((n) => ({
        text: braces[1] + n + braces[4],
        span: word.span,
      }));
  }
  return words.map((text) => ({ text, span: word.span }));
}

/** Reads a whole script. Never throws; spans are offsets into `text`. */
export function readScript(text: string): Statement[] {
  const statements: Statement[] = [];
  expandTrees(new Parser(text).block(null, 0), { variables: new Map(), out: statements, budget: MAX_LOOPED });
  return statements;
}
