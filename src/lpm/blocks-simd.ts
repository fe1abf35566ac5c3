/**
 * Code for batches of IPv4 look-ups in `blocks` (runtime/lpm/blocks.ts) with SIMD. WebAssembly cannot gather, so cells are
 * loaded one by one as ever; but where they are is computed for four addresses at once, and results are put together in a
 * vector that is stored once. Fewer instructions a look-up mean more of them in flight: a machine looks ahead by
 * instructions, so that is how many cache misses overlap (1.4 to 1.6 times as fast as without, src/EXPERIMENTS.md).
 *
 *   addresses  a0 a1 a2 a3 | a4 ...                      one load for four
 *   level 0    (a >> shift & mask) + offset              four at once; each word then is the address of a cell
 *   level k    the same, to which each adds its cell of level k - 1, shifted
 *   the last   cells go into a vector of 16, 8 or 4 results, when they are results and as wide
 */
import type { BlockLevel, BlockShape } from "../../runtime/lpm/blocks.ts";
import { add, type Expr, i32, load, local, type Reg, type Step, set, shl, store, vector } from "../plan/ir.ts";
import type { VectorOp } from "../plan/vector.ts";
import { placesOf } from "./blocks.ts";

/** Look-ups of a round: with 16 half as many misses overlap, with 64 registers run out (src/EXPERIMENTS.md). */
export const SIMD_LANES = 32;
const WORDS = 4;

export interface VectorCode {
  /** Behind the prologue of the look-up by single lanes: reads what that sets. */
  readonly prologue: readonly Step[];
  /** Looks up SIMD_LANES addresses and stores their results. */
  readonly round: readonly Step[];
}

/**
 * @param addresses register: offset of u32 in host order
 * @param out register: offset of the results
 */
export function blocksSimd(shape: BlockShape, addresses: Reg, out: Reg, resultBytes: 1 | 2 | 4): VectorCode {
  const { levels, indirect } = shape;
  const { offsets, values: table } = placesOf(shape);
  const quads = Array.from({ length: SIMD_LANES / WORDS }, (_, q) => q);
  const lanes = Array.from({ length: SIMD_LANES }, (_, i) => i);
  const ips = quads.map((q) => local(`ips${q}`, "v128"));
  const cells = quads.map((q) => local(`cells${q}`, "v128"));
  const values = lanes.map((i) => local(`value${i}`));
  const constants = levels.map((level, k) => constantsOf(level, offsets[k], k));
  const last = levels.length - 1;
  const gathers = levels[last].cellBytes === resultBytes && !indirect;

  const level = (k: number): Step[] => {
    const { cellBytes, stride } = levels[k];
    const at = (i: number): Expr => {
      const cell = vector("word", [cells[Math.floor(i / WORDS)]], { lane: i % WORDS });
      return k === 0 ? cell : add(shl(values[i], stride + Math.log2(cellBytes)), cell);
    };
    return [
      ...quads.map((q) => set(cells[q], cellAddresses(levels[k], ips[q], constants[k]))),
      ...(k === last && gathers
        ? gather(resultBytes, lanes.map(at), out)
        : lanes.map((i) => set(values[i], load("image", cellBytes, at(i))))),
    ];
  };
  return {
    prologue: constants.flatMap((each) => each.set),
    round: [
      ...quads.map((q) => set(ips[q], vector("load", [addresses], { offset: 4 * WORDS * q }))),
      ...levels.flatMap((_, k) => level(k)),
      ...(indirect ? values.map((value) => set(value, load("image", 4, add(table, shl(value, 2))))) : []),
      ...(gathers ? [] : lanes.map((i) => store("image", resultBytes, out, resultBytes * i, values[i]))),
    ],
  };
}

interface LevelConstants {
  readonly set: readonly Step[];
  readonly mask: Reg;
  readonly offset: Reg;
}

function constantsOf({ stride, cellBytes }: BlockLevel, from: Reg, k: number): LevelConstants {
  const [mask, offset] = [local(`mask${k}`, "v128"), local(`offset${k}`, "v128")];
  const bits = i32((2 ** stride - 1) * cellBytes);
  return { set: [set(mask, vector("splat", [bits])), set(offset, vector("splat", [from]))], mask, offset };
}

/** Four of the level's cells in its block 0: (ip >>> shift & (2^stride - 1)) << log2, and where the level is. */
function cellAddresses({ shift, cellBytes }: BlockLevel, ip: Reg, { mask, offset }: LevelConstants): Expr {
  const right = shift - Math.log2(cellBytes);
  const moved = right >= 0 ? vector("shr", [ip, i32(right)]) : vector("shl", [ip, i32(-right)]);
  return vector("add", [vector("and", [right === 0 ? ip : moved, mask]), offset]);
}

/** Cells into vectors, vectors into the batch. */
function gather(bytes: 1 | 2 | 4, at: readonly Expr[], out: Reg): Step[] {
  const results = local("results", "v128");
  const load: VectorOp = `load${bytes}`;
  const count = 16 / bytes;
  return at.flatMap((address, i) => {
    const lane = i % count;
    const before: Expr = lane === 0 ? vector("splat", [i32(0)]) : { kind: "reg", reg: results };
    const into = set(results, vector(load, [address, before], { lane }));
    return lane === count - 1 ? [into, store("image", 16, out, bytes * (i - lane), results)] : [into];
  });
}
