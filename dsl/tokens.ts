/**
 * From text to tokens.
 *
 *   Separator     ";" or the end of a line
 *   "{" "}" "="
 *   Value         a word or a quoted string: what names, numbers and addresses are written as
 *   ├ Word        [^\s{};="]+ not beginning with "#"; "\" before the end of a line continues the line instead
 *   │ ├ Integer     1000, 0x1f
 *   │ ├ Preference  1000:       as `ip rule show` begins its lines
 *   │ └ KEYWORDS    via, dev, ...
 *   ├ String      "..." with \" \\ \n \t
 *   └ Unclosed    "... to the end of the line
 *   comment       "#" to the end of the line, kept aside
 *
 * Keywords are contextual: the lexer knows words only, and a word that is spelt like a keyword gets a token type of its
 * own *below* Word. So the grammar may ask for the keyword or take the word as a name, and a VRF may be called `vrf`.
 *
 * After the lexer, `arrange` makes the stream easy to parse: every statement ends in exactly one Separator, written or
 * not (as Go inserts semicolons), `nexthop via ...` lines are joined to the route above them as `ip route show` prints
 * them, and braces are balanced. What it had to invent or drop for that is listed for the diagnostics.
 */
import type { IToken, TokenType } from "chevrotain";
import { createToken, Lexer } from "./chevrotain.ts";

