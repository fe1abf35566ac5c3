/**
 * `ip route`: iproute2's iproute_modify; `flush` is ip-route-flush.ts.
 *
 *   add | append | prepend | replace | change | del
 *          [TYPE] [to] PREFIX { via [FAMILY] A | dev D | onlink | nexthop HOP | nhid N | table T | vrf V | metric N | tos T
 *                             | scope S | proto P | src A | mtu N | … }
 *   HOP  = { via [FAMILY] A | dev D | weight N | onlink }
 *
 * As in iproute2: a route without `table` is in main (local, broadcast and anycast ones in local); a unicast route without
 * a gateway has scope link; `tos` is hexadecimal with or without 0x.
 */
import type { Hop, Name, Route as RouteNode, Spanned } from "../../dsl/ast.ts";
import { routingProtocol } from "../../dsl/check/names.ts";
import { Scope } from "../../dsl/model.ts";
import type { Span } from "../../dsl/span.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import { type Family, familyOf, formatIp, type Prefix } from "../../runtime/net/ip.ts";
import { addRoute, deleteRoute, type RouteAction } from "./fib.ts";
import { flush } from "./ip-route-flush.ts";
import type { Run } from "./run.ts";
import type { Word } from "./shell.ts";
import type { RouteRequest } from "./state.ts";
import {
  addressWord,
  choose,
  keywordOf,
  numberWord,
  prefixWord,
  Refused,
  scopeWord,
  tableText,
  tableWord,
  tosWord,
  Unsupported,
  type Words,
} from "./words.ts";

const KEYWORDS = [
  "src",
  "via",
  "from",
  "tos",
  "dsfield*",
  "expires",
  "metric*",
  "priority*",
  "preference",
  "scope",
  "mtu",
  "hoplimit",
  "advmss",
  "reordering*",
  "rtt",
  "rto_min",
  "window*",
  "cwnd*",
  "initcwnd*",
  "initrwnd*",
  "features*",
  "quickack*",
  "congctl*",
  "rttvar*",
  "ssthresh*",
  "realms*",
  "onlink",
  "nexthop",
  "nhid",
  "protocol*",
  "table*",
  "vrf*",
  "dev",
  "oif",
  "pref*",
  "encap",
  "ttl-propagate",
  "fastopen_no_cookie*",
  "to",
] as const;

/** With one argument, and of meaning to transport protocols or other systems only. */
const WITHOUT_MEANING: readonly string[] = [
  "hoplimit",
  "advmss",
  "reordering",
  "rtt",
  "rto_min",
  "window",
  "cwnd",
  "initcwnd",
  "initrwnd",
  "features",
  "quickack",
  "congctl",
  "rttvar",
  "ssthresh",
  "realms",
  "pref",
  "fastopen_no_cookie",
  "expires",
];

/** rtnl_rtntype_a2n; abbreviations as there. */
const TYPES = new Map([
  ["local", "local"],
  ["broadcast", "broadcast"],
  ["brd", "broadcast"],
  ["anycast", "anycast"],
  ["multicast", "multicast"],
  ["prohibit", "prohibit"],
  ["unreachable", "unreachable"],
  ["blackhole", "blackhole"],
  ["unicast", "unicast"],
  ["throw", "throw"],
  ["nat", "nat"],
]);

const FAMILIES = new Map<string, Family>([
  ["inet", 4],
  ["inet6", 6],
]);

type Writable<T> = { -readonly [K in keyof T]: T[K] };
/** The command while it is read. `Hop` fields directly said belong to the only next hop. */
interface Draft {
  node: Partial<Writable<RouteNode>>;
  hop: Partial<Writable<Hop>>;
  hopWords: Span[];
  hops: Hop[];
  /** Gateways whose family is said: `via inet6 A`. */
  readonly told: Set<Hop["via"]>;
  scope?: number;
  table?: number;
  hasTable: boolean;
}

export function runRoute(run: Run, words: Words): void {
  if (words.isDone) return;
  const action = words.next();
  const name = choose(action.text, [
    "add",
    "change",
    "replace",
    "prepend",
    "append",
    "test",
    "delete",
    "list",
    "show",
    "lst",
    "get",
    "flush",
    "save",
    "restore",
    "showdump",
    "help",
  ]);
  switch (name) {
    case "add":
    case "change":
    case "replace":
    case "prepend":
    case "append":
    case "test":
      add(run, parse(run, words, false), name);
      return;
    case "delete":
      deleteRoute(parse(run, words, true));
      return;
    case "flush":
      flush(run, words);
      return;
    case "restore":
      throw new Unsupported(`\`ip route ${name}\``, action.span);
    case null:
      if (action.text === "chg") {
        add(run, parse(run, words, false), "change");
        return;
      }
      throw new Refused(`Command "${action.text}" is unknown, try "ip route help".`, action.span);
    default:
      return;
  }
}

