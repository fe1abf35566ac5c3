/**
 * Trees of tables: how the classes of several fields become one class.
 *
 *   field     its look-up says the class
 *   merge     a table over the classes of two trees
 *   among     a table over the classes of one: classes that some of the rules take for the same are one
 */
import { classesOfField, type FieldClasses } from "./classes.ts";
import { MOST_CLASSES, mergeClasses } from "./merge.ts";
import type { Segment } from "./segments.ts";
import { type FoundClasses, within } from "./sets.ts";
import { type Table, tableOf } from "./table.ts";

/** Those of one field are looked up alike, for all rules and for some. */
export interface FieldTree extends FieldClasses {
  readonly kind: "field";
  readonly field: number;
}

export interface MergedTree {
  readonly kind: "merge";
  readonly left: Tree;
  readonly right: Tree;
  readonly classes: FoundClasses;
  readonly table: Table;
}

export type Tree =
  | FieldTree
  | MergedTree
  | { readonly kind: "among"; readonly of: Tree; readonly classes: FoundClasses; readonly table: Table };

export function fieldTree({ rules, fields }: Segment, field: number): FieldTree {
  const conditions = rules.map((rule) => rule.conditions[field]);
  return { kind: "field", field, ...classesOfField(conditions, fields[field].bits) };
}

/** @param most classes; more: null */
export function mergeTrees(left: Tree, right: Tree, most: number): MergedTree | null {
  const merged = mergeClasses(left.classes, right.classes, most);
  if (merged === null) return null;
  const { classes, table } = merged;
  return { kind: "merge", left, right, classes, table: tableOf(table, right.classes.count) };
}

/** @param some one class: of the rules that matter; the field's look-up stays the same */
export const fieldAmong = (tree: FieldTree, some: FoundClasses): FieldTree => ({
  ...tree,
  classes: within(tree.classes, some),
});

/** @param some one class: of the rules that matter */
export function among(tree: Tree, some: FoundClasses): Tree {
  const { classes, table } = mergeClasses(tree.classes, some, MOST_CLASSES)!;
  return { kind: "among", of: tree, classes, table: tableOf(table, 1) };
}
