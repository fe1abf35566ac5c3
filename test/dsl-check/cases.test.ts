/**
 * Policies that are wrong or odd, each with its exact findings: test/cases/check/NAME.case holds the policy, a line `=====`,
 * and what is found in it. `BLESS=1 npx vitest run test/dsl-check/cases` writes the findings anew, to be seen in review.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CHECK_CODES } from "../../dsl/codes.ts";
import { renderDiagnostics } from "../../dsl/render.ts";
import { expectGolden } from "../golden.ts";
import { findingsOf } from "./policy.ts";

const DIRECTORY = new URL("../cases/check/", import.meta.url);
const RULE = "=====\n";
const NAMES = readdirSync(DIRECTORY)
  .filter((file) => file.endsWith(".case"))
  .sort();

interface Case {
  readonly policy: string;
  readonly expected: string;
}

function readCase(name: string): Case {
  const [policy, expected = ""] = readFileSync(new URL(name, DIRECTORY), "utf8").split(RULE);
  return { policy, expected };
}

const readFile = (name: string): string => {
  if (name === "rib.txt") return readFileSync(new URL(name, DIRECTORY), "utf8");
  throw new Error("no such file");
};

describe("golden cases", () => {
  test.each(NAMES)("%s", (name) => {
    const { policy } = readCase(name);
    const { source, diagnostics } = findingsOf(policy, { readFile });
    const found = renderDiagnostics(source, diagnostics, { color: false });
    expectGolden(new URL(name, DIRECTORY), `${policy}${RULE}${found}`);
  });

  /** Of these the parser spares the checker; ast.test.ts shows them. */
  const BEYOND_TEXT = ["E0240", "E0241", "E0244"];

  test("show every code of the checker", () => {
    const shown = new Set(
      NAMES.flatMap((name) => [...readCase(name).expected.matchAll(/^\w+\[([EW]\d{4})\]:/gm)].map((m) => m[1])),
    );
    expect([...CHECK_CODES.keys()].filter((code) => !shown.has(code))).toEqual(BEYOND_TEXT);
  });

  test("propose edits that can be made", () => {
    for (const name of NAMES) {
      const { policy } = readCase(name);
      for (const { span } of findingsOf(policy, { readFile }).diagnostics.flatMap((d) =>
        d.help.flatMap((h) => h.edit ?? []),
      )) {
        expect(span.start, name).toBeLessThanOrEqual(span.end);
        expect(span.end, name).toBeLessThanOrEqual(policy.length);
      }
    }
  });
});
