/**
 * The grammar itself: it is free of ambiguities, and the types of its syntax tree are current.
 * Run: npx vitest run test/dsl/grammar.test.ts; `npm run cst` writes the types anew.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { cstTypes } from "../../dsl/generate-cst.ts";
import { Parser } from "../../dsl/parser.ts";

const GENERATED = new URL("../../dsl/cst.generated.ts", import.meta.url);

test("chevrotain finds nothing to object to (the shipped parser skips its checks, to start faster)", () => {
  expect(() => new Parser(false)).not.toThrow();
});

test("dsl/cst.generated.ts is current", () => {
  const types = cstTypes(new Parser());
  if (process.env.BLESS) writeFileSync(GENERATED, types);
  expect(readFileSync(GENERATED, "utf8")).toBe(types);
});
