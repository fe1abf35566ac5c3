/**
 * Sets and maps in rules: the number of the element that holds a key, as code over the structures of
 * runtime/maps/structure.ts.
 *
 *   set.N.ID(pieces of the key) : i32        the element's place, from 1; 0: none holds the key
 *
 * Sets of few elements without values are tests in the rule itself.
 */

import type { KeyRange, SetDef } from "../../../../dsl/chain-model.ts";
import { MAP } from "../../../../runtime/abi/netfilter.ts";
import { SET_HASH_FACTOR, SET_HASH_ROTATE, slotBytes } from "../../../../runtime/maps/hash.ts";
import { rowBytes } from "../../../../runtime/maps/list.ts";
import { lpmFamily } from "../../../../runtime/maps/lpm.ts";
import { boundBytes } from "../../../../runtime/maps/shape.ts";
import type { Family } from "../../../../runtime/net/ip.ts";
import { lpmProcName } from "../../../lpm/emit.ts";
import type { SetLayout } from "../../../netfilter/layout.ts";
import {
  add,
  and,
  binary,
  call,
  type Expr,
  eq,
  eqz,
  expr,
  i32,
  le,
  leave,
  load,
  local,
  lt,
  mul,
  ne,
  type Operand,
  or,
  type Proc,
  type Reg,
  repeat,
  ret,
  type Space,
  type Step,
  select,
  set,
  shl,
  shr,
  store,
  sub,
  unary,
  when,
  xor,
} from "../../ir.ts";
import { proc } from "../context.ts";
import type { ChainContext } from "./code.ts";
import { below, constantOf, equal, pieceTypes, resized, shifted, type Wide, wordsOf } from "./wide.ts";

/** @param key the parts' pieces, all in registers or constants */
export function elementOf(chain: ChainContext, layout: SetLayout, key: readonly Wide[]): Expr {
  const { set: def, kind } = layout;
  if (kind === "array") return arrayPlace(layout, key[0][0]);
  if (kind === "compares" && def.value === null)
    return def.elements.length === 0 ? i32(0) : def.elements.map((element) => holds(def, element.key, key)).reduce(or);
  return call(chain.setProc(def), key.flat());
}

/** An element of a devmap that has no device is not there. */
function arrayPlace(layout: SetLayout, index: Expr): Expr {
  const inside = lt(index, layout.rows);
  if (layout.set.storage !== "devmap") return select(inside, add(index, 1), 0);
  const [device] = elementValue(layout, add(select(inside, index, 0), 1), 32);
  return select(and(inside, ne(device, 0)), add(index, 1), 0);
}

/** Is the set searched by a proc of its own? */
export const hasProc = ({ set: def, kind }: SetLayout): boolean =>
  kind !== "array" && !(kind === "compares" && def.value === null);

/** A word of the set: as the record says of one that may change. */
const word = ({ record, space }: SetLayout, field: keyof typeof MAP, otherwise: number): Expr =>
  record === 0 ? i32(otherwise) : load(space, 4, record, MAP[field]);

/** What offsets of the structure count in: a record tells them from the start of memory. */
export const spaceOf = ({ record, space }: SetLayout): Space => (record === 0 ? space : "image");

/** The value of an element by its place, which is not 0. */
export function elementValue(layout: SetLayout, place: Expr, bits: number): Wide {
  const [at, first] = elementPlace(layout, place);
  return bound(spaceOf(layout), at, first, bits);
}

/** Where the value of an element stands: a base and an offset. */
export function elementPlace(layout: SetLayout, place: Expr): [Expr, number] {
  const { stride, values, record } = layout;
  return record === 0
    ? [mul(place, stride), values - stride]
    : [add(mul(sub(place, 1), stride), word(layout, "values", 0)), 0];
}

/** The look-up structures that sets of a module ask. */
export function lpmFamiliesOf(layouts: readonly SetLayout[]): Family[] {
  return [...new Set(layouts.filter(({ kind }) => kind === "lpm").map(({ set: { key } }) => lpmFamily(key[0].bits)))];
}

