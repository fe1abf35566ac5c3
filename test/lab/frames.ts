/** Recorded frames, answered by every engine as the kernel answered them: what came out of every port, byte for byte, and the hooks passed. */
import { expect, test } from "vitest";
import { replay } from "../../src/replay.ts";
import { compareAnswers } from "../../src/replay-compare.ts";
import { COMPILE_TIMEOUT, QUICK_ENGINES, readScenarios } from "./recordings.ts";

/** @param file of test/kernel */
export function testFrames(file: string): void {
  const scenarios = readScenarios(file);
  const total = scenarios.reduce((sum, { frames = [] }) => sum + frames.length, 0);
  test.each(QUICK_ENGINES)(
    "sends the frames and passes the hooks that the kernel did: $name",
    async (engine) => {
      const { counts, differences } = compareAnswers(scenarios, await replay(scenarios, engine));
      expect(differences).toEqual([]);
      expect(counts).toEqual([
        { kind: "frames", same: total, total },
        { kind: "hooks of frames", same: total, total },
      ]);
    },
    COMPILE_TIMEOUT,
  );
}
