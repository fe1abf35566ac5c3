/**
 * Longest-prefix match in plan IR: one proc per structure and family that reads any image of it, or, given the shape of
 * one image, a proc specialised to all images of that shape (everything but offsets constant, no loop).
 *
 *   lpm_<kind>_<family>[_<shape>](base, address) : i32                  the value of the longest match, or 0
 *   lpm_<kind>_<family>[_<shape>]_x<lanes><width>(base, addresses, out, count)
 *                                                                       `count` of them, `lanes` interleaved, results
 *                                                                       of 1 (b), 2 (h) or 4 (w) bytes
 *   lpm_blocks_<family>_<shape>_simd<width>[_early](base, addresses, out, count)
 *                                                                       the same for engines with SIMD
 */
import { type BlockShape, blockShape, zeroEnds } from "../../runtime/lpm/blocks.ts";
import { LPM_STRUCTURES } from "../../runtime/lpm/choose.ts";
import { type Dir24Shape, dir24Shape } from "../../runtime/lpm/dir24.ts";
import { type LinearShape, linearShape } from "../../runtime/lpm/linear.ts";
import type { LpmImage, LpmKind } from "../../runtime/lpm/lpm.ts";
import { type PoptrieShape, poptrieShape } from "../../runtime/lpm/poptrie.ts";
import { type RangesShape, rangesShape } from "../../runtime/lpm/ranges.ts";
import { type SpillShape, spillShape } from "../../runtime/lpm/spill.ts";
import type { Family } from "../../runtime/net/ip.ts";
import { add, and, load, local, type Proc, type Reg, repeat, ret, type Step, set, shr, store } from "../plan/ir.ts";
import { blocksLookup } from "./blocks.ts";
import { blocksSimd, SIMD_LANES, type VectorCode } from "./blocks-simd.ts";
import { dir24Lookup } from "./dir24.ts";
import { linearLookup } from "./linear.ts";
import type { Lane, LookupCode } from "./lookup.ts";
import { poptrieLookup } from "./poptrie.ts";
import { rangesLookup } from "./ranges.ts";
import { spillLookup, spillSimd } from "./spill.ts";

/** What a specialised proc takes as constant. A patched image keeps its shape; a rebuilt one may not. */
export type LpmShape =
  | ({ readonly kind: "linear" } & LinearShape)
  | ({ readonly kind: "blocks" } & BlockShape)
  | ({ readonly kind: "dir24" } & Dir24Shape)
  | ({ readonly kind: "ranges" } & RangesShape)
  | ({ readonly kind: "poptrie" } & PoptrieShape)
  | ({ readonly kind: "spill" } & SpillShape);

/** More rows are compared in a loop: straight-line code for them would be longer than the table. */
const UNROLLED_ROWS = 16;

/** The shape of an image, null when code for it is not worth specialising. */
export function shapeOf(image: LpmImage): LpmShape | null {
  switch (image.kind) {
    case "linear":
      return image.prefixes <= UNROLLED_ROWS ? { kind: "linear", ...linearShape(image) } : null;
    case "blocks":
      return { kind: "blocks", ...blockShape(image) };
    case "dir24":
      return { kind: "dir24", ...dir24Shape(image) };
    case "ranges":
      return { kind: "ranges", ...rangesShape(image) };
    case "poptrie":
      return { kind: "poptrie", ...poptrieShape(image) };
    case "spill":
      return { kind: "spill", ...spillShape(image) };
  }
}

/** Bytes of an address in a batch's input. */
const addressBytes = (family: Family): 4 | 16 => (family === 4 ? 4 : 16);

/**
 * (base: offset of the image in memory, address: host-order IPv4 or offset of 16 bytes in network order) -> value or 0.
 * @param shape of the images it is called with; without one, any image of the kind and family
 * @throws RangeError when the structure does not do the family, or the shape is another kind's
 */
export function lpmProc(kind: LpmKind, family: Family, shape: LpmShape | null = null): Proc {
  const base = local("base");
  const lane: Lane = { address: local("address"), value: local("value") };
  return {
    name: lpmProcName(kind, family, shape),
    comment: `fib_table_lookup, longest match only: ${kind}, IPv${family}`,
    params: [base, lane.address],
    result: "i32",
    requires: [],
    body: [...lpmSteps(kind, family, base, lane, shape), ret(lane.value)],
    exported: false,
  };
}

/** What lpmProc does, as steps where the look-up is wanted: `lane` has the address, and gets the value. */
export function lpmSteps(kind: LpmKind, family: Family, base: Reg, lane: Lane, shape: LpmShape | null = null): Step[] {
  const { prologue, body } = lookupCode(kind, family, base, shape);
  return [...prologue, ...body([lane])];
}

/**
 * (base, addresses: offset of u32 in host order or of 16 bytes in network order each, out: offset of results, count):
 * stores the value of each address, or 0. Exported.
 * @param lanes a power of two: look-ups interleaved an iteration; what is left over goes one by one
 * @param resultBytes of a result, as many as the values need: what does not fit is cut off
 */
