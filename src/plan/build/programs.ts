/**
 * XDP and tc programs at their points of a packet's way. A program is a chain's rules (netfilter/rule.ts) over the frame; what it says is
 * a place in RULE_DECISIONS.
 *
 *   program.ID.N() : i32           traced: the rules, else the policy
 *   program_rules.ID.N() : i32     0: no rule decides; a ChainResult
 *
 * k:net/core/dev.c bpf_prog_run_generic_xdp, sch_handle_ingress, sch_handle_egress; net/core/filter.c xdp_do_redirect, skb_do_redirect.
 */
import type { ChainId, Program } from "../../../dsl/chain-model.ts";
import { LinkResult } from "../../../runtime/abi/program.ts";
import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { HOOKS, type ProgramHook } from "../../../runtime/hooks.ts";
import { ETHERNET_HEADER_BYTES } from "../../../runtime/net/ethernet.ts";
import { type ProgramDecision, RULE_DECISIONS } from "../../../runtime/trace.ts";
import { DropReason } from "../../../runtime/verdict.ts";
import { leadsTo, reached, usesIpv4Options, usesTransport } from "../../netfilter/reach.ts";
import { programView } from "../../netfilter/view.ts";
import {
  add,
  block,
  call,
  type Expr,
  eq,
  eqz,
  gt,
  guard,
  leave,
  local,
  lt,
  ne,
  type Operand,
  or,
  type Proc,
  packet,
  ret,
  run,
  type Step,
  select,
  set,
  sub,
  tail,
  trace,
  when,
} from "../ir.ts";
import { type Context, callNet, drop, hasFlag, ifindexOf, KFREE_SKB, passHook, proc } from "./context.ts";
import { ethProto, isVlan, mostBytes, VLAN_HLEN } from "./ethernet.ts";
import { firstLink, linksUpTo } from "./links.ts";
import { chainContext } from "./netfilter/chain.ts";
import { listComment, listSteps } from "./netfilter/list.ts";
import { aheadOf } from "./netfilter/look_ahead.ts";
import { setPktinfo, setPktinfoPlain } from "./netfilter/pktinfo.ts";
import {
  hookData,
  hookIn,
  hookOut,
  link,
  lookedUp,
  macHeader,
  nfSkipEgress,
  protocol,
  redirectDevice,
} from "./netfilter/registers.ts";
import { ChainResult, PROGRAM_RESULT } from "./netfilter/rule.ts";
import { dev, l3, mac, Next, next, xmitRecursion } from "./skb.ts";
import { devHardStartXmit, XMIT_RECURSION_LIMIT } from "./xmit.ts";

const code = (decision: ProgramDecision): number => RULE_DECISIONS.indexOf(decision);
/** The proc that runs a program. */
export const programProcName = (context: Context, program: Program): string =>
  `${context.name("program")}.${program.id}`;

const result = local("result");
const decision = local("decision");
const target = local("target");
const type = local("type");

/** All programs of the namespace. */
export const programProcs = (context: Context): Proc[] => [
  ...context.net.netfilter.programs.flatMap((program) => procsOfProgram(context, program)),
  skbDoRedirect(context),
];

/** A program's own. */
const procsOfProgram = (context: Context, program: Program): Proc[] => [
  runProc(context, program),
  rulesProc(context, program),
];

/** The chains that a program leads to, itself left out. */
const chainsOfProgram = ({ net: { netfilter } }: Context, program: Program): ReturnType<typeof reached> =>
  reached(netfilter, leadsTo(netfilter, program.rules) as ChainId[]);

function rulesProc(context: Context, program: Program): Proc {
  const chains = chainContext(context, programView(program.hook));
  return proc(
    `${programProcName(context, program)}.rules`,
    { comment: `program ${program.name}, its rules${listComment(chains, program)}`, result: "i32" },
    [...listSteps(chains, program), ret(ChainResult.CONTINUE)],
  );
}

