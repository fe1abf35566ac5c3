/**
 * Golden cases: test/cases/syntax/NAME.case holds a text, a line `-----`, and the diagnostics exactly as they are shown.
 * Run: npx vitest run test/dsl/syntax-cases.test.ts; BLESS=1 in front writes the diagnostics anew (read the diff!).
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "../../dsl/parse.ts";
import { renderDiagnostics } from "../../dsl/render.ts";
import { SYNTAX_CODES } from "../../dsl/syntax-codes.ts";
import { expectGolden } from "../golden.ts";

const FOLDER = new URL("../cases/syntax/", import.meta.url);
const RULER = "-----\n";
const names = readdirSync(FOLDER).filter((name) => name.endsWith(".case"));

/** What stands above the ruler, and what it gives. */
function run(name: string): { text: string; rendered: string; codes: string[] } {
  const whole = readFileSync(new URL(name, FOLDER), "utf8");
  const ruler = whole.indexOf(`\n${RULER}`);
  const text = ruler < 0 ? whole : whole.slice(0, ruler + 1);
  const source = { name: name.replace(/case$/, "vrf"), text };
  const { diagnostics } = parse(source);
  const rendered = renderDiagnostics(source, diagnostics, { color: false });
  return { text, rendered, codes: diagnostics.map((d) => d.code) };
}

describe("diagnostics of", () => {
  test.each(names)("%s", (name) => {
    const { text, rendered } = run(name);
    expectGolden(new URL(name, FOLDER), `${text}${RULER}${rendered}`);
  });
});

test("every code is explained, and every code has a case", () => {
  const shown = new Set(names.flatMap((name) => run(name).codes));
  expect([...shown].sort()).toEqual([...SYNTAX_CODES.keys()].sort());
});

test("every edit that is offered mends its statement", () => {
  for (const name of names) {
    const { text } = run(name);
    const before = parse({ name, text }).diagnostics;
    for (const { message, help } of before) {
      for (const { edit } of help) {
        if (edit === undefined) continue;
        const mended = text.slice(0, edit.span.start) + edit.text + text.slice(edit.span.end);
        const after = parse({ name, text: mended }).diagnostics;
        expect(count(after, message), mended).toBeLessThan(count(before, message));
        expect(after.length, `${message}\n${mended}`).toBeLessThanOrEqual(before.length);
      }
    }
  }
});

const count = (all: readonly { message: string }[], message: string): number =>
  all.filter((d) => d.message === message).length;
