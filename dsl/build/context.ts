/** What the builders of the AST share: where a node stands, the comments that belong to it, attributes said twice. */
import type { CstNode, IToken } from "chevrotain";
import type { Name, Node } from "../ast.ts";
import { attachComments, type Comments } from "../comments.ts";
import type * as Cst from "../cst.generated.ts";
import type { Help } from "../diagnostic.ts";
import { statementKeywords } from "../expected.ts";
import { type Place, reportSurplus, reportUnknown } from "../surplus.ts";
import { type SyntaxReport, spanOf } from "../syntax-report.ts";
import { endOf, placeOf, type Tokens, textOf } from "../tokens.ts";

export interface Build {
  readonly tokens: Tokens;
  readonly report: SyntaxReport;
  readonly comments: Comments;
  /** Numbers of the statements that end too early: reported already, and without some of their values. */
  readonly incomplete: ReadonlySet<number>;
  /** Index of the token that begins, or ends, at an offset. */
  readonly indexByStart: ReadonlyMap<number, number>;
  readonly indexByEnd: ReadonlyMap<number, number>;
}

export function startBuild(tokens: Tokens, incomplete: ReadonlySet<number>, report: SyntaxReport): Build {
  const indexByStart = new Map<number, number>();
  const indexByEnd = new Map<number, number>();
  for (const [i, token] of tokens.all.entries()) {
    if (token.image === "") continue;
    indexByStart.set(token.startOffset, i);
    indexByEnd.set(endOf(token), i);
  }
  return { tokens, report, incomplete, indexByStart, indexByEnd, comments: attachComments(tokens) };
}

/** Indices of the first and the last token of a CST node. */
export function tokenRange(b: Build, cst: CstNode): readonly [number, number] {
  const { startOffset, endOffset } = cst.location!;
  const first = b.indexByStart.get(startOffset)!;
  return [first, b.indexByEnd.get(endOffset! + 1) ?? first];
}

export const firstToken = (b: Build, cst: CstNode): IToken => b.tokens.all[tokenRange(b, cst)[0]];

/** Comments above the token: those of an item whose inside is read from the text anew, which begins behind them. */
export function outerComments(b: Build, index: number): Pick<Node, "comments"> {
  const comments = b.comments.above(index);
  return comments.length > 0 ? { comments } : {};
}

/** All comments of the tokens `from` to `to`: those that do not fit behind the first line move above it. */
function nodeOf(
  b: Build,
  from: number,
  to: number,
  behind: readonly number[] = [],
  inner: readonly CstNode[] = [],
): Node {
  const own: number[] = [];
  const others = inner.map((cst) => tokenRange(b, cst));
  for (let i = from; i <= to; i++) if (!others.some(([first, last]) => first <= i && i <= last)) own.push(i);
  const [trailing, ...more] = [...own, ...behind].flatMap((i) => b.comments.behind(i));
  const inside = own.slice(1).flatMap((i) => b.comments.above(i).filter((line) => line !== null));
  const comments = [...b.comments.above(from), ...inside, ...more];
  const end = endOf(b.tokens.all[behind.at(-1) ?? to]);
  return {
    span: { start: b.tokens.all[from].startOffset, end },
    ...(comments.length > 0 ? { comments } : {}),
    ...(trailing === undefined ? {} : { trailing }),
  };
}

/** A part of a statement that may stand on a line of its own: `nexthop via ...`. */
export function partOf(b: Build, cst: CstNode): Node {
  const [from, to] = tokenRange(b, cst);
  return nodeOf(b, from, to);
}

/** Makes the AST node of a statement, or nothing when it is broken. `inner` are parts that keep their own comments. */
export function leaf<T>(
  b: Build,
  cst: CstNode,
  build: (node: Node) => T,
  inner: readonly CstNode[] = [],
): T | undefined {
  const [from, to] = tokenRange(b, cst);
  const first = b.tokens.all[from];
  if (b.incomplete.has(placeOf(first).statement)) return undefined;
  const built = build(nodeOf(b, from, to, [], inner));
  return b.report.isBroken(first) ? undefined : built;
}

/** CST of `KEYWORD NAME [surplusWords] ["{" ... "}"]`. */
interface BlockChildren {
  readonly surplusWords?: Cst.SurplusWordsCstNode[];
  readonly LBrace?: IToken[];
  readonly RBrace?: IToken[];
}

/** Makes the AST node of a statement with a block. What is in the block is built even when the head is broken. */
export function block<T, I>(
  b: Build,
  cst: CstNode & { children: BlockChildren },
  nameToken: IToken | undefined,
  items: readonly I[],
  build: (head: Node & { readonly tail?: readonly (string | null)[] }, name: Name) => T,
): T | undefined {
  const { surplusWords, LBrace, RBrace } = cst.children;
  const [from] = tokenRange(b, cst);
  for (const words of surplusWords ?? []) reportHeadSurplus(b, cst.name, words, LBrace !== undefined);
  if (nameToken === undefined || nameToken.isInsertedInRecovery) return undefined;
  const to = placeOf(LBrace?.[0] ?? surplusWords?.[0].children.Value?.at(-1) ?? nameToken).index;
  const close = RBrace?.[0];
  const closing = close === undefined ? [] : [placeOf(close).index];
  const tail = closing.flatMap((index) => tailOf(b, index, items.length === 0));
  const head = nodeOf(b, from, to, closing);
  return build(tail.length > 0 ? { ...head, tail } : head, { value: textOf(nameToken), span: spanOf(nameToken) });
}

