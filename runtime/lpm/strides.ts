/**
 * Which bits each level of `blocks` looks at. The split is chosen for the table at hand by measured size: the census of
 * its DAG says how many different blocks there would be at every depth, so the cost of every split is known before any
 * is built, and dynamic programming over the depth finds the cheapest (the idea of controlled prefix expansion, V.
 * Srinivasan and G. Varghese, "Fast Address Lookups Using Controlled Prefix Expansion", 1999, with shared blocks).
 *
 *   cost of a split = sum over its levels of  STEP_NS + missNs(bytes of the level) + NS_PER_MIB * bytes of the level
 *   bytes of a level from depth d with stride s = blocks[d] * 2^s * cell bytes
 *
 * Example: a full table of 2026 has 1 block at depth 0, some 43,000 at 20 and 17 at 24, where it ends. Split 20-4
 * with next hops of 1 byte: 2 MB + 43,000 * 16 bytes = 0.7 MB, two loads. Split 16-8 would have 17,000 * 256 bytes = 4.3 MB
 * in its second level.
 */
import type { Family } from "../net/ip.ts";

/**
 * Nanoseconds that one more dependent load costs a look-up among interleaved ones, by the bytes it is spread over:
 * independent random reads in WebAssembly, eight at a time (measured, Zen 5: 2437 M/s in 32 KB ... 155 M/s in 128 MB). At
 * 4 MiB a machine of one's own says 0.9; with neighbours in the shared cache full tables are only ordered as measured
 * (20-4 before 18-6 before 16-8) from 1.6 on: src/EXPERIMENTS.md.
 */
const MISS_NS: readonly (readonly [bytes: number, ns: number])[] = [
  [32 << 10, 0.05],
  [256 << 10, 0.55],
  [1 << 20, 0.7],
  [4 << 20, 1.9],
  [32 << 20, 5.4],
  [128 << 20, 6.1],
];
/**
 * Shift, mask, add, load of a level that hits the first-level cache; in IPv6 the load of its bits from the packet too.
 * Alone it is 0.36; but levels wait for each other, and full tables want few: 20-4-8 was 1.1 to 1.3 times as fast as
 * 19-4-4-5, which is two thirds of its size, five levels of IPv6 up to 1.4 times as fast as seven (src/EXPERIMENTS.md).
 */
const STEP_NS: Readonly<Record<Family, number>> = { 4: 0.9, 6: 1.2 };
/** What a level of IPv6 costs besides whose bits are not all of one byte (a root of 16 bits is read as it lies): a multiplication, a shift, a mask. */
const TWO_BYTES_NS = 1;

/** What memory costs those who share the caches; decides between splits that are as fast, and against any that explode. */
const NS_PER_MIB = 0.02;

/**
 * Bytes that a table should stay within: where the cheapest split does not, it is the cheapest that does, or the smallest. A table of few
 * routes has few of them: by time alone three host routes would be 20-12, of 1 MB, which is 0.25 ns a look-up faster than 12-10-10, of 12 KB.
 */
const BUDGET: Readonly<Record<Family, number>> = { 4: 3_500_000, 6: 8_000_000 };
const BUDGET_OF_NONE = 32 << 10;
const BUDGET_OF_PREFIX: Readonly<Record<Family, number>> = { 4: 1 << 10, 6: 4 << 10 };

/**
 * Of a root's cells so many see traffic: the rest is address space that nobody uses. Blocks below exist only where there are routes.
 * With it the splits of the full table stand in the order of their measured times, 20-4, 19-5, 18-6, 16-8 (src/EXPERIMENTS.md).
 */
const ROOT_IN_USE = 0.6;

/** Tables that are alike, and share the caches: packets are looked up in one after the other. */
export interface Company {
  /** 1: the table is one of few. */
  readonly tables: number;
  /** Bytes that a table should stay within. */
  readonly budget: number;
}
/** A table of so many prefixes by itself. */
export const alone = (family: Family, prefixes: number): Company => ({
  tables: 1,
  budget: Math.min(BUDGET[family], BUDGET_OF_NONE + BUDGET_OF_PREFIX[family] * prefixes),
});

/** A look-up that waits for each of its loads takes so many times as long as one of eight that are interleaved. */
const ALONE = 12;

/** @param bytes of a level; in company all levels of all tables push each other out of the caches */
function levelNs(family: Family, isRoot: boolean, bytes: number, { tables, budget }: Company): number {
  if (tables === 1)
    return STEP_NS[family] + missNs(isRoot ? bytes * ROOT_IN_USE : bytes) + (NS_PER_MIB * bytes) / 2 ** 20;
  return STEP_NS[family] + ALONE * missNs(tables * budget) + (NS_PER_MIB * tables * bytes) / 2 ** 20;
}

