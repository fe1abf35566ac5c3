/** Commands whose reader goes before they have printed (`vrfc .. | head`): they say nothing of it, and end as they would have. */
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { staleBuild } from "../stale-build.ts";

const SEED = "examples/seed.vrf";
const stale = staleBuild();

describe.skipIf(stale !== null)(`nobody reads${stale === null ? "" : ` (${stale})`}`, () => {
  test.each([
    ["--help", 0],
    [`check ${SEED}`, 0],
    ["check --json README.md", 1],
    ["check --explain E0201", 0],
    [`test ${SEED} --walk`, 0],
    [`dump ${SEED} --stage model`, 0],
    [`dump ${SEED} --stage plan`, 0],
    ["import examples/seed.sh --json", 1],
    [`compile ${SEED} -O 0 -o -`, 0],
    ["replay test/kernel/walks.json.gz --engine reference --json", 0],
  ])("%s", (words, status) => {
    const command = `${process.execPath} dist/src/cli/main.js ${words} | true; exit "\${PIPESTATUS[0]}"`;
    const done = spawnSync("bash", ["-c", command], { encoding: "utf8" });
    expect([done.stderr, done.status]).toEqual(["", status]);
  });
});
