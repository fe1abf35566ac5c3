/**
 * Trees of tables: how the classes of several fields become one class.
 *
 *   field     its look-up says the class
 *   merge     a table over the classes of two trees
 *   among     a table over the classes of one: classes that some of the rules take for the same are one
 */
import {
  classesOfField,
  type FieldClasses,
  type FoundClasses,
  type MergedClasses,
  MOST_CLASSES,
  mergeClasses,
} from "./classes.ts";
import type { Segment } from "./segments.ts";
import { type Table, tableOf } from "./table.ts";

export interface FieldTree {
  readonly kind: "field";
  readonly field: number;
  readonly classes: FieldClasses;
}

export interface MergedTree {
  readonly kind: "merge";
  readonly left: Tree;
  readonly right: Tree;
  readonly classes: MergedClasses;
  readonly table: Table;
}

export type Tree =
  | FieldTree
  | MergedTree
  | { readonly kind: "among"; readonly of: Tree; readonly classes: MergedClasses; readonly table: Table };

export function fieldTree({ rules, fields }: Segment, field: number): FieldTree {
  const conditions = rules.map((rule) => rule.conditions[field]);
  return { kind: "field", field, classes: classesOfField(conditions, fields[field].bits) };
}

/** @param most classes; more: null */
export function mergeTrees(left: Tree, right: Tree, most: number): MergedTree | null {
  const classes = mergeClasses(left.classes, right.classes, most);
  if (classes === null) return null;
  return { kind: "merge", left, right, classes, table: tableOf(classes.table, right.classes.count) };
}

/** @param some one class: of the rules that matter */
export function among(tree: Tree, some: FoundClasses): Tree {
  const classes = mergeClasses(tree.classes, some, MOST_CLASSES)!;
  return { kind: "among", of: tree, classes, table: tableOf(classes.table, 1) };
}
