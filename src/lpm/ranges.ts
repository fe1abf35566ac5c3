/**
 * Code for `ranges` (runtime/lpm/ranges.ts).
 *
 *   for a shape      straight-line: of each node of the way 5 steps, 4 or 3 of a leaf; a step is a compare and a `select`
 *   for any image    a loop over the inner levels; of the leaves' forms the one that the header says
 */
import { RANGES, type RangesShape } from "../../runtime/lpm/ranges.ts";
import type { CellBytes } from "../../runtime/lpm/strides.ts";
import {
  add,
  type Expr,
  eq,
  load,
  local,
  lt,
  type Operand,
  type Reg,
  repeat,
  type Step,
  select,
  set,
  shl,
  shr,
  sub,
  when,
} from "../plan/ir.ts";
import type { Lane, LookupCode } from "./lookup.ts";

export const rangesLookup = (base: Reg, shape: RangesShape | null): LookupCode =>
  shape === null ? anyShape(base) : fixedShape(base, shape);

const root = local("root");
/** The node that a lane is at stands where its value will; and how far it has come in it. */
const inside = ({ value }: Lane): Reg => local(`${value.name}At`);

/** Passes over the bounds of each lane's node that are below its address: halving what is left, from so many bounds on. */
function search(lanes: readonly Lane[], bounds: number): Step[] {
  const steps = lanes.map(({ value }, i) => set(inside(lanes[i]), value));
  for (let left = bounds + 1; left > 1; left -= left >> 1) {
    const half = left >> 1;
    for (const lane of lanes) {
      const at = inside(lane);
      const isBelow = lt(load("image", 4, at, 4 * (half - 1)), lane.address);
      steps.push(set(at, select(isBelow, add(at, 4 * half), at)));
    }
  }
  return steps;
}

/** To the child: node n at root + 64 n has its i-th at root + 64 (17 n + 1 + i), which is 64 + 16 (64 n + 4 i) behind n. */
const descend = (lanes: readonly Lane[]): Step[] => [
  ...search(lanes, RANGES.BOUNDS),
  ...lanes.map((lane) => set(lane.value, add(add(shl(sub(inside(lane), root), 4), lane.value), RANGES.NODE_BYTES))),
];

/** From the leaf to the value. */
function answer(lanes: readonly Lane[], cellBytes: CellBytes, scale: Operand): Step[] {
  const { BOUNDS, CELLS } = RANGES.LEAF[cellBytes];
  const cells = lanes.map(({ value }) => local(`${value.name}Cell`));
  const cellAt = ({ value }: Lane, at: Reg): Expr =>
    cellBytes === 4
      ? load("image", 4, at, CELLS)
      : load("image", cellBytes, add(value, shr(sub(at, value), 2 - Math.log2(cellBytes))), CELLS);
  const origin = ({ value }: Lane): Expr =>
    cellBytes === 1
      ? shr(load("image", 4, value, RANGES.NODE_BYTES - 4), 8)
      : load("image", 4, value, RANGES.LEAF[2].ORIGIN);
  return [
    ...search(lanes, BOUNDS),
    ...lanes.map((lane, i) => set(cells[i], cellAt(lane, inside(lane)))),
    ...lanes.map((lane, i) => {
      const value = scale === 0 ? cells[i] : select(cells[i], shl(add(origin(lane), cells[i]), scale), 0);
      return set(lane.value, value);
    }),
  ];
}

const toRoot = (base: Reg): Step => set(root, add(base, RANGES.NODES));
const fromRoot = (lanes: readonly Lane[]): Step[] => lanes.map(({ value }) => set(value, root));

const fixedShape = (base: Reg, shape: RangesShape): LookupCode => ({
  prologue: [toRoot(base)],
  body: (lanes) => [...toLeaf(lanes, shape), ...answer(lanes, shape.cellBytes, shape.scale)],
});

const toLeaf = (lanes: readonly Lane[], { levels }: RangesShape): Step[] => [
  ...fromRoot(lanes),
  ...Array.from({ length: levels - 1 }, () => descend(lanes)).flat(),
];

/** The first half of a look-up: the lane's value is its leaf, of which nothing has been read. */
export const rangesDescent = (base: Reg, lane: Lane, shape: RangesShape): Step[] => [
  toRoot(base),
  ...toLeaf([lane], shape),
];

/** The other half, of a lane whose value is its leaf. */
export const rangesAnswer = (lane: Lane, { cellBytes, scale }: RangesShape): Step[] => answer([lane], cellBytes, scale);

function anyShape(base: Reg): LookupCode {
  const [levels, cellBytes, scale] = [local("levels"), local("cellBytes"), local("scale")];
  const byte = (at: number): Expr => load("image", 1, base, at);
  return {
    prologue: [
      toRoot(base),
      set(levels, load("image", 4, base, RANGES.LEVELS)),
      set(cellBytes, byte(RANGES.CELL_BYTES)),
      set(scale, byte(RANGES.SCALE)),
    ],
    body: (lanes) => [
      ...fromRoot(lanes),
      repeat(sub(levels, 1), `levels${lanes.length}`, descend(lanes), "levels"),
      when(eq(cellBytes, 1), answer(lanes, 1, scale), [
        when(eq(cellBytes, 2), answer(lanes, 2, scale), answer(lanes, 4, 0)),
      ]),
    ],
  };
}
