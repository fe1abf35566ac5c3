/**
 * Records the kernel's answers anew: VRFC_ORACLE is a command that is run as `COMMAND IN.json OUT.json`, IN a list of
 * scenarios, OUT their answers in the same order. VRFC_SELFTEST limits it to scripts whose name holds the word.
 *
 *   VRFC_ORACLE=path/to/oracle npm run selftests:record
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type KernelAnswer, writeRecordings } from "./recordings.ts";
import { scripts } from "./scripts/index.ts";
import { outcomes, toScenario } from "./selftest.ts";

const oracle = process.env.VRFC_ORACLE;
const chosen = scripts.filter(({ script }) => script.includes(process.env.VRFC_SELFTEST ?? ""));

describe.skipIf(oracle === undefined)("recording", () => {
  test.each(chosen)("$script", { timeout: 1_800_000 }, (script) => {
    const scenarios = script.tests.map((selftest) => toScenario(script, selftest));
    const answers = ask(oracle as string, scenarios);
    expect(answers.map(({ name }) => name)).toEqual(scenarios.map(({ name }) => name));
    writeRecordings(
      script,
      scenarios.map((scenario, i) => ({ ...scenario, expect: answers[i] })),
    );
    const got = script.tests.flatMap((selftest, i) => outcomes(selftest, answers[i]));
    expect(got).toEqual(script.tests.flatMap(({ asks }) => asks.map((asked) => asked.expect)));
  });
});

function ask(command: string, scenarios: readonly object[]): KernelAnswer[] {
  const directory = mkdtempSync(join(tmpdir(), "selftests-"));
  try {
    const [input, output] = ["in.json", "out.json"].map((name) => join(directory, name));
    writeFileSync(input, JSON.stringify(scenarios));
    execFileSync(command, [input, output], { stdio: "inherit" });
    return JSON.parse(readFileSync(output, "utf8")) as KernelAnswer[];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
