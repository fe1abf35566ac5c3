/**
 * The layout of an IPv4 table that has rows (FibRows): as the runtime has tables that have changed (runtime/routes/entries.ts). Prefixes that say
 * the same share a FIB_ENTRY, and which prefix it was stands in the table's trie, so that a million routes are some hundred entries, cells of
 * a byte or two, and 32 to 64 bytes each in the trie.
 */

import type { Rule } from "../dsl/model.ts";
import type { SaidRoute } from "../dsl/route-columns.ts";
import * as abi from "../runtime/abi/fib.ts";
import type { PrefixColumns } from "../runtime/lpm/columns.ts";
import { lengthClasses } from "../runtime/routes/entries.ts";
import { forwards, isSettled } from "./fib/build.ts";
import type { Fib, FibAlias, FibRows } from "./fib/fib.ts";
import { type BuiltTrie, buildTrie, type TriePrefixes } from "./fib/trie.ts";

/** An entry, with what is shared of it. */
export interface SharedEntry {
  readonly prefixLength: number;
  /** Place in `Fib.entries`, or of the saying in `FibRows.aliases`. */
  readonly entry: number | null;
  readonly saying: number | null;
}

export interface SharedTable {
  /** By number - 1. */
  readonly entries: readonly SharedEntry[];
  readonly prefixes: TriePrefixes;
  readonly trie: BuiltTrie;
}

/** What lengths rules treat otherwise, as a word: where that changes, entries are shared by others. */
export const suppressedLengths = (rules: readonly Rule[]): number[] =>
  [...new Set(rules.filter(({ family }) => family === 4).map((rule) => rule.suppressPrefixLength))].sort(
    (a, b) => a - b,
  );

/** @param suppressed of the namespace's rules */
export function shareEntries(fib: Fib, { columns, aliases }: FibRows, suppressed: readonly number[]): SharedTable {
  const classes = lengthClasses(suppressed);
  const entries: SharedEntry[] = fib.entries.map(({ prefix }, entry) => ({
    prefixLength: prefix.length,
    entry,
    saying: null,
  }));
  const { addresses, lengths, said, firstId } = columns;
  const count = fib.entries.length + addresses.length;
  const prefixes = {
    addresses: new Uint32Array(count),
    lengths: new Uint8Array(count),
    results: new Uint32Array(count),
    routes: new Uint32Array(count),
  };
  const put = (at: number, address: number, length: number, number: number, route: number): void => {
    prefixes.addresses[at] = address;
    prefixes.lengths[at] = length;
    prefixes.results[at] = number;
    prefixes.routes[at] = route;
  };
  /** Numbers of shared entries, by saying and class. */
  const shared = new Uint32Array(aliases.length * CLASSES);
  let at = 0;
  let row = 0;
  const putRows = (isBefore: (address: number, length: number) => boolean): void => {
    for (; row < addresses.length && isBefore(addresses[row], lengths[row]); row++) {
      const prefixLength = classes[lengths[row]];
      const key = said[row] * CLASSES + prefixLength;
      shared[key] ||= entries.push({ prefixLength, entry: null, saying: said[row] });
      put(at++, addresses[row], lengths[row], shared[key], firstId + row + 1);
    }
  };
  for (const [i, { prefix }] of fib.entries.entries()) {
    const address = prefix.address as number;
    putRows((other, length) => other < address || (other === address && length < prefix.length));
    put(at++, address, prefix.length, i + 1, 0);
  }
  putRows(() => true);
  return { entries, prefixes, trie: buildTrie(prefixes) };
}

/** Prefix lengths 0 .. 32. */
const CLASSES = 33;

/** What the look-up structure is built of. @param offsets of entries by number - 1 */
export function lookupColumns({ prefixes }: SharedTable, offsets: readonly number[]): PrefixColumns {
  const { addresses, lengths, results } = prefixes;
  return { family: 4, words: addresses, lengths, values: results.map((number) => offsets[number - 1]) };
}

/** FIB_ENTRY.flags of an IPv4 entry. @param alias the first */
export const entryFlags = (alias: FibAlias<SaidRoute>): number =>
  (isSettled(alias) ? abi.FibEntryFlag.SETTLED : 0) | (forwards(alias) ? abi.FibEntryFlag.FORWARDS : 0);
