/**
 * TCP options written, as a real kernel did it (Debian's 6.1.192, `npm run kernel`): segment sizes clamped, timestamps and SACK edges set; options
 * that are missing, short, over the end of the header or at an odd offset, cut headers, fragments, and checksums around zero. Every frame that
 * left, and every counter.
 */
import { expect, test } from "vitest";
import { expectRecorded, readScenarios } from "./recordings.ts";

const scenarios = readScenarios("tcp-options.json.gz");

test("the rule set has what it is for, and every rule was met", () => {
  const [{ nft, expect: kernel }] = scenarios;
  for (const word of ["maxseg size set 1412", "tsval set", "tsecr set", "sack left set", "set tcp window", "map {"])
    expect(nft?.r).toContain(word);
  expect(kernel?.counters?.r.every(([packets]) => packets > 0)).toBe(true);
});

test.each(["reference", "compiled"] as const)(
  "%s sends the frames and counts as the kernel did",
  (engine) => expectRecorded(scenarios, { engine }, { frames: 110, counters: 10 }),
  120_000,
);
