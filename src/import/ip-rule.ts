/**
 * `ip rule`: iproute2's iprule_modify.
 *
 *   add | del  { [not] | from P | to P | iif D | oif D | fwmark M[/MASK] | tos T | ipproto P | sport A[-B] | dport A[-B]
 *              | uidrange A-B | l3mdev | pref N | lookup T | goto N | nop | blackhole | unreachable | prohibit
 *              | suppress_prefixlength N | suppress_ifgroup G | protocol P }
 *   flush
 */
import type { Range, Rule as RuleNode, Spanned } from "../../dsl/ast.ts";
import { RT_TABLE_MAIN } from "../../runtime/brand.ts";
import { type Family, familyOf, type Prefix } from "../../runtime/net/ip.ts";
import { isDeviceName } from "./devices.ts";
import { addRule, automaticPref, checkGoto, checkRule, deleteRule, flushRules } from "./rules.ts";
import type { Run } from "./run.ts";
import type { Word } from "./shell.ts";
import { RuleEntry } from "./state.ts";
import {
  choose,
  groupWord,
  keywordOf,
  numberWord,
  parseNumber,
  prefixWord,
  Refused,
  tableText,
  tableWord,
  tosWord,
  Unsupported,
  type Words,
} from "./words.ts";

const KEYWORDS = [
  "not",
  "from",
  "to",
  "preference*",
  "order*",
  "priority*",
  "tos",
  "dsfield*",
  "fwmark",
  "realms*",
  "protocol*",
  "tun_id*",
  "table*",
  "lookup",
  "suppress_prefixlength*",
  "sup_pl",
  "suppress_ifgroup*",
  "sup_group",
  "dev",
  "iif",
  "oif",
  "l3mdev",
  "uidrange",
  "nat",
  "map-to*",
  "ipproto",
  "sport",
  "dport",
  "dscp",
  "flowlabel",
  "type",
  "goto*",
  "nop*",
] as const;

/** /etc/protocols: the names that rules are written with. */
const PROTOCOLS = new Map(
  Object.entries({
    icmp: 1,
    igmp: 2,
    ipip: 4,
    ipencap: 4,
    tcp: 6,
    udp: 17,
    dccp: 33,
    ipv6: 41,
    gre: 47,
    esp: 50,
    ah: 51,
    "ipv6-icmp": 58,
    icmpv6: 58,
    ospf: 89,
    sctp: 132,
  }),
);

type Writable<T> = { -readonly [K in keyof T]: T[K] };
interface Draft {
  readonly node: Partial<Writable<RuleNode>>;
  table: number;
}

export function runRule(run: Run, words: Words): void {
  if (words.isDone) return;
  const action = words.next();
  switch (choose(action.text, ["list", "lst", "show", "save", "restore", "add", "delete", "flush", "help"])) {
    case "add":
      if (words.isDone) throw new Refused('"ip rule add" requires arguments.');
      add(run, parse(run, words));
      return;
    case "delete":
      if (words.isDone) throw new Refused('"ip rule del" requires arguments.');
      remove(run, parse(run, words));
      return;
    case "flush":
      if (!words.isDone) throw new Unsupported("flushing only some rules", action.span);
      flushRules(run.ns, run.family ?? 4, run.span);
      return;
    case "restore":
      throw new Unsupported("`ip rule restore`", action.span);
    case null:
      throw new Refused(`Command "${action.text}" is unknown, try "ip rule help".`, action.span);
    default:
      return;
  }
}

function parse(run: Run, words: Words): Draft {
  const draft: Draft = { node: {}, table: 0 };
  while (!words.isDone) {
    const word = words.next();
    const keyword = keywordOf(word.text, KEYWORDS);
    if (!parseSelector(run, draft, keyword, word, words)) parseAction(run, draft, keyword, word, words);
  }
  const { node } = draft;
  if (node.l3mdev && node.action?.kind === "lookup")
    throw new Refused("table can not be specified for l3mdev rules", node.action.span);
  return draft;
}

