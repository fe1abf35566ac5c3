/**
 * The words of nftables' language, as scanner.l of nft has them as far as chains need it.
 *
 *   Separator  ";" or the end of a line          { } ( ) , : = ! == != < <= > >= << >> & | ^ . - /
 *   Raw        @th,16,16                          Reference  @name
 *   Value      a word or a quoted string
 *   ├ Word       letters, digits, `_ . / * - + %`; IPv6 and Ethernet addresses with their colons
 *   │ └ KEYWORDS contextual, as in the rest of the language
 *   └ String     "..."
 *
 * `.`, `-` and `/` are tokens when they stand alone, so that 10.0.0.0/8, 1000-2000 and time-exceeded are words.
 */
import type { IToken, TokenType } from "chevrotain";
import { createToken, Lexer } from "../chevrotain.ts";

export const Separator = createToken({ name: "Separator", pattern: /[;\n]/, line_breaks: true, label: "`;`" });
const punctuation = (name: string, pattern: string | RegExp, label = `\`${String(pattern)}\``): TokenType =>
  createToken({ name, pattern, label });
export const P = {
  LBrace: punctuation("LBrace", "{"),
  RBrace: punctuation("RBrace", "}"),
  LParen: punctuation("LParen", "("),
  RParen: punctuation("RParen", ")"),
  Comma: punctuation("Comma", ","),
  Equal: punctuation("Equal", "=="),
  NotEqual: punctuation("NotEqual", "!="),
  Not: punctuation("Not", "!"),
  ShiftLeft: punctuation("ShiftLeft", "<<"),
  ShiftRight: punctuation("ShiftRight", ">>"),
  LessEqual: punctuation("LessEqual", "<="),
  GreaterEqual: punctuation("GreaterEqual", ">="),
  Less: punctuation("Less", "<"),
  Greater: punctuation("Greater", ">"),
  Equals: punctuation("Equals", "="),
  And: punctuation("And", "&"),
  Or: punctuation("Or", "|"),
  Xor: punctuation("Xor", "^"),
  Dot: punctuation("Dot", /\.(?=[\s{])/, "`.`"),
  Dash: punctuation("Dash", /-(?=[\s"])/, "`-`"),
  Slash: punctuation("Slash", /\/(?=\s)/, "`/`"),
} as const;
export const Colon = createToken({ name: "Colon", pattern: ":", label: "`:`" });
export const Raw = createToken({ name: "Raw", pattern: /@(?:ll|nh|th|ih),\d+,\d+/, label: "`@th,16,16`" });
export const Reference = createToken({ name: "Reference", pattern: /@[A-Za-z_][\w.\\/-]*/, label: "`@name`" });
export const Variable = createToken({ name: "Variable", pattern: /\$[A-Za-z_][\w.\\/-]*/, label: "`$name`" });
export const Value = createToken({ name: "Value", pattern: Lexer.NA, label: "a value" });
export const StringLiteral = createToken({ name: "StringLiteral", pattern: /"[^"\n]*"/, categories: [Value] });
const Unclosed = createToken({ name: "Unclosed", pattern: /"[^\n]*/, categories: [Value] });
/** Two colons or more are an address, `80 : accept` has one. */
const COLONS = "(?:[0-9a-fA-F]{0,4}:){2,8}[0-9a-fA-F.]*";
/** `1:2`, a class of traffic control, unless it goes on as another word does (`22:drop`). */
const CLASS = "[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,4}(?![\\w.:/*%~+])";
const WORD = new RegExp(`${COLONS}(?:/\\d+)?(?:-${COLONS})?|${CLASS}(?:-${CLASS})?|[\\w./*%~+-]+`);
const Word = createToken({ name: "Word", pattern: WORD, categories: [Value] });
const Comment = createToken({ name: "Comment", pattern: /#[^\n]*/, group: "comments" });
const Blank = createToken({
  name: "Blank",
  pattern: /(?:[^\S\n]|\\[^\S\n]*\n)+/,
  line_breaks: true,
  group: Lexer.SKIPPED,
});
/** Whatever else a text may hold. */
const Unknown = createToken({ name: "Unknown", pattern: /[\s\S]/, line_breaks: true });

const keywords = new Map<string, TokenType>();
/** A word below another type; a keyword is still a Word (and a Value) where the grammar wants one. */
function keyword(spelling: string, above: TokenType): TokenType {
  const type = createToken({ name: `K_${spelling}`, pattern: Lexer.NA, label: `\`${spelling}\``, categories: [above] });
  keywords.set(spelling, type);
  return type;
}
const group = (name: string, label: string): TokenType =>
  createToken({ name, pattern: Lexer.NA, categories: [Word], label });

/** A count. */
export const Digits = group("Digits", "a number");
const BLANKS = "[^\\S\\n]";
/** What a rate with blanks around its `/` ends with: what is no unit of time makes it a mask, `tcp flags 2 / syn`. */
const PER = `/${BLANKS}*(?:second|minute|hour|day|week)(?![\\w./*%~+-])`;
const rateToken = (name: string, amount: string, label: string): TokenType =>
  createToken({ name, pattern: new RegExp(amount + PER), label, categories: [Word] });
/** `10/second`, `10 / second` */
export const PacketRate = rateToken("PacketRate", `\\d+${BLANKS}*`, "`10/second`");
/** `mbytes/second`, `mbytes / second` */
export const ByteRate = rateToken("ByteRate", `[km]?bytes(?=/\\w|${BLANKS})${BLANKS}*`, "`mbytes/second`");
/** Begins `PROTOCOL FIELD`. */
export const Protocol = group("Protocol", "a protocol");
/** A meta key that may stand without `meta`. */
export const MetaWord = group("MetaWord", "a meta key");
/** A verdict that is a word alone. */
export const Verdict = group("Verdict", "a verdict");
/** `jump` and `goto`. */
export const Jump = group("Jump", "`jump` or `goto`");

for (const word of ["ether", "vlan", "arp", "ip", "ip6", "icmp", "icmpv6", "tcp", "udp", "udplite", "sctp", "dccp"])
  keyword(word, Protocol);
for (const word of ["th", "ah", "esp", "comp", "hbh", "frag", "rt", "dst", "mh", "igmp", "exthdr"])
  keyword(word, Protocol);
for (const word of ["iif", "oif", "iifname", "oifname", "iiftype", "oiftype", "iifgroup", "oifgroup"])
  keyword(word, MetaWord);
for (const word of ["mark", "skuid", "skgid", "nftrace", "rtclassid", "cgroup", "pkttype", "cpu"])
  keyword(word, MetaWord);
for (const word of ["accept", "drop", "return", "continue", "PASS", "DROP", "TX", "ABORTED", "OK", "SHOT"])
  keyword(word, Verdict);
for (const word of ["jump", "goto"]) keyword(word, Jump);

/** `meta mark and 0xff`, as nft 0.9 and before print it. */
const OPERATOR_WORDS = { and: P.And, or: P.Or, xor: P.Xor, lshift: P.ShiftLeft, rshift: P.ShiftRight } as const;
for (const [word, operator] of Object.entries(OPERATOR_WORDS)) keywords.set(word, operator);

export const K = {
  Eq: keyword("eq", Word),
  Ne: keyword("ne", Word),
  Lt: keyword("lt", Word),
  Le: keyword("le", Word),
  Gt: keyword("gt", Word),
  Ge: keyword("ge", Word),
  Meta: keyword("meta", Word),
  Fib: keyword("fib", Word),
  Ct: keyword("ct", Word),
  Set: keyword("set", Word),
  Map: keyword("map", Word),
  Vmap: keyword("vmap", Word),
  Option: keyword("option", Word),
  Exists: keyword("exists", Word),
  Missing: keyword("missing", Word),
  Counter: keyword("counter", Word),
  Name: keyword("name", Word),
  Packets: keyword("packets", Word),
  Bytes: keyword("bytes", Word),
  Limit: keyword("limit", Word),
  Rate: keyword("rate", Word),
  Over: keyword("over", Word),
  Burst: keyword("burst", Word),
  Log: keyword("log", Word),
  Prefix: keyword("prefix", Word),
  Level: keyword("level", Word),
  Group: keyword("group", Word),
  Snaplen: keyword("snaplen", Word),
  QueueThreshold: keyword("queue-threshold", Word),
  Reject: keyword("reject", Word),
  With: keyword("with", Word),
  Dup: keyword("dup", Word),
  Fwd: keyword("fwd", Word),
  Redirect: keyword("REDIRECT", Word),
  RedirectWord: keyword("redirect", Word),
  To: keyword("to", Word),
  Comment: keyword("comment", Word),
  Type: keyword("type", Word),
  Typeof: keyword("typeof", Word),
  Hook: keyword("hook", Word),
  Device: keyword("device", Word),
  Devices: keyword("devices", Word),
  Priority: keyword("priority", Word),
  Policy: keyword("policy", Word),
  Flags: keyword("flags", Word),
  Size: keyword("size", Word),
  Kind: keyword("kind", Word),
  Elements: keyword("elements", Word),
  AutoMerge: keyword("auto-merge", Word),
  On: keyword("on", Word),
} as const;

const STATEMENTS: readonly TokenType[] = [
  ...[K.Meta, K.Fib, K.Ct, K.Counter, K.Limit, K.Log, K.Reject, K.Dup, K.Fwd, K.Redirect, K.Comment],
];
/** Words that begin a match or a statement. */
export const BEGINNINGS: readonly string[] = [...keywords].flatMap(([word, type]) => {
  const begins = [Protocol, MetaWord, Verdict, Jump].some((above) => type.CATEGORIES?.includes(above));
  return begins || STATEMENTS.includes(type) ? [word] : [];
});

const lexed = [
  ...[Blank, Separator, Comment, StringLiteral, Unclosed, Raw, Reference, Variable],
  ...[P.Dot, P.Dash, P.Slash, PacketRate, ByteRate, Word, Colon],
  ...Object.values(P).filter((type) => type !== P.Dot && type !== P.Dash && type !== P.Slash),
  Unknown,
];
export const vocabulary: TokenType[] = [
  ...lexed,
  Value,
  Digits,
  Protocol,
  MetaWord,
  Verdict,
  Jump,
  ...keywords.values(),
];

const lexer = new Lexer(lexed, { positionTracking: "onlyOffset", skipValidations: true });

export type { IToken as NftToken } from "chevrotain";

export interface NftTokens {
  readonly text: string;
  readonly all: readonly IToken[];
  readonly comments: readonly IToken[];
}

/** The tokens of `text` from `start` to `end`, with offsets in the whole text. Never fails. */
export function tokenizeNft(text: string, start = 0, end: number = text.length): NftTokens {
  const { tokens, groups } = lexer.tokenize(text.slice(start, end));
  for (const [index, token] of tokens.entries()) {
    token.startOffset += start;
    token.payload = { index, statement: 0 };
    const type = token.tokenType === Word ? (keywords.get(token.image) ?? measure(token.image)) : undefined;
    if (type === undefined) continue;
    token.tokenType = type;
    token.tokenTypeIdx = type.tokenTypeIdx!;
  }
  for (const comment of groups.comments) comment.startOffset += start;
  return { text, all: tokens, comments: groups.comments };
}

function measure(word: string): TokenType | undefined {
  if (/^\d+$/.test(word)) return Digits;
  if (/^\d+\/[a-z]+$/.test(word)) return PacketRate;
  return /^[a-z]+\/[a-z]+$/.test(word) ? ByteRate : undefined;
}

/** Without the quotes of a string. */
export const wordOf = (token: IToken): string =>
  token.tokenType === StringLiteral ? token.image.slice(1, -1) : token.image.replace(/^"/, "");
export const isQuoted = (token: IToken): boolean => token.image.startsWith('"');
/** Is a bare word of the language, so that it needs no quotes. */
export const isNftWord = (text: string): boolean =>
  new RegExp(`^(?:${WORD.source})$`).test(text) && !Object.hasOwn(OPERATOR_WORDS, text);
