/** A scenario with the kernel's answers becomes a recording. */
import type { Scenario } from "../../src/scenario.ts";
import type { KernelAnswer } from "./oracle.ts";

/** Commands that the kernel refused are left out of the set-up, so that whoever replays it builds the same network. */
export function recorded(scenario: Scenario, { setup, name: _, dump, ...expect }: KernelAnswer): Scenario {
  const accepted = setup.filter(({ rc }) => rc === 0).map(({ cmd }) => cmd);
  return Object.assign({ ...scenario, setup: accepted, expect }, dump === undefined ? {} : { dump });
}
