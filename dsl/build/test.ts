/** `test` blocks: pings, listeners and connections. */
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
  const items = statements<Cst.TestItemCstNode, Ast.Namespace | Ast.TestStep>(b, testItem, "testItem", (c) =>
    c.namespace ? namespace(b, c.namespace[0]) : c.step ? step(b, c.step[0]) : undefined,
  );
  requireBlock(b, testName?.[0], LBrace, "a test is a block of pings and connections", [
    { message: 'say `test "name" { in ns0 ping 10.0.0.1 expect reply }`' },
  ]);
  return block(b, cst, testName?.[0], items, (head, name) => ({
    kind: "test",
    ...head,
    name,
    additions: items.filter((item) => item.kind === "namespace"),
    steps: items.filter((item) => item.kind !== "namespace"),
  }));
}

const step = (b: Build, cst: Cst.StepCstNode): Ast.TestStep | undefined =>
  leaf(b, cst, (node) => {
    const { namespaceName, ping, listen, connect } = cst.children;
    const head = namespaceName ? { ...node, namespace: value.name(namespaceName[0]) } : node;
    if (ping) return pingNode(b, head, ping[0].children);
    return listen ? listenNode(b, head, listen[0].children) : connectNode(b, head, connect![0].children);
  });

/** What every step has: where in the text it stands, and in which namespace it is run. */
type StepHead = Ast.Node & Pick<Ast.Ping, "namespace">;

function listenNode(b: Build, head: StepHead, c: Cst.ListenCstChildren): Ast.Listen {
  const once = attributeReader(b.report);
  const said: Mutable<Ast.Listen> = {
    kind: "listen",
    ...head,
    transport: transportOf(c.transport[0]),
    endpoint: value.endpoint(b.report, c.endpoint[0]),
  };
  for (const { children: a } of c.listenAttribute ?? []) {
    if (once("-I", a.BindOption)) said.device = value.name(a.deviceName![0]);
    if (once("expect", a.Expect)) said.expect = expectation(b, a.expectation![0]);
  }
  return said;
}

function connectNode(b: Build, head: StepHead, c: Cst.ConnectCstChildren): Ast.Connect {
  const once = attributeReader(b.report);
  const said: Mutable<Ast.Connect> = {
    kind: "connect",
    ...head,
    transport: transportOf(c.transport[0]),
    endpoint: value.endpoint(b.report, c.endpoint[0]),
  };
  for (const { children: a } of c.connectAttribute ?? []) {
    if (once("-I", a.BindOption)) said.device = value.name(a.deviceName![0]);
    if (once("from", a.From)) said.from = value.ip(b.report, a.ipAddress![0]);
    if (once("-m", a.MarkOption)) said.mark = value.number(b.report, a.number![0]);
    if (once("expect", a.Expect)) said.expect = expectation(b, a.expectation![0]);
  }
  return said;
}

const transportOf = (cst: Cst.TransportCstNode): Ast.Transport => (cst.children.Tcp ? "tcp" : "udp");

function pingNode(b: Build, head: StepHead, c: Cst.PingCstChildren): Ast.Ping {
  const once = attributeReader(b.report);
  const said: Mutable<Ast.Ping> = { kind: "ping", ...head, destination: value.ip(b.report, c.ipAddress[0]) };
  for (const { children: a } of c.pingAttribute ?? []) {
    if (once("-I", a.BindOption)) said.bind = value.name(a.bindTarget![0]);
    if (once("-t", a.TtlOption)) said.ttl = value.number(b.report, a.number![0], MAX_TTL);
    if (once("-m", a.MarkOption)) said.mark = value.number(b.report, a.number![0]);
    if (a.CountOption) noteShown(b, a.CountOption[0], a.shownValue![0]);
    if (once("expect", a.Expect)) said.expect = expectation(b, a.expectation![0]);
  }
  return said;
}

function expectation(b: Build, cst: Cst.ExpectationCstNode): Ast.Expectation {
  const c = cst.children;
  const span = { start: cst.location!.startOffset, end: cst.location!.endOffset! + 1 };
  const from = c.From ? { from: value.ip(b.report, c.ipAddress![0]) } : {};
  if (c.Reply) return { kind: "reply", span, ...replyOf(b, c.replyAttribute ?? []) };
  if (c.Exceeded) return { kind: "exceeded", span, ...from };
  if (c.Drop) return { kind: "drop", span, ...dropOf(b, c) };
  if (c.Error) return { kind: "error", span, ...(c.errno ? { errno: value.name(c.errno[0]) } : {}) };
  if (c.Connected) return { kind: "connected", span };
  if (c.Refused) return { kind: "refused", span };
  if (c.Timeout) return { kind: "timeout", span };
  if (c.Nothing) return { kind: "nothing", span };
  const code = c.unreachableCode?.[0];
  return { kind: "unreachable", span, ...(code ? { what: value.name(firstToken(b, code)) } : {}), ...from };
}

const dropOf = (b: Build, c: Cst.ExpectationCstChildren) => ({
  by: value.name(c.filterName![0]),
  ...(c.Rule ? { rule: value.number(b.report, c.number![0]) } : {}),
  ...(c.In ? { namespace: value.name(c.namespaceName![0]) } : {}),
});

function replyOf(b: Build, attributes: readonly Cst.ReplyAttributeCstNode[]) {
  const once = attributeReader(b.report);
  const said: Mutable<Pick<Extract<Ast.Expectation, { kind: "reply" }>, "ttl" | "from">> = {};
  for (const { children: a } of attributes) {
    if (once("ttl", a.Ttl)) said.ttl = value.number(b.report, a.number![0], MAX_TTL);
    if (once("from", a.From)) said.from = value.ip(b.report, a.ipAddress![0]);
  }
  return said;
}
