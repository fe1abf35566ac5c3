/** Elements of sets and maps: the keys and values that a text gives, in the order in which they stand in memory. */

import { formatIp, type Ip, prefixLength } from "../../../runtime/net/ip.ts";
import type { Element, Term } from "../../chain-ast.ts";
import type { Decision, KeyRange, SetElement, Value } from "../../chain-model.ts";
import type { Span } from "../../span.ts";
import { asValue, constant, isSingle, NO_SUCH_DEVICE } from "./constants.ts";
import type { Datatype } from "./datatypes.ts";
import { COUNTER } from "./datatypes.ts";
import type { RuleScope, TableScope } from "./scope.ts";
import { decision } from "./verdicts.ts";

export const typeWords = (types: readonly Datatype[]): string => types.map((t) => t.name).join(" . ");

/** Longest first; equal ones once. */
export function prefixes(rule: RuleScope, elements: readonly SetElement[], type: Datatype, span: Span): SetElement[] {
  const { report } = rule.table.draft;
  const byRange = new Map<string, SetElement>();
  for (const element of elements) {
    const [range] = element.key;
    const text = describe(range, type);
    const before = byRange.get(text);
    if (prefixLength(range, type.bits) === null)
      report.error("E0408", span, "an `lpm_trie` holds prefixes", { label: `${text} is none` });
    else if (before !== undefined && !sameValue(before, element))
      report.error("E0408", span, "a prefix stands twice, with different values", { label: text });
    byRange.set(text, element);
  }
  return [...byRange.values()].toSorted(bySpecificity);
}

/** Longest prefix first. */
const bySpecificity = (a: SetElement, b: SetElement): number => compareBig(width(a.key[0]), width(b.key[0]));
const width = ({ first, last }: KeyRange): bigint => BigInt(last) - BigInt(first);
const compareBig = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

export function elementsOf(
  rule: RuleScope,
  elements: readonly Element[],
  key: readonly Datatype[],
  value: Datatype | "verdict" | null,
): SetElement[] | null {
  const out: SetElement[] = [];
  let failed = false;
  for (const element of elements) {
    const keys = keysOf(rule.table, element.key, key);
    const given = keys && valueOfElement(rule, element, value);
    if (keys === null || given === undefined) failed = true;
    else for (const one of keys) out.push({ key: one, value: given as SetElement["value"] });
  }
  return failed ? null : out;
}

/** The keys that an element stands for: one, or several where a pattern names devices. */
function keysOf(scope: TableScope, term: Term, types: readonly Datatype[]): KeyRange[][] | null {
  if (isRest({ key: term })) return [types.map(allOf)];
  const parts = term.kind === "concat" ? term.parts : [term];
  if (parts.length !== types.length) {
    scope.draft.report.error(
      "E0408",
      term.span,
      `an element has ${types.length} part${types.length === 1 ? "" : "s"} here: ${typeWords(types)}`,
    );
    return null;
  }
  let keys: KeyRange[][] = [[]];
  for (const [i, part] of parts.entries()) {
    const type = types[i];
    if (part.kind === "word" && part.text === "*" && type.name !== "ifname") {
      keys = keys.map((key) => [...key, allOf(type)]);
      continue;
    }
    const value = constant(scope, part, type);
    if (value === null) return null;
    // No packet's device has a name that none has.
    const isAbsent = type.name === "ifname" && Number(value.first) === NO_SUCH_DEVICE;
    const devices = isAbsent ? [] : (value.devices ?? null);
    const ranges =
      devices === null
        ? [{ first: asValue(value.first, type.bits), last: asValue(value.last, type.bits) }]
        : devices.map((d) => ({ first: d, last: d }));
    keys = keys.flatMap((key) => ranges.map((range) => [...key, range]));
  }
  return keys;
}

/** Undefined after an error. */
function valueOfElement(
  rule: RuleScope,
  { key, value }: Element,
  type: Datatype | "verdict" | null,
): Value | Decision | null | undefined {
  const { report } = rule.table.draft;
  if (type === COUNTER) {
    if (value === undefined) return 0n;
    report.error("E0408", value.span, "a counter starts at 0: the key stands alone");
    return undefined;
  }
  if (value === undefined) {
    if (type === null) return null;
    report.error("E0408", key.span, "an element of a map has a value: KEY : VALUE");
    return undefined;
  }
  if (type === null) {
    report.error("E0408", value.span, "an element of a set has no value");
    return undefined;
  }
  if (type === "verdict") {
    if (value.kind === "verdict") return decision(rule, value) ?? undefined;
    report.error("E0408", value.span, "a verdict is needed here: `accept`, `drop`, `jump CHAIN`, ...");
    return undefined;
  }
  if (value.kind === "verdict") {
    report.error("E0408", value.span, `a ${type.name} is needed here, not a verdict`);
    return undefined;
  }
  const data = constant(rule.table, value, type);
  if (data === null) return undefined;
  if (isSingle(data)) return asValue(data.first, type.bits);
  report.error("E0408", value.span, "a value is not a range");
  return undefined;
}

