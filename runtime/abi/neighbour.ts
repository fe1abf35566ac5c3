/** Who is on a link: written by the host as ARP and neighbour discovery tell it, searched by the program. */

/**
 *      0          4          8          12
 *   0  mask       used       changes                     mask: slots - 1 (a power of two - 1); used: slots not free
 *  16  slots, NEIGHBOUR_BYTES each
 *
 * `changes` counts, from 1 to MOST_CHANGES and round again: who changes a neighbour, or flags, MTU or MAC of a DEVICE, counts it up, as next hops
 * remember both. A table that takes the place of another goes on behind its count.
 *
 * Open addressing: an entry stands at the first free or reused slot from `neighbourHash & mask` on, wrapping. At least
 * one slot is free, so that a search ends.
 */
export const NEIGHBOUR_TABLE = { mask: 0, used: 4, changes: 8, slots: 16 } as const;
export const MOST_CHANGES = 0x7fffffff;

/**
 *      0          4          8          12
 *   0  device     family     mac (6 bytes, as on the wire), 2 bytes 0
 *  16  address (16 bytes, as on the wire; IPv4 in the first 4, the rest 0)
 *
 * `device` is an ifindex; 0: the slot is free, and ends a search; NEIGHBOUR_GONE: forgotten, and does not.
 */
export const NEIGHBOUR = { device: 0, family: 4, mac: 8, address: 16 } as const;
export const NEIGHBOUR_BYTES = 32;
export const NEIGHBOUR_GONE = 0xffffffff;

/** Knuth's multiplicative constant, 2^32 / golden ratio. */
export const NEIGHBOUR_HASH_FACTOR = 0x9e3779b1;

/**
 * Where the search for an address starts, before the mask: its four words (little-endian, as they stand in
 * `NEIGHBOUR.address`) and the ifindex, folded and spread. What neighbours differ in, the last byte of 10.0.0.x, is highest in its word: it
 * comes down before the multiplication, which only carries upwards, and again behind it. The program computes the same.
 */
export function neighbourHash(ifindex: number, words: readonly [number, number, number, number]): number {
  const folded = words[0] ^ words[1] ^ words[2] ^ words[3] ^ ifindex;
  const spread = Math.imul(folded ^ (folded >>> 16), NEIGHBOUR_HASH_FACTOR);
  return (spread ^ (spread >>> 16)) >>> 0;
}
