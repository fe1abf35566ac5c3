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
 *   next hop                  ... which is such a route too, with one next hop
 *                neighbour    known
 *   transmit     device       another one, that is up
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
import { type Rule, Scope } from "../../../dsl/model.ts";
import {
  COUNTERS,
  DEVICE,
  DeviceFlag,
  FIB_ALIAS,
  FIB_ENTRY_BYTES,
  NEIGHBOUR,
  NEIGHBOUR_BYTES,
  NEIGHBOUR_TABLE,
  NET,
  NEXT_HOP,
  RouteTypeCode,
} from "../../../runtime/abi.ts";
import { COLUMN, COLUMNS, type Column, RESULT_COLUMNS } from "../../../runtime/batch.ts";
import { ETHERNET_HEADER_BYTES, EtherType } from "../../../runtime/net/ethernet.ts";
import { Entry, Verdict } from "../../../runtime/verdict.ts";
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
  type Reg,
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
  xor,
} from "../ir.ts";
import { type Context, callNet, field, macHigh, macLow, proc, thisWorker } from "./context.ts";
import { device, entry, fastValidateSource, fibLookup, isSettled, sourceIsAsked } from "./fast_lookup.ts";
import { rtTos2priority } from "./forward.ts";
import { IPHDR_BYTES } from "./in.ts";
import { linkedAt } from "./links.ts";
import { neighbourHash } from "./neighbour.ts";

/** Packets of a group: as many as a processor can be expected to have misses in flight, and no more than a cache holds of headers. */
export const GROUP = 64;
export const GIVEN_BACK = 0x100;

const mac = local("mac");
const alias = local("alias");
const hop = local("hop");
const out = local("out");
const daddr = local("daddr");
const octet = local("octet");
const size = local("size");
const mtu = local("mtu");
const gateway = local("gateway");
const ifindex = local("ifindex");
const known = local("known");
const ttl = local("ttl");
const cell = local("cell");
const looked = local("looked");
const refused = local("refused");
/** The row of the packet in hand. */
const at = local("at");
/** Parameters, not the registers of the same names: those are in memory. */
const row = local("row");
const stride = local("stride");
const count = local("count");

/** How far a column's rows are from the first column's, for all rounds of a stage. */
const distance = (column: Column): Reg => local(`to_${column}`);
const distances = (...columns: Column[]): Step[] =>
  columns.map((column) => set(distance(column), mul(stride, COLUMN(column))));
const readAt = (column: Column): Expr => load("batch", 4, add(at, distance(column)));
const writeAt = (column: Column, value: Operand): Step => store("batch", 4, add(at, distance(column)), 0, value);

/**
 * Result columns that hold, between the stages, what is not said yet: the DEVICE, the destination, the FIB_ENTRY (0: given back), and the
 * NEIGHBOUR (0: given back). They are those whose answers differ from packet to packet; the others are written at once.
 */
const HELD = { device: "outDevice", destination: "l3", entry: "route", known: "routeType" } as const;

/**
 * Result columns where a stage lists rows of which it wants more: what takes a call. A call in a loop makes engines put all that the
 * loop keeps in registers on the stack, each round, whether it is made or not; so calls have loops of their own, over those rows alone.
 */
const LISTS = { source: "reason", table: "skbDevice", neighbour: "sdif" } as const;
type List = (typeof LISTS)[keyof typeof LISTS];
const listEnd = (list: List): Reg => local(`end_of_${list}`);
const emptyList = (list: List): Step => set(listEnd(list), add(row, mul(stride, COLUMN(list))));
/** @param wanted 1, or 0: the row is not listed, without a branch */
const enlist = (list: List, wanted: Expr | 1 = 1): Step[] => [
  store("batch", 4, listEnd(list), 0, at),
  set(listEnd(list), add(listEnd(list), wanted === 1 ? 4 : shl(wanted, 2))),
];
/** A round for each row of the list. */
const listed = (list: List, body: readonly Step[]): Step[] => [
  set(cell, add(row, mul(stride, COLUMN(list)))),
  repeat(
    shr(sub(listEnd(list), cell), 2),
    `of ${list}`,
    [set(at, load("batch", 4, cell)), set(cell, add(cell, 4)), ...body],
    "group",
  ),
];

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
  ];
}

/** A round for each packet of the group. */
const stage = (times: Reg, label: string, body: readonly Step[]): Step[] => [
  set(at, row),
  repeat(times, label, [...body, set(at, add(at, 4))], "group"),
];
/** What a stage does with a packet that it does not take: it leaves a block, or the stage. */
const objection =
  (label: string) =>
  (condition: Expr): Step =>
    when(condition, [leave(label)]);

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
      stop(ne(packet(mac, 0, 4), macHigh(device))),
      stop(ne(packet(mac, 4, 2), macLow(device))),
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

