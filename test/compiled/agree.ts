/** Two engines, one batch: verdict columns, packet bytes and traces must be the same. */
import { deepStrictEqual } from "node:assert/strict";
import { COLUMNS, NEXT_HOP_IN_SLOT, OFFSET_COLUMNS, type PacketBatch } from "../../runtime/batch.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { Entry, Verdict } from "../../runtime/verdict.ts";
import { Verdict as Verdicts } from "../../runtime/verdict.ts";
import type { DrawnPacket } from "./random-packets.ts";

export const SLOT_SIZE = 512;

export interface Judged {
  readonly columns: Record<string, number>;
  /** `length` bytes from `data`; of a dropped packet nothing, as its bytes are unspecified. */
  readonly packet: Uint8Array | null;
  /** Where a redirect points, if there is one. */
  readonly redirect: Uint8Array | null;
}

export function fill(batch: PacketBatch, packets: readonly DrawnPacket[]): void {
  batch.count = 0;
  for (const { bytes, nextHop, entry, ...meta } of packets) {
    const i = batch.put(bytes, { ...meta, entry: entry as Entry });
    const at = batch.slot(i) + NEXT_HOP_IN_SLOT;
    batch.bytes.set(nextHop, at);
    batch.column("nextHop")[i] = at;
  }
}

/** Offsets in the buffer count from the slot. */
export function judged(batch: PacketBatch): Judged[] {
  return Array.from({ length: batch.count }, (_, i) => {
    const dropped = (batch.column("verdict")[i] as Verdict) === Verdicts.DROP;
    const columns = COLUMNS.filter((name) => !dropped || (name !== "data" && name !== "length"));
    const read = (name: (typeof COLUMNS)[number]): number => {
      const value = batch.column(name)[i];
      return OFFSET_COLUMNS.includes(name) && value !== 0 ? value - batch.slot(i) : value;
    };
    return {
      columns: Object.fromEntries(columns.map((name) => [name, read(name)])),
      packet: dropped ? null : batch.packet(i),
      redirect: redirectOf(batch, i),
    };
  });
}

function redirectOf(batch: PacketBatch, i: number): Uint8Array | null {
  const [at, l3] = [batch.column("redirect")[i], batch.column("l3")[i]];
  return at === 0 ? null : batch.bytes.slice(at, at + (batch.bytes[l3] >>> 4 === 6 ? 16 : 4));
}

/** Not vitest's `expect`, for the fuzzer runs without it. */
function same(got: unknown, expected: unknown, what: string): void {
  try {
    deepStrictEqual(got, expected);
  } catch (difference) {
    throw new Error(`${what}: ${(difference as Error).message}`);
  }
}

/** Judges the packets with each engine, by `process` and by `trace`, and expects what the first one says. */
export function expectAgreement(engines: readonly Engine[], packets: readonly DrawnPacket[]): void {
  const [reference, ...others] = engines;
  const batch = reference.createBatch(packets.length, SLOT_SIZE);
  fill(batch, packets);
  const traces = reference.trace(batch);
  const expected = judged(batch);
  for (const engine of others) {
    const own = engine.createBatch(packets.length, SLOT_SIZE);
    fill(own, packets);
    same(engine.trace(own), traces, `${engine.name}: trace`);
    same(judged(own), expected, `${engine.name}: trace's verdicts`);
    fill(own, packets);
    engine.process(own);
    same(judged(own), expected, `${engine.name}: process`);
  }
}
