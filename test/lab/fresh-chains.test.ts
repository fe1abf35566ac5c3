/**
 * Networks with rule sets that were drawn anew and asked of a real kernel (Debian's 6.1.192, `npm run kernel`), those parts in which answers
 * had differed before: `fib ... type` where no table `local` is, as all addresses are in VRFs; anycast routes by hand; TCP resets of a VRF
 * that is down; fragments of AH; a gateway behind a route that refuses.
 */
import { expect, test } from "vitest";
import { timesOf } from "../../src/replay-pace.ts";
import type { Answer, Scenario } from "../../src/scenario.ts";
import { expectRecorded, readScenarios } from "./recordings.ts";

const scenarios = readScenarios("fresh-chains.json.gz");

test.each(["reference", "compiled"] as const)(
  "%s sends the frames, passes the hooks and counts as the kernel did",
  (engine) => expectRecorded(scenarios, { engine, level: 0 }, { frames: 197, counters: 198 }),
  120_000,
);

const frame = { port: "w0", hex: "00" };
const recorded = (...at: (number | undefined)[]): Scenario => ({
  name: "s",
  frames: at.map(() => frame),
  expect: { outputs: at.map((time) => ({ frames: [frame], hooks: [], ...(time === undefined ? {} : { at: time }) })) },
});

test("frames are sent when the recording says", async () => {
  const times = await timesOf(recorded(0, 21_000, 50_000), () => Promise.reject(new Error("asked")));
  expect(times).toEqual([0, 21_000, 50_000]);
});

test("one that does not say it is replayed at the pace that explains most of it, else at the usual one", async () => {
  const scenario = recorded(undefined, undefined, undefined);
  const answers =
    (isRight: (time: number) => boolean) =>
    async (times: readonly number[]): Promise<Answer> => ({
      outputs: times.map((time) => ({ frames: isRight(time) ? [frame] : [], hooks: [] })),
    });
  expect(
    await timesOf(
      scenario,
      answers((time) => time === 0 || time >= 52_000),
    ),
  ).toEqual([0, 26_000, 52_000]);
  expect(
    await timesOf(
      scenario,
      answers(() => false),
    ),
  ).toEqual([0, 22_500, 45_000]);
});
