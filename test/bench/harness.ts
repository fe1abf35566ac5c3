/**
 * How a time is taken. Variants run in turn, round after round, so that a slow spell of the machine hits all of them
 * and ratios stay true; each is warmed up before, giving the engine time to compile, and runs once untimed before each sample,
 * as the caches are full of whoever ran before it; what is reported is the median round, the fastest and the slowest. A variant whose answers differ from the reference is never timed.
 */
import { cpus } from "node:os";
import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";

export interface Variant {
  readonly name: string;
  /** Look-ups, packets, ... that one run does. */
  readonly operations: number;
  run(): void;
  /** Bytes of tables that it reads, when that says something. */
  readonly bytes?: number;
}

export interface Measurement {
  readonly variant: string;
  readonly bytes: number | null;
  /** Nanoseconds an operation, over the rounds. */
  readonly ns: { readonly median: number; readonly min: number; readonly max: number };
  /** Operations a second at the median, in millions. */
  readonly millionPerSecond: number;
  /** Times as fast as the baseline, at the medians. */
  readonly ratio: number;
  /** The share that did not arrive, where something can be lost; the median. */
  readonly loss?: number;
}

/** Whoever can say how long it took: a variant after its warm-up, or another process. */
export interface Racer {
  readonly name: string;
  readonly bytes?: number | undefined;
  /** Nanoseconds an operation, of one round. */
  sample(): number | Promise<number>;
}

export interface MeasureOptions {
  readonly rounds: number;
  /** Name of the variant that ratios are to; of several the fastest at the median. */
  readonly baseline: string | readonly string[];
}

/** A variant runs at least so often and so long before it is timed. */
const WARM_UP_RUNS = 4;
const WARM_UP_MS = 40;
/** A timed sample is at least so long: short runs are repeated. */
const SAMPLE_MS = 2;

export async function measure(variants: readonly Variant[], options: MeasureOptions): Promise<Measurement[]> {
  const racers: Racer[] = [];
  for (const variant of variants) racers.push(await racerOf(variant));
  return race(racers, options);
}

/** A variant, warmed up. */
export async function racerOf(variant: Variant): Promise<Racer> {
  const repeats = await warmUp(variant);
  return { name: variant.name, bytes: variant.bytes, sample: () => timeNs(variant, repeats) };
}

export async function race(racers: readonly Racer[], options: MeasureOptions): Promise<Measurement[]> {
  const samples = racers.map((): number[] => []);
  for (let round = 0; round < options.rounds; round++) {
    for (let k = 0; k < racers.length; k++) {
      const v = (k + round) % racers.length; // nobody always runs after the same neighbour
      samples[v].push(await racers[v].sample());
    }
    await setImmediate();
  }
  const medians = samples.map(median);
  const baselines = [options.baseline].flat();
  const baseline = Math.min(...medians.filter((_, v) => baselines.includes(racers[v].name)));
  return racers.map(({ name, bytes }, v) => ({
    variant: name,
    bytes: bytes ?? null,
    ns: { median: medians[v], min: Math.min(...samples[v]), max: Math.max(...samples[v]) },
    millionPerSecond: 1000 / medians[v],
    ratio: baseline / medians[v],
  }));
}

/** Gives way to the engine's compiler threads between runs. @returns how often a run is repeated for one sample */
async function warmUp(variant: Variant): Promise<number> {
  const end = performance.now() + WARM_UP_MS;
  let last = 0;
  for (let runs = 0; runs < WARM_UP_RUNS || performance.now() < end; runs++) {
    const start = performance.now();
    variant.run();
    last = performance.now() - start;
    await setImmediate();
  }
  return Math.max(1, Math.ceil(SAMPLE_MS / Math.max(last, 1e-3)));
}

function timeNs(variant: Variant, repeats: number): number {
  variant.run();
  const start = performance.now();
  for (let i = 0; i < repeats; i++) variant.run();
  return ((performance.now() - start) * 1e6) / (repeats * variant.operations);
}

export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Thrown before anything is timed. */
export class WrongAnswer extends Error {}

/** @throws WrongAnswer naming the first difference */
export function verify(name: string, answers: ArrayLike<number>, expected: ArrayLike<number>): void {
  for (let i = 0; i < answers.length; i++)
    if (answers[i] !== expected[i]) throw new WrongAnswer(`${name}: address ${i}: ${answers[i]}, not ${expected[i]}`);
}

export const machine = () => ({
  node: process.version,
  v8: process.versions.v8,
  platform: `${process.platform} ${process.arch}`,
  cpu: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
});
