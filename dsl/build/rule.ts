/** Policy rules. */

import type { IToken } from "chevrotain";
import { familyOf } from "../../runtime/net/ip.ts";
import type * as Ast from "../ast.ts";
import type * as Cst from "../cst.generated.ts";
import { spanOf } from "../syntax-report.ts";
import { K, textOf } from "../tokens.ts";
import * as value from "../values.ts";
import { attributeReader, type Build, leaf, noteShown } from "./context.ts";
import { family } from "./route.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Children = Cst.RuleAttributeCstChildren;

const MAX_UID = 0xffffffff;

export const rule = (b: Build, cst: Cst.RuleCstNode): Ast.Rule | undefined =>
  leaf(b, cst, (node) => ruleNode(b, node, cst.children));

export const noRule = (b: Build, cst: Cst.NoRuleCstNode): Ast.Rule | undefined =>
  leaf(b, cst, (node) => ({ ...ruleNode(b, node, cst.children.rule[0].children), delete: true }));

function ruleNode(b: Build, node: Ast.Node, c: Cst.RuleCstChildren): Ast.Rule {
  const said: Mutable<Ast.Rule> = { kind: "rule", ...node };
  const once = attributeReader(b.report);
  const fam = family(c.family);
  if (fam !== undefined) said.family = fam;
  const pref = c.preference?.[0].children;
  const prefToken = pref?.Preference ?? pref?.Integer;
  if (once("pref", prefToken)) said.pref = value.preference(b.report, prefToken![0]);
  for (const { children } of c.ruleAttribute ?? []) {
    if (once("pref", children.Pref ?? children.Priority ?? children.Order)) {
      said.pref = value.number(b.report, children.number![0]);
    }
    selector(b, said, children, once);
    action(b, said, children, once);
    if (children.StateMark) noteShown(b, children.StateMark[0]);
  }
  return said;
}

type Once = ReturnType<typeof attributeReader>;

function selector(b: Build, said: Mutable<Ast.Rule>, a: Children, once: Once): void {
  const { report } = b;
  if (once("not", a.Not)) said.not = true;
  if (once("from", a.From)) addressSelector(b, said, "from", a.prefix![0]);
  if (once("to", a.To)) addressSelector(b, said, "to", a.prefix![0]);
  if (once("iif", a.Iif ?? a.Dev)) said.iif = value.name(a.deviceName![0]);
  if (once("oif", a.Oif)) said.oif = value.name(a.deviceName![0]);
  if (once("fwmark", a.Fwmark)) said.fwmark = value.mark(report, a.mark![0]);
  if (once("tos", a.Tos)) said.tos = value.tos(report, a.tos![0]);
  if (once("ipproto", a.Ipproto)) said.ipproto = value.ipProtocol(report, a.ipProtocol![0]);
  if (once("sport", a.Sport)) said.sport = value.range(report, a.range![0], value.MAX_PORT);
  if (once("dport", a.Dport)) said.dport = value.range(report, a.range![0], value.MAX_PORT);
  if (once("uidrange", a.Uidrange)) said.uidrange = value.range(report, a.range![0], MAX_UID);
  if (once("l3mdev", a.L3mdev)) said.l3mdev = { value: true, span: spanOf(a.L3mdev![0]) };
  if (once("proto", a.Proto)) said.protocol = value.name(a.protocolName![0]);
}

/** `from all` says nothing, so it is not kept. */
function addressSelector(b: Build, said: Mutable<Ast.Rule>, side: "from" | "to", token: IToken): void {
  const { value: prefix, span } = value.prefixOrAll(b.report, token);
  if (prefix === null) return;
  said[side] = { value: prefix, span };
  if (said.family !== undefined && familyOf(prefix.address) !== said.family.value)
    value.wrongFamily(b.report, token, said.family);
}

function action(b: Build, said: Mutable<Ast.Rule>, a: Children, once: Once): void {
  const { report } = b;
  const number = () => value.number(report, a.number![0]);
  if (once("suppress_prefixlength", a.SuppressPrefixlength)) said.suppressPrefixLength = number();
  if (once("suppress_ifgroup", a.SuppressIfgroup)) said.suppressIfGroup = number();
  const keyword = (a.Lookup ?? a.Table ?? a.Goto ?? a.Nop ?? a.Blackhole ?? a.Unreachable ?? a.Prohibit)?.[0];
  if (keyword === undefined) return;
  const table = a.tableName?.[0];
  if (table?.tokenType === K.L3mdevTable) {
    said.l3mdev = { value: true, span: spanOf(table) };
    return;
  }
  if (said.action !== undefined) {
    report.error(keyword, "E0121", "a rule has one action", {
      label: "a second action",
      secondary: [{ span: said.action.span, message: "the first" }],
    });
    return;
  }
  said.action = actionOf(keyword, table, a.Goto && number());
}

function actionOf(keyword: IToken, table: IToken | undefined, target: Ast.Spanned<number> | undefined): Ast.RuleAction {
  if (table !== undefined) return { kind: "lookup", span: spanOf(keyword, table), table: value.name(table) };
  if (target !== undefined) return { kind: "goto", span: { start: keyword.startOffset, end: target.span.end }, target };
  return { kind: textOf(keyword) as "nop" | "blackhole" | "unreachable" | "prohibit", span: spanOf(keyword) };
}
