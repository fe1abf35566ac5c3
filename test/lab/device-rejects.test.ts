/**
 * What a device's chain rejects, as a real kernel answered it: each way to reject, both families, padded, cut, wrong and fragmented packets, with
 * options, tags and extension headers, to groups and to others, and what leaves past the device's egress. Linux 6.18: Debian's 6.1 is
 * built without `reject` there, but its functions that make the answers are the same.
 */
import { expect, test } from "vitest";
import { expectRecorded, readScenarios } from "./recordings.ts";

const scenarios = readScenarios("device-rejects.json.gz");

test("every rule was met", () => {
  expect(scenarios[0].expect?.counters?.r.every(([packets]) => packets > 0)).toBe(true);
});

test.each(["reference", "compiled"] as const)(
  "%s answers, and counts, as the kernel did",
  (engine) => expectRecorded(scenarios, { engine }, { frames: 64, counters: 19 }),
  60_000,
);
