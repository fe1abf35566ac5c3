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
  if (rule.program === "any") {
    const xdp = XDP_ACTIONS.find((one) => one === word);
    const tc = TC_ACTIONS.find((one) => one === word);
    if (xdp !== undefined) return { kind: "xdp", action: xdp };
    if (tc !== undefined) return { kind: "tc", action: tc };
  }
  report.error("E0410", node.span, `\`${word}\` is no verdict here`, {
    label: `expected ${VERDICTS[rule.program ?? "chain"].join(", ")}`,
  });
  return null;
}

const CHAIN_VERDICTS = ["accept", "drop", "jump", "goto", "return", "continue"];
const VERDICTS: Readonly<Record<NonNullable<RuleScope["program"]> | "chain", readonly string[]>> = {
  xdp: [...XDP_ACTIONS, "REDIRECT"],
  tc: [...TC_ACTIONS, "REDIRECT"],
  any: [...CHAIN_VERDICTS, ...XDP_ACTIONS, ...TC_ACTIONS],
  chain: CHAIN_VERDICTS,
};

/** May a rule that stands here decide this? A named verdict map may hold the verdicts of any program. */
export const mayDecide = ({ program }: RuleScope, { kind }: Decision): boolean =>
  (kind !== "xdp" && kind !== "tc") || kind === program;

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
