/**
 * The answers that every variant must give, from a form that shares nothing with the look-up structures: the table as
 * disjoint ranges, an address found by bisection. Itself checked against `linear` on a sample.
 *
 *   10.0.0.0/8 -> 1, 10.1.0.0/16 -> 2         starts  0  10.0.0.0  10.1.0.0  10.2.0.0  11.0.0.0
 *                                              values  0     1         2         1         0
 */

import { lookupLpm } from "../../runtime/lpm/choose.ts";
import { type PrefixColumns, sortColumns } from "../../runtime/lpm/columns.ts";
import { linear } from "../../runtime/lpm/linear.ts";
import type { LpmImage } from "../../runtime/lpm/lpm.ts";
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

interface Reference {
  readonly ranges: Ranges;
  readonly image: LpmImage;
}
const references = new WeakMap<PrefixColumns, Reference>();

/** Built once a table: every stream asks the same. */
function referenceOf(table: PrefixColumns): Reference {
  let reference = references.get(table);
  if (reference === undefined) {
    const entries = Array.from(table.values, (value, i) => ({ ...prefixAt(table, i), value }));
    reference = { ranges: rangesOf(table), image: linear.build(table.family, entries) };
    references.set(table, reference);
  }
  return reference;
}

/** Comparisons of the sample with `linear`, in prefixes times addresses. */
const LINEAR_BUDGET = 2 ** 24;

/**
 * @param addresses as batches take them
 * @throws Error when the reference itself disagrees with `linear`
 */
export function referenceAnswers(table: PrefixColumns, addresses: Uint8Array): Uint32Array {
  const { ranges, image } = referenceOf(table);
  const at = addressReader(table, addresses);
  const count = addresses.length / (table.family === 4 ? 4 : 16);
  const answers = Uint32Array.from({ length: count }, (_, i) => find(ranges, at(i)));
  const sample = Math.min(count, Math.ceil(LINEAR_BUDGET / (image.prefixes + 1)));
  for (let i = 0; i < sample; i++) {
    const expected = lookupLpm(image, at(i));
    if (expected !== answers[i]) throw new Error(`reference says ${answers[i]} for ${at(i)}, linear ${expected}`);
  }
  return answers;
}

export function addressReader({ family }: PrefixColumns, addresses: Uint8Array): (i: number) => Ip {
  const view = new DataView(addresses.buffer, addresses.byteOffset, addresses.byteLength);
  return family === 4 ? (i) => view.getUint32(4 * i, true) : (i) => readIpv6(addresses, 16 * i);
}
