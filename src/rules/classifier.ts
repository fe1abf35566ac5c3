/**
 * Which rules of a long list may a flow match? Each field of the flow is looked up by itself, in a table of prefixes; what it finds is
 * a class, the rules that the field fits; a rule is a candidate when every field has it. Bit vectors with a summary (T. V. Lakshman,
 * D. Stiliadis, "High-Speed Policy-based Packet Forwarding Using Efficient Multi-dimensional Range Matching", 1998; F. Baboescu,
 * G. Varghese, "Scalable Packet Classification", 2001).
 *
 *     rules                                    dimension from                              dimension iif
 *     0: from 10.0.0.0/8                       10.0.0.0/8   -> class { 0 }                 4 -> class { 1, 2 }
 *     1: from 10.1.0.0/16 iif 4                10.1.0.0/16  -> class { 0, 1 }              wild: { 0, 3 }
 *     2: iif 4                                 wild: { 2, 3 }
 *     3: (all)
 *
 *     a flow from 10.1.2.3, iif 5: ({ 0, 1 } or { 2, 3 }) and ({ } or { 0, 3 }) = { 0, 3 }
 *
 * `wild` are the rules that do not ask for the field, kept apart so that classes are small: what a list takes in memory grows with its
 * rules, not with rules times classes, unless prefixes and ranges overlap all the time.
 *
 * A candidate need not match: `not`, selectors that few rules have, marks under unusual masks are left out here, and the rule
 * says (`tested`) that its selectors are to be tested one by one. A rule that is no candidate never matches.
 */
import type { Range } from "../../dsl/ast.ts";
import { deviceOf, type KernelProfile, type Net, type Rule } from "../../dsl/model.ts";
import { RULE_DIMENSIONS } from "../../runtime/abi/rules.ts";
import { compareIp, inPrefix, lastAddress, type Prefix } from "../../runtime/net/ip.ts";

/** A field of the flow, as rules ask for it. `iif domain`: the VRF in whose domain the flow is (6.15). */
export type DimensionKind =
  | "iif"
  | "oif"
  | "iif domain"
  | "oif domain"
  | "fwmark"
  | "uidrange"
  | "from"
  | "to"
  | "tos"
  | "ipproto"
  | "sport"
  | "dport";

export interface Dimension {
  readonly kind: DimensionKind;
  /** Bits of the mark that count; of other fields all. */
  readonly mask: number;
  /** Fields of 32 bits, or addresses: the longest prefix that holds a value decides. Rules are places in the list, ascending. */
  readonly classes: readonly { readonly prefix: Prefix; readonly rules: readonly number[] }[];
  readonly wild: readonly number[];
}

export interface Classifier {
  readonly dimensions: readonly Dimension[];
  /** By place in the list: a candidate's selectors are to be tested. */
  readonly tested: readonly boolean[];
}

/** A dimension that fewer rules ask for does not pay. */
const FEWEST_RULES = 4;

/** @param rules of one family, in the order in which they are tried */
export function buildClassifier(net: Net, kernel: KernelProfile, rules: readonly Rule[]): Classifier {
  const asks = rules.map((rule) => (rule.not ? [] : asksOf(net, kernel, rule)));
  const users = new Map<string, number>();
  for (const { key } of asks.flat()) users.set(key, (users.get(key) ?? 0) + 1);
  const keys = [...users]
    .filter(([, count]) => count >= FEWEST_RULES)
    .sort(([, a], [, b]) => b - a)
    .slice(0, RULE_DIMENSIONS)
    .map(([key]) => key);
  const known = new Set(keys);
  return {
    dimensions: keys.map((key) => dimensionOf(asks.map((own) => own.find((ask) => ask.key === key) ?? null))),
    tested: rules.map((rule, i) => rule.not || rule.l3mdev || asks[i].some(({ key }) => !known.has(key))),
  };
}