/** `*`: what is in no other element. */
export const isRest = ({ key }: Pick<Element, "key">): boolean =>
  key.kind === "word" && key.text === "*" && !key.quoted;
const allOf = ({ bits }: Datatype): KeyRange => ({
  first: asValue(0n, bits),
  last: asValue((1n << BigInt(bits)) - 1n, bits),
});
export const holdsAll = ({ key }: SetElement, types: readonly Datatype[]): boolean =>
  key.every(({ first, last }, i) => BigInt(first) === 0n && BigInt(last) === BigInt(allOf(types[i]).last));

/** Sorted, with what holds everything (`*`) in the gaps, or of keys of several fields at the end. Null after an error. */
export function arrange(
  rule: RuleScope,
  elements: readonly SetElement[],
  types: readonly Datatype[],
  merge: boolean,
  span: Span,
): SetElement[] | null {
  const rest = elements.filter((element) => holdsAll(element, types));
  const others = elements.filter((element) => !rest.includes(element));
  if (types.length > 1) return [...others, ...rest.slice(0, 1)];
  const sorted = sortRanges(rule, others, types[0], merge, span);
  if (sorted === null || rest.length === 0) return sorted;
  return fillGaps(sorted, rest[0], BigInt(allOf(types[0]).last), types[0].bits);
}

function fillGaps(sorted: readonly SetElement[], rest: SetElement, max: bigint, bits: number): SetElement[] {
  const out: SetElement[] = [];
  let next = 0n;
  const fill = (to: bigint): void => {
    if (next <= to) out.push({ ...rest, key: [{ first: asValue(next, bits), last: asValue(to, bits) }] });
  };
  for (const element of sorted) {
    const [{ first, last }] = element.key;
    fill(BigInt(first) - 1n);
    out.push(element);
    next = BigInt(last) + 1n;
  }
  fill(max);
  return out;
}

/** Sorted; equal elements once. Overlaps are joined (`merge`), or an error. Null after an error. */
function sortRanges(
  rule: RuleScope,
  elements: readonly SetElement[],
  type: Datatype,
  merge: boolean,
  span: Span,
): SetElement[] | null {
  const sorted = elements.toSorted(
    (a, b) =>
      compareBig(BigInt(a.key[0].first), BigInt(b.key[0].first)) ||
      compareBig(BigInt(b.key[0].last), BigInt(a.key[0].last)),
  );
  const ranged = elements.some(({ key: [{ first, last }] }) => first !== last);
  const out: SetElement[] = [];
  for (const element of sorted) {
    const before = out.at(-1);
    const [range] = element.key;
    const last = before === undefined ? -2n : BigInt(before.key[0].last);
    const touches = merge && ranged && BigInt(range.first) === last + 1n;
    if (before === undefined || (BigInt(range.first) > last && !touches)) {
      out.push(element);
      continue;
    }
    const [{ first: from, last: to }] = before.key;
    const same = from === range.first && to === range.last;
    if (same && (merge || sameValue(before, element))) continue;
    if (!merge) {
      rule.table.draft.report.error("E0408", span, "two elements overlap", {
        label: `${describe(before.key[0], type)} and ${describe(range, type)}`,
        kernel: "Error: conflicting intervals specified",
      });
      return null;
    }
    out[out.length - 1] = { key: [{ first: from, last: BigInt(range.last) > last ? range.last : to }], value: null };
  }
  return out;
}

/** As one would write it. */
function describe(range: KeyRange, { name, bits }: Datatype): string {
  const { first, last } = range;
  const isAddress = name === "ipv4_addr" || name === "ipv6_addr";
  const text = (value: Value): string =>
    isAddress ? formatIp(value as Ip) : bits <= 16 ? `${value}` : `0x${value.toString(16)}`;
  const length = isAddress ? prefixLength(range, bits) : null;
  return first === last ? text(first) : length === null ? `${text(first)}-${text(last)}` : `${text(first)}/${length}`;
}
const sameValue = (a: SetElement, b: SetElement): boolean =>
  a.value === b.value || JSON.stringify(a.value, replaceBig) === JSON.stringify(b.value, replaceBig);
const replaceBig = (_: string, value: unknown): unknown => (typeof value === "bigint" ? `${value}n` : value);
