/**
 * An XDP program's module: the host calls it with a batch before the module that its frames go to.
 *
 *   process(batch, count, device)      frames 0 .. count-1 that the wire delivers (Entry.RECEIVE) to the device
 *   xdp.N()                            one frame: left as it is (PASS), or judged, and its `entry` then Entry.JUDGED
 *
 * k:net/core/dev.c do_xdp_generic.
 */
import type { Program } from "../../../dsl/chain-model.ts";
import { DEVICE, EXPORTS, TraceEvent } from "../../../runtime/abi.ts";
import { BATCH_HEADER, BATCH_HEADER_BYTES, RESULT_COLUMNS } from "../../../runtime/batch.ts";
import { ETHERNET_HEADER_BYTES } from "../../../runtime/net/ethernet.ts";
import { Entry } from "../../../runtime/verdict.ts";
import {
  add,
  block,
  eqz,
  gt,
  guard,
  leave,
  load,
  local,
  ne,
  type Proc,
  repeat,
  ret,
  type Step,
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
  field,
  hasFlag,
  ifindexOf,
  passHook,
  proc,
  readColumn,
  runNet,
  writeColumn,
} from "./context.ts";
import { VLAN_HLEN } from "./ethernet.ts";
import { xdpRun } from "./programs.ts";
import { dev, mac, row, SKB_REGS, slot, stride } from "./skb.ts";

/** The host's door, and what a frame meets behind it. */
export const xdpProcs = (context: Context, program: Program): Proc[] => [
  processProc(context),
  frameProc(context, program),
];

const batch = local("batch");
const count = local("count");
const device = local("device");
const index = local("index");
const slotSize = local("slot_size");

function processProc(context: Context): Proc {
  const body: Step[] = [
    ...SKB_REGS.map((reg) => set(reg, 0)),
    set(stride, shl(load("batch", 4, batch, BATCH_HEADER.capacity), 2)),
    set(slotSize, load("batch", 4, batch, BATCH_HEADER.slotSize)),
    set(slot, load("batch", 4, batch, BATCH_HEADER.slots)),
    set(row, add(batch, BATCH_HEADER_BYTES)),
    set(index, 0),
    repeat(
      count,
      "packets",
      [
        block("frame", [
          when(ne(readColumn("entry"), Entry.RECEIVE), [leave("frame")]),
          when(ne(readColumn("device"), device), [leave("frame")]),
          trace(TraceEvent.packet, [index]),
          runNet(context, "xdp"),
        ]),
        set(index, add(index, 1)),
        set(row, add(row, 4)),
        set(slot, add(slot, slotSize)),
      ],
      "packets",
    ),
    ret(),
  ];
  const comment = "the frames that a device receives from the wire";
  return { ...proc(EXPORTS.process, { comment, params: [batch, count, device] }, body), exported: true };
}

/** What the device would not take is the packet path's to drop (receive.ts). */
function frameProc(context: Context, program: Program): Proc {
  const limit = add(field(dev, DEVICE.mtu), ETHERNET_HEADER_BYTES + VLAN_HLEN);
  const untaken = [ret()];
  const body: Step[] = [
    set(dev, callNet(context, "dev_get_by_index", readColumn("device"))),
    when(eqz(dev), untaken),
    when(eqz(hasFlag(dev, "UP")), untaken),
    set(mac, readColumn("data")),
    set(tail, add(mac, readColumn("length"))),
    guard(mac, ETHERNET_HEADER_BYTES, untaken),
    when(hasFlag(dev, "VETH"), [when(gt(sub(tail, mac), limit), untaken)]),
    passHook("xdp", ifindexOf(dev), 0),
    ...xdpRun(context, program, [
      ...RESULT_COLUMNS.map((column) => writeColumn(column, 0)),
      writeColumn("entry", Entry.JUDGED),
    ]),
    ret(),
  ];
  return proc(context.name("xdp"), { comment: "do_xdp_generic (net/core/dev.c)" }, body);
}
