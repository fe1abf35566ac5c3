/**
 * Choosing among the next hops of a multipath route: a hash of the flow's key, and the first hop whose upper bound holds it
 * (k:net/ipv4/fib_semantics.c fib_select_multipath, net/ipv4/route.c fib_multipath_hash). The hash is drawn in
 * runtime/multipath.ts; which fields are in the key is net.ipv4.fib_multipath_hash_policy's choice, settled here.
 */

import { FIB_ALIAS, NEXT_HOP, NEXT_HOP_BYTES } from "../../../runtime/abi/fib.ts";
import { MULTIPATH_SEED, MURMUR } from "../../../runtime/multipath.ts";
import { ICMP_ERRORS } from "../../../runtime/net/icmp.ts";
import { IpProtocol } from "../../../runtime/net/ipv4.ts";
import {
  add,
  and,
  binary,
  call,
  type Expr,
  eq,
  eqz,
  gt,
  guard,
  le,
  local,
  mul,
  ne,
  type Operand,
  or,
  type Proc,
  packet,
  type Reg,
  repeat,
  ret,
  run,
  type Step,
  select,
  set,
  shl,
  shr,
  when,
  xor,
} from "../ir.ts";
import { type Context, field, proc } from "./context.ts";
import { DISSECT } from "./flow.ts";
import { HEADER, IP_OFFSET, IPHDR_BYTES, iphdr } from "./in.ts";
import { flDaddr, flDport, flProto, flSaddr, flSport, l3, resAlias, resHop } from "./skb.ts";

const [a, b] = [local("a"), local("b")];
const [sport, dport] = [local("sport"), local("dport")];
const protocol = local("protocol");
const hash = local("hash");
const word = local("word");
const hop = local("hop");

export const HASH = "multipath_hash";
const KEY_BYTES = 16;

/** `multipath_hash(a, b, sport, dport, protocol)`: 31 bits, the same for both directions of a flow. */
export function multipathHash(): Proc {
  const low = (x: Reg, y: Reg) => select(le(x, y), x, y);
  const high = (x: Reg, y: Reg) => select(le(x, y), y, x);
  const mix = (value: Operand): Step[] => [
    set(word, mul(binary("rotl", mul(value, MURMUR.c1), 15), MURMUR.c2)),
    set(hash, add(mul(binary("rotl", xor(hash, word), 13), 5), MURMUR.n)),
  ];
  const body: Step[] = [
    set(hash, MULTIPATH_SEED),
    ...mix(low(a, b)),
    ...mix(high(a, b)),
    ...mix(or(shl(low(sport, dport), 16), high(sport, dport))),
    ...mix(protocol),
    set(hash, xor(hash, KEY_BYTES)),
    set(hash, mul(xor(hash, shr(hash, 16)), MURMUR.f1)),
    set(hash, mul(xor(hash, shr(hash, 13)), MURMUR.f2)),
    ret(shr(xor(hash, shr(hash, 16)), 1)),
  ];
  const comment = "fib_multipath_hash (net/ipv4/route.c)";
  return proc(HASH, { comment, params: [a, b, sport, dport, protocol], result: "i32" }, body);
}

/** The hash of a packet of this host: of its flow. */
export function flowHash({ net }: Context): Expr {
  switch (net.sysctl.fibMultipathHashPolicy) {
    case 0:
    case 2:
      return call(HASH, [flSaddr, flDaddr, 0, 0, 0]);
    case 1:
      return call(HASH, [flSaddr, flDaddr, flSport, flDport, flProto]);
    case 3:
      return call(HASH, [flSaddr, flDaddr, 0, 0, flProto]);
  }
}

/** Steps that set `hash` for a received packet. The flow's protocol and ports may be overwritten. */
export function setPacketHash({ net }: Context, hash: Reg): Step[] {
  switch (net.sysctl.fibMultipathHashPolicy) {
    case 0:
      return [set(hash, call(L3_KEYS, []))];
    case 1:
      return [run(DISSECT), set(hash, call(HASH, [iphdr.saddr, iphdr.daddr, flSport, flDport, flProto]))];
    case 2:
      return [set(hash, call(HASH, [iphdr.saddr, iphdr.daddr, 0, 0, 0]))];
    case 3:
      return [set(hash, call(HASH, [iphdr.saddr, iphdr.daddr, 0, 0, iphdr.protocol]))];
  }
}

const L3_KEYS = "ip_multipath_l3_keys";
const ICMPHDR_BYTES = 8;
/** Destination unreachable, source quench, redirect, time exceeded, parameter problem. */

/** The hash of the addresses that an ICMP error quotes, so that it takes the path of the flow it is about; else of its own. */
export function ipMultipathL3Keys(): Proc {
  const inner = local("inner");
  const own = [ret(call(HASH, [iphdr.saddr, iphdr.daddr, 0, 0, 0]))];
  const isError = ICMP_ERRORS.map((type) => eq(packet(inner, 0, 1), type)).reduce(or);
  const body: Step[] = [
    when(ne(iphdr.protocol, IpProtocol.ICMP), own),
    when(and(iphdr.fragment, IP_OFFSET), own),
    set(inner, add(l3, iphdr.length)),
    guard(inner, ICMPHDR_BYTES + IPHDR_BYTES, own),
    when(eqz(isError), own),
    ret(call(HASH, [packet(inner, ICMPHDR_BYTES + 12, 4), packet(inner, ICMPHDR_BYTES + 16, 4), 0, 0, 0])),
  ];
  return proc(L3_KEYS, { comment: "ip_multipath_l3_keys (net/ipv4/route.c)", result: "i32", requires: HEADER }, body);
}

/** `fib_select_multipath(hash)`: the result's next hop; it stays what the table chose when no bound holds the hash. */
export function fibSelectMultipath(): Proc {
  const body: Step[] = [
    set(hop, field(resAlias, FIB_ALIAS.nextHops)),
    repeat(
      field(resAlias, FIB_ALIAS.hopCount),
      "hops",
      [
        when(eqz(binary("gt_s", hash, field(hop, NEXT_HOP.upperBound))), [set(resHop, hop), ret()]),
        set(hop, add(hop, NEXT_HOP_BYTES)),
      ],
      "hops",
    ),
    ret(),
  ];
  const comment = "fib_select_multipath (net/ipv4/fib_semantics.c)";
  return proc("fib_select_multipath", { comment, params: [hash] }, body);
}

/** Not zero when the result has several next hops. */
export const isMultipath: Expr = gt(field(resAlias, FIB_ALIAS.hopCount), 1);