/** 1 or 0: does the element hold the key? */
function holds(def: SetDef, ranges: readonly KeyRange[], key: readonly Wide[]): Expr {
  return ranges.map(({ first, last }, i) => within(key[i], first, last, def.key[i].bits)).reduce(and);
}

/** 1 or 0: first <= value <= last. The value's pieces are evaluated several times. */
export function within(value: Wide, first: KeyRange["first"], last: KeyRange["last"], bits: number): Expr {
  if (first === last) return equal(value, constantOf(first, bits));
  const above = eqz(below(value, constantOf(first, bits)));
  const notBeyond = eqz(below(constantOf(last, bits), value));
  if (bits > 32) return and(above, notBeyond);
  // One comparison: what is below `first` wraps round.
  return le(sub(value[0], Number(first)), Number(last) - Number(first));
}

/** @param probe where a key is put that is looked up as an address */
export function setProc(name: string, layout: SetLayout, probe: Expr): Proc {
  const { set: def, kind, why, rows } = layout;
  const key = def.key.map(({ bits }, field) =>
    pieceTypes(bits).map((type, piece) => local(`key${field}${piece === 0 ? "" : `_${piece}`}`, type)),
  );
  const wides = key.map((pieces) => pieces.map((piece) => expr(piece)));
  const bodies: Record<string, () => Step[]> = {
    compares: () => compares(def, wides),
    interval: () => interval(layout, wides[0]),
    hash: () => hash(layout, wides),
    list: () => list(layout, wides),
    lpm: () => lpm(layout, wides[0], probe),
  };
  const title = def.name === null ? "set between braces" : `set ${def.name}`;
  const comment = `${title}: ${kind} (${why}${kind === "hash" ? `, ${rows} slots` : ""})`;
  return proc(name, { comment, params: key.flat(), result: "i32" }, bodies[kind]());
}

const compares = (def: SetDef, key: readonly Wide[]): Step[] => [
  ...def.elements.map((element, i) => when(holds(def, element.key, key), [ret(i + 1)])),
  ret(0),
];

/** A bound or key piece in memory. */
function bound(space: Space, base: Operand, offset: number, bits: number): Wide {
  const size = boundBytes(bits);
  if (size === 4) return [load(space, 4, base, offset)];
  return size === 8 ? [load(space, 8, base, offset)] : [load(space, 8, base, offset), load(space, 8, base, offset + 8)];
}

/** Branchless binary search: `found` ranges start at or before the key; the last of them may hold it. */
function interval(layout: SetLayout, key: Wide): Step[] {
  if (layout.record !== 0) return changingInterval(layout, key);
  const { set: def, space, offset, rows, room: padded } = layout;
  const [{ bits }] = def.key;
  const size = boundBytes(bits);
  const found = local("found");
  const lasts = offset + padded * size;
  const steps: Step[] = [set(found, 0)];
  const next = local("next");
  for (let half = padded / 2; half >= 1; half /= 2) {
    const starts = eqz(below(key, bound(space, mul(next, size), offset - size, bits)));
    steps.push(set(next, add(found, half)), set(found, select(and(le(next, rows), starts), next, found)));
  }
  return [
    ...steps,
    when(eqz(found), [ret(0)]),
    when(below(bound(space, mul(found, size), lasts - size, bits), key), [ret(0)]),
    ret(found),
  ];
}

