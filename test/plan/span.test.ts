/** The algebra of guards against sets of bytes. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { covers, equalSpans, intersection, type Span, shift, span, union } from "../../src/plan/span.ts";

const anySpan = fc
  .tuple(fc.integer({ min: -40, max: 40 }), fc.integer({ min: 1, max: 30 }))
  .map(([low, n]) => span(low, low + n));
/** A span as the bytes that it knows. */
const bytes = (of: Span | null | undefined): Set<number> => {
  const set = new Set<number>();
  if (of) for (let at = of.low; at < of.high; at++) set.add(at);
  return set;
};

it("an intersection knows what both know", () => {
  const property = fc.property(anySpan, anySpan, (a, b) => {
    expect(bytes(intersection(a, b))).toEqual(new Set([...bytes(a)].filter((at) => bytes(b).has(at))));
  });
  fc.assert(property);
});

it("nothing in common is null, so that nothing can be united with it", () => {
  expect(intersection(span(5, 8), span(0, 3))).toBeNull();
  expect(intersection(span(0, 3), span(3, 5))).toBeNull();
});

it("a union knows what either knows, and what is between", () => {
  const property = fc.property(anySpan, anySpan, (a, b) => {
    const both = [...bytes(a), ...bytes(b)];
    expect(union(a, b)).toEqual(span(Math.min(...both), Math.max(...both) + 1));
  });
  fc.assert(property);
  expect(union(undefined, span(0, 20))).toEqual(span(0, 20));
});

it("moving a cursor on leaves the bytes where they are", () => {
  const property = fc.property(anySpan, fc.integer({ min: -20, max: 20 }), (a, by) => {
    expect([...bytes(shift(a, by))].map((at) => at + by)).toEqual([...bytes(a)]);
  });
  fc.assert(property);
});

it("covers and equals as sets do", () => {
  const property = fc.property(anySpan, anySpan, (a, b) => {
    expect(covers(a, b)).toBe([...bytes(b)].every((at) => bytes(a).has(at)));
    expect(equalSpans(a, b)).toBe(covers(a, b) && covers(b, a));
  });
  fc.assert(property);
  expect([covers(undefined, span(0, 0)), covers(undefined, span(0, 1))]).toEqual([true, false]);
});
