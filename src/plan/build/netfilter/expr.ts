/**
 * Expressions of rules. What `evaluate` adds to a rule breaks out of it where the expression has no value (NFT_BREAK).
 * k:net/netfilter/nft_payload.c nft_payload_eval, nft_exthdr.c, nft_meta.c nft_meta_get_eval, nft_bitwise.c, nft_lookup.c.
 */

import type { Expr as ChainExpr, Fib, MetaKey, Payload } from "../../../../dsl/chain-model.ts";
import { DEVICE } from "../../../../runtime/abi/device.ts";
import { LOOPBACK_IFINDEX } from "../../../../runtime/brand.ts";
import { ETHERNET_HEADER_BYTES, EtherType } from "../../../../runtime/net/ethernet.ts";
import { IPV6_HEADER_BYTES } from "../../../../runtime/net/ipv6.ts";
import { IP_CT_UNTRACKED, isDeviceView, settledMeta } from "../../../netfilter/view.ts";
import {
  add,
  block,
  call,
  type Expr,
  eq,
  eqz,
  expr,
  guard,
  i32,
  leave,
  local,
  ne,
  type Operand,
  type Reg,
  type Step,
  select,
  set,
  sub,
  tail,
  when,
} from "../../ir.ts";
import { callNet, field, hasFlag, ifindexOrZero, readColumn } from "../context.ts";
import { IPHDR_BYTES, iphdr, isMulticast } from "../in.ts";
import { dev, iif, l3, l3slave, mac, mark, PacketType, pktType } from "../skb.ts";
import type { RuleCode } from "./code.ts";
import { INNER_OFFSET, ipv4FindOption, tcpFindOption } from "./exthdr.ts";
import { questionName, storeResult } from "./fib.ts";
import { ipv6FindHdr } from "./pktinfo.ts";
import {
  hookIn,
  hookOut,
  macHeader,
  NO_L4PROTO,
  priority,
  protocol,
  skOwner,
  thoff,
  thoffAny,
  tprot,
} from "./registers.ts";
import { elementOf, elementValue } from "./sets.ts";
import { constantOf, packetBytes, resized, shifted, type Wide, wideAnd, wideXor } from "./wide.ts";

export function evaluate(code: RuleCode, e: ChainExpr): Wide {
  switch (e.kind) {
    case "const":
      return constantOf(e.value, e.bits);
    case "payload":
      return packetBytes(isFast(e) ? transportOfAny(code, e) : payloadCursor(code, e), e.offset, e.length);
    case "exthdr":
      return extensionHeader(code, e);
    case "meta":
      return [meta(code, e.key)];
    case "fib":
      return [fib(code, e)];
    case "ct":
      return [i32(IP_CT_UNTRACKED)];
    case "bitwise": {
      const operand = evaluate(code, e.operand);
      return wideXor(wideAnd(operand, constantOf(e.mask, e.bits)), constantOf(e.xor, e.bits));
    }
    case "shift": {
      const operand = evaluate(code, e.operand);
      const { bits } = e.operand;
      const moved = shifted(operand.length === 1 ? operand : code.holdAll(operand), bits, e.direction, e.by);
      return resized(moved, bits, e.bits);
    }
    case "map":
      return mapLookup(code, e);
  }
}

/** The key's parts, each held, and then the number of the element that holds them, plus 1; 0: none. */
export function lookUp(code: RuleCode, id: number, key: readonly ChainExpr[]): Expr {
  const parts = key.map((part) => code.holdAll(evaluate(code, part)));
  return elementOf(code.chain, code.chain.layout.sets[id], parts);
}

function mapLookup(code: RuleCode, e: ChainExpr & { kind: "map" }): Wide {
  const layout = code.chain.layout.sets[e.map];
  const element = code.hold(lookUp(code, e.map, e.key));
  code.add(when(eqz(element), code.breaks));
  return elementValue(layout, element, e.bits);
}

// ---- payload

/** The cursor of the payload's header, with a guard of the payload's bytes. */
export function payloadCursor(
  code: RuleCode,
  { base, offset, length }: Pick<Payload, "base" | "offset" | "length">,
): Reg {
  const { view } = code.chain;
  const end = offset + length;
  switch (base) {
    case "link":
      code.add(when(eqz(macHeader), code.breaks), guard(mac, end, code.breaks));
      return mac;
    case "network":
      if (isDeviceView(view) || end > (view === "ip" ? IPHDR_BYTES : IPV6_HEADER_BYTES))
        code.add(guard(l3, end, code.breaks));
      return l3;
    case "transport":
      code.add(guard(thoff, end, code.breaks));
      return thoff;
    case "inner":
      code.add(set(inner, call(INNER_OFFSET, [])), guard(inner, end, code.breaks));
      return inner;
  }
}

/** nft_payload_fast_eval, for what one load reads, does not look at the fragment offset (as of 6.1). */
const isFast = ({ base, offset, length }: Payload): boolean =>
  base === "transport" && [1, 2, 4].includes(length) && offset % length === 0;

function transportOfAny(code: RuleCode, { offset, length }: Payload): Reg {
  code.add(guard(thoffAny, offset + length, code.breaks));
  return thoffAny;
}

const inner = local("inner");

// ---- extension headers and options

const found = local("found");

function extensionHeader(code: RuleCode, e: ChainExpr & { kind: "exthdr" }): Wide {
  const at = findHeader(code, e);
  if (e.present) return [ne(at, 0)];
  code.add(set(found, at), when(eqz(found), code.breaks), guard(found, e.offset + e.length, code.breaks));
  return packetBytes(found, e.offset, e.length).map((piece) => code.hold(piece));
}

