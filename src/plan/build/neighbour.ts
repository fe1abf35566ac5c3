/**
 * Link-layer addresses: the neighbour table, who needs none, and the header.
 * k:net/ipv4/ip_output.c ip_finish_output2, net/ipv4/arp.c arp_constructor, net/core/neighbour.c, net/ethernet/eth.c eth_header.
 */

import { NEIGHBOUR, NEIGHBOUR_BYTES, NEIGHBOUR_HASH_FACTOR, NEIGHBOUR_TABLE } from "../../../runtime/abi/neighbour.ts";
import { NET } from "../../../runtime/abi/net.ts";
import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { ETHERNET_HEADER_BYTES, EtherType } from "../../../runtime/net/ethernet.ts";
import { RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { DropReason, Verdict } from "../../../runtime/verdict.ts";
import {
  add,
  and,
  type Expr,
  eq,
  eqz,
  expr,
  guard,
  local,
  mul,
  type Operand,
  or,
  type Proc,
  put,
  type Reg,
  repeat,
  ret,
  run,
  type Step,
  set,
  shr,
  sub,
  trace,
  unary,
  when,
  xor,
} from "../ir.ts";
import { type Context, callNet, drop, field, hasFlag, ifindexOf, macHigh, macLow, proc, runNet } from "./context.ts";
import { HEADER } from "./in.ts";
import { ipv6AddrIsMulticast, word6 } from "./ipv6/in6.ts";
import { macHeader, protocol } from "./netfilter/registers.ts";
import { haHigh, haLow, l3, mac, nhAddress, nhFamily } from "./skb.ts";
import { LEAVE, nextHopWords } from "./verdict.ts";

const device = local("device");
const address = local("address");
const ifindex = local("ifindex");
const slotRecord = local("slot_record");
const type = local("type");
const known = local("known");

/** `neighbour_4(device, address)`: the NEIGHBOUR, or 0. The search goes as runtime/neighbour.ts writes. */
export const neighbour4 = (context: Context): Proc => {
  const wire = local("wire");
  const word = (at: number): Expr => field(slotRecord, NEIGHBOUR.address + at);
  return search(context, "neighbour_4", 4, [set(wire, unary("bswap32", address))], expr(wire), eq(word(0), wire));
};

/** `neighbour_6(device, address)`: address is the offset of 16 bytes. */
export const neighbour6 = (context: Context): Proc => {
  const words = [0, 4, 8, 12];
  const same = words.map((at) => eq(field(address, at), field(slotRecord, NEIGHBOUR.address + at))).reduce(and);
  return search(context, "neighbour_6", 6, [], words.map((at) => field(address, at)).reduce(xor), same);
};

/** Sets `at` to where the search for an address begins, before the mask: neighbourHash of runtime/abi/neighbour.ts. */
export const neighbourHash = (at: Reg, folded: Expr): Step[] => [
  set(at, folded),
  set(at, mul(xor(at, shr(at, 16)), NEIGHBOUR_HASH_FACTOR)),
  set(at, xor(at, shr(at, 16))),
];

function search(context: Context, name: string, family: number, prologue: Step[], folded: Expr, same: Expr): Proc {
  const table = local("table");
  const mask = local("mask");
  const at = local("at");
  const owner = field(slotRecord, NEIGHBOUR.device);
  const body: Step[] = [
    ...prologue,
    set(ifindex, ifindexOf(device)),
    set(table, field(context.layout.offset, NET.neighbours)),
    set(mask, field(table, NEIGHBOUR_TABLE.mask)),
    ...neighbourHash(at, xor(folded, ifindex)),
    repeat(
      add(mask, 1),
      "slots",
      [
        set(slotRecord, add(add(table, NEIGHBOUR_TABLE.slots), mul(and(at, mask), NEIGHBOUR_BYTES))),
        when(eqz(owner), [ret(0)]),
        when(and(and(eq(owner, ifindex), eq(field(slotRecord, NEIGHBOUR.family), family)), same), [ret(slotRecord)]),
        set(at, add(at, 1)),
      ],
      "neighbours",
    ),
    ret(0),
  ];
  const comment = "__ipv4_neigh_lookup_noref (include/net/arp.h)";
  return proc(context.name(name), { comment, params: [device, address], result: "i32" }, body);
}

const UNRESOLVED = [run(LEAVE, [Verdict.UNRESOLVED, device]), ret()];

/** `ip_finish_output2(device)`: out by the DEVICE to the next hop in `nh_*`, when its link-layer address is known. */
export const ipFinishOutput2 = (context: Context): Proc =>
  output(context, "ip_finish_output2", "ip_finish_output2 (net/ipv4/ip_output.c)", EtherType.IPV4);

/** `ip6_neigh_output(device)`: the end of ip6_finish_output2, likewise. */
export const ip6NeighOutput = (context: Context): Proc =>
  output(context, "ip6_neigh_output", "neigh_output of ip6_finish_output2 (net/ipv6/ip6_output.c)", EtherType.IPV6);

function output(context: Context, name: string, comment: string, type: number): Proc {
  const resolved = local("resolved");
  const body: Step[] = [
    set(resolved, callNet(context, "neigh_ha", device)),
    trace(TraceEvent.neighbour, [ifindexOf(device), ...nextHopWords(), resolved]),
    when(eqz(resolved), UNRESOLVED),
    ...ethHeader(type),
    runNet(context, "dev_queue_xmit", device),
    ret(),
  ];
  return proc(context.name(name), { comment, params: [device], requires: HEADER }, body);
}

/** Puts the Ethernet header in front: there is headroom, so the guard always holds. */
const ethHeader = (type: number): Step[] => [
  set(mac, sub(l3, ETHERNET_HEADER_BYTES)),
  guard(mac, ETHERNET_HEADER_BYTES, drop(DropReason.NOT_SPECIFIED)),
  put(mac, 0, 4, haHigh),
  put(mac, 4, 2, haLow),
  put(mac, 6, 4, macHigh(device)),
  put(mac, 10, 2, macLow(device)),
  put(mac, 12, 2, type),
  set(protocol, type),
  set(macHeader, 1),
];

/**
 * `neigh_ha(device)`: 1 and the next hop's address in `ha_*`, known or made up; 0: ARP, or neighbour discovery, must find it.
 * Multicast maps to 01:00:5e and 23 bits (RFC 1112 section 6.4), 224.0.0.1 is 01:00:5e:00:00:01; IPv6's to 33:33 and 32 bits (RFC 2464
 * section 7), ff02::1 is 33:33:00:00:00:01.
 */
export function neighHa(context: Context): Proc {
  const take = (high: Operand, low: Operand): Step[] => [set(haHigh, high), set(haLow, low), ret(1)];
  const body: Step[] = [
    set(type, RouteTypeCode.unicast),
    when(
      eq(nhFamily, 4),
      [
        set(known, callNet(context, "neighbour_4", device, nhAddress)),
        when(eqz(known), [set(type, callNet(context, "inet_addr_type", device, nhAddress))]),
      ],
      [
        when(
          ipv6AddrIsMulticast(nhAddress),
          take(or(0x33330000, shr(word6(nhAddress, 12), 16)), and(word6(nhAddress, 12), 0xffff)),
        ),
        set(known, callNet(context, "neighbour_6", device, nhAddress)),
      ],
    ),
    when(known, take(macHigh(known, NEIGHBOUR.mac), macLow(known, NEIGHBOUR.mac))),
    when(
      eq(type, RouteTypeCode.multicast),
      take(or(0x01005e00, and(shr(nhAddress, 16), 0x7f)), and(nhAddress, 0xffff)),
    ),
    when(hasFlag(device, "NOARP"), take(macHigh(device), macLow(device))),
    when(eq(type, RouteTypeCode.broadcast), take(0xffffffff, 0xffff)),
    ret(0),
  ];
  const comment = "arp_constructor (net/ipv4/arp.c), ndisc_constructor (net/ipv6/ndisc.c)";
  return proc(context.name("neigh_ha"), { comment, params: [device], result: "i32" }, body);
}
