/** What chains lead to, and what their rules do: so that nothing is compiled, nor done for a packet, that no rule needs. */
import type { Chain, ChainId, Expr, FilterRule, Netfilter, Program, Step } from "../../dsl/chain-model.ts";
import { programView, VIEWS, type View, viewOf } from "./view.ts";

/** The chains, and all that their rules and verdict maps lead to, in the order of ids. */
export function reached(netfilter: Netfilter, from: readonly ChainId[]): Chain[] {
  const ids = new Set(from);
  for (const id of ids) for (const next of leadsTo(netfilter, netfilter.chains[id].rules)) ids.add(next);
  return [...ids].sort((a, b) => a - b).map((id) => netfilter.chains[id]);
}

/** All chains that packets of a view come to. */
export const chainsOf = (netfilter: Netfilter, view: View): Chain[] =>
  reached(netfilter, [
    ...netfilter.hooks.filter((hook) => viewOf(hook) === view).flatMap((hook) => hook.chains),
    ...netfilter.programs
      .filter(({ hook }) => programView(hook) === view)
      .flatMap(({ rules }) => leadsTo(netfilter, rules)),
  ]);

/** All lists of rules, each once for every view that its packets come in. */
export const listsOf = (netfilter: Netfilter): { readonly list: Chain | Program; readonly view: View }[] =>
  VIEWS.flatMap((view) => [
    ...chainsOf(netfilter, view).map((list) => ({ list, view })),
    ...netfilter.programs.filter(({ hook }) => programView(hook) === view).map((list) => ({ list, view })),
  ]);

/** All chains that packets come to by hooks. */
export const reachedByHooks = (netfilter: Netfilter): Chain[] =>
  reached(
    netfilter,
    netfilter.hooks.flatMap(({ chains }) => chains),
  );

/** The chains that rules jump and go to. */
export function leadsTo({ sets }: Netfilter, rules: readonly Pick<FilterRule, "steps">[]): ChainId[] {
  const chains: ChainId[] = [];
  for (const { steps } of rules)
    for (const step of steps) {
      if (step.kind === "jump" || step.kind === "goto") chains.push(step.chain);
      if (step.kind !== "vmap") continue;
      for (const { value } of sets[step.map].elements)
        if (typeof value === "object" && value !== null && "chain" in value) chains.push(value.chain);
    }
  return chains;
}

/** What has rules: a chain, a program. */
type Rules = Pick<Chain, "rules">;

export const stepsOf = (chains: readonly Rules[]): Step[] =>
  chains.flatMap(({ rules }) => rules.flatMap(({ steps }) => steps));

/** An expression with all that it is made of. */
function* expressionsOf(e: Expr): Generator<Expr> {
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
      step.kind === "write option" ||
      [...expressionsOfStep(step)].some(
        (e) =>
          (e.kind === "payload" && isTransport(e.base)) ||
          (e.kind === "exthdr" && e.op === "tcp") ||
          (e.kind === "meta" && e.key === "l4proto") ||
          e.kind === "fib",
      ),
  );

const isTransport = (base: string): boolean => base === "transport" || base === "inner";

/** Does it change bytes of the packet? */
export const writesBytes = ({ kind }: Step): boolean => kind === "write payload" || kind === "write option";
export const writesPayload = (chains: readonly Rules[]): boolean => stepsOf(chains).some(writesBytes);

const uses = (chains: readonly Rules[], which: (e: Expr) => boolean): boolean =>
  stepsOf(chains).some((step) => [...expressionsOfStep(step)].some(which));

export const usesFib = (chains: readonly Rules[]): boolean => uses(chains, (e) => e.kind === "fib");
export const usesIpv4Options = (chains: readonly Rules[]): boolean =>
  uses(chains, (e) => e.kind === "exthdr" && e.op === "ipv4");

/** Do copies of frames leave by other devices? */
export const copiesFrames = (netfilter: Netfilter): boolean =>
  stepsOf(reachedByHooks(netfilter)).some(({ kind }) => kind === "dup");
