/**
 * Rule sets as one would write them, one subject each, over one network with two VRFs, asked of a real kernel (Debian's 6.1.192,
 * `npm run kernel`): a firewall for each VRF, both passes of prerouting and output, each way to reject at each hook, fragments and extension
 * headers, VLAN tags, TCP options, packet types and lengths, `fib`, marks that steer rules, written headers, device chains, raw payload, orders.
 */
import { expect, test } from "vitest";
import { expectRecorded, readScenarios } from "./recordings.ts";

const scenarios = readScenarios("rule-sets.json.gz");

test("most counters were met", () => {
  const counters = scenarios.flatMap(({ expect: kernel }) => Object.values(kernel?.counters ?? {}).flat());
  expect(counters.filter(([packets]) => packets > 0).length).toBeGreaterThan(counters.length * 0.7);
});

test.each(["reference", "compiled"] as const)(
  "%s sends the frames, passes the hooks and counts as the kernel did",
  (engine) => expectRecorded(scenarios, { engine, level: 0 }, { frames: 1042, counters: 649 }),
  240_000,
);