/** A cursor, 0: the packet has none. */
function findHeader(code: RuleCode, { op, type, offset, length }: ChainExpr & { kind: "exthdr" }): Expr {
  const { view } = code.chain;
  switch (op) {
    case "ipv6":
      if (view === "ip6") return ipv6FindHdr(type);
      ofEtherType(code, EtherType.IPV6);
      // Where the IPv6 header is not all there, no other is.
      code.add(
        set(found, 0),
        block("whole", [guard(l3, IPV6_HEADER_BYTES, [leave("whole")]), set(found, ipv6FindHdr(type))]),
      );
      return expr(found);
    case "tcp":
      return tcpFindOption(type, offset + length);
    case "ipv4":
      if (view !== "ip") ofEtherType(code, EtherType.IPV4);
      return ipv4FindOption(type);
  }
}

function fib(code: RuleCode, e: Fib & ChainExpr): Expr {
  const { view, context } = code.chain;
  if (!isDeviceView(view)) return storeResult(e, callNet(context, questionName(view === "ip" ? 4 : 6, e)));
  const ask = (family: 4 | 6): Step => set(told, callNet(context, questionName(family, e)));
  code.add(
    when(
      eq(protocol, EtherType.IPV4),
      [guard(l3, IPHDR_BYTES, code.breaks), ask(4)],
      [when(ne(protocol, EtherType.IPV6), code.breaks), guard(l3, IPV6_HEADER_BYTES, code.breaks), ask(6)],
    ),
  );
  return storeResult(e, code.hold(expr(told)));
}

const told = local("told");

/** Breaks for packets of another protocol. */
function ofEtherType(code: RuleCode, type: number): void {
  if (!isDeviceView(code.chain.view)) code.add(...code.breaks);
  else code.add(when(ne(protocol, type), code.breaks));
}

// ---- meta

/** ARPHRD_* */
const ArpHrd = { ETHER: 1, LOOPBACK: 772 } as const;

/** skb->len: at `netdev egress` the Ethernet header counts, in programs too; a VLAN tag only before it is held aside. */
export function skbLength({ chain: { view } }: RuleCode): Expr {
  const behind = sub(tail, l3);
  switch (view) {
    case "xdp":
      return sub(tail, mac);
    case "egress":
      return add(behind, select(eq(mac, l3), 0, ETHERNET_HEADER_BYTES));
    case "tc":
      return add(behind, select(macHeader, ETHERNET_HEADER_BYTES, 0));
    default:
      return behind;
  }
}

function meta(code: RuleCode, key: MetaKey): Expr {
  const { context, view } = code.chain;
  const breakWithout = (value: Operand): void => code.add(when(eqz(value), code.breaks));
  const settled = settledMeta(view, key);
  if (settled !== null) return i32(settled);
  switch (key) {
    case "length":
      return skbLength(code);
    case "protocol":
    case "nfproto": // which every view settles
      return expr(protocol);
    case "l4proto":
      code.add(when(eq(tprot, NO_L4PROTO), code.breaks));
      return expr(tprot);
    case "mark":
      return expr(mark);
    case "priority":
      return expr(priority);
    case "iif":
      return expr(hookIn);
    case "oif":
      return expr(hookOut);
    case "sdif":
      return select(l3slave, ifindexOrZero(iif), 0);
    case "iiftype":
    case "oiftype": {
      // At egress the kernel says iiftype of the one device there is, so that link-layer fields can be matched.
      const ifindex = key === "iiftype" && code.chain.view !== "egress" ? hookIn : hookOut;
      breakWithout(ifindex);
      return select(eq(ifindex, LOOPBACK_IFINDEX), ArpHrd.LOOPBACK, ArpHrd.ETHER);
    }
    case "iftype":
      breakWithout(dev);
      return select(hasFlag(dev, "LOOPBACK"), ArpHrd.LOOPBACK, ArpHrd.ETHER);
    case "iifgroup":
    case "oifgroup": {
      const device = code.hold(callNet(context, "dev_get_by_index", key === "iifgroup" ? hookIn : hookOut));
      breakWithout(device);
      return field(device, DEVICE.group);
    }
    case "pkttype":
      return pktTypeOf(code);
    case "skuid":
      breakWithout(skOwner);
      return readColumn("uid");
    case "skgid":
      breakWithout(skOwner);
      return i32(0);
  }
}

/** nft_meta_get_eval_pkttype_lo: what was looped back, by its destination; IPv4 that is not multicast counts as broadcast. */
function pktTypeOf(code: RuleCode): Expr {
  const { view } = code.chain;
  const looped = eq(pktType, PacketType.LOOPBACK);
  if (view === "ip6") return select(looped, PacketType.MULTICAST, pktType);
  const group = select(isMulticast(iphdr.daddr), PacketType.MULTICAST, PacketType.BROADCAST);
  if (view === "ip") return select(looped, group, pktType);
  const type = local("looped_type");
  const ofIpv4 = [guard(l3, IPHDR_BYTES, code.breaks), set(type, group)];
  const ofIpv6 = [when(ne(protocol, EtherType.IPV6), code.breaks), set(type, PacketType.MULTICAST)];
  code.add(set(type, pktType), when(looped, [when(eq(protocol, EtherType.IPV4), ofIpv4, ofIpv6)]));
  return code.hold(expr(type));
}