/** bpf_prog_run: a ProgramDecision. */
function runProc(context: Context, program: Program): Proc {
  const { id, hook, name, policy } = program;
  const xdp = hook === "xdp";
  const [accept, refuse] = [code(xdp ? "PASS" : "OK"), code(xdp ? "DROP" : "SHOT")];
  const said = { accept, drop: refuse } as const;
  const silent =
    policy === null
      ? code(xdp ? "PASS" : "UNSPEC")
      : policy.kind === "accept" || policy.kind === "drop"
        ? said[policy.kind]
        : policy.kind === "xdp" || policy.kind === "tc"
          ? code(policy.action)
          : null;
  if (silent === null) throw new RangeError(`policy ${policy?.kind} of a program`);
  const asks = usesTransport([program, ...chainsOfProgram(context, program)]);
  const body: Step[] = [
    trace(TraceEvent.program, [HOOKS.indexOf(hook), hook === "tc egress" ? hookOut : hookIn, id], name),
    ...(asks ? pktinfoOf(context, program) : []),
    ...optionsAt(context, program),
    set(result, call(`${programProcName(context, program)}.rules`, [])),
    set(decision, sub(result, PROGRAM_RESULT)),
    when(lt(result, PROGRAM_RESULT), [
      set(decision, silent),
      when(eq(result, ChainResult.ACCEPT), [set(decision, accept)]),
      when(eq(result, ChainResult.DROP), [set(decision, refuse)]),
    ]),
    trace(TraceEvent.program_end, [id, decision]),
    ret(decision),
  ];
  return proc(programProcName(context, program), { comment: `program ${name} on ${hook}`, result: "i32" }, body);
}

/** A frame that was looked up ahead is plain (netfilter/plain_frame.ts). */
function pktinfoOf(context: Context, program: Program): Step[] {
  const steps = setPktinfo(programView(program.hook));
  if (aheadOf(context, program) === null) return steps;
  const short = [...setPktinfoPlain([leave("pktinfo")]), leave("pktinfo")];
  return [block("pktinfo", [when(lookedUp, short), ...steps])];
}

const programsAt = ({ net }: Context, hook: ProgramHook): Program[] =>
  net.netfilter.programs.filter((program) => program.hook === hook).toSorted((a, b) => a.priority - b.priority);

/** Steps for each device that has programs at the hook, when it is the packet's. */
function onEachDevice(
  context: Context,
  hook: ProgramHook,
  ifindex: Expr,
  steps: (programs: Program[]) => Step[],
): Step[] {
  const programs = programsAt(context, hook);
  return [...new Set(programs.map(({ device }) => device))].map((device) =>
    when(eq(ifindex, device), steps(programs.filter((program) => program.device === device))),
  );
}

/** do_xdp: the frame at `mac`, with a guard of its Ethernet header, that `dev` has received from the wire. */
export function xdpHook(context: Context): Step[] {
  const judged = onEachDevice(context, "xdp", ifindexOf(dev), ([program]) => [
    ...ethernetHeader(),
    ...xdpRun(context, program),
  ]);
  return [passHook("xdp", ifindexOf(dev), 0), ...judged];
}

/** Of the frame at `mac` its protocol and where that header starts. */
export const ethernetHeader = (): Step[] => [
  set(l3, add(mac, ETHERNET_HEADER_BYTES)),
  set(type, packet(mac, 12, 2)),
  block("untagged", [
    when(eqz(isVlan(type)), [leave("untagged")]),
    guard(mac, ETHERNET_HEADER_BYTES + VLAN_HLEN + 2, [leave("untagged")]),
    set(type, packet(mac, 16, 2)),
    set(l3, add(mac, ETHERNET_HEADER_BYTES + VLAN_HLEN)),
  ]),
  set(protocol, type),
  ...ethProto,
];

/** @param otherwise first, when the program does not let the frame pass */
export function xdpRun(context: Context, program: Program, otherwise: readonly Step[] = []): Step[] {
  return [
    set(hookIn, ifindexOf(dev)),
    set(hookOut, 0),
    set(macHeader, 1),
    set(decision, call(programProcName(context, program), [])),
    when(ne(decision, code("PASS")), [
      ...otherwise,
      when(eq(decision, code("TX")), devHardStartXmit(dev)),
      when(eq(decision, code("REDIRECT")), xdpDoRedirect(context)),
      when(eq(decision, code("ABORTED")), drop(DropReason.XDP_ABORTED)),
      ...drop(DropReason.XDP),
    ]),
  ];
}

