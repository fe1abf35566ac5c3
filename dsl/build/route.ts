/** `table` blocks, routes, nexthop objects and neighbours. */

import type { IToken } from "chevrotain";
import type { Family, Ip } from "../../runtime/net/ip.ts";
import { familyOf } from "../../runtime/net/ip.ts";
import type * as Ast from "../ast.ts";
import type * as Cst from "../cst.generated.ts";
import { reportVerb } from "../surplus.ts";
import { spanOf } from "../syntax-report.ts";
import { K, placeOf } from "../tokens.ts";
import * as value from "../values.ts";
import {
  attributeReader,
  type Build,
  block,
  firstToken,
  leaf,
  noteShown,
  partOf,
  requireBlock,
  statements,
} from "./context.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export function table(b: Build, cst: Cst.TableCstNode): Ast.Table | undefined {
  const { tableItem, tableName, LBrace: brace } = cst.children;
  const routes = statements(b, tableItem, "tableItem", ({ route: one, routes: many }) =>
    one ? route(b, one[0]) : many ? routesFrom(b, many[0]) : undefined,
  );
  requireBlock(b, tableName?.[0], brace, "a table is a block of routes", [
    { message: "for one route say `route PREFIX ... table NUMBER`" },
  ]);
  return block(b, cst, tableName?.[0], routes, (head, name) => ({ kind: "table", ...head, name, routes }));
}

const routesFrom = (b: Build, cst: Cst.RoutesCstNode): Ast.RoutesFrom | undefined =>
  leaf(b, cst, (node) => ({ kind: "routes", ...node, file: value.name(cst.children.fileName[0]) }));

export function family(cst: readonly Cst.FamilyCstNode[] | undefined): Ast.Spanned<Family> | undefined {
  const c = cst?.[0].children;
  if (c === undefined) return undefined;
  const [token] = (c.Inet ?? c.Inet6)!;
  return { value: c.Inet ? 4 : 6, span: spanOf(token) };
}

/** `via [inet|inet6] ADDRESS` */
const gateway = (b: Build, cst: readonly Cst.GatewayCstNode[]): Ast.Spanned<Ip> =>
  value.ip(b.report, cst[0].children.ipAddress[0], family(cst[0].children.family));

export function route(b: Build, cst: Cst.RouteCstNode): Ast.Route | undefined {
  const hops = cst.children.hop ?? [];
  return leaf(b, cst, (node) => routeNode(b, node, cst), hops.length > 1 ? hops : []);
}

function routeNode(b: Build, node: Ast.Node, { children: c }: Cst.RouteCstNode): Ast.Route {
  const { report } = b;
  reportVerb(report, c.routePrefix[0], b.tokens.all[placeOf(c.routePrefix[0]).index + 1]);
  const prefix = value.prefixOrAll(report, c.routePrefix[0]);
  const said: Mutable<Ast.Route> = { kind: "route", ...node, prefix, hops: [] };
  if (c.Append) said.append = true;
  const fam = family(c.family);
  if (fam !== undefined) {
    said.family = fam;
    if (prefix.value !== null && familyOf(prefix.value.address) !== fam.value)
      value.wrongFamily(report, c.routePrefix[0], fam);
  }
  const type = c.routeType?.[0];
  if (type !== undefined) said.type = value.name(firstToken(b, type));
  const attributes = routeAttributes(b, c.routeAttribute ?? []);
  Object.assign(said, attributes.said);
  said.hops = hopsOf(b, attributes.hop, c);
  return said;
}

type Attributes = Omit<Mutable<Ast.Route>, "kind" | "prefix" | "hops" | "span">;

function routeAttributes(b: Build, attributes: readonly Cst.RouteAttributeCstNode[]) {
  const { report } = b;
  const once = attributeReader(report);
  const said: Partial<Attributes> = {};
  const hop: Partial<Mutable<Ast.Hop>> = {};
  for (const { children: a } of attributes) {
    if (once("via", a.Via)) hop.via = gateway(b, a.gateway!);
    if (once("dev", a.Dev)) hop.dev = value.name(a.deviceName![0]);
    if (once("onlink", a.Onlink)) hop.onlink = true;
    if (once("table", a.Table)) said.table = value.name(a.tableName![0]);
    if (once("vrf", a.Vrf)) said.vrf = value.name(a.vrfName![0]);
    if (once("proto", a.Proto)) said.protocol = value.name(a.protocolName![0]);
    if (once("scope", a.Scope)) said.scope = value.name(a.scopeName![0]);
    if (once("src", a.Src)) said.src = value.ip(report, a.ipAddress![0]);
    if (once("metric", a.Metric ?? a.Priority)) said.metric = value.number(report, a.number![0]);
    if (once("tos", a.Tos)) said.tos = value.tos(report, a.tos![0]);
    if (once("mtu", a.Mtu)) said.mtu = value.number(report, a.number![0]);
    if (once("nhid", a.Nhid)) said.nhid = value.number(report, a.number![0]);
    if (a.shownValue) noteShown(b, (a.Pref ?? a.Error)![0], a.shownValue[0]);
    if (a.StateMark) stateOf(b, hop, a.StateMark[0]);
  }
  return { said, hop };
}

