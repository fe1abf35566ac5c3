/**
 * One interface, many engines: the reference interpreter and the compiled dataplane (at every optimisation level)
 * stand behind `Engine`, and one table of cases runs on all of them. An engine decides for one network namespace.
 *
 * Life of a batch: `createBatch` once; for each round the caller writes packets into slots (`PacketBatch.put`) and
 * sets the `entry`, `device`, `mark`, `uid` columns; `process` or `trace` judges packets 0 .. count-1; the caller acts
 * on the verdict columns and starts over with `count = 0`. Packet bytes are changed in place; `data` and `length` move
 * with headers that are pulled or pushed, always within the slot. Copies that chains make (`dup`) are appended: `count` is
 * larger afterwards, each with its own verdict; one that finds no free slot is lost.
 */
import type { PacketBatch } from "./batch.ts";
import type { NamedMap } from "./maps/map.ts";
import type { Trace } from "./trace.ts";

/** A counter of a chain's rule, or a named one. */
export interface RuleCounter {
  readonly packets: bigint;
  readonly bytes: bigint;
}

export interface Engine {
  /** For messages: "reference", "wasm -O0", ... */
  readonly name: string;
  /** @param capacity packets; @param slotSize bytes a packet slot holds, headroom included */
  createBatch(capacity: number, slotSize?: number): PacketBatch;
  /** Judges packets 0 .. batch.count-1: fills the result columns and rewrites packets in place. Never throws on any bytes. */
  process(batch: PacketBatch): void;
  /** Like `process`, with the same effects on the batch, and returns each packet's steps, those of copies too. */
  trace(batch: PacketBatch): Trace[];
  /** Learns (mac) or forgets (null) a link-layer address. `ip` of the device's family; later packets see it. */
  setNeighbour(device: number, ip: number | bigint, mac: number | null): void;
  /** What the counters of the namespace's chains have counted, by their ids in the model. */
  readCounters(): RuleCounter[];
  /** A named set or map of the namespace, to be read and changed between batches. @throws RangeError when there is none */
  map(name: string): NamedMap;
  /** The host's clock in nanoseconds, which never goes back; `limit` lives by it. */
  setTime(nanoseconds: bigint): void;
}
