/**
 * From text to AST. Nothing that a text can hold makes this throw: what is wrong is in the diagnostics, in text order,
 * and what could be understood is in the AST.
 */
import type { IRecognitionException, IToken } from "chevrotain";
import type { File } from "./ast.ts";
import { buildAst } from "./build-ast.ts";
import type * as Cst from "./cst.generated.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { expectedIn, statementKeywords } from "./expected.ts";
import { sharedParser } from "./parser.ts";
import type { Source } from "./span.ts";
import { suggest } from "./suggest.ts";
import { didYouMean, SyntaxReport, spanOf } from "./syntax-report.ts";
import {
  endOf,
  LBrace,
  placeOf,
  RBrace,
  Separator,
  spellingsOf,
  startOf,
  type Tokens,
  tokenize,
  Unclosed,
} from "./tokens.ts";

export interface ParseResult {
  /** What could be understood: statements with an error are left out, blocks are kept. */
  readonly ast: File;
  readonly diagnostics: Diagnostic[];
}

export function parse(source: Source): ParseResult {
  const tokens = tokenize(source.text);
  const report = new SyntaxReport();
  reportTokens(tokens, report);

  const parser = sharedParser();
  parser.input = [...tokens.all];
  const cst = parser.file() as Cst.FileCstNode;
  const errors = parser.errors;
  const incomplete = new Set(errors.map((error) => placeOf(lastRead(error, tokens)).statement));

  const ast = buildAst(cst, tokens, incomplete, report);
  for (const error of errors) reportIncomplete(error, tokens, report);
  const diagnostics = report.diagnostics.sort((a, b) => a.primary.span.start - b.primary.span.start);
  return { ast, diagnostics };
}

/** What is wrong already with quotes and braces. */
function reportTokens(tokens: Tokens, report: SyntaxReport): void {
  for (const token of tokens.all) {
    if (token.tokenType !== Unclosed) continue;
    report.error(token, "E0108", "the string is not closed on its line", {
      help: [{ message: "close it", edit: { span: { start: endOf(token), end: endOf(token) }, text: '"' } }],
    });
  }
  for (const brace of tokens.unclosed)
    report.errorAt(spanOf(brace), "E0105", "this `{` is never closed", { label: "opened here" });
  for (const brace of tokens.stray)
    report.errorAt(spanOf(brace), "E0106", "this `}` closes nothing", { label: "no `{` before it is open" });
}

/** The last token that made sense: the error is in its statement, the token itself may be the next one's. */
function lastRead(error: IRecognitionException, tokens: Tokens): IToken {
  const place = error.token.payload?.index ?? tokens.all.length;
  return tokens.all[Math.max(0, Math.min(place, tokens.all.length) - 1)];
}

function reportIncomplete(error: IRecognitionException, tokens: Tokens, report: SyntaxReport): void {
  const previous = lastRead(error, tokens);
  const rule = error.context.ruleStack.at(-1)!;
  const expected = expectedIn(rule, previous);
  const end = endOf(previous);
  const message = `expected ${expected.replace(/ \(.*/, "")} after \`${previous.image}\`, found ${found(error.token, tokens)}`;
  const atEnd = error.token.tokenType === Separator || error.token.tokenType === LBrace;
  const meant = atEnd ? null : suggest(error.token.image, statementKeywords(rule).flatMap(spellingsOf));
  report.error(previous, atEnd ? "E0102" : "E0101", message, {
    span: atEnd ? { start: end, end } : spanOf(error.token),
    label: meant === null ? `expected ${expected}` : "",
    help: meant === null ? [] : [didYouMean(error.token, meant)],
  });
}

function found(token: IToken, { text }: Tokens): string {
  if (token.tokenType === LBrace || token.tokenType === RBrace) return `\`${token.image}\``;
  if (token.tokenType !== Separator) return `\`${token.image}\``;
  const written = text.slice(startOf(token), startOf(token) + 1);
  if (written === "") return "the end of the text";
  return written === "\n" ? "the end of the line" : `\`${written}\``;
}
