/**
 * The size and initial contents of a module's memory, put into a module that has been encoded without: images are tables of many megabytes, and
 * code of some hundred kilobytes, so that what assembles the code never sees them.
 *
 *   module = header, { section }
 *   section = id, LEB128 length, contents        memory (5); data (11) stands behind code (10), custom sections may stand anywhere
 *
 * Zeros are left out where that saves more than it costs: memory has them anyway.
 */
import { rememberedOf } from "../remember.ts";

export interface Segment {
  /** Where the bytes stand when the module is instantiated. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

const HEADER_BYTES = 8;
const MEMORY = 5;
const CODE = 10;
const DATA = 11;
const I32_CONST = 0x41;
const END = 0x0b;

/** Engines take 100,000 segments, and are the slower the more there are. */
const MOST_SEGMENTS = 10_000;
/** Fewer bytes of zeros than these between two runs are written: a segment costs an engine more, and one word of as many is looked at. */
const FEWEST_ZEROS = 64;

export interface Contents {
  readonly segments: readonly Segment[];
  /** Pages of 64 KiB that the memory starts with. */
  readonly initialPages: number;
}

/** Bytes that stand one behind the other: put together once, when all are there. */
export type Parts = readonly ArrayLike<number>[];

/** @param wasm a module with a code section and no data section; a memory of its own gets the pages */
export function withContents(wasm: Uint8Array, { segments, initialPages }: Contents): Parts {
  const runs = packed(segments);
  const parts: ArrayLike<number>[] = [wasm.subarray(0, HEADER_BYTES)];
  for (const { id, contents, whole } of sectionsOf(wasm)) {
    if (id === MEMORY) parts.push(...section(MEMORY, [memoryOf(contents, initialPages)]));
    else parts.push(whole);
    if (id === CODE && runs.length > 0) parts.push(...section(DATA, dataOf(runs)));
  }
  return parts;
}

const section = (id: number, contents: Parts): Parts => [
  [id, ...leb128(contents.reduce((sum, { length }) => sum + length, 0))],
  ...contents,
];

/** One memory, with a maximum: its limits' first number is another. */
function memoryOf(contents: Uint8Array, initialPages: number): number[] {
  const [count, flags, ...limits] = contents;
  if (count !== 1 || (flags & 1) === 0) throw new RangeError("not the one memory with a maximum that is emitted");
  return [count, flags, ...leb128(initialPages), ...limits.slice(limits.findIndex((byte) => byte < 0x80) + 1)];
}

const dataOf = (runs: readonly Segment[]): Parts => [
  leb128(runs.length),
  ...runs.flatMap(({ offset, bytes }) => [
    [0, I32_CONST, ...signedLeb128(offset), END, ...leb128(bytes.length)],
    bytes,
  ]),
];

/**
 * Runs without many zeros, in order; with longer ones inside where there would be too many. They start and end with words. Those of bytes
 * that were there before are known by the object.
 */
const packed = (segments: readonly Segment[]): Segment[] =>
  segments.flatMap((segment) => remembered(segment.bytes, [segment.offset], () => runsOf(segment)));
const remembered = rememberedOf<Uint8Array, Segment[]>(1);

function runsOf({ offset, bytes }: Segment): Segment[] {
  const count = bytes.byteOffset % 4 === 0 ? bytes.length >>> 2 : 0;
  const bounds = boundsOf(new Uint32Array(bytes.buffer, count === 0 ? 0 : bytes.byteOffset, count));
  const runs: Segment[] = [];
  const add = (start: number, end: number): void => {
    runs.push({ offset: offset + start, bytes: bytes.subarray(start, end) });
  };
  for (let i = 0; i < bounds.length; i += 2) add(4 * bounds[i], 4 * bounds[i + 1]);
  if (bytes.subarray(4 * count).some((byte) => byte !== 0)) add(4 * count, bytes.length);
  return runs;
}

/** Start and end, and start and end, of what is not zero, in words: parted by as few zeros as leave no more than the most segments. */
function boundsOf(words: Uint32Array): number[] {
  let bounds: number[] = [];
  let zeros = FEWEST_ZEROS / 4;
  for (let at = 0; ; ) {
    while (at < words.length && words[at] === 0) at++;
    if (at === words.length) return bounds;
    // The run before may have ended when fewer zeros parted runs.
    if (at - bounds[bounds.length - 1] < zeros) bounds.pop();
    else bounds.push(at);
    at = endOf(words, at, zeros);
    bounds.push(at);
    for (; bounds.length > 2 * MOST_SEGMENTS; zeros *= 4) bounds = joined(bounds, 4 * zeros);
  }
}

/**
 * Behind the last word of the run that starts there, which so many zeros end. Among as many zeros in a row one stands at a multiple of their
 * number, so no other words of a run are looked at.
 */
function endOf(words: Uint32Array, start: number, zeros: number): number {
  const { length } = words;
  for (let at = start; ; ) {
    at += zeros - (at % zeros);
    while (at < length && words[at] !== 0) at += zeros;
    let end = Math.min(at, length);
    while (words[end - 1] === 0) end--;
    while (at < length && at - end < zeros && words[at] === 0) at++;
    if (at >= length || at - end >= zeros) return end;
  }
}

/** Runs with less than so many words of zeros between them are one. */
function joined(bounds: readonly number[], zeros: number): number[] {
  const all = bounds.slice(0, 2);
  for (let i = 2; i < bounds.length; i += 2)
    if (bounds[i] - bounds[i - 1] < zeros) all[all.length - 1] = bounds[i + 1];
    else all.push(bounds[i], bounds[i + 1]);
  return all;
}

interface Section {
  readonly id: number;
  readonly contents: Uint8Array;
  /** Id and length too. */
  readonly whole: Uint8Array;
}

function sectionsOf(wasm: Uint8Array): Section[] {
  const sections: Section[] = [];
  for (let at = HEADER_BYTES; at < wasm.length; ) {
    const start = at;
    const id = wasm[at++];
    let length = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      length |= (wasm[at] & 0x7f) << shift;
      more = wasm[at++] >= 0x80;
    }
    const contents = wasm.subarray(at, at + length);
    at += length;
    sections.push({ id, contents, whole: wasm.subarray(start, at) });
  }
  return sections;
}

export function concatenate(parts: Parts): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
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
