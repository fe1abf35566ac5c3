/** Charts of reports: what is drawn is what was measured. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Measurement } from "./harness.ts";
import { chart, PlotError, plot, type StampedReport } from "./plot.ts";
import { SCHEMA } from "./report.ts";

const measured = (variant: string, ns: number, ratio: number): Measurement => ({
  variant,
  bytes: null,
  ns: { median: ns, min: ns / 2, max: ns * 2 },
  millionPerSecond: 1000 / ns,
  ratio,
});

const report = (results: readonly Measurement[]): StampedReport => ({
  schema: SCHEMA,
  machine: { node: "v20", v8: "11", platform: "linux x64", cpu: "a & b", cores: 2 },
  date: "2026-01-02",
  rounds: 9,
  quick: false,
  seed: 1,
  bench: "lookup",
  unit: "look-ups",
  groups: [{ table: "16 routes", family: 4, prefixes: 16, stream: "zipf", baseline: "old", results }],
});

/** Lengths of the bars, in pixels. */
const bars = (svg: string): number[] =>
  [...svg.matchAll(/<rect x="\d+" y="[\d.]+" width="([\d.]+)" height="\d+" class="(?:bar|baseline)"/g)].map(
    ([, width]) => Number(width),
  );

describe("a chart", () => {
  test("has a bar for each variant, as long as its rate", () => {
    const svg = chart(report([measured("new", 1, 4), measured("old", 4, 1)]));
    const [fast, slow] = bars(svg);
    expect(fast / slow).toBeCloseTo(4, 1);
    for (const word of ["new", "old", "1000", "250", "4.00 x", "2026-01-02", "a &amp; b", "16 routes, zipf addresses"])
      expect(svg).toContain(`${word}`);
    expect(svg).not.toContain("logarithmic");
  });

  test("of rates that lie far apart is logarithmic, and says so", () => {
    const svg = chart(report([measured("new", 1, 1000), measured("old", 1000, 1)]));
    const [fast, slow] = bars(svg);
    expect(svg).toContain("logarithmic");
    expect(slow).toBeGreaterThan(0);
    expect(fast).toBeGreaterThan(slow);
  });
});

describe("plot", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "vrfc-plot-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("writes a file for each report", async () => {
    const file = join(folder, "look.json");
    await writeFile(file, JSON.stringify(report([measured("old", 1, 1)])));
    const written = await plot([file], folder);
    expect(written).toEqual([join(folder, "bench-look.svg")]);
    expect(await readFile(written[0], "utf8")).toMatch(/^<svg[\s\S]*<\/svg>\n$/);
  });

  test.each([
    ["no JSON", "{"],
    ["no report", '{"schema":99}'],
    ["nothing", "null"],
  ])("refuses a file that is %s, and writes nothing", async (_, content) => {
    const [good, bad] = [join(folder, "good.json"), join(folder, "bad.json")];
    await writeFile(good, JSON.stringify(report([measured("old", 1, 1)])));
    await writeFile(bad, content);
    await expect(plot([good, bad], folder)).rejects.toThrow(PlotError);
    await expect(readFile(join(folder, "bench-good.svg"))).rejects.toThrow();
  });
});
