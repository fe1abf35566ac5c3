/**
 * IPv6 frames as a real kernel answered them (Debian's 6.1.192): three random networks of one to three VRFs. Among the frames are
 * extension headers, link-local addresses, redirects (also to this host itself), closed ports and errors of every kind.
 */
import { expect, test } from "vitest";
import { replay } from "../../src/replay.ts";
import { compareAnswers } from "../../src/replay-compare.ts";
import { COMPILE_TIMEOUT, QUICK_ENGINES, readScenarios } from "./recordings.ts";

const scenarios = readScenarios("frames6.json.gz");
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
