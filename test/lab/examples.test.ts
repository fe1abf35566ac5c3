/** The examples with chains and programs: what their `test` blocks expect, on both engines. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { runTests } from "../../src/test-run.ts";
import { COMPILE_TIMEOUT } from "./recordings.ts";

const EXAMPLES: readonly (readonly [file: string, tests: number])[] = [
  ["firewall.vrf", 4],
  ["mark-routing.vrf", 5],
  ["rate-limit.vrf", 3],
  ["xdp-scrubber.vrf", 5],
];

describe.each(EXAMPLES)("examples/%s", (file, tests) => {
  const text = readFileSync(new URL(`../../examples/${file}`, import.meta.url), "utf8");
  const { model, diagnostics } = checkText(text, file);

  test("has nothing to complain of", () => expect(diagnostics).toEqual([]));

  test.each(["reference", "compiled"] as const)("its test blocks, %s", { timeout: COMPILE_TIMEOUT }, async (engine) => {
    const runs = await runTests(model as Model, engine);
    expect(runs.flatMap(({ steps }) => steps.flatMap(({ failure }) => failure ?? []))).toEqual([]);
    expect(runs).toHaveLength(tests);
  });
});
