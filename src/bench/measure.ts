/**
 * How fast a network judges given frames. They stand in batches of the engine's memory; a round judges all batches, one after the other, each
 * with its own time, and before the next round all frames are put back as they were, outside of the time.
 *
 *   openBench    frames -> Bench        neighbours that the policy does not know answer, as ARP would; a sample is compared with the reference
 *   Bench.run    seconds -> Measured    of one thread: each thread of several would open one of its own
 */
import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import type { PacketBatch } from "../../runtime/batch.ts";
import { HEADROOM, PacketFlag } from "../../runtime/batch.ts";
import type { Engine } from "../../runtime/engine.ts";
import { readIpv4, readIpv6 } from "../../runtime/net/ip.ts";
import { Entry, nameOf, Verdict } from "../../runtime/verdict.ts";
import type { Received } from "./traffic.ts";

/** Packets of a batch. */
export const BATCH = 256;
const LEAST_FRAMES = 4 * BATCH;
/** Frames that the reference judges too. */
const SAMPLE = 512;
/** What the two must agree on, besides bytes: values, no places in memory. */
const COMPARED = ["verdict", "reason", "outDevice", "routeType", "route", "error"] as const;
/** The answer of a made-up neighbour. */
const NEIGHBOUR_MAC = 0x0200_0000_0001;
/** A neighbour's answer can lead to another question, hardly to a third. */
const MOST_QUESTIONS = 3;
const WARM_UP_ROUNDS = 12;

export interface Measured {
  readonly packets: number;
  /** Nanoseconds a packet, of the median round. */
  readonly ns: number;
  readonly millionPerSecond: number;
  /** Microseconds of a batch. */
  readonly latency: { readonly p50: number; readonly p99: number };
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
export function openBench(engine: Engine, reference: Engine, frames: readonly Received[]): Bench {
  const longest = frames.reduce((most, { bytes }) => Math.max(most, bytes.length), 0);
  const slotSize = Math.ceil((HEADROOM + longest) / 64) * 64;
  // Few frames are judged again and again, so that a batch is one.
  const copies = Math.ceil(LEAST_FRAMES / frames.length);
  const all = Array.from({ length: copies }, () => frames).flat();
  const slices = Array.from({ length: Math.ceil(all.length / BATCH) }, (_, b) => all.slice(b * BATCH, (b + 1) * BATCH));
  const batches = slices.map((slice) => engine.createBatch(slice.length, slotSize));
  const restore = () => {
    for (const [b, batch] of batches.entries()) fill(batch, slices[b]);
  };
  const judge = () => {
    restore();
    for (const batch of batches) engine.process(batch);
  };
  for (let question = 0; question < MOST_QUESTIONS; question++) {
    judge();
    if (batches.reduce((asked, batch) => asked + answerNeighbours(batch, [engine, reference]), 0) === 0) break;
  }
  const verified = verify(engine, reference, frames.slice(0, SAMPLE), slotSize);
  judge();
  return {
    verdicts: countVerdicts(batches, frames.length),
    verified,
    run: (seconds) => run(engine, batches, restore, seconds, all.length),
  };
}

function fill(batch: PacketBatch, frames: readonly Received[]): void {
  batch.count = 0;
  for (const { device, bytes } of frames) batch.put(bytes, { entry: Entry.RECEIVE, device: device.ifindex });
}

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

function verify(engine: Engine, reference: Engine, frames: readonly Received[], slotSize: number): number {
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

async function run(
  engine: Engine,
  batches: readonly PacketBatch[],
  restore: () => void,
  seconds: number,
  packets: number,
): Promise<Measured> {
  const times: number[] = [];
  const rounds: number[] = [];
  const end = performance.now() + seconds * 1000;
  for (let round = -WARM_UP_ROUNDS; round < 1 || performance.now() < end; round++) {
    restore();
    let sum = 0;
    for (const batch of batches) {
      const start = performance.now();
      engine.process(batch);
      const time = performance.now() - start;
      sum += time;
      if (round >= 0) times.push(time);
    }
    if (round >= 0) rounds.push(sum);
    // The compiler's threads hand over what they have optimised.
    else await setImmediate();
  }
  const ns = (quantile(rounds, 0.5) * 1e6) / packets;
  return {
    packets: rounds.length * packets,
    ns,
    millionPerSecond: 1000 / ns,
    latency: { p50: 1000 * quantile(times, 0.5), p99: 1000 * quantile(times, 0.99) },
  };
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
