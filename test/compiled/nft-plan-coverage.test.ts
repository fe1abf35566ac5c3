/**
 * Nothing is missing in test/cases/nft-plan: every field that the checker knows, and every form of the tables of dsl/LANGUAGE.md, has a rule there,
 * every structure of sets a look-up, and every way of the compiler with a list of rules a list.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { TC_ACTIONS, XDP_ACTIONS } from "../../dsl/chain-model.ts";
import { HEADERS, IP_OPTIONS, IPV6_EXTENSIONS, META, TCP_OPTIONS } from "../../dsl/check/chains/fields.ts";
import { MAP_KINDS } from "../../runtime/hooks.ts";
import { SET_KINDS } from "../../runtime/maps/structure.ts";

const DIRECTORY = new URL("../cases/nft-plan/", import.meta.url);
const LINES = readdirSync(DIRECTORY)
  .filter((file) => file.endsWith(".case"))
  .flatMap((file) => readFileSync(new URL(file, DIRECTORY), "utf8").split("\n"));
const RULES = LINES.filter((line) => /^[^ :+#]/.test(line));
const found = (pattern: RegExp, lines: readonly string[] = RULES): string[] =>
  lines.filter((line) => pattern.test(line));
const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

const fieldsOf = (prefix: string, table: Readonly<Record<string, { readonly fields: object }>>): string[] =>
  Object.entries(table).flatMap(([name, { fields }]) =>
    Object.keys(fields).map((field) => `${prefix}${name} ${field}`),
  );

describe("fields", () => {
  test.each([
    ...fieldsOf("", HEADERS),
    ...fieldsOf("", IPV6_EXTENSIONS),
    ...fieldsOf("ip option ", IP_OPTIONS),
    ...fieldsOf("tcp option ", TCP_OPTIONS),
    ...["exthdr", "ip option", "tcp option"].flatMap((what) => [`${what} \\S+ exists`, `${what} \\S+ missing`]),
    ...["saddr", "daddr"].map((address) => `fib ${address}`),
    ...["mark", "iif", "oif"].map((flag) => `fib .*\\. ${flag}`),
    ...["type", "oif", "oifname", "oif exists", "oif missing"].map((result) => `fib \\S+( \\. \\S+)* ${result}`),
    ...["ll", "nh", "th", "ih"].map((base) => `@${base},\\d+,\\d+`),
    "ct state",
  ])("%s", (field) => expect(found(new RegExp(`(^| )${field}( |$)`))).not.toEqual([]));
  test.each(Object.keys(META))("meta %s", (key) => expect(found(new RegExp(`(^|meta )${key}( |$)`))).not.toEqual([]));
});

const manual = readFileSync(new URL("../../dsl/LANGUAGE.md", import.meta.url), "utf8");
/** What stands between backticks in the first column of the table behind a heading, bars between words split, and brackets with and without. */
function formsOf(heading: string): string[] {
  const rows = manual
    .split(`\n${heading}\n`)[1]
    .match(/(?<=^\|[-|]+\|\n)(\|.*\n)+/m)![0]
    .trimEnd()
    .split("\n");
  const cells = rows.map((row) => row.replaceAll("\\|", "\0").split("|")[1].replaceAll("\0", "|"));
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, form]) => expanded(form)));
}

function expanded(form: string): string[] {
  const bracket = /^(.*?)\s*\[([^\]]*)\](.*)$/.exec(form);
  if (bracket !== null) {
    const [, before, inside, behind] = bracket;
    return [`${before}${behind}`, `${before} ${inside}${behind}`].flatMap(expanded);
  }
  const bar = /^(.*?)(\S+)\|(\S+)(.*)$/.exec(form);
  if (bar === null) return [form];
  const [, before, one, other, behind] = bar;
  return [`${before}${one}${behind}`, `${before}${other}${behind}`].flatMap(expanded);
}

/** Words in capitals and dots stand for anything, numbers for numbers. */
const patternOf = (form: string): RegExp =>
  new RegExp(
    `(^| )${escaped(form)
      .replace(/\b(FIELD|VALUE|MASK|NAME|N|CHAIN|CODE|L|DEV|SET|MAP|VERDICT)\b/g, ".+?")
      .replace(/(\\\.){2,3}/g, ".*")
      .replace(/\d+/g, "\\d+")}( |$)`,
  );

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