/** The same, as long as the record says. */
function changingInterval(layout: SetLayout, key: Wide): Step[] {
  const [{ bits }] = layout.set.key;
  const size = boundBytes(bits);
  const [found, next, half, rows] = [local("found"), local("next"), local("half"), local("rows")];
  const [firsts, lasts] = [local("firsts"), local("lasts")];
  const starts = eqz(below(key, bound("image", add(firsts, mul(next, size)), 0, bits)));
  return [
    set(rows, word(layout, "rows", 0)),
    set(half, word(layout, "half", 0)),
    // One before the first: numbers count from 1.
    set(firsts, sub(word(layout, "structure", 0), size)),
    set(lasts, add(firsts, mul(half, 2 * size))),
    set(found, 0),
    repeat(
      MOST_HALVINGS,
      "halves",
      [
        when(eqz(half), [leave("halves")]),
        set(next, add(found, half)),
        when(le(next, rows), [set(found, select(starts, next, found))]),
        set(half, shr(half, 1)),
      ],
      halvings(layout.room),
    ),
    when(eqz(found), [ret(0)]),
    when(below(bound("image", add(lasts, mul(found, size)), 0, bits), key), [ret(0)]),
    ret(found),
  ];
}
const MOST_HALVINGS = 32;
/** With the round that finds nothing left to halve. */
const halvings = (room: number): number => Math.log2(Math.max(room, 1)) + 1;

/** Open addressing: slots from the key's hash on, until it is found or a slot is free. */
function hash(layout: SetLayout, key: readonly Wide[]): Step[] {
  const { set: def } = layout;
  const space = spaceOf(layout);
  const rows = word(layout, "rows", layout.rows);
  const offset = word(layout, "structure", layout.offset);
  const size = slotBytes(def);
  const at = local("at");
  const slot = local("slot");
  const words = key.flatMap((part, i) => wordsOf(part, def.key[i].bits));
  const held: Reg[] = words.map((_, i) => local(`word${i}`));
  const same = held.map((word, i) => eq(word, load(space, 4, slot, 4 + 4 * i))).reduce(and);
  return [
    ...held.map((word, i) => set(word, words[i])),
    set(at, 0),
    ...held.map((word) => set(at, mul(xor(binary("rotl", at, i32(SET_HASH_ROTATE)), word), SET_HASH_FACTOR))),
    set(at, xor(at, shr(at, 16))),
    repeat(
      rows,
      "slots",
      [
        set(at, and(at, sub(rows, 1))),
        set(slot, add(mul(at, size), offset)),
        when(eqz(load(space, 4, slot)), [ret(0)]),
        when(same, [ret(add(at, 1))]),
        set(at, add(at, 1)),
      ],
      layout.longest,
    ),
    ret(0),
  ];
}

/** One element after the other, in their order. */
function list(layout: SetLayout, key: readonly Wide[]): Step[] {
  const { set: def } = layout;
  const space = spaceOf(layout);
  const row = local("row");
  const number = local("number");
  let at = 0;
  const tests = def.key.map(({ bits }, i) => {
    const first = bound(space, row, at, bits);
    const last = bound(space, row, at + boundBytes(bits), bits);
    at += 2 * boundBytes(bits);
    return and(eqz(below(key[i], first)), eqz(below(last, key[i])));
  });
  return [
    set(row, word(layout, "structure", layout.offset)),
    set(number, 0),
    repeat(
      word(layout, "rows", layout.rows),
      "elements",
      [set(number, add(number, 1)), when(tests.reduce(and), [ret(number)]), set(row, add(row, rowBytes(def)))],
      layout.rows,
    ),
    ret(0),
  ];
}

/** The longest prefix: a key of 32 bits in a register, a wider one at `probe`, as an address stands in a packet. */
function lpm(layout: SetLayout, key: Wide, probe: Expr): Step[] {
  const [{ bits }] = layout.set.key;
  const family = lpmFamily(bits);
  const structure = word(layout, "structure", layout.offset);
  const found = (address: Operand): Step => ret(call(lpmProcName("blocks", family), [structure, address]));
  if (family === 4) return [found(bits === 32 ? key[0] : shl(key[0], 32 - bits))];
  return [...laidOut("image", probe, key, bits), found(probe)];
}

/** A value, left-aligned in 16 bytes, as it would stand in a packet. */
export function laidOut(space: Space, at: Expr, value: Wide, bits: number): Step[] {
  const words = wordsOf(shifted(resized(value, bits, 128), 128, "left", 128 - bits), 128);
  return words.map((word, i) => store(space, 4, at, 12 - 4 * i, unary("bswap32", word)));
}
