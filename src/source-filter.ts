/**
 * The source filter of a namespace: which IPv4 sources can fib_validate_source object to where rp_filter is off? Only those to which a
 * table has a route of a type that is no host's (local, broadcast, ...): in practice this host's own addresses, and the broadcast addresses
 * of its subnets. They are few, so that one look at a small table spares nearly every packet the look-up of its source.
 *
 *   cell(address) = address, as it lies in packets, * FILTER_FACTOR, its highest bits          cells: a byte each, 1 where such an address has its place
 *
 * 0 says no, 1 says maybe (Bloom 1970, with one hash). Routes that a host adds are of other types, and deleting one makes a no of no
 * maybe, so that nothing has to be kept up to date.
 */
import { NEIGHBOUR_HASH_FACTOR } from "../runtime/abi/neighbour.ts";
import type { Prefix } from "../runtime/net/ip.ts";
import type { Fib } from "./fib/fib.ts";

/** Cells for each address: one source in so many is looked up in vain. */
const CELLS_PER_ADDRESS = 32;
const [LEAST_BITS, MOST_BITS] = [8, 18];

export const FILTER_FACTOR = NEIGHBOUR_HASH_FACTOR;

/** @returns a byte for each cell, a power of two of them; null: whole networks would be in it, and so each source is looked up */
export function sourceFilter(fibs: readonly Fib[]): Uint8Array | null {
  const prefixes = fibs
    .filter(({ family }) => family === 4)
    .flatMap(({ entries }) => entries)
    .filter(({ aliases }) => aliases.some(({ route, error }) => error === 0 && route.type !== "unicast"))
    .map(({ prefix }) => prefix)
    .filter((prefix) => !isMartian(prefix));
  if (prefixes.some(({ length }) => length < 32)) return null;
  const addresses = new Set(prefixes.map(({ address }) => address as number));
  const bits = Math.min(Math.max(Math.ceil(Math.log2(addresses.size * CELLS_PER_ADDRESS + 1)), LEAST_BITS), MOST_BITS);
  const cells = new Uint8Array(2 ** bits);
  for (const address of addresses) cells[filterCell(address, cells.length)] = 1;
  return cells;
}

/** Where an address has its place among so many cells. */
export const filterCell = (address: number, cells: number): number => {
  const lies = (address << 24) | ((address & 0xff00) << 8) | ((address >>> 8) & 0xff00) | (address >>> 24);
  return Math.imul(lies, FILTER_FACTOR) >>> (32 - Math.log2(cells));
};

/** All in 0/8, 127/8, or 224/3: as sources those are refused without a look-up. */
const isMartian = ({ address, length }: Prefix): boolean => {
  const first = (address as number) >>> 24;
  return ((first === 0 || first === 127) && length >= 8) || (first >= 224 && length >= 3);
};
