/** Fresh scenarios from a seed: networks with look-ups, networks of wires with frames, and such networks with rule sets. */

import { Random } from "../../src/bench/random.ts";
import type { Scenario } from "../../src/scenario.ts";
import { drawFrame, type FrameKinds } from "./frames.ts";
import { type DrawnNetwork, drawNetwork, ROUTER } from "./network.ts";
import { drawQuery } from "./queries.ts";
import { drawRuleSet } from "./rule-sets.ts";

export interface GenerateOptions {
  readonly seed: number;
  /** Of each kind. */
  readonly networks: number;
  readonly queries: number;
  readonly frames: number;
  readonly kinds: FrameKinds;
}

/** A scenario is determined by the seed and its own number alone, so that one of many can be made again. */
export function generate(options: GenerateOptions): Scenario[] {
  const numbers = Array.from({ length: options.networks }, (_, i) => i);
  return [
    ...numbers.map((i) => lookups(options, i)),
    ...numbers.map((i) => wires(options, i)),
    ...numbers.map((i) => chains(options, i)),
  ];
}

const sourceOf = (seed: number, i: number, kind: number): Random => new Random(seed * 2 ** 20 + i * 2 + kind);
/** Of rule sets: behind all numbers of the others. */
const CHAINS = 2 ** 19;
const times = <T>(count: number, draw: () => T): T[] => Array.from({ length: count }, draw);

function lookups({ seed, queries }: GenerateOptions, i: number): Scenario {
  const random = sourceOf(seed, i, 0);
  const network = drawNetwork(random, { wires: false });
  return {
    name: `routes-${seed}-${i}`,
    setup: network.commands,
    queries: times(queries, () => drawQuery(random, network)),
  };
}

function wires({ seed, frames, kinds }: GenerateOptions, i: number): Scenario {
  const random = sourceOf(seed, i, 1);
  const network: DrawnNetwork = drawNetwork(random, { wires: true });
  return {
    name: `frames-${seed}-${i}`,
    setup: network.commands,
    netns: [ROUTER],
    hooks_in: [ROUTER],
    ports: network.devices.map((_, n) => `w${n}`),
    frames: times(frames, () => drawFrame(random, network, kinds)),
  };
}

function chains(options: GenerateOptions, i: number): Scenario {
  const random = sourceOf(options.seed, i, CHAINS);
  const network: DrawnNetwork = drawNetwork(random, { wires: true });
  const writes = i % 2 === 1;
  return {
    name: `chains-${options.seed}-${i}`,
    setup: network.commands,
    netns: [ROUTER],
    ...(writes ? {} : { hooks_in: [ROUTER] }),
    ports: network.devices.map((_, n) => `w${n}`),
    nft: { [ROUTER]: drawRuleSet(random, network, writes) },
    frames: times(options.frames, () => drawFrame(random, network, options.kinds)),
  };
}
