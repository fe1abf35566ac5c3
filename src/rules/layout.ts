/** A long rule list in the image: its rules as records, and its classifier's tables, as runtime/abi/rules.ts draws them. */
import type { KernelProfile, Net, Rule } from "../../dsl/model.ts";
import * as abi from "../../runtime/abi/rules.ts";
import { buildLpm } from "../../runtime/lpm/choose.ts";
import { type Family, type Ip, mask4, mask6, type Prefix } from "../../runtime/net/ip.ts";
import { Errno } from "../../runtime/verdict.ts";
import type { ImageWriter } from "../image-writer.ts";
import { buildClassifier, type Classifier, type Dimension, type DimensionKind, isDomain } from "./classifier.ts";

/** What the plan must know of a list: what its rules ask, not how many they are or for what. */
export interface RuleListLayout {
  /** The union of RuleSelector bits of all rules. */
  readonly selectors: number;
  readonly suppresses: boolean;
  readonly dimensions: readonly Pick<Dimension, "kind" | "mask">[];
  /** For the cost of a walk alone. */
  readonly rules: number;
}

/** Lists from this length on are data. By source prefix alone code is as fast up to a hundred rules (bench rules), by more fields less. */
export const LONG_LIST = 48;

/**
 * True when the list is one that can be data. A rule that inverts `l3mdev` asks for what the rules before it found on the way
 * (fib_lookup_arg.table), which nobody keeps here.
 */
export const isPlain = (rules: readonly Rule[]): boolean =>
  rules.every(({ action, not, l3mdev }) => action.kind !== "lookup" || action.table !== null || (l3mdev && !not));

export interface RuleListInput {
  readonly name: string;
  readonly net: Net;
  readonly kernel: KernelProfile;
  readonly family: Family;
  readonly rules: readonly Rule[];
  /** Offset of a TABLE; 0: it has no route. */
  readonly tableOf: (id: number) => number;
}

/** @returns where the RULE_LIST is */
export function layoutRuleList(image: ImageWriter, input: RuleListInput): { offset: number; layout: RuleListLayout } {
  const { name, net, kernel, family, rules } = input;
  const classifier = buildClassifier(net, kernel, rules);
  const offset = image.reserve(`${name} list`, abi.RULE_LIST_BYTES);
  const first = image.reserve(name, rules.length * abi.RULE_BYTES);
  const place = new Map<number, number>(rules.map(({ id }, i) => [id, first + i * abi.RULE_BYTES]));
  let selectors = 0;
  for (const [i, rule] of rules.entries()) {
    const own = selectorsOf(net, kernel, rule) | (classifier.tested[i] ? abi.RuleSelector.TEST : 0);
    selectors |= own;
    writeRule(image, first + i * abi.RULE_BYTES, rule, own, input.tableOf, (id) => place.get(id) ?? 0);
  }
  const pages = Math.ceil(rules.length / abi.RULES_OF_PAGE);
  image.words(offset, abi.RULE_LIST, { first, end: first + rules.length * abi.RULE_BYTES, count: rules.length, pages });
  layoutDimensions(image, name, offset + abi.RULE_LIST.dimensions, family, classifier, pages);
  const suppresses = rules.some((rule) => rule.suppressPrefixLength >= 0 || rule.suppressIfGroup !== -1);
  const dimensions = classifier.dimensions.map(({ kind, mask }) => ({ kind, mask }));
  return { offset, layout: { selectors, suppresses, dimensions, rules: rules.length } };
}

// ---- rules

function selectorsOf(net: Net, kernel: KernelProfile, rule: Rule): number {
  const bit = abi.RuleSelector;
  const set: readonly [boolean, number][] = [
    [rule.iif !== null, bit.iif],
    [rule.oif !== null, bit.oif],
    [rule.fwmark !== null, bit.fwmark],
    [rule.l3mdev, bit.l3mdev],
    [rule.uidrange !== null, bit.uidrange],
    [rule.from !== null && rule.from.length > 0, bit.from],
    [rule.to !== null && rule.to.length > 0, bit.to],
    [rule.tos !== 0, bit.tos],
    [rule.ipproto !== 0, bit.ipproto],
    [rule.sport !== null, bit.sport],
    [rule.dport !== null, bit.dport],
    [rule.not, bit.NOT],
    [rule.iif !== null && isDomain(net, kernel, rule.iif.ifindex), bit.IIF_DOMAIN],
    [rule.oif !== null && isDomain(net, kernel, rule.oif.ifindex), bit.OIF_DOMAIN],
  ];
  return set.reduce((bits, [isSet, value]) => (isSet ? bits | value : bits), 0);
}

function writeRule(
  image: ImageWriter,
  offset: number,
  rule: Rule,
  selectors: number,
  tableOf: (id: number) => number,
  ruleOf: (id: number) => number,
): void {
  const { iif, oif, fwmark, uidrange, sport, dport } = rule;
  image.words(offset, abi.RULE, {
    id: rule.id,
    selectors,
    iif: iif?.ifindex ?? 0,
    oif: oif?.ifindex ?? 0,
    mark: fwmark?.mark ?? 0,
    markMask: fwmark?.mask ?? 0,
    uidFirst: uidrange?.first ?? 0,
    uidLast: uidrange?.last ?? 0,
    tos: rule.tos,
    ipproto: rule.ipproto,
    sportFirst: sport?.first ?? 0,
    sportLast: sport?.last ?? 0,
    dportFirst: dport?.first ?? 0,
    dportLast: dport?.last ?? 0,
    suppress: rule.suppressPrefixLength + 1,
    ifgroup: rule.suppressIfGroup,
    ...actionOf(rule, tableOf, ruleOf),
  });
  writePrefix(image, offset, "from", rule.from);
  writePrefix(image, offset, "to", rule.to);
}

