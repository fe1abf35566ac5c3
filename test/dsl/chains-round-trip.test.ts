/** Chains, sets and programs: what is printed is read as what it was. A failure prints its seed. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { FilterItem } from "../../dsl/chain-ast.ts";
import { print } from "../../dsl/print.ts";
import { NO_SPAN } from "../../dsl/span.ts";
import { filterItem } from "./arbitrary-chains.ts";
import { parseClean, withoutSpans } from "./support.ts";

const textOf = (items: readonly FilterItem[]): string => print({ kind: "file", span: NO_SPAN, items });

test("print, then parse, gives the same chains", () => {
  fc.assert(
    fc.property(fc.array(filterItem, { minLength: 1, maxLength: 3 }), (items) => {
      const text = textOf(items);
      const again = parseClean(text);
      expect(withoutSpans(again.items)).toEqual(withoutSpans(items));
      expect(print(again)).toBe(text);
    }),
    { numRuns: 500 },
  );
});
