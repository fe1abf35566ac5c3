/**
 * A program, or a base chain, as a plan of its own over the memory of the module that it is attached to.
 *
 *   xdp            xdp_module.ts
 *   a tc program   frame(copy) : i32               a LinkResult (runtime/abi/program.ts), called through that module's table (links.ts)
 *   a base chain   ip(copy), ip6(copy), frame(copy) : i32      one for each of the families whose packets it sees
 *
 * `copy` is not 0 for the copy of a multicast at postrouting: nothing is noted of it, and it goes on when the result is NEXT.
 */
import type { Chain, HookChains, Netfilter, Program } from "../../../dsl/chain-model.ts";
import type { Model } from "../../../dsl/model.ts";
import { LinkResult, programEntry } from "../../../runtime/abi/program.ts";
import type { Layout } from "../../layout.ts";
import type { NetfilterLayout } from "../../netfilter/layout.ts";
import { viewOf } from "../../netfilter/view.ts";
import { local, ne, type Plan, type Proc, ret, type Step, set, when } from "../ir.ts";
import { unused } from "../passes/unused.ts";
import { regKey } from "../visit.ts";
import { atomicProcs } from "./atomic.ts";
import { type Context, contextOf, proc } from "./context.ts";
import { namespaceProcs, sharedProcs } from "./index.ts";
import { type Family, ofThread, requiresAt, SHARED } from "./links.ts";
import { doChain, judge, result } from "./netfilter/hook.ts";
import { ChainResult } from "./netfilter/rule.ts";
import { isTc, tcEntry } from "./programs.ts";
import { SKB_REGS } from "./skb.ts";
import { xdpProcs } from "./xdp_module.ts";

export type Attachable =
  | { readonly kind: "program"; readonly program: Program }
  /** @param hooks its own, one for each family */
  | { readonly kind: "chain"; readonly chain: Chain; readonly hooks: readonly HookChains[] };

/** Where packets come to nothing but this. */
export const attachedAlone = (what: Attachable): Pick<Netfilter, "hooks" | "programs"> =>
  what.kind === "chain" ? { hooks: what.hooks, programs: [] } : { hooks: [], programs: [what.program] };

/** @param state where the program's counters, limits and sets are, counted from the start of its own state; @param threads several work in it */
export function buildProgramPlan(
  model: Model,
  layout: Layout,
  net: number,
  what: Attachable,
  state: NetfilterLayout,
  threads = false,
): Plan {
  const whole = contextOf(model, layout, net, { threads });
  const context: Context = {
    ...whole,
    net: { ...whole.net, netfilter: { ...whole.net.netfilter, ...attachedAlone(what) } },
    layout: { ...whole.layout, netfilter: state },
  };
  const procs = [
    ...entriesOf(context, what),
    ...namespaceProcs(context),
    ...sharedProcs(layout),
    ...(threads ? atomicProcs() : []),
  ];
  return unused({ procs, skb: [...SKB_REGS, ...ofThread(context)] });
}

function entriesOf(context: Context, what: Attachable): Proc[] {
  if (what.kind === "chain") return what.hooks.map((hook) => chainEntry(context, what.chain, hook));
  const { program } = what;
  return isTc(program)
    ? [entry(context, null, `${program.name} on ${program.hook}`, tcEntry(context, program))]
    : xdpProcs(context, program);
}

const copy = local("copy");

function chainEntry(context: Context, { id, name }: Chain, { hook, family }: HookChains): Proc {
  const view = viewOf({ hook, family });
  const ofCopy = [...doChain(context, view, id), ret(ne(result, ChainResult.ACCEPT))];
  return entry(context, family, `${name}, ${hook}`, [
    ...(hook === "postrouting" ? [when(copy, ofCopy)] : []),
    ...judge(context, view, hook, id),
    ret(LinkResult.NEXT),
  ]);
}

const isShared = new Set(SHARED.reads.map(regKey));
/** No register is read before it is set, even where only the packet's way tells that it is. */
const ownRegisters = SKB_REGS.filter((reg) => !isShared.has(regKey(reg))).map((reg) => set(reg, 0));

const entry = (context: Context, family: Family, comment: string, body: readonly Step[]): Proc => ({
  ...proc(programEntry(family), { comment, params: [copy], result: "i32", requires: requiresAt(family) }, [
    ...ownRegisters,
    ...body,
  ]),
  exported: true,
  shared: { ...SHARED, reads: [...SHARED.reads, ...ofThread(context)] },
});
