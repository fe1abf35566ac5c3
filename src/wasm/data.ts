/**
 * The initial contents of a module's memory, put into a module that has been encoded without: images are tables of many megabytes, and
 * code of some hundred kilobytes, so that what assembles the code never sees them.
 *
 *   module = header, { section }
 *   section = id, LEB128 length, contents        data (11) stands behind code (10), custom sections may stand anywhere
 *
 * Zeros are left out where that saves more than it costs: memory has them anyway.
 */
export interface Segment {
  /** Where the bytes stand when the module is instantiated. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

const HEADER_BYTES = 8;
const CODE = 10;
const DATA = 11;
const I32_CONST = 0x41;
const END = 0x0b;

/** Engines take 100,000 segments. */
const MOST_SEGMENTS = 50_000;
/** Fewer zeros than these between two runs are written: another segment costs about as much. */
const FEWEST_ZEROS = 16;

/** @param wasm a module with a memory and a code section, and no data section */
export function withData(wasm: Uint8Array, segments: readonly Segment[]): Uint8Array<ArrayBuffer> {
  const runs = packed(segments);
  if (runs.length === 0) return wasm.slice();
  const at = behindCode(wasm);
  const count = leb128(runs.length);
  const heads = runs.map(({ offset, bytes }) => [0, I32_CONST, ...signedLeb128(offset), END, ...leb128(bytes.length)]);
  const length = runs.reduce((sum, { bytes }, i) => sum + heads[i].length + bytes.length, count.length);
  const start = [DATA, ...leb128(length), ...count];
  const whole = new Uint8Array(wasm.length + start.length - count.length + length);
  let end = 0;
  const put = (bytes: ArrayLike<number>): void => {
    whole.set(bytes, end);
    end += bytes.length;
  };
  put(wasm.subarray(0, at));
  put(start);
  for (const [i, { bytes }] of runs.entries()) {
    put(heads[i]);
    put(bytes);
  }
  put(wasm.subarray(at));
  return whole;
}

/** Runs without many zeros, in order; with longer ones inside where there would be too many. */
function packed(segments: readonly Segment[]): Segment[] {
  for (let gap = FEWEST_ZEROS; ; gap *= 4) {
    const runs: Segment[] = [];
    if (segments.every((segment) => addRuns(runs, segment, gap))) return runs;
  }
}

/** @returns false when there are too many */
function addRuns(runs: Segment[], { offset, bytes }: Segment, gap: number): boolean {
  const { length } = bytes;
  for (let at = 0; at < length; ) {
    while (at < length && bytes[at] === 0) at++;
    const start = at;
    let end = at;
    for (; at < length && at - end < gap; at++) if (bytes[at] !== 0) end = at + 1;
    if (end === start) continue;
    if (runs.length === MOST_SEGMENTS) return false;
    runs.push({ offset: offset + start, bytes: bytes.subarray(start, end) });
  }
  return true;
}

function behindCode(wasm: Uint8Array): number {
  for (let at = HEADER_BYTES; at < wasm.length; ) {
    const id = wasm[at++];
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[at++];
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    at += length;
    if (id === CODE) return at;
  }
  throw new RangeError("not a module with code");
}

/** Seven bits a byte, lowest first; the top bit says that more follow. 300 is 0xac 0x02. */
export function leb128(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 0x7f; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value];
}

/** The same for an i32: the last byte's second highest bit is the sign. */
function signedLeb128(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 0x3f || value < -0x40; value >>= 7) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value & 0x7f];
}
