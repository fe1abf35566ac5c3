/** Every match and statement that chains have, as patterns of rules: from the tables of the checker's fields, and from those of dsl/LANGUAGE.md. */
import { readFileSync } from "node:fs";
import { HEADERS, IP_OPTIONS, IPV6_EXTENSIONS, META, TCP_OPTIONS } from "../dsl/check/chains/fields.ts";

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

const fieldsOf = (prefix: string, table: Readonly<Record<string, { readonly fields: object }>>): string[] =>
  Object.entries(table).flatMap(([name, { fields }]) =>
    Object.keys(fields).map((field) => `${prefix}${name} ${field}`),
  );

/** What each field looks like in a rule, by its name. */
export const FIELD_FORMS: ReadonlyMap<string, RegExp> = new Map([
  ...[
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
  ].map((field): [string, RegExp] => [field, new RegExp(`(^| )${field}( |$)`)]),
  ...Object.keys(META).map((key): [string, RegExp] => [`meta ${key}`, new RegExp(`(^|meta )${key}( |$)`)]),
]);

const manual = readFileSync(new URL("../dsl/LANGUAGE.md", import.meta.url), "utf8");
/** What stands between backticks in the first column of the table behind a heading, bars between words split, and brackets with and without. */
export function formsOf(heading: string): string[] {
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
export const patternOf = (form: string): RegExp =>
  new RegExp(
    `(^| )${escaped(form)
      .replace(/\b(FIELD|VALUE|MASK|NAME|N|CHAIN|CODE|L|DEV|SET|MAP|VERDICT)\b/g, ".+?")
      .replace(/(\\\.){2,3}/g, ".*")
      .replace(/\d+/g, "\\d+")}( |$)`,
  );
