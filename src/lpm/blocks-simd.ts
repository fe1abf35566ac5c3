/**
 * Code for batches of look-ups in `blocks` (runtime/lpm/blocks.ts) with SIMD. WebAssembly cannot gather, so cells are
 * loaded one by one as ever; but where they are is computed for four addresses at once, and results are put together in a
 * vector that is stored once. Fewer instructions a look-up mean more of them in flight: a machine looks ahead by
 * instructions, so that is how many cache misses overlap (1.4 to 1.6 times as fast as without, src/EXPERIMENTS.md).
 *
 *   addresses  a0 a1 a2 a3 | a4 ...                      IPv4: one load for four
 *              a0.0 a1.0 a2.0 a3.0 | a0.1 ...            IPv6: by words, as many as the levels look at
 *   level 0    (a >> shift & mask) + offset              four at once; each word then is the address of a cell
 *   level k    the same, to which each adds its cell of level k - 1, shifted
 *   the last   cells go into a vector of 16, 8 or 4 results, when they are results and as wide
 *
 * A word of IPv6 is read little endian: the bits of one byte lie side by side in it, those of two are put together.
 */
import type { BlockLevel, BlockShape } from "../../runtime/lpm/blocks.ts";
import type { Family } from "../../runtime/net/ip.ts";
import {
  add,
  and,
  type Expr,
  expr,
  i32,
  load,
  local,
  mul,
  or,
  type Reg,
  type Step,
  set,
  shl,
  store,
  vector,
  when,
} from "../plan/ir.ts";
import type { VectorOp } from "../plan/vector.ts";
import { placesOf } from "./blocks.ts";

/**
 * Look-ups of a round. IPv4: with 16 half as many misses overlap, with 64 registers run out. IPv6: 32 are faster by a
 * sixth while addresses come from the caches, but take twice as long as 16 as soon as they come from memory (src/EXPERIMENTS.md).
 */
export const SIMD_LANES: Readonly<Record<Family, number>> = { 4: 32, 6: 16 };
const WORDS = 4;

export interface VectorCode {
  /** Behind the prologue of the look-up by single lanes: reads what that sets. */
  readonly prologue: readonly Step[];
  /** Looks up SIMD_LANES addresses and stores their results. */
  readonly round: readonly Step[];
}

export interface VectorBatch {
  /** Register: offset of u32 in host order, or of 16 bytes each in network order. */
  readonly addresses: Reg;
  /** Register: offset of the results. */
  readonly out: Reg;
  readonly resultBytes: 1 | 2 | 4;
  /**
   * A round whose cells of the root are all 0 ends there, as the shape's images have `zeroEnds`: most of the IPv6 space has
   * no routes, and few look-ups of routed addresses are in such a round by chance, so that the branch predicts.
   */
  readonly zeroEnds: boolean;
}

