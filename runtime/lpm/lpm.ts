/**
 * Longest-prefix match behind one interface. A structure is built once from entries into an image (a run of bytes at a
 * known offset of linear memory), looked up by wasm code that src/lpm emits for it, and, slowly, by `lookup` here, which
 * walks the same image and is what tests and tools use.
 *
 * `linear` is the obvious twin: entries sorted by length, compared one by one. Every other structure must agree with it.
 */
import type { Family, Ip } from "../net/ip.ts";

export interface LpmEntry {
  /** Network address: no bits beyond `length`. */
  readonly address: Ip;
  /** Bits. */
  readonly length: number;
  /** 1 .. 2^31-1; 0 means "no match" and is not an entry's value. */
  readonly value: number;
}

/** Numbers stand in the image's table descriptor (ABI): append, never renumber. */
export const LpmKind = { linear: 0, blocks: 1, dir24: 2, ranges: 3, poptrie: 4, spill: 5 } as const;
export type LpmKind = keyof typeof LpmKind;

export interface LpmImage {
  readonly kind: LpmKind;
  readonly family: Family;
  /** Bytes to put at `base`; a multiple of 4 long. Offsets inside are relative to `base` unless the structure says otherwise. */
  readonly bytes: Uint8Array;
  readonly prefixes: number;
}

export interface LpmStructure {
  readonly kind: LpmKind;
  readonly families: readonly Family[];
  /** @param entries of one family, at most one per (address, length), in any order */
  build(family: Family, entries: readonly LpmEntry[]): LpmImage;
  /** The value of the longest matching entry, or 0. */
  lookup(image: LpmImage, address: Ip): number;
}
