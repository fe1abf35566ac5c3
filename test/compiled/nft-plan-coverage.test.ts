/**
 * Nothing is missing in test/cases/nft-plan: every field that the checker knows, and every form of the tables of dsl/LANGUAGE.md, has a rule there,
 * every structure of sets a look-up, and every way of the compiler with a list of rules a list.
 */
import { describe, expect, test } from "vitest";
import { TC_ACTIONS, XDP_ACTIONS } from "../../dsl/chain-model.ts";
import { MAP_KINDS } from "../../runtime/hooks.ts";
import { SET_KINDS } from "../../runtime/maps/structure.ts";
import { FIELD_FORMS, formsOf, patternOf } from "../nft-forms.ts";
import { caseTexts } from "../nft-sections.ts";

const LINES = caseTexts("nft-plan").flatMap((text) => text.split("\n"));
const RULES = LINES.filter((line) => /^[^ :+#]/.test(line));
const found = (pattern: RegExp, lines: readonly string[] = RULES): string[] =>
  lines.filter((line) => pattern.test(line));

describe("fields", () => {
  test.each([...FIELD_FORMS])("%s", (_, pattern) => expect(found(pattern)).not.toEqual([]));
});

describe("the tables of LANGUAGE.md", () => {
  test.each([...formsOf("### Matches"), ...formsOf("### Statements"), ...formsOf("### Verdicts")])("%s", (form) =>
    expect(found(patternOf(form))).not.toEqual([]),
  );
  test.each([...XDP_ACTIONS, ...TC_ACTIONS])("the verdict %s in a verdict map", (action) =>
    expect(found(new RegExp(`vmap .*: ${action}\\b|^\\+.*: verdict.*: ${action}\\b`), LINES)).not.toEqual([]),
  );
  test.each(MAP_KINDS)("a map of kind %s", (kind) =>
    expect(found(new RegExp(`^\\+ map .*; kind ${kind};`), LINES)).not.toEqual([]),
  );
  test.each(["ip", "ip6", "inet", "netdev", "xdp", "tc"])("family or kind of program %s", (family) =>
    expect(found(new RegExp(`^:${family}\\b`), LINES)).not.toEqual([]),
  );
});

describe("structures", () => {
  test.each(SET_KINDS.filter((kind) => kind !== "array"))("a look-up in %s, between braces or with a name", (kind) =>
    expect(found(new RegExp(`^    # set\\.\\d+\\.\\d+, set .*: ${kind} \\(`), LINES)).not.toEqual([]),
  );
  test.each([
    ["tables", /by a classifier \(.*: tables of/],
    ["parts, as protocols have rules of their own", /by a classifier \(\d+ rules.*; \d+ rules/],
    ["vectors, as rules go on", /by a classifier \(.*vectors, rules that go on/],
    ["vectors, as tables would be too large", /by a classifier \(.*vectors, tables of all/],
    ["fields of few values, compared", /set field\d+ = select/],
    ["tests, as too few rules stand together", /^ {4}# chain c0, forward priority 0$/],
  ])("a list by %s", (_, pattern) => expect(found(pattern, LINES)).not.toEqual([]));
});
