/**
 * Records the kernel's answers anew, from the oracle of test/kernel. VRFC_SELFTEST limits it to recordings whose name holds the word.
 *
 *   npm run selftests:record
 */
import { describe, expect, test } from "vitest";
import { askKernel } from "../kernel/oracle.ts";
import { recordingName, writeRecordings } from "./recordings.ts";
import { scripts } from "./scripts/index.ts";
import { outcomes, toScenario } from "./selftest.ts";

const chosen = scripts.filter((script) => recordingName(script).includes(process.env.VRFC_SELFTEST ?? ""));

describe.skipIf(process.env.VRFC_RECORD === undefined)("recording", () => {
  test.each(chosen)("$script", { timeout: 1_800_000 }, async (script) => {
    const scenarios = script.tests.map((selftest) => toScenario(script, selftest));
    const answers = await askKernel(scenarios, { say: console.error });
    expect(answers.map(({ name }) => name)).toEqual(scenarios.map(({ name }) => name));
    writeRecordings(
      script,
      scenarios.map((scenario, i) => ({ ...scenario, expect: answers[i] })),
    );
    const got = script.tests.flatMap((selftest, i) => outcomes(selftest, answers[i]));
    expect(got).toEqual(script.tests.flatMap(({ asks }) => asks.map((asked) => asked.expect)));
  });
});
