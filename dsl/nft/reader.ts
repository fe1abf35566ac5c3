/**
 * What holds statements together: tokens, one statement or block after the other, with the comments around them. A statement that makes
 * no sense is reported and left out, so a mistake reaches no further.
 */
import type { IToken, TokenType } from "chevrotain";
import type * as Ast from "../ast.ts";
import { attachComments, type Comments } from "../comments.ts";
import type { Span } from "../span.ts";
import { suggest } from "../suggest.ts";
import type { SyntaxCode } from "../syntax-codes.ts";
import { type NftParser, nftParser } from "./grammar.ts";
import { spanOfTokens } from "./terms.ts";
import { BEGINNINGS, K, type NftTokens, P, Separator, Value, wordOf } from "./tokens.ts";

/** Says what is wrong: dsl/syntax-report.ts, or an importer's own. */
export type Complain = (span: Span, code: SyntaxCode, message: string, label?: string) => void;

export interface Reader {
  readonly tokens: NftTokens;
  readonly comments: Comments;
  readonly complain: Complain;
  /** Index of the next token. */
  at: number;
}

export function startReading(tokens: NftTokens, complain: Complain): Reader {
  return { tokens, comments: attachComments({ ...tokens, unclosed: [], stray: [] }), complain, at: 0 };
}

// Tokens.

export const peek = (r: Reader, ahead = 0): IToken | undefined => r.tokens.all[r.at + ahead];
export const isA = (token: IToken | undefined, type: IToken["tokenType"]): boolean =>
  token !== undefined && (token.tokenType === type || (type.categoryMatches?.includes(token.tokenTypeIdx) ?? false));

export function skipSeparators(r: Reader): void {
  while (isA(peek(r), Separator)) r.at++;
}

/** The tokens of the statement at hand: to the Separator, or to the `}` of the block it stands in; sets stay whole. */
export function takeStatement(r: Reader): IToken[] {
  const from = r.at;
  let depth = 0;
  for (; r.at < r.tokens.all.length; r.at++) {
    const token = r.tokens.all[r.at];
    if (isA(token, P.LBrace)) depth++;
    else if (isA(token, P.RBrace) && depth-- === 0) break;
    else if (isA(token, Separator) && depth === 0) break;
  }
  // In a set, lines end where they like.
  return r.tokens.all.slice(from, r.at).filter((token) => !isA(token, Separator));
}

const spanBetween = (r: Reader, from: number, to: number): Span =>
  spanOfTokens(r.tokens.all[from], r.tokens.all[Math.max(from, Math.min(to, r.tokens.all.length - 1))]);

/**
 * The node that the tokens `from` to `to` make; with the comments above it, and those behind its first line, which ends at
 * `head`. Comments of the `lines` of its block that are no nodes of their own move above it.
 */
export function nodeOf(r: Reader, from: number, to: number, head = to, lines: readonly number[] = []): Ast.Node {
  const own = [...range(from + 1, head), ...lines];
  const inside = own.flatMap((i) => r.comments.above(i).filter((line) => line !== null));
  const [trailing, ...rest] = range(from, head).flatMap((i) => r.comments.behind(i));
  const more = [...rest, ...lines.flatMap((i) => r.comments.behind(i))];
  const comments = [...r.comments.above(from), ...inside, ...more];
  return {
    span: spanBetween(r, from, to),
    ...(comments.length > 0 ? { comments } : {}),
    ...(trailing === undefined ? {} : { trailing }),
    ...(from > 0 && r.comments.blankAbove(from) ? { blankBefore: true } : {}),
  };
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);

// Statements.

/** What makes terms contain terms: bounded, so that no text overflows the stack. */
const NESTING: ReadonlySet<IToken["tokenType"]> = new Set([P.LParen, P.And, P.Or, P.Xor, P.ShiftLeft, P.ShiftRight]);
const NESTING_MAX = 200;

/** Runs one rule of the grammar over the tokens of a statement. */
export function parseStatement<T>(
  r: Reader,
  statement: readonly IToken[],
  rule: (p: NftParser) => () => T,
): T | undefined {
  const nested = statement.filter((token) => NESTING.has(token.tokenType));
  if (nested.length > NESTING_MAX) {
    r.complain(
      spanOfTokens(nested[NESTING_MAX]),
      "E0101",
      "this is too deep to be meant",
      `more than ${NESTING_MAX} operators`,
    );
    return undefined;
  }
  const parser = nftParser();
  parser.input = [...statement];
  const result = rule(parser).call(parser);
  const [error] = parser.errors;
  if (error === undefined) return result;
  const found = statement.includes(error.token) ? error.token : undefined;
  // Of a statement without words: what stands before it.
  const last = statement.at(-1) ?? r.tokens.all[r.at - 1];
  if (found === undefined) {
    const end = last.startOffset + last.image.length;
    r.complain({ start: end, end }, "E0102", `\`${last.image}\` needs something behind it`, "expected more");
  } else {
    const expression = statement.slice(0, statement.indexOf(found)).find((token) => EXPRESSIONS.has(token.image));
    const token = expression ?? found;
    const behind = statement[statement.indexOf(token) - 1]?.tokenType;
    const hint = BEHIND.get(behind) ?? hintFor(token, statement[0]);
    r.complain(spanOfTokens(token), "E0101", `unexpected \`${token.image}\``, hint);
  }
  return undefined;
}

