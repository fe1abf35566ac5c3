/**
 * Chains and hooks as procs.
 *
 *   nf_hook.N.HOOK.VIEW(in, out) : i32     the base chains of a hook, one after the other; 1: the packet has got its verdict
 *   chain.N.ID.VIEW() : i32                 a ChainResult; jumps are calls, which the checker has found to form no circle
 *   set.N.ID(key) : i32                     sets.ts
 *
 * Only what a hook leads to is built; a namespace without chains has none of them.
 */
import type { Chain, ChainId } from "../../../../dsl/chain-model.ts";
import { chainsOf } from "../../../netfilter/reach.ts";
import { VIEWS, type View } from "../../../netfilter/view.ts";
import type { Proc } from "../../ir.ts";
import { type Context, ownInMemory, proc } from "../context.ts";
import { HEADER } from "../in.ts";
import { HEADER6 } from "../ipv6/in6.ts";
import type { ChainContext } from "./code.ts";
import { listComment, listSteps } from "./list.ts";
import { chainEnd } from "./rule.ts";
import { hasProc, setProc } from "./sets.ts";

export const requiresOf = (view: View): Proc["requires"] => (view === "ip" ? HEADER : view === "ip6" ? HEADER6 : []);

export function chainContext(context: Context, view: View): ChainContext {
  return {
    context,
    view,
    layout: context.layout.netfilter,
    chainProc: (chain: ChainId) => `${context.name(`chain`)}.${chain}.${view}`,
    setProc: (set) => `${context.name("set")}.${set.id}`,
  };
}

function chainProc(chains: ChainContext, chain: Chain): Proc {
  const { base } = chain;
  const how = base === null ? "" : `, ${base.hook} priority ${base.priority}`;
  return proc(
    chains.chainProc(chain.id),
    {
      comment: `chain ${chain.name}${how}${listComment(chains, chain)}`,
      result: "i32",
      requires: requiresOf(chains.view),
    },
    [...listSteps(chains, chain), ...chainEnd(chain)],
  );
}

/** Every proc of the namespace's chains; the hooks' come with hook.ts. */
export function chainProcs(context: Context): Proc[] {
  const chains = VIEWS.flatMap((view) => {
    const own = chainContext(context, view);
    return chainsOf(context.net.netfilter, view).map((chain) => chainProc(own, chain));
  });
  const { setProc: nameOf } = chainContext(context, "ip");
  const probe = ownInMemory(context, context.layout.netfilter.probe);
  const sets = context.layout.netfilter.sets.filter(hasProc).map((set) => setProc(nameOf(set.set), set, probe));
  return [...chains, ...sets];
}
