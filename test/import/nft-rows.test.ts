/**
 * Each row of nft-rows.ts: what nft lists of it as text and as JSON imports without a word, and means the same, and what was written;
 * what vrfc has not is refused in both forms by the same name. And no match or statement is without a row.
 */
import { describe, expect, it } from "vitest";
import { DEVICE_HOOKS, IP_HOOKS, PRIORITIES } from "../../dsl/check/chains/base.ts";
import { checkText } from "../../dsl/check-text.ts";
import { print } from "../../dsl/print.ts";
import { importNft } from "../../src/import/nft/import.ts";
import { importNftJson, isNftJson, parseNftJson } from "../../src/import/nft/json.ts";
import { FIELD_FORMS, formsOf, patternOf } from "../nft-forms.ts";
import { type Listed, listedRows, type Row, rows } from "./nft-rows.ts";

const NETWORK = "interface eth0 { type dummy }\ninterface eth1 { type dummy }\nvrf red { table 10 }\n";
const listed = listedRows();
const all = rows();

/** nft refuses what is said here, or falls over it; LANGUAGE.md says so where it is a thing of the language. */
const ONLY_HERE: readonly (readonly [RegExp, string])[] = [
  [/: meta mark (>>|<<|lshift|rshift) /, "the type of a shifted mark is an integer to nft 1.0.6"],
  [/: iifname ""/, "an empty string stands for no device"],
  [/^tc_handle /, "the type is `classid` to nft"],
  [/: igmp group /, "a number to nft"],
  [/: (ah nexthdr|comp nexthdr) /, "nft 1.0.6 ends at an assertion"],
  [/: icmpv6 parameter-problem /, "`param-problem` to nft, `parameter-problem` in its manual"],
  [/: tcp option \S+ kind /, "in nft's manual, not in the grammar of 1.0.6"],
  [/ vmap \{ \{ 22 : accept/, "nft has sets within sets, and no maps within maps"],
  [/ map @(hits|classes)\b/, "`kind` of maps is eBPF's"],
  [/: counter name ip saddr map @talkers/, "a map to counters that are not said is not nft's"],
];

/** nft lists these otherwise than they were written, to the same effect unless it says so. */
const SHOWN_OTHERWISE: readonly (readonly [RegExp, string])[] = [
  [/: meta mark (\^|xor) 0x1 == /, "calculated with the constant"],
  [
    /: (icmp|icmpv6|igmp) (?!checksum)\S+ set /,
    "the bytes are shown as ports of `th` or as bytes, whose checksum nobody knows",
  ],
  [/: (icmp|icmpv6) (id|sequence) /, "the test that is implied is shown"],
  [/: meta protocol ip accept/, "implied by the family"],
  [/^ip forward: @nh,64,8 set 5/, "shown as `ip ttl`, whose checksum is mended"],
  [/: @nh,96,64 /, "two fields that stand side by side"],
];

interface Meaning {
  readonly errors: readonly string[];
  readonly means: unknown;
}

const plainValue = (key: string, value: unknown): unknown =>
  key === "span" || key === "origin" ? undefined : typeof value === "bigint" ? `${value}` : value;

/** What a rule set is in the network of the devices. The order of a set's elements means nothing. */
function meaningOf(text: string): Meaning {
  const { model, diagnostics } = checkText(`${NETWORK}${text}`);
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  const net = model?.nets[0].netfilter;
  const sets = net?.sets.map((set) => ({
    ...set,
    elements: set.elements.map((one) => JSON.stringify(one, plainValue)).toSorted(),
  }));
  const means: unknown = JSON.parse(JSON.stringify({ ...net, sets }, plainValue));
  return { errors: errors.map(({ message, primary }) => `${message}: ${primary.message}`), means };
}

function fromText(text: string): Meaning {
  const { ast, diagnostics } = importNft({ name: "listed", text });
  const { errors, means } = meaningOf(print(ast));
  return { errors: [...diagnostics.map(({ message }) => message), ...errors], means };
}

function fromJson(json: string): Meaning {
  const value = parseNftJson(json);
  if (!isNftJson(value)) throw new Error("no rule set");
  const { ast, diagnostics } = importNftJson(value);
  const { errors, means } = meaningOf(print(ast));
  return { errors: [...diagnostics.map(({ message }) => message), ...errors], means };
}

/** nft 1.0.6 leaves out of JSON at which device a chain is. Later versions say it, as it is put in here. */
function withDevices({ text, json }: Extract<Listed, { text: string }>): string {
  const devices = [...text.matchAll(/hook (?:in|e)gress (?:device "(\w+)"|devices = \{ ([^}]*) \})/g)].map(
    ([, one, several]) => one ?? several.split(/,\s*/),
  );
  return json.replaceAll(/"hook": "(in|e)gress"/g, (hook) => `${hook}, "dev": ${JSON.stringify(devices.shift())}`);
}

const wordsOf = (errors: readonly string[]): string[] => errors.flatMap((one) => one.match(/`[^`]+`/g) ?? [one]);
const reasonFor = (list: readonly (readonly [RegExp, string])[], { name }: Row): string | undefined =>
  list.find(([pattern]) => pattern.test(name))?.[1];

describe("what nft lists", () => {
  it.each(all)("$name", (row) => {
    const own = meaningOf(row.text);
    const one = listed[row.text];
    if (one === undefined) throw new Error("not recorded yet: npm run nft:record");
    if ("refused" in one) {
      if (reasonFor(ONLY_HERE, row) === undefined) expect(own.errors).not.toEqual([]);
      else expect(own.errors).toEqual([]);
      return;
    }
    const text = fromText(one.text);
    const json = fromJson(withDevices(one));
    if (own.errors.length > 0) {
      const words = wordsOf(own.errors);
      for (const form of [text, json])
        expect(wordsOf(form.errors).filter((word) => words.includes(word))).not.toEqual([]);
      return;
    }
    expect(text.errors).toEqual([]);
    expect(json).toEqual(text);
    if (reasonFor(SHOWN_OTHERWISE, row) === undefined) expect(text.means).toEqual(own.means);
    else expect(text.means).not.toEqual(own.means);
  });

  it("says that JSON has no device for a chain at one", () => {
    const row = all.find(({ name }) => name === "netdev chains")!;
    const { errors } = fromJson((listed[row.text] as { json: string }).json);
    expect(errors).toEqual(
      ["ingress", "egress"].map(
        (hook) =>
          `not imported: the device of this chain at ${hook} is not in the JSON: what \`nft list ruleset\` prints has it`,
      ),
    );
  });
});

