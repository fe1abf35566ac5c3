/** A scenario with the kernel's answers becomes a recording. */
import type { Scenario } from "../../src/scenario.ts";
import type { KernelAnswer } from "./oracle.ts";

/**
 * Commands that the kernel refused are left out of the set-up, and lines that nft refused out of the rule sets, so that whoever replays
 * it builds the same network.
 */
export function recorded(scenario: Scenario, { setup, name: _, dump, nft, ...expect }: KernelAnswer): Scenario {
  const accepted = setup.filter(({ rc }) => rc === 0).map(({ cmd }) => cmd);
  const more = { ...(nft === undefined ? {} : { nft }), ...(dump === undefined ? {} : { dump }) };
  return Object.assign({ ...scenario, setup: accepted, expect }, more);
}