export function blocksSimd(family: Family, shape: BlockShape, batch: VectorBatch): VectorCode {
  const { addresses, out, resultBytes } = batch;
  const { levels, indirect } = shape;
  const { offsets, values: table } = placesOf(shape);
  const quads = Array.from({ length: SIMD_LANES[family] / WORDS }, (_, q) => q);
  const fields = fieldsOf(family, levels);
  const words = 1 + Math.max(...fields.flat().map(({ word }) => word));
  const ips = quads.map((q) => Array.from({ length: words }, (_, w) => local(`ips${q}_${w}`, "v128")));
  const cells = quads.map((q) => local(`cells${q}`, "v128"));
  const values = Array.from({ length: SIMD_LANES[family] }, (_, i) => local(`value${i}`));
  const masks = fields.map((parts, k) => parts.map((_, p) => local(`mask${k}_${p}`, "v128")));
  const bases = levels.map((_, k) => local(`offset${k}`, "v128"));
  const last = levels.length - 1;
  const gathers = levels[last].cellBytes === resultBytes && !indirect;
  const valueAt = (cell: Expr): Expr => (indirect ? load("image", 4, add(table, shl(cell, 2))) : cell);

  /** Four of the level's cells in its block 0. */
  const cellAddresses = (k: number, q: number): Expr => {
    const parts = fields[k].map(({ word, from, to }, p) => {
      const ip = expr(ips[q][word]);
      const moved = from > to ? vector("shr", [ip, from - to]) : from < to ? vector("shl", [ip, to - from]) : ip;
      return vector("and", [moved, masks[k][p]]);
    });
    return vector("add", [parts.reduce((high, low) => vector("or", [high, low])), bases[k]]);
  };
  const level = (k: number): Step[] => {
    const { cellBytes, stride } = levels[k];
    const at = (i: number): Expr => {
      const cell = vector("word", [cells[Math.floor(i / WORDS)]], { lane: i % WORDS });
      return k === 0 ? cell : add(shl(values[i], stride + Math.log2(cellBytes)), cell);
    };
    return [
      ...quads.map((q) => set(cells[q], cellAddresses(k, q))),
      ...(k === last && gathers
        ? gather(
            resultBytes,
            values.map((_, i) => at(i)),
            out,
          )
        : values.map((value, i) => set(value, load("image", cellBytes, at(i))))),
    ];
  };
  const below: Step[] = [
    ...levels.slice(1).flatMap((_, i) => level(1 + i)),
    ...(indirect ? values.map((value) => set(value, valueAt(expr(value)))) : []),
    ...(gathers ? [] : values.map((value, i) => store("image", resultBytes, out, resultBytes * i, value))),
  ];
  const early = batch.zeroEnds && last > 0;
  const zero = local("zero", "v128");
  const some = values.map((value) => expr(value)).reduce((a, b) => or(a, b));
  const same = Array.from({ length: (values.length * resultBytes) / 16 }, (_, i) =>
    store("image", 16, out, 16 * i, zero),
  );
  return {
    prologue: [
      ...bases.map((reg, k) => set(reg, vector("splat", [offsets[k]]))),
      ...fields.flatMap((parts, k) =>
        parts.map(({ bits, to }, p) => set(masks[k][p], vector("splat", [i32((2 ** bits - 1) * 2 ** to)]))),
      ),
      ...(early ? [set(zero, filled(resultBytes, valueAt(load("image", levels[last].cellBytes, offsets[last]))))] : []),
    ],
    round: [
      ...quads.flatMap((q) => loadAddresses(family, addresses, WORDS * q, ips[q])),
      ...level(0),
      ...(early ? [when(some, below, same)] : below),
    ],
  };
}

/** A value as often as it fits. */
function filled(bytes: 1 | 2 | 4, value: Expr): Expr {
  if (bytes === 4) return vector("splat", [value]);
  return vector("splat", [bytes === 1 ? mul(and(value, 0xff), 0x1010101) : mul(and(value, 0xffff), 0x10001)]);
}

/** Four addresses, from `first` on, word by word. */
function loadAddresses(family: Family, addresses: Reg, first: number, into: readonly Reg[]): Step[] {
  if (family === 4) return [set(into[0], vector("load", [addresses], { offset: 4 * first }))];
  const [a, b, c, d] = Array.from({ length: WORDS }, (_, i) => local(`read${i}`, "v128"));
  const [ab, cd] = [local("mixed0", "v128"), local("mixed1", "v128")];
  const two = (mix: "mix" | "mixHigh", regs: readonly Reg[]): Step[] => {
    const mixed = [set(ab, vector(mix, [a, b])), set(cd, vector(mix, [c, d]))];
    const split = regs.map((reg, i) => set(reg, vector(i === 0 ? "low" : "high", [ab, cd])));
    return regs.length > 0 ? [...mixed, ...split] : [];
  };
  return [
    ...[a, b, c, d].map((reg, i) => set(reg, vector("load", [addresses], { offset: 16 * (first + i) }))),
    ...two("mix", into.slice(0, 2)),
    ...two("mixHigh", into.slice(2)),
  ];
}

/** Bits of an address as they stand in one of its words, and where they go in the address of a cell. */
interface FieldPart {
  readonly word: number;
  readonly from: number;
  readonly bits: number;
  readonly to: number;
}

function fieldsOf(family: Family, levels: readonly BlockLevel[]): FieldPart[][] {
  let end = 0;
  return levels.map(({ shift, stride, cellBytes }): FieldPart[] => {
    const to = Math.log2(cellBytes);
    const depth = end;
    end += stride;
    if (family === 4) return [{ word: 0, from: shift, bits: stride, to }];
    if (depth === 0 && stride === 16) return [{ word: 0, from: 0, bits: 16, to }];
    const byte = depth >>> 3;
    const low = Math.max(0, end - 8 * (byte + 1)); // bits in the next byte
    const part = (at: number, from: number, bits: number, to: number): FieldPart => {
      return { word: at >>> 2, from: 8 * (at & 3) + from, bits, to };
    };
    if (low === 0) return [part(byte, 8 * (byte + 1) - end, stride, to)];
    return [part(byte, 0, stride - low, low + to), part(byte + 1, 8 - low, low, to)];
  });
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