it("takes the width of a set's integers from the rules that ask it, and refuses it where none does", () => {
  const set = { family: "ip", table: "t", name: "s", type: "integer", elem: [64] };
  const fromEntries = (...entries: object[]): Meaning =>
    fromJson(JSON.stringify({ nftables: [{ table: { family: "ip", name: "t" } }, { set }, ...entries] }));
  const left = { payload: { protocol: "ip", field: "ttl" } };
  const rule = { family: "ip", table: "t", chain: "c", expr: [{ match: { op: "==", left, right: "@s" } }] };
  const chain = { family: "ip", table: "t", name: "c" };
  expect(fromEntries({ chain }, { rule })).toEqual(
    fromText("table ip t { set s { typeof ip ttl; elements = { 64 }; }\n chain c { ip ttl @s; }\n}"),
  );
  expect(fromEntries().errors).toEqual([
    "not imported: how wide its integers are is not in the JSON: what `nft list ruleset` prints has it",
  ]);
});

describe("no row is missing", () => {
  const taken = all.filter(({ text }) => "text" in (listed[text] ?? {}));
  const lines = taken.flatMap(({ said }) => said.split(/[\n;]/).map((line) => line.trim()));
  const others = all.filter((row) => !taken.includes(row));
  const has = (pattern: RegExp): void => {
    const excused = others.some((row) => pattern.test(row.said) && reasonFor(ONLY_HERE, row) !== undefined);
    if (!excused) expect(lines.filter((line) => pattern.test(line))).not.toEqual([]);
  };
  it.each([...FIELD_FORMS])("%s", (_, pattern) => has(pattern));
  it.each([...formsOf("### Matches"), ...formsOf("### Statements")])("%s", (form) => has(patternOf(form)));

  const bases = taken.flatMap(({ text }) => text.match(/^table (\w+)|type \w+ hook [^;\n]*/gm) ?? []);
  const places = bases.reduce<{ family: string; all: string[] }>(
    ({ family, all }, line) => {
      const [, table] = /^table (\w+)/.exec(line) ?? [];
      return { family: table ?? family, all: table === undefined ? [...all, `${family} ${line}`] : all };
    },
    { family: "", all: [] },
  ).all;
  const hooks = [
    ...["ip", "ip6", "inet"].flatMap((family) => IP_HOOKS.map((hook) => `${family} type filter hook ${hook} `)),
    ...[...DEVICE_HOOKS.keys()].map((hook) => `netdev type filter hook ${hook} `),
    "type route hook output ",
  ];
  it.each([...hooks, ...[...PRIORITIES.keys()].map((name) => `priority ${name}`)])("a base chain: %s", (what) =>
    expect(places.filter((place) => place.includes(what))).not.toEqual([]),
  );
});
