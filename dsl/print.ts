/**
 * From AST to text: what `vrfc fmt` and the importers write. One format, no options.
 *
 *   - two blanks of indentation; a block of properties or one ping goes on a line when it fits and has no comments in it
 *   - the words of a statement in the order in which `ip rule show` and `ip route show` print them; no synonyms
 *   - each `nexthop` of several on a line of its own, as `ip route show` prints them
 *   - comments stay, and so does one blank line where there were some
 *
 * Printing what `parse` made of printed text gives the same text.
 */
import { formatEndpoint, formatIp, formatPrefix, type Prefix } from "../runtime/net/ip.ts";
import { formatMac } from "../runtime/net/mac.ts";
import type * as Ast from "./ast.ts";
import { ipProtocolName } from "./ip-protocols.ts";
import { filterLines } from "./nft/print.ts";
import { isBareWord, K, keywordOf, quote } from "./tokens.ts";
import { defaultMask, isHost } from "./values.ts";

const INDENT = "  ";
const WIDTH = 100;

export function print(file: Ast.File): string {
  const lines = [...file.items.flatMap((item, i) => entry(item, i > 0, 0, topItem)), ...commentLines(file.tail, 0)];
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

/** A statement in lines; the first has no indentation, the others are relative to it. */
type Lines = readonly string[];

/** The statement with its comments. `below`: something stands above it in its block. */
function entry<T extends Ast.Node>(
  node: T,
  below: boolean,
  depth: number,
  toLines: (node: T, depth: number) => Lines,
): string[] {
  const comments = [...(node.comments ?? [])];
  const [first, ...rest] = toLines(node, depth);
  return [
    ...(below && node.blankBefore ? [""] : []),
    ...commentLines(comments, depth),
    `${indent(depth)}${first}${behind(node.trailing)}`,
    ...rest.map((line) => (line === "" ? "" : `${indent(depth)}${line}`)),
  ];
}

const indent = (depth: number): string => INDENT.repeat(depth);

function commentLines(comments: readonly (string | null)[] | undefined, depth: number): string[] {
  return (comments ?? []).flatMap((comment) =>
    comment === null ? [""] : comment.split("\n").map((line) => `${indent(depth)}${commentOf(line)}`),
  );
}

/** `##` and `#!` stay together; what is read of `# x` and of `#x` is the same, `x`. */
function commentOf(words: string): string {
  const line = words.trimEnd();
  return line === "" || /^[#!]/.test(line) ? `#${line}` : `# ${line}`;
}

const behind = (comment: string | undefined): string =>
  comment === undefined ? "" : ` ${commentOf(comment.replaceAll("\n", " "))}`;

// Blocks.

interface BlockNode extends Ast.Node {
  readonly tail?: readonly (string | null)[];
}

function block<T extends Ast.Node>(
  head: string,
  node: BlockNode,
  children: readonly T[],
  toLines: (node: T, depth: number) => Lines,
  mayBeOneLine = false,
  depth = 0,
): Lines {
  if (children.length === 0 && node.tail === undefined) return [`${head} {}`];
  if (mayBeOneLine && node.tail === undefined && children.every(isPlain)) {
    const line = `${head} { ${children.map((child) => toLines(child, 0).join(" ")).join("; ")} }`;
    if (depth * INDENT.length + line.length <= WIDTH) return [line];
  }
  const inner = children.flatMap((child, i) => entry(child, i > 0, 1, toLines));
  // The comment behind the statement goes behind its first line, so the head must be a line of its own.
  return [`${head} {`, ...inner, ...commentLines(node.tail, 1), "}"];
}

const isPlain = (node: Ast.Node): boolean =>
  node.comments === undefined && node.trailing === undefined && !node.blankBefore;

function topItem(node: Ast.File["items"][number], depth: number): Lines {
  switch (node.kind) {
    case "kernel":
      return [`kernel ${quote(node.version.value)}`];
    case "namespace":
      return namespace(node, depth);
    case "test":
      return test(node, depth);
    default:
      return item(node, depth);
  }
}

const namespace = (node: Ast.Namespace, depth: number): Lines =>
  block(`namespace ${word(node.name)}`, node, node.items, (child) => item(child, depth + 1));

function test(node: Ast.Test, depth: number): Lines {
  const children: readonly (Ast.Namespace | Ast.TestStep)[] = [...node.additions, ...node.steps];
  const one = node.additions.length === 0 && node.steps.length === 1;
  return block(`test ${quote(node.name.value)}`, node, children, (child) => testItem(child, depth + 1), one, depth);
}

const testItem = (node: Ast.Namespace | Ast.TestStep, depth: number): Lines =>
  node.kind === "namespace" ? namespace(node, depth) : [join(say("in", node.namespace, word), step(node))];

function item(node: Ast.Item, depth: number): Lines {
  switch (node.kind) {
    case "sysctl":
      return [`sysctl ${word(node.key)} = ${setting(node.setting.value)}`];
    case "vrf":
      return block(`vrf ${word(node.name)}`, node, node.properties, property, true, depth);
    case "interface":
      return block(`interface ${word(node.name)}`, node, node.properties, property, true, depth);
    case "table":
      return block(`table ${word(node.name)}`, node, node.routes, tableItem);
    case "route":
      return route(node);
    case "rule":
      return [rule(node)];
    case "neighbour":
      return [join("neighbour", ip(node.address), "lladdr", formatMac(node.lladdr.value), "dev", word(node.dev))];
    case "nexthop":
      return [nexthop(node)];
    default:
      return filterLines(node, block);
  }
}

const tableItem = (node: Ast.Route | Ast.RoutesFrom): Lines =>
  node.kind === "route" ? route(node) : [`routes from ${quote(node.file.value)}`];

// Words.

/** Undefined parts are left out. */
const join = (...parts: readonly (string | undefined | false)[]): string => parts.filter((part) => part).join(" ");

/** `KEYWORD value`, or nothing. */
const say = <T>(keyword: string, value: T | undefined, write: (value: T) => string): string | undefined =>
  value === undefined ? undefined : `${keyword} ${write(value)}`;

/** `[l3mdev-table]` as a bare word is not a name but what `ip` prints for "the table of the VRF". */
const bare = (text: string): string => (isBareWord(text) && keywordOf(text) !== K.L3mdevTable ? text : quote(text));
const word = (name: Ast.Name): string => bare(name.value);
const number = (value: Ast.Spanned<number>): string => `${value.value}`;
const hex = (value: number): string => `0x${value.toString(16)}`;
const hexByte = ({ value }: Ast.Spanned<number>): string => `0x${value.toString(16).padStart(2, "0")}`;
const ip = (address: Ast.Spanned<bigint | number>): string => formatIp(address.value);
const endpoint = ({ address, port }: Ast.Endpoint): string => formatEndpoint(address, port);
/** A host without its length, as `ip` prints it. */
const prefix = (value: Prefix): string => (isHost(value) ? formatIp(value.address) : formatPrefix(value));
const prefixWord = ({ value }: Ast.Spanned<Prefix>): string => prefix(value);
const family = (value: Ast.Spanned<4 | 6> | undefined): string | undefined =>
  value && (value.value === 4 ? "inet" : "inet6");

/** Values of several words need no quotes as long as the words are words. */
function setting(text: string): string {
  const words = text.split(" ");
  return words.every(isBareWord) ? text : quote(text);
}

// Devices.

function property(node: Ast.DeviceProperty): Lines {
  switch (node.kind) {
    case "table":
      return [`table ${word(node.table)}`];
    case "type":
      return [`type ${word(node.type)}`];
    case "master":
      return [`master ${word(node.vrf)}`];
    case "peer":
      return [`peer ${word(node.namespace)} ${word(node.device)}`];
    case "address":
      return [address(node)];
    case "lladdr":
      return [`lladdr ${formatMac(node.mac.value)}`];
    case "mtu":
      return [`mtu ${number(node.mtu)}`];
    case "group":
      return [`group ${number(node.group)}`];
    case "qdisc":
      return [`qdisc ${word(node.qdisc)}`];
    case "index":
      return [`index ${number(node.index)}`];
    case "state":
      return [node.up ? "up" : "down"];
  }
}

const address = (node: Ast.AddressProperty): string =>
  join(
    `address ${formatPrefix(node.address.value)}`,
    say("peer", node.peer, prefixWord),
    say("scope", node.scope, word),
    say("metric", node.metric, number),
    node.noprefixroute && "noprefixroute",
  );

// Routes.

function route(node: Ast.Route): Lines {
  const [only] = node.hops;
  const inline = node.hops.length === 1 && only.weight === undefined;
  const line = join(
    "route",
    node.append && "append",
    family(node.family),
    node.type?.value,
    node.prefix.value === null ? "default" : prefix(node.prefix.value),
    say("tos", node.tos, hexByte),
    say("nhid", node.nhid, number),
    inline && via(only),
    inline && say("dev", only.dev, word),
    say("table", node.table, word),
    say("vrf", node.vrf, word),
    say("proto", node.protocol, word),
    say("scope", node.scope, word),
    say("src", node.src, ip),
    say("metric", node.metric, number),
    say("mtu", node.mtu, number),
    inline && only.onlink && "onlink",
    inline && only.dead && "dead",
  );
  if (inline || node.hops.length === 0) return [line];
  if (node.hops.length === 1) return [`${line} ${hop(only)}`];
  return [line, ...node.hops.flatMap((one) => entry(one, false, 1, () => [hop(one)]))];
}

/** Without `inet6`: the address tells, also where an IPv4 route has an IPv6 gateway. */
const via = (node: Ast.Hop): string | undefined => say("via", node.via, ip);

const hop = (node: Ast.Hop): string =>
  join(
    "nexthop",
    via(node),
    say("dev", node.dev, word),
    say("weight", node.weight, number),
    node.onlink && "onlink",
    node.dead && "dead",
  );

function nexthop(node: Ast.NextHopObject): string {
  const member = ({ id, weight }: { id: Ast.Spanned<number>; weight: number }): string =>
    weight === 1 ? `${id.value}` : `${id.value},${weight}`;
  return join(
    "nexthop",
    family(node.family),
    number(node.id),
    node.blackhole && "blackhole",
    node.hop && via(node.hop),
    say("dev", node.hop?.dev, word),
    node.hop?.onlink && "onlink",
    say("group", node.group, (members) => members.map(member).join("/")),
  );
}

// Rules.

const rule = (node: Ast.Rule): string =>
  join(
    node.delete && "no",
    "rule",
    family(node.family),
    node.pref && number(node.pref),
    node.not && "not",
    say("from", node.from, prefixWord),
    say("to", node.to, prefixWord),
    say("tos", node.tos, hexByte),
    say("fwmark", node.fwmark, ({ value }) => mark(value)),
    say("iif", node.iif, word),
    say("oif", node.oif, word),
    node.l3mdev && "l3mdev",
    say("uidrange", node.uidrange, range),
    say("ipproto", node.ipproto, ({ value }) => ipProtocolName.get(value) ?? `${value}`),
    say("sport", node.sport, range),
    say("dport", node.dport, range),
    node.action && action(node.action),
    say("suppress_prefixlength", node.suppressPrefixLength, number),
    say("suppress_ifgroup", node.suppressIfGroup, number),
    say("proto", node.protocol, word),
  );

const mark = ({ mark, mask }: { mark: number; mask: number }): string =>
  mask === defaultMask(mark) ? hex(mark) : `${hex(mark)}/${hex(mask)}`;

const range = ({ value: { first, last } }: Ast.Spanned<Ast.Range>): string =>
  first === last ? `${first}` : `${first}-${last}`;

function action(node: Ast.RuleAction): string {
  if (node.kind === "lookup") return `lookup ${word(node.table)}`;
  return node.kind === "goto" ? `goto ${number(node.target)}` : node.kind;
}

// Tests.

function step(node: Ast.TestStep): string {
  switch (node.kind) {
    case "ping":
      return ping(node);
    case "listen":
      return join(
        `listen ${node.transport} ${endpoint(node.endpoint.value)}`,
        say("-I", node.device, word),
        say("expect", node.expect, expectation),
      );
    case "connect":
      return join(
        `connect ${node.transport} ${endpoint(node.endpoint.value)}`,
        say("-I", node.device, word),
        say("from", node.from, ip),
        say("-m", node.mark, ({ value }) => hex(value)),
        say("expect", node.expect, expectation),
      );
  }
}

const ping = (node: Ast.Ping): string =>
  join(
    `ping ${ip(node.destination)}`,
    say("-I", node.bind, word),
    say("-t", node.ttl, number),
    say("-m", node.mark, ({ value }) => hex(value)),
    say("expect", node.expect, expectation),
  );

function expectation(node: Ast.Expectation): string {
  switch (node.kind) {
    case "reply":
      return join("reply", say("ttl", node.ttl, number), say("from", node.from, ip));
    case "unreachable":
      return join("unreachable", node.what?.value, say("from", node.from, ip));
    case "exceeded":
      return join("exceeded", say("from", node.from, ip));
    case "error":
      return join("error", node.errno && bare(node.errno.value));
    case "drop":
      return join("drop by", word(node.by), say("rule", node.rule, number), say("in", node.namespace, word));
    default:
      return node.kind;
  }
}
