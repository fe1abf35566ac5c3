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
 * `Parser` (shell-parser.ts) builds a tree whose words still hold their variables; here it is walked with the values of
 * the variables. What is outside the grammar (if, while, case, functions, command substitution, …) becomes an
 * `unreadable` statement that spans the whole construct, so that the importer can report it and keep its text.
 */
import type { Span } from "../../dsl/span.ts";
import type { RawWord, Segment } from "./shell-lexer.ts";
import { Parser, type SimpleCommand, type Tree } from "./shell-parser.ts";

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
