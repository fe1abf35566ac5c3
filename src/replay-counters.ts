/**
 * Counters against the kernel's. The kernel's own listener reports (listener-reports.ts) are counted too, at times that nobody can
 * know; what they would count is known. A network's counters agree when one choice of reports, a whole number from each device,
 * explains every difference of the network at once, and the ones that do not differ as well.
 *
 *   kernel - ours = sum over devices of [ at most REPORTS_OF_A_DEVICE of its reports ]        for every counter, packets and bytes
 */
import { REPORTS_OF_A_DEVICE } from "./listener-reports.ts";
import type { Counters, ReportEffect } from "./scenario.ts";

/** Packets and bytes of all counters of a network, one after the other. */
type Sums = readonly number[];

/**
 * @returns the least number of reports that makes `got` into `expected`; 0: they are equal; null: no number does, so that what
 *   differs is wrong
 */
export function reportsBetween(expected: Counters, got: Counters, reports: readonly ReportEffect[]): number | null {
  const names = Object.keys(expected);
  const [wanted, ours] = [sumsOf(expected, names), sumsOf(got, names)];
  if (wanted.length !== ours.length) return null;
  const missing = wanted.map((sum, i) => sum - ours[i]);
  let reached = new Map([[key(missing.map(() => 0)), { sums: missing.map(() => 0) as Sums, reports: 0 }]]);
  for (const device of new Set(reports.map((report) => report.device))) {
    const effects = reports.filter((report) => report.device === device).map(({ counted }) => sumsOf(counted, names));
    reached = withReports(reached, effects, missing);
  }
  return reached.get(key(missing))?.reports ?? null;
}

type Reached = Map<string, { readonly sums: Sums; readonly reports: number }>;

/** What can be reached with up to so many reports more, none of which counts more than is missing. */
function withReports(from: Reached, effects: readonly Sums[], missing: Sums): Reached {
  const all: Reached = new Map(from);
  let last = from;
  for (let n = 0; n < REPORTS_OF_A_DEVICE; n++) {
    const next: Reached = new Map();
    for (const { sums, reports } of last.values())
      for (const effect of effects) {
        const more = sums.map((sum, i) => sum + effect[i]);
        if (!all.has(key(more)) && more.every((sum, i) => sum <= missing[i]))
          next.set(key(more), { sums: more, reports: reports + 1 });
      }
    for (const [text, state] of next) all.set(text, state);
    last = next;
  }
  return all;
}

const sumsOf = (counters: Counters, names: readonly string[]): number[] =>
  names.flatMap((name) => (counters[name] ?? []).flat());
const key = (sums: Sums): string => sums.join();
