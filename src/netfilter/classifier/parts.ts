/**
 * partsOf: the rules of a long list, parted by which of the two widest fields they leave open (as EffiCuts separates trees: B. Vamanan,
 * G. Voskuilen, T. Vijaykumar, "EffiCuts: Optimizing Packet Classification for Memory and Throughput", 2010). Ten rules with a wide source and
 * ten with a wide destination overlap a hundred times; each ten apart do not.
 *
 *     1  source 10.0.0.1, destination 10.9.0.1     narrow, narrow
 *     2  source 10.0.0.2                           narrow, wide
 *     3  destination 10.9.0.2                      wide, narrow
 *     4                                            wide, wide             narrow: of 32 bits at most 2^16 values (isNarrow)
 *
 * What fields come to is looked up once for all parts; a table over a wide field's classes says its class among the rules of a part.
 */
import { isNarrow, widest } from "./arrange.ts";
import { singleClass } from "./classes.ts";
import type { Segment } from "./segments.ts";
import { among, type FieldTree, fieldAmong, type Tree } from "./tree.ts";

/** Rules from which on it is tried. */
const PARTED_FROM = 256;

export interface Part {
  /** Rules, in ascending order. */
  readonly members: readonly number[];
  readonly leaves: readonly Tree[];
  readonly what: string;
}

/** None: the list is not parted. */
export function partsOf({ rules, fields }: Segment, leaves: readonly FieldTree[]): Part[] {
  if (rules.length < PARTED_FROM || leaves.length < 3) return [];
  const main = widest(leaves).slice(0, 2);
  const rest = leaves.filter((leaf) => !main.includes(leaf));
  const parts = new Map<string, number[]>();
  for (const [rule, { conditions }] of rules.entries()) {
    const what = main
      .map(({ field }) => (isNarrow(conditions[field], fields[field].bits) ? "narrow" : "wide"))
      .join(" and ");
    const members = parts.get(what);
    if (members === undefined) parts.set(what, [rule]);
    else members.push(rule);
  }
  return [...parts].map(([what, members]) => {
    const own = singleClass(members, rules.length);
    const narrowed = main.map((leaf) => among(leaf, own));
    const telling = narrowed.filter(({ classes }) => classes.count > 1);
    return {
      members,
      what,
      leaves: [...(telling.length > 0 ? telling : narrowed.slice(0, 1)), ...rest.map((leaf) => fieldAmong(leaf, own))],
    };
  });
}
