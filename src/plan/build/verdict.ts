/** How a packet leaves the program: the columns of each verdict, and the step that ends its trace. */

import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { NEXT_HOP_IN_SLOT, PacketFlag, REDIRECT_IN_SLOT } from "../../../runtime/batch.ts";
import { Verdict } from "../../../runtime/verdict.ts";
import {
  add,
  and,
  type Expr,
  eq,
  expr,
  load,
  local,
  type Operand,
  or,
  type Proc,
  type Reg,
  ret,
  run,
  type Step,
  select,
  shl,
  store,
  sub,
  tail,
  trace,
  unary,
  when,
} from "../ir.ts";
import {
  addressField,
  ICMP_SEND,
  ICMPV6_SEND,
  ifindexOf,
  ifindexOrZero,
  KFREE_SKB,
  proc,
  readColumn,
  writeColumn,
} from "./context.ts";
import { dev, iif, l3, nhAddress, nhFamily, slot } from "./skb.ts";

const reason = local("reason");
const type = local("type");
const code = local("code");
const info = local("info");
const verdict = local("verdict");
const device = local("device");

/** `data` and `length` as the packet now is, from its IP header or from its Ethernet header on. */
export const writeExtent = (start: Reg): Step[] => [
  writeColumn("data", start),
  writeColumn("length", sub(tail, start)),
];

/** kfree_skb_reason */
export const kfreeSkb = (): Proc =>
  proc(KFREE_SKB, { comment: "kfree_skb_reason (net/core/skbuff.c)", params: [reason] }, [
    writeColumn("verdict", Verdict.DROP),
    writeColumn("reason", reason),
    trace(TraceEvent.drop, [reason]),
    ret(),
  ]);

const error = (name: string, comment: string, event: number): Proc =>
  proc(name, { comment, params: [type, code, info] }, [
    writeColumn("verdict", Verdict.ICMP_ERROR),
    ...writeExtent(l3),
    writeColumn("error", or(shl(type, 8), code)),
    writeColumn("info", info),
    ...writeDevices,
    trace(event, [type, code]),
    ret(),
  ]);

const writeDevices: readonly Step[] = [
  writeColumn("skbDevice", ifindexOrZero(dev)),
  writeColumn("sdif", ifindexOrZero(iif)),
];

/** `icmp_send(type, code, info)`: the host writes the error, about the packet as it now is. */
export const icmpSendProc = (): Proc => error(ICMP_SEND, "icmp_send (net/ipv4/icmp.c)", TraceEvent.icmp_send);

/** `icmpv6_send(type, code, info)`: of IPv6, likewise. */
export const icmpv6SendProc = (): Proc =>
  error(ICMPV6_SEND, "icmpv6_send (include/linux/icmpv6.h)", TraceEvent.icmpv6_send);

/** A redirect whose target stands in the slot. The packet itself goes on, and ends with a verdict of its own. */
export const writeRedirect: readonly Step[] = [writeColumn("redirect", add(slot, REDIRECT_IN_SLOT)), ...writeDevices];

export const LEAVE = "leave";

/** `leave(verdict, device)`: UNRESOLVED or FRAGMENT; the IP packet stays for the host, who needs to know its next hop. */
export const leaveProc = (): Proc =>
  proc(LEAVE, { comment: "the host goes on with the packet", params: [verdict, device] }, [
    writeColumn("verdict", verdict),
    writeColumn("outDevice", ifindexOf(device)),
    ...writeExtent(l3),
    run(WRITE_NEXT_HOP),
    ret(),
  ]);

export const WRITE_NEXT_HOP = "write_next_hop";

/** The next hop's address, to its place in the slot, as on the wire. */
export const writeNextHop = (): Proc => {
  const place = add(slot, NEXT_HOP_IN_SLOT);
  const copy = (at: number): Step => store("batch", 4, place, at, load("image", 4, nhAddress, at));
  return proc(WRITE_NEXT_HOP, { comment: "column nextHop" }, [
    when(
      eq(nhFamily, 6),
      [...[0, 4, 8, 12].map(copy), writeColumn("flags", or(readColumn("flags"), PacketFlag.NEXT_HOP_IPV6))],
      [
        store("batch", 4, place, 0, unary("bswap32", nhAddress)),
        writeColumn("flags", and(readColumn("flags"), ~PacketFlag.NEXT_HOP_IPV6)),
      ],
    ),
    writeColumn("nextHop", place),
    ret(),
  ]);
};

/** Words of an address in a trace: family and four words, of the next hop. */
export const nextHopWords = (): Expr[] => {
  const isV6 = eq(nhFamily, 6);
  const word = (at: number, otherwise: Operand) =>
    select(isV6, addressField(select(isV6, nhAddress, 0), at), otherwise);
  return [expr(nhFamily), word(0, nhAddress), word(4, 0), word(8, 0), word(12, 0)];
};
