/**
 * From the CST to the AST: one function for each construct, named as in the grammar (dsl/parser.ts); devices, routes,
 * rules and tests are in dsl/build/. A statement that is broken (dsl/syntax-report.ts) is left out; the statements in its
 * block are built nonetheless, so that one mistake does not look like many.
 */
import type * as Ast from "./ast.ts";
import { type Build, block, leaf, outerComments, startBuild, statements, tailOf, tokenRange } from "./build/context.ts";
import { interfaceOf, vrf } from "./build/device.ts";
import { neighbour, nexthop, route, table } from "./build/route.ts";
import { noRule, rule } from "./build/rule.ts";
import { test } from "./build/test.ts";
import type { FilterItem } from "./chain-ast.ts";
import type * as Cst from "./cst.generated.ts";
import { readFilterItem } from "./nft/read.ts";
import { type SyntaxReport, spanOf } from "./syntax-report.ts";
import { endOf, type Tokens } from "./tokens.ts";
import * as value from "./values.ts";

/** @param incomplete numbers of the statements that end too early: they are left out without a further word */
export function buildAst(
  cst: Cst.FileCstNode,
  tokens: Tokens,
  incomplete: ReadonlySet<number>,
  report: SyntaxReport,
): Ast.File {
  const b = startBuild(tokens, incomplete, report);
  const items = statements(b, cst.children.topItem?.map(unwrap), "topItem", (c) => topItem(b, c));
  const tail = tailOf(b, tokens.all.length, items.length === 0);
  return { kind: "file", span: { start: 0, end: tokens.text.length }, items, ...(tail.length > 0 ? { tail } : {}) };
}

type TopChildren = Omit<Cst.TopItemCstChildren, "item"> & Cst.ItemCstChildren;

/** What may stand in a namespace may stand outside of one: both are one list of statements. */
const unwrap = (cst: Cst.TopItemCstNode): { children: TopChildren } => cst.children.item?.[0] ?? cst;

function topItem(b: Build, c: TopChildren): Ast.File["items"][number] | undefined {
  if (c.kernel) return kernel(b, c.kernel[0]);
  if (c.namespace) return namespace(b, c.namespace[0]);
  if (c.test) return test(b, c.test[0], namespace);
  return item(b, c);
}

function item(b: Build, c: Cst.ItemCstChildren): Ast.Item | undefined {
  if (c.sysctl) return sysctl(b, c.sysctl[0]);
  if (c.vrf) return vrf(b, c.vrf[0]);
  if (c.interface) return interfaceOf(b, c.interface[0]);
  if (c.table) return table(b, c.table[0]);
  if (c.route) return route(b, c.route[0]);
  if (c.rule) return rule(b, c.rule[0]);
  if (c.noRule) return noRule(b, c.noRule[0]);
  if (c.neighbour) return neighbour(b, c.neighbour[0]);
  if (c.nexthop) return nexthop(b, c.nexthop[0]);
  if (c.filter) return filterItem(b, c.filter[0]);
  return undefined;
}

/** Chains and their kin are text to the grammar; dsl/nft/ has their own. */
function filterItem(b: Build, cst: Cst.FilterCstNode): FilterItem | undefined {
  const [from, to] = tokenRange(b, cst);
  const start = b.tokens.all[from].startOffset;
  const end = endOf(b.tokens.all[to]);
  const item = readFilterItem(b.tokens.text, { start, end }, (span, code, message, label) =>
    b.report.errorAt(span, code, message, label === undefined ? {} : { label }),
  );
  return item && { ...item, ...outerComments(b, from) };
}

function namespace(b: Build, cst: Cst.NamespaceCstNode): Ast.Namespace | undefined {
  const items = statements(b, cst.children.item, "item", (c) => item(b, c));
  return block(b, cst, cst.children.namespaceName?.[0], items, (head, name) => ({
    kind: "namespace",
    ...head,
    name,
    items,
  }));
}

const kernel = (b: Build, cst: Cst.KernelCstNode): Ast.KernelDecl | undefined =>
  leaf(b, cst, (node) => ({ kind: "kernel", ...node, version: value.name(cst.children.kernelVersion[0]) }));

/** Values of several words (`net.ipv4.ip_local_port_range = 1024 65535`) are joined by one blank, as procfs shows them. */
function sysctl(b: Build, cst: Cst.SysctlCstNode): Ast.Sysctl | undefined {
  return leaf(b, cst, (node) => {
    const { sysctlKey, sysctlValue } = cst.children;
    const words = sysctlValue.map((token) => value.name(token).value);
    const span = spanOf(sysctlValue[0], sysctlValue.at(-1));
    return { kind: "sysctl", ...node, key: value.name(sysctlKey[0]), setting: { value: words.join(" "), span } };
  });
}
