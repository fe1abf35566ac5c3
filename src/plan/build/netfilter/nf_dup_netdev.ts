/**
 * Frames, or copies of them, that leave by another device: `fwd` and `dup`.
 * k:net/netfilter/nf_dup_netdev.c nf_fwd_netdev_egress, nf_dup_netdev_egress, nf_do_netdev_egress.
 *
 *   nf_dup_netdev_egress.N(ifindex)     appends a copy to the batch, to be sent when the packet has gone its way
 *   send_copy.N()                       the packet at `row` is such a copy
 *
 * What a copy knows stands in its result columns until it is sent:
 *
 *   outDevice  DEVICE to send by          l3     network header
 *   error      protocol | pkt_type << 16 | mac_header << 20 | ignore_df << 21 | nf_dup_recursion << 24 | xmit_recursion << 28
 *   info       dst_input | dst_output << 8 | dst_type << 16
 *   skbDevice, sdif, routeType, route, source     dst_dev, dst_gateway, dst_idev, dst_mtu, dst_error
 */
import {
  BATCH_HEADER,
  BATCH_HEADER_BYTES,
  COLUMN,
  type Column,
  RAISED_BY_ENGINES,
  RESULT_COLUMNS,
} from "../../../../runtime/batch.ts";
import { EtherType } from "../../../../runtime/net/ethernet.ts";
import { DropReason } from "../../../../runtime/verdict.ts";
import { copiesFrames } from "../../../netfilter/reach.ts";
import {
  add,
  and,
  type Expr,
  eq,
  eqz,
  ge,
  gt,
  load,
  local,
  mul,
  or,
  type Proc,
  type Reg,
  ret,
  run,
  type Step,
  select,
  set,
  shl,
  shr,
  store,
  sub,
  tail,
  when,
} from "../../ir.ts";
import { type Context, callNet, drop, KFREE_SKB, proc, readColumn, writeColumn } from "../context.ts";
import {
  dev,
  dstDev,
  dstError,
  dstGateway,
  dstIdev,
  dstInput,
  dstMtu,
  dstOutput,
  dstType,
  ignoreDf,
  l3,
  mac,
  mark,
  Next,
  next,
  pktType,
  slot,
  stride,
  xmitRecursion,
} from "../skb.ts";
import { COPY_BYTES } from "./copy_bytes.ts";
import { batchBase, dupRecursion, macHeader, priority, protocol, redirectDevice } from "./registers.ts";

const NF_RECURSION_LIMIT = 2;

const target = local("target");

/** Where the frame starts: at ingress its Ethernet header, which was pulled off, is put back. */
const frame: Expr = select(macHeader, mac, l3);

/** nf_fwd_netdev_egress: `redirect_device` has the frame to send, in the packet's next pass. Ends in 1: the packet is gone. */
export const nfFwdNetdevEgress = (context: Context): Step[] => {
  const lost: Step[] = [run(KFREE_SKB, [DropReason.NOT_SPECIFIED]), ret(1)];
  return [
    set(target, callNet(context, "dev_get_by_index", redirectDevice)),
    when(eqz(target), lost),
    ...nfDoNetdevEgress(lost),
    ret(1),
  ];
};

/** `target` has the frame to send. */
const nfDoNetdevEgress = (lost: readonly Step[]): Step[] => [
  when(gt(dupRecursion, NF_RECURSION_LIMIT), lost),
  set(mac, frame),
  set(dev, target),
  set(dupRecursion, add(dupRecursion, 1)),
  set(next, Next.DEV_QUEUE_XMIT),
];

export const dupProcs = (context: Context): Proc[] =>
  copiesFrames(context.net.netfilter) ? [nfDupNetdevEgress(context), sendCopy(context)] : [];

/** Registers that a column keeps. */
const KEPT: readonly (readonly [Column, Reg])[] = [
  ["l3", l3],
  ["skbDevice", dstDev],
  ["sdif", dstGateway],
  ["routeType", dstIdev],
  ["route", dstMtu],
  ["source", dstError],
];
const PACKED: readonly (readonly [Column, readonly (readonly [Reg, number, number])[]])[] = [
  [
    "error",
    [
      [protocol, 0, 0xffff],
      [pktType, 16, 0xf],
      [macHeader, 20, 1],
      [ignoreDf, 21, 1],
      [dupRecursion, 24, 0xf],
      [xmitRecursion, 28, 0xf],
    ],
  ],
  [
    "info",
    [
      [dstInput, 0, 0xff],
      [dstOutput, 8, 0xff],
      [dstType, 16, 0xff],
    ],
  ],
];

const ifindex = local("ifindex");
const index = local("copy");
const copyRow = local("copy_row");
const copySlot = local("copy_slot");
const moved = local("moved");
const start = local("start");

function nfDupNetdevEgress(context: Context): Proc {
  const header = (field: keyof typeof BATCH_HEADER): Expr => load("batch", 4, batchBase, BATCH_HEADER[field]);
  const write = (column: Column, value: Reg | Expr): Step =>
    store("batch", 4, add(copyRow, mul(stride, COLUMN(column))), 0, value);
  const same = (column: Column): Step => write(column, readColumn(column));
  const body: Step[] = [
    set(target, callNet(context, "dev_get_by_index", ifindex)),
    when(eqz(target), [ret()]),
    set(index, header("count")),
    when(ge(index, header("capacity")), [ret()]),
    store("batch", 4, batchBase, BATCH_HEADER.count, add(index, 1)),
    set(copyRow, add(add(batchBase, BATCH_HEADER_BYTES), shl(index, 2))),
    set(copySlot, add(header("slots"), mul(index, header("slotSize")))),
    set(moved, sub(copySlot, slot)),
    set(start, frame),
    run(COPY_BYTES, [start, add(start, moved), sub(tail, start)]),
    ...(["entry", "device", "uid"] as const).map(same),
    write("flags", and(readColumn("flags"), ~RAISED_BY_ENGINES)),
    write("mark", mark),
    write("priority", priority),
    write("data", add(start, moved)),
    write("length", sub(tail, start)),
    ...KEPT.map(([column, reg]) => write(column, reg === l3 ? add(l3, moved) : reg)),
    ...PACKED.map(([column, parts]) => write(column, parts.map(([reg, by]) => shl(reg, by)).reduce(or))),
    write("outDevice", target),
    ret(),
  ];
  const comment = "nf_dup_netdev_egress (net/netfilter/nf_dup_netdev.c)";
  return proc(context.name("nf_dup_netdev_egress"), { comment, params: [ifindex] }, body);
}

/** A clone has no socket. Precondition: the registers are those of a new skb, `tail` and `mac` the frame's. */
function sendCopy(context: Context): Proc {
  const isIp = or(eq(protocol, EtherType.IPV4), eq(protocol, EtherType.IPV6));
  const body: Step[] = [
    ...KEPT.map(([column, reg]) => set(reg, readColumn(column))),
    ...PACKED.flatMap(([column, parts]) =>
      parts.map(([reg, by, mask]) => set(reg, and(shr(readColumn(column), by), mask))),
    ),
    set(target, readColumn("outDevice")),
    ...RESULT_COLUMNS.map((column) => writeColumn(column, 0)),
    writeColumn("nextHop", 0),
    when(isIp, [writeColumn("l3", l3)]),
    ...nfDoNetdevEgress(drop(DropReason.NOT_SPECIFIED)),
    ret(),
  ];
  const comment = "nf_do_netdev_egress (net/netfilter/nf_dup_netdev.c)";
  return proc(context.name("send_copy"), { comment }, body);
}
