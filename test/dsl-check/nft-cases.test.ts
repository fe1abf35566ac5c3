/**
 * Rules and what they become, in the manner of nftables' own tests: test/cases/nft/NAME.case holds
 *
 *   :inet forward          the table's family and the hook of what follows; or a program's hook (`:xdp`, `:tc ingress`)
 *   + set s { ... }        declared beside it
 *   tcp dport ssh          a rule
 *     = ...                its canonical form (`vrfc fmt`), where it is another
 *     ! E0402 ...          what the checker refuses, or
 *     meta l4proto == 6    the steps that it becomes
 *
 * `BLESS=1 npx vitest run test/dsl-check/nft-cases` writes the indented lines anew, to be seen in review.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { rule as printRule } from "../../dsl/nft/print.ts";
import { stepText } from "../../dsl/print-netfilter.ts";
import { expectGolden } from "../golden.ts";

const DIRECTORY = new URL("../cases/nft/", import.meta.url);
const NAMES = readdirSync(DIRECTORY).filter((file) => file.endsWith(".case"));

const DEVICES = "interface eth0 { type dummy }\ninterface eth1 { type dummy }\nvrf red { table 10 }\n";
const PROGRAM = /^(xdp|tc )/;

/** The rule in a text of its own. */
function textOf(context: string, declarations: readonly string[], rule: string): string {
  if (PROGRAM.test(context))
    return `${DEVICES}${declarations.join("\n")}\nprogram p on ${context} eth0 {\n${rule}\n}\n`;
  const [family, hook] = context.split(" ");
  const device = family === "netdev" ? " device eth0" : "";
  const base = `type filter hook ${hook}${device} priority 0; policy accept;`;
  return `${DEVICES}table ${family} t {\n${declarations.join("\n")}\nchain svc { counter; }\nchain c { ${base}\n${rule}\n}\n}\n`;
}

function outcome(context: string, declarations: readonly string[], rule: string): string[] {
  const { ast, model, diagnostics } = checkText(textOf(context, declarations, rule));
  const lines: string[] = [];
  const chain = ast.items
    .flatMap((item) => (item.kind === "filter table" ? [...item.items] : []))
    .find((item) => item.kind === "chain" && item.name.value === "c");
  const holder = chain ?? ast.items.find((item) => item.kind === "program");
  const parsed = holder?.kind === "chain" || holder?.kind === "program" ? holder.rules[0] : undefined;
  const canonical = parsed && printRule(parsed);
  if (canonical !== undefined && canonical !== rule) lines.push(`= ${canonical}`);
  const ofRule = diagnostics.filter(({ code }) => code !== "W0422");
  lines.push(...ofRule.map(({ code, message }) => `! ${code} ${message}`));
  const net = model?.nets[0];
  if (net === undefined) return lines;
  const { chains, programs } = net.netfilter;
  const steps = (programs[0] ?? chains.find(({ name }) => name === "c"))?.rules[0]?.steps ?? [];
  return [...lines, ...steps.map((step) => stepText(net, step))];
}

function* cases(text: string): Generator<{ line: string; rule?: { outcome: string[] } }> {
  let context = "";
  let declarations: string[] = [];
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith(" ")) continue;
    if (line.startsWith("+")) declarations.push(line.slice(1));
    if (line.startsWith(":")) {
      context = line.slice(1);
      declarations = [];
    }
    yield /^[#:+]/.test(line) ? { line } : { line, rule: { outcome: outcome(context, declarations, line) } };
  }
}

function rendered(text: string): string {
  let out = "";
  for (const { line, rule } of cases(text)) {
    out += `${line.startsWith(":") ? "\n" : ""}${line}\n`;
    if (rule) out += rule.outcome.map((one) => `    ${one}\n`).join("");
  }
  return out;
}

describe("rules of nftables", () => {
  test.each(NAMES)("%s", (name) => {
    const file = new URL(name, DIRECTORY);
    expectGolden(file, rendered(readFileSync(file, "utf8")));
  });
});
