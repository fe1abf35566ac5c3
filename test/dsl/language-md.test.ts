/** Every example of dsl/LANGUAGE.md is read and is in the format. Run: npx vitest run test/dsl/language-md.test.ts */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { TC_ACTIONS, XDP_ACTIONS } from "../../dsl/chain-model.ts";
import { HEADERS, IP_OPTIONS, IPV6_EXTENSIONS, META, TCP_OPTIONS } from "../../dsl/check/chains/fields.ts";
import { checkText } from "../../dsl/check-text.ts";
import { print } from "../../dsl/print.ts";
import { K, spellingsOf } from "../../dsl/tokens.ts";
import { MAP_KINDS } from "../../runtime/hooks.ts";
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

const chapter = (name: string): string => manual.split(/^## /m).find((text) => text.startsWith(`${name}\n`)) ?? "";
/** Words between backticks: `tcp`, `sport` of "| `tcp` | `sport` ... |". */
const wordsOf = (row: string): string[] =>
  [...row.matchAll(/`([^`]+)`/g)].flatMap(([, words]) => words.split(/[ |\\]+/));

describe("the tables of chains and programs", () => {
  const fields = chapter("Chains").split("| field | of it |")[1].split("\n\n")[0].split("\n");
  const named = (row: string): string[] => [...row.split(" | ")[0].matchAll(/`([^`]+)`/g)].map(([, name]) => name);
  const rowOf = (field: string): string[] => wordsOf(fields.find((row) => named(row).includes(field)) ?? "");
  const fieldsOf = (table: Readonly<Record<string, { readonly fields: object }>>) =>
    Object.entries(table).map(([name, { fields }]) => [name, Object.keys(fields)] as const);

  test.each([...fieldsOf(HEADERS), ...fieldsOf(IPV6_EXTENSIONS), ["meta", Object.keys(META)] as const])(
    "%s has all its fields",
    (name, fields) => expect(rowOf(name)).toEqual(expect.arrayContaining([...fields])),
  );
  test.each([
    ["ip option", IP_OPTIONS],
    ["tcp option", TCP_OPTIONS],
  ] as const)("%s has all options", (name, options) => {
    const words = fieldsOf(options).flatMap(([option, fields]) => [option, ...fields]);
    expect(rowOf(name)).toEqual(expect.arrayContaining(words));
  });

  const programs = chapter("Programs");
  test.each([...XDP_ACTIONS, ...TC_ACTIONS, "REDIRECT"])("the verdict %s", (verdict) =>
    expect(programs).toMatch(new RegExp(`^\\| \`${verdict}\\b.*(XDP|TC_ACT)_${verdict}`, "m")),
  );
  test.each(MAP_KINDS)("the kind of map %s", (kind) =>
    expect(programs).toMatch(new RegExp(`^\\| \`kind ${kind}\``, "m")),
  );
  test("the program there is one", () => {
    const [example] = programs.match(/(?<=^```vrfc\n).*?(?=^```$)/ms) ?? [];
    const { model, diagnostics } = checkText(example ?? "");
    expect(diagnostics).toEqual([]);
    expect(model?.nets[0].netfilter.programs).toHaveLength(3);
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