function route(context: Context): Step[] {
  const call = [...enlist(LISTS.table), leave("routed")];
  return [
    ...distances(HELD.entry),
    emptyList(LISTS.table),
    ...stage(looked, "routes", [
      block("routed", [
        set(device, readAt(HELD.device)),
        set(daddr, readAt(HELD.destination)),
        ...fibLookup(context, daddr, call),
        writeAt(HELD.entry, entry),
      ]),
    ]),
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

// ---- the third stage: fib_result, rt_nexthop, neigh_ha

const neighbours = local("neighbours");
const mask = local("mask");
const place = local("place");

/** One next hop, and its neighbour: where the last search for it ended, or for a destination on the link in its first place. Addresses are as they lie. */
function nextHop(context: Context): Step[] {
  const no = objection("unroutable");
  const elsewhere = objection("elsewhere");
  const alias = (name: keyof typeof FIB_ALIAS) => field(entry, FIB_ENTRY_BYTES + FIB_ALIAS[name]);
  const onLink = unary("bswap32", readAt(HELD.destination));
  return [
    ...distances(HELD.known),
    set(neighbours, field(context.layout.offset, NET.neighbours)),
    set(mask, field(neighbours, NEIGHBOUR_TABLE.mask)),
    set(neighbours, add(neighbours, NEIGHBOUR_TABLE.slots)),
    emptyList(LISTS.neighbour),
    ...stage(looked, "next hops", [
      set(entry, readAt(HELD.entry)),
      set(known, 0),
      block("unroutable", [
        no(eqz(entry)),
        no(eqz(isSettled)),
        no(ne(alias("type"), RouteTypeCode.unicast)),
        no(ne(alias("hopCount"), 1)),
        set(hop, alias("nextHops")),
        set(ifindex, field(hop, NEXT_HOP.ifindex)),
        ...gatewayOf(
          no,
          [set(place, field(hop, NEXT_HOP.neighbour))],
          [set(gateway, onLink), ...neighbourHash(place, xor(gateway, ifindex))],
        ),
        set(known, add(neighbours, mul(and(place, mask), NEIGHBOUR_BYTES))),
        block("elsewhere", [
          elsewhere(ne(field(known, NEIGHBOUR.device), ifindex)),
          elsewhere(ne(field(known, NEIGHBOUR.family), 4)),
          elsewhere(ne(field(known, NEIGHBOUR.address), gateway)),
          leave("unroutable"),
        ]),
        ...enlist(LISTS.neighbour),
      ]),
      writeAt(HELD.known, known),
    ]),
    ...listed(LISTS.neighbour, [
      set(entry, readAt(HELD.entry)),
      set(hop, alias("nextHops")),
      set(known, 0),
      block("unroutable", [
        ...gatewayOf(no, [set(place, 1)], [set(gateway, onLink), set(place, 0)]),
        set(known, callNet(context, "neighbour_4", field(hop, NEXT_HOP.device), unary("bswap32", gateway))),
        when(and(place, ne(known, 0)), [
          store("image", 4, hop, NEXT_HOP.neighbour, shr(sub(known, neighbours), Math.log2(NEIGHBOUR_BYTES))),
        ]),
      ]),
      writeAt(HELD.known, known),
    ]),
  ];
}

/** rt_nexthop. */
const gatewayOf = (no: Objection, via: readonly Step[], onLink: readonly Step[]): Step[] => [
  block("next hop", [
    block("on link", [
      when(eqz(field(hop, NEXT_HOP.family)), [leave("on link")]),
      no(eq(field(hop, NEXT_HOP.family), 6)),
      when(ne(field(hop, NEXT_HOP.scope), Scope.LINK), [leave("on link")]),
      set(gateway, field(hop, NEXT_HOP.gateway)),
      ...via,
      leave("next hop"),
    ]),
    ...onLink,
  ]),
];

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

type Objection = (condition: Expr) => Step;

const egress = (no: Objection): Step[] => [
  set(out, field(hop, NEXT_HOP.device)),
  no(eq(out, readAt(HELD.device))),
  // What lo and VRF devices are given to send does not leave.
  no(ne(and(field(out, DEVICE.flags), DeviceFlag.UP | DeviceFlag.LOOPBACK | DeviceFlag.VRF), DeviceFlag.UP)),
  set(mtu, field(alias, FIB_ALIAS.mtu)),
  no(gt(size, select(mtu, mtu, field(out, DEVICE.mtu)))),
];

/** ip_forward: from here on the packet is written to. */
const forward: Step[] = [
  // ip_decrease_ttl: one less in the low byte of the word as it lies, which is one more of the checksum in its high half, carried round.
  set(ttl, rawHeader(8, 4)),
  put(mac, ETHERNET_HEADER_BYTES + 8, 4, unary("bswap32", add(add(ttl, 0x10000 - 1), shl(ge(ttl, 0xfffe0000), 16)))),
  put(mac, 0, 4, macHigh(known, NEIGHBOUR.mac)),
  put(mac, 4, 2, macLow(known, NEIGHBOUR.mac)),
  put(mac, 6, 4, macHigh(out)),
  put(mac, 10, 2, macLow(out)),
];

/** The columns from priority on that have an answer of the packet's own, one after the other. */
const answers: Partial<Record<Column, Operand>> = {
  priority: rtTos2priority(header(1, 1)),
  length: add(size, ETHERNET_HEADER_BYTES),
  outDevice: field(hop, NEXT_HOP.ifindex),
  l3: add(mac, ETHERNET_HEADER_BYTES),
  routeType: RouteTypeCode.unicast,
  route: field(alias, FIB_ALIAS.route),
};
const answer: Step[] = COLUMNS.flatMap((column): Step[] => {
  const value = answers[column];
  return value === undefined ? [] : [writeAt(column, value)];
});

/** The result columns of which all packets that are forwarded have one answer: eight rows at a time, then one by one. */
const answerAlike: Step[] = (() => {
  const columns = RESULT_COLUMNS.filter((column) => !(column in answers));
  const round = (rows: number): Step[] => [
    ...columns.flatMap((column) => {
      const answer = column === "verdict" ? Verdict.TRANSMIT : 0;
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
