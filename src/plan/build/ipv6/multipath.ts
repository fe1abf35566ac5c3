/**
 * The hash that picks among the siblings of an IPv6 multipath route (k:net/ipv6/route.c rt6_multipath_hash,
 * ip6_multipath_l3_keys). Drawn in runtime/multipath.ts; an address takes part as the exclusive or of its four words.
 */

import { IpProtocol } from "../../../../runtime/net/ipv4.ts";
import { IPV6_HEADER_BYTES } from "../../../../runtime/net/ipv6.ts";
import {
  add,
  and,
  call,
  type Expr,
  eq,
  guard,
  le,
  local,
  type Operand,
  type Proc,
  packet,
  type Reg,
  ret,
  run,
  type Step,
  select,
  set,
  sub,
  when,
  xor,
} from "../../ir.ts";
import { type Context, proc } from "../context.ts";
import { HASH } from "../multipath.ts";
import { FlowFlag, flDaddr, flDport, flFlags, flProto, flSaddr, flSport, l3 } from "../skb.ts";
import { DISSECT6 } from "./flow_dissector.ts";
import { IPV6HDR_DADDR, IPV6HDR_SADDR, ipv6hdr, words6 } from "./in6.ts";

const received = local("received");
const inner = local("inner");
const icmp6 = local("icmp6");
const [proto, sport, dport] = [local("proto"), local("sport"), local("dport")];
const hash = local("hash");

/** The exclusive or of the four words. */
const fold = (address: Operand): Expr => words6(address).reduce(xor);

const flowHash = (sport: Operand, dport: Operand, protocol: Operand): Expr =>
  call(HASH, [fold(flSaddr), fold(flDaddr), sport, dport, protocol]);

/**
 * `rt6_multipath_hash(received)`: of the packet at `l3`, or, when that is of this host, of the flow, whose label is the packet's or none.
 */
export function rt6MultipathHash(context: Context): Proc {
  const body: Step[] = [guard(l3, IPV6_HEADER_BYTES, [ret(0)]), ...steps(context)];
  const comment = "rt6_multipath_hash (net/ipv6/route.c)";
  return proc(context.name("rt6_multipath_hash"), { comment, params: [received], result: "i32" }, body);
}

const label = select(and(flFlags, FlowFlag.UNLABELLED), 0, ipv6hdr.flowlabel);

function steps({ net }: Context): Step[] {
  switch (net.sysctl.fibMultipathHashPolicy6) {
    case 0:
    case 2:
      return [when(received, l3Keys), ret(flowHash(0, label, flProto))];
    case 1:
      return [...dissected(flowHash(flSport, flDport, flProto)), ret(flowHash(flSport, flDport, flProto))];
    case 3:
      return [...dissected(flowHash(0, 0, flProto)), ret(flowHash(0, 0, flProto))];
  }
}

/** Of a received packet the hash of what stands behind its extension headers; the flow stays as it is. */
const dissected = (value: Expr): Step[] => [
  when(received, [
    set(proto, flProto),
    set(sport, flSport),
    set(dport, flDport),
    run(DISSECT6),
    set(hash, value),
    set(flProto, proto),
    set(flSport, sport),
    set(flDport, dport),
    ret(hash),
  ]),
];

const ICMP6HDR_BYTES = 8;

const headerHash = (at: Reg): Expr => {
  const label = and(packet(at, 0, 4), 0xfffff);
  return call(HASH, [fold(add(at, IPV6HDR_SADDR)), fold(add(at, IPV6HDR_DADDR)), 0, label, packet(at, 6, 1)]);
};

/** The header that an ICMPv6 error (types 1 to 4) quotes, so that it takes the path of the flow it is about; else the packet's own. */
const l3Keys: Step[] = [
  when(eq(ipv6hdr.nexthdr, IpProtocol.ICMPV6), [
    set(icmp6, add(l3, IPV6_HEADER_BYTES)),
    guard(icmp6, ICMP6HDR_BYTES, [ret(headerHash(l3))]),
    when(le(sub(packet(icmp6, 0, 1), 1), 3), [
      set(inner, add(icmp6, ICMP6HDR_BYTES)),
      guard(inner, IPV6_HEADER_BYTES, [ret(headerHash(l3))]),
      ret(headerHash(inner)),
    ]),
  ]),
  ret(headerHash(l3)),
];
