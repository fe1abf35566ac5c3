/** Sets and maps as every engine has them: decisions by number, and what a host must know to change one. */
import {
  type Counter,
  type Decision,
  type FilterRule,
  type Netfilter,
  type SetDef,
  TC_ACTIONS,
  XDP_ACTIONS,
} from "../../dsl/chain-model.ts";
import type { MapDescription } from "../../runtime/maps/map.ts";
import type { Named } from "../../runtime/maps/names.ts";
import type { Element, Value } from "../../runtime/maps/shape.ts";
import { leadsTo, reached, reachedByHooks } from "./reach.ts";

/** What the elements of a verdict map say, and of a named one what else they may be given to say: the words of whoever asks it. */
export function decisionsOf(netfilter: Netfilter, set: SetDef): Decision[] {
  if (set.value !== "verdict") return [];
  const said = set.elements.map(({ value }) => value as Decision);
  const byText = new Map([...allowed(netfilter, set), ...said].map((decision) => [JSON.stringify(decision), decision]));
  return [...byText.values()];
}

/** What each of those who ask a map may decide: the actions of a kind of programs only where no others ask. */
function allowed(netfilter: Netfilter, { id, name }: SetDef): Decision[] {
  if (name === null) return [];
  const asks = ({ rules }: { readonly rules: readonly FilterRule[] }): boolean =>
    rules.some(({ steps }) => steps.some((step) => step.kind === "vmap" && step.map === id));
  const chains = netfilter.chains.filter(asks);
  const { programs } = netfilter;
  const leading = programs.filter(
    (program) =>
      asks(program) || reached(netfilter, leadsTo(netfilter, program.rules)).some((one) => chains.includes(one)),
  );
  if (chains.length + leading.length === 0) return [];
  const byHooks = reachedByHooks(netfilter);
  const kinds = new Set(leading.map(({ hook }) => (hook === "xdp" ? "xdp" : "tc")));
  const isOneKind = kinds.size === 1 && !chains.some((one) => byHooks.includes(one));
  const everywhere = (["continue", "return"] as const).map((kind) => ({ kind }));
  if (!isOneKind) return [...(["accept", "drop"] as const).map((kind) => ({ kind })), ...everywhere];
  return kinds.has("xdp")
    ? [...XDP_ACTIONS.map((action) => ({ kind: "xdp" as const, action })), ...everywhere]
    : [...TC_ACTIONS.map((action) => ({ kind: "tc" as const, action })), ...everywhere];
}

/** The elements, decisions as their numbers. */
export function elementsOf({ elements }: SetDef, decisions: readonly Decision[]): Element[] {
  const numbers = new Map(decisions.map((decision, number) => [JSON.stringify(decision), number]));
  return elements.map(({ key, value }) => ({
    key,
    value: typeof value === "object" ? (value === null ? 0 : numbers.get(JSON.stringify(value))!) : (value as Value),
  }));
}

export function namedOf({ tables }: Netfilter, { name, table }: Pick<SetDef | Counter, "name" | "table">): Named {
  const at = tables[table];
  return { name, table: name === null || at.name === null ? null : `${at.family} ${at.name}` };
}

export function describeMap({ chains }: Netfilter, set: SetDef, decisions: readonly Decision[]): MapDescription {
  const wordOf = (decision: Decision): string =>
    "action" in decision
      ? decision.action
      : "chain" in decision
        ? `${decision.kind} ${chains[decision.chain].name}`
        : decision.kind;
  return {
    key: set.key.map(({ type, bits }) => ({ type, bits })),
    value: set.value === null || set.value === "verdict" ? set.value : { type: set.value.type, bits: set.value.bits },
    interval: set.interval,
    storage: set.storage,
    size: set.size,
    decisions: decisions.map(wordOf),
  };
}
