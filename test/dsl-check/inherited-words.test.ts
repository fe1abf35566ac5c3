/**
 * Every object of JavaScript has a `constructor`, so a table of words that is asked for one finds something. A text with such a word in any
 * place is told what it is told with a word that nothing knows; nothing throws at either.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { check } from "../../dsl/check.ts";
import { checkText } from "../../dsl/check-text.ts";
import type { Diagnostic } from "../../dsl/diagnostic.ts";
import { importScript } from "../../src/import/import.ts";
import { importNft } from "../../src/import/nft/import.ts";
import { importNftJson } from "../../src/import/nft/json.ts";
import { EVERYTHING } from "../dsl/support.ts";
import { listedRows, rows } from "../import/nft-rows.ts";

/** A word of `Object.prototype`, and one as long that begins alike (an address reads as far as its digits go). */
const INHERITED = "constructor";
const UNKNOWN = "coxstructor";

function policy(text: string): readonly Diagnostic[] {
  return checkText(text).diagnostics;
}

function script(text: string): readonly Diagnostic[] {
  const source = { name: "script.sh", text };
  const { ast, diagnostics } = importScript(source);
  return [...diagnostics, ...check(ast, source).diagnostics];
}

function ruleSet(text: string): readonly Diagnostic[] {
  const source = { name: "rules.nft", text };
  const { ast, diagnostics } = importNft(source);
  return [...diagnostics, ...check(ast, source).diagnostics];
}

function listing(text: string): readonly Diagnostic[] {
  const { ast, source, diagnostics } = importNftJson(JSON.parse(text));
  return [...diagnostics, ...check(ast, source).diagnostics];
}

type Read = (text: string) => readonly Diagnostic[];

function told(read: Read, text: string, word: string): string[] {
  const tail = new RegExp(`${word}|${word.slice(1)}|${word.slice(2)}`, "g");
  return read(text).map(({ code, message }) => `${code} ${message.replace(tail, "WORD")}`);
}

/** The lines in which a word, replaced by an inherited one, is told something else than when it is replaced by an unknown one. */
function otherwise(texts: readonly string[], word: RegExp, read: Read): string[] {
  const found = new Set<string>();
  const seen = new Set<string>();
  for (const text of texts)
    for (const { index, 0: replaced } of text.matchAll(word)) {
      const swapped = (by: string): string => text.slice(0, index) + by + text.slice(index + replaced.length);
      const said = swapped(INHERITED);
      const line = said.slice(said.lastIndexOf("\n", index) + 1).split("\n")[0];
      // Rules stand in many texts with the same lines around them.
      if (seen.has(line) && texts.length > 10) continue;
      seen.add(line);
      const want = told(read, swapped(UNKNOWN), UNKNOWN).join("\n");
      if (told(read, said, INHERITED).join("\n") !== want) found.add(line);
    }
  return [...found];
}

const example = (name: string) => readFileSync(new URL(`../../examples/${name}`, import.meta.url), "utf8");
const EXAMPLES = ["rate-limit.vrf"];
const ROWS = rows();
const WORD = /[\w-]+/g;

describe("a word that objects inherit is as unknown as another", () => {
  it("in policies", () => expect(otherwise([EVERYTHING, ...EXAMPLES.map(example)], WORD, policy)).toEqual([]));
  it("in rules", () => {
    const texts = ROWS.map(({ text }) => `namespace host {\n${text}\n}\n`);
    expect(otherwise(texts, WORD, policy)).toEqual([]);
  });
  it("in scripts", () => expect(otherwise([example("seed.sh")], WORD, script)).toEqual([]));
  it("in rule sets of nft", () => {
    const texts = ROWS.map(({ text }) => text);
    expect(otherwise(texts, WORD, ruleSet)).toEqual([]);
  });
  it("in listings of nft", () => {
    const texts = Object.values(listedRows()).flatMap((one) => ("json" in one ? [one.json] : []));
    const parts = texts.filter((_, i) => i % 10 === 0);
    expect(otherwise(parts, /(?<=")(?!nftables")[\w-]+(?=")/g, listing)).toEqual([]);
  });
});
