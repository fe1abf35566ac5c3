/**
 * What happened, in order: the record that walks, explanations and tests are read from. Bytes are copies.
 */
import { PacketFlag } from "../batch.ts";
import type { Ip } from "../net/ip.ts";
import type { Trace } from "../trace.ts";
import { type Entry, Errno, Verdict } from "../verdict.ts";

/** What an engine decided about one packet: the result columns of the batch, and the bytes as it left them. */
export interface Judgement {
  readonly trace: Trace;
  readonly verdict: Verdict;
  /** DropReason; meaningful for DROP. */
  readonly reason: number;
  readonly outDevice: number;
  readonly skbDevice: number;
  readonly sdif: number;
  /** RTN_* of the deciding route, 0: none. */
  readonly routeType: number;
  /** RouteId + 1, 0: none. */
  readonly route: number;
  readonly error: number;
  readonly info: number;
  /** PacketFlag bits. */
  readonly flags: number;
  readonly mark: number;
  readonly priority: number;
  readonly nextHop: Ip | null;
  readonly source: Ip | null;
  /** The better next hop that the sender is to be told of besides, and before an error. */
  readonly redirect: Ip | null;
  /** From the batch's `data` column on. */
  readonly packet: Uint8Array;
  /** From the IP header on (column `l3`), cut to the IP total length; empty when the engine found no IP header. */
  readonly ip: Uint8Array;
}

/** What the call of the socket that sent the packet returns; 0: nothing went wrong that it learns of. */
export function sendErrno({ verdict, error, flags }: Judgement): number {
  if ((flags & PacketFlag.SEND_EPERM) !== 0) return Errno.EPERM;
  return verdict === Verdict.SEND_ERROR ? error : 0;
}

/** A packet given to the namespace's engine. */
export interface PacketEvent extends Judgement {
  readonly kind: "packet";
  /** Virtual time in microseconds. */
  readonly time: number;
  /** Index of the namespace in the lab. */
  readonly net: number;
  readonly entry: Entry;
  /** As in the batch: receiving, bound or sending device. */
  readonly device: number;
  /** The bytes as they came: a frame for RECEIVE and XMIT, else an IP packet. */
  readonly before: Uint8Array;
  /** `before` in one line. */
  readonly description: string;
}

/** A frame that left a device; `to` null: nobody is there to receive it. */
export interface FrameEvent {
  readonly kind: "frame";
  readonly time: number;
  readonly net: number;
  readonly device: number;
  readonly to: { readonly net: number; readonly device: number } | null;
  readonly frame: Uint8Array;
  readonly description: string;
  readonly arp: boolean;
}

export type LabEvent = PacketEvent | FrameEvent;

/** Virtual time, in microseconds. */
export interface Clock {
  readonly now: number;
  /** Runs `action` once, `delay` microseconds from now. */
  after(delay: number, action: () => void): void;
}

export const SECOND = 1_000_000;
