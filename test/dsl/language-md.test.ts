/** Every example of dsl/LANGUAGE.md is read and is in the format. Run: npx vitest run test/dsl/language-md.test.ts */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { print } from "../../dsl/print.ts";
import { K, spellingsOf } from "../../dsl/tokens.ts";
import { parseText } from "./support.ts";

const manual = readFileSync(new URL("../../dsl/LANGUAGE.md", import.meta.url), "utf8");
const examples = [...manual.matchAll(/^```vrfc( pasted)?\n(.*?)^```$/gms)].map(([, pasted, text]) => ({
  text,
  pasted: pasted !== undefined,
}));

describe("the examples of LANGUAGE.md", () => {
  test.each(examples)("$text", ({ text, pasted }) => {
    const { ast, diagnostics } = parseText(text);
    expect(diagnostics.filter((d) => pasted === false || d.severity === "error")).toEqual([]);
    if (!pasted) expect(print(ast)).toBe(text);
  });
});

test("LANGUAGE.md has every keyword", () => {
  const notForUse = [K.StateMark, K.CountOption, K.Error, K.Id];
  const keywords = Object.values(K).filter((type) => !(notForUse as readonly unknown[]).includes(type));
  const missing = keywords
    .flatMap(spellingsOf)
    .filter((word) => !new RegExp(`(?<![\\w-])${word.replace(/[[\]]/g, "\\$&")}(?![\\w-])`).test(manual));
  expect(missing).toEqual([]);
});
