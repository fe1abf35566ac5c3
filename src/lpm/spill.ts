/**
 * Code for `spill` (runtime/lpm/spill.ts): `main` for all lanes, then, for each that it does not settle, `rest` by a branch.
 */
import type { BlockShape } from "../../runtime/lpm/blocks.ts";
import { SPILL, SPILLED, type SpillShape } from "../../runtime/lpm/spill.ts";
import {
  add,
  type Expr,
  eq,
  expr,
  load,
  local,
  or,
  type Reg,
  type Step,
  set,
  shl,
  store,
  vector,
  when,
} from "../plan/ir.ts";
import { blocksLookup } from "./blocks.ts";
import { blocksSimd, oneByOne, SIMD_LANES, type VectorBatch, type VectorCode } from "./blocks-simd.ts";
import type { Lane, LookupCode } from "./lookup.ts";

/** Where `main` is, and the code for it. */
function mainLookup(base: Reg, shape: BlockShape | null): LookupCode {
  const main = local("main");
  const { prologue, body } = blocksLookup(4, main, shape);
  return { prologue: [set(main, add(base, SPILL.MAIN)), ...prologue], body };
}

/** Looks a lane up in `rest`. */
function restSteps(base: Reg, shape: BlockShape | null, lane: Lane): Step[] {
  const rest = local("rest");
  const { prologue, body } = blocksLookup(4, rest, shape, "rest");
  return [set(rest, add(base, load("image", 4, base, SPILL.REST))), ...prologue, ...body([lane])];
}

export function spillLookup(base: Reg, shape: SpillShape | null): LookupCode {
  const main = mainLookup(base, shape?.main ?? null);
  const numbers = local("numbers");
  /** Whether numbers stand for values is known, or read. */
  const settled = ({ value }: Lane): Step[] => {
    const look = set(value, load("image", 4, add(add(base, numbers), shl(value, 2))));
    if (shape === null) return [when(numbers, [look])];
    return shape.numbered ? [look] : [];
  };
  return {
    prologue: [
      ...main.prologue,
      ...(shape === null || shape.numbered ? [set(numbers, load("image", 4, base, SPILL.VALUES))] : []),
    ],
    body: (lanes) => [
      ...main.body(lanes),
      ...lanes.map((lane) => when(eq(lane.value, SPILLED), restSteps(base, shape?.rest ?? null, lane), settled(lane))),
    ],
  };
}

/** With SIMD: a round in `main`, then those that it does not settle one by one. Numbers are the values. */
export function spillSimd(
  base: Reg,
  shape: SpillShape,
  batch: Pick<VectorBatch, "addresses" | "out" | "resultBytes">,
): VectorCode {
  const { out, resultBytes } = batch;
  const single = mainLookup(base, shape.main);
  const numbers = Array.from({ length: SIMD_LANES[4] / 16 }, (_, i) => local(`numbers${i}`, "v128"));
  const use = (group: number, results: Reg): Step[] => [
    ...Array.from({ length: resultBytes }, (_, i) =>
      store("image", 16, out, 16 * (group * resultBytes + i), widened(results, resultBytes, i)),
    ),
    set(numbers[group], results),
  ];
  const main = blocksSimd(4, shape.main, { ...batch, resultBytes: 1, single, zeroEnds: false, use });
  const spilled = local("spilled");
  const masks = numbers.map((reg, i) => shl(vector("equal1", [reg, vector("splat", [-1])]), 16 * i));
  return {
    prologue: [...single.prologue, ...main.prologue],
    round: [
      ...main.round,
      set(spilled, masks.reduce(or)),
      ...oneByOne(4, spilled, batch, (lane) => restSteps(base, shape.rest, lane)),
    ],
  };
}

/** Part `i` of 16 bytes as so many elements of `bytes`. */
function widened(from: Reg, bytes: 1 | 2 | 4, i: number): Expr {
  return bytes === 1 ? expr(from) : vector(bytes === 2 ? "halves" : "widen1", [from], { lane: i });
}
