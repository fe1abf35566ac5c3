/**
 * The look-ups in plain JavaScript over typed arrays, as good as we can write them: what WebAssembly is compared with.
 * They read the same images. A twin fills out[i] for every address; IPv4 as u32 values, IPv6 as bytes.
 */
import { BLOCKS, type BlockLevel, blockShape, TWICE } from "../../runtime/lpm/blocks.ts";
import { DIR24, dir24Shape, longFlag } from "../../runtime/lpm/dir24.ts";
import { LINEAR } from "../../runtime/lpm/linear.ts";
import type { LpmImage } from "../../runtime/lpm/lpm.ts";

export type Twin = (addresses: Uint8Array, out: Uint32Array) => void;
type Cells = Uint8Array | Uint16Array | Uint32Array;

/** null when there is none for the image. */
export function twinOf(image: LpmImage): Twin | null {
  if (image.kind === "blocks") return blocksTwin(image);
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
