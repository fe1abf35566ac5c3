/** What chains lead to, and what their rules do: so that nothing is compiled, nor done for a packet, that no rule needs. */
import type { Chain, ChainId, Expr, Netfilter, Step } from "../../dsl/chain-model.ts";

/** The chains, and all that their rules and verdict maps lead to, in the order of ids. */
export function reached({ chains, sets }: Netfilter, from: readonly ChainId[]): Chain[] {
  const ids = new Set(from);
  for (const id of ids)
    for (const step of chains[id].rules.flatMap(({ steps }) => steps)) {
      if (step.kind === "jump" || step.kind === "goto") ids.add(step.chain);
      if (step.kind !== "vmap") continue;
      for (const { value } of sets[step.map].elements)
        if (typeof value === "object" && value !== null && "chain" in value) ids.add(value.chain);
    }
  return [...ids].sort((a, b) => a - b).map((id) => chains[id]);
}

export const stepsOf = (chains: readonly Chain[]): Step[] =>
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
export const usesTransport = (chains: readonly Chain[]): boolean =>
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

export const writesPayload = (chains: readonly Chain[]): boolean =>
  stepsOf(chains).some((step) => step.kind === "write payload");

/** Does the chain hold what is run by the reference alone: copies, other devices, look-ups, IPv4 options, routing anew? */
export const referenceOnly = (chain: Chain): boolean =>
  chain.base?.type === "route" ||
  stepsOf([chain]).some(
    (step) =>
      ["fwd", "dup"].includes(step.kind) ||
      [...expressionsOfStep(step)].some((e) => e.kind === "fib" || (e.kind === "exthdr" && e.op === "ipv4")),
  );

/** Can a packet leave with another mark than it came with? */
export const setsMark = ({ chains }: Netfilter): boolean =>
  stepsOf(chains).some((step) => step.kind === "set meta" && step.key === "mark");
