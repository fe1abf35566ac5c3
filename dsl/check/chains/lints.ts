/** Remarks: rules that no packet reaches, and chains that nothing leads to. */
import type { Chain, FilterRule, Program } from "../../chain-ast.ts";
import type { ChainGraph } from "./graph.ts";
import type { TableScope } from "./scope.ts";

export function lintChains(
  scope: TableScope,
  { targets }: ChainGraph,
  chains: readonly Chain[],
  programs: readonly Program[],
): void {
  for (const { rules } of [...chains, ...programs]) lintRules(scope, rules);
  const named = new Set([...targets.values()].flat().map((name) => name.value));
  for (const chain of chains) {
    if (chain.base !== undefined || named.has(chain.name.value)) continue;
    scope.draft.report.note("W0422", chain.name.span, `nothing leads to chain \`${chain.name.value}\``, {
      label: "it has no hook, and no rule jumps here",
    });
  }
}

/** What counts or writes something lets packets on; a verdict alone takes them all. */
const TAKES_ALL: ReadonlySet<string> = new Set([
  "accept",
  "drop",
  "return",
  "PASS",
  "DROP",
  "TX",
  "ABORTED",
  "OK",
  "SHOT",
]);
const PASSES: ReadonlySet<string> = new Set(["counter", "log"]);

function lintRules({ draft: { report } }: TableScope, rules: readonly FilterRule[]): void {
  const all = rules.findIndex(({ clauses }) => {
    const last = clauses.at(-1);
    const takes =
      last?.kind === "reject" ||
      (last?.kind === "verdict" && (TAKES_ALL.has(last.word.value) || last.word.value === "goto"));
    return takes && clauses.slice(0, -1).every((one) => PASSES.has(one.kind) && !("of" in one));
  });
  if (all < 0 || all === rules.length - 1) return;
  report.warning("W0420", rules[all + 1].span, "no packet reaches this rule, nor those below it", {
    secondary: [{ span: rules[all].span, message: "takes every packet" }],
  });
}
