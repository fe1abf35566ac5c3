/**
 * Rule sets as a real kernel ran them (Debian's 6.1.192): three random networks with chains at every hook; the frames that left, the
 * hooks that were passed, and in the end every counter.
 */
import { expect, test } from "vitest";
import { replay } from "../../src/replay.ts";
import { compareAnswers, type Difference } from "../../src/replay-compare.ts";
import { readScenarios } from "./recordings.ts";

const scenarios = readScenarios("chains.json.gz");
/** Frames that the sending device took. */
const total = scenarios
  .flatMap(({ expect: kernel }) => kernel?.outputs ?? [])
  .filter(({ refused }) => refused === undefined).length;
const TIMEOUT = 120_000;

test(
  "sends the frames, passes the hooks and counts as the kernel did",
  async () => {
    const { counts, differences } = compareAnswers(scenarios, await replay(scenarios, { engine: "reference" }));
    expect(differences.filter((difference) => !isOfListenerReports(difference))).toEqual([]);
    expect(counts.filter(({ kind }) => kind !== "counters")).toEqual([
      { kind: "frames", same: total, total },
      { kind: "hooks of frames", same: total, total },
    ]);
    expect(counts.find(({ kind }) => kind === "counters")).toEqual({ kind: "counters", same: 109, total: 111 });
  },
  TIMEOUT,
);

/** A report (RFC 3810 section 5.2): IPv6 header 40, router alert 8, report 8, and 20 bytes for each of its records. */
const REPORT_BYTES = 56;
const RECORD_BYTES = 20;

/** The kernel's own multicast listener reports, sent at random times after a device came up, are counted by it and not sent here. */
function isOfListenerReports({ kind, expected, got }: Difference): boolean {
  if (kind !== "counters") return false;
  const [packets, bytes] = [0, 1].map((i) => (expected as number[])[i] - (got as number[])[i]);
  const records = (bytes - packets * REPORT_BYTES) / RECORD_BYTES;
  return packets > 0 && Number.isInteger(records) && records >= packets;
}