/** Returns false when the keyword is not a selector. */
function parseSelector(run: Run, { node }: Draft, keyword: string | null, word: Word, words: Words): boolean {
  switch (keyword) {
    case "not":
      node.not = true;
      return true;
    case "from":
    case "to": {
      const prefix = selectorPrefix(words.next(), run.family);
      if (prefix) node[keyword] = prefix;
      return true;
    }
    case "tos":
    case "dsfield":
      node.tos = tosWord(words.next(), "TOS value is invalid\n");
      if (node.tos.value === 0) delete node.tos;
      return true;
    case "fwmark":
      parseMark(node, words.next());
      return true;
    case "dev":
    case "iif":
    case "oif": {
      const device = words.next();
      if (!isDeviceName(device.text)) {
        const what = keyword === "oif" ? '"oif"' : '"iif"/"dev"';
        throw new Refused(`Error: argument "${device.text}" is wrong: ${what} not a valid ifname`, device.span);
      }
      node[keyword === "oif" ? "oif" : "iif"] = { value: device.text, span: device.span };
      return true;
    }
    case "l3mdev":
      node.l3mdev = { value: true, span: word.span };
      return true;
    case "uidrange":
      node.uidrange = uidRangeWord(words.next());
      return true;
    case "sport":
      node.sport = portRangeWord(words.next(), "invalid port range\n");
      return true;
    case "dport":
      node.dport = portRangeWord(words.next(), "invalid dport range\n");
      return true;
    case "ipproto": {
      const name = words.next();
      const value = PROTOCOLS.get(name.text) ?? parseNumber(name.text, 255);
      if (value === null)
        throw new Refused(`Error: argument "${name.text}" is wrong: Invalid "ipproto" value`, name.span);
      node.ipproto = { value, span: name.span };
      return true;
    }
    default:
      return false;
  }
}

/** `all` selects nothing. */
function selectorPrefix(word: Word, family: Family | null): Spanned<Prefix> | null {
  const { value, span } = prefixWord(word, family);
  return value === null || value.length === 0 ? null : { value, span };
}

/** fib_nl2rule: without a mask all bits of a mark count, but a mark of 0 then selects nothing. */
function parseMark(node: Draft["node"], word: Word): void {
  const [markText, maskText] = word.text.split("/");
  const mark = parseNumber(markText);
  const mask = maskText === undefined ? (mark === 0 ? 0 : 0xffffffff) : parseNumber(maskText);
  if (mark === null || mask === null)
    throw new Refused(`Error: argument "${word.text}" is wrong: fwmark value is invalid`, word.span);
  if (mark !== 0 || mask !== 0) node.fwmark = { value: { mark, mask }, span: word.span };
}

function rangeWord(word: Word, why: string): Spanned<Range> {
  const [firstText, lastText = firstText] = word.text.split("-");
  const [first, last] = [parseNumber(firstText), parseNumber(lastText)];
  if (first === null || last === null)
    throw new Refused(`Error: argument "${word.text}" is wrong: ${why.trim()}`, word.span);
  return { value: { first, last }, span: word.span };
}

/** `%u-%u`: both ends are needed. */
function uidRangeWord(word: Word): Spanned<Range> {
  if (!word.text.includes("-"))
    throw new Refused(`Error: argument "${word.text}" is wrong: invalid UID range`, word.span);
  return rangeWord(word, "invalid UID range\n");
}

/** `%hu-%hu`: what has more than 16 bits loses them. */
function portRangeWord(word: Word, why: string): Spanned<Range> {
  const { value, span } = rangeWord(word, why);
  return { value: { first: value.first & 0xffff, last: value.last & 0xffff }, span };
}

