/**
 * Tokens to a tree of statements whose words still hold their variables, since a loop gives them several values.
 *
 *   Tree = SimpleCommand | for NAME in RawWord… { Tree } | comment | blank | unreadable
 *
 * Constructs that are not read are passed over whole, up to the word that closes them, and become `unreadable`.
 */
import type { Span } from "../../dsl/span.ts";
import type { Redirect, Statement } from "./shell.ts";
import { Lexer, type RawWord, type Token, tokenSpan } from "./shell-lexer.ts";

export interface RawRedirect {
  readonly operator: Redirect["operator"];
  readonly fd: string;
  readonly target: RawWord;
}
/** Filled while it is read. */
export interface SimpleCommand {
  readonly kind: "command";
  readonly words: RawWord[];
  readonly redirects: RawRedirect[];
  pipe?: RawWord[];
  span: Span;
  when: "always" | "success" | "failure";
  mayFail: boolean;
}
export type Tree =
  | SimpleCommand
  | {
      readonly kind: "for";
      readonly name: string;
      readonly list: readonly RawWord[];
      readonly body: readonly Tree[];
      readonly span: Span;
    }
  | Exclude<Statement, { kind: "command" }>;

/** Loops in loops; deeper ones are unreadable. */
const MAX_DEPTH = 50;

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

export class Parser {
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
