/**
 * Rule sets as nft is given them, with what it then lists of them, in both forms: each rule of test/cases/nft and test/cases/nft-plan in a
 * base chain of its own, each name of a constant, and the rule sets of test/cases/nft-tables, which an empty line separates.
 *
 *   npm run nft:record       asks nft anew (1.0.6, in a network namespace of its own): listed-rows.json.gz
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { ICMP_CODES, ICMPV6_CODES, TYPE_NAMES } from "../../dsl/check/chains/datatypes.ts";
import { caseTexts, isProgram, sectionsOf } from "../nft-sections.ts";

/** `nft list ruleset` and `nft -j list ruleset`, or the first line of what nft says when it refuses. */
export type Listed = { readonly text: string; readonly json: string } | { readonly refused: string };

export interface Row {
  readonly name: string;
  /** What stands in the file: a rule, or a whole set of them. */
  readonly said: string;
  /** The rule set, for `nft -f`. */
  readonly text: string;
}

/** The devices of the namespace in which nft is asked. */
export const DEVICES = ["eth0", "eth1", "red"] as const;

const RECORDING = new URL("listed-rows.json.gz", import.meta.url);
export const recordingUrl = RECORDING;
/** By the text of the row. */
export const listedRows = (): Readonly<Record<string, Listed>> =>
  JSON.parse(gunzipSync(readFileSync(RECORDING)).toString());

export function rows(): Row[] {
  const all = new Map<string, Row>();
  for (const row of [...ruleRows(), ...symbolRows(), ...rejectRows(), ...tableRows()]) all.set(row.text, row);
  return [...all.values()];
}

function ruleRows(): Row[] {
  const sections = ["nft", "nft-plan"].flatMap((directory) =>
    caseTexts(directory).flatMap((one) => sectionsOf(one).sections),
  );
  return sections.flatMap(({ line, declarations, rules }) => {
    const [context] = line.split(", ");
    return isProgram(context) ? [] : rules.map((rule) => ruleRow(context, declarations, rule));
  });
}

function ruleRow(context: string, declarations: readonly string[], rule: string): Row {
  const [family, hook] = context.split(" ");
  const words = rule.split(/[\s{},:]+/);
  const asked = declarations.filter((one) => {
    const [, name] = one.trim().split(" ");
    return words.includes(name) || words.includes(`@${name}`);
  });
  const device = family === "netdev" ? " device eth0" : "";
  const lines = [
    ...asked.map((one) => one.trim()),
    ...(words.includes("svc") || asked.some((one) => / svc\b/.test(one)) ? ["chain svc { counter; }"] : []),
    `chain c { type filter hook ${hook}${device} priority 0; policy accept;`,
    rule,
    "}",
  ];
  return { name: `${context}: ${rule}`, said: rule, text: `table ${family} t {\n${lines.join("\n")}\n}\n` };
}

/** Every name that constants of a type may be written by. */
function symbolRows(): Row[] {
  return [...TYPE_NAMES].flatMap(([type, { symbols = new Map() }]) =>
    [...symbols.keys()].map((symbol) => {
      const set = `set s { type ${type}; elements = { ${symbol} }; }`;
      return { name: `${type} ${symbol}`, said: set, text: `table inet t {\n${set}\n}\n` };
    }),
  );
}

/** Each code that a packet is rejected with. */
const rejectRows = (): Row[] =>
  [
    ...Object.keys(ICMP_CODES).map((code) => ["ip input", "icmp", code]),
    ...Object.keys(ICMPV6_CODES).map((code) => ["ip6 input", "icmpv6", code]),
  ].map(([context, kind, code]) => ruleRow(context, [], `reject with ${kind} ${code}`));

function tableRows(): Row[] {
  const texts = caseTexts("nft-tables", ".nft").flatMap((text) => text.split("\n\n"));
  return texts.flatMap((text) => {
    const lines = text.split("\n");
    const set = lines.filter((line) => !line.startsWith("#")).join("\n");
    const name = lines.find((line) => line.startsWith("#"))?.slice(2) ?? lines[0];
    return set.trim() === "" ? [] : [{ name, said: set, text: `${set.trim()}\n` }];
  });
}
