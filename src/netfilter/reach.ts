/** What chains lead to, and what their rules do: so that nothing is compiled, nor done for a packet, that no rule needs. */
import type { Chain, ChainId, Expr, FilterRule, Netfilter, Step } from "../../dsl/chain-model.ts";

/** The chains, and all that their rules and verdict maps lead to, in the order of ids. */
export function reached(netfilter: Netfilter, from: readonly ChainId[]): Chain[] {
  const ids = new Set(from);
  for (const id of ids) for (const next of leadsTo(netfilter, netfilter.chains[id].rules)) ids.add(next);
  return [...ids].sort((a, b) => a - b).map((id) => netfilter.chains[id]);
}

/** All chains that packets come to by hooks. */
export const reachedByHooks = (netfilter: Netfilter): Chain[] =>
  reached(
    netfilter,
    netfilter.hooks.flatMap(({ chains }) => chains),
  );

/** The chains that rules jump and go to. */
export function leadsTo({ sets }: Netfilter, rules: readonly FilterRule[]): ChainId[] {
  return rules
    .flatMap(({ steps }) => steps)
    .flatMap((step): ChainId[] => {
      if (step.kind === "jump" || step.kind === "goto") return [step.chain];
      if (step.kind !== "vmap") return [];
      return sets[step.map].elements.flatMap(({ value }) =>
        typeof value === "object" && value !== null && "chain" in value ? [value.chain] : [],
      );
    });
}

/** What has rules: a chain, a program. */
type Rules = Pick<Chain, "rules">;

export const stepsOf = (chains: readonly Rules[]): Step[] =>
  chains.flatMap(({ rules }) => rules.flatMap(({ steps }) => steps));

/** An expression with all that it is made of. */
export function* expressionsOf(e: Expr): Generator<Expr> {
  yield e;
  if (e.kind === "bitwise" || e.kind === "shift") yield* expressionsOf(e.operand);
  if (e.kind === "map") for (const part of e.key) yield* expressionsOf(part);
}

/** Every expression of a step. */
export function* expressionsOfStep(step: Step): Generator<Expr> {
  const roots =
    "left" in step
      ? [step.left]
      : "key" in step && typeof step.key !== "string"
        ? step.key
        : "value" in step
          ? [step.value]
          : "device" in step
            ? [step.device]
            : [];
  for (const root of roots) yield* expressionsOf(root);
}

/** Does a rule ask for the L4 protocol, or for what stands behind the IP header? */
export const usesTransport = (chains: readonly Rules[]): boolean =>
  stepsOf(chains).some(
    (step) =>
      (step.kind === "write payload" && (step.pseudo || isTransport(step.base))) ||
      [...expressionsOfStep(step)].some(
        (e) =>
          (e.kind === "payload" && isTransport(e.base)) ||
          (e.kind === "exthdr" && e.op === "tcp") ||
          (e.kind === "meta" && e.key === "l4proto") ||
          e.kind === "fib",
      ),
  );

const isTransport = (base: string): boolean => base === "transport" || base === "inner";

export const writesPayload = (chains: readonly Rules[]): boolean =>
  stepsOf(chains).some((step) => step.kind === "write payload");

const uses = (chains: readonly Rules[], which: (e: Expr) => boolean): boolean =>
  stepsOf(chains).some((step) => [...expressionsOfStep(step)].some(which));

export const usesFib = (chains: readonly Rules[]): boolean => uses(chains, (e) => e.kind === "fib");
export const usesIpv4Options = (chains: readonly Rules[]): boolean =>
  uses(chains, (e) => e.kind === "exthdr" && e.op === "ipv4");

/** Do copies of frames leave by other devices? */
export const copiesFrames = (netfilter: Netfilter): boolean =>
  stepsOf(reachedByHooks(netfilter)).some(({ kind }) => kind === "dup");
