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
  gt,
  i32,
  load,
  local,
  mul,
  or,
  type Reg,
  repeat,
  type Step,
  set,
  shl,
  store,
  sub,
  unary,
  vector,
  when,
  xor,
} from "../plan/ir.ts";
import type { VectorOp } from "../plan/vector.ts";
import { placesOf, rootCell } from "./blocks.ts";
import type { Lane, LookupCode } from "./lookup.ts";

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
  /** The look-up by single lanes. */
  readonly single: LookupCode;
  /** Where the results are more than stored: what is done with each vector of them, where their cells are as wide. */
  readonly use?: (group: number, results: Reg) => Step[];
  /**
   * IPv6, where 0 in a cell of the root settles the answer, as the shape's images have `zeroEnds`: most of the IPv6 space has no routes, so
   * that often a round has few other cells. It then looks these up one by one.
   */
  readonly zeroEnds: boolean;
}

/** Of a round of 16 so many are still quicker one by one. */
const FEW = 4;

export function blocksSimd(family: Family, shape: BlockShape, batch: VectorBatch): VectorCode {
  const { addresses, out, resultBytes } = batch;
  const { levels, indirect } = shape;
  const { offsets, values: table } = placesOf(shape);
  const lanes = SIMD_LANES[family];
  const quads = Array.from({ length: lanes / WORDS }, (_, q) => q);
  const fields = fieldsOf(family, levels);
  const words = 1 + Math.max(...fields.flat().map(({ word }) => word));
  const ips = quads.map((q) => Array.from({ length: words }, (_, w) => local(`ips${q}_${w}`, "v128")));
  const cells = quads.map((q) => local(`cells${q}`, "v128"));
  const values = Array.from({ length: lanes }, (_, i) => local(`value${i}`));
  const bases = levels.map((_, k) => local(`offset${k}`, "v128"));
  const last = levels.length - 1;
  const gathers = levels[last].cellBytes === resultBytes && !indirect;
  const valueAt = (cell: Expr): Expr => (indirect ? load("image", 4, add(table, shl(cell, 2))) : cell);
  const scaleOf = (k: number): number => levels[k].stride + Math.log2(levels[k].cellBytes);

  /** Four of the level's cells in its block 0. */
  const cellAddresses = (k: number, q: number): Expr => {
    const parts = fields[k].map(({ word, from, bits, to }) => {
      const ip = expr(ips[q][word]);
      const moved = from > to ? vector("shr", [ip, from - to]) : from < to ? vector("shl", [ip, to - from]) : ip;
      return vector("and", [moved, vector("splat", [i32((2 ** bits - 1) * 2 ** to)])]);
    });
    return vector("add", [parts.reduce((high, low) => vector("or", [high, low])), bases[k]]);
  };
  /** @param roots where the cells of the level above are already in vectors */
  const level = (k: number, roots: readonly Reg[] = []): Step[] => {
    const { cellBytes } = levels[k];
    const addressesOf = (q: number): Expr => {
      if (roots.length === 0) return cellAddresses(k, q);
      return vector("add", [
        vector("shl", [quadOf(roots, levels[k - 1].cellBytes, q), scaleOf(k)]),
        cellAddresses(k, q),
      ]);
    };
    const at = (i: number): Expr => {
      const cell = vector("word", [cells[Math.floor(i / WORDS)]], { lane: i % WORDS });
      return k === 0 || roots.length > 0 ? cell : add(shl(values[i], scaleOf(k)), cell);
    };
    return [
      ...quads.map((q) => set(cells[q], addressesOf(q))),
      ...(k === last && gathers
        ? gather(
            resultBytes,
            values.map((_, i) => at(i)),
            batch.use ?? ((group, results) => [store("image", 16, out, 16 * group, results)]),
          )
        : values.map((value, i) => set(value, load("image", cellBytes, at(i))))),
    ];
  };
  const read = quads.flatMap((q) => loadAddresses(family, addresses, WORDS * q, ips[q]));
  const finish: Step[] = [
    ...(indirect ? values.map((value) => set(value, valueAt(expr(value)))) : []),
    ...(gathers ? [] : values.map((value, i) => store("image", resultBytes, out, resultBytes * i, value))),
  ];
  const below = (from: number): Step[] => levels.slice(from).flatMap((_, i) => level(from + i));
  const splats = bases.map((reg, k) => set(reg, vector("splat", [offsets[k]])));
  if (!batch.zeroEnds || last === 0) return { prologue: splats, round: [...read, ...below(0), ...finish] };

  const { cellBytes } = levels[0];
  const roots = Array.from({ length: (lanes * cellBytes) / 16 }, (_, i) => local(`roots${i}`, "v128"));
  const [some, zero] = [local("some"), local("zero", "v128")];
  const rootCells = values.map((value, i) => rootCell(family, shape, { address: addresses, behind: 16 * i, value }));
  const zeros = roots.map((reg, i) => {
    const equal = vector(cellBytes === 1 ? "equal1" : "equal2", [reg, vector("splat", [0])]);
    return shl(equal, (i * 16) / cellBytes);
  });
  return {
    prologue: [
      ...splats,
      set(zero, filled(resultBytes, valueAt(load("image", levels[last].cellBytes, offsets[last])))),
    ],
    round: [
      ...gather(cellBytes, rootCells, (group, cells) => [set(roots[group], cells)]),
      set(some, xor(zeros.reduce(or), 2 ** lanes - 1)),
      when(
        gt(unary("popcnt", some), FEW),
        [...read, ...level(1, roots), ...below(2), ...finish],
        [
          ...Array.from({ length: (lanes * resultBytes) / 16 }, (_, i) => store("image", 16, out, 16 * i, zero)),
          ...oneByOne(family, some, batch, (lane) => batch.single.body([lane])),
        ],
      ),
    ],
  };
}

