/**
 * What the random rule sets of other recordings have not, as a real kernel ran it (Debian's 6.1.192, `npm run kernel`): each way to
 * reject, limits, header fields written, frames sent on and copied, marks from maps; packets whose sender is told of a better next hop before a chain
 * drops, rejects or passes them, some with IP options; answers of this host that its own chain rejects. Every frame that left, and every counter.
 */
import { expect, test } from "vitest";
import { expectRecorded, readScenarios } from "./recordings.ts";

const scenarios = readScenarios("statements.json.gz");

test("the rule set has what it is for, and every rule was met", () => {
  const [{ nft, expect: kernel }] = scenarios;
  for (const word of [
    ...["tcp reset", "icmpx", "icmp host-prohibited", "icmpv6", "limit rate 2/second", "limit rate over"],
    ...["dport set", "ttl set", "hoplimit set", "dscp set", "daddr set", "@th,16,16 set", "fwd to", "dup to", "vmap"],
  ])
    expect(nft?.r).toContain(word);
  // But one: behind a `drop`.
  expect(kernel?.counters?.r.filter(([packets]) => packets === 0)).toHaveLength(1);
  expect(scenarios[1].expect?.counters?.r.every(([packets]) => packets > 0)).toBe(true);
});

test.each(["reference", "compiled"] as const)(
  "%s sends the frames and counts as the kernel did",
  (engine) => expectRecorded(scenarios, { engine }, { frames: 146, counters: 57 }),
  120_000,
);
