/**
 * Hop-by-hop options of a received packet, the one extension header that a router reads.
 * k:net/ipv6/exthdrs.c ipv6_parse_hopopts, ip6_parse_tlv, ip6_tlvopt_unknown, ipv6_hop_jumbo, ipv6_hop_ra, ipv6_hop_ioam,
 * ipv6_hop_calipso.
 *
 *      0         1         2
 *   0  next      length    options: type, length, value; Pad1 is a type alone        RFC 8200 section 4.2, 4.3
 *
 * `length` counts 8 bytes each behind the first 8. The two highest bits of a type that nobody knows say what becomes of the packet:
 * 00 skip the option, 01 drop, 10 drop and tell the sender, 11 tell the sender unless the destination is multicast.
 */

import { Icmp6Type, ParameterProblem6 } from "../../../../runtime/net/icmp6.ts";
import {
  IPV6_HEADER_BYTES,
  IPV6_MAX_PAYLOAD,
  Ipv6Option,
  MAX_OPTION_PADDING,
  MAX_OPTIONS,
} from "../../../../runtime/net/ipv6.ts";
import { DropReason } from "../../../../runtime/verdict.ts";
import {
  add,
  and,
  eq,
  eqz,
  gt,
  guard,
  le,
  leave,
  local,
  lt,
  ne,
  type Operand,
  or,
  type Proc,
  packet,
  repeat,
  ret,
  run,
  type Step,
  set,
  shl,
  shr,
  sub,
  tail,
  when,
} from "../../ir.ts";
import { ICMPV6_SEND, KFREE_SKB, proc } from "../context.ts";
import { l3 } from "../skb.ts";

import { HEADER6, ipv6AddrIsMulticast, ipv6hdr } from "./in6.ts";

/** An options header is at most this long: 8 bytes, and 8 for each that its length counts. */
const HOPOPTS_MAX_BYTES = 8 + 255 * 8;

/** Between the options that are known, and in front of them and behind, there is so much padding; the next byte ends it all. */
const MOST_OPTIONS = (MAX_OPTIONS + 1) * (MAX_OPTION_PADDING + 1);

const option = local("option");
const rest = local("rest");
const padding = local("padding");
const known = local("options");
const type = local("type");
const length = local("length");
const at = local("at");
const jumbo = local("jumbo");

const fail = (reason: DropReason): Step[] => [run(KFREE_SKB, [reason]), ret(0)];
const bad = fail(DropReason.IP_INHDR);
const offset = sub(option, l3);
const paramProb = (code: number, pointer: Operand): Step[] => [
  run(ICMPV6_SEND, [Icmp6Type.PARAMPROB, code, pointer]),
  ret(0),
];

export const IPV6_PARSE_HOPOPTS = "ipv6_parse_hopopts";

/** 1, or 0 when the packet has got its verdict. A jumbo option may cut the packet. */
export function ipv6ParseHopopts(): Proc {
  const body: Step[] = [
    set(option, add(l3, IPV6_HEADER_BYTES)),
    guard(option, 8, fail(DropReason.NOT_SPECIFIED)),
    set(rest, shl(add(packet(option, 1, 1), 1), 3)),
    when(lt(sub(tail, option), rest), fail(DropReason.NOT_SPECIFIED)),
    skip(2),
    [set(padding, 0), set(known, 0)],
    repeat(
      HOPOPTS_MAX_BYTES,
      "options",
      [
        when(eqz(rest), [ret(1)]),
        guard(option, 1, bad),
        set(type, packet(option, 0, 1)),
        when(
          eq(type, Ipv6Option.PAD1),
          [...pad(1), ...skip(1)],
          [
            when(lt(rest, 2), bad),
            guard(option, 2, bad),
            set(length, add(packet(option, 1, 1), 2)),
            when(gt(length, rest), bad),
            when(
              eq(type, Ipv6Option.PADN),
              [...pad(length), ...zeros],
              [set(known, add(known, 1)), when(gt(known, MAX_OPTIONS), bad), ...read, set(padding, 0)],
            ),
            ...skip(length),
          ],
        ),
      ],
      MOST_OPTIONS,
    ),
    ret(1),
  ].flat();
  const comment = "ipv6_parse_hopopts, ip6_parse_tlv (net/ipv6/exthdrs.c)";
  return proc(IPV6_PARSE_HOPOPTS, { comment, result: "i32", requires: HEADER6 }, body);
}

function skip(bytes: Operand): Step[] {
  return [set(option, add(option, bytes)), set(rest, sub(rest, bytes))];
}

function pad(bytes: Operand): Step[] {
  return [set(padding, add(padding, bytes)), when(gt(padding, MAX_OPTION_PADDING), bad)];
}

/** PadN hides nothing: its bytes are 0. */
const zeros: Step[] = [
  set(at, add(option, 2)),
  repeat(MAX_OPTION_PADDING, "zeros", [
    when(eq(at, add(option, length)), [leave("zeros")]),
    guard(at, 1, bad),
    when(packet(at, 0, 1), bad),
    set(at, add(at, 1)),
  ]),
];

/** ipv6_hop_jumbo: the packet's real length, which must be one that 16 bits do not hold. */
const readJumbo: Step[] = [
  when(or(ne(length, 6), ne(and(offset, 3), 2)), bad),
  guard(option, 6, bad),
  set(jumbo, packet(option, 2, 4)),
  when(le(jumbo, IPV6_MAX_PAYLOAD), paramProb(ParameterProblem6.HDR_FIELD, add(offset, 2))),
  when(ipv6hdr.payloadLength, paramProb(ParameterProblem6.HDR_FIELD, offset)),
  when(gt(jumbo, sub(sub(tail, l3), IPV6_HEADER_BYTES)), fail(DropReason.PKT_TOO_SMALL)),
  set(tail, add(add(l3, IPV6_HEADER_BYTES), jumbo)),
  guard(l3, IPV6_HEADER_BYTES, bad),
];

const unknownAction = shr(type, 6);
const readUnknown: Step[] = [
  when(unknownAction, [
    when(
      or(eq(unknownAction, 1), and(eq(unknownAction, 3), ipv6AddrIsMulticast(ipv6hdr.daddr))),
      fail(DropReason.UNHANDLED_PROTO),
    ),
    ...paramProb(ParameterProblem6.UNK_OPTION, offset),
  ]),
];

/** Lengths alone: of the option, and of the compartments in it, words of 4 bytes each. */
const readCalipso: Step[] = [
  when(lt(length, 10), bad),
  guard(option, 7, bad),
  when(gt(add(shl(packet(option, 6, 1), 2), 10), length), bad),
];

const notJumbo: Step[] = [when(eq(type, Ipv6Option.CALIPSO), readCalipso, readUnknown)];

const read: Step[] = [
  when(
    eq(type, Ipv6Option.ROUTERALERT),
    [when(ne(length, 4), bad)],
    [
      when(
        eq(type, Ipv6Option.IOAM),
        [when(and(offset, 3), bad)],
        [when(eq(type, Ipv6Option.JUMBO), readJumbo, notJumbo)],
      ),
    ],
  ),
];
