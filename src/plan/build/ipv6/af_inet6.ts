/** Where the host's IPv6 packets enter: whose packet it is, and whether its header is all there. */

import { IPV6_HEADER_BYTES } from "../../../../runtime/net/ipv6.ts";
import { DropReason } from "../../../../runtime/verdict.ts";
import { call, eq, guard, type Proc, ret, run, type Step, set, when } from "../../ir.ts";
import { KFREE_SKB, proc, readColumn, writeColumn } from "../context.ts";
import { l3 } from "../skb.ts";
import { ipv6hdr } from "./in6.ts";

const IS_IPV6 = "is_ipv6";

/** `is_ipv6()`: 1 when the host's packet says that it is one of IPv6. Sets `l3`. */
export function isIpv6(): Proc {
  const body: Step[] = [set(l3, readColumn("data")), guard(l3, 2, [ret(0)]), ret(eq(ipv6hdr.version, 6))];
  return proc(IS_IPV6, { comment: "the first nibble of the host's packet is 6", result: "i32" }, body);
}

/** First steps of an entry that both families have: IPv6 packets go the way of `steps`, which leaves. */
export const whenIpv6 = (steps: readonly Step[]): Step => when(call(IS_IPV6, []), steps);

/** First steps of an entry of IPv6: afterwards 40 bytes are there. */
export const refuseHeader6: readonly Step[] = [
  set(l3, readColumn("data")),
  guard(l3, IPV6_HEADER_BYTES, [run(KFREE_SKB, [DropReason.IP_INHDR]), ret()]),
  writeColumn("l3", l3),
];
