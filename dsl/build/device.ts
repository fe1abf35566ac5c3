/** `vrf` and `interface` blocks and their properties. */

import { looksLikeMac } from "../address.ts";
import type * as Ast from "../ast.ts";
import type * as Cst from "../cst.generated.ts";
import type { SyntaxReport } from "../syntax-report.ts";
import { textOf } from "../tokens.ts";
import * as value from "../values.ts";
import { attributeReader, type Build, block, leaf, statements } from "./context.ts";

export function vrf(b: Build, cst: Cst.VrfCstNode): Ast.Vrf | undefined {
  const properties = statements(b, cst.children.property, "property", (children) => property(b, children));
  return block(b, cst, cst.children.vrfName?.[0], properties, (head, name) => ({
    kind: "vrf",
    ...head,
    name,
    properties,
  }));
}

export function interfaceOf(b: Build, cst: Cst.InterfaceCstNode): Ast.Interface | undefined {
  const properties = statements(b, cst.children.property, "property", (children) => property(b, children));
  return block(b, cst, cst.children.deviceName?.[0], properties, (head, name) => ({
    kind: "interface",
    ...head,
    name,
    properties,
  }));
}

function property(b: Build, children: Cst.PropertyCstChildren): Ast.DeviceProperty | undefined {
  const { simpleProperty, address, peer } = children;
  if (simpleProperty) {
    return leaf(b, simpleProperty[0], (node) => ({ ...node, ...simple(b.report, simpleProperty[0].children) }));
  }
  if (address) return leaf(b, address[0], (node) => addressProperty(b, node, address[0].children));
  if (peer) {
    const { namespaceName, deviceName } = peer[0].children;
    return leaf(b, peer[0], (node) => ({
      ...node,
      kind: "peer",
      namespace: value.name(namespaceName[0]),
      device: value.name(deviceName[0]),
    }));
  }
  return undefined;
}

type Said<T> = T extends Ast.Node ? Omit<T, keyof Ast.Node> : never;

function simple(report: SyntaxReport, c: Cst.SimplePropertyCstChildren): Said<Ast.DeviceProperty> {
  if (c.tableName) return { kind: "table", table: value.name(c.tableName[0]) };
  if (c.deviceType) return { kind: "type", type: value.name(c.deviceType[0]) };
  if (c.vrfName) return { kind: "master", vrf: value.name(c.vrfName[0]) };
  if (c.mac) return { kind: "lladdr", mac: value.mac(report, c.mac[0]) };
  if (c.qdiscName) return { kind: "qdisc", qdisc: value.name(c.qdiscName[0]) };
  if (c.Mtu) return { kind: "mtu", mtu: value.number(report, c.number![0]) };
  if (c.Group) return { kind: "group", group: value.number(report, c.number![0]) };
  if (c.Index) return { kind: "index", index: value.number(report, c.number![0]) };
  return { kind: "state", up: c.Up !== undefined };
}

function addressProperty(b: Build, node: Ast.Node, c: Cst.AddressCstChildren): Ast.DeviceProperty {
  const [token] = c.interfaceAddress;
  if (looksLikeMac(textOf(token))) return { ...node, kind: "lladdr", mac: value.mac(b.report, token) };
  const once = attributeReader(b.report);
  const said: { -readonly [K in keyof Ast.AddressProperty]: Ast.AddressProperty[K] } = {
    ...node,
    kind: "address",
    address: value.prefix(b.report, token),
  };
  for (const { children: a } of c.addressAttribute ?? []) {
    if (once("peer", a.Peer)) said.peer = value.prefix(b.report, a.prefix![0]);
    if (once("scope", a.Scope)) said.scope = value.name(a.scopeName![0]);
    if (once("metric", a.Metric ?? a.Priority)) said.metric = value.number(b.report, a.number![0]);
    if (once("noprefixroute", a.Noprefixroute)) said.noprefixroute = true;
  }
  return said;
}
