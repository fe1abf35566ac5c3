/**
 * Rules and the plan that they become, in the manner of nftables' own tests/py: test/cases/nft-plan/NAME.case holds
 *
 *   :ip forward            the table's family and the hook of what follows; or a program's hook (`:xdp`, `:tc ingress`)
 *   + set s { ... }        declared beside it
 *   tcp dport ssh          a rule
 *     = ...                its canonical form (`vrfc fmt`), where it is another
 *   :ip forward, one list  the rules of what follows stand in one chain (of a program: are its own), whose steps follow the last; and
 *                          `, budget N`: with tables of at most N bytes (ClassifierOptions)
 *     # set ...: list      what the sets that it asks are searched by
 *     if ... { ... }       its steps in the plan (src/plan/ir.ts), for IPv4 where both families come; without traces, optimised.
 *                          `break rule_0` is on to the next rule, `return 1` accepts (or is the policy), `return 2`
 *                          drops; 256 and more are programs' verdicts. Places in memory are <regions>
 *
 * What a rule means is in test/cases/nft; here is what it costs. `BLESS=1 npx vitest run test/compiled/nft-plan-cases` writes the
 * indented lines anew, to be seen in review.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Chain } from "../../dsl/chain-model.ts";
import { checkText } from "../../dsl/check-text.ts";
import { rule as printRule } from "../../dsl/nft/print.ts";
import { buildFib } from "../../src/fib/build.ts";
import type { Region } from "../../src/image-writer.ts";
import { layout } from "../../src/layout.ts";
import type { ClassifierOptions } from "../../src/netfilter/classifier/layout.ts";
import { buildPlan } from "../../src/plan/build/index.ts";
import type { Plan } from "../../src/plan/ir.ts";
import { optimize, withoutTrace } from "../../src/plan/optimize.ts";
import { printSteps } from "../../src/plan/print.ts";
import { validatePlan } from "../../src/plan/validate.ts";
import { expectGolden } from "../golden.ts";
import { isProgram, type Section, sectionsOf } from "../nft-sections.ts";

const DIRECTORY = new URL("../cases/nft-plan/", import.meta.url);
const NAMES = readdirSync(DIRECTORY).filter((file) => file.endsWith(".case"));

interface PlanSection extends Section {
  readonly context: string;
  readonly oneList: boolean;
  readonly classifiers: ClassifierOptions;
}

const SETUP =
  "sysctl net.ipv4.ip_forward = 1\nsysctl net.ipv6.conf.all.forwarding = 1\n" +
  "interface eth0 { type dummy }\ninterface eth1 { type dummy }\nvrf red { table 10 }\n";

/** All rules of a section in one network, each in a chain of its own, or all in one. */
function textOf({ context, oneList, declarations, rules: written }: PlanSection): string {
  const declared = declarations.join("\n");
  const rules = oneList ? [written.join("\n")] : written;
  if (isProgram(context)) {
    const chains = rules.map((rule, i) => `chain c${i} {\n${rule}\n}\n`).join("");
    const jumps = rules.map((_, i) => `jump c${i}\n`).join("");
    return `${SETUP}${declared}\n${chains}program p on ${context} eth0 {\n${jumps}}\n`;
  }
  const [family, hook] = context.split(" ");
  const device = family === "netdev" ? " device eth0" : "";
  const base = `type filter hook ${hook}${device} priority 0; policy accept;`;
  const chains = rules.map((rule, i) => `chain c${i} { ${base}\n${rule}\n}\n`).join("");
  return `${SETUP}table ${family} t {\n${declared}\nchain svc { counter; }\n${chains}}\n`;
}

