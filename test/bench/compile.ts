/**
 * Compilations from text to a loaded dataplane, each in a process of its own: the seed, and policies of VRFs with 100 routes each and 64 rules,
 * the routes in files (`routes from`) or in the text. Times are milliseconds; the stages' medians are taken by themselves.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { CompileRun, Policy } from "./compile-run.ts";
import { median } from "./harness.ts";
import type { BenchOptions, Group, Report } from "./report.ts";

const POLICIES: readonly { readonly policy: Policy; readonly vrfs: number; readonly name: string }[] = [
  { policy: "seed", vrfs: 1, name: "examples/seed.vrf" },
  { policy: "files", vrfs: 100, name: "100 VRFs, 10,000 routes in files" },
  { policy: "files", vrfs: 4000, name: "4,000 VRFs, 400,000 routes in files" },
  { policy: "inline", vrfs: 4000, name: "4,000 VRFs, 400,000 routes in the text" },
];
/** Of those with many routes. */
const MOST_ROUNDS = 3;

export async function compile(options: BenchOptions): Promise<Report> {
  const groups: Group[] = [];
  const said: string[] = [];
  for (const { policy, vrfs, name } of options.quick ? POLICIES.slice(0, 2) : POLICIES) {
    const rounds = vrfs > 100 ? Math.min(options.rounds, MOST_ROUNDS) : options.rounds;
    const runs = Array.from({ length: rounds }, (_, round): CompileRun => {
      options.progress(`${name}: ${round + 1} of ${rounds}`);
      return JSON.parse(execFileSync(process.execPath, [RUN, policy, `${vrfs}`], { encoding: "utf8" }));
    });
    const row = (variant: string, of: (run: CompileRun) => number) => {
      const samples = runs.map((run) => 1e6 * of(run));
      const ns = { median: median(samples), min: Math.min(...samples), max: Math.max(...samples) };
      return { variant, bytes: null, ns, millionPerSecond: 1000 / ns.median };
    };
    const total = row("text to dataplane", (run) => run.total);
    const rows = [
      total,
      ...Object.keys(runs[0].stages).map((stage) => row(`  ${stage}`, (run) => run.stages[stage])),
      row("another rule, model to artifact", (run) => run.changed),
    ];
    const results = rows.map((one) => ({ ...one, ratio: total.ns.median / one.ns.median }));
    groups.push({
      table: name,
      family: 4,
      prefixes: vrfs * 100,
      stream: "",
      baseline: total.variant,
      results,
      unit: "ms",
    });
    const peak = median(runs.map(({ peakMib }) => peakMib));
    const [{ artifactBytes, imageBytes }] = runs;
    said.push(`${name}: at most ${peak.toFixed(0)} MiB; image ${mib(imageBytes)}, artifact ${mib(artifactBytes)}`);
  }
  return { bench: "compile", unit: "milliseconds, a process for each compilation", groups, said };
}

const RUN = fileURLToPath(new URL("./compile-run.js", import.meta.url));
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
