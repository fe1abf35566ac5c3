/** Whatever the text, the checker answers: a model or errors, never an exception, and the same answer twice. */
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { findingsOf } from "./policy.ts";

const DIRECTORY = new URL("../cases/check/", import.meta.url);
const POLICIES = readdirSync(DIRECTORY)
  .filter((file) => file.endsWith(".case"))
  .map((file) => readFileSync(new URL(file, DIRECTORY), "utf8").split("=====\n")[0]);

/** Lines of all cases: combined at random they make policies that parse, with names that sometimes fit. */
const STATEMENTS = POLICIES.flatMap((policy) => policy.split("\n")).filter(
  (line) => line !== "" && !/^#|^}|{$/.test(line),
);

const policy = fc.array(fc.constantFrom(...STATEMENTS), { maxLength: 25 }).map((lines) => lines.join("\n"));

/** A word of one policy in the place of a word of another. */
const mutated = fc
  .tuple(fc.constantFrom(...POLICIES), fc.nat(), fc.constantFrom(...STATEMENTS.flatMap((line) => line.split(" "))))
  .map(([text, at, word]) => {
    const words = text.split(/(\s+)/);
    words[at % words.length] = word;
    return words.join("");
  });

test("statements in any order", () => {
  fc.assert(
    fc.property(policy, (text) => {
      const { model, diagnostics } = findingsOf(text, { readFile: () => "1.0.0.0/8 dev eth0\nbad" });
      expect(model === null).toBe(diagnostics.some((d) => d.severity === "error"));
    }),
    { numRuns: 150 },
  );
});

test("words replaced", () => {
  fc.assert(
    fc.property(mutated, (text) => {
      const found = findingsOf(text);
      for (const { primary, secondary, help } of found.diagnostics) {
        const spans = [
          primary.span,
          ...secondary.map((s) => s.span),
          ...help.flatMap((h) => (h.edit ? [h.edit.span] : [])),
        ];
        for (const { start, end } of spans) expect(0 <= start && start <= end && end <= text.length).toBe(true);
      }
      expect(findingsOf(text).diagnostics).toEqual(found.diagnostics);
    }),
    { numRuns: 150 },
  );
});