export const Separator = createToken({ name: "Separator", pattern: /[;\n]/, line_breaks: true });
export const LBrace = createToken({ name: "LBrace", pattern: "{", label: "`{`" });
export const RBrace = createToken({ name: "RBrace", pattern: "}", label: "`}`" });
export const Equals = createToken({ name: "Equals", pattern: "=", label: "`=`" });
export const Value = createToken({ name: "Value", pattern: Lexer.NA });
export const StringLiteral = createToken({
  name: "StringLiteral",
  pattern: /"(?:[^"\\\n]|\\[^\n])*"/,
  categories: [Value],
});
export const Unclosed = createToken({ name: "Unclosed", pattern: /"[^\n]*/, categories: [Value] });
/** No blank, brace, `;`, `=` or quote; `#` not in front; `\` not before the end of the line. */
const WORD = /(?:[^\s{};="#\\]|\\(?![^\S\n]*\n))(?:[^\s{};="\\]|\\(?![^\S\n]*\n))*/;
const Word = createToken({ name: "Word", pattern: WORD, categories: [Value] });
export const Integer = createToken({ name: "Integer", pattern: Lexer.NA, categories: [Word] });
export const Preference = createToken({ name: "Preference", pattern: Lexer.NA, categories: [Word] });
const Comment = createToken({ name: "Comment", pattern: /#[^\n]*/, group: "comments" });
const Blank = createToken({ name: "Blank", pattern: /[^\S\n]+/, group: Lexer.SKIPPED });
const Continuation = createToken({
  name: "Continuation",
  pattern: /\\[^\S\n]*\n/,
  line_breaks: true,
  group: Lexer.SKIPPED,
});

const spellings = new Map<string, TokenType>();
const synonyms = new Map<TokenType, readonly string[]>();

/** A keyword: the spelling that messages and the printer use, then its synonyms. */
function keyword(name: string, spelling: string, ...others: readonly string[]): TokenType {
  const type = createToken({ name, pattern: Lexer.NA, label: spelling, categories: [Word] });
  const all = [spelling, ...others];
  for (const text of all) spellings.set(text, type);
  synonyms.set(type, all);
  return type;
}

/** Token names are the keys of CST nodes. */
export const K = {
  // What begins a statement.
  Kernel: keyword("Kernel", "kernel"),
  Namespace: keyword("Namespace", "namespace"),
  Test: keyword("Test", "test"),
  Sysctl: keyword("Sysctl", "sysctl"),
  Vrf: keyword("Vrf", "vrf"),
  Interface: keyword("Interface", "interface"),
  Table: keyword("Table", "table"),
  Route: keyword("Route", "route"),
  Routes: keyword("Routes", "routes"),
  No: keyword("No", "no"),
  Rule: keyword("Rule", "rule"),
  Neighbour: keyword("Neighbour", "neighbour", "neighbor", "neigh"),
  Nexthop: keyword("Nexthop", "nexthop"),
  In: keyword("In", "in"),
  Ping: keyword("Ping", "ping"),
  Listen: keyword("Listen", "listen"),
  Connect: keyword("Connect", "connect"),
  // Nftables' words, whose blocks dsl/nft/ reads. `table FAMILY NAME {` is told from a routing table by its two words.
  Chain: keyword("Chain", "chain"),
  Program: keyword("Program", "program"),
  Set: keyword("Set", "set"),
  Map: keyword("Map", "map"),
  Counter: keyword("Counter", "counter"),
  Limit: keyword("Limit", "limit"),
  FilterTable: createToken({ name: "FilterTable", pattern: Lexer.NA, label: "table", categories: [Word] }),
  // Properties of devices.
  Type: keyword("Type", "type"),
  Master: keyword("Master", "master"),
  Peer: keyword("Peer", "peer"),
  Address: keyword("Address", "address"),
  Lladdr: keyword("Lladdr", "lladdr"),
  Mtu: keyword("Mtu", "mtu"),
  Group: keyword("Group", "group"),
  Qdisc: keyword("Qdisc", "qdisc"),
  Index: keyword("Index", "index"),
  Up: keyword("Up", "up"),
  Down: keyword("Down", "down"),
  Noprefixroute: keyword("Noprefixroute", "noprefixroute"),
  // Routes and nexthops.
  Inet: keyword("Inet", "inet"),
  Inet6: keyword("Inet6", "inet6"),
  Unicast: keyword("Unicast", "unicast"),
  Local: keyword("Local", "local"),
  Broadcast: keyword("Broadcast", "broadcast"),
  Anycast: keyword("Anycast", "anycast"),
  Multicast: keyword("Multicast", "multicast"),
  Blackhole: keyword("Blackhole", "blackhole"),
  Unreachable: keyword("Unreachable", "unreachable"),
  Prohibit: keyword("Prohibit", "prohibit"),
  Throw: keyword("Throw", "throw"),
  To: keyword("To", "to"),
  Via: keyword("Via", "via"),
  Dev: keyword("Dev", "dev"),
  Src: keyword("Src", "src"),
  Metric: keyword("Metric", "metric"),
  Priority: keyword("Priority", "priority", "preference"),
  Pref: keyword("Pref", "pref"),
  Tos: keyword("Tos", "tos", "dsfield"),
  Scope: keyword("Scope", "scope"),
  Proto: keyword("Proto", "proto", "protocol"),
  Nhid: keyword("Nhid", "nhid"),
  Onlink: keyword("Onlink", "onlink"),
  Append: keyword("Append", "append"),
  Weight: keyword("Weight", "weight"),
  Id: keyword("Id", "id"),
  // Rules.
  Order: keyword("Order", "order"),
  Not: keyword("Not", "not"),
  From: keyword("From", "from"),
  Iif: keyword("Iif", "iif"),
  Oif: keyword("Oif", "oif"),
  Fwmark: keyword("Fwmark", "fwmark"),
  Ipproto: keyword("Ipproto", "ipproto"),
  Sport: keyword("Sport", "sport"),
  Dport: keyword("Dport", "dport"),
  Uidrange: keyword("Uidrange", "uidrange"),
  L3mdev: keyword("L3mdev", "l3mdev"),
  Lookup: keyword("Lookup", "lookup"),
  L3mdevTable: keyword("L3mdevTable", "[l3mdev-table]"),
  Goto: keyword("Goto", "goto"),
  Nop: keyword("Nop", "nop"),
  SuppressPrefixlength: keyword("SuppressPrefixlength", "suppress_prefixlength", "sup_pl"),
  SuppressIfgroup: keyword("SuppressIfgroup", "suppress_ifgroup", "sup_group"),
  // Pings, listeners and connections.
  Tcp: keyword("Tcp", "tcp"),
  Udp: keyword("Udp", "udp"),
  BindOption: keyword("BindOption", "-I"),
  TtlOption: keyword("TtlOption", "-t"),
  MarkOption: keyword("MarkOption", "-m"),
  CountOption: keyword("CountOption", "-c", "-W", "-w", "-i"),
  Expect: keyword("Expect", "expect"),
  Reply: keyword("Reply", "reply"),
  Exceeded: keyword("Exceeded", "exceeded"),
  Error: keyword("Error", "error"),
  Nothing: keyword("Nothing", "nothing"),
  Connected: keyword("Connected", "connected"),
  Refused: keyword("Refused", "refused"),
  Timeout: keyword("Timeout", "timeout"),
  Drop: keyword("Drop", "drop"),
  By: keyword("By", "by"),
  Ttl: keyword("Ttl", "ttl"),
  Net: keyword("Net", "net"),
  Host: keyword("Host", "host"),
  Prohibited: keyword("Prohibited", "prohibited"),
  // What `ip` shows of the state of things: accepted where it stands, and left out with a note.
  StateMark: keyword(
    "StateMark",
    ...(["linkdown", "dead", "pervasive", "offload", "trap", "rt_offload", "rt_trap", "unresolved"] as const),
    ...(["[detached]", "[unresolved]", "REACHABLE", "STALE", "DELAY", "PROBE", "PERMANENT", "NOARP"] as const),
  ),
} as const;

/** Every spelling of a keyword, the one that messages use first. */
export const spellingsOf = (type: TokenType): readonly string[] => synonyms.get(type) ?? [];

/** The keyword that a word is spelt like. */
export const keywordOf = (word: string): TokenType | undefined => spellings.get(word);

const lexed = [Blank, Separator, Comment, LBrace, RBrace, Equals, Continuation, Word, StringLiteral, Unclosed];
export const vocabulary: TokenType[] = [...lexed, Value, Integer, Preference, ...Object.values(K)];

const lexer = new Lexer(lexed, { positionTracking: "onlyOffset", skipValidations: true });

/** What a token carries beside its text: its place in `Tokens.all`, and which statement it belongs to. */
export interface Place {
  readonly index: number;
  readonly statement: number;
}
export const placeOf = (token: IToken): Place => token.payload as Place;
export const startOf = (token: IToken): number => token.startOffset;
/** Exclusive, as in `Span`. */
export const endOf = (token: IToken): number => token.startOffset + token.image.length;

export interface Tokens {
  readonly text: string;
  readonly all: readonly IToken[];
  readonly comments: readonly IToken[];
  /** `{` that nothing closes, and `}` that close nothing. */
  readonly unclosed: readonly IToken[];
  readonly stray: readonly IToken[];
}

/** Never fails: every character belongs to some token. */
export function tokenize(text: string): Tokens {
  const { tokens, groups } = lexer.tokenize(text);
  for (const token of tokens) {
    token.endOffset = endOf(token) - 1; // which CST locations are made of, and the lexer leaves out
    if (token.tokenType === Word) retype(token, wordType(token.image));
  }
  for (const [i, token] of tokens.entries())
    if (token.tokenType === K.Table && namesFilterTable(tokens, i)) retype(token, K.FilterTable);
  return { text, comments: groups.comments, ...arrange(tokens, text.length) };
}

/** `table inet NAME {`. */
const namesFilterTable = (tokens: readonly IToken[], i: number): boolean =>
  FAMILIES.has(tokens[i + 1]?.image) && tokens[i + 2]?.tokenType !== LBrace && tokens[i + 3]?.tokenType === LBrace;
/** Families of nftables, also those that are not supported: saying so is better than a misunderstanding. */
const FAMILIES: ReadonlySet<string> = new Set(["ip", "ip6", "inet", "netdev", "arp", "bridge"]);

function wordType(word: string): TokenType {
  const type = spellings.get(word);
  if (type !== undefined) return type;
  if (/^(\d+|0x[0-9a-fA-F]+)$/.test(word)) return Integer;
  return /^\d+:$/.test(word) ? Preference : Word;
}

function retype(token: IToken, type: TokenType): void {
  token.tokenType = type;
  token.tokenTypeIdx = type.tokenTypeIdx!;
}

function arrange(tokens: readonly IToken[], end: number): Pick<Tokens, "all" | "unclosed" | "stray"> {
  const all: IToken[] = [];
  const open: IToken[] = [];
  const stray: IToken[] = [];
  let statement = 0;
  /** First token of the statement that `all` ends in the middle of. */
  let first: IToken | undefined;
  const push = (token: IToken) => {
    const place: Place = { index: all.length, statement };
    token.payload = place;
    all.push(token);
    if (token.tokenType === Separator || token.tokenType === LBrace || token.tokenType === RBrace) {
      statement++;
      first = undefined;
    } else {
      first ??= token;
    }
  };
  const finish = (offset: number) => {
    if (first !== undefined) push(invented(Separator, offset));
  };
  const close = (brace: IToken) => {
    finish(startOf(brace));
    push(brace);
    push(invented(Separator, endOf(brace)));
  };

  for (const [i, token] of tokens.entries()) {
    const type = token.tokenType;
    if (type === Separator) {
      if (first !== undefined && !(first.tokenType === K.Route && continuesRoute(tokens, i))) push(token);
    } else if (type === LBrace) {
      open.push(token);
      push(token);
    } else if (type === RBrace) {
      if (open.pop() === undefined) stray.push(token);
      else close(token);
    } else {
      push(token);
    }
  }
  for (const _ of open) close(invented(RBrace, end));
  finish(end);
  return { all, unclosed: open, stray };
}

/** The line after the one that ends at `tokens[i]` is `nexthop via ...`: a nexthop *object* has a number there. */
function continuesRoute(tokens: readonly IToken[], i: number): boolean {
  let next = i;
  while (tokens[next]?.tokenType === Separator && tokens[next].image === "\n") next++;
  const after = tokens[next + 1]?.tokenType;
  return tokens[next]?.tokenType === K.Nexthop && (after === K.Via || after === K.Dev);
}

/** A token of no width, for what the text leaves out. */
function invented(type: TokenType, startOffset: number): IToken {
  return { image: "", startOffset, endOffset: startOffset, tokenType: type, tokenTypeIdx: type.tokenTypeIdx! };
}

/** Can stand in the text as it is, without quotes. */
export const isBareWord = (text: string): boolean => BARE_WORD.test(text);
const BARE_WORD = new RegExp(`^${WORD.source}$`);

export function quote(text: string): string {
  const escaped = text.replace(/["\\\n\t]/g, (c) => (c === "\n" ? "\\n" : c === "\t" ? "\\t" : `\\${c}`));
  return `"${escaped}"`;
}

/** What a Value token says: a string without its quotes and escapes, a word as it is. */
export function textOf(token: IToken): string {
  if (token.tokenType === StringLiteral) {
    const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", '"': '"', "\\": "\\" };
    return token.image.slice(1, -1).replace(/\\(.)/gs, (whole, c: string) => escapes[c] ?? whole);
  }
  return token.tokenType === Unclosed ? token.image.slice(1) : token.image;
}
