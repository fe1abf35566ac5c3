/**
 * An XDP program's module: the host calls it with a batch before the module that its frames go to.
 *
 *   process(batch, count, device)      frames 0 .. count-1 that the wire delivers (Entry.RECEIVE) to the device
 *   look_ahead.N(device, index)        of several frames what long lists of rules come to (netfilter/look_ahead.ts)
 *   xdp.N()                            one frame: left as it is (PASS), or judged, and its `entry` then Entry.JUDGED; of one that was looked up
 *                                      ahead all is known that its headers are asked for
 *
 * k:net/core/dev.c do_xdp_generic.
 */
import type { Program } from "../../../dsl/chain-model.ts";
import { EXPORTS } from "../../../runtime/abi/exports.ts";
import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { BATCH_HEADER, BATCH_HEADER_BYTES, RESULT_COLUMNS } from "../../../runtime/batch.ts";
import { ETHERNET_HEADER_BYTES } from "../../../runtime/net/ethernet.ts";
import { Entry } from "../../../runtime/verdict.ts";
import { AHEAD_BYTES, LANES, type SegmentLayout } from "../../netfilter/classifier/layout.ts";
import {
  add,
  and,
  block,
  eq,
  eqz,
  gt,
  guard,
  le,
  leave,
  load,
  local,
  mul,
  ne,
  type Proc,
  packet,
  repeat,
  ret,
  type Step,
  select,
  set,
  shl,
  sub,
  tail,
  trace,
  when,
} from "../ir.ts";
import {
  type Context,
  callNet,
  hasFlag,
  ifindexOf,
  ownPlace,
  passHook,
  proc,
  readColumn,
  runNet,
  writeColumn,
} from "./context.ts";
import { mostBytes } from "./ethernet.ts";
import { ofThread } from "./links.ts";
import { aheadOf, JUDGED, LOOK_AHEAD, lookAheadProc } from "./netfilter/look_ahead.ts";
import { lookedUp, protocol } from "./netfilter/registers.ts";
import { ethernetHeader, xdpRun } from "./programs.ts";
import { dev, l3, mac, row, SKB_REGS, slot, stride } from "./skb.ts";

/** The host's door, and what a frame meets behind it. */
export function xdpProcs(context: Context, program: Program): Proc[] {
  const ahead = aheadOf(context, program);
  return [
    processProc(context, ahead),
    ...(ahead === null ? [] : [lookAheadProc(context, program, ahead)]),
    frameProc(context, program, ahead),
  ];
}

const batch = local("batch");
const count = local("count");
const device = local("device");
const index = local("index");
const slotSize = local("slot_size");

/** So many frames further. */
const onward = (frames: number): Step[] => [
  set(index, add(index, frames)),
  set(row, add(row, 4 * frames)),
  set(slot, add(slot, mul(slotSize, frames))),
];

function processProc(context: Context, ahead: SegmentLayout | null): Proc {
  const others = [
    when(ne(readColumn("entry"), Entry.RECEIVE), [leave("frame")]),
    when(ne(readColumn("device"), device), [leave("frame")]),
  ];
  const body: Step[] = [
    ...SKB_REGS.map((reg) => set(reg, 0)),
    set(stride, shl(load("batch", 4, batch, BATCH_HEADER.capacity), 2)),
    set(slotSize, load("batch", 4, batch, BATCH_HEADER.slotSize)),
    set(slot, load("batch", 4, batch, BATCH_HEADER.slots)),
    set(row, add(batch, BATCH_HEADER_BYTES)),
    set(index, 0),
    set(records, 0),
    set(dev, callNet(context, "dev_get_by_index", device)),
    when(dev, [when(eqz(hasFlag(dev, "UP")), [set(dev, 0)])]),
    repeat(
      count,
      "packets",
      [
        ...(ahead === null ? [] : lookAhead(context, ahead)),
        block("frame", [
          ...(ahead === null ? [] : [when(eq(records, JUDGED), [...onward(LANES - 1), leave("frame")])]),
          ...(ahead === null ? others : [when(eqz(lookedUp), others)]),
          trace(TraceEvent.packet, [index]),
          runNet(context, "xdp"),
        ]),
        ...onward(1),
      ],
      "packets",
    ),
    ret(),
  ];
  const comment = "the frames that a device receives from the wire";
  return {
    ...proc(EXPORTS.process, { comment, params: [batch, count, device] }, body),
    exported: true,
    ...shared(context),
  };
}

/** Of the module that it is attached to such a program has the frame alone. */
const shared = (context: Context): Pick<Proc, "shared"> =>
  context.threads ? { shared: { reads: ofThread(context), sets: [] } } : {};

const records = local("records");

/** Of every LANES frames once, if so many are left. Those that are judged take one round. */
const lookAhead = (context: Context, { ahead }: SegmentLayout): Step[] => [
  when(eq(index, count), [leave("packets")]),
  when(eqz(and(index, LANES - 1)), [
    set(records, 0),
    when(le(add(index, LANES), count), [set(records, callNet(context, LOOK_AHEAD, device, index))]),
  ]),
  set(lookedUp, select(records, add(mul(and(index, LANES - 1), AHEAD_BYTES), ownPlace(context, ahead)), 0)),
];

/** What the device would not take is the packet path's to drop (receive.ts). */
function frameProc(context: Context, program: Program, ahead: SegmentLayout | null): Proc {
  const untaken = [ret()];
  const header = [when(hasFlag(dev, "VETH"), [when(gt(sub(tail, mac), mostBytes(dev)), untaken)]), ...ethernetHeader()];
  const plain = [set(l3, add(mac, ETHERNET_HEADER_BYTES)), set(protocol, packet(mac, 12, 2))];
  const body: Step[] = [
    when(eqz(dev), untaken),
    set(mac, readColumn("data")),
    set(tail, add(mac, readColumn("length"))),
    guard(mac, ETHERNET_HEADER_BYTES, untaken),
    ...(ahead === null ? header : [when(lookedUp, plain, header)]),
    passHook("xdp", ifindexOf(dev), 0),
    ...xdpRun(context, program, [
      ...RESULT_COLUMNS.map((column) => writeColumn(column, 0)),
      writeColumn("entry", Entry.JUDGED),
    ]),
    ret(),
  ];
  return proc(context.name("xdp"), { comment: "do_xdp_generic (net/core/dev.c)" }, body);
}