function add(run: Run, request: RouteRequest, action: RouteAction): void {
  run.touch(addRoute(request, action));
}

// ---- parse --------------------------------------------------------------------------------------------------------

function parse(run: Run, words: Words, isDelete: boolean): RouteRequest {
  const draft: Draft = { node: {}, hop: {}, hopWords: [], hops: [], told: new Set(), hasTable: false };
  while (!words.isDone) {
    const word = words.next();
    const keyword = keywordOf(word.text, KEYWORDS);
    if (keyword !== null && WITHOUT_MEANING.includes(keyword)) leaveOutMetric(run, word, words);
    else if (keyword === null || keyword === "to")
      parseDestination(run, draft, keyword === "to" ? words.next() : word, words);
    else parseWord(run, draft, keyword, word, words);
  }
  return complete(run, draft, isDelete);
}

/** `advmss lock 1400` has a second argument. */
function leaveOutMetric(run: Run, word: Word, words: Words): void {
  const value = words.next();
  run.leaveOut(word, value, ...(value.text === "lock" ? [words.next()] : []));
}

function parseDestination(run: Run, { node }: Draft, word: Word, words: Words): void {
  const type = TYPES.get(word.text);
  if (type !== undefined && node.type === undefined) {
    node.type = { value: type, span: word.span };
    words.take("to");
    if (words.isDone) return;
    const next = words.peek();
    if (next && keywordOf(next.text, KEYWORDS) !== null && next.text !== "default") return;
    node.prefix = prefixWord(words.next(), run.family);
    return;
  }
  if (node.prefix !== undefined)
    throw new Refused(`Error: either "to" is duplicate, or "${word.text}" is a garbage.`, word.span);
  node.prefix = prefixWord(word, run.family);
}

function parseWord(run: Run, draft: Draft, keyword: string, word: Word, words: Words): void {
  const { node } = draft;
  switch (keyword) {
    case "src":
      node.src = addressWord(words.next(), run.family);
      return;
    case "tos":
    case "dsfield":
      node.tos = tosWord(words.next(), '"tos" value is invalid\n');
      return;
    case "metric":
    case "priority":
    case "preference":
      node.metric = numberWord(words.next(), '"metric" value is invalid\n');
      return;
    case "scope": {
      const scope = scopeWord(words.next(), 'invalid "scope" value\n');
      draft.scope = scope.value;
      node.scope = { value: scope.name, span: scope.span };
      return;
    }
    case "mtu": {
      const value = words.next();
      if (value.text === "lock") run.leaveOut(value);
      node.mtu = numberWord(value.text === "lock" ? words.next() : value, '"mtu" value is invalid\n');
      return;
    }
    case "protocol": {
      const value = words.next();
      if (routingProtocol(value.text) === undefined)
        throw new Refused(`Error: argument "${value.text}" is wrong: "protocol" value is invalid`, value.span);
      node.protocol = { value: value.text, span: value.span };
      return;
    }
    case "table":
      parseTable(run, draft, words.next());
      return;
    case "vrf":
      parseVrf(run, draft, words.next());
      return;
    case "nhid":
      node.nhid = numberWord(words.next(), '"id" value is invalid');
      return;
    case "nexthop":
      draft.hops.push(...parseHops(draft, words, word));
      return;
    case "via":
    case "dev":
    case "oif":
    case "onlink":
      draft.hopWords.push(word.span);
      parseHopWord(draft, draft.hop, keyword, words);
      return;
    default:
      throw new Unsupported(`\`${keyword}\` of \`ip route\``, word.span);
  }
}

function parseTable(run: Run, draft: Draft, word: Word): void {
  const table = tableWord(word, run.network.tables, '"table" value is invalid\n');
  draft.table = table.value;
  draft.hasTable = true;
  draft.node.table = { value: tableText(table.value), span: word.span };
}

function parseVrf(run: Run, draft: Draft, word: Word): void {
  draft.table = run.vrfTable(word);
  draft.hasTable = true;
  draft.node.vrf = { value: word.text, span: word.span };
}

function parseHopWord({ told }: Draft, hop: Partial<Writable<Hop>>, keyword: string, words: Words): void {
  if (keyword === "onlink") hop.onlink = true;
  else if (keyword === "via") {
    const family = FAMILIES.get(words.peek()?.text ?? "");
    if (family !== undefined) words.next();
    if (hop.via)
      throw new Refused(
        'Error: argument "via" is wrong: use nexthop syntax to specify multiple via',
        words.next().span,
      );
    hop.via = addressWord(words.next(), family ?? null);
    if (family !== undefined) told.add(hop.via);
  } else {
    const word = words.next();
    hop.dev = { value: word.text, span: word.span };
  }
}

