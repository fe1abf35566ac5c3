/**
 * The answers that every variant must give, from a form that shares nothing with the look-up structures: the table as
 * disjoint ranges, an address found by bisection. Itself checked on a sample against a scan of all prefixes.
 *
 *   10.0.0.0/8 -> 1, 10.1.0.0/16 -> 2         starts  0  10.0.0.0  10.1.0.0  10.2.0.0  11.0.0.0
 *                                              values  0     1         2         1         0
 */

import { type PrefixColumns, sortColumns, wordsOf } from "../../runtime/lpm/columns.ts";
import { type Ip, lastAddress, readIpv6 } from "../../runtime/net/ip.ts";
import { prefixAt } from "./generate.ts";

interface Ranges {
  readonly starts: readonly Ip[];
  readonly values: readonly number[];
}

/** One pass over the sorted prefixes with a stack of those that are open. */
function rangesOf(unsorted: PrefixColumns): Ranges {
  const columns = sortColumns(unsorted);
  const zero: Ip = columns.family === 4 ? 0 : 0n;
  const starts: Ip[] = [zero];
  const values = [0];
  const open: { last: Ip; value: number }[] = [];
  const startAt = (ip: Ip, value: number): void => {
    if (starts[starts.length - 1] === ip) values[values.length - 1] = value;
    else {
      starts.push(ip);
      values.push(value);
    }
  };
  const closeBefore = (ip: Ip | null): void => {
    while (open.length > 0 && (ip === null || open[open.length - 1].last < ip)) {
      const { last } = open.pop()!;
      startAt(typeof last === "number" ? last + 1 : last + 1n, open[open.length - 1]?.value ?? 0);
    }
  };
  for (let i = 0; i < columns.lengths.length; i++) {
    const prefix = prefixAt(columns, i);
    closeBefore(prefix.address);
    open.push({ last: lastAddress(prefix), value: columns.values[i] });
    startAt(prefix.address, columns.values[i]);
  }
  closeBefore(null);
  return { starts, values };
}

function find({ starts, values }: Ranges, ip: Ip): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (starts[middle] <= ip) low = middle;
    else high = middle - 1;
  }
  return values[low];
}

const ranges = new WeakMap<PrefixColumns, Ranges>();

/** Built once a table: every stream asks the same. */
function rangesOnce(table: PrefixColumns): Ranges {
  let known = ranges.get(table);
  if (known === undefined) {
    known = rangesOf(table);
    ranges.set(table, known);
  }
  return known;
}

/** The value of the longest prefix around an address: every prefix is compared. @param ip words of the address */
function scan({ family, words, lengths, values }: PrefixColumns, ip: ArrayLike<number>): number {
  const width = wordsOf(family);
  let longest = -1;
  let value = 0;
  for (let i = 0; i < lengths.length; i++) {
    if (lengths[i] <= longest) continue;
    let w = 0;
    while (w < width && sameBits(words[width * i + w], ip[w], lengths[i] - 32 * w)) w++;
    if (w < width) continue;
    longest = lengths[i];
    value = values[i];
  }
  return value;
}

/** Do the first `bits` bits of two words agree? All of them from 32 on, none need below 1. */
const sameBits = (a: number, b: number, bits: number): boolean =>
  bits <= 0 || (a ^ b) >>> (bits >= 32 ? 0 : 32 - bits) === 0;

/** Comparisons of the sample with a scan of all prefixes, in prefixes times addresses. */
const SCAN_BUDGET = 2 ** 24;

/**
 * @param addresses as batches take them
 * @throws Error when the reference itself disagrees with the scan
 */
export function referenceAnswers(table: PrefixColumns, addresses: Uint8Array): Uint32Array {
  const found = rangesOnce(table);
  const at = addressReader(table, addresses);
  const width = wordsOf(table.family);
  const count = addresses.length / (4 * width);
  const answers = Uint32Array.from({ length: count }, (_, i) => find(found, at(i)));
  const sample = Math.min(count, Math.ceil(SCAN_BUDGET / (table.lengths.length + 1)));
  const ip = new Uint32Array(width);
  for (let i = 0; i < sample; i++) {
    for (let w = 0; w < width; w++) ip[w] = wordAt(table, addresses, i, w);
    const expected = scan(table, ip);
    if (expected !== answers[i]) throw new Error(`reference says ${answers[i]} for ${at(i)}, a scan ${expected}`);
  }
  return answers;
}

function wordAt({ family }: PrefixColumns, addresses: Uint8Array, i: number, w: number): number {
  const view = new DataView(addresses.buffer, addresses.byteOffset, addresses.byteLength);
  return family === 4 ? view.getUint32(4 * i, true) : view.getUint32(16 * i + 4 * w);
}

export function addressReader({ family }: PrefixColumns, addresses: Uint8Array): (i: number) => Ip {
  const view = new DataView(addresses.buffer, addresses.byteOffset, addresses.byteLength);
  return family === 4 ? (i) => view.getUint32(4 * i, true) : (i) => readIpv6(addresses, 16 * i);
}
