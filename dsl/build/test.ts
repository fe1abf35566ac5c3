/** `test` blocks and pings. */
import type * as Ast from "../ast.ts";
import type * as Cst from "../cst.generated.ts";
import * as value from "../values.ts";
import {
  attributeReader,
  type Build,
  block,
  firstToken,
  leaf,
  noteShown,
  requireBlock,
  statements,
} from "./context.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
const MAX_TTL = 255;

export function test(
  b: Build,
  cst: Cst.TestCstNode,
  namespace: (b: Build, cst: Cst.NamespaceCstNode) => Ast.Namespace | undefined,
): Ast.Test | undefined {
  const { testItem, testName, LBrace } = cst.children;
  const items = statements<Cst.TestItemCstNode, Ast.Namespace | Ast.Ping>(b, testItem, "testItem", (c) =>
    c.namespace ? namespace(b, c.namespace[0]) : c.ping ? ping(b, c.ping[0]) : undefined,
  );
  requireBlock(b, testName?.[0], LBrace, "a test is a block of pings", [
    { message: 'say `test "name" { in ns0 ping 10.0.0.1 expect reply }`' },
  ]);
  return block(b, cst, testName?.[0], items, (head, name) => ({
    kind: "test",
    ...head,
    name,
    additions: items.filter((item) => item.kind === "namespace"),
    pings: items.filter((item) => item.kind === "ping"),
  }));
}

const ping = (b: Build, cst: Cst.PingCstNode): Ast.Ping | undefined =>
  leaf(b, cst, (node) => pingNode(b, node, cst.children));

function pingNode(b: Build, node: Ast.Node, c: Cst.PingCstChildren): Ast.Ping {
  const once = attributeReader(b.report);
  const said: Mutable<Ast.Ping> = { kind: "ping", ...node, destination: value.ip(b.report, c.ipAddress[0]) };
  if (c.namespaceName) said.namespace = value.name(c.namespaceName[0]);
  for (const { children: a } of c.pingAttribute ?? []) {
    if (once("-I", a.BindOption)) said.bind = value.name(a.bindTarget![0]);
    if (once("-t", a.TtlOption)) said.ttl = value.number(b.report, a.number![0], MAX_TTL);
    if (once("-m", a.MarkOption)) said.mark = value.number(b.report, a.number![0]);
    if (a.CountOption) noteShown(b, a.CountOption[0], a.shownValue![0]);
    if (once("expect", a.Expect)) said.expect = expectation(b, a.expectation![0]);
  }
  return said;
}

function expectation(b: Build, cst: Cst.ExpectationCstNode): Ast.PingExpectation {
  const c = cst.children;
  const span = { start: cst.location!.startOffset, end: cst.location!.endOffset! + 1 };
  const from = c.From ? { from: value.ip(b.report, c.ipAddress![0]) } : {};
  if (c.Reply) return { kind: "reply", span, ...replyOf(b, c.replyAttribute ?? []) };
  if (c.Exceeded) return { kind: "exceeded", span, ...from };
  if (c.Error) return { kind: "error", span, ...(c.errno ? { errno: value.name(c.errno[0]) } : {}) };
  if (c.Nothing) return { kind: "nothing", span };
  const code = c.unreachableCode?.[0];
  return { kind: "unreachable", span, ...(code ? { what: value.name(firstToken(b, code)) } : {}), ...from };
}

function replyOf(b: Build, attributes: readonly Cst.ReplyAttributeCstNode[]) {
  const once = attributeReader(b.report);
  const said: Mutable<Pick<Extract<Ast.PingExpectation, { kind: "reply" }>, "ttl" | "from">> = {};
  for (const { children: a } of attributes) {
    if (once("ttl", a.Ttl)) said.ttl = value.number(b.report, a.number![0], MAX_TTL);
    if (once("from", a.From)) said.from = value.ip(b.report, a.ipAddress![0]);
  }
  return said;
}
