/** A line below a step of a walk, and where it comes from. */
import type { Origin } from "../../dsl/model.ts";
import { lineOf, type Source } from "../../dsl/span.ts";

/** Where a line of a walk comes from: the text (`seed.vrf:7`), the kernel's own doing, or both. */
export interface WalkOrigin {
  readonly file?: string;
  /** 1-based. */
  readonly line?: number;
  readonly kernel?: string;
}

/** One rule tried or one table consulted, below the step that did it. */
export interface WalkLine {
  readonly kind: "rule" | "table" | "suppress" | "chain rule";
  /** Rules: the preference; tables: id; rules of chains: the chain. */
  readonly id: number;
  /** The rule or route in iproute2's words. */
  readonly text: string;
  readonly outcome: "matched" | "no match" | "found" | "nothing here" | "error" | "suppressed";
  /** Why it did not match, or what it gave. */
  readonly why: string;
  readonly origin: WalkOrigin | null;
}

export function originOf(origin: Origin, source: Source): WalkOrigin {
  return {
    ...(origin.span === undefined ? {} : { file: source.name, line: lineOf(source, origin.span.start) }),
    ...(origin.kernel === undefined ? {} : { kernel: origin.kernel }),
  };
}
