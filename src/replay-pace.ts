/**
 * When the frames of a recording were sent that does not say it: all of a network at one pace, which is not known either. Only rate limits of
 * ICMP errors and redirects feel it, and they decide for a few frames by milliseconds. The usual pace is taken unless another one explains
 * more of what the kernel answered, all frames, hooks and counters of the network together (test/KNOWN-DIFFERENCES.md).
 */
import { SECOND } from "../runtime/host/events.ts";
import { compareAnswers } from "./replay-compare.ts";
import type { Answer, Scenario } from "./scenario.ts";

/** From frame to frame, in milliseconds: the 20 that a recording listens, and its own work. The usual one first. */
const PACES = [22.5, 20.5, 21, 21.5, 22, 23, 23.5, 24, 24.5, 25, 26, 27, 28, 30];

/** When each frame was sent, in microseconds. */
export type Times = readonly number[];

/** Does a recording of answers not say when its frames were sent, so that their pace is taken from the answers? */
export const isPaced = ({ frames = [], expect }: Scenario): boolean =>
  expect?.outputs !== undefined && frames.some((_, i) => expect.outputs?.[i]?.at === undefined);

/**
 * @param answer what an engine says of the frames when they are sent so
 * @returns the recorded times, or those that explain most
 */
export async function timesOf(scenario: Scenario, answer: (times: Times) => Promise<Answer>): Promise<Times> {
  const { frames = [], expect, wait = 0 } = scenario;
  const recorded = frames.map((_, i) => expect?.outputs?.[i]?.at ?? null);
  if (recorded.every((at) => at !== null)) return recorded;
  const paced = PACES.map((pace) => frames.map((_, i) => i * (pace / 1000 + wait) * SECOND));
  if (expect?.outputs === undefined) return paced[0];
  let [best, least] = [paced[0], Number.POSITIVE_INFINITY];
  for (const times of paced) {
    const wrong = differences(scenario, await answer(times));
    if (wrong < least) [best, least] = [times, wrong];
    if (wrong === 0) break;
  }
  return best;
}

/** Of frames, hooks and counters. */
const differences = (scenario: Scenario, answer: Answer): number => {
  const frames = { ...scenario, queries: [], sockets: [], expect: { ...scenario.expect, pings: [] } };
  return compareAnswers([frames], [answer]).differences.length;
};
