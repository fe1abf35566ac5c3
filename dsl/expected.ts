/** What could have stood somewhere, in words, read off the grammar. */
import type { IProduction, IToken, TokenType } from "chevrotain";
import { Alternation, NonTerminal, Terminal } from "./chevrotain.ts";
import { firstOf, partsOf } from "./lookahead.ts";
import { sharedParser, type ValueLabel } from "./parser.ts";
import { K } from "./tokens.ts";

const VALUES: Readonly<Record<ValueLabel, string>> = {
  namespaceName: "the name of a namespace",
  deviceName: "a device name",
  vrfName: "the name of a VRF",
  tableName: "a table (a number, `main`, `local`, `default` or a VRF's name)",
  testName: 'a name in quotes (`test "name" { ... }`)',
  fileName: 'a file name in quotes (`routes from "rib.txt"`)',
  scopeName: "a scope (`global`, `site`, `link`, `host` or `nowhere`)",
  protocolName: "a routing protocol (`static`, `kernel`, `bgp`, ...)",
  kernelVersion: 'a kernel profile (`"5.4"`, `"6.1"` or `"6.15"`)',
  sysctlKey: "the name of a sysctl (`sysctl net.ipv4.ip_forward = 1`)",
  sysctlValue: "a value",
  deviceType: "a device type (`veth` or `dummy`)",
  qdiscName: "the name of a qdisc",
  mac: "a link-layer address (`02:00:00:00:00:01`)",
  interfaceAddress: "an address (`10.0.0.1/24`)",
  ipAddress: "an address",
  prefix: "a prefix (`10.0.0.0/8`)",
  routePrefix: "a prefix (`10.0.0.0/8`) or `default`",
  number: "a number",
  tos: "a TOS (`0x10`)",
  mark: "a mark (`0x1` or `0x1/0xff`)",
  range: "a range (`1000-2000`) or a number",
  ipProtocol: "an IP protocol (`tcp`, `udp`, `icmp`, ...)",
  nexthopGroup: "nexthop ids (`1/2,3`)",
  bindTarget: "a device name or a source address",
  filterName: "the name of a chain or program, or a rule's comment",
  errno: "the name of an error (`ENETUNREACH`)",
  shownValue: "a value",
  endpoint: "an address and a port (`10.0.0.1:80`, `[2001:db8::1]:80`)",
};

/** In rules that are not a list of attributes: what follows, by the keyword before it where there are several. */
const IN_RULES: Readonly<Record<string, ValueLabel | ReadonlyMap<TokenType, ValueLabel>>> = {
  kernel: "kernelVersion",
  namespace: "namespaceName",
  test: "testName",
  vrf: "vrfName",
  interface: "deviceName",
  table: "tableName",
  route: "routePrefix",
  neighbour: "ipAddress",
  nexthop: "number",
  gateway: "ipAddress",
  address: "interfaceAddress",
  peer: new Map([[K.Peer, "namespaceName"]]),
  sysctl: new Map([[K.Sysctl, "sysctlKey"]]),
  step: new Map([[K.In, "namespaceName"]]),
  ping: "ipAddress",
  listen: "endpoint",
  connect: "endpoint",
  expectation: new Map([
    [K.From, "ipAddress"],
    [K.By, "filterName"],
    [K.Rule, "number"],
    [K.In, "namespaceName"],
  ]),
};
const OTHERWISE: Readonly<Record<string, string>> = {
  peer: "a device name (`peer NAMESPACE DEVICE`)",
  sysctl: VALUES.sysctlValue,
  step: "`ping`, `listen` or `connect`",
  transport: "`tcp` or `udp`",
  rule: "`rule`",
  routes: '`from "FILE"`',
  expectation: "`reply`, `connected`, `refused`, `unreachable`, `exceeded`, `error`, `timeout` or `nothing`",
};

/** What the grammar wants in `rule` behind the token `previous`. */
export function expectedIn(rule: string, previous: IToken): string {
  if (rule === "routes" && previous.tokenType === K.From) return VALUES.fileName;
  const fixed = IN_RULES[rule];
  if (typeof fixed === "string") return VALUES[fixed];
  const label = fixed?.get(previous.tokenType) ?? attributeValue(rule, previous.tokenType);
  return label !== undefined ? VALUES[label] : (OTHERWISE[rule] ?? "more");
}

function attributeValue(rule: string, keyword: TokenType): ValueLabel | undefined {
  const alternatives = productionOf(rule)?.definition[0];
  if (!(alternatives instanceof Alternation)) return undefined;
  for (const alternative of alternatives.definition) {
    const [first, second] = partsOf(alternative);
    if (!(first instanceof Terminal) || first.terminalType !== keyword) continue;
    if (second instanceof Terminal) return second.label as ValueLabel;
    if (second instanceof NonTerminal && second.nonTerminalName === "gateway") return "ipAddress";
  }
  return undefined;
}

let productions: Readonly<Record<string, { readonly definition: IProduction[] } & IProduction>> | undefined;
/** chevrotain copies the list of its rules each time that it is asked. */
const productionOf = (rule: string) => {
  productions ??= sharedParser().getGAstProductions() as unknown as NonNullable<typeof productions>;
  return productions[rule];
};

/** The rules whose keywords a statement goes on with. */
const ATTRIBUTES: Readonly<Record<string, readonly string[]>> = {
  address: ["addressAttribute"],
  route: ["routeAttribute", "hop", "hopAttribute"],
  nexthop: ["nexthopAttribute"],
  neighbour: ["neighbourAttribute"],
  rule: ["ruleAttribute"],
  noRule: ["ruleAttribute"],
  ping: ["pingAttribute", "replyAttribute"],
  listen: ["listenAttribute"],
  connect: ["connectAttribute"],
};

/** Keywords that a statement of this rule can go on with. */
export const attributeKeywords = (rule: string): readonly TokenType[] => [
  ...new Set((ATTRIBUTES[rule] ?? []).flatMap(statementKeywords)),
];

/** Synonyms, what is only accepted because `ip` shows it, and what is kept for later, are not offered. */
const NOT_OFFERED: ReadonlySet<TokenType> = new Set([
  ...[K.Priority, K.Order, K.StateMark, K.Error, K.CountOption],
  ...[K.FilterTable, K.Chain, K.Program, K.Set, K.Map, K.Counter, K.Limit],
]);
export const isAdvertised = (type: TokenType): boolean => !NOT_OFFERED.has(type);

const firstKeywords = new Map<string, readonly TokenType[]>();

/** Keywords that `rule` (`item`, `property`, ...) can begin with. */
export function statementKeywords(rule: string): readonly TokenType[] {
  const known = firstKeywords.get(rule);
  if (known !== undefined) return known;
  const first = firstOf(productionOf(rule)).filter((type) => KEYWORDS.has(type));
  firstKeywords.set(rule, first);
  return first;
}
const KEYWORDS: ReadonlySet<TokenType> = new Set(Object.values(K));