function missNs(bytes: number): number {
  const [firstBytes, firstNs] = MISS_NS[0];
  if (bytes <= firstBytes) return (firstNs * bytes) / firstBytes;
  for (let i = 1; i < MISS_NS.length; i++) {
    const [b0, ns0] = MISS_NS[i - 1];
    const [b1, ns1] = MISS_NS[i];
    if (bytes <= b1) return ns0 + ((ns1 - ns0) * Math.log(bytes / b0)) / Math.log(b1 / b0);
  }
  return MISS_NS[MISS_NS.length - 1][1];
}

/** Widest root: 2^20 cells, 2 to 4 MB. Beyond it the root alone leaves the cache, and `dir24` is the better shape. */
const MAX_ROOT_STRIDE = 20;
/** Widest stride below the root: a block is copied for every change inside it. */
const MAX_STRIDE = 12;

/** Bits that a level of IPv4 may look at. */
export interface Widest {
  readonly root: number;
  readonly below: number;
}
const WIDEST: Widest = { root: MAX_ROOT_STRIDE, below: MAX_STRIDE };

/** How many bits a level may look at from `depth` on. IPv6 is read from packet bytes: a level stays inside two of them. */
function widestAt(family: Family, depth: number, end: number, widest: Widest): number {
  const most = Math.min(end - depth, depth === 0 ? widest.root : widest.below);
  return family === 4 ? most : Math.min(most, 16 - (depth & 7));
}

const twoBytesNs = (family: Family, depth: number, stride: number): number =>
  family === 6 && (depth & 7) + stride > 8 && stride < 16 ? TWO_BYTES_NS : 0;

export type CellBytes = 1 | 2 | 4;

/** Bytes of a cell that must tell `n` things apart. */
export const cellBytesFor = (n: number): CellBytes => (n <= 0x100 ? 1 : n <= 0x10000 ? 2 : 4);

/**
 * @param blocks different blocks at each depth 0 .. longest prefix, the DAG's census
 * @param leafBytes bytes of a cell of the last level
 * @param company who shares the caches, and bytes to stay within if there is such a split
 * @param widest less than what is quickest to look up, where changes shall be cheap
 * @returns bits of each level, at least one level, as many in sum as the longest prefix has (a table of 0/0: 1)
 */
export function chooseStrides(
  family: Family,
  blocks: Uint32Array,
  leafBytes: CellBytes,
  company: Company,
  widest: Widest = WIDEST,
): number[] {
  const table: Choice = { family, blocks, leafBytes, widest, company, end: Math.max(blocks.length - 1, 1) };
  const strides = cheapestSplit(table);
  return bytesOfSplit(blocks, strides, leafBytes) <= company.budget ? strides : cheapestWithin(table);
}

interface Choice {
  readonly family: Family;
  readonly blocks: Uint32Array;
  readonly leafBytes: CellBytes;
  readonly widest: Widest;
  readonly company: Company;
  readonly end: number;
}

/** What there may be from a depth on. */
function* levelsFrom({ family, blocks, leafBytes, widest, company, end }: Choice, depth: number) {
  const most = widestAt(family, depth, end, widest);
  for (let stride = 1; stride <= most; stride++) {
    const bytes = levelBytes(blocks, depth, stride, depth + stride === end, leafBytes);
    const ns = levelNs(family, depth === 0, bytes, company) + twoBytesNs(family, depth, stride);
    yield { stride, bytes, ns };
  }
}

function cheapestSplit(table: Choice): number[] {
  const { end } = table;
  const cost = new Float64Array(end + 1).fill(Number.POSITIVE_INFINITY);
  const best = new Uint8Array(end + 1);
  cost[end] = 0;
  for (let depth = end - 1; depth >= 0; depth--) {
    for (const { stride, ns } of levelsFrom(table, depth)) {
      if (ns + cost[depth + stride] >= cost[depth]) continue;
      cost[depth] = ns + cost[depth + stride];
      best[depth] = stride;
    }
  }
  const strides: number[] = [];
  for (let depth = 0; depth < end; depth += best[depth]) strides.push(best[depth]);
  return strides;
}