/** `nexthop … nexthop …` goes on to the end of the command (parse_nexthops). */
function parseHops(draft: Draft, words: Words, first: Word): Hop[] {
  const hops: Hop[] = [];
  let hop: Partial<Writable<Hop>> = {};
  let span = first.span;
  const finish = () => hops.push({ ...hop, span });
  while (!words.isDone) {
    const word = words.next();
    if (word.text === "nexthop") {
      finish();
      hop = {};
      span = word.span;
    } else {
      if (word.text === "weight") hop.weight = weightWord(words.next());
      else if (["via", "dev", "onlink"].includes(word.text)) parseHopWord(draft, hop, word.text, words);
      else if (word.text === "encap" || word.text === "as")
        throw new Unsupported(`\`${word.text}\` of a next hop`, word.span);
      else throw new Refused(`Error: "nexthop" or end of line is expected instead of "${word.text}"`, word.span);
      span = { start: span.start, end: words.lastEnd };
    }
  }
  finish();
  return hops;
}

function weightWord(word: Word): Spanned<number> {
  const weight = numberWord(word, '"weight" is invalid\n', 256);
  if (weight.value === 0) throw new Refused('Error: argument "0" is wrong: "weight" is invalid', word.span);
  return weight;
}

// ---- complete -----------------------------------------------------------------------------------------------------

function complete(run: Run, draft: Draft, isDelete: boolean): RouteRequest {
  const { node, hop } = draft;
  const hasHop = draft.hopWords.length > 0;
  const only: Hop[] = hasHop ? [{ ...hop, span: hopSpan(draft) }] : [];
  const hops = draft.hops.length > 0 ? draft.hops : only;
  const prefix: Spanned<Prefix | null> = node.prefix ?? { value: null, span: run.span };
  const told = prefix.value?.address ?? node.src?.value ?? hops.find((h) => h.via)?.via?.value;
  const family = prefix.value === null && run.family !== null ? run.family : told === undefined ? 4 : familyOf(told);
  checkFamilies(draft, hops, family);
  const needsFamily = prefix.value === null && family !== (told === undefined ? 4 : familyOf(told));
  const type = node.type?.value ?? "unicast";
  if (family === 4 && hasHop && draft.hops.length > 0) checkFirstHop(only[0], draft.hops[0]);
  if (family === 6 && draft.hops.some((other) => other.via === undefined))
    throw new Refused(
      "Error: Device only routes can not be added for IPv6 using the multipath API.",
      draft.hops[0].span,
    );
  const usualTable = ["local", "broadcast", "anycast"].includes(type) ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
  return {
    ns: run.ns,
    node: {
      ...node,
      kind: "route",
      span: run.span,
      prefix,
      hops,
      ...(needsFamily ? { family: { value: family, span: prefix.span } } : {}),
    },
    family,
    table: draft.hasTable ? draft.table || RT_TABLE_MAIN : usualTable,
    scope: draft.scope ?? usualScope(family, type, hops, node.nhid !== undefined, isDelete),
    devices: hops.map((h) => (h.dev ? run.device(wordOf(h.dev)) : null)),
  };
}

/** iproute2 reads every address after the first as one of its family, but for `via inet6`. */
function checkFamilies({ node, told }: Draft, hops: readonly Hop[], family: Family): void {
  const others = [node.src, ...hops.map((hop) => hop.via).filter((via) => !told.has(via))];
  const other = others.find((address) => address && familyOf(address.value) !== family);
  if (other)
    throw new Refused(
      `Error: ${family === 4 ? "inet" : "inet6"} address is expected rather than "${formatIp(other.value)}".`,
      other.span,
    );
}

/** fib_get_nhs: what is said beside `nexthop` must be the first of them. */
function checkFirstHop(said: Hop, first: Hop): void {
  if (said.dev && said.dev.value !== first.dev?.value)
    throw new Refused("Error: Nexthop device index does not match RTA_OIF.", said.dev.span);
  if (said.via && said.via.value !== first.via?.value)
    throw new Refused("Error: Nexthop gateway does not match RTA_GATEWAY or RTA_VIA.", said.via.span);
}

const wordOf = (name: Name): Word => ({ text: name.value, span: name.span });

function hopSpan({ hop, hopWords }: Draft): Span {
  const ends = [...hopWords, hop.dev?.span, hop.via?.span].filter((span): span is Span => span !== undefined);
  return { start: Math.min(...ends.map((s) => s.start)), end: Math.max(...ends.map((s) => s.end)) };
}

/** The scope that iproute2 fills in. */
function usualScope(family: Family, type: string, hops: readonly Hop[], hasNhid: boolean, isDelete: boolean): number {
  if (family === 6) return Scope.UNIVERSE;
  if (type === "local") return Scope.HOST;
  if (["broadcast", "multicast", "anycast"].includes(type)) return Scope.LINK;
  if (type !== "unicast") return Scope.UNIVERSE;
  if (isDelete) return Scope.NOWHERE;
  return hasNhid || hops.some((hop) => hop.via) || hops.length > 1 ? Scope.UNIVERSE : Scope.LINK;
}
