/**
 * From the text of a chain, set, map, counter, limit, program or table to its AST: reads the blocks, and each statement in
 * them with the grammar of dsl/nft/grammar.ts. What is wrong with a statement is reported and the statement left out.
 *
 *   items      = { item Separator }
 *   item       = "table" FAMILY NAME "{" items "}" | "chain" NAME "{" { chainProperty | rule } "}"
 *              | ("set" | "map") NAME "{" { setProperty } "}" | "counter" NAME ["{" [counts] "}"] | "limit" NAME "{" rate "}"
 *              | "program" NAME "on" ("xdp" | "tc" ("ingress" | "egress")) DEV [ "priority" NUMBER ] "{" { policy | rule } "}"
 */
import type { IToken } from "chevrotain";
import type * as Ast from "../ast.ts";
import type { Chain, FilterItem, FilterRule, FilterTable, Program, SetDecl, TableItem } from "../chain-ast.ts";
import type { Span } from "../span.ts";
import type { NftParser, Property } from "./grammar.ts";
import {
  block,
  type Complain,
  isA,
  nodeOf,
  notes,
  parseStatement,
  peek,
  type Reader,
  startReading,
  tailOf,
  takeName,
  takeStatement,
  whole,
  withNotes,
} from "./reader.ts";
import { spanOfTokens } from "./terms.ts";
import { K, P, tokenizeNft } from "./tokens.ts";

/** The item that the text says between two offsets; undefined when it makes no sense. */
export function readFilterItem(text: string, span: Span, complain: Complain): FilterItem | undefined {
  return item(startReading(tokenizeNft(text, span.start, span.end), complain));
}

export function readRule(r: Reader): FilterRule | undefined {
  const from = r.at;
  const statement = takeStatement(r);
  const parts = parseStatement(r, statement, (p) => p.rule);
  if (parts === undefined) return undefined;
  let comment: Ast.Spanned<string> | undefined;
  const clauses = parts.flatMap((part) => {
    if (part.kind !== "comment") return [part];
    comment = part.comment;
    return [];
  });
  return { kind: "filter rule", ...nodeOf(r, from, r.at - 1), clauses, ...(comment === undefined ? {} : { comment }) };
}

function item(r: Reader): FilterItem | undefined {
  const keyword = peek(r);
  switch (keyword?.image) {
    case "table":
      return table(r);
    case "program":
      return program(r);
    default:
      return tableItem(r);
  }
}

function table(r: Reader): FilterTable | undefined {
  const from = r.at++;
  const family = takeName(r, "a family");
  const name = family && takeName(r, "a name");
  if (family === undefined || name === undefined) return undefined;
  const items: TableItem[] = [];
  const said: string[] = [];
  const inside = block(r, () => (notes(r, said) ? undefined : pushTo(items, tableItem(r))));
  if (inside === undefined) return undefined;
  const node = withNotes(whole(r, from, inside), said);
  return { kind: "filter table", ...node, ...tailOf(inside), family, name, items };
}

export function tableItem(r: Reader): TableItem | undefined {
  return itemOfKind(r, peek(r)!);
}

/** The item that this keyword begins; its name stands behind the token at hand, which need not be the keyword. */
export function itemOfKind(r: Reader, keyword: IToken): TableItem | undefined {
  switch (keyword.image) {
    case "chain":
      return chain(r);
    case "set":
    case "map":
      return set(r, keyword.image);
    case "counter":
      return counter(r);
    case "limit":
      return limit(r);
    default:
      takeStatement(r);
      r.complain(
        spanOfTokens(keyword),
        "E0103",
        `\`${keyword.image}\` begins nothing here`,
        "expected `chain`, `set`, `map`, `counter` or `limit`",
      );
      return undefined;
  }
}

function chain(r: Reader): Chain | undefined {
  const from = r.at++;
  const name = takeName(r, "a name");
  if (name === undefined) return undefined;
  const said: { -readonly [P in "base" | "policy"]?: Chain[P] } = {};
  const rules: FilterRule[] = [];
  const own: string[] = [];
  const inside = block(r, () => {
    if (notes(r, own)) return undefined;
    if (isA(peek(r), K.Type) || isA(peek(r), K.Policy)) {
      const property = parseStatement(r, takeStatement(r), (p) => p.chainProperty);
      if (property?.kind === "base") said.base = property.base;
      if (property?.kind === "policy") said.policy = property.policy;
      return undefined;
    }
    return pushTo(rules, readRule(r));
  });
  if (inside === undefined) return undefined;
  return { kind: "chain", ...withNotes(whole(r, from, inside), own), ...tailOf(inside), name, ...said, rules };
}

function pushTo<T>(list: T[], value: T | undefined): T | undefined {
  if (value !== undefined) list.push(value);
  return value;
}