/** A split from some depth to the end. */
interface Rest {
  readonly strides: readonly number[];
  readonly bytes: number;
  readonly ns: number;
}
/** Of the splits from a depth so many are kept, of different sizes: few enough to be quick, and none of them is much larger than one left out. */
const KEPT = 256;

/** The same over bytes too: of each depth not one split is kept but those that are quicker than all smaller ones. */
function cheapestWithin(table: Choice): number[] {
  const { end, company } = table;
  const kept: Rest[][] = [];
  kept[end] = [{ strides: [], bytes: 0, ns: 0 }];
  for (let depth = end - 1; depth >= 0; depth--) {
    const all: Rest[] = [];
    for (const { stride, bytes, ns } of levelsFrom(table, depth))
      for (const rest of kept[depth + stride])
        all.push({ strides: [stride, ...rest.strides], bytes: bytes + rest.bytes, ns: ns + rest.ns });
    kept[depth] = quickerThanSmaller(all, company.budget);
  }
  return [...kept[0].at(-1)!.strides];
}

/** From the smallest, whatever its size, to the quickest within the budget. */
function quickerThanSmaller(all: Rest[], budget: number): Rest[] {
  const sizeClass = ({ bytes }: Rest): number => Math.floor((bytes * KEPT) / budget);
  const found: Rest[] = [];
  for (const rest of all.sort((a, b) => a.bytes - b.bytes || a.ns - b.ns)) {
    const last = found.at(-1);
    if (last !== undefined && (rest.ns >= last.ns || rest.bytes > budget)) continue;
    if (found.length > 1 && sizeClass(last!) === sizeClass(rest)) found.pop();
    found.push(rest);
  }
  return found;
}

/**
 * As few levels as a budget allows, and of these splits the smallest: for many little tables, where each level is some instructions of every
 * packet's, and all of them are in the cache. Dynamic programming over depth and levels; no cost is weighed, so it takes microseconds.
 * @param budget bytes; where no split stays within, the smallest is taken
 * @param most levels at most
 */
export function fewestLevels(
  family: Family,
  blocks: Uint32Array,
  leafBytes: CellBytes,
  budget: number,
  most = Number.POSITIVE_INFINITY,
): number[] {
  const end = Math.max(blocks.length - 1, 1);
  const at = (depth: number): number => blocks[Math.min(depth, blocks.length - 1)];
  /** Bytes of a cell of a level that ends at each depth. */
  const cells = Uint8Array.from({ length: end + 1 }, (_, depth) =>
    depth === end ? leafBytes : cellBytesFor(at(depth)),
  );
  /** By levels left: bytes from each depth on, and the first stride. */
  let below = new Float64Array(end + 1).fill(Number.POSITIVE_INFINITY);
  below[end] = 0;
  const firsts: Uint8Array[] = [];
  let fewest: Uint8Array[] = [];
  let least = Number.POSITIVE_INFINITY;
  while (least > budget && firsts.length < Math.min(end, most)) {
    const bytes = new Float64Array(end + 1).fill(Number.POSITIVE_INFINITY);
    const first = new Uint8Array(end + 1);
    for (let depth = 0; depth < end; depth++) {
      const [most, blocksHere] = [widestAt(family, depth, end, WIDEST), at(depth)];
      // The first level left, which ends at the end.
      for (let stride = firsts.length === 0 ? end - depth : 1; stride <= most; stride++) {
        const sum = below[depth + stride] + blocksHere * (1 << stride) * cells[depth + stride];
        if (sum >= bytes[depth]) continue;
        bytes[depth] = sum;
        first[depth] = stride;
      }
    }
    below = bytes;
    firsts.unshift(first);
    if (bytes[0] >= least) continue;
    least = bytes[0];
    fewest = firsts.slice();
  }
  const strides: number[] = [];
  let depth = 0;
  for (const first of fewest) {
    strides.push(first[depth]);
    depth += first[depth];
  }
  return strides;
}

/** Bytes of all levels of a split. */
export function bytesOfSplit(blocks: Uint32Array, strides: readonly number[], leafBytes: CellBytes): number {
  let bytes = 0;
  let depth = 0;
  strides.forEach((stride, k) => {
    bytes += levelBytes(blocks, depth, stride, k === strides.length - 1, leafBytes);
    depth += stride;
  });
  return bytes;
}

function levelBytes(blocks: Uint32Array, depth: number, stride: number, last: boolean, leafBytes: CellBytes): number {
  const at = (d: number): number => blocks[Math.min(d, blocks.length - 1)];
  return at(depth) * 2 ** stride * (last ? leafBytes : cellBytesFor(at(depth + stride)));
}
