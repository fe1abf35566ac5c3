/** What a benchmark reports: as JSON, with a schema version, or as tables for people. */
import type { Family } from "../../runtime/net/ip.ts";
import type { Stream } from "./generate.ts";
import { type Measurement, machine } from "./harness.ts";

/** Goes up when a field changes its meaning or goes away. */
export const SCHEMA = 1;

export interface BenchOptions {
  readonly rounds: number;
  readonly quick: boolean;
  readonly seed: number;
  /** Files of routes to use instead of generated tables. */
  readonly routes: readonly string[];
  /** Files of route changes to replay instead of drawn ones. */
  readonly updates: readonly string[];
  readonly streams: readonly Stream[];
  /** Build the peers that take minutes to. */
  readonly slow: boolean;
  /** packets: beside XDP programs. */
  readonly peers: boolean;
  /** Folder of rule sets to use instead of drawn ones; null: none. */
  readonly rules: string | null;
  /** chains: half of the rules drop. */
  readonly drop: boolean;
  /** chains: of the addresses in rules. */
  readonly family: Family;
  /** Sizes of rule sets; none: all that the benchmark has. */
  readonly sizes: readonly number[];
  /** A word on what is being measured, where somebody watches. */
  readonly progress: (what: string) => void;
}

/** A baseline: of all variants that are not ours ("vrfc ...") the fastest at the median. */
export const FASTEST_PEER = "the fastest peer";

export interface Group {
  /** "65536 routes, IPv4" */
  readonly table: string;
  readonly family: Family;
  readonly prefixes: number;
  readonly stream: string;
  /** The variant that ratios are to, or FASTEST_PEER. */
  readonly baseline: string;
  readonly results: readonly Measurement[];
  readonly remarks?: readonly string[];
  /** How times are printed; absent: ns, with a rate beside them. */
  readonly unit?: "ns" | "ms";
}

export interface Report {
  readonly bench: string;
  readonly unit: string;
  readonly groups: readonly Group[];
  /** What was left out, and why. */
  readonly notes?: readonly string[];
  /** What there is to say besides times. */
  readonly said?: readonly string[];
}

/** Where, when and how a report came about. */
export interface Stamp {
  readonly schema: number;
  readonly machine: ReturnType<typeof machine>;
  /** YYYY-MM-DD, UTC */
  readonly date: string;
  readonly rounds: number;
  readonly quick: boolean;
  readonly seed: number;
}

export function toJson(report: Report, { rounds, quick, seed }: BenchOptions): string {
  const date = new Date().toISOString().slice(0, 10);
  const stamp: Stamp = { schema: SCHEMA, machine: machine(), date, rounds, quick, seed };
  return JSON.stringify({ ...stamp, ...report }, null, 2);
}

export function toText(report: Report, { rounds, seed }: BenchOptions): string {
  const { node, cpu, cores, platform } = machine();
  const head = `${report.bench}: ${report.unit}; median of ${rounds} rounds [fastest-slowest]; seed ${seed}\n${node}, ${cpu} (${cores}), ${platform}\n`;
  const notes = (report.notes ?? []).map((note) => `left out: ${note}\n`);
  const said = (report.said ?? []).map((line) => `${line}\n`);
  return [head, ...report.groups.map(groupText), said.join(""), notes.join("")].join("\n");
}

function groupText({ table, stream, baseline, results, unit = "ns", remarks = [] }: Group): string {
  const time = (ns: number): string => (unit === "ms" ? (ns / 1e6).toFixed(0) : ns.toFixed(2));
  const rows = results.map(({ variant, ns, millionPerSecond, ratio, bytes, loss }) => [
    `  ${variant}`,
    unit === "ms" ? "" : millionPerSecond.toFixed(millionPerSecond < 10 ? 2 : 0),
    time(ns.median),
    `[${time(ns.min)}-${time(ns.max)}]`,
    ratio.toFixed(2),
    loss === undefined ? (bytes === null ? "" : size(bytes)) : `${(loss * 100).toFixed(2)} %`,
  ]);
  const last = results.some(({ loss }) => loss !== undefined) ? "lost" : "bytes";
  const what = stream === "" ? table : `${table}, ${stream} traffic`;
  const title = [what, unit === "ms" ? "" : "M/s", unit, "", "ratio", last];
  const widths = title.map((cell, c) => Math.max(cell.length, ...rows.map((row) => row[c].length)));
  const line = (row: readonly string[]) =>
    row.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]) : cell.padStart(widths[c]))).join("  ");
  return `${[line(title), ...rows.map(line)].join("\n")}\n${[`ratio: to ${baseline}`, ...remarks].map((one) => `  ${one}\n`).join("")}`;
}

const size = (bytes: number): string =>
  bytes < 1024
    ? `${bytes} B`
    : bytes < 2 ** 20
      ? `${(bytes / 1024).toFixed(0)} KiB`
      : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
