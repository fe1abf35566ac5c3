/** Frames in batches of an engine's memory, judged again and again: before each round all are put back as they were. */
import { performance } from "node:perf_hooks";
import type { PacketBatch } from "../../runtime/batch.ts";
import { HEADROOM } from "../../runtime/batch.ts";
import type { Engine } from "../../runtime/engine.ts";
import { Entry } from "../../runtime/verdict.ts";

/** Packets of a batch. */
export const BATCH = 256;

/** A frame, and the device that receives it. */
export interface Frame {
  readonly device: { readonly ifindex: number };
  readonly bytes: Uint8Array;
}

/** Bytes of a slot that has room for each of the frames. */
export function slotSizeOf(frames: readonly Frame[]): number {
  const longest = frames.reduce((most, { bytes }) => Math.max(most, bytes.length), 0);
  return Math.ceil((HEADROOM + longest) / 64) * 64;
}

export class Batches {
  readonly all: readonly PacketBatch[];
  readonly packets: number;
  readonly #engine: Engine;
  readonly #slices: readonly (readonly Frame[])[];

  constructor(engine: Engine, frames: readonly Frame[], slotSize: number) {
    this.#engine = engine;
    this.packets = frames.length;
    const count = Math.ceil(frames.length / BATCH);
    this.#slices = Array.from({ length: count }, (_, b) => frames.slice(b * BATCH, (b + 1) * BATCH));
    this.all = this.#slices.map((slice) => engine.createBatch(slice.length, slotSize));
  }

  restore(): void {
    for (const [b, batch] of this.all.entries()) fill(batch, this.#slices[b]);
  }

  /** @param took is told the milliseconds of each batch. @returns of all */
  judge(took: (milliseconds: number) => void = () => {}): number {
    let sum = 0;
    for (const batch of this.all) {
      const start = performance.now();
      this.#engine.process(batch);
      const time = performance.now() - start;
      sum += time;
      took(time);
    }
    return sum;
  }
}

export function fill(batch: PacketBatch, frames: readonly Frame[]): void {
  batch.count = 0;
  for (const { device, bytes } of frames) batch.put(bytes, { entry: Entry.RECEIVE, device: device.ifindex });
}

export function quantile(values: ArrayLike<number>, q: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
