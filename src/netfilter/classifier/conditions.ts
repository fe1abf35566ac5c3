/**
 * Tests as conditions: a field of the packet, and the values for which the test says yes, as ranges. What can be said so needs no code
 * of its own in a long list: all rules' conditions on one field become one look-up (classes.ts).
 *
 *   ip saddr 10.0.0.0/8        payload network 12 4: 10.0.0.0-10.255.255.255     (the mask of a prefix is no part of the field)
 *   tcp dport != { 22, 80 }    payload transport 2 2: 0-21, 23-79, 81-65535
 *   meta mark & 0xff == 3      meta mark & 0xff: 3
 *
 * A field that a packet does not have (NFT_BREAK) is in no range.
 */
import type { Expr, Netfilter, Step, Test, Value } from "../../../dsl/chain-model.ts";
import { IP_CT_UNTRACKED, settledMeta, type View } from "../view.ts";

/** Values of the field's width: numbers to 32 bits, bigints above. */
export interface Range {
  readonly first: Value;
  readonly last: Value;
}
/** Disjoint, in ascending order, none empty. */
export type Ranges = readonly Range[];

export interface Condition {
  readonly field: Expr;
  readonly ranges: Ranges;
}

/** Has it the same value in every packet? */
export function sameField(a: Expr, b: Expr): boolean {
  switch (a.kind) {
    case "const":
      return b.kind === "const" && a.value === b.value;
    case "payload":
      return b.kind === "payload" && a.base === b.base && a.offset === b.offset && a.length === b.length;
    case "meta":
      return b.kind === "meta" && a.key === b.key;
    case "bitwise":
      return b.kind === "bitwise" && a.mask === b.mask && a.xor === b.xor && sameField(a.operand, b.operand);
    case "shift":
      return b.kind === "shift" && a.direction === b.direction && a.by === b.by && sameField(a.operand, b.operand);
    default:
      return a.kind === b.kind;
  }
}

/** What a test is a conjunction of; null: it is not made of conditions. A condition on what the view settles is gone, or has no ranges. */
export function conditionsOf(netfilter: Netfilter, view: View, step: Step): readonly Condition[] | null {
  const found = rangesOf(netfilter, step);
  if (found === null) return null;
  const open: Condition[] = [];
  for (const { field, ranges } of found) {
    if (!isField(field)) return null;
    const settled = settledBy(view, field);
    if (settled === null) open.push({ field, ranges });
    else if (!ranges.some(({ first, last }) => first <= settled && settled <= last)) open.push({ field, ranges: [] });
  }
  return open;
}

function rangesOf({ sets }: Netfilter, step: Step): Condition[] | null {
  switch (step.kind) {
    case "compare":
      return [comparison(step)];
    case "range": {
      const inside = [rangeIn(step, step.left.bits)];
      return [{ field: step.left, ranges: step.not ? outside(inside, step.left.bits) : inside }];
    }
    case "lookup": {
      const { name, elements } = sets[step.set];
      // One with a name may change. Of several fields only a single element is a range for each.
      if (name !== null || (step.key.length > 1 && (step.not || elements.length !== 1))) return null;
      return step.key.map((field, part) => {
        const inside = merged(elements.map(({ key }) => rangeIn(key[part], field.bits)));
        return { field, ranges: step.not ? outside(inside, field.bits) : inside };
      });
    }
    default:
      return null;
  }
}

/** The greatest value. */
const ones = (bits: number): Value => (bits > 32 ? (1n << BigInt(bits)) - 1n : 2 ** bits - 1);
export const after = (value: Value): Value => (typeof value === "bigint" ? value + 1n : value + 1);
const before = (value: Value): Value => (typeof value === "bigint" ? value - 1n : value - 1);
const valueIn = (value: Value, bits: number): Value => (bits > 32 ? BigInt(value) : Number(value));
const rangeIn = ({ first, last }: Range, bits: number): Range => ({
  first: valueIn(first, bits),
  last: valueIn(last, bits),
});

