/**
 * Programs attached while packets flow: modules of their own (src/program.ts), whose entries stand in the module's table. Where a
 * namespace has some at a point, it keeps a list in memory (LINK); a point without any costs a load and a test.
 *
 *   links_KIND(upto, copy) : i32       the programs from `link` on with a priority of at most `upto`, one after the other: a LinkResult
 *   program_KIND(place, copy) : i32    one of them, through the table
 *
 * KIND is what is known of the packet: ip, ip6 (its header), frame. Compiled-in chains and programs run between the links, by
 * priority; whoever is attached later comes before equals at netfilter's hooks (nf_hook_entries_grow), behind them at tc (tcx).
 */
import { LINK, linkPoint, MOST_LINKS } from "../../../runtime/abi/links.ts";
import { NET } from "../../../runtime/abi/net.ts";
import { LinkResult, PROGRAM_REGISTERS } from "../../../runtime/abi/program.ts";
import { TraceEvent } from "../../../runtime/abi/trace.ts";
import type { Hook } from "../../../runtime/hooks.ts";
import {
  and,
  binary,
  block,
  call,
  type Expr,
  eq,
  eqz,
  leave,
  local,
  type Operand,
  or,
  type Proc,
  type Reg,
  repeat,
  ret,
  type SharedRegisters,
  type Step,
  set,
  skbReg,
  trace,
  when,
} from "../ir.ts";
import { type Context, field, proc } from "./context.ts";
import { HEADER } from "./in.ts";
import { HEADER6 } from "./ipv6/in6.ts";
import { hookIn, hookOut, link } from "./netfilter/registers.ts";
import { area, own } from "./skb.ts";

const registers = (names: readonly string[]): Reg[] => names.map((name) => skbReg(name));
/** What a program's module and the one that it is attached to have in common of the packet in flight. */
export const SHARED: SharedRegisters = {
  reads: registers([...PROGRAM_REGISTERS.reads, ...PROGRAM_REGISTERS.sets]),
  sets: registers(PROGRAM_REGISTERS.sets),
};

/** Of a program for several threads, what the host gives it besides. */
export const ofThread = ({ threads }: Context): readonly Reg[] => (threads ? [own, area] : []);

/** The packets of a hook: of an IP version, or all frames of a device. */
export type Family = 4 | 6 | null;
const KINDS = [4, 6, null] as const;
const kind = (family: Family): string => (family === null ? "frame" : family === 4 ? "ip" : "ip6");
/** What a program may take for granted of the packet. */
export const requiresAt = (family: Family): Proc["requires"] =>
  family === null ? [] : family === 4 ? HEADER : HEADER6;

const HIGHEST_PRIORITY = 0x7fffffff;

/** Takes the list of a point. Where it is empty, `link` is 0. */
export const firstLink = ({ layout }: Context, hook: Hook, family: Family): Step =>
  set(link, field(layout.offset, NET.links + 4 * linkPoint(hook, family)));

/**
 * The links of priorities up to this one, if there are any: a LinkResult.
 * @param copy not 0: the packet is a copy, of which nothing is noted; it does not go on when the result is not NEXT
 */
export const linksUpTo = (family: Family, upto: Operand = HIGHEST_PRIORITY, copy: Operand = 0): Expr =>
  call(`links_${kind(family)}`, [upto, copy]);

/** Is any program attached at these points? */
export const linkedAt = ({ layout }: Context, points: readonly (readonly [Hook, Family])[]): Expr =>
  and(
    field(layout.offset, NET.linked),
    points.reduce((bits, [hook, family]) => bits | (1 << linkPoint(hook, family)), 0),
  );

const place = local("place");
const copy = local("copy");
const upto = local("upto");
const at = local("at");
const result = local("result");
const device = local("device");

export const linkProcs = (): Proc[] => KINDS.flatMap((family) => [walkProc(family), externProc(family)]);

function walkProc(family: Family): Proc {
  const passes = [hookIn, hookOut].map((reg) => eq(device, reg)).reduce(or);
  const body: Step[] = [
    repeat(
      MOST_LINKS,
      "links",
      [
        when(eqz(link), [ret(LinkResult.NEXT)]),
        when(binary("gt_s", field(link, LINK.priority), upto), [ret(LinkResult.NEXT)]),
        set(at, link),
        set(link, field(at, LINK.next)),
        block("asked", [
          ...(family === null ? [set(device, field(at, LINK.device)), when(eqz(passes), [leave("asked")])] : []),
          trace(TraceEvent.link, [field(at, LINK.id)]),
          set(result, call(externName(family), [field(at, LINK.place), copy])),
          when(result, [ret(result)]),
        ]),
      ],
      "links",
    ),
    ret(LinkResult.NEXT),
  ];
  const comment = "programs that are attached (runtime/links/links.ts)";
  const options = { comment, params: [upto, copy], result: "i32" as const, requires: requiresAt(family) };
  return proc(`links_${kind(family)}`, options, body);
}

const externName = (family: Family): string => `program_${kind(family)}`;

const externProc = (family: Family): Proc => ({
  ...proc(
    externName(family),
    {
      comment: "a program's module",
      params: [place, copy],
      result: "i32",
      requires: requiresAt(family),
    },
    [],
  ),
  shared: SHARED,
});