/** For statements that are nothing without their block. */
export function requireBlock(
  b: Build,
  nameToken: IToken | undefined,
  brace: readonly IToken[] | undefined,
  what: string,
  help: readonly Help[],
): void {
  if (brace !== undefined || nameToken === undefined || nameToken.isInsertedInRecovery) return;
  b.report.error(nameToken, "E0107", what, { label: "expected `{` behind it", help });
}

/** Which statements the block of a rule holds. */
const INSIDE: Readonly<Record<string, Place>> = {
  vrf: "property",
  interface: "property",
  table: "tableItem",
  namespace: "item",
  test: "testItem",
};

/** `interface eth0 up`: words of the block without the braces. */
function reportHeadSurplus(b: Build, rule: string, words: Cst.SurplusWordsCstNode, hasBlock: boolean): void {
  const [from, to] = tokenRange(b, words);
  const first = b.tokens.all[from];
  const span = spanOf(first, b.tokens.all[to]);
  const text = `{ ${b.tokens.text.slice(span.start, span.end)} }`;
  const belongs = !hasBlock && statementKeywords(INSIDE[rule]).includes(first.tokenType);
  b.report.error(first, "E0101", `unexpected \`${first.image}\``, {
    label: hasBlock ? "expected `{`" : "expected `{` or the end of the statement",
    help: belongs ? [{ message: "properties stand in a block", edit: { span, text } }] : [],
  });
}

/** Comments above the `}`, or above the end of the text. */
export function tailOf(b: Build, index: number, empty: boolean): readonly (string | null)[] {
  const lines = [...b.comments.above(index)];
  if (lines.at(-1) === null) lines.pop();
  return lines.length > 0 && !empty && b.comments.blankAbove(index) ? [null, ...lines] : lines;
}

/** The CST of one entry of a list of statements. */
interface StatementChildren {
  readonly unknown?: Cst.UnknownCstNode[];
  readonly surplus?: Cst.SurplusCstNode[];
}

/**
 * A list of statements: builds each, reports words that are left over, and remembers blank lines between them.
 * @param build answers undefined for what is broken
 */
export function statements<C extends { children: object }, T extends Node>(
  b: Build,
  list: readonly C[] | undefined,
  place: Place,
  build: (children: C["children"]) => T | undefined,
): T[] {
  const built: T[] = [];
  for (const cst of list ?? []) {
    const children = cst.children as StatementChildren;
    for (const { children: words } of children.unknown ?? []) reportUnknownWords(b, words.surplus?.[0], place);
    const node = build(cst.children as C["children"]);
    reportLeftOver(b, children, place);
    if (node === undefined || children.surplus !== undefined) continue;
    const first = b.indexByStart.get(node.span.start)!;
    built.push(built.length > 0 && b.comments.blankAbove(first) ? { ...node, blankBefore: true } : node);
  }
  return built;
}

function reportUnknownWords(b: Build, surplus: Cst.SurplusCstNode | undefined, place: Place): void {
  if (surplus === undefined) return;
  const [from, to] = tokenRange(b, surplus);
  reportUnknown(b.report, b.tokens.all.slice(from, Math.min(to + 1, from + 3)), place);
}

function reportLeftOver(b: Build, children: StatementChildren, place: Place): void {
  const rule = Object.keys(children).find((key) => key !== "surplus");
  if (children.surplus === undefined || rule === undefined) return;
  const token = firstToken(b, children.surplus[0]);
  const { index, statement } = placeOf(token);
  if (b.incomplete.has(statement)) return;
  const [cst] = (children as Record<string, CstNode[]>)[rule];
  const said = rule === "step" ? verbOf(cst) : cst;
  reportSurplus(b.report, token, endOf(b.tokens.all[index - 1]), said.name, firstToken(b, said).tokenType, place);
}

/** `in ns0 ping ...`: the part that begins with the verb. */
function verbOf(step: CstNode): CstNode {
  const { ping, listen, connect } = step.children as Record<string, CstNode[] | undefined>;
  return (ping ?? listen ?? connect)?.[0] ?? step;
}

/** Answers whether an attribute is there, and reports it when it was there before. */
export function attributeReader(report: SyntaxReport) {
  const seen = new Map<string, IToken>();
  return (what: string, keywords: readonly IToken[] | undefined): boolean => {
    const keyword = keywords?.[0];
    if (keyword === undefined) return false;
    const before = seen.get(what);
    if (before === undefined) {
      seen.set(what, keyword);
      return true;
    }
    report.error(keyword, "E0120", `\`${keyword.image}\` is said twice`, {
      label: "the second time",
      secondary: [{ span: spanOf(before), message: "the first time" }],
    });
    return false;
  };
}

/** `linkdown`, `[detached]`, `pref medium`: words that `ip` shows and that change nothing. */
export function noteShown(b: Build, first: IToken, last: IToken = first): void {
  const words = b.tokens.text.slice(first.startOffset, endOf(last));
  b.report.note(first, "W0150", `\`${words}\` says nothing here`, {
    span: spanOf(first, last),
    label: "a state that `ip` shows; left out by `vrfc fmt`",
  });
}
