/**
 * chooseTables: how the classes of a segment's fields become the rule that a packet matches first.
 *
 *   fields  --bits-->   up to 64 rules: the sets of the fields' classes are a word each, and intersected
 *   fields  --merge-->  groups  --first-->     one group: its last table says the rule       two loads a merge, however many rules
 *                               --vectors-->   several: the sets of their classes are intersected, 64 rules a step
 *           --parts-->  each some of the rules, by tables or vectors: the least number counts
 *
 * Tables of all fields must stay within a budget that grows with the rules (search.ts). Where they do not, wide rules are looked up apart from
 * narrow ones (parts.ts), and what even so has no tables is left in several groups.
 */

import { arranged } from "./arrange.ts";
import { placed } from "./classes.ts";
import { firstMembers, firstRules } from "./merge.ts";
import { partsOf } from "./parts.ts";
import { Search } from "./search.ts";
import type { Segment } from "./segments.ts";
import type { Classes } from "./sets.ts";
import { type Table, tableOf } from "./table.ts";
import { type FieldTree, fieldTree, type Tree } from "./tree.ts";

export type Tables = BitTables | FirstTables | VectorTables | PartTables;

export interface BitTables {
  readonly kind: "bits";
  /** The sets of the classes of these are intersected. */
  readonly fields: readonly FieldTree[];
  /** Is the first rule all that counts? */
  readonly final: boolean;
  /** Of the rules, all below 64: the places of their bits. */
  readonly numbers: readonly number[];
  /** Of the sets. */
  readonly bytes: number;
  readonly why: string;
}

export interface FirstTables {
  readonly kind: "first";
  /** The cells of a table over one or two trees are rules, counted from 1. */
  readonly trees: readonly [Tree] | readonly [Tree, Tree];
  readonly first: Table;
  /** Of tables. */
  readonly bytes: number;
  readonly why: string;
}

export interface VectorTables {
  readonly kind: "vectors";
  /** The sets of the classes of several trees, or of one, are intersected. */
  readonly trees: readonly Tree[];
  /** Of each tree. */
  readonly sets: readonly Classes[];
  /** The sets being of places: the rule at each. Null: rules, some of which go on, are at the places of their numbers. */
  readonly order: readonly number[] | null;
  /** Of tables and vectors. */
  readonly bytes: number;
  readonly why: string;
}

export interface PartTables {
  readonly kind: "parts";
  /** Trees that several have in common are one. */
  readonly parts: readonly (FirstTables | VectorTables)[];
  readonly why: string;
}

export interface ChooseOptions {
  /** Bytes of tables, few rules or not; absent: by the number of rules. */
  readonly budget?: number | undefined;
  /** Of the rules; absent: their places in the segment. */
  readonly numbers?: readonly number[] | undefined;
}

/** Rules that have a bit each in a word, and its bytes. */
const WORD = 64;
export const SET_BYTES = 8;

/** Bytes of tables and vectors, for each rule, and for lists that have only a few. */
const BYTES_A_RULE = 1300;
const BYTES_ALWAYS = 4096;

export function chooseTables(segment: Segment, options: ChooseOptions = {}): Tables {
  const { rules, shapes } = segment;
  const { budget = BYTES_ALWAYS + BYTES_A_RULE * rules.length, numbers = [...rules.keys()] } = options;
  const fields = segment.fields.map((_, field) => fieldTree(segment, field));
  const telling = fields.filter(({ classes }) => classes.count > 1);
  const leaves = telling.length > 0 ? telling : fields.slice(0, 1);
  const asked = `${rules.length} rules, ${telling.length} fields`;
  const final = rules.every(({ shape }) => shapes[shape].final);
  if (options.budget === undefined && (numbers.at(-1) ?? 0) < WORD) {
    const bytes = SET_BYTES * leaves.reduce((sum, { classes }) => sum + classes.count, 0);
    const why = `${asked}: sets of a word, ${bytes} bytes${final ? "" : ", rules that go on to the next"}`;
    return { kind: "bits", fields: leaves, final, numbers, bytes, why };
  }
  const search = new Search(leaves, budget);
  if (!final) {
    const { trees, bytes } = search.groups();
    const why = `${asked}: ${trees.length} vectors, rules that go on to the next`;
    return { kind: "vectors", trees, sets: trees.map(({ classes }) => classes), order: null, bytes, why };
  }
  const tables = firstTables(search, asked, numbers, budget);
  if (tables !== null) return tables;
  const vectors = (own: Search, members: readonly number[], what: string): VectorTables => {
    const { trees, bytes } = own.groups();
    const order = arranged(segment, leaves, members);
    const sets = trees.map(({ classes }) => placed(classes, order));
    const why = `${what}: ${trees.length} vectors`;
    return { kind: "vectors", trees, sets, order: order.map((rule) => numbers[rule]), bytes, why };
  };
  let left = budget;
  const parts = partsOf(segment, leaves).map(({ members, leaves: own, what }) => {
    const within = new Search(own, left);
    const part = `${members.length} rules, ${what}`;
    const tables = firstTables(within, part, numbers, left) ?? vectors(within, members, part);
    left -= tables.bytes;
    return tables;
  });
  const why = `tables of all would be more than ${budget} bytes`;
  if (parts.filter(({ kind }) => kind === "first").length > 1)
    return { kind: "parts", parts, why: `${asked}, ${why}: ${parts.map((part) => part.why).join("; ")}` };
  const all = vectors(search, [...rules.keys()], asked);
  return { ...all, why: `${all.why}, ${why}` };
}

/** Null: none within the budget. */
function firstTables(search: Search, asked: string, numbers: readonly number[], budget: number): FirstTables | null {
  const whole = search.whole();
  if (whole === null) return null;
  const [{ classes }, right] = whole.trees;
  const cells = right === undefined ? firstMembers(classes, numbers) : firstRules(classes, right.classes, numbers);
  const first = tableOf(cells, right?.classes.count ?? 1);
  const bytes = whole.bytes + first.bytes;
  if (bytes > budget) return null;
  return { kind: "first", trees: whole.trees, first, bytes, why: `${asked}: tables of ${bytes} bytes` };
}