/** What has to stand behind a word. */
const BEHIND: ReadonlyMap<TokenType | undefined, string> = new Map([
  ...[K.Rate, K.Over].map((word): [TokenType, string] => [word, "`10/second` or `5 mbytes/minute` was expected"]),
  ...[K.Burst, K.Packets, K.Bytes, K.Size].map((word): [TokenType, string] => [word, "a number was expected"]),
]);

/** Words that begin an expression of nft's which is not known here: what is behind them is not what is wrong. */
const EXPRESSIONS: ReadonlySet<string> = new Set([
  ...["numgen", "jhash", "symhash", "socket", "osf", "ipsec", "original", "chunk"],
  ...["srh", "gre", "gretap", "vxlan", "geneve"],
]);

/** Statements of nft that are understood elsewhere, or nowhere. */
const UNSUPPORTED: ReadonlySet<string> = new Set([
  ...["masquerade", "snat", "dnat", "queue", "tproxy", "synproxy", "notrack", "xt", "quota"],
  ...["flow", "meter", "add", "update", "rt", "last", "reset", "time", "hour", "day", "timeout", "gc-interval"],
]);
const hintFor = (token: IToken, first: IToken): string =>
  UNSUPPORTED.has(token.image) || EXPRESSIONS.has(token.image)
    ? "not supported"
    : isA(first, K.Dup) || isA(first, K.Fwd)
      ? `\`${first.image}\` to an address is not supported`
      : (meantBy(token.image) ?? "a match, a statement or the end of the rule was expected");

/** What a word that begins nothing was probably meant to be. */
function meantBy(word: string): string | null {
  if (PORTS.has(word)) return `of which protocol? \`tcp ${word}\`, \`udp ${word}\`, or \`th ${word}\` for any`;
  const meant = suggest(word, BEGINNINGS);
  return meant === null || meant === word ? null : `did you mean \`${meant}\`?`;
}
const PORTS: ReadonlySet<string> = new Set(["sport", "dport"]);

// Blocks.

export interface Block {
  /** The tokens of statements that made no node. */
  readonly lines: readonly number[];
  readonly tail?: readonly (string | null)[];
  /** Index of the `{`, and of the `}` or the end. */
  readonly open: number;
  readonly close: number;
}

/**
 * `{ ... }`: calls `line` at each statement, which goes on to its end and answers the node that it made, if any.
 * Undefined without a `{`.
 */
export function block(r: Reader, line: () => Ast.Node | undefined): Block | undefined {
  if (!isA(peek(r), P.LBrace)) {
    const before = r.tokens.all[r.at - 1];
    r.complain(spanOfTokens(peek(r) ?? before), "E0107", `\`${before.image}\` needs a block`, "expected `{`");
    takeStatement(r);
    return undefined;
  }
  const open = r.at++;
  const lines: number[] = [];
  let any = false;
  for (skipSeparators(r); peek(r) !== undefined && !isA(peek(r), P.RBrace); skipSeparators(r)) {
    const before = r.at;
    const node = line();
    if (r.at === before) r.at++;
    // Of a set with very many elements: more than a call may have arguments.
    if (node === undefined) for (const i of range(before, r.at - 1)) lines.push(i);
    any ||= node !== undefined;
  }
  const close = Math.min(r.at, r.tokens.all.length - 1);
  r.at++;
  const last = [...r.comments.above(close)];
  if (last.at(-1) === null) last.pop();
  const tail = last.length > 0 && any && r.comments.blankAbove(close) ? [null, ...last] : last;
  return { open, close, lines, ...(tail.length > 0 ? { tail } : {}) };
}

export const whole = (r: Reader, from: number, { close, open, lines }: Block): Ast.Node =>
  nodeOf(r, from, close, open, lines);

/** `comment "..."` in a block is a comment above it. */
export const withNotes = (node: Ast.Node, notes: readonly string[]): Ast.Node =>
  notes.length === 0 ? node : { ...node, comments: [...(node.comments ?? []), ...notes] };

/** The text of `comment "..."`; undefined: another statement comes. */
export function takeNote(r: Reader): string | undefined {
  if (!isA(peek(r), K.Comment)) return undefined;
  const [, text] = takeStatement(r);
  return text === undefined ? "" : wordOf(text);
}

/** Takes it, and says so. */
export function notes(r: Reader, list: string[]): boolean {
  const note = takeNote(r);
  if (note !== undefined && note !== "") list.push(note);
  return note !== undefined;
}

export const tailOf = ({ tail }: Block): { tail?: readonly (string | null)[] } => (tail === undefined ? {} : { tail });

/** The next word, as a name. */
export function takeName(r: Reader, what: string): Ast.Name | undefined {
  const token = peek(r);
  if (isA(token, Value)) {
    r.at++;
    return { value: wordOf(token!), span: spanOfTokens(token!) };
  }
  const before = r.tokens.all[r.at - 1];
  const end = before.startOffset + before.image.length;
  r.complain({ start: end, end }, "E0102", `expected ${what} after \`${before.image}\``, `expected ${what}`);
  takeStatement(r);
  return undefined;
}
