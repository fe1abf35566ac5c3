/**
 * How fast a network judges given frames. They stand in batches of the engine's memory; a round judges all batches, one after the other, each
 * with its own time, and before the next round all frames are put back as they were, outside of the time.
 *
 *   openBench    frames -> Bench        neighbours that the policy does not know answer, as ARP would; a sample is compared with the reference
 *   Bench.run    seconds -> Measured    of one thread; of several, threads.ts
 */
import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import type { PacketBatch } from "../../runtime/batch.ts";
import { PacketFlag } from "../../runtime/batch.ts";
import type { Engine } from "../../runtime/engine.ts";
import { readIpv4, readIpv6 } from "../../runtime/net/ip.ts";
import { nameOf, Verdict } from "../../runtime/verdict.ts";
import { BATCH, Batches, type Frame, fill, quantile, slotSizeOf } from "./batches.ts";

const LEAST_FRAMES = 4 * BATCH;
/** Frames that the reference judges too. */
export const SAMPLE = 512;
/** What the two must agree on, besides bytes: values, no places in memory. */
const COMPARED = ["verdict", "reason", "outDevice", "routeType", "route", "error"] as const;
/** The answer of a made-up neighbour. */
const NEIGHBOUR_MAC = 0x0200_0000_0001;
/** A neighbour's answer can lead to another question, hardly to a third. */
const MOST_QUESTIONS = 3;
export const WARM_UP_ROUNDS = 12;

export interface Measured {
  readonly packets: number;
  /** Nanoseconds a packet, of the median round, which with several workers lasts until the last is done. */
  readonly ns: number;
  readonly millionPerSecond: number;
  /** Microseconds of a batch. */
  readonly latency: { readonly p50: number; readonly p99: number };
  /** Frames of each in a round, and nanoseconds a packet of its median one; null: it has no frames. */
  readonly workers: readonly { readonly frames: number; readonly ns: number | null }[];
}

/** The engine says something else than the reference: which frame, and what. */
export class Disagreement extends Error {}

export interface Bench {
  /** Frames of each verdict, the most frequent first. */
  readonly verdicts: ReadonlyMap<string, number>;
  readonly verified: number;
  run(seconds: number): Promise<Measured>;
}

/** @param engine to be measured. @throws Disagreement */
export function openBench(engine: Engine, reference: Engine, frames: readonly Frame[]): Bench {
  const slotSize = slotSizeOf(frames);
  const batches = new Batches(engine, repeated(frames), slotSize);
  const judge = () => {
    batches.restore();
    batches.judge();
  };
  for (let question = 0; question < MOST_QUESTIONS; question++) {
    judge();
    if (batches.all.reduce((asked, batch) => asked + answerNeighbours(batch, [engine, reference]), 0) === 0) break;
  }
  const verified = verify(engine, reference, frames.slice(0, SAMPLE), slotSize);
  judge();
  return {
    verdicts: countVerdicts(batches.all, frames.length),
    verified,
    run: (seconds) => run(batches, seconds),
  };
}

/** Few frames are judged again and again, so that a batch is one; `workers` share them. */
export const repeated = (frames: readonly Frame[], workers = 1): readonly Frame[] =>
  Array.from({ length: Math.ceil((workers * LEAST_FRAMES) / frames.length) }, () => frames).flat();

/** @returns how many packets wait for a neighbour */
function answerNeighbours(batch: PacketBatch, engines: readonly Engine[]): number {
  const [verdict, out, at, flags] = (["verdict", "outDevice", "nextHop", "flags"] as const).map((c) => batch.column(c));
  let asked = 0;
  for (let i = 0; i < batch.count; i++) {
    if (verdict[i] !== Verdict.UNRESOLVED) continue;
    const read = flags[i] & PacketFlag.NEXT_HOP_IPV6 ? readIpv6 : readIpv4;
    const address = read(batch.bytes, at[i]);
    for (const engine of engines) engine.setNeighbour(out[i], address, NEIGHBOUR_MAC);
    asked++;
  }
  return asked;
}

/** @throws Disagreement */
export function verify(engine: Engine, reference: Engine, frames: readonly Frame[], slotSize: number): number {
  const [ours, theirs] = [engine, reference].map((each) => {
    const batch = each.createBatch(frames.length, slotSize);
    fill(batch, frames);
    each.process(batch);
    return batch;
  });
  for (let i = 0; i < frames.length; i++) {
    const differs = COMPARED.find((column) => ours.column(column)[i] !== theirs.column(column)[i]);
    if (differs !== undefined)
      throw new Disagreement(`frame ${i + 1}: ${differs} ${ours.column(differs)[i]}, not ${theirs.column(differs)[i]}`);
    if (Buffer.compare(ours.packet(i), theirs.packet(i)) !== 0) throw new Disagreement(`frame ${i + 1}: other bytes`);
  }
  return frames.length;
}

/** Of the first `frames`. */
function countVerdicts(batches: readonly PacketBatch[], frames: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const verdict of batches
    .flatMap((batch) => [...batch.column("verdict").subarray(0, batch.count)])
    .slice(0, frames)) {
    const name = nameOf(Verdict, verdict);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return new Map([...counts].sort(([, a], [, b]) => b - a));
}

async function run(batches: Batches, seconds: number): Promise<Measured> {
  const { packets } = batches;
  const times: number[] = [];
  const rounds: number[] = [];
  const end = performance.now() + seconds * 1000;
  for (let round = -WARM_UP_ROUNDS; round < 1 || performance.now() < end; round++) {
    batches.restore();
    if (round >= 0) rounds.push(batches.judge((time) => times.push(time)));
    else {
      batches.judge();
      // The compiler's threads hand over what they have optimised.
      await setImmediate();
    }
  }
  const ns = (quantile(rounds, 0.5) * 1e6) / packets;
  return {
    packets: rounds.length * packets,
    ns,
    millionPerSecond: 1000 / ns,
    latency: { p50: 1000 * quantile(times, 0.5), p99: 1000 * quantile(times, 0.99) },
    workers: [{ frames: packets, ns }],
  };
}
