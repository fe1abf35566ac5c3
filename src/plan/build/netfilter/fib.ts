/**
 * `fib`: look-ups that a rule makes, of the packet's addresses in the routing tables. One proc for each kind of question that the
 * namespace's rules ask.
 * k:net/ipv4/netfilter/nft_fib_ipv4.c nft_fib4_eval, nft_fib4_eval_type; net/ipv4/fib_frontend.c inet_dev_addr_type; of IPv6 fib6.ts.
 *
 *   nft_fib4.QUESTION.N() : i32        an ifindex or RTN_*, 0: none
 *
 * The packet is on its way while it is asked for: flow, result and dst are afterwards what they were before.
 */
import type { Fib } from "../../../../dsl/chain-model.ts";
import { FIB_ALIAS, NEXT_HOP, NEXT_HOP_BYTES } from "../../../../runtime/abi/fib.ts";
import { LOOPBACK_IFINDEX } from "../../../../runtime/brand.ts";
import { HOOKS, type Hook } from "../../../../runtime/hooks.ts";
import { RouteTypeCode } from "../../../../runtime/net/route-types.ts";
import { expressionsOfStep, reachedByHooks, stepsOf } from "../../../netfilter/reach.ts";
import {
  add,
  and,
  type Expr,
  eq,
  eqz,
  expr,
  local,
  ne,
  or,
  type Proc,
  type Reg,
  repeat,
  ret,
  type Step,
  select,
  set,
  when,
} from "../../ir.ts";
import { type Context, callNet, field, hasFlag, ifindexOf, ifindexOrZero, proc } from "../context.ts";
import { typedEntry } from "../devinet.ts";
import { lookupKind } from "../fib_rules.ts";
import { flowi4 } from "../flow.ts";
import { HEADER, iphdr, isLbcast, isLocalMulticast, isMulticast, isZeronet } from "../in.ts";
import { l3mdevMaster } from "../l3mdev.ts";
import { dev, FLOW_REGS, mark, PacketType, pktType, RESULT_REGS, resAlias, resHop, resType } from "../skb.ts";
import { hookIn, hookNumber, hookOut } from "./registers.ts";

/** The look-up's proc. `check` (present) is the caller's. */
export const questionName = (family: 4 | 6, { result, address, mark: byMark, iif, oif }: Fib): string =>
  [
    `nft_fib${family}`,
    result,
    address,
    ...(byMark ? ["mark"] : []),
    ...(iif ? ["iif"] : []),
    ...(oif ? ["oif"] : []),
  ].join("_");

/** Every question once. */
export function questionsOf({ net: { netfilter } }: Context): Fib[] {
  const asked = stepsOf(reachedByHooks(netfilter))
    .flatMap((step) => [...expressionsOfStep(step)])
    .filter((e) => e.kind === "fib");
  return [...new Map(asked.map((fib) => [questionName(4, fib), fib])).values()];
}

export const fib4Procs = (context: Context): Proc[] =>
  questionsOf(context).map((question) => fib4Proc(context, question));

/** Steps with which these registers keep their values. `keep` sets, `restore` sets back. */
export function kept(regs: readonly Reg[]): { readonly keep: Step[]; readonly restore: Step[] } {
  const pairs = regs.map((reg) => [reg, local(`kept_${reg.name}`, reg.type)] as const);
  return {
    keep: pairs.map(([reg, copy]) => set(copy, reg)),
    restore: pairs.map(([reg, copy]) => set(reg, copy)),
  };
}

export const atHook = (...hooks: Hook[]): Expr => hooks.map((hook) => eq(hookNumber, HOOKS.indexOf(hook))).reduce(or);

/** NF_INET_PRE_ROUTING, whose number NF_NETDEV_INGRESS has too. */
export const atPrerouting = (): Expr => atHook("prerouting", "netdev ingress");

const answer = local("answer");
/** DEVICEs that the question names, and that the hook has; 0: none. */
const asked = local("asked");
const input = local("in");
const hop = local("hop");
const table = local("table");
const entry = local("entry");
const address = local("address");
const vrf = local("vrf");

/** Sets `reg` to the DEVICE of an ifindex, 0 for none. */
export const deviceOf = (context: Context, reg: Reg, ifindex: Reg): Step =>
  set(reg, callNet(context, "dev_get_by_index", ifindex));

