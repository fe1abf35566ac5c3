/**
 * arranged: an order of rules in which those that are alike stand in the same words of the vectors (F. Baboescu, G. Varghese, "Scalable
 * Packet Classification", 2001, "rule rearrangement"). Words that all of a packet's classes have bits in, but no common one, are read in
 * vain; where neighbours are alike there are few of them, wherever in the list the rules are that the packet matches.
 *
 *   rules by number                      words of 2    source 1    destination 9    both
 *     1  source 1, destination 8         1 2           10          01               read in vain
 *     2  source 2, destination 9         3 4           10          01               read in vain
 *     3  source 1, destination 7
 *     4  source 3, destination 9         1 3           11          00
 *   arranged: 1 3 2 4                    2 4           00          11
 *
 * Within a word rules stand by their numbers, so the first one of a word is its first bit; of several words the least number counts.
 */
import type { Ranges } from "./conditions.ts";
import type { Segment } from "./segments.ts";
import type { FieldTree } from "./tree.ts";

/** Rules of a word. */
const WORD = 64;

/** Fields that have the most classes come first. */
export const widest = (fields: readonly FieldTree[]): FieldTree[] =>
  [...fields].sort((a, b) => b.classes.count - a.classes.count || a.field - b.field);

/**
 * First by which of the two widest fields a rule leaves open, then by the one, then by the other, then by the rest.
 * @param members which rules
 * @returns them by their places
 */
export function arranged(
  { fields, rules }: Segment,
  leaves: readonly FieldTree[],
  members: readonly number[],
): number[] {
  const sorted = widest(leaves).map(({ field }) => field);
  const [main, others] = [sorted.slice(0, 2).sort((a, b) => a - b), sorted.slice(2)];
  const keys = new Map(
    members.map((rule) => {
      const { conditions } = rules[rule];
      return [
        rule,
        [
          ...main.map((field) => (isNarrow(conditions[field], fields[field].bits) ? 1 : 0)),
          ...[...main, ...others].flatMap((field) => endsOf(conditions[field])),
        ],
      ];
    }),
  );
  const order = [...members].sort((a, b) => compare(keys.get(a)!, keys.get(b)!) || a - b);
  const words = Array.from({ length: Math.ceil(order.length / WORD) }, (_, w) => order.slice(WORD * w, WORD * (w + 1)));
  return words.flatMap((word) => word.sort((a, b) => a - b));
}

/** At most 2^(bits / 2) values. */
export function isNarrow(ranges: Ranges | null, bits: number): boolean {
  if (ranges === null) return false;
  // To the precision of a number, as below: which rules are looked up together decides about time alone.
  let values = 0;
  for (const { first, last } of ranges)
    values += 1 + Number(typeof last === "bigint" ? last - BigInt(first) : last - Number(first));
  return values <= 2 ** Math.floor(bits / 2);
}

/** Of nested ranges the wider one comes first. To the precision of a number: which rules are neighbours decides about time alone. */
const endsOf = (ranges: Ranges | null): readonly [number, number] =>
  ranges === null || ranges.length === 0 ? [-1, 0] : [Number(ranges[0].first), -Number(ranges[ranges.length - 1].last)];

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}
