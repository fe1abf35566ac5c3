/**
 * chooseStructure: a list's rules, first split by what kind of packet they are for, as decision trees cut them (P. Gupta, N. McKeown,
 * "Packet Classification using Hierarchical Intelligent Cuttings", 1999), but by one field alone: the protocol of the frame. Rules for
 * IPv4 and for IPv6 ask for other fields; tables over both would have a cell for every pair. Behind the cut each kind has a structure of its
 * own (choose.ts), without the field, and packets of a stream are of one kind, so the branch costs nothing.
 *
 *     1  ip saddr 10.0.0.0/8 drop        meta protocol ip      1, 2, 4
 *     2  tcp dport 22 accept                           ip6     2, 3, 4        numbers stay those of the whole list
 *     3  ip6 saddr 2001:db8::/32 drop                  other   2, 4
 *     4  accept
 *
 * Rules that are for all kinds are in all parts; where that makes too many, and where rules go on, the list stays as it is.
 */
import { chooseTables, type Tables } from "./choose.ts";
import { classesOfField, type Intervals, membersOf } from "./classes.ts";
import { protocolField, type Segment, type SegmentRule } from "./segments.ts";

/** Rules of all parts, for each rule. */
const MOST_COPIES = 1.5;
const MOST_PARTS = 4;

export type Structure = Tables | Split;

export interface Split {
  readonly kind: "split";
  readonly field: number;
  readonly intervals: Intervals;
  /** By class of the field. */
  readonly parts: readonly Tables[];
  readonly why: string;
}

/** @param budget bytes; absent: by the number of rules */
export function chooseStructure(segment: Segment, budget?: number): Structure {
  return splitByKind(segment, budget) ?? chooseTables(segment, { budget });
}

function splitByKind(segment: Segment, budget?: number): Split | null {
  const { fields, rules, shapes } = segment;
  const field = protocolField(fields);
  if (field < 0 || !rules.every(({ shape }) => shapes[shape].final)) return null;
  const { classes, intervals } = classesOfField(
    rules.map(({ conditions }) => conditions[field]),
    fields[field].bits,
  );
  if (classes.count < 2 || classes.count > MOST_PARTS) return null;
  const numbers = Array.from({ length: classes.count }, (_, number) => membersOf(classes, number));
  const copies = numbers.reduce((sum, part) => sum + part.length, 0);
  if (copies > MOST_COPIES * rules.length + MOST_PARTS) return null;
  const parts = numbers.map((part) => {
    const own = part.map((rule) => withoutField(rules[rule], field));
    return chooseTables({ ...segment, rules: own }, { budget, numbers: part });
  });
  return { kind: "split", field, intervals, parts, why: parts.map(({ why }) => why).join("; ") };
}

const withoutField = (rule: SegmentRule, field: number): SegmentRule => ({
  ...rule,
  conditions: rule.conditions.map((ranges, f) => (f === field ? null : ranges)),
});
