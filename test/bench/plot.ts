/**
 * `plot`: reports of benchmarks (`--json`) as charts, one SVG a report: a panel for each group, a bar for each variant, its length the
 * median rate, a whisker from the slowest round to the fastest.
 *
 *   table, addresses
 *   variant      ████████████├──┤  549 M/s   2.31 x
 *   baseline     █████├┤           238 M/s   1.00 x
 *
 * Rates of a panel that lie more than LOG_FROM times apart are drawn on a logarithmic scale, and the panel says so.
 */
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Measurement } from "./harness.ts";
import { FASTEST_PEER, type Group, type Report, SCHEMA, type Stamp } from "./report.ts";

export class PlotError extends Error {}

/** What `--json` has printed. */
export type StampedReport = Report & Stamp;

/** @returns the files that were written */
export async function plot(files: readonly string[], folder: string): Promise<string[]> {
  if (files.length === 0) throw new PlotError("plot takes files that a benchmark has printed with --json");
  const charts = files.map((file) => {
    const name = `bench-${basename(file).replace(/\.json$/, "")}.svg`;
    return { path: join(folder, name), svg: chart(readReport(file)) };
  });
  await mkdir(folder, { recursive: true });
  for (const { path, svg } of charts) await writeFile(path, svg);
  return charts.map(({ path }) => path);
}

function readReport(file: string): StampedReport {
  let report: Partial<StampedReport>;
  try {
    report = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new PlotError(`${file}: ${(error as Error).message}`);
  }
  if (report === null || report.schema !== SCHEMA || !Array.isArray(report.groups))
    throw new PlotError(`${file} is no report of schema ${SCHEMA}: print one with --json`);
  return report as StampedReport;
}

const WIDTH = 760;
const LABEL = 250;
const BARS = 330;
const ROW = 18;
const MARGIN = 16;
/** Above a panel's bars, and below them. */
const TITLE = 26;
const GAP = 14;
const LOG_FROM = 50;

export function chart(report: StampedReport): string {
  const { bench, unit, groups, machine, date, rounds, quick } = report;
  const heads = [
    text(MARGIN, 28, `${bench}: ${unit}`, "title"),
    text(MARGIN, 46, `${machine.cpu}, ${machine.cores} cores; Node ${machine.node}; ${date}`, "note"),
    text(
      MARGIN,
      62,
      `millions a second, median of ${rounds} rounds${quick ? " (quick)" : ""}, slowest to fastest; x: beside the panel's baseline`,
      "note",
    ),
  ];
  let y = 76;
  const panels = groups.map((group) => {
    const svg = panel(group, y);
    y += TITLE + group.results.length * ROW + GAP;
    return svg;
  });
  const height = y + MARGIN - GAP;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escapeXml(`${bench}: ${unit}`)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect width="${WIDTH}" height="${height}" class="paper"/>`,
    ...heads,
    ...panels,
    "</svg>",
  ].join("\n")}\n`;
}

/** Colours that hold on light and on dark pages. */
const STYLE = [
  "text { font: 12px ui-sans-serif, system-ui, sans-serif; fill: #1f2933 }",
  ".title { font-size: 16px; font-weight: 600 }",
  ".panel { font-weight: 600 }",
  ".note { fill: #616e7c }",
  ".paper { fill: #ffffff }",
  ".bar { fill: #2f6fb0 }",
  ".baseline { fill: #9aa5b1 }",
  ".whisker { stroke: #1f2933; stroke-width: 1 }",
].join(" ");

function panel({ table, stream, baseline, results }: Group, top: number): string {
  const scale = scaleOf(results);
  const title = `${table}${stream === "" ? "" : `, ${stream} addresses`}${scale.log ? " (logarithmic)" : ""}`;
  return [
    text(MARGIN, top + 16, title, "panel"),
    ...results.map((one, i) => row(one, baseline, scale, top + TITLE + i * ROW)),
  ].join("\n");
}

interface Scale {
  readonly log: boolean;
  /** Millions a second to pixels. */
  at(rate: number): number;
}

const fastest = ({ ns }: Measurement): number => 1000 / ns.min;
const slowest = ({ ns }: Measurement): number => 1000 / ns.max;

function scaleOf(results: readonly Measurement[]): Scale {
  const most = Math.max(...results.map(fastest));
  const medians = results.map(({ millionPerSecond }) => millionPerSecond);
  const log = Math.max(...medians) / Math.min(...medians) > LOG_FROM;
  if (!log) return { log, at: (rate) => (rate / most) * BARS };
  const least = Math.min(...results.map(slowest)) / 2;
  return { log, at: (rate) => (Math.log(rate / least) / Math.log(most / least)) * BARS };
}

/** Grey: what is compared with. */
const isBaseline = (variant: string, baseline: string): boolean =>
  variant === baseline || (baseline === FASTEST_PEER && !variant.startsWith("vrfc "));

function row(one: Measurement, baseline: string, { at }: Scale, y: number): string {
  const { variant, millionPerSecond, ratio } = one;
  const [low, middle, high] = [slowest(one), millionPerSecond, fastest(one)].map((rate) => round(LABEL + at(rate)));
  const centre = y + ROW / 2;
  const kind = isBaseline(variant, baseline) ? "baseline" : "bar";
  return [
    text(LABEL - 8, y + 13, variant, "", "end"),
    `<rect x="${LABEL}" y="${y + 3}" width="${round(middle - LABEL)}" height="${ROW - 6}" class="${kind}"/>`,
    `<path d="M${low} ${centre}H${high}M${low} ${centre - 3}v6M${high} ${centre - 3}v6" class="whisker"/>`,
    text(LABEL + BARS + 90, y + 13, rateText(millionPerSecond), "", "end"),
    text(WIDTH - MARGIN, y + 13, `${ratioText(ratio)} x`, "", "end"),
  ].join("");
}

const rateText = (rate: number): string => rate.toFixed(rate < 10 ? 2 : 0);
const ratioText = (ratio: number): string => (ratio >= 100 ? ratio.toFixed(0) : ratio.toFixed(2));
const round = (n: number): number => Math.round(n * 10) / 10;

const text = (x: number, y: number, content: string, kind: string, anchor = "start"): string =>
  `<text x="${x}" y="${y}"${kind === "" ? "" : ` class="${kind}"`}${anchor === "start" ? "" : ` text-anchor="${anchor}"`}>${escapeXml(content)}</text>`;

const escapeXml = (content: string): string =>
  content.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] ?? c);