function comparison({ op, left, right }: Test & { kind: "compare" }): Condition {
  const value = valueIn(right, left.bits);
  const prefix = op === "eq" || op === "ne" ? prefixOf(left, value) : null;
  const field = prefix === null ? left : prefix.field;
  const range = prefix === null ? rangeOf(op, value, ones(left.bits)) : prefix.range;
  const whole = range === null || range.first > range.last ? [] : [range];
  return { field, ranges: op === "ne" ? outside(whole, field.bits) : whole };
}

/** Of `ne` what it refuses. */
function rangeOf(op: (Test & { kind: "compare" })["op"], value: Value, greatest: Value): Range {
  const least = typeof value === "bigint" ? 0n : 0;
  switch (op) {
    case "eq":
    case "ne":
      return { first: value, last: value };
    case "lt":
      return { first: least, last: before(value) };
    case "le":
      return { first: least, last: value };
    case "gt":
      return { first: after(value), last: greatest };
    case "ge":
      return { first: value, last: greatest };
  }
}

/** `field & mask == value` where the mask is a prefix's; a range that is null: never. */
function prefixOf(e: Expr, value: Value): { readonly field: Expr; readonly range: Range | null } | null {
  if (e.kind !== "bitwise" || Number(e.xor) !== 0) return null;
  const host = hostOf(e.mask, e.bits);
  if (host === null) return null;
  const [inside, last] =
    typeof value === "bigint" || typeof host === "bigint"
      ? [(BigInt(value) & BigInt(host)) === 0n, BigInt(value) | BigInt(host)]
      : [(value & host) === 0, value + host];
  return { field: e.operand, range: inside ? { first: value, last } : null };
}

/** The bits that a prefix's mask leaves out, as a number; null: it is none. */
function hostOf(mask: Value, bits: number): Value | null {
  if (bits > 32) {
    const host = (1n << BigInt(bits)) - 1n - BigInt(mask);
    return (host & (host + 1n)) === 0n ? host : null;
  }
  const host = 2 ** bits - 1 - Number(mask);
  return (host & (host + 1)) === 0 ? host : null;
}

function outside(inside: Ranges, bits: number): Range[] {
  const starts = [valueIn(0, bits), ...inside.map(({ last }) => after(last))];
  const ends = [...inside.map(({ first }) => before(first)), ones(bits)];
  return starts.map((first, i) => ({ first, last: ends[i] })).filter(({ first, last }) => first <= last);
}

/** Sorted, and those that touch or overlap as one. */
function merged(ranges: readonly Range[]): Range[] {
  const all: Range[] = [];
  for (const { first, last } of [...ranges].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
    const former = all.at(-1);
    if (former === undefined || first > after(former.last)) all.push({ first, last });
    else if (last > former.last) all[all.length - 1] = { first: former.first, last };
  }
  return all;
}

/** Cheap to read, for packets that no rule asks about too, and the same until something writes it. */
function isField(e: Expr): boolean {
  if (e.kind === "bitwise" || e.kind === "shift") return isField(e.operand);
  if (e.kind === "meta") return e.key !== "iifgroup" && e.key !== "oifgroup";
  return e.kind === "const" || e.kind === "ct" || (e.kind === "payload" && e.base !== "inner");
}

/** The value of a field that is the same for all packets of a view. */
function settledBy(view: View, e: Expr): bigint | null {
  switch (e.kind) {
    case "const":
      return BigInt(e.value);
    case "ct":
      return BigInt(IP_CT_UNTRACKED);
    case "bitwise": {
      const operand = settledBy(view, e.operand);
      return operand === null ? null : (operand & BigInt(e.mask)) ^ BigInt(e.xor);
    }
    case "meta": {
      const settled = settledMeta(view, e.key);
      return settled === null ? null : BigInt(settled);
    }
    default:
      return null;
  }
}