/** The route's own `via` and `dev`, or each `nexthop`; `ip` takes both and lets the kernel find out, we do not. */
function hopsOf(b: Build, own: Partial<Ast.Hop>, c: Cst.RouteCstChildren): Ast.Hop[] {
  const parts = c.hop ?? [];
  const said = [own.via?.span, own.dev?.span].find((span) => span !== undefined);
  const spoken = Object.keys(own).length > 0;
  if (parts.length === 0) return spoken ? [{ span: hopSpan(own, spanOf(c.Route[0])), ...own }] : [];
  const first = parts[0].children.Nexthop[0];
  if (spoken) {
    b.report.error(first, "E0121", "a route has its next hop in one way: `via ... dev ...`, or `nexthop`s", {
      secondary: said === undefined ? [] : [{ span: said, message: "a next hop already" }],
    });
  }
  return parts.map((part) => hop(b, part, parts.length > 1));
}

function hop(b: Build, cst: Cst.HopCstNode, onOwnLine: boolean): Ast.Hop {
  const once = attributeReader(b.report);
  const node = partOf(b, cst);
  const said: Mutable<Ast.Hop> = onOwnLine ? node : { span: node.span };
  for (const { children: a } of cst.children.hopAttribute ?? []) {
    if (once("via", a.Via)) said.via = gateway(b, a.gateway!);
    if (once("dev", a.Dev)) said.dev = value.name(a.deviceName![0]);
    if (once("weight", a.Weight)) said.weight = value.number(b.report, a.number![0]);
    if (once("onlink", a.Onlink)) said.onlink = true;
    if (a.StateMark) stateOf(b, said, a.StateMark[0]);
  }
  if (said.via === undefined && said.dev === undefined) {
    b.report.error(cst.children.Nexthop[0], "E0122", "a `nexthop` needs `via ADDRESS`, `dev DEVICE` or both");
  }
  return said;
}

/** `dead` decides what a look-up finds; `linkdown` follows from the wires, the rest decides nothing. */
function stateOf(b: Build, hop: Partial<Mutable<Ast.Hop>>, mark: IToken): void {
  if (mark.image === "dead") hop.dead = true;
  else noteShown(b, mark);
}

/** From the first to the last of the words that make up a next hop. */
function hopSpan(own: Partial<Ast.Hop>, otherwise: Ast.Node["span"]): Ast.Node["span"] {
  const spans = [own.via?.span, own.dev?.span].filter((span) => span !== undefined);
  if (spans.length === 0) return otherwise;
  return { start: Math.min(...spans.map((s) => s.start)), end: Math.max(...spans.map((s) => s.end)) };
}

export function nexthop(b: Build, cst: Cst.NexthopCstNode): Ast.NextHopObject | undefined {
  return leaf(b, cst, (node) => nexthopNode(b, node, cst.children));
}

function nexthopNode(b: Build, node: Ast.Node, c: Cst.NexthopCstChildren): Ast.NextHopObject {
  const { report } = b;
  const once = attributeReader(report);
  reportLostHop(b, c.Nexthop[0], c.number[0]);
  const said: Mutable<Ast.NextHopObject> = { kind: "nexthop", ...node, id: value.number(report, c.number[0]) };
  const fam = family(c.family);
  if (fam !== undefined) said.family = fam;
  const own: Partial<Mutable<Ast.Hop>> = {};
  for (const { children: a } of c.nexthopAttribute ?? []) {
    if (once("via", a.Via)) own.via = gateway(b, a.gateway!);
    if (once("dev", a.Dev)) own.dev = value.name(a.deviceName![0]);
    if (once("onlink", a.Onlink)) own.onlink = true;
    if (once("blackhole", a.Blackhole)) said.blackhole = true;
    if (once("group", a.Group)) said.group = value.nexthopGroup(report, a.nexthopGroup![0]);
    if (a.shownValue) noteShown(b, (a.Scope ?? a.Proto)![0], a.shownValue[0]);
    if (a.StateMark) noteShown(b, a.StateMark[0]);
  }
  if (Object.keys(own).length > 0) said.hop = { span: hopSpan(own, node.span), ...own };
  return said;
}

/** `nexthop via ...` on a line of its own is a part of the route above (dsl/tokens.ts); an object has a number there. */
function reportLostHop(b: Build, keyword: IToken, id: IToken): void {
  if (id.tokenType !== K.Via && id.tokenType !== K.Dev) return;
  b.report.error(keyword, "E0104", `\`nexthop ${id.image}\` continues a route, and the line above is none`, {
    help: [{ message: "a nexthop object has a number: `nexthop 7 via ADDRESS dev DEVICE`" }],
  });
}

export function neighbour(b: Build, cst: Cst.NeighbourCstNode): Ast.Neighbour | undefined {
  return leaf(b, cst, (node) => {
    const { report } = b;
    const once = attributeReader(report);
    const said: Mutable<Partial<Ast.Neighbour>> = {};
    for (const { children: a } of cst.children.neighbourAttribute ?? []) {
      if (once("lladdr", a.Lladdr)) said.lladdr = value.mac(report, a.mac![0]);
      if (once("dev", a.Dev)) said.dev = value.name(a.deviceName![0]);
      if (a.StateMark) noteShown(b, a.StateMark[0]);
    }
    const [keyword] = cst.children.Neighbour;
    const address = value.ip(report, cst.children.ipAddress[0]);
    const { lladdr = { value: 0, span: node.span }, dev = { value: "", span: node.span } } = said;
    if (said.lladdr === undefined) report.error(keyword, "E0122", "a neighbour needs `lladdr 02:00:00:00:00:01`");
    if (said.dev === undefined) report.error(keyword, "E0122", "a neighbour needs `dev DEVICE`");
    return { kind: "neighbour", ...node, address, lladdr, dev };
  });
}
