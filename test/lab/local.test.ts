/**
 * What a host does with frames for itself, as a real kernel did (Debian's 6.1.192): fragments in every order, of one VRF or several,
 * that overlap, contradict each other, are too much or come too late; ICMP timestamp requests; VLAN tags.
 */
import { describe, expect, test } from "vitest";
import { replay } from "../../src/replay.ts";
import { compareAnswers } from "../../src/replay-compare.ts";
import { COMPILE_TIMEOUT, QUICK_ENGINES, readScenarios } from "./recordings.ts";

const scenarios = readScenarios("local.json.gz");
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
