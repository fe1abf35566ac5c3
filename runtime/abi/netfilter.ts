/** What chains remember from packet to packet, and sets and maps that the host may change. */

/** Of a chain's rule, or named; in the order of their ids. Both u64. */
export const FILTER_COUNTER = { packets: 0, bytes: 8 } as const;
export const FILTER_COUNTER_BYTES = 16;

/**
 * A named set or map, which the host may change between calls (runtime/maps: a file for each structure, with its drawing):
 *
 *      0          4          8          12
 *   0  structure  rows       values     half             half: of an interval structure, half of its room
 *  16  room       count      valueBytes columns          for the host alone; columns: of an lpm structure
 *
 * `values` is where the value of place 1 stands; how far apart they are follows from the structure. `valueBytes` counts from there to
 * the end of the last value. `count`: elements. A program that changes values (counters) does so at those places.
 */
export const MAP = {
  structure: 0,
  rows: 4,
  values: 8,
  half: 12,
  room: 16,
  count: 20,
  valueBytes: 24,
  columns: 28,
} as const;
export const MAP_BYTES = 32;

/** A token bucket, u64: the clock, in nanoseconds, when it will be full again if nothing is taken from it. 0: it is full. */
export const LIMIT = { full: 0 } as const;
export const LIMIT_BYTES = 8;
