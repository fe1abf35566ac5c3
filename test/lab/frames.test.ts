/**
 * Ethernet frames as a real kernel answered them (Debian's 6.1.192): six random networks of one to three VRFs, with what
 * came out of every port, byte for byte, and the netfilter hooks passed. Among the frames are IP options, good and bad,
 * redirects, broadcasts that come back to their sender, errors of every kind and the limits on them.
 */
import { describe, expect, test } from "vitest";
import { replay } from "../../src/replay.ts";
import { compareAnswers } from "../../src/replay-compare.ts";
import { COMPILE_TIMEOUT, QUICK_ENGINES, readScenarios } from "./recordings.ts";

const scenarios = readScenarios("frames.json.gz");
const total = scenarios.reduce((sum, { frames = [] }) => sum + frames.length, 0);

describe.each(QUICK_ENGINES)("$name", (engine) => {
  test(
    "sends the frames and passes the hooks that the kernel did",
    async () => {
      const { counts, differences } = compareAnswers(scenarios, await replay(scenarios, engine));
      expect(differences).toEqual([]);
      expect(counts).toEqual([
        { kind: "frames", same: total, total },
        { kind: "hooks of frames", same: total, total },
      ]);
    },
    COMPILE_TIMEOUT,
  );
});
