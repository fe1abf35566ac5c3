/**
 * The look-ups in plain JavaScript over typed arrays, as good as we can write them: what WebAssembly is compared with.
 * They read the same images. A twin fills out[i] for every address; IPv4 as u32 values, IPv6 as bytes.
 */
import { BLOCKS, type BlockLevel, blockShape, TWICE } from "../../runtime/lpm/blocks.ts";
import { DIR24, dir24Shape, longFlag } from "../../runtime/lpm/dir24.ts";
import { LINEAR } from "../../runtime/lpm/linear.ts";
import type { LpmImage, LpmKind } from "../../runtime/lpm/lpm.ts";
import { POPTRIE, poptrieShape } from "../../runtime/lpm/poptrie.ts";
import { RANGES, rangesShape } from "../../runtime/lpm/ranges.ts";
import { SPILL, SPILLED, spillParts, spillShape } from "../../runtime/lpm/spill.ts";

export type Twin = (addresses: Uint8Array, out: Uint32Array) => void;
type Cells = Uint8Array | Uint16Array | Uint32Array;

/** null when there is none for the image. */
export function twinOf(image: LpmImage): Twin | null {
  if (image.family === 6) return image.kind === "blocks" ? blocksTwin(image) : null;
  return TWINS[image.kind](image);
}

const TWINS: Readonly<Record<LpmKind, (image: LpmImage) => Twin>> = {
  linear: linearTwin,
  blocks: blocksTwin,
  dir24: dir24Twin,
  ranges: rangesTwin,
  poptrie: poptrieTwin,
  spill: spillTwin,
};

const u32 = (bytes: Uint8Array): Uint32Array => new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);

function cellsOf({ bytes }: LpmImage, offset: number, cellBytes: number): Cells {
  const length = Math.floor((bytes.byteLength - offset) / cellBytes);
  const start = bytes.byteOffset + offset;
  if (cellBytes === 1) return new Uint8Array(bytes.buffer, start, length);
  if (cellBytes === 2) return new Uint16Array(bytes.buffer, start, length);
  return new Uint32Array(bytes.buffer, start, length);
}

function linearTwin(image: LpmImage): Twin {
  const rows = u32(image.bytes.subarray(LINEAR.ENTRIES));
  return (addresses, out) => {
    const ips = u32(addresses);
    for (let i = 0; i < out.length; i++) {
      const ip = ips[i];
      let value = 0;
      for (let row = 0; row < rows.length; row += 3) {
        if (((ip & rows[row + 1]) ^ rows[row]) !== 0) continue;
        value = rows[row + 2];
        break;
      }
      out[i] = value;
    }
  };
}

function dir24Twin(image: LpmImage): Twin {
  const { cellBytes } = dir24Shape(image);
  const first = cellsOf(image, DIR24.CELLS, cellBytes);
  const long = cellsOf(image, u32(image.bytes)[DIR24.LONG_BLOCKS / 4], cellBytes);
  const flag = longFlag(cellBytes);
  return (addresses, out) => {
    const ips = u32(addresses);
    for (let i = 0; i < out.length; i++) {
      const cell = first[ips[i] >>> 8];
      out[i] = cell < flag ? cell : long[((cell - flag) << 8) | (ips[i] & 255)];
    }
  };
}

function rangesTwin(image: LpmImage): Twin {
  const { levels, cellBytes, scale } = rangesShape(image);
  const words = u32(image.bytes);
  const layout = RANGES.LEAF[cellBytes];
  const cells = cellsOf(image, layout.CELLS, cellBytes);
  const cellsOfWord = 4 / cellBytes;
  const first = RANGES.NODES / 4;
  /** Word behind the bounds from `at` on that are below the address. */
  const behind = (ip: number, at: number, bounds: number): number => {
    for (let left = bounds + 1; left > 1; ) {
      const half = left >> 1;
      if (words[at + half - 1] < ip) at += half;
      left -= half;
    }
    return at;
  };
  return (addresses, out) => {
    const ips = u32(addresses);
    for (let i = 0; i < out.length; i++) {
      let node = first;
      for (let level = 1; level < levels; level++)
        node += 16 * (behind(ips[i], node, RANGES.BOUNDS) - first) + RANGES.NODE_BYTES / 4;
      const cell = cells[node * cellsOfWord + behind(ips[i], node, layout.BOUNDS) - node];
      const origin = cellBytes === 1 ? words[node + 15] >>> 8 : words[node + 14];
      out[i] = cell === 0 || scale === 0 ? cell : (origin + cell) << scale;
    }
  };
}

