/**
 * The short way: IPv4 frames that are forwarded from one device to another, with nothing on their way that could say otherwise.
 *
 *   fast_forward.N(row, stride, count) : i32     how many of the packets from `row` on it has looked at: up to the first one that `receive`
 *                                                gives back; with GIVEN_BACK, when others among those have no verdict either
 *
 *   receive      frame        of an interface that is up, for its own address, IPv4, no options, header sums up, TTL above 1
 *                addresses    neither end is multicast, broadcast, zero or loopback
 *   route        destination  fib_lookup ends at an entry ...
 *                source       its way back ends at a unicast route that answers every flow (SETTLED), or at none, and the device's
 *                             rp_filter has no objection; where rp_filter is off, hardly one has to be looked up (source-filter.ts)
 *   next hop                  ... which is such a route too, with one next hop (FORWARDS)
 *                device       up
 *                neighbour    known
 *   transmit     device       another one
 *                size         within the route's MTU
 *
 * A stage does all packets of a group before the next one begins. Its round is short and does not depend on the round before, so that a
 * processor has several packets in flight, and waits for the cache misses of frames, tables and entries of many at a time. What a
 * stage leaves to the next stands in columns that have an answer in the end. Where each packet is of another VRF, nearly every record is a
 * miss; so a round ends where the next record is known, and the stage behind reads it for all.
 *
 * Whatever fails one of these takes the long way, from its first byte: of a packet nothing else is written before all have held. So this
 * proc says nothing of its own about Linux; it is the straight line through receive.ts, ip_input.ts, route_input.ts, source.ts,
 * forward.ts, output.ts and neighbour.ts. Traces are taken on the long way alone (the plan that is
 * traced has no fast_forward), and tests hold the two against each other. Where a namespace's rule list asks more of a packet than
 * its VRF, or where a chain or a program looks at IPv4, there is none; while programs are attached there, no packet takes it.
 */