/** What one rule asks of one field: that it is in one of the prefixes. */
interface Ask {
  readonly key: string;
  readonly kind: DimensionKind;
  readonly mask: number;
  readonly prefixes: readonly Prefix[];
}

function asksOf(net: Net, kernel: KernelProfile, rule: Rule): Ask[] {
  const asks: Ask[] = [];
  const ask = (kind: DimensionKind, prefixes: readonly Prefix[], mask = 0): void => {
    asks.push({ key: `${kind} ${mask}`, kind, mask, prefixes });
  };
  for (const kind of ["iif", "oif"] as const) {
    const device = rule[kind];
    if (device !== null)
      ask(isDomain(net, kernel, device.ifindex) ? `${kind} domain` : kind, exactly(device.ifindex >>> 0));
  }
  if (rule.fwmark !== null) {
    const { mark, mask } = rule.fwmark;
    ask("fwmark", exactly((mark & mask) >>> 0), mask);
  }
  for (const kind of ["from", "to"] as const) {
    const prefix = rule[kind];
    if (prefix !== null && prefix.length > 0) ask(kind, [prefix]);
  }
  for (const kind of ["tos", "ipproto"] as const) if (rule[kind] !== 0) ask(kind, exactly(rule[kind]));
  for (const kind of ["uidrange", "sport", "dport"] as const) {
    const range = rule[kind];
    if (range !== null) ask(kind, prefixesOf(range));
  }
  return asks;
}

/** `iif_is_l3_master`, `oif_is_l3_master` of a rule, which 6.15 knows: a VRF stands for its whole domain. */
export const isDomain = (net: Net, kernel: KernelProfile, ifindex: number): boolean =>
  kernel === "6.15" && deviceOf(net, ifindex)?.kind === "vrf";

const exactly = (value: number): Prefix[] => [{ address: value, length: 32 }];

/** The fewest prefixes of 32 bits that make up a range: 1 to 6 are 1/32, 2/31, 4/31, 6/32. */
function prefixesOf({ first, last }: Range): Prefix[] {
  const prefixes: Prefix[] = [];
  for (let address = first; address <= last; ) {
    let length = address === 0 ? 0 : Math.clz32(address & -address) + 1;
    while ((lastAddress({ address, length }) as number) > last) length++;
    prefixes.push({ address, length });
    address += 2 ** (32 - length);
  }
  return prefixes;
}

/** @param asks by place in the list; null: the rule takes any value */
function dimensionOf(asks: readonly (Ask | null)[]): Dimension {
  const own = new Map<string, { prefix: Prefix; rules: number[] }>();
  for (const [rule, ask] of asks.entries())
    for (const prefix of ask?.prefixes ?? []) {
      const key = `${prefix.address}/${prefix.length}`;
      const found = own.get(key) ?? { prefix, rules: [] };
      found.rules.push(rule);
      own.set(key, found);
    }
  const { kind, mask } = asks.find((ask) => ask !== null)!;
  const wild = [...asks.keys()].filter((rule) => asks[rule] === null);
  return { kind, mask, classes: withCovers([...own.values()]), wild };
}

/** A class has the rules of the prefixes around its own too. */
function withCovers(classes: readonly { prefix: Prefix; rules: readonly number[] }[]): Dimension["classes"] {
  // Shorter prefixes before those that they contain.
  const sorted = classes.toSorted(
    (a, b) => compareIp(a.prefix.address, b.prefix.address) || a.prefix.length - b.prefix.length,
  );
  const open: { prefix: Prefix; rules: readonly number[] }[] = [];
  return sorted.map(({ prefix, rules }) => {
    while (open.length > 0 && !inPrefix(open.at(-1)!.prefix, prefix.address)) open.pop();
    const around = open.at(-1)?.rules ?? [];
    const all = { prefix, rules: around.length === 0 ? rules : [...around, ...rules].sort((a, b) => a - b) };
    open.push(all);
    return all;
  });
}
