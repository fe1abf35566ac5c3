/** Drawing from a seeded source (src/bench/random.ts), in the words that generators need. */
import type { Random } from "../../src/bench/random.ts";

export const pick = <T>(random: Random, list: readonly T[]): T => list[random.below(list.length)];

/** From `from` to `to`, both included. */
export const between = (random: Random, from: number, to: number): number => from + random.below(to - from + 1);

/** Each of the texts with its probability, the others left out. */
export const some = (
  random: Random,
  texts: readonly (readonly [probability: number, text: () => string])[],
): string[] => texts.flatMap(([probability, text]) => (random.chance(probability) ? [text()] : []));

export const bytes = (random: Random, count: number): Uint8Array =>
  Uint8Array.from({ length: count }, () => random.below(256));
