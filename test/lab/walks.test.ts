/**
 * Pings as the kernel recorded them, on every engine: exit status, and every netfilter hook passed in every namespace.
 *
 *   walks.json.gz   the seed's six cases and six relatives
 *   pings.json.gz   sources, groups, unanswered neighbours, reject routes, rules for ICMP alone, rate limits, sockets and
 *                   l3mdev_accept, devices that are down; ping's own output is held against the kernel's too
 */
import { describe, expect, test } from "vitest";
import { replay } from "../../src/replay.ts";
import { compareAnswers, countLines } from "../../src/replay-compare.ts";
import type { PingAnswer } from "../../src/scenario.ts";
import { ENGINES, readScenarios } from "./recordings.ts";

describe.each(ENGINES)("%s", (engine) => {
  test("walks: 20 of 20 pings, 20 of 20 hook walks", async () => {
    const scenarios = readScenarios("walks.json.gz");
    const comparison = compareAnswers(scenarios, await replay(scenarios, { engine }));
    expect(comparison.differences).toEqual([]);
    expect(countLines(comparison)).toEqual(["hooks of pings: 20 of 20", "pings: 20 of 20"]);
  });

  test("pings: all that is supported, and what is not says so", async () => {
    const scenarios = readScenarios("pings.json.gz");
    const answers = await replay(scenarios, { engine });
    const refused = answers.flatMap(({ pings = [] }) =>
      pings.flatMap(({ cmd, unsupported }) => (unsupported === undefined ? [] : [cmd])),
    );
    expect(refused).toEqual(UNSUPPORTED);
    const { differences } = compareAnswers(scenarios, answers);
    const unexplained = differences.filter(({ asked }) => !UNSUPPORTED.includes(asked as string) && asked !== BACKLOG);
    expect(unexplained).toEqual([]);
  });

  test("ping's output is the kernel's, but for times", async () => {
    for (const file of ["walks.json.gz", "pings.json.gz"]) {
      const scenarios = readScenarios(file);
      const answers = await replay(scenarios, { engine });
      const said = (pings: readonly PingAnswer[] = []) =>
        pings.map(({ cmd, out = "", err }) => ({ cmd, out: withoutTimes(out), err }));
      for (const [i, { name, expect: wanted }] of scenarios.entries()) {
        const got = answers[i].pings ?? [];
        const isComparable = ({ cmd }: PingAnswer) =>
          !cmd.includes(" -q") && got.find((p) => p.cmd === cmd)?.unsupported === undefined;
        expect(said(got.filter(isComparable)), name).toEqual(said(wanted?.pings?.filter(isComparable)));
      }
    }
  });
});

const withoutTimes = (out: string): string => out.replace(/time[ =][\d.]+ ?ms/g, "time").replace(/^rtt .*$/m, "rtt");

/** Groups (one packet becomes several), a deadline, and values that ping itself refuses. */
const UNSUPPORTED: readonly string[] = [
  "ip netns exec ns0 ping -b -c1 -W1 10.0.0.255",
  "ip netns exec ns0 ping -c1 -W1 -I veth1 224.0.0.1",
  "ip netns exec ns0 ping -b -c1 -W1 10.0.0.255",
  "ip netns exec ns0 ping -c1 -W1 -t 0 10.0.1.7",
  "ip netns exec ns0 ping -c1 -W1 -t 256 10.0.1.7",
  "ip netns exec ns0 ping -n -c1 -w2 10.0.1.99",
];

/**
 * Three packets fail at once because their neighbour does not answer, and each error goes to this host itself. The kernel
 * queues what is looped back (netif_rx) and receives it after all three are sent; an engine follows each to its end first.
 */
const BACKLOG = "ping -c3 -W1 -I vrf 10.0.0.97";