type SetDraft = { -readonly [P in keyof Omit<SetDecl, keyof Ast.Node | "kind" | "name" | "tail">]: SetDecl[P] };

function set(r: Reader, kind: "set" | "map"): SetDecl | undefined {
  const from = r.at++;
  const name = takeName(r, "a name");
  if (name === undefined) return undefined;
  const said: SetDraft = { key: null, value: null, flags: [], elements: [] };
  const own: string[] = [];
  const inside = block(r, () => {
    if (notes(r, own)) return undefined;
    const statement = takeStatement(r);
    const property = parseStatement(r, statement, (p) => p.setProperty);
    if (property !== undefined) setProperty(said, property);
    return undefined;
  });
  if (inside === undefined) return undefined;
  return { kind, ...withNotes(whole(r, from, inside), own), ...tailOf(inside), name, ...said };
}

function setProperty(said: SetDraft, property: Property): void {
  switch (property.kind) {
    case "type":
      said.key = { types: property.key };
      said.value = property.value && { types: property.value };
      break;
    case "typeof":
      said.key = { typeOf: property.key };
      said.value = property.value && { typeOf: property.value };
      break;
    case "flags":
      said.flags = property.flags;
      break;
    case "auto-merge":
      said.autoMerge = true;
      break;
    case "storage":
      said.storage = property.storage;
      break;
    case "size":
      said.size = { value: Number(property.size.image), span: spanOfTokens(property.size) };
      break;
    case "elements":
      said.elements = [...said.elements, ...property.elements];
  }
}

function counter(r: Reader): TableItem | undefined {
  const from = r.at++;
  const name = takeName(r, "a name");
  if (name === undefined) return undefined;
  if (!isA(peek(r), P.LBrace)) {
    return { kind: "counter", ...nodeOf(r, from, r.at - 1), name, packets: null, bytes: null };
  }
  let counts: ReturnType<NftParser["counts"]> | undefined;
  const own: string[] = [];
  const inside = block(r, () => {
    if (!notes(r, own)) counts = parseStatement(r, takeStatement(r), (p) => p.counts);
    return undefined;
  })!;
  const { packets = null, bytes = null } = counts ?? {};
  return { kind: "counter", ...withNotes(whole(r, from, inside), own), ...tailOf(inside), name, packets, bytes };
}

function limit(r: Reader): TableItem | undefined {
  const from = r.at++;
  const name = takeName(r, "a name");
  if (name === undefined) return undefined;
  let rate: ReturnType<NftParser["rate"]> | undefined;
  const own: string[] = [];
  const inside = block(r, () => {
    if (!notes(r, own)) rate = parseStatement(r, takeStatement(r), (p) => p.rate);
    return undefined;
  });
  return (
    inside && {
      kind: "limit",
      ...withNotes(whole(r, from, inside), own),
      ...tailOf(inside),
      name,
      rate: rate ?? null,
    }
  );
}

function program(r: Reader): Program | undefined {
  const from = r.at++;
  const name = takeName(r, "a name");
  if (name === undefined) return undefined;
  if (!isA(peek(r), K.On)) {
    r.complain(
      name.span,
      "E0102",
      "a program stands on a hook",
      "expected `on xdp DEVICE`, `on tc ingress DEVICE` or `on tc egress DEVICE`",
    );
    takeStatement(r);
    return undefined;
  }
  r.at++;
  const layer = takeName(r, "`xdp` or `tc`");
  const direction = layer?.value === "tc" ? takeName(r, "`ingress` or `egress`") : layer;
  const device = direction && takeName(r, "a device name");
  if (layer === undefined || direction === undefined || device === undefined) return undefined;
  const ordered = isA(peek(r), K.Priority);
  if (ordered) r.at++;
  const priority = ordered ? takeName(r, "a number") : undefined;
  if (ordered && priority === undefined) return undefined;
  const value = direction === layer ? layer.value : `${layer.value} ${direction.value}`;
  const hook: Ast.Name = { value, span: { start: layer.span.start, end: direction.span.end } };
  let policy: Ast.Name | undefined;
  const rules: FilterRule[] = [];
  const inside = block(r, () => {
    if (isA(peek(r), K.Policy)) {
      const property = parseStatement(r, takeStatement(r), (p) => p.chainProperty);
      if (property?.kind === "policy") policy = property.policy;
      return undefined;
    }
    return pushTo(rules, readRule(r));
  });
  if (inside === undefined) return undefined;
  const node = whole(r, from, inside);
  const said = { ...(priority && { priority }), ...(policy && { policy }) };
  return { kind: "program", ...node, ...tailOf(inside), name, hook, device, ...said, rules };
}
