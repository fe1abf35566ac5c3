/**
 * A packet passes a hook: the base chains attached there judge it, one after the other, until one ends it.
 * k:net/netfilter/core.c nf_hook_slow; include/linux/netfilter_netdev.h nf_hook_ingress, nf_hook_egress.
 *
 *   nf_hook.HOOK.VIEW.N(in, out) : i32      1: the packet has got its verdict
 *
 * A hook without chains is passed: the trace shows it, and programs that are attached (links.ts) are asked.
 */
import type { ChainHook, ChainId, HookChains } from "../../../../dsl/chain-model.ts";
import { TraceEvent } from "../../../../runtime/abi/trace.ts";
import { HOOKS } from "../../../../runtime/hooks.ts";
import { DropReason } from "../../../../runtime/verdict.ts";
import { SCRATCH_BYTES } from "../../../netfilter/layout.ts";
import { reached, stepsOf, usesFib, usesIpv4Options, usesTransport, writesPayload } from "../../../netfilter/reach.ts";
import { isDeviceView, type View, viewOf } from "../../../netfilter/view.ts";
import {
  call,
  eq,
  ge,
  local,
  lt,
  ne,
  type Operand,
  type Proc,
  type Reg,
  ret,
  run,
  type Step,
  select,
  set,
  sub,
  tail,
  trace,
  when,
} from "../../ir.ts";
import { type Context, callNet, KFREE_SKB, passHook, proc, thisWorker } from "../context.ts";
import { type Family, firstLink, linksUpTo } from "../links.ts";
import { l3, mac, mark, pktType } from "../skb.ts";
import { chainContext, requiresOf } from "./chain.ts";
import { COPY_BYTES } from "./copy_bytes.ts";
import { nfFwdNetdevEgress } from "./nf_dup_netdev.ts";
import { routeTableHook } from "./nft_chain_route.ts";
import { setPktinfo } from "./pktinfo.ts";
import { hookData, hookIn, hookNumber, hookOut, link, priority } from "./registers.ts";
import { nftReject, REJECT, rejects, tellSender } from "./reject.ts";
import { ChainResult } from "./rule.ts";

const attached = ({ net }: Context, hook: ChainHook, family: Family): HookChains[] =>
  net.netfilter.hooks.filter((one) => one.hook === hook && one.family === family && one.chains.length > 0);

const procName = (hook: ChainHook, view: View): string => `nf_hook.${hook.replace(" ", "_")}.${view}`;

/** The proc that runs the chains of a hook. */
export const hookProcName = (context: Context, { hook, family }: HookChains): string =>
  context.name(procName(hook, viewOf({ hook, family })));

/**
 * Passes a hook, with ifindexes.
 * @param ended what follows for a packet that a chain ended
 */
export function nfHook(
  context: Context,
  hook: ChainHook,
  family: Family,
  [input, output]: readonly [Operand, Operand],
  ended: readonly Step[] = [ret()],
): Step[] {
  const passed = passHook(hook, input, output);
  if (attached(context, hook, family).length === 0)
    return [
      passed,
      firstLink(context, hook, family),
      when(link, [set(hookIn, input), set(hookOut, output), when(linksUpTo(family), ended)]),
    ];
  return [passed, when(callNet(context, procName(hook, viewOf({ hook, family })), input, output), ended)];
}

/** NF_HOOK for a copy of the packet: what chains change of it is put back. Not zero: the copy goes on. */
export function nfHookClone(context: Context, family: 4 | 6, output: Operand): { steps: Step[]; accepted: Reg } {
  const accepted = local("copy_goes_on");
  const runs = callNet(context, cloneName(viewOf({ hook: CLONED, family })), 0, output);
  return { steps: [passHook(CLONED, 0, output), set(accepted, runs)], accepted };
}

const CLONED = "postrouting";
const cloneName = (view: View): string => `${procName(CLONED, view)}.clone`;

export const result = local("result");
const input = local("in");
const output = local("out");

/** All hooks of the namespace that have chains. */
export function hookProcs(context: Context): Proc[] {
  const lists = context.net.netfilter.hooks.filter(({ chains }) => chains.length > 0);
  const names = new Set(lists.map((one) => procName(one.hook, viewOf(one))));
  return [
    ...[...names].map((name) => {
      const own = lists.filter((one) => procName(one.hook, viewOf(one)) === name);
      return hookProc(context, name, own);
    }),
    ...([4, 6] as const).map((family) => cloneProc(context, family)),
  ];
}