function parseAction(run: Run, draft: Draft, keyword: string | null, word: Word, words: Words): void {
  const { node } = draft;
  switch (keyword) {
    case "preference":
    case "order":
    case "priority":
      node.pref = numberWord(words.next(), "preference value is invalid\n");
      return;
    case "protocol": {
      const value = words.next();
      node.protocol = { value: value.text, span: value.span };
      return;
    }
    case "realms":
      run.leaveOut(word, words.next());
      return;
    case "table":
    case "lookup": {
      const value = words.next();
      const table = tableWord(value, run.network.tables, "invalid table ID\n");
      draft.table = table.value;
      node.action = { kind: "lookup", table: { value: tableText(table.value), span: value.span }, span: value.span };
      return;
    }
    case "suppress_prefixlength":
    case "sup_pl":
      node.suppressPrefixLength = numberWord(words.next(), "suppress_prefixlength value is invalid\n");
      return;
    case "suppress_ifgroup":
    case "sup_group":
      node.suppressIfGroup = groupWord(words.next(), 'Invalid "suppress_ifgroup" value\n');
      return;
    case "goto": {
      const target = numberWord(words.next(), "invalid target\n");
      node.action = { kind: "goto", target, span: target.span };
      return;
    }
    case "nop":
      node.action = { kind: "nop", span: word.span };
      return;
    case "type":
    case null:
      setActionOfType(node, keyword === null ? word : words.next());
      return;
    default:
      throw new Unsupported(`\`${keyword}\` of \`ip rule\``, word.span);
  }
}

/** rtnl_rtntype_a2n, of which rules know three; `unicast` is a look-up. */
function setActionOfType(node: Draft["node"], word: Word): void {
  const kind = (["blackhole", "unreachable", "prohibit"] as const).find((type) => type === word.text);
  if (kind) node.action = { kind, span: word.span };
  else if (["broadcast", "brd", "anycast", "multicast", "throw"].includes(word.text))
    throw new Unsupported(`rules of type \`${word.text}\``, word.span);
  // The number of this type is that of the action goto.
  else if (word.text === "local") throw new Refused("Error: Missing goto target for action goto.", word.span);
  else if (word.text !== "unicast")
    throw new Refused(`Error: argument "${word.text}" is wrong: Failed to parse rule type`, word.span);
}

// ---- add, del -----------------------------------------------------------------------------------------------------

function add(run: Run, draft: Draft): void {
  const { node } = draft;
  if (node.action === undefined && !node.l3mdev) setMain(draft, run);
  const family = familyOfRule(run, node);
  const entry = entryOf(run, draft, family, node.pref ?? automatic(run, family));
  checkRule(entry);
  checkGoto(entry);
  addRule(run.ns, entry);
  run.touch(entry);
}

/** A rule that names no action looks up main. */
function setMain(draft: Draft, { span }: Run): void {
  draft.table = RT_TABLE_MAIN;
  draft.node.action = { kind: "lookup", table: { value: "main", span }, span };
}

function remove(run: Run, draft: Draft): void {
  const { node } = draft;
  const family = familyOfRule(run, node);
  const entry = entryOf(run, draft, family, node.pref ?? automatic(run, family));
  checkGoto(entry);
  deleteRule(run.ns, entry, node.pref !== undefined);
}

const automatic = (run: Run, family: Family): Spanned<number> => ({
  value: automaticPref(run.ns.rules[family]),
  span: run.span,
});

function entryOf(run: Run, { node, table }: Draft, family: Family, pref: Spanned<number>): RuleEntry {
  const told = node.from ?? node.to;
  // A bare `l3mdev` rule would be read as one for both families.
  const needsFamily = told === undefined && (family === 6 || node.l3mdev !== undefined);
  const tableId = node.action?.kind === "lookup" ? table : 0;
  return new RuleEntry(
    family,
    pref.value,
    {
      ...node,
      kind: "rule",
      span: run.span,
      pref,
      ...(needsFamily ? { family: { value: family, span: run.span } } : {}),
    },
    tableId,
  );
}

function familyOfRule(run: Run, node: Draft["node"]): Family {
  const told = node.from ?? node.to;
  return told ? familyOf(told.value.address) : (run.family ?? 4);
}
