/**
 * The algebra of guards: which bytes around a cursor are known to be inside the packet.
 *
 *     span = low .. high        bytes cursor + low up to, not including, cursor + high
 *
 *                     cursor
 *           low         |              high
 *     |------[==========+===============)------|
 *     the packet                             tail
 *
 *   guard C N          0 .. N becomes known: united with what was
 *   C = D + k          what D knows, seen from k further on: low - k .. high - k
 *   paths meet         what both know: the intersection
 *
 * A packet has no holes: bytes between two known stretches are known, so a union is the hull of both.
 */
export interface Span {
  readonly low: number;
  readonly high: number;
}

export const span = (low: number, high: number): Span => ({ low, high });

export const union = (a: Span | undefined, b: Span): Span =>
  a === undefined ? b : span(Math.min(a.low, b.low), Math.max(a.high, b.high));

/** Null when nothing is left. */
export function intersection(a: Span, b: Span): Span | null {
  const both = span(Math.max(a.low, b.low), Math.min(a.high, b.high));
  return both.low < both.high ? both : null;
}

export const shift = (a: Span, by: number): Span => span(a.low - by, a.high - by);

export const covers = (a: Span | undefined, b: Span): boolean =>
  b.low >= b.high || (a !== undefined && a.low <= b.low && b.high <= a.high);

export const equalSpans = (a: Span | undefined, b: Span | undefined): boolean =>
  a?.low === b?.low && a?.high === b?.high;
