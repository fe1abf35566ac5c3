/**
 * Rule sets as a real kernel ran them (Debian's 6.1.192): three random networks with chains at every hook; the frames that left, the
 * hooks that were passed, and in the end every counter.
 */
import { describe, expect, test } from "vitest";
import { replay } from "../../src/replay.ts";
import { compareAnswers } from "../../src/replay-compare.ts";
import { reportsBetween } from "../../src/replay-counters.ts";
import type { Answer, CounterValue, ReportEffect, Scenario } from "../../src/scenario.ts";
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
    const answers = await replay(scenarios, { engine: "reference" });
    const { counts, differences, withReports, reports } = compareAnswers(scenarios, answers);
    expect(differences).toEqual([]);
    expect(counts).toEqual([
      { kind: "counters", same: 111, total: 111 },
      { kind: "frames", same: total, total },
      { kind: "hooks of frames", same: total, total },
    ]);
    expect({ withReports, reports }).toEqual({ withReports: 2, reports: 2 });
  },
  TIMEOUT,
);

describe("reports of the kernel's own", () => {
  /** As the first network, in which they are counted. */
  const answered = async () => {
    const answers = await replay(scenarios, { engine: "reference" });
    const i = answers.findIndex(({ reports = [] }) => reports.length > 0);
    return { scenario: scenarios[i], answer: answers[i] };
  };
  const wrongCounters = (
    { expect: kernel, ...scenario }: Scenario,
    answer: Answer,
    change: (k: number) => CounterValue,
  ) => {
    const list = Object.values(kernel?.counters ?? {})[0];
    const name = Object.keys(kernel?.counters ?? {})[0];
    return list.map((value, k) => {
      const wrong = list.with(k, [value[0] + change(k)[0], value[1] + change(k)[1]]);
      const counters = { ...kernel?.counters, [name]: wrong };
      return compareAnswers([{ ...scenario, expect: { counters } }], [answer]).differences.length;
    });
  };
  test(
    "explain no other counter: one packet more, the bytes of half a report, a report less",
    async () => {
      const { scenario, answer } = await answered();
      for (const change of [
        [1, 60],
        [0, 1],
        [0, 20],
        [-1, -116],
        [9, 9 * 116],
      ] as const)
        expect(wrongCounters(scenario, answer, () => change).filter((differences) => differences === 0)).toEqual([]);
    },
    TIMEOUT,
  );
});

describe("reportsBetween", () => {
  const report = (device: string, records: number, ...counted: CounterValue[]): ReportEffect => ({
    device,
    records,
    counted: { r: counted },
  });
  const reports = [
    report("r p0", 1, [1, 76], [1, 76]),
    report("r p0", 3, [1, 116], [1, 116]),
    report("r p1", 3, [1, 116], [0, 0]),
  ];
  const zero: CounterValue[] = [
    [0, 0],
    [0, 0],
  ];
  test.each<[string, CounterValue[], number | null]>([
    ["equal counters need none", zero, 0],
    [
      "one",
      [
        [1, 116],
        [0, 0],
      ],
      1,
    ],
    [
      "two devices together",
      [
        [2, 192],
        [1, 76],
      ],
      2,
    ],
    [
      "three of one device",
      [
        [3, 268],
        [3, 268],
      ],
      3,
    ],
    [
      "no device sends seven of them",
      [
        [7, 7 * 116],
        [7, 7 * 116],
      ],
      null,
    ],
    [
      "what one counter has the other must have",
      [
        [2, 192],
        [1, 116],
      ],
      null,
    ],
    [
      "a counter that no report comes to",
      [
        [0, 0],
        [1, 116],
      ],
      null,
    ],
    [
      "other sizes",
      [
        [1, 96],
        [1, 96],
      ],
      null,
    ],
    [
      "fewer than ours",
      [
        [-1, -116],
        [0, 0],
      ],
      null,
    ],
    ["another number of counters", [[0, 0]], null],
  ])("%s", (_, expected, least) => {
    expect(reportsBetween({ r: expected }, { r: zero }, reports)).toBe(least);
  });
});
