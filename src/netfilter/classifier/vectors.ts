/**
 * Vectors: the sets of a tree's classes as they stand in memory, a row each. Most words of most sets are 0, so only the others are kept
 * (aggregated bit vectors, arrange.ts, packed as Poptrie packs its children): a class of addresses has a few dozen bytes in place of a bit
 * for every rule, and the rows that packets ask for fit a nearer cache.
 *
 *   rows     a class each: u64 { sums }: bit w % 64 of sum w / 64, the lowest one first, is 1 where word w is not 0
 *                          u32 where its first word is, behind `words`; u32 0
 *   words    u64 each, those that are not 0: the rule at place p is bit 63 - p % 64 of word p / 64
 *
 *   set of 200 rules, only 3 and 130 in it: sums ...0101, two words; word 2 stands behind as many words as there are bits 1 below bit 2: one
 */
import type { ImageWriter } from "../../image-writer.ts";
import type { Classes } from "./classes.ts";

export interface VectorsLayout {
  readonly rows: number;
  readonly words: number;
}

/** A sum speaks for 64 words. */
export const sumsOf = (rules: number): number => Math.max(1, Math.ceil(rules / (64 * 64)));
export const rowBytes = (sums: number): number => 8 * (sums + 1);

/** u64 words that are not 0. */
export function filledWords({ words, sets }: Classes): number {
  let filled = 0;
  for (let at = 0; at < sets.length; at += words)
    for (let w = 0; w < words; w += 2) if (sets[at + w] !== 0 || (w + 1 < words && sets[at + w + 1] !== 0)) filled++;
  return filled;
}

export function layoutVectors(image: ImageWriter, name: string, classes: Classes, rules: number): VectorsLayout {
  const sums = sumsOf(rules);
  const row = rowBytes(sums) / 4;
  const heads = new Uint32Array(classes.count * row);
  const words = new Uint32Array(2 * filledWords(classes));
  let end = 0;
  for (let c = 0; c < classes.count; c++) {
    const head = c * row;
    heads[head + 2 * sums] = 4 * end;
    for (let w = 0; w < classes.words; w += 2) {
      const high = classes.sets[c * classes.words + w];
      const low = w + 1 < classes.words ? classes.sets[c * classes.words + w + 1] : 0;
      if (high === 0 && low === 0) continue;
      words[end++] = low;
      words[end++] = high;
      heads[head + (w >> 6)] |= 1 << ((w >> 1) & 31);
    }
  }
  return { rows: put(image, `${name} rows`, heads), words: put(image, `${name} words`, words) };
}

function put(image: ImageWriter, name: string, numbers: Uint32Array): number {
  const offset = image.reserve(name, numbers.byteLength);
  image.view(offset, numbers.byteLength, (view) => view.set(new Uint8Array(numbers.buffer)));
  return offset;
}