export function lpmBatchProc(
  kind: LpmKind,
  family: Family,
  lanes: number,
  shape: LpmShape | null = null,
  resultBytes: 1 | 2 | 4 = 4,
): Proc {
  const [base, addresses, out, count] = [local("base"), local("addresses"), local("out"), local("count")];
  const { prologue, body } = lookupCode(kind, family, base, shape);
  const all = Array.from(
    { length: lanes },
    (_, i): Lane =>
      family === 4
        ? { address: local(`address${i}`), value: local(`value${i}`) }
        : { address: addresses, behind: addressBytes(6) * i, value: local(`value${i}`) },
  );
  const rounds = (width: readonly Lane[]): Step[] => [
    ...(family === 4 ? width.map(({ address }, i) => set(address, load("image", 4, addresses, 4 * i))) : []),
    ...body(width),
    ...width.map(({ value }, i) => store("image", resultBytes, out, resultBytes * i, value)),
    set(addresses, add(addresses, width.length * addressBytes(family))),
    set(out, add(out, resultBytes * width.length)),
  ];
  return {
    name: `${lpmProcName(kind, family, shape)}_x${lanes}${CELL_LETTERS[resultBytes]}`,
    comment: `${lanes} look-ups at a time: ${kind}, IPv${family}`,
    params: [base, addresses, out, count],
    result: null,
    requires: [],
    body: [
      ...prologue,
      repeat(shr(count, Math.log2(lanes)), "wide", rounds(all)),
      ...(lanes > 1 ? [repeat(and(count, lanes - 1), "rest", rounds(all.slice(0, 1)))] : []),
    ],
    exported: true,
  };
}

/**
 * As lpmBatchProc, for images of `blocks` or `spill` with one's shape and an engine with SIMD.
 * @param image of a shape; code that ends early (blocksSimd) is for images that do, as this one does or does not
 * @throws RangeError for a structure without such code
 */
export function lpmSimdBatchProc(image: LpmImage, resultBytes: 1 | 2 | 4 = 4): Proc {
  const { family } = image;
  const shape = shapeOf(image);
  if (shape?.kind !== "blocks" && (shape?.kind !== "spill" || shape.numbered))
    throw new RangeError(`no SIMD code for ${image.kind}`);
  const single = lpmBatchProc(image.kind, family, 1, shape, resultBytes);
  const [base, addresses, out, count] = single.params;
  const batch = { addresses, out, resultBytes };
  const early = shape.kind === "blocks" && family === 6 && zeroEnds(image);
  const ofBlocks = (blocks: BlockShape): VectorCode => {
    const lookup = blocksLookup(family, base, blocks);
    const { prologue, round } = blocksSimd(family, blocks, { ...batch, single: lookup, zeroEnds: early });
    return { prologue: [...lookup.prologue, ...prologue], round };
  };
  const simd = shape.kind === "blocks" ? ofBlocks(shape) : spillSimd(base, shape, batch);
  const lanes = SIMD_LANES[family];
  const round: Step[] = [
    ...simd.round,
    set(addresses, add(addresses, lanes * addressBytes(family))),
    set(out, add(out, lanes * resultBytes)),
  ];
  return {
    ...single,
    name: `${lpmProcName(image.kind, family, shape)}_simd${CELL_LETTERS[resultBytes]}${early ? "_early" : ""}`,
    comment: `${lanes} look-ups at a time, with SIMD: ${image.kind}, IPv${family}`,
    body: [
      ...simd.prologue,
      repeat(shr(count, Math.log2(lanes)), "wide", round),
      set(count, and(count, lanes - 1)),
      ...single.body,
    ],
  };
}

/** @throws RangeError as lpmProc */
function lookupCode(kind: LpmKind, family: Family, base: Reg, shape: LpmShape | null): LookupCode {
  if (shape !== null && shape.kind !== kind) throw new RangeError(`a shape of ${shape.kind} for ${kind}`);
  if (!LPM_STRUCTURES[kind].families.includes(family)) throw new RangeError(`${kind} is not for IPv${family}`);
  switch (kind) {
    case "linear":
      return linearLookup(family, base, shape?.kind === "linear" ? shape : null);
    case "blocks":
      return blocksLookup(family, base, shape?.kind === "blocks" ? shape : null);
    case "dir24":
      return dir24Lookup(base, shape?.kind === "dir24" ? shape : null);
    case "ranges":
      return rangesLookup(base, shape?.kind === "ranges" ? shape : null);
    case "poptrie":
      return poptrieLookup(base, shape?.kind === "poptrie" ? shape : null);
    case "spill":
      return spillLookup(base, shape?.kind === "spill" ? shape : null);
  }
}

/** Widths in names. */
const CELL_LETTERS = { 1: "b", 2: "h", 4: "w" } as const;

/** `lpm_blocks_4`; with a shape `lpm_ranges_4_2b_6`: levels, cells, scale; `lpm_linear_4_3`, `lpm_blocks_4_20h_4h_8b_values`: strides, each with the width of its cells. */
export function lpmProcName(kind: LpmKind, family: Family, shape: LpmShape | null = null): string {
  const parts = [`lpm_${kind}_${family}`];
  if (shape?.kind === "linear") {
    parts.push(`${shape.rows}`);
  } else if (shape?.kind === "blocks") {
    parts.push(...partsOf(shape));
  } else if (shape?.kind === "dir24") {
    parts.push(`${CELL_LETTERS[shape.cellBytes]}${shape.long ? "" : "_short"}`);
  } else if (shape?.kind === "ranges") {
    parts.push(`${shape.levels}${CELL_LETTERS[shape.cellBytes]}`, ...(shape.scale === 0 ? [] : [`${shape.scale}`]));
  } else if (shape?.kind === "poptrie") {
    parts.push(`${shape.directBits}`, CELL_LETTERS[shape.leafBytes]);
  } else if (shape?.kind === "spill") {
    parts.push(...partsOf(shape.main), ...(shape.numbered ? ["numbered"] : []), "rest", ...partsOf(shape.rest));
  }
  return parts.join("_");
}

const partsOf = ({ levels, indirect }: BlockShape): string[] => [
  ...levels.map(({ stride, cellBytes }) => `${stride}${CELL_LETTERS[cellBytes]}`),
  ...(indirect ? ["values"] : []),
];
