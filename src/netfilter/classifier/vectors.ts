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
import type { Classes } from "./sets.ts";

export interface VectorsLayout {
  readonly rows: number;
  readonly words: number;
}

/** A sum speaks for 64 words. */
export const sumsOf = (rules: number): number => Math.max(1, Math.ceil(rules / (64 * 64)));
export const rowBytes = (sums: number): number => 8 * (sums + 1);

/** u64 words that are not 0. */
export function filledWords({ count, heads, places }: Classes): number {
  let filled = 0;
  for (let c = 0; c < count; c++)
    for (let i = heads[c]; i < heads[c + 1]; i++) if (i === heads[c] || places[i] >> 1 !== places[i - 1] >> 1) filled++;
  return filled;
}

export function layoutVectors(image: ImageWriter, name: string, classes: Classes): VectorsLayout {
  const { count, rules, heads: sets, places, bits } = classes;
  const sums = sumsOf(rules);
  const row = rowBytes(sums) / 4;
  const heads = new Uint32Array(count * row);
  const words = new Uint32Array(2 * filledWords(classes));
  let end = 0;
  for (let c = 0; c < count; c++) {
    const head = c * row;
    heads[head + 2 * sums] = 8 * end;
    for (let i = sets[c]; i < sets[c + 1]; i++) {
      const word = places[i] >> 1;
      if (i === sets[c] || word !== places[i - 1] >> 1) end++;
      // Little endian: the upper half, with the first rules, stands behind the lower one.
      words[2 * end - 1 - (places[i] & 1)] = bits[i];
      heads[head + (word >> 5)] |= 1 << (word & 31);
    }
  }
  return { rows: image.reserveWords(`${name} rows`, heads), words: image.reserveWords(`${name} words`, words) };
}