/** The device that the question names. */
export const askedDevice = (context: Context, { iif, oif }: Fib, reg: Reg): Step =>
  iif ? deviceOf(context, reg, hookIn) : oif ? deviceOf(context, reg, hookOut) : set(reg, 0);

/** nft_fib_is_loopback */
export const isLoopback = (input: Reg): Expr =>
  or(eq(pktType, PacketType.LOOPBACK), select(input, ne(hasFlag(input, "LOOPBACK"), 0), 0));

function fib4Proc(context: Context, question: Fib): Proc {
  const type = question.result === "type";
  const body = type ? evalType(context, question) : evalOif(context, question);
  const comment = `${type ? "nft_fib4_eval_type" : "nft_fib4_eval"} (net/ipv4/netfilter/nft_fib_ipv4.c)`;
  return proc(context.name(questionName(4, question)), { comment, result: "i32", requires: HEADER }, body);
}

/** inet_dev_addr_type: with a device, only what is reached by it has a type. */
function evalType(context: Context, question: Fib): Step[] {
  const { keep, restore } = kept(RESULT_REGS);
  const byOther = ne(field(field(resAlias, FIB_ALIAS.nextHops), NEXT_HOP.device), asked);
  return [
    set(address, question.address === "daddr" ? iphdr.daddr : iphdr.saddr),
    askedDevice(context, question, asked),
    set(vrf, 0),
    when(asked, [set(vrf, l3mdevMaster(asked))]),
    ...typedEntry(context, { entry, table, address, vrf }),
    ...keep,
    set(answer, callNet(context, "fib_table_lookup", entry, address, 0, 0)),
    set(answer, select(answer, RouteTypeCode.unicast, resType)),
    when(and(ne(asked, 0), ne(answer, RouteTypeCode.unicast)), [when(byOther, [set(answer, RouteTypeCode.unicast)])]),
    ...restore,
    ret(answer),
  ];
}

function evalOif(context: Context, question: Fib): Step[] {
  const { keep, restore } = kept([...FLOW_REGS, ...RESULT_REGS]);
  const { saddr, daddr, tos } = iphdr;
  const forwarded = question.address === "saddr" && question.iif;
  const [from, to] = question.address === "daddr" ? [saddr, daddr] : [daddr, saddr];
  const usable = eqz(or(isMulticast(from), or(isLbcast(from), isZeronet(from))));
  return [
    deviceOf(context, input, hookIn),
    when(and(atPrerouting(), isLoopback(input)), [ret(hookIn)]),
    when(and(isZeronet(saddr), or(isLbcast(daddr), isLocalMulticast(daddr))), [ret(ifindexOrZero(dev))]),
    askedDevice(context, question, asked),
    ...keep,
    ...flowi4({
      iif: forwarded ? select(atHook("forward"), hookOut, LOOPBACK_IFINDEX) : LOOPBACK_IFINDEX,
      l3mdev: select(input, l3mdevMaster(input), 0),
      mark: question.mark ? mark : 0,
      tos: and(tos, 0xfc),
      saddr: select(usable, from, 0),
      daddr: to,
    }),
    set(answer, 0),
    when(eqz(callNet(context, "fib_lookup", lookupKind("nft_fib"))), [
      when(ne(resType, RouteTypeCode.local), question.iif || question.oif ? usesAsked : [set(answer, outDevice)]),
    ]),
    ...restore,
    ret(answer),
  ];
}

const outDevice = ifindexOf(field(resHop, NEXT_HOP.device));

/** fib_info_nh_uses_dev; a hook without the device that is named is asked without it. */
const usesAsked: Step[] = [
  when(
    asked,
    [
      set(hop, field(resAlias, FIB_ALIAS.nextHops)),
      repeat(
        field(resAlias, FIB_ALIAS.hopCount),
        "hops",
        [
          when(or(eq(field(hop, NEXT_HOP.device), asked), eq(l3mdevMaster(field(hop, NEXT_HOP.device)), asked)), [
            set(answer, ifindexOf(asked)),
          ]),
          set(hop, add(hop, NEXT_HOP_BYTES)),
        ],
        "hops",
      ),
    ],
    [set(answer, outDevice)],
  ),
];

/** The value of the expression: of `check`, 1 or 0. */
export const storeResult = ({ present }: Fib, value: Expr): Expr => (present ? ne(value, 0) : expr(value));
