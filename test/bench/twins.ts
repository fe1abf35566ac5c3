/**
 * The look-ups in plain JavaScript over typed arrays, as good as we can write them: what WebAssembly is compared with.
 * They read the same images. A twin fills out[i] for every address; IPv4 as u32 values, IPv6 as bytes.
 */
import { BLOCKS, type BlockLevel, blockShape, twice } from "../../runtime/lpm/blocks.ts";
import { DIR24, dir24Shape, longFlag } from "../../runtime/lpm/dir24.ts";
import { LINEAR } from "../../runtime/lpm/linear.ts";
import type { LpmImage } from "../../runtime/lpm/lpm.ts";

export type Twin = (addresses: Uint8Array, out: Uint32Array) => void;
type Cells = Uint8Array | Uint16Array | Uint32Array;

/** null when there is none for the image. */
export function twinOf(image: LpmImage): Twin | null {
  if (image.kind === "blocks") return image.family === 4 ? blocksTwin4(image) : blocksTwin6(image);
  if (image.family === 6) return null;
  return image.kind === "linear" ? linearTwin(image) : dir24Twin(image);
}

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

interface LevelCells extends BlockLevel {
  readonly cells: Cells;
  readonly mask: number;
}

function levelsOf(image: LpmImage): LevelCells[] {
  const header = u32(image.bytes.subarray(0, BLOCKS.LEVEL + BLOCKS.LEVEL_BYTES * blockShape(image).levels.length));
  return blockShape(image).levels.map((level, k) => ({
    ...level,
    cells: cellsOf(image, header[(BLOCKS.LEVEL + k * BLOCKS.LEVEL_BYTES) >>> 2], level.cellBytes),
    mask: 2 ** level.stride - 1,
  }));
}

function valuesOf(image: LpmImage): Uint32Array | null {
  const offset = u32(image.bytes)[BLOCKS.VALUES / 4];
  return offset === 0 ? null : u32(image.bytes.subarray(offset));
}

/** One loop for each usual depth: a loop over levels inside would cost as much as the look-up. */
function blocksTwin4(image: LpmImage): Twin | null {
  const [a, b, c, d] = levelsOf(image);
  if (valuesOf(image) !== null) return null;
  const { cells: c0, shift: s0 } = a;
  if (b === undefined)
    return (addresses, out) => {
      const ips = u32(addresses);
      for (let i = 0; i < out.length; i++) out[i] = c0[ips[i] >>> s0];
    };
  const { cells: c1, shift: s1, mask: m1, stride: n1 } = b;
  if (c === undefined)
    return (addresses, out) => {
      const ips = u32(addresses);
      for (let i = 0; i < out.length; i++) {
        const ip = ips[i];
        out[i] = c1[(c0[ip >>> s0] << n1) | ((ip >>> s1) & m1)];
      }
    };
  const { cells: c2, shift: s2, mask: m2, stride: n2 } = c;
  if (d === undefined)
    return (addresses, out) => {
      const ips = u32(addresses);
      for (let i = 0; i < out.length; i++) {
        const ip = ips[i];
        out[i] = c2[(c1[(c0[ip >>> s0] << n1) | ((ip >>> s1) & m1)] << n2) | ((ip >>> s2) & m2)];
      }
    };
  const { cells: c3, shift: s3, mask: m3, stride: n3 } = d;
  if (levelsOf(image).length > 4) return null;
  return (addresses, out) => {
    const ips = u32(addresses);
    for (let i = 0; i < out.length; i++) {
      const ip = ips[i];
      const third = c2[(c1[(c0[ip >>> s0] << n1) | ((ip >>> s1) & m1)] << n2) | ((ip >>> s2) & m2)];
      out[i] = c3[(third << n3) | ((ip >>> s3) & m3)];
    }
  };
}

function blocksTwin6(image: LpmImage): Twin | null {
  const levels = levelsOf(image);
  if (valuesOf(image) !== null) return null;
  return (addresses, out) => {
    for (let i = 0; i < out.length; i++) {
      let cell = 0;
      for (let k = 0; k < levels.length; k++) {
        const { cells, byte, shift, mask, stride } = levels[k];
        const word = twice(addresses[16 * i + byte] | (addresses[16 * i + byte + 1] << 8));
        cell = cells[(cell << stride) | ((word >>> shift) & mask)];
      }
      out[i] = cell;
    }
  };
}
