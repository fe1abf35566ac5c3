/** Sets and maps as every engine has them: decisions by number, and what a host must know to change one. */
import {
  type Decision,
  type FilterRule,
  type Netfilter,
  type SetDef,
  TC_ACTIONS,
  XDP_ACTIONS,
} from "../../dsl/chain-model.ts";
import type { MapDescription } from "../../runtime/maps/map.ts";
import type { Element, Value } from "../../runtime/maps/shape.ts";

/** What the elements of a verdict map say, and of a named one what else they may be given to say: the words of whoever asks it. */
export function decisionsOf(netfilter: Netfilter, set: SetDef): Decision[] {
  if (set.value !== "verdict") return [];
  const said = set.elements.map(({ value }) => value as Decision);
  const byText = new Map([...allowed(netfilter, set), ...said].map((decision) => [JSON.stringify(decision), decision]));
  return [...byText.values()];
}

function allowed({ chains, programs }: Netfilter, { id, name }: SetDef): Decision[] {
  if (name === null) return [];
  const asks = ({ rules }: { readonly rules: readonly FilterRule[] }) =>
    rules.some(({ steps }) => steps.some((step) => step.kind === "vmap" && step.map === id));
  const hooks = new Set(programs.filter(asks).map(({ hook }) => (hook === "xdp" ? "xdp" : "tc")));
  return [
    ...(chains.some(asks) ? (["accept", "drop", "continue", "return"] as const).map((kind) => ({ kind })) : []),
    ...(hooks.has("xdp") ? XDP_ACTIONS.map((action) => ({ kind: "xdp" as const, action })) : []),
    ...(hooks.has("tc") ? TC_ACTIONS.map((action) => ({ kind: "tc" as const, action })) : []),
  ];
}

/** The elements, decisions as their numbers. */
export function elementsOf({ elements }: SetDef, decisions: readonly Decision[]): Element[] {
  const numbers = new Map(decisions.map((decision, number) => [JSON.stringify(decision), number]));
  return elements.map(({ key, value }) => ({
    key,
    value: typeof value === "object" ? (value === null ? 0 : numbers.get(JSON.stringify(value))!) : (value as Value),
  }));
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