/** Vectors as two words each, as JavaScript counts no bits of 64. */
function poptrieTwin(image: LpmImage): Twin {
  const { directBits, leafBytes } = poptrieShape(image);
  const words = u32(image.bytes);
  const leaves = cellsOf(image, words[POPTRIE.LEAVES / 4], leafBytes);
  const { NODE, NODE_BITS } = POPTRIE;
  const count = (bits: number): number => {
    bits -= (bits >>> 1) & 0x55555555;
    bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
    return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  };
  const upTo = (at: number, v: number): number =>
    v < 32 ? count(words[at] & ((2 << v) - 1)) - 1 : count(words[at]) + count(words[at + 1] & ((2 << v) - 1)) - 1;
  const nodeAt = (node: number): number => (words[POPTRIE.NODES / 4] + node * NODE.BYTES) / 4;
  return (addresses, out) => {
    const ips = u32(addresses);
    for (let i = 0; i < out.length; i++) {
      const cell = words[POPTRIE.DIRECT / 4 + (ips[i] >>> (32 - directBits))];
      if (cell >= POPTRIE.DIRECT_LEAF) {
        out[i] = cell - POPTRIE.DIRECT_LEAF;
        continue;
      }
      let at = nodeAt(cell);
      let depth = directBits;
      let v = (ips[i] << depth) >>> (32 - NODE_BITS);
      while ((words[at + (v >>> 5)] >>> (v & 31)) & 1) {
        at = nodeAt(words[at + NODE.FIRST / 4] + upTo(at + NODE.VECTOR / 4, v));
        depth += NODE_BITS;
        v = (ips[i] << depth) >>> (32 - NODE_BITS);
      }
      out[i] = leaves[words[at + NODE.LEAVES / 4] + upTo(at + NODE.LEAFVEC / 4, v)];
    }
  };
}

/** Its loop is written for the shape, as a loop over levels inside, or a look at their fields, would cost more than the look-up. */
function blocksTwin(image: LpmImage): Twin {
  const { levels, indirect } = blockShape(image);
  const header = u32(image.bytes.subarray(0, BLOCKS.LEVEL + BLOCKS.LEVEL_BYTES * levels.length));
  const cells = levels.map(({ cellBytes }, k) =>
    cellsOf(image, header[(BLOCKS.LEVEL + k * BLOCKS.LEVEL_BYTES) >>> 2], cellBytes),
  );
  const word = ({ byte, shift, stride }: BlockLevel): string => {
    if (image.family === 4) return "ips[i]";
    const half = `(bytes[16 * i + ${byte}] | bytes[16 * i + ${byte + 1}] << 8)`;
    return shift + stride > 16 ? `Math.imul(${half}, ${TWICE})` : half;
  };
  const index = (level: BlockLevel): string => `(${word(level)} >>> ${level.shift} & ${2 ** level.stride - 1})`;
  const answer = levels.reduce((cell, level, k) => `cells${k}[${cell} << ${level.stride} | ${index(level)}]`, "0");
  const source = `
    ${levels.map((_, k) => `const cells${k} = cells[${k}];`).join(" ")}
    return (bytes, out, ips) => {
      for (let i = 0; i < out.length; i++) out[i] = ${indirect ? `values[${answer}]` : answer};
    };`;
  const values = indirect ? u32(image.bytes.subarray(header[BLOCKS.VALUES / 4])) : null;
  const loop = new Function("cells", "values", source)(cells, values);
  return (addresses, out) => loop(addresses, out, image.family === 4 ? u32(addresses) : null);
}

function spillTwin(image: LpmImage): Twin {
  const parts = spillParts(image);
  const [main, rest] = [blocksTwin(parts.main), blocksTwin(parts.rest)];
  const values = spillShape(image).numbered ? u32(image.bytes.subarray(u32(image.bytes)[SPILL.VALUES / 4])) : null;
  return (addresses, out) => {
    main(addresses, out);
    for (let i = 0; i < out.length; i++)
      if (out[i] === SPILLED) rest(addresses.subarray(4 * i), out.subarray(i, i + 1));
      else if (values !== null) out[i] = values[out[i]];
  };
}
