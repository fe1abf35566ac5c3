/** Protocol and ports of an IPv6 packet behind its extension headers (k:net/core/flow_dissector.c __skb_flow_dissect). */

import { FRAGMENT_HEADER_BYTES, IPV6_HEADER_BYTES, NextHeader } from "../../../../runtime/net/ipv6.ts";
import { add, eq, guard, local, or, type Proc, packet, repeat, ret, type Step, set, shl, when } from "../../ir.ts";
import { proc } from "../context.ts";
import { flowPorts } from "../flow.ts";
import { flDport, flProto, flSport, l3 } from "../skb.ts";
import { HEADER6, ipv6hdr } from "./in6.ts";

const MAX_FLOW_DISSECT_HDRS = 15;

export const DISSECT6 = "skb_flow_dissect_flow_keys6";

/**
 * Sets `fl_proto`, `fl_sport` and `fl_dport` from the packet. A fragment, the first one too, has no ports; nor has a packet that ends before
 * them, or has too many headers.
 */
export function skbFlowDissect6(): Proc {
  const at = local("at");
  const length = local("length");
  const isOptions = [NextHeader.HOP, NextHeader.ROUTING, NextHeader.DEST].map((type) => eq(flProto, type)).reduce(or);
  const skipOptions: Step[] = [
    guard(at, 2, [ret()]),
    set(flProto, packet(at, 0, 1)),
    set(length, shl(add(packet(at, 1, 1), 1), 3)),
    set(at, add(at, length)),
  ];
  const upperLayer: Step[] = [
    when(eq(flProto, NextHeader.FRAGMENT), [
      guard(at, FRAGMENT_HEADER_BYTES, [ret()]),
      set(flProto, packet(at, 0, 1)),
      ret(),
    ]),
    ...flowPorts(at),
    ret(),
  ];
  const body: Step[] = [
    set(flProto, ipv6hdr.nexthdr),
    set(flSport, 0),
    set(flDport, 0),
    set(at, add(l3, IPV6_HEADER_BYTES)),
    repeat(MAX_FLOW_DISSECT_HDRS, "headers", [when(isOptions, skipOptions, upperLayer)]),
    ret(),
  ];
  const comment = "skb_flow_dissect_flow_keys (net/core/flow_dissector.c)";
  return proc(DISSECT6, { comment, requires: HEADER6 }, body);
}