/** xdp_do_redirect, xdp_ok_fwd_dev */
const xdpDoRedirect = (context: Context): Step[] => [
  set(target, callNet(context, "dev_get_by_index", redirectDevice)),
  when(eqz(target), drop(DropReason.XDP)),
  when(or(eqz(hasFlag(target, "UP")), or(hasFlag(target, "LOOPBACK"), hasFlag(target, "VRF"))), drop(DropReason.XDP)),
  when(gt(sub(tail, mac), mostBytes(target)), drop(DropReason.XDP)),
  ...devHardStartXmit(target),
];

/** Chains that only programs lead to see the frame as those do. */
const optionsAt = (context: Context, program: Program): Step[] =>
  usesIpv4Options([program, ...chainsOfProgram(context, program)]) ? [set(hookData, l3)] : [];

/** sch_handle_ingress, sch_handle_egress: of the device with this ifindex. */
export function tcHook(context: Context, hook: TcHook, ifindex: Expr): Step[] {
  const ingress = hook === "tc ingress";
  const [input, output]: readonly Operand[] = ingress ? [ifindex, 0] : [0, ifindex];
  const device = [set(hookIn, input), set(hookOut, output)];
  const asks = (programs: readonly Program[]): Step[] => [
    ...programs.flatMap((program) => [
      when(link, askLinks(program.priority - 1)),
      set(decision, call(programProcName(context, program), [])),
      ...tcDecided(context, hook, [ret()]),
      when(ne(decision, code("UNSPEC")), [leave("classified")]),
    ]),
    when(link, askLinks()),
    leave("classified"),
  ];
  const judged = onEachDevice(context, hook, ifindex, asks);
  const others = when(link, [...(judged.length === 0 ? device : []), ...askLinks()]);
  return [
    passHook(hook, input, output),
    firstLink(context, hook, null),
    ...(judged.length === 0 ? [] : device),
    block("classified", [...judged, others]),
  ];
}

type TcHook = Exclude<ProgramHook, "xdp">;
type TcProgram = Program & { readonly hook: TcHook };
export const isTc = (program: Program): program is TcProgram => program.hook !== "xdp";

/** The links of priorities up to this one. */
const askLinks = (upto?: number): Step[] => [
  set(decision, linksUpTo(null, upto)),
  when(eq(decision, LinkResult.ENDED), [ret()]),
  when(eq(decision, LinkResult.OK), [leave("classified")]),
];

/** What follows when the decision ends the packet's stay; @param ended behind that */
const tcDecided = (context: Context, hook: TcHook, ended: readonly Step[]): Step[] => [
  when(eq(decision, code("SHOT")), [
    run(KFREE_SKB, [hook === "tc ingress" ? DropReason.TC_INGRESS : DropReason.TC_EGRESS]),
    ...ended,
  ]),
  when(eq(decision, code("REDIRECT")), [run(context.name("skb_do_redirect")), ...ended]),
];

/** The entry of a tc program's module: a LinkResult. */
export const tcEntry = (context: Context, program: TcProgram): Step[] => [
  set(decision, call(programProcName(context, program), [])),
  ...tcDecided(context, program.hook, [ret(LinkResult.ENDED)]),
  ret(select(eq(decision, code("UNSPEC")), LinkResult.NEXT, LinkResult.OK)),
];

/** skb_do_redirect: the other device has the packet to send, in the packet's next pass. */
function skbDoRedirect(context: Context): Proc {
  const body: Step[] = [
    set(target, callNet(context, "dev_get_by_index", redirectDevice)),
    when(or(eqz(target), eqz(macHeader)), drop(DropReason.NOT_SPECIFIED)),
    when(gt(xmitRecursion, XMIT_RECURSION_LIMIT), drop(DropReason.RECURSION)),
    set(xmitRecursion, add(xmitRecursion, 1)),
    set(dev, target),
    set(nfSkipEgress, 1),
    set(next, Next.DEV_QUEUE_XMIT),
    ret(),
  ];
  return proc(context.name("skb_do_redirect"), { comment: "skb_do_redirect (net/core/filter.c)" }, body);
}
