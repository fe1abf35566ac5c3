/**
 * What the stages of the short way (fast_forward.ts) have in common: its parameters and registers, the columns of the row in hand, those that hold
 * what a stage leaves to the next, and rounds over all rows or listed ones.
 */
import { COLUMN, type Column } from "../../../runtime/batch.ts";
import {
  add,
  type Expr,
  leave,
  load,
  local,
  mul,
  type Operand,
  type Reg,
  repeat,
  type Step,
  set,
  shl,
  shr,
  store,
  sub,
  when,
} from "../ir.ts";

/** Packets of a group: as many as a processor can be expected to have misses in flight, and no more than a cache holds of headers. */
export const GROUP = 64;

/** Parameters, not the registers of the same names: those are in memory. */
export const row = local("row");
export const stride = local("stride");
export const count = local("count");
/** Packets that have not been given back by the first stage, which all others go over. */
export const looked = local("looked");
/** The row of the packet in hand. */
export const at = local("at");
export const cell = local("cell");
export const hop = local("hop");
export const known = local("known");

/** How far a column's rows are from the first column's, for all rounds of a stage. */
export const distance = (column: Column): Reg => local(`to_${column}`);
export const distances = (...columns: Column[]): Step[] =>
  columns.map((column) => set(distance(column), mul(stride, COLUMN(column))));
export const readAt = (column: Column): Expr => load("batch", 4, add(at, distance(column)));
export const writeAt = (column: Column, value: Operand): Step => store("batch", 4, add(at, distance(column)), 0, value);

/**
 * Result columns that hold, between the stages, what is not said yet: the DEVICE, the destination, the structure that it is looked up in, the
 * FIB_ENTRY (0: given back), and in place of the destination where the MAC stands that the frame goes to (0: given back). But for `image` they
 * are those whose answers differ from packet to packet; the others are written at once.
 */
export const HELD = { device: "outDevice", destination: "l3", image: "redirect", entry: "route", known: "l3" } as const;

/**
 * Result columns where a stage lists rows of which it wants more: what takes a call. A call in a loop makes engines put all that the
 * loop keeps in registers on the stack, each round, whether it is made or not; so calls have loops of their own, over those rows alone.
 */
export const LISTS = { source: "reason", table: "skbDevice", onLink: "error", neighbour: "sdif" } as const;
/** Lists too, of rows that have got to a leaf, by its shape. */
export const LEAVES = ["error", "sdif", "info", "source"] as const;
type List = (typeof LISTS)[keyof typeof LISTS] | (typeof LEAVES)[number];
const listEnd = (list: List): Reg => local(`end_of_${list}`);
export const emptyList = (list: List): Step => set(listEnd(list), add(row, mul(stride, COLUMN(list))));
/** @param wanted 1, or 0: the row is not listed, without a branch */
export const enlist = (list: List, wanted: Expr | 1 = 1): Step[] => [
  store("batch", 4, listEnd(list), 0, at),
  set(listEnd(list), add(listEnd(list), wanted === 1 ? 4 : shl(wanted, 2))),
];
/** A round for each row of the list. */
export const listed = (list: List, body: readonly Step[]): Step[] => [
  set(cell, add(row, mul(stride, COLUMN(list)))),
  repeat(
    shr(sub(listEnd(list), cell), 2),
    `of ${list}`,
    [set(at, load("batch", 4, cell)), set(cell, add(cell, 4)), ...body],
    "group",
  ),
];

/** A round for each packet of the group. */
export const stage = (times: Reg, label: string, body: readonly Step[]): Step[] => [
  set(at, row),
  repeat(times, label, [...body, set(at, add(at, 4))], "group"),
];
/** What a stage does with a packet that it does not take: it leaves a block, or the stage. */
export const objection =
  (label: string) =>
  (condition: Expr): Step =>
    when(condition, [leave(label)]);

export type Objection = (condition: Expr) => Step;
