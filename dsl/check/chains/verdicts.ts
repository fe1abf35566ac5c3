/** Verdicts of rules and verdict maps: which ones a place may give, and the chains that they lead to. */
import type { Name } from "../../ast.ts";
import { type Decision, TC_ACTIONS, XDP_ACTIONS } from "../../chain-model.ts";
import type { Span } from "../../span.ts";
import { suggest } from "../../suggest.ts";
import type { RuleScope } from "./scope.ts";

export interface VerdictNode {
  readonly word: Name;
  readonly chain?: Name;
  readonly span: Span;
}

/** Null after an error. */
export function decision(rule: RuleScope, node: VerdictNode): Decision | null {
  const { report } = rule.table.draft;
  const word = node.word.value;
  if (node.chain !== undefined) return jump(rule, word as "jump" | "goto", node.chain);
  if (word === "return" || word === "continue") return { kind: word };
  if (rule.program === "xdp") {
    const action = XDP_ACTIONS.find((one) => one === (word === "drop" ? "DROP" : word === "accept" ? "PASS" : word));
    if (action !== undefined) return { kind: "xdp", action };
  } else if (rule.program === "tc") {
    const action = TC_ACTIONS.find((one) => one === (word === "drop" ? "SHOT" : word === "accept" ? "OK" : word));
    if (action !== undefined) return { kind: "tc", action };
  } else if (word === "accept" || word === "drop") return { kind: word };
  const verdicts =
    rule.program === "xdp"
      ? [...XDP_ACTIONS, "REDIRECT"]
      : rule.program === "tc"
        ? [...TC_ACTIONS, "REDIRECT"]
        : ["accept", "drop", "jump", "goto", "return", "continue"];
  report.error("E0410", node.span, `\`${word}\` is no verdict here`, { label: `expected ${verdicts.join(", ")}` });
  return null;
}

function jump(rule: RuleScope, kind: "jump" | "goto", name: Name): Decision | null {
  const { table } = rule;
  const { report } = table.draft;
  const entry = table.chains.get(name.value);
  if (entry === undefined) {
    const meant = suggest(name.value, table.chains.keys());
    report.error("E0406", name.span, `no chain \`${name.value}\` in ${table.label}`, {
      kernel: "Error: Could not process rule: No such file or directory",
      help: meant === null ? [] : [{ message: `did you mean \`${meant}\`?`, edit: { span: name.span, text: meant } }],
    });
    return null;
  }
  if (entry.chain.base !== null) {
    report.error("E0406", name.span, `\`${name.value}\` is a base chain: packets come to it from its hook only`, {
      secondary: [{ span: entry.span, message: "declared here" }],
      kernel: "Error: Could not process rule: Operation not supported",
    });
    return null;
  }
  return { kind, chain: entry.chain.id };
}
