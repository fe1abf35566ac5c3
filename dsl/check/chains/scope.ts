/** What the checks of chains share: the lists that become `Netfilter`, and the names that a table knows. */

import type { Hook, ProgramHook } from "../../../runtime/hooks.ts";
import type { Name } from "../../ast.ts";
import type { Chain, ChainHook, Counter, FilterTable, Limit, Program, SetDef, TableFamily } from "../../chain-model.ts";
import type { Span } from "../../span.ts";
import type { Mutable, NetDraft } from "../draft.ts";
import type { Reporter } from "../report.ts";
import type { Datatype } from "./datatypes.ts";

export interface FilterDraft {
  readonly net: NetDraft;
  readonly report: Reporter;
  readonly tables: FilterTable[];
  readonly chains: Mutable<Chain>[];
  readonly sets: Mutable<SetDef>[];
  readonly counters: Counter[];
  readonly limits: Limit[];
  readonly programs: Program[];
}

/** A declared set or map, with the types that its key and value were declared with. */
export interface SetEntry {
  readonly set: Mutable<SetDef>;
  readonly key: readonly Datatype[];
  readonly value: Datatype | "verdict" | null;
  readonly span: Span;
}

/** Outside of tables there is one for each family, with the same names. */
export interface TableScope {
  readonly draft: FilterDraft;
  readonly index: number;
  /** What the table is called in messages. */
  readonly label: string;
  readonly chains: Map<string, { readonly chain: Mutable<Chain>; readonly span: Span }>;
  readonly sets: Map<string, SetEntry>;
  readonly counters: Map<string, { readonly counter: Counter; readonly span: Span }>;
  readonly limits: Map<string, { readonly limit: Limit; readonly span: Span }>;
}

/** Where a rule stands: what it can see, and what it may do. */
export interface RuleScope {
  readonly table: TableScope;
  readonly family: TableFamily;
  /** Hooks that packets can reach the rule from; empty for a chain that nothing leads to. */
  readonly hooks: ReadonlySet<ChainHook | Hook>;
  /** In a base chain; a regular chain may be reached from more hooks some day. */
  readonly base: boolean;
  /** Programs, and chains that only they lead to, have verdicts of their own; "any": of a named verdict map beside programs. */
  readonly program: "xdp" | "tc" | "any" | null;
}

/** Only XDP programs come here, or only tc programs; null: chains do. */
export function programOf(hooks: RuleScope["hooks"]): "xdp" | "tc" | null {
  const all = [...hooks];
  if (all.length === 0 || !all.every(isProgramHook)) return null;
  if (all.every((hook) => hook === "xdp")) return "xdp";
  return all.includes("xdp") ? null : "tc";
}

export const isProgramHook = (hook: Hook): hook is ProgramHook =>
  hook === "xdp" || hook === "tc ingress" || hook === "tc egress";

/** NFT_NAME_MAXLEN, which counts the end. */
const NAME_MAX = 255;

export function checkName({ report }: Pick<FilterDraft, "report">, what: string, { value, span }: Name): void {
  const { length } = new TextEncoder().encode(value);
  if (length <= NAME_MAX) return;
  report.error("E0412", span, `the name of this ${what} is too long`, {
    label: `${length} bytes, ${NAME_MAX} are possible`,
    kernel: "Error: Could not process rule: Numerical result out of range",
  });
}

export const newScope = (draft: FilterDraft, index: number, label: string): TableScope => ({
  draft,
  index,
  label,
  chains: new Map(),
  sets: new Map(),
  counters: new Map(),
  limits: new Map(),
});