/** The indented lines of each rule. */
function outcomes(section: PlanSection): string[][] {
  const { ast, model, diagnostics } = checkText(textOf(section));
  expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
  const net = model!.nets[0];
  const image = layout(model!, buildFib(model!), { classifiers: section.classifiers });
  const plan = optimize(withoutTrace(buildPlan(model!, image)), 1);
  expect(validatePlan(plan)).toEqual([]);
  if (section.oneList)
    return [...section.rules.slice(1).map(() => []), listOutcome(plan, net.netfilter.chains, image.regions)];
  const items = ast.items.flatMap((item) => (item.kind === "filter table" ? [...item.items] : [item]));
  return section.rules.map((rule, i) => {
    const node = items.find((item) => item.kind === "chain" && item.name.value === `c${i}`);
    const canonical = node?.kind === "chain" ? printRule(node.rules[0]) : rule;
    const chain = net.netfilter.chains.find(({ name }) => name === `c${i}`)!;
    return [
      ...(canonical === rule ? [] : [`= ${canonical}`]),
      ...code(plan, chain).map((line) => placed(line, image.regions)),
    ];
  });
}

/** What the compiler says of the list, and its steps. */
function listOutcome(plan: Plan, chains: readonly Chain[], regions: readonly Region[]): string[] {
  const { id } = chains.find(({ name }) => name === "c0")!;
  const { comment, body } = plan.procs.find(({ name }) => name.startsWith(`chain.0.${id}.`))!;
  return [`# ${comment}`, ...short(printSteps(body)).map((line) => placed(line, regions))];
}

/** Of the views that a chain is compiled for, the first; its one rule, without the block around it and the policy behind. */
function code(plan: Plan, { id }: Chain): string[] {
  const { body } = plan.procs.find(({ name }) => name.startsWith(`chain.0.${id}.`))!;
  const [first] = body;
  const lines = short(printSteps(first?.kind === "block" && body.length === 2 ? first.body : body));
  const called = [...lines.join("\n").matchAll(/call (set\.0\.\d+)/g)].map(([, name]) => name);
  const sets = plan.procs.filter(({ name }) => called.includes(name));
  return [...sets.map(({ name, comment }) => `# ${name}, ${comment}`), ...lines];
}

/** Addresses by the name of their region; a factor is none. An array whose elements count from 1 is addressed from one before its start. */
const placed = (line: string, regions: readonly Region[]): string =>
  line.replace(
    /(?<=((?:<<|\*) \d+)\) \+ |\b)(?<!\* )(0x[0-9a-f]+|\d+)\b(?!n)/g,
    (number: string, scale: string | undefined) => {
      const [operator, by] = scale?.split(" ") ?? ["*", "0"];
      const at = Number(number) + (operator === "*" ? Number(by) : 2 ** Number(by));
      const region = regions.find(({ name, offset, bytes }) => OWN.test(name) && at >= offset && at < offset + bytes);
      return region === undefined ? number : `<${region.name.replace(OWN, "")}>`;
    },
  );
const OWN = /^net 0 \(host\) (?=chain counters|limits|key of a look-up|set |rules )/;

/** A block of one step on the line of its head. */
const short = (lines: readonly string[]): string[] =>
  lines
    .join("\n")
    .replace(/ \{\n +(.*[^{])\n +\}(?! else)/g, " { $1 }")
    .replace(/ \{\n +(.*[^{])\n\}(?! else)/g, " { $1 }")
    .split("\n");

function planSection(section: Section): PlanSection {
  const [context, ...words] = section.line.split(", ");
  const budget = words.map((word) => /^budget (\d+)$/.exec(word)?.[1]).find((found) => found !== undefined);
  const classifiers = budget === undefined ? {} : { budget: Number(budget) };
  return { ...section, context, oneList: words.includes("one list"), classifiers };
}

function rendered(text: string): string {
  const { head, sections } = sectionsOf(text);
  const blocks = sections.map(planSection).map((section) => {
    const found = outcomes(section);
    const rules = section.rules.flatMap((rule, i) => [rule, ...found[i].map((line) => `    ${line}`)]);
    return [`:${section.line}`, ...section.declarations.map((one) => `+${one}`), ...rules];
  });
  return [head, ...blocks].map((lines) => `${lines.join("\n")}\n`).join("\n");
}

describe("rules and their plan", () => {
  test.each(NAMES)("%s", (name) => {
    const file = new URL(name, DIRECTORY);
    expectGolden(file, rendered(readFileSync(file, "utf8")));
  });
});
