/** `vrfc replay SCENARIOS.json[.gz]`: answers in the form of the recordings, and what differs from the kernel's. */
import { gunzipSync } from "node:zlib";
import { replay } from "../../replay.ts";
import { compareAnswers, countLines, type Difference } from "../../replay-compare.ts";
import { isPaced } from "../../replay-pace.ts";
import { type Answer, type Scenario, scenarioFault } from "../../scenario.ts";
import { EXIT, readBytes, UsageError, writeOutput } from "../io.ts";
import { engineOption, kernelOption, numberOption } from "../policy.ts";

export interface ReplayCommandOptions {
  readonly output?: string;
  readonly verbose: string | number;
  readonly engine: string;
  readonly kernel?: string | number;
  readonly json?: boolean;
}

/** @returns exit status 1 when an answer differs from a recorded one */
export async function run(file: string, options: ReplayCommandOptions): Promise<number> {
  const engine = engineOption(options.engine);
  const kernel = kernelOption(options.kernel);
  const show = numberOption("verbose", options.verbose, 0, 1_000_000);
  const scenarios = readScenarios(file);
  const answers = await replay(scenarios, { engine, ...(kernel === undefined ? {} : { kernel }) });
  if (options.output !== undefined) writeOutput(options.output, `${JSON.stringify(answers)}\n`);
  const comparison = compareAnswers(scenarios, answers);
  const unsupported = unsupportedCounts(answers);
  const paced = scenarios.filter(isPaced).length;
  if (options.json) {
    const report = {
      schema: "vrfc.replay/1",
      engine,
      counts: comparison.counts,
      paced,
      unsupported,
      differences: comparison.differences.slice(0, show),
    };
    console.log(JSON.stringify(report, null, 2));
  } else if (options.output !== "-") {
    for (const line of countLines(comparison)) console.log(line);
    if (paced > 0)
      console.log(
        `${paced} of ${scenarios.length} do not say when frames were sent: at the pace that explains most of the answers`,
      );
    for (const [why, count] of Object.entries(unsupported)) console.log(`unsupported: ${count} (${why})`);
    for (const difference of comparison.differences.slice(0, show)) console.log(differenceText(difference));
  }
  return comparison.differences.length === 0 ? EXIT.OK : EXIT.FINDINGS;
}

/** @throws UsageError for what is no list of scenarios, with the place where it goes wrong */
function readScenarios(file: string): Scenario[] {
  let bytes = readBytes(file);
  try {
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = gunzipSync(bytes);
  } catch (error) {
    throw new UsageError(`${file}: damaged gzip data: ${(error as Error).message}`);
  }
  let scenarios: unknown;
  try {
    scenarios = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new UsageError(`${file}: not JSON: ${(error as Error).message}`);
  }
  const fault = scenarioFault(scenarios);
  if (fault !== null) throw new UsageError(`${file}: ${fault}`);
  return scenarios as Scenario[];
}

/** Reasons why questions were not answered, and how often. */
function unsupportedCounts(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { answers: routes = [], outputs = [], pings = [] } of answers)
    for (const { unsupported } of [...routes, ...outputs, ...pings])
      if (unsupported !== undefined) counts[unsupported] = (counts[unsupported] ?? 0) + 1;
  return counts;
}

const differenceText = ({ kind, scenario, asked, expected, got }: Difference): string =>
  [
    `\n${kind}, ${scenario}`,
    `  asked     ${JSON.stringify(asked)}`,
    `  kernel    ${JSON.stringify(expected)}`,
    `  vrfc      ${JSON.stringify(got)}`,
  ].join("\n");
