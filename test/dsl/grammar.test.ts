/**
 * The grammar itself: it is free of ambiguities, and the types of its syntax tree are current.
 * Run: npx vitest run test/dsl/grammar.test.ts; `npm run cst` writes the types anew.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { cstTypes } from "../../dsl/generate-cst.ts";
import { Parser } from "../../dsl/parser.ts";
import { tokenize } from "../../dsl/tokens.ts";
import { expectGolden } from "../golden.ts";
import { EVERYTHING } from "./support.ts";

const GENERATED = new URL("../../dsl/cst.generated.ts", import.meta.url);

test("chevrotain finds nothing to object to, with one token of lookahead", () => {
  expect(() => new Parser({ maxLookahead: 1, skipValidations: false })).not.toThrow();
});

test("the parser's own lookahead chooses as chevrotain's", () => {
  const theirs = new Parser({ maxLookahead: 1 });
  const ours = new Parser();
  const words = fc.constantFrom(..."{};=\n", ...EVERYTHING.split(/\s+/));
  fc.assert(
    fc.property(fc.array(words), (text) => {
      const trees = [theirs, ours].map((parser) => {
        parser.input = [...tokenize(text.join(" ")).all];
        return { tree: parser.file(), errors: parser.errors.map((error) => error.message) };
      });
      expect(trees[1]).toEqual(trees[0]);
    }),
  );
});

test("dsl/cst.generated.ts is current", () => {
  const types = cstTypes(new Parser());
  expectGolden(GENERATED, types);
});