function hookProc(context: Context, name: string, lists: readonly HookChains[]): Proc {
  const [{ hook, family }] = lists;
  const view = viewOf(lists[0]);
  const device = hook === "netdev egress" ? hookOut : hookIn;
  const body = lists.flatMap((list) => {
    const steps = list.chains.flatMap((chain) => [
      when(link, [when(linksUpTo(family, priorityOf(context, chain)), [ret(1)])]),
      ...judge(context, view, hook, chain),
    ]);
    return isDeviceView(view) ? [when(eq(device, list.device!), steps)] : steps;
  });
  const comment = `nf_hook: ${hook} (include/linux/netfilter.h)`;
  return proc(context.name(name), { comment, params: [input, output], result: "i32", requires: requiresOf(view) }, [
    set(hookIn, input),
    set(hookOut, output),
    firstLink(context, hook, family),
    ...body,
    when(link, [ret(linksUpTo(family))]),
    ret(0),
  ]);
}

const priorityOf = ({ net: { netfilter } }: Context, chain: ChainId): number => netfilter.chains[chain].base!.priority;

/** A base chain judges the packet, and ends the proc with 1 when that has got its verdict. */
export function judge(context: Context, view: View, hook: ChainHook, chain: ChainId): Step[] {
  const { netfilter } = context.net;
  const own = reached(netfilter, [chain]);
  const told = hook === "output" || hook === "postrouting" ? tellSender : [];
  const dropped: Step[] = [...told, run(KFREE_SKB, [DropReason.NETFILTER_DROP]), ret(1)];
  const rejected: Step[] = [when(nftReject(context, view, result), [...told, ret(1)]), ...dropped];
  const runs = doChain(context, view, chain);
  const isRoute = netfilter.chains[chain].base?.type === "route";
  return [
    ...(usesFib(own) ? [set(hookNumber, HOOKS.indexOf(hook))] : []),
    ...(usesIpv4Options(own) ? [set(hookData, view === "egress" ? mac : l3)] : []),
    ...(isRoute
      ? routeTableHook(context, view === "ip6" ? 6 : 4, runs, eq(result, ChainResult.ACCEPT), dropped)
      : runs),
    ...(stepsOf(own).some(({ kind }) => kind === "fwd")
      ? [when(eq(result, ChainResult.FWD), nfFwdNetdevEgress(context))]
      : []),
    ...(rejects(context, chain) ? [when(ge(result, REJECT), rejected)] : []),
    when(eq(result, ChainResult.DROP), dropped),
  ];
}

/** nft_do_chain: what it says is left in `result`. */
export function doChain(context: Context, view: View, chain: ChainId): Step[] {
  const { netfilter } = context.net;
  const { name } = netfilter.chains[chain];
  return [
    ...(usesTransport(reached(netfilter, [chain])) ? setPktinfo(view) : []),
    trace(TraceEvent.nft_chain, [chain], name),
    set(result, call(chainContext(context, view).chainProc(chain), [])),
  ];
}

/** 1 when all chains accept the copy; nothing else of it is noted. */
function cloneProc(context: Context, family: 4 | 6): Proc {
  const view = viewOf({ hook: CLONED, family });
  const chains = attached(context, CLONED, family).flatMap((one) => one.chains);
  const saved = [mark, priority, pktType].map((reg) => [reg, local(`saved_${reg.name}`)] as const);
  const scratch = thisWorker(context, context.layout.netfilter.scratch);
  const bytes = writesPayload(reached(context.net.netfilter, chains));
  // No header stands behind as many bytes as the scratch memory holds.
  const behind = sub(tail, l3);
  const saves = select(lt(behind, SCRATCH_BYTES), behind, SCRATCH_BYTES);
  const restore = [
    ...saved.map(([reg, before]) => set(reg, before)),
    ...(bytes ? [run(COPY_BYTES, [scratch, l3, saves])] : []),
  ];
  const refused = [...restore, ret(0)];
  const body = chains.flatMap((chain) => [
    when(link, [when(linksUpTo(family, priorityOf(context, chain), 1), refused)]),
    ...doChain(context, view, chain),
    when(ne(result, ChainResult.ACCEPT), refused),
  ]);
  const comment = "nf_hook for the copy of a multicast (ip_mc_output, ip6_finish_output2)";
  const options = { comment, params: [input, output], result: "i32" as const, requires: requiresOf(view) };
  return proc(context.name(cloneName(view)), options, [
    ...saved.map(([reg, before]) => set(before, reg)),
    ...(bytes ? [run(COPY_BYTES, [l3, scratch, saves])] : []),
    set(hookIn, input),
    set(hookOut, output),
    firstLink(context, CLONED, family),
    ...body,
    when(link, [when(linksUpTo(family, undefined, 1), refused)]),
    ...restore,
    ret(1),
  ]);
}
