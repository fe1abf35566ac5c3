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
import type { Expr, Netfilter, Step, Test } from "../../../dsl/chain-model.ts";
import { IP_CT_UNTRACKED, settledMeta, type View } from "../view.ts";

export interface Range {
  readonly first: bigint;
  readonly last: bigint;
}
/** Disjoint, in ascending order, none empty. */
export type Ranges = readonly Range[];

export interface Condition {
  readonly field: Expr;
  readonly ranges: Ranges;
}

/** Two fields with the same key have the same value. */
export function fieldKey(e: Expr): string {
  switch (e.kind) {
    case "const":
      return `${e.value}`;
    case "payload":
      return `${e.base} ${e.offset} ${e.length}`;
    case "meta":
      return `meta ${e.key}`;
    case "bitwise":
      return `(${fieldKey(e.operand)} & ${e.mask} ^ ${e.xor})`;
    case "shift":
      return `(${fieldKey(e.operand)} ${e.direction} ${e.by})`;
    default:
      return e.kind;
  }
}

/** What a test is a conjunction of; null: it is not made of conditions. A condition on what the view settles is gone, or has no ranges. */
export function conditionsOf(netfilter: Netfilter, view: View, step: Step): readonly Condition[] | null {
  const found = rangesOf(netfilter, step);
  if (found === null || !found.every(({ field }) => isField(field))) return null;
  return found.flatMap(({ field, ranges }): Condition[] => {
    const settled = settledBy(view, field);
    if (settled === null) return [{ field, ranges }];
    return ranges.some(({ first, last }) => first <= settled && settled <= last) ? [] : [{ field, ranges: [] }];
  });
}

function rangesOf({ sets }: Netfilter, step: Step): Condition[] | null {
  switch (step.kind) {
    case "compare":
      return [comparison(step)];
    case "range": {
      const inside = [{ first: BigInt(step.first), last: BigInt(step.last) }];
      return [{ field: step.left, ranges: step.not ? outside(inside, step.left.bits) : inside }];
    }
    case "lookup": {
      const { name, elements } = sets[step.set];
      // One with a name may change. Of several fields only a single element is a range for each.
      if (name !== null || (step.key.length > 1 && (step.not || elements.length !== 1))) return null;
      return step.key.map((field, part) => {
        const inside = merged(
          elements.map(({ key }) => ({ first: BigInt(key[part].first), last: BigInt(key[part].last) })),
        );
        return { field, ranges: step.not ? outside(inside, field.bits) : inside };
      });
    }
    default:
      return null;
  }
}

const ones = (bits: number): bigint => (1n << BigInt(bits)) - 1n;

function comparison({ op, left, right }: Test & { kind: "compare" }): Condition {
  const value = BigInt(right);
  const prefix = op === "eq" || op === "ne" ? prefixOf(left, value) : null;
  const field = prefix === null ? left : prefix.field;
  const inside = prefix === null ? [rangeOf(op, value, ones(left.bits))] : prefix.ranges;
  const whole = inside.filter(({ first, last }) => first <= last);
  return { field, ranges: op === "ne" ? outside(whole, field.bits) : whole };
}

/** Of `ne` what it refuses. */
function rangeOf(op: (Test & { kind: "compare" })["op"], value: bigint, greatest: bigint): Range {
  switch (op) {
    case "eq":
    case "ne":
      return { first: value, last: value };
    case "lt":
      return { first: 0n, last: value - 1n };
    case "le":
      return { first: 0n, last: value };
    case "gt":
      return { first: value + 1n, last: greatest };
    case "ge":
      return { first: value, last: greatest };
  }
}

/** `field & mask == value` where the mask is a prefix's. */
function prefixOf(e: Expr, value: bigint): Condition | null {
  if (e.kind !== "bitwise" || BigInt(e.xor) !== 0n) return null;
  const mask = BigInt(e.mask);
  const host = ones(e.bits) ^ mask;
  if ((host & (host + 1n)) !== 0n) return null;
  return { field: e.operand, ranges: (value & host) === 0n ? [{ first: value, last: value | host }] : [] };
}

function outside(inside: Ranges, bits: number): Range[] {
  const starts = [0n, ...inside.map(({ last }) => last + 1n)];
  const ends = [...inside.map(({ first }) => first - 1n), ones(bits)];
  return starts.map((first, i) => ({ first, last: ends[i] })).filter(({ first, last }) => first <= last);
}

/** Sorted, and those that touch or overlap as one. */
function merged(ranges: readonly Range[]): Range[] {
  const all: Range[] = [];
  for (const { first, last } of [...ranges].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
    const before = all.at(-1);
    if (before === undefined || first > before.last + 1n) all.push({ first, last });
    else if (last > before.last) all[all.length - 1] = { first: before.first, last };
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
