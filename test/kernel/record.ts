/**
 * `npm run kernel -- IN.json OUT.json[.gz]`: scenarios in, the same with the kernel's answers under `expect` out. Commands
 * that the kernel refused are left out of the recorded set-up, and named.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { type Scenario, scenarioFault } from "../../src/scenario.ts";
import { OracleUnavailable } from "./guest-image.ts";
import { askKernel } from "./oracle.ts";
import { recorded } from "./recorded.ts";

async function main(args: readonly string[]): Promise<number> {
  if (args.length !== 2) {
    console.error("npm run kernel -- IN.json OUT.json[.gz]");
    return 2;
  }
  const scenarios = JSON.parse(readFileSync(args[0], "utf8")) as Scenario[];
  const fault = scenarioFault(scenarios);
  if (fault !== null) {
    console.error(`${args[0]}: ${fault}`);
    return 2;
  }
  const answers = await askKernel(scenarios, { say: (line) => console.error(line) });
  for (const { name, failed, setup } of answers) {
    if (failed !== undefined) console.error(`${name}: ${failed}`);
    for (const { cmd, rc, err } of setup) if (rc !== 0) console.error(`${name}: ${cmd}: ${err ?? `status ${rc}`}`);
  }
  const text = JSON.stringify(scenarios.map((scenario, i) => recorded(scenario, answers[i])));
  writeFileSync(args[1], args[1].endsWith(".gz") ? gzipSync(text, { level: 9 }) : `${text}\n`);
  return answers.some(({ failed }) => failed !== undefined) ? 1 : 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof OracleUnavailable)) throw error;
  console.error(`no oracle: ${error.message}`);
  process.exitCode = 2;
}
