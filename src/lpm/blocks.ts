/**
 * Code for `blocks` (runtime/lpm/blocks.ts), in two forms of the same step.
 *
 *   for a shape      straight-line: one shift, mask, add and load a level, everything but the levels' offsets constant
 *   for any image    a loop over the level descriptors in the header; the trip count is the table's, so it predicts
 */
import { BLOCKS, type BlockLevel, type BlockShape } from "../../runtime/lpm/blocks.ts";
import type { Family } from "../../runtime/net/ip.ts";
import {
  add,
  and,
  type Expr,
  expr,
  load,
  local,
  type Operand,
  or,
  type Reg,
  repeat,
  type Step,
  set,
  shl,
  shr,
  sub,
  when,
} from "../plan/ir.ts";
import type { Lane, LookupCode } from "./lookup.ts";

export const blocksLookup = (family: Family, base: Reg, shape: BlockShape | null): LookupCode =>
  shape === null ? anyShape(family, base) : fixedShape(family, base, shape);

/** The word that a level's bits are taken from. */
const wordOf = (family: Family, address: Reg, byte: Operand): Expr =>
  family === 4
    ? expr(address)
    : typeof byte === "number"
      ? load("image", 2, address, byte)
      : load("image", 2, add(address, byte));

/** What code for a shape sets before the first look-up: where block 0 of each level is, and the value table. */
export const placesOf = ({ levels }: BlockShape): { readonly offsets: readonly Reg[]; readonly values: Reg } => ({
  offsets: levels.map((_, k) => local(`level${k}`)),
  values: local("values"),
});

function fixedShape(family: Family, base: Reg, shape: BlockShape): LookupCode {
  const { levels, indirect } = shape;
  const { offsets, values } = placesOf(shape);
  return {
    prologue: [
      ...offsets.map((reg, k) => set(reg, add(base, load("image", 4, base, BLOCKS.LEVEL + k * BLOCKS.LEVEL_BYTES)))),
      ...(indirect ? [set(values, add(base, load("image", 4, base, BLOCKS.VALUES)))] : []),
    ],
    body: (lanes) => [
      ...levels.flatMap((level, k) => lanes.map((lane) => fixedStep(family, offsets[k], level, lane, k === 0))),
      ...(indirect ? lanes.map(({ value }) => set(value, load("image", 4, add(values, shl(value, 2))))) : []),
    ],
  };
}

function fixedStep(family: Family, offset: Reg, level: BlockLevel, { address, value }: Lane, root: boolean): Step {
  const { byte, stride, cellBytes } = level;
  const log2 = Math.log2(cellBytes);
  const index = scaledIndex(wordOf(family, address, byte), level, log2, family === 4 ? 32 : 16);
  const at = root ? add(offset, index) : add(add(offset, shl(value, stride + log2)), index);
  return set(value, load("image", cellBytes, at));
}

/** ((word >>> shift) & (2^stride - 1)) << log2, one operation less where the shifts can meet or the mask keeps all. */
function scaledIndex(word: Expr, { shift, stride }: BlockLevel, log2: number, wordBits: 16 | 32): Expr {
  const mask = 2 ** stride - 1;
  if (shift + stride === wordBits) return scaled(shift === 0 ? word : shr(word, shift), log2);
  if (shift < log2) return shl(and(shift === 0 ? word : shr(word, shift), mask), log2);
  return and(shift === log2 ? word : shr(word, shift - log2), mask * 2 ** log2);
}

const scaled = (index: Expr, log2: number): Expr => (log2 === 0 ? index : shl(index, log2));

function anyShape(family: Family, base: Reg): LookupCode {
  const [level, offset, byte, shift] = [local("level"), local("offset"), local("byte"), local("shift")];
  const [stride, mask, log2, cellMask] = [local("stride"), local("mask"), local("log2"), local("cellMask")];
  const readLevel: Step[] = [
    set(offset, add(base, load("image", 4, level))),
    set(byte, load("image", 1, level, BLOCKS.BYTE)),
    set(shift, load("image", 1, level, BLOCKS.SHIFT)),
    set(stride, load("image", 1, level, BLOCKS.STRIDE)),
    set(mask, sub(shl(1, stride), 1)),
    set(log2, load("image", 1, level, BLOCKS.LOG2)),
    set(cellMask, shr(-1, sub(32, shl(8, log2)))), // 8, 16 or 32 bits
    set(level, add(level, BLOCKS.LEVEL_BYTES)),
  ];
  const step = ({ address, value }: Lane): Step => {
    const index = and(shr(wordOf(family, address, byte), shift), mask);
    const cell = shl(or(shl(value, stride), index), log2);
    return set(value, and(load("image", 4, add(offset, cell)), cellMask));
  };
  const values = load("image", 4, base, BLOCKS.VALUES);
  return {
    prologue: [],
    body: (lanes) => [
      ...lanes.map(({ value }) => set(value, 0)),
      set(level, add(base, BLOCKS.LEVEL)),
      repeat(
        load("image", 4, base, BLOCKS.LEVELS),
        `levels${lanes.length}`,
        [...readLevel, ...lanes.map(step)],
        "levels",
      ),
      when(
        values,
        lanes.map(({ value }) => set(value, load("image", 4, add(add(base, values), shl(value, 2))))),
      ),
    ],
  };
}