function actionOf(
  { action }: Rule,
  tableOf: (id: number) => number,
  ruleOf: (id: number) => number,
): { action: number; argument: number; table: number } {
  const code = abi.RuleActionCode;
  switch (action.kind) {
    case "lookup":
      return action.table === null
        ? { action: code.lookupVrf, argument: 0, table: 0 }
        : { action: code.lookup, argument: tableOf(action.table), table: action.table };
    case "goto":
      return { action: code.goto, argument: action.target === null ? 0 : ruleOf(action.target), table: 0 };
    case "nop":
      return { action: code.goto, argument: 0, table: 0 };
    case "unreachable":
      return { action: code.refuse, argument: Errno.ENETUNREACH, table: 0 };
    case "prohibit":
      return { action: code.refuse, argument: Errno.EACCES, table: 0 };
    case "blackhole":
      return { action: code.refuse, argument: Errno.EINVAL, table: 0 };
  }
}

function writePrefix(image: ImageWriter, rule: number, which: "from" | "to", prefix: Prefix | null): void {
  if (prefix === null) return;
  const { address, length } = prefix;
  writeAddress(image, rule + abi.RULE[which], address);
  writeAddress(image, rule + abi.RULE[`${which}Mask`], typeof address === "number" ? mask4(length) : mask6(length));
}

/** IPv4 in host order, as flows have it. */
function writeAddress(image: ImageWriter, offset: number, address: Ip): void {
  if (typeof address === "number") image.words(offset, { address: 0 }, { address });
  else image.address(offset, address);
}

// ---- the classifier

function layoutDimensions(
  image: ImageWriter,
  name: string,
  offset: number,
  family: Family,
  { dimensions }: Classifier,
  pages: number,
): void {
  for (const [d, { kind, classes, wild }] of dimensions.entries()) {
    const what = `${name} by ${kind}`;
    const wildAt = image.reserve(`${what}, those that do not ask`, pages * abi.RULE_PAGE_BYTES);
    for (let page = 0; page < pages; page++)
      writeWords(image, wildAt + page * abi.RULE_PAGE_BYTES, wordsOf(onPage(wild, page)), abi.WORDS_OF_PAGE);
    const classAt = layoutClasses(image, what, [[], ...classes.map(({ rules }) => rules)], pages);
    const entries = classes.map(({ prefix }, i) => ({ ...prefix, value: classAt[i + 1] }));
    const lpm = buildLpm(lpmFamily(kind, family), entries, "blocks");
    const lpmAt = image.reserve(`${what} ${lpm.kind}`, lpm.bytes.length);
    image.view(lpmAt, lpm.bytes.length, (bytes) => bytes.set(lpm.bytes));
    image.words(offset + d * abi.RULE_DIMENSION_BYTES, abi.RULE_DIMENSION, {
      lpm: lpmAt,
      none: classAt[0],
      wild: wildAt,
    });
  }
}

/** Which look-up finds a field's class: numbers are looked up as IPv4 addresses are. */
export const lpmFamily = (kind: DimensionKind, family: Family): Family =>
  kind === "from" || kind === "to" ? family : 4;

/** @returns the offset of each class; equal vectors are one */
function layoutClasses(
  image: ImageWriter,
  what: string,
  classes: readonly (readonly number[])[],
  pages: number,
): number[] {
  const first = image.reserve(`${what}, classes`, classes.length * pages * 4);
  const vectors = new Map<string, { readonly words: Words; users: number[] }>();
  for (const [c, rules] of classes.entries())
    for (let page = 0; page < pages; page++) {
      const own = onPage(rules, page);
      const key = own.join();
      const vector = vectors.get(key) ?? { words: wordsOf(own), users: [] };
      vector.users.push(first + (c * pages + page) * 4);
      vectors.set(key, vector);
    }
  const bytes = [...vectors.values()].reduce((sum, { words }) => sum + 8 + 8 * words.size, 0);
  let next = image.reserve(`${what}, vectors`, bytes);
  for (const { words, users } of vectors.values()) {
    writeWords(image, next, words, null);
    for (const user of users) image.words(user, { vector: 0 }, { vector: next });
    next += 8 + 8 * words.size;
  }
  return classes.map((_, c) => first + c * pages * 4);
}

/** Places on a page, from 0. */
const onPage = (rules: readonly number[], page: number): number[] =>
  rules.filter((rule) => Math.floor(rule / abi.RULES_OF_PAGE) === page).map((rule) => rule % abi.RULES_OF_PAGE);

/** Words that are not 0, by their place. */
type Words = ReadonlyMap<number, bigint>;

/** The first of 64 in the highest bit. */
const bitOf = (place: number): bigint => 1n << BigInt(63 - place);

function wordsOf(places: readonly number[]): Words {
  const words = new Map<number, bigint>();
  for (const place of places) {
    const word = Math.floor(place / abi.RULES_OF_WORD);
    words.set(word, (words.get(word) ?? 0n) | bitOf(place % abi.RULES_OF_WORD));
  }
  return words;
}

/** @param room of words that are there whatever they are; null: only those that are not 0, in their order */
function writeWords(image: ImageWriter, offset: number, words: Words, room: number | null): void {
  image.view(offset, 8 + 8 * (room ?? words.size), (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const summary = [...words.keys()].reduce((bits, place) => bits | bitOf(place), 0n);
    view.setBigUint64(0, summary, true);
    for (const [i, [place, word]] of [...words].sort(([a], [b]) => a - b).entries())
      view.setBigUint64(8 + 8 * (room === null ? i : place), word, true);
  });
}
