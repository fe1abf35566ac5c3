/**
 * The batch loop, and one packet's way through the program.
 *
 *   process(net, batch, count) -> process.N(batch, count) -> packet.N for each packet
 *
 *   packet.N:  RECEIVE -> dev_receive | OUTPUT -> raw_sendmsg | LOOKUP -> ip_route_connect | NEIGHBOUR -> neigh_update
 *              | ROUTE_INPUT -> inet_rtm_getroute | LOOPBACK -> dev_loopback_receive | NDISC -> ndisc_send_skb
 *              | LOCAL_IN -> ip_local_deliver_whole | XMIT -> dev_direct_xmit
 *              then, while a device without a wire hands the packet on, pass after pass: netif_rx | vrf_xmit
 */

import { EXPORTS } from "../../../runtime/abi/exports.ts";
import { COUNTERS } from "../../../runtime/abi/net.ts";
import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { BATCH_HEADER, BATCH_HEADER_BYTES, COLUMN, PacketFlag, RESULT_COLUMNS } from "../../../runtime/batch.ts";
import { RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { DropReason, Entry, Verdict } from "../../../runtime/verdict.ts";
import { copiesFrames } from "../../netfilter/reach.ts";
import { MAX_PASSES } from "../../reference/passes.ts";
import {
  add,
  and,
  block,
  call,
  eq,
  eqz,
  ge,
  guard,
  i64,
  leave,
  load,
  local,
  lt,
  mul,
  ne,
  type Operand,
  or,
  type Proc,
  repeat,
  ret,
  type Step,
  select,
  set,
  shl,
  store,
  sub,
  tail,
  trace,
  unary,
  when,
} from "../ir.ts";
import { type Context, callNet, drop, proc, readColumn, runNet, thisWorker, writeColumn } from "./context.ts";
import { GIVEN_BACK } from "./fast_forward.ts";
import { GROUP } from "./fast_stages.ts";
import { IPHDR_BYTES } from "./in.ts";
import { refuseHeader6, whenIpv6 } from "./ipv6/af_inet6.ts";
import { kept } from "./netfilter/fib.ts";
import {
  batchBase,
  dupRecursion,
  macHeader,
  nfSkipEgress,
  priority,
  sending,
  skBound,
  skOwner,
} from "./netfilter/registers.ts";
import { REFUSE_HEADER } from "./output.ts";
import {
  DstInput,
  dev,
  doredirect,
  dstInput,
  dstType,
  ignoreDf,
  iif,
  l3,
  l3slave,
  mac,
  mark,
  mcLoop,
  Next,
  next,
  nhAddress,
  nhFamily,
  PacketType,
  pktType,
  row,
  SKB_REGS,
  slot,
  stride,
  worker,
  xmitRecursion,
} from "./skb.ts";

const batch = local("batch");
const count = local("count");
const net = local("net");
const index = local("index");
const slotSize = local("slot_size");
const entry = local("entry");
/** Packets of the batch that no group has had yet, of the group, and those of them that fast_forward has looked at. */
const left = local("left");
const group = local("group");
const looked = local("looked");
const ipv6 = local("ipv6");

/** `process(net, batch, count)`: the one exported proc; `net` without a namespace does nothing. */
export function processProc(contexts: readonly Context[]): Proc {
  const body: Step[] = contexts.map((context, i) =>
    when(eq(net, i), [runNet(context, "process", batch, count), ret()]),
  );
  const comment = "judges packets 0 .. count-1 of a batch";
  return { ...proc(EXPORTS.process, { comment, params: [net, batch, count] }, [...body, ret()]), exported: true };
}

/** @param fast packets that fast_forward knows go that way */
export function processNet(context: Context, fast: boolean): Proc {
  const copies = copiesFrames(context.net.netfilter);
  const long: Step[] = [
    block("judged", [
      when(eq(readColumn("entry"), Entry.JUDGED), [leave("judged")]),
      runNet(context, "packet"),
      writeColumn("mark", mark),
      writeColumn("priority", priority),
    ]),
    ...countVerdict(context),
    ...(copies ? sendCopies(context) : []),
  ];
  const body: Step[] = [
    // No register is read before it is set, even where only the packet's way tells that it is.
    ...SKB_REGS.map((reg) => set(reg, 0)),
    ...(context.threads ? [set(worker, load("batch", 4, batch, BATCH_HEADER.worker))] : []),
    set(stride, shl(load("batch", 4, batch, BATCH_HEADER.capacity), 2)),
    set(slotSize, load("batch", 4, batch, BATCH_HEADER.slotSize)),
    set(slot, load("batch", 4, batch, BATCH_HEADER.slots)),
    set(row, add(batch, BATCH_HEADER_BYTES)),
    ...(copies ? [set(batchBase, batch), set(sent, count), store("batch", 4, batch, BATCH_HEADER.count, count)] : []),
    ...(fast
      ? groups(context, long)
      : [
          set(index, 0),
          repeat(
            count,
            "packets",
            [trace(TraceEvent.packet, [index]), ...long, set(index, add(index, 1)), ...nextPacket(1)],
            "packets",
          ),
        ]),
    ret(),
  ];
  const comment = `namespace ${context.net.name}: each packet of the batch`;
  return proc(context.name("process"), { comment, params: [batch, count] }, body);
}

const nextPacket = (packets: Operand): Step[] => [
  set(row, add(row, mul(packets, 4))),
  set(slot, add(slot, mul(packets, slotSize))),
];

/** The short way group by group; the long way for the packets that it gives back, and the one that ended a group. */
function groups(context: Context, long: readonly Step[]): Step[] {
  const verdict = load("batch", 4, add(row, mul(stride, COLUMN("verdict"))));
  return [
    set(left, count),
    repeat(
      count,
      "groups",
      [
        when(eqz(left), [leave("groups")]),
        set(group, select(lt(left, GROUP), left, GROUP)),
        set(looked, callNet(context, "fast_forward", row, stride, group)),
        when(eq(looked, group), nextPacket(group), [
          set(looked, and(looked, GIVEN_BACK - 1)),
          set(group, select(lt(looked, group), add(looked, 1), group)),
          repeat(
            group,
            "packets",
            [
              when(or(eqz(looked), ne(verdict, Verdict.TRANSMIT)), long),
              set(looked, sub(looked, ne(looked, 0))),
              ...nextPacket(1),
            ],
            "group",
          ),
        ]),
        set(left, sub(left, group)),
      ],
      "packets",
    ),
  ];
}

/** Copies that chains have made of the packet, and of such copies: each has a verdict of its own. */
function sendCopies(context: Context): Step[] {
  const { keep, restore } = kept([row, slot]);
  return [
    ...keep,
    repeat(
      load("batch", 4, batch, BATCH_HEADER.capacity),
      "copies",
      [
        when(ge(sent, load("batch", 4, batch, BATCH_HEADER.count)), [leave("copies")]),
        set(row, add(add(batch, BATCH_HEADER_BYTES), shl(sent, 2))),
        set(slot, add(load("batch", 4, batch, BATCH_HEADER.slots), mul(sent, slotSize))),
        trace(TraceEvent.packet, [sent]),
        runNet(context, "copy"),
        writeColumn("mark", mark),
        writeColumn("priority", priority),
        ...countVerdict(context),
        set(sent, add(sent, 1)),
      ],
      "copies",
    ),
    ...restore,
  ];
}

/** Copies sent so far, and the packets before them. */
const sent = local("sent");

/** A copy at `row`: nf_do_netdev_egress, and what comes of it. */
export function copyProcs(context: Context): Proc[] {
  if (!copiesFrames(context.net.netfilter)) return [];
  const body: Step[] = [
    ...freshSkb,
    set(mac, readColumn("data")),
    set(tail, add(mac, readColumn("length"))),
    runNet(context, "send_copy"),
    ...passes(context),
  ];
  return [proc(context.name("copy"), { comment: `namespace ${context.net.name}: a copy of a packet` }, body)];
}

export function packetProc(context: Context): Proc {
  const enter = (when_: Entry, name: string): Step => when(eq(entry, when_), [runNet(context, name), leave("entered")]);
  const body: Step[] = [
    ...RESULT_COLUMNS.map((column) => writeColumn(column, 0)),
    ...freshSkb,
    set(mac, readColumn("data")),
    set(l3, mac),
    set(tail, add(mac, readColumn("length"))),
    set(entry, readColumn("entry")),
    block("entered", [
      enter(Entry.RECEIVE, "dev_receive"),
      enter(Entry.OUTPUT, "raw_sendmsg"),
      enter(Entry.LOOKUP, "ip_route_connect"),
      enter(Entry.NEIGHBOUR, "neigh_update"),
      enter(Entry.ROUTE_INPUT, "inet_rtm_getroute"),
      enter(Entry.LOOPBACK, "dev_loopback_receive"),
      enter(Entry.NDISC, "ndisc_send_skb"),
      enter(Entry.LOCAL_IN, "ip_local_deliver_whole"),
      enter(Entry.XMIT, "dev_direct_xmit"),
    ]),
    ...passes(context),
  ];
  return proc(context.name("packet"), { comment: `namespace ${context.net.name}: one packet` }, body);
}

/** run_passes: until no device hands the packet on. */
function passes(context: Context): Step[] {
  const again = (when_: number, step: Step): Step => when(eq(entry, when_), [step, leave("again")]);
  return [
    repeat(
      MAX_PASSES,
      "passes",
      [
        when(eqz(next), [ret()]),
        set(entry, next),
        set(next, Next.DONE),
        block("again", [
          again(Next.NETIF_RX, runNet(context, "netif_rx")),
          again(Next.VRF_XMIT, runNet(context, "vrf_xmit")),
          again(Next.DEV_QUEUE_XMIT, runNet(context, "dev_queue_xmit", dev)),
        ]),
      ],
      "passes",
    ),
    ...drop(DropReason.RECURSION),
  ];
}

/** An skb as it is allocated: for this host's link-layer address, on no device, without a dst. */
const freshSkb: Step[] = [
  set(next, Next.DONE),
  set(dev, 0),
  set(iif, 0),
  set(l3slave, 0),
  set(doredirect, 0),
  set(pktType, PacketType.HOST),
  set(xmitRecursion, 0),
  set(mark, readColumn("mark")),
  set(priority, readColumn("priority")),
  set(macHeader, 0),
  set(skOwner, 0),
  set(sending, 0),
  set(skBound, 0),
  set(dupRecursion, 0),
  set(nfSkipEgress, 0),
  set(ignoreDf, 0),
  set(mcLoop, 1),
  set(dstInput, DstInput.NONE),
  set(dstType, RouteTypeCode.unspec),
];

/** Entry NEIGHBOUR: a packet that waited for `nextHop` on `device` (neigh_update sends the queue). */
export function neighUpdate(context: Context): Proc {
  const nextHop = readColumn("nextHop");
  const device = [
    set(dev, callNet(context, "dev_get_by_index", readColumn("device"))),
    when(eqz(dev), drop(DropReason.DEVICE_DOWN)),
  ];
  const body: Step[] = [
    whenIpv6([
      ...refuseHeader6,
      ...device,
      set(nhFamily, 6),
      set(nhAddress, nextHop),
      runNet(context, "ip6_neigh_output", dev),
      ret(),
    ]),
    when(call(REFUSE_HEADER, []), [ret()]),
    guard(l3, IPHDR_BYTES, drop(DropReason.IP_INHDR)),
    ...device,
    set(ipv6, and(readColumn("flags"), PacketFlag.NEXT_HOP_IPV6)),
    set(nhFamily, select(ipv6, 6, 4)),
    set(nhAddress, select(ipv6, nextHop, unary("bswap32", load("batch", 4, nextHop)))),
    runNet(context, "ip_finish_output2", dev),
    ret(),
  ];
  return proc(context.name("neigh_update"), { comment: "neigh_update (net/core/neighbour.c)" }, body);
}

/** One more of the packet's verdict, and of its reason when it was dropped. */
function countVerdict(context: Context): Step[] {
  const counters = thisWorker(context, context.layout.counters);
  const one = (base: Operand, offset: number): Step =>
    store("image", 8, base, offset, add(load("image", 8, base, offset), i64(1n)));
  const cell = (column: "verdict" | "reason") => add(counters, shl(readColumn(column), 3));
  return [
    one(cell("verdict"), COUNTERS.verdicts),
    when(eq(readColumn("verdict"), Verdict.DROP), [one(cell("reason"), COUNTERS.reasons)]),
  ];
}