/**
 * Looks up those of a round that a mask names, and stores their results.
 * @param mask register: bit i stands for address i; 0 afterwards
 */
export function oneByOne(
  family: Family,
  mask: Reg,
  { addresses, out, resultBytes }: Pick<VectorBatch, "addresses" | "out" | "resultBytes">,
  look: (lane: Lane) => Step[],
): Step[] {
  const which = local("which");
  const lane: Lane = { address: local("address"), value: local("value") };
  const at = add(addresses, shl(which, family === 4 ? 2 : 4));
  return [
    repeat(unary("popcnt", mask), "few", [
      set(which, sub(31, unary("clz", mask))),
      set(mask, xor(mask, shl(1, which))),
      set(lane.address, family === 4 ? load("image", 4, at) : at),
      ...look(lane),
      store("image", resultBytes, add(out, shl(which, Math.log2(resultBytes))), 0, lane.value),
    ]),
  ];
}

/** Cells 4 * q to 4 * q + 3 as words. */
function quadOf(vectors: readonly Reg[], cellBytes: 1 | 2 | 4, q: number): Expr {
  const quads = 4 / cellBytes; // in a vector
  const from = expr(vectors[Math.floor(q / quads)]);
  return cellBytes === 4 ? from : vector(cellBytes === 1 ? "widen1" : "widen2", [from], { lane: q % quads });
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

/** Cells into vectors. @param use of each vector that is full */
function gather(bytes: 1 | 2 | 4, at: readonly Expr[], use: (group: number, full: Reg) => Step[]): Step[] {
  const gathered = local("gathered", "v128");
  const load: VectorOp = `load${bytes}`;
  const count = 16 / bytes;
  return at.flatMap((address, i) => {
    const lane = i % count;
    const before: Expr = lane === 0 ? vector("splat", [i32(0)]) : expr(gathered);
    const into = set(gathered, vector(load, [address, before], { lane }));
    return lane === count - 1 ? [into, ...use((i - lane) / count, gathered)] : [into];
  });
}
