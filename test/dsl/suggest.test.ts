/** Did-you-mean. Run: npx vitest run test/dsl/suggest.test.ts */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { editDistance, suggest } from "../../dsl/suggest.ts";

const word = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 7 });

/** The definition, without a table: the twin. */
function slowDistance(a: string, b: string): number {
  if (a === "" || b === "") return a.length + b.length;
  const [a1, b1] = [a.slice(0, -1), b.slice(0, -1)];
  const same = a.at(-1) === b.at(-1) ? 0 : 1;
  const least = Math.min(slowDistance(a1, b) + 1, slowDistance(a, b1) + 1, slowDistance(a1, b1) + same);
  const swapped = a.length > 1 && b.length > 1 && a.at(-1) === b.at(-2) && a.at(-2) === b.at(-1);
  return swapped ? Math.min(least, slowDistance(a.slice(0, -2), b.slice(0, -2)) + 1) : least;
}

describe("edit distance", () => {
  test("is what its definition says", () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(editDistance(a, b)).toBe(slowDistance(a, b));
      }),
      { numRuns: 200 },
    );
  });

  test("with a limit: the same, or one more than the limit", () => {
    fc.assert(
      fc.property(word, word, fc.nat(4), (a, b, limit) => {
        expect(editDistance(a, b, limit)).toBe(Math.min(editDistance(a, b), limit + 1));
      }),
    );
  });
});

test.each([
  ["vai", ["dev", "via", "src"], "via"],
  ["tabel", ["table", "label"], "table"],
  ["VRF", ["vrf"], "vrf"],
  ["lokup", ["lookup"], "lookup"],
  ["xyz", ["via", "dev"], null],
  ["a", ["table"], null],
  ["", ["table"], null],
  ["dve", [], null],
  ["fro", ["for", "from"], "for"],
])("%s of %j: %s", (misspelt, known, meant) => {
  expect(suggest(misspelt, known)).toBe(meant);
});
