/**
 * The shape of every structure's look-up code: steps for any number of lanes at once, so that the same few lines give
 * the single look-up (one lane) and the batch (8 or 16 lanes whose cache misses overlap).
 */
import type { Reg, Step } from "../plan/ir.ts";

export interface Lane {
  /** IPv4: the address in host order. IPv6: offset in memory of its 16 bytes, network order. */
  readonly address: Reg;
  /** IPv6: they are so many bytes behind it. A batch's lanes need no registers of their own. */
  readonly behind?: number;
  /** Afterwards the value of the longest match, or 0. */
  readonly value: Reg;
}

export interface LookupCode {
  /** Once before any look-up: what does not depend on an address. */
  readonly prologue: readonly Step[];
  /** Looks up every lane. Step by step over all lanes, not lane by lane: independent loads stand side by side. */
  body(lanes: readonly Lane[]): Step[];
}
