/**
 * Code for `blocks` (runtime/lpm/blocks.ts), in two forms of the same step.
 *
 *   for a shape      straight-line: one shift, mask, add and load a level, everything but the levels' offsets constant
 *   for any image    a loop over the level descriptors in the header; the trip count is the table's, so it predicts
 */
import { BLOCKS, type BlockLevel, type BlockShape, blockShape, TWICE } from "../../runtime/lpm/blocks.ts";
import type { LpmImage } from "../../runtime/lpm/lpm.ts";
import type { Family } from "../../runtime/net/ip.ts";
import {
  add,
  and,
  type Expr,
  expr,
  load,
  local,
  mul,
  type Operand,
  or,
  type Reg,
  repeat,
  type Space,
  type Step,
  set,
  shl,
  shr,
  sub,
  when,
} from "../plan/ir.ts";
import type { Lane, LookupCode } from "./lookup.ts";

/** @param name before those of its registers, where there is another such look-up */
export const blocksLookup = (family: Family, base: Reg, shape: BlockShape | null, name = ""): LookupCode =>
  shape === null ? anyShape(family, base) : fixedShape(family, base, shape, name);

/** The word that a level's bits are taken from. */
const wordOf = (family: Family, { address, behind = 0 }: Lane, byte: Operand): Expr =>
  family === 4
    ? expr(address)
    : typeof byte === "number"
      ? load("image", 2, address, behind + byte)
      : load("image", 2, add(address, byte), behind);

/** What code for a shape sets before the first look-up: where block 0 of each level is, and the value table. */
export const placesOf = (
  { levels }: BlockShape,
  name = "",
): { readonly offsets: readonly Reg[]; readonly values: Reg } => ({
  offsets: levels.map((_, k) => local(`${name}level${k}`)),
  values: local(`${name}values`),
});

function fixedShape(family: Family, base: Reg, shape: BlockShape, name: string): LookupCode {
  const { levels, indirect } = shape;
  const { offsets, values } = placesOf(shape, name);
  return {
    prologue: [
      ...offsets.map((reg, k) => set(reg, add(base, load("image", 4, base, BLOCKS.LEVEL + k * BLOCKS.LEVEL_BYTES)))),
      ...(indirect ? [set(values, add(base, load("image", 4, base, BLOCKS.VALUES)))] : []),
    ],
    body: (lanes) => [
      ...levels.flatMap((level, k) =>
        lanes.map((lane) => {
          const place = { space: "image", base: offsets[k], offset: 0 } as const;
          return fixedStep(place, ...fieldOf(family, lane, level), lane.value, k === 0);
        }),
      ),
      ...(indirect ? lanes.map(({ value }) => set(value, load("image", 4, add(values, shl(value, 2))))) : []),
    ],
  };
}

/** Where a lane's cell of the root is. */
export function rootCell(family: Family, shape: BlockShape, lane: Lane): Expr {
  const { offsets } = placesOf(shape);
  const [level, word] = fieldOf(family, lane, shape.levels[0]);
  return add(offsets[0], scaledIndex(word.value, level, Math.log2(level.cellBytes), word.bits));
}

/** A level's bits, as a number of a byte where they are one: then there is nothing to shift or mask. */
function fieldOf(family: Family, lane: Lane, level: BlockLevel): [BlockLevel, { value: Expr; bits: number }] {
  const { byte, shift, stride } = level;
  if (family === 6 && shift === 8 && stride === 8) {
    const value = load("image", 1, lane.address, (lane.behind ?? 0) + byte + 1);
    return [
      { ...level, shift: 0 },
      { value, bits: 8 },
    ];
  }
  return [level, { value: wordOf(family, lane, byte), bits: family === 4 ? 32 : 16 }];
}

/** A structure that stays as and where it is. */
export interface PlacedBlocks {
  readonly shape: BlockShape;
  /** Offsets of the levels, and of the value table (0: none). */
  readonly levels: readonly number[];
  readonly values: number;
}

/** Offsets of a structure whose image is at `offset`. */
export function placedBlocks(image: LpmImage, offset: number): PlacedBlocks {
  const view = new DataView(image.bytes.buffer, image.bytes.byteOffset);
  const shape = blockShape(image);
  const levels = shape.levels.map((_, k) => offset + view.getUint32(BLOCKS.LEVEL + k * BLOCKS.LEVEL_BYTES, true));
  return { shape, levels, values: shape.indirect ? offset + view.getUint32(BLOCKS.VALUES, true) : 0 };
}

/**
 * Looks up one value in it.
 * @param key a number of `bits` bits, the table being over numbers left-aligned in 32; or where a u16 of a longer one is read, by its byte
 */
export function placedLookup(
  { shape, levels, values }: PlacedBlocks,
  space: Space,
  key: { readonly number: Expr; readonly bits: number } | ((byte: number) => Expr),
  value: Reg,
): Step[] {
  const unused = typeof key === "function" ? 0 : 32 - key.bits;
  const steps = shape.levels.map((level, k) => {
    const word =
      typeof key === "function" ? { value: key(level.byte), bits: 16 } : { value: key.number, bits: key.bits };
    const place = { space, base: null, offset: levels[k] };
    return fixedStep(place, { ...level, shift: level.shift - unused }, word, value, k === 0);
  });
  return values === 0 ? steps : [...steps, set(value, load(space, 4, shl(value, 2), values))];
}

/** Where a level is: an offset from `base`, or from the start of its space. */
interface LevelPlace {
  readonly space: Space;
  readonly base: Reg | null;
  readonly offset: number;
}

function fixedStep(
  { space, base, offset }: LevelPlace,
  level: BlockLevel,
  word: { readonly value: Expr; readonly bits: number },
  value: Reg,
  root: boolean,
): Step {
  const { stride, cellBytes } = level;
  const log2 = Math.log2(cellBytes);
  const index = scaledIndex(word.value, level, log2, word.bits);
  const block = shl(value, stride + log2);
  if (base === null) return set(value, load(space, cellBytes, root ? index : add(block, index), offset));
  return set(value, load(space, cellBytes, root ? add(base, index) : add(add(base, block), index), offset));
}

/** ((word >>> shift) & (2^stride - 1)) << log2, one operation less where the shifts can meet or the mask keeps all. */
function scaledIndex(read: Expr, { shift, stride }: BlockLevel, log2: number, readBits: number): Expr {
  const mask = 2 ** stride - 1;
  const isTwice = shift + stride > readBits; // of both bytes of a u16
  const [word, wordBits] = isTwice ? [mul(read, TWICE), 32] : [read, readBits];
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
  const step = (lane: Lane): Step => {
    const { value } = lane;
    const word = wordOf(family, lane, byte);
    const index = and(shr(family === 4 ? word : mul(word, TWICE), shift), mask);
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