import type { Rule } from "../../../dsl/model.ts";
import { DEVICE, DeviceFlag } from "../../../runtime/abi/device.ts";
import { FIB_ALIAS, FIB_ENTRY_BYTES, NEXT_HOP, TABLE } from "../../../runtime/abi/fib.ts";
import { COUNTERS } from "../../../runtime/abi/net.ts";
import { COLUMNS, type Column, RESULT_COLUMNS } from "../../../runtime/batch.ts";
import { ETHERNET_HEADER_BYTES, EtherType } from "../../../runtime/net/ethernet.ts";
import { RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { Entry, Verdict } from "../../../runtime/verdict.ts";
import type { LpmShape } from "../../lpm/emit.ts";
import { rangesAnswer, rangesDescent } from "../../lpm/ranges.ts";
import {
  add,
  and,
  block,
  type Expr,
  eq,
  eqz,
  ge,
  gt,
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
  packet,
  put,
  repeat,
  ret,
  type Step,
  select,
  set,
  shl,
  shr,
  store,
  sub,
  tail,
  unary,
  when,
} from "../ir.ts";
import { type Context, callNet, field, proc, thisWorker } from "./context.ts";
import { device, entry, fastValidateSource, fibLookup, image, sourceIsAsked } from "./fast_lookup.ts";
import { fastNextHop, nextHop } from "./fast_next_hop.ts";
import {
  at,
  cell,
  count,
  distance,
  distances,
  emptyList,
  enlist,
  HELD,
  hop,
  known,
  LEAVES,
  LISTS,
  listed,
  looked,
  type Objection,
  objection,
  readAt,
  row,
  stage,
  stride,
  writeAt,
} from "./fast_stages.ts";
import { rtTos2priority } from "./forward.ts";
import { IPHDR_BYTES } from "./in.ts";
import { linkedAt } from "./links.ts";

export const GIVEN_BACK = 0x100;

const mac = local("mac");
const alias = local("alias");
const daddr = local("daddr");
const octet = local("octet");
const size = local("size");
const mtu = local("mtu");
const ttl = local("ttl");
const table = local("table");
const refused = local("refused");

/** Of the IPv4 header behind the Ethernet header. */
const header = (offset: number, bytes: 1 | 2 | 4): Expr => packet(mac, ETHERNET_HEADER_BYTES + offset, bytes);
/** As it lies in the packet. */
const rawHeader = (offset: number, bytes: 2 | 4): Expr =>
  unary(bytes === 2 ? "bswap16" : "bswap32", header(offset, bytes));

/** Whether the namespace has it. */
export function hasFastForward({ net }: Context): boolean {
  const looks = net.netfilter.hooks.some(({ family }) => family !== 6);
  return (
    !looks &&
    net.netfilter.programs.length === 0 &&
    net.rules.filter(({ family }) => family === 4).every(asksForVrfAlone)
  );
}

/** The rule looks a table up for every packet, or for every packet of a VRF its table. */
function asksForVrfAlone(rule: Rule): boolean {
  const { not, from, to, iif, oif, fwmark, tos, ipproto, sport, dport, uidrange } = rule;
  const selects = [from, to, iif, oif, fwmark, sport, dport, uidrange].some((selector) => selector !== null);
  const suppresses = rule.suppressPrefixLength >= 0 || rule.suppressIfGroup >= 0;
  if (selects || not || tos !== 0 || ipproto !== 0 || suppresses) return false;
  return rule.action.kind === "lookup" && rule.l3mdev === (rule.action.table === null);
}

/** Of a packet that is forwarded, but for xdp, whose programs come before. */
const HOOKS_PASSED = [
  ...[["tc ingress", null] as const, ["netdev ingress", null] as const],
  ...[["prerouting", 4] as const, ["forward", 4] as const, ["postrouting", 4] as const],
  ...[["netdev egress", null] as const, ["tc egress", null] as const],
];

export function fastForwardProcs(context: Context): Proc[] {
  const comment = "the straight line from netif_receive_skb to dev_queue_xmit";
  const body = [
    when(linkedAt(context, HOOKS_PASSED), [ret(0)]),
    ...receive(context),
    ...route(context),
    ...validateSource(context),
    ...nextHop(context),
    ...answerAlike,
    ...transmit(context),
  ];
  return [
    proc(context.name("fast_forward"), { comment, params: [row, stride, count], result: "i32" }, body),
    fastValidateSource(context),
    fastNextHop(context),
  ];
}

// ---- the first stage: netif_receive_skb, ip_rcv

/** dev_receive to ip_rcv_finish: for this host, IPv4, untagged. It ends at the first packet that is not so. */
function receive(context: Context): Step[] {
  const stop = objection("received");
  return [
    ...distances("device", "data", "length", HELD.device, HELD.destination),
    emptyList(LISTS.source),
    ...stage(count, "received", [
      stop(ne(load("batch", 4, at), Entry.RECEIVE)),
      set(mac, readAt("data")),
      set(size, readAt("length")),
      set(tail, add(mac, size)),
      guard(mac, ETHERNET_HEADER_BYTES + IPHDR_BYTES, [leave("received")]),
      stop(ne(and(packet(mac, 12, 4), 0xffffff00), (EtherType.IPV4 << 16) | 0x4500)),
      set(device, callNet(context, "dev_get_by_index", readAt("device"))),
      stop(eqz(device)),
      // A packet is not for an address of lo or of a VRF device without more ado.
      stop(ne(and(field(device, DEVICE.flags), UP | DeviceFlag.LOOPBACK | DeviceFlag.VRF), UP)),
      stop(ne(and(packet(mac, 0, 8), i64(-0x1_0000n)), unary("bswap64", load("image", 8, device, DEVICE.mac)))),
      stop(gt(size, add(field(device, DEVICE.mtu), ETHERNET_HEADER_BYTES))),
      stop(not16Sum),
      // At least a header's length, and at most what there is: the frame holds a header.
      stop(gt(sub(header(2, 2), IPHDR_BYTES), sub(size, ETHERNET_HEADER_BYTES + IPHDR_BYTES))),
      stop(lt(header(8, 1), 2)),
      ...[12, 16].flatMap((address) => [set(octet, header(address, 1)), ...isMartian.map(stop)]),
      writeAt(HELD.device, device),
      writeAt(HELD.destination, header(16, 4)),
      ...enlist(LISTS.source, ne(sourceIsAsked(context, rawHeader(12, 4)), 0)),
    ]),
    set(looked, shr(sub(at, row), 2)),
  ];
}
const UP = DeviceFlag.UP | DeviceFlag.FORWARDING;

/**
 * ip_fast_csum: the header's words do not sum up to 0xffff in ones' complement, which is: their plain sum is no multiple of 0xffff (0 it
 * cannot be). Their order of bytes does not matter (RFC 1071 section 2 (B)). x is a multiple of an odd d just when x times the inverse of d
 * modulo 2^64 is at most (2^64-1)/d (Granlund, Montgomery 1994); for d = 0xffff the inverse is minus that bound.
 */
const not16Sum: Expr = gt(
  mul(
    [0, 4, 8, 12, 16].map((offset) => unary("extend", rawHeader(offset, 4))).reduce((a, b) => add(a, b)),
    i64(-0x0001_0001_0001_0001n),
  ),
  i64(0x0001_0001_0001_0001n),
);

/** Not ordinary unicast, by the first octet: that is 1.0.0.0 to 223.255.255.255 without 127/8. Two branches are less than an `or`. */
const isMartian: Expr[] = [ge(sub(octet, 1), 0xdf), eq(octet, 0x7f)];

// ---- the second stage: fib_lookup of ip_route_input_slow, fib_validate_source

/**
 * Tables of `ranges` are many, so that each of their lines may be a miss, and a search in a node is long: descriptor, inner nodes and leaf are read in
 * loops of their own. A loop of all three is so long that a processor has no more than three packets of it in flight.
 */
function route(context: Context): Step[] {
  const call = [...enlist(LISTS.table), leave("routed")];
  const lane = { address: daddr, value: entry };
  const shapes = context.shapes.flatMap((shape) => (shape.kind === "ranges" ? [shape] : []));
  const toLeaf = (shape: LpmShape): Step[] | null =>
    shape.kind === "ranges"
      ? [
          set(image, readAt(HELD.image)),
          ...rangesDescent(image, lane, shape),
          writeAt(HELD.entry, entry),
          ...enlist(LEAVES[shapes.indexOf(shape)]),
          leave("routed"),
        ]
      : null;
  const images = stage(looked, "tables", [
    set(image, 0),
    set(table, field(readAt(HELD.device), DEVICE.table)),
    when(table, [set(image, field(table, TABLE.image))]),
    writeAt(HELD.image, image),
  ]);
  return [
    ...distances(HELD.entry, HELD.image),
    emptyList(LISTS.table),
    ...shapes.map((_, i) => emptyList(LEAVES[i])),
    ...(shapes.length > 0 ? images : []),
    ...stage(looked, "routes", [
      block("routed", [
        set(device, readAt(HELD.device)),
        set(daddr, readAt(HELD.destination)),
        ...fibLookup(context, daddr, { call, toLeaf }),
        writeAt(HELD.entry, entry),
      ]),
    ]),
    ...shapes.flatMap((shape, i) =>
      listed(LEAVES[i], [
        set(daddr, readAt(HELD.destination)),
        set(entry, readAt(HELD.entry)),
        ...rangesAnswer(lane, shape),
        writeAt(HELD.entry, entry),
        // None: the next rule's table.
        ...enlist(LISTS.table, eqz(entry)),
      ]),
    ),
    ...listed(LISTS.table, [
      set(device, readAt(HELD.device)),
      set(daddr, readAt(HELD.destination)),
      ...fibLookup(context, daddr),
      writeAt(HELD.entry, entry),
    ]),
  ];
}

/** Of the packets whose source has to be asked. */
const validateSource = (context: Context): Step[] =>
  listed(LISTS.source, [
    block("validated", [
      block("objection", [
        set(mac, readAt("data")),
        set(tail, add(mac, readAt("length"))),
        guard(mac, ETHERNET_HEADER_BYTES + IPHDR_BYTES, [leave("objection")]),
        when(callNet(context, "fast_validate_source", readAt(HELD.device), header(12, 4)), [leave("validated")]),
      ]),
      writeAt(HELD.entry, 0),
    ]),
  ]);

// ---- the last stage: ip_mkroute_input, ip_forward, ip_finish_output2

function transmit(context: Context): Step[] {
  const no = objection("given back");
  const counters = thisWorker(context, context.layout.counters);
  const sent = COUNTERS.verdicts + 8 * Verdict.TRANSMIT;
  return [
    ...distances(...(Object.keys(answers) as Column[])),
    set(refused, 0),
    ...stage(looked, "transmits", [
      block("transmitted", [
        block("given back", [
          set(known, readAt(HELD.known)),
          no(eqz(known)),
          set(alias, add(readAt(HELD.entry), FIB_ENTRY_BYTES)),
          set(hop, field(alias, FIB_ALIAS.nextHops)),
          set(mac, readAt("data")),
          set(tail, add(mac, readAt("length"))),
          guard(mac, ETHERNET_HEADER_BYTES + IPHDR_BYTES, [leave("given back")]),
          set(size, header(2, 2)),
          ...egress(no),
          ...forward,
          ...answer,
          leave("transmitted"),
        ]),
        writeAt("verdict", Verdict.NONE),
        set(refused, add(refused, 1)),
      ]),
    ]),
    store("image", 8, counters, sent, add(load("image", 8, counters, sent), unary("extend", sub(looked, refused)))),
    ret(or(looked, select(refused, GIVEN_BACK, 0))),
  ];
}

const egress = (no: Objection): Step[] => [
  no(eq(field(hop, NEXT_HOP.device), readAt(HELD.device))),
  set(mtu, field(alias, FIB_ALIAS.mtu)),
  no(gt(size, select(mtu, mtu, field(hop, NEXT_HOP.mtu)))),
];

/** ip_forward: from here on the packet is written to. */
const forward: Step[] = [
  // ip_decrease_ttl: one less in the low byte of the word as it lies, which is one more of the checksum in its high half, carried round.
  set(ttl, rawHeader(8, 4)),
  put(mac, ETHERNET_HEADER_BYTES + 8, 4, unary("bswap32", add(add(ttl, 0x10000 - 1), shl(ge(ttl, 0xfffe0000), 16)))),
  // The second puts right what the first writes behind its MAC.
  put(mac, 0, 8, unary("bswap64", load("image", 8, known))),
  put(mac, 6, 8, unary("bswap64", load("image", 8, hop, NEXT_HOP.sender))),
];

/** The columns from priority on that have an answer of the packet's own, one after the other. */
const answers: Partial<Record<Column, Operand>> = {
  priority: rtTos2priority(header(1, 1)),
  length: add(size, ETHERNET_HEADER_BYTES),
  outDevice: field(hop, NEXT_HOP.ifindex),
  l3: add(mac, ETHERNET_HEADER_BYTES),
  route: field(alias, FIB_ALIAS.route),
};
const answer: Step[] = COLUMNS.flatMap((column): Step[] => {
  const value = answers[column];
  return value === undefined ? [] : [writeAt(column, value)];
});

/** The result columns of which all packets that are forwarded have one answer, 0 but for these: eight rows at a time, then one by one. */
const alike: Partial<Record<Column, number>> = { verdict: Verdict.TRANSMIT, routeType: RouteTypeCode.unicast };
const answerAlike: Step[] = (() => {
  const columns = RESULT_COLUMNS.filter((column) => !(column in answers));
  const round = (rows: number): Step[] => [
    ...columns.flatMap((column) => {
      const answer = alike[column] ?? 0;
      const stores =
        rows === 1
          ? [store("batch", 4, cell, 0, answer)]
          : Array.from({ length: rows / 2 }, (_, i) =>
              store("batch", 8, cell, 8 * i, i64(BigInt(answer) * 0x1_0000_0001n)),
            );
      return [set(cell, add(at, distance(column))), ...stores];
    }),
    set(at, add(at, 4 * rows)),
  ];
  return [
    ...distances(...columns),
    set(at, row),
    repeat(shr(looked, 3), "rows", round(8), "eights"),
    repeat(and(looked, 7), "rows", round(1), "group"),
  ];
})();
