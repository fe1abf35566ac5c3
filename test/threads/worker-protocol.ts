/** What workers.test.ts and its workers say to each other. */
import type { Seat } from "../../runtime/index.ts";

export interface Job {
  readonly seat: Seat;
  readonly frames: readonly Uint8Array[];
  /** By RESULT, shared. */
  readonly results: Int32Array;
}

/** Places in `results`. */
export const RESULT = {
  /** Not 0: the worker ends after its batch. */
  stop: 0,
  /** Batches judged so far. */
  batches: 1,
  /** Batches whose packets had not all the same verdict and device: a change was seen in the middle of one. */
  torn: 2,
  /** Verdict and device of the last batch's packets, `verdict << 16 | device`. */
  last: 3,
} as const;
