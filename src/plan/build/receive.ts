/**
 * A device receives a frame: from the wire, or (netif_rx) what lo or a VRF was given to send.
 * k:net/core/dev.c __netif_receive_skb_core, net/ethernet/eth.c eth_type_trans, drivers/net/veth.c.
 */

import { ETHERNET_HEADER_BYTES, EtherType, VLAN_VID_MASK } from "../../../runtime/net/ethernet.ts";
import { RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { DropReason, Verdict } from "../../../runtime/verdict.ts";
import {
  add,
  and,
  call,
  type Expr,
  eq,
  eqz,
  gt,
  guard,
  local,
  ne,
  or,
  type Proc,
  packet,
  put,
  type Reg,
  repeat,
  ret,
  run,
  type Step,
  select,
  set,
  shl,
  shr,
  sub,
  tail,
  when,
} from "../ir.ts";
import {
  type Context,
  callNet,
  drop,
  hasFlag,
  ifindexOf,
  macHigh,
  macLow,
  passHook,
  proc,
  readColumn,
  runNet,
  writeColumn,
} from "./context.ts";
import { noteRoute, noteType } from "./dst.ts";
import { ethProto, isVlan, mostBytes, VLAN_HLEN } from "./ethernet.ts";
import { IPHDR_BYTES, iphdr, isMulticast } from "./in.ts";
import { refuseHeader6, whenIpv6 } from "./ipv6/af_inet6.ts";
import { nfHook } from "./netfilter/hook.ts";
import { dupRecursion, macHeader, protocol, sending, skBound, skOwner } from "./netfilter/registers.ts";
import { REFUSE_HEADER } from "./output.ts";
import { tcHook, xdpHook } from "./programs.ts";
import { DstInput, dev, dstIdev, dstInput, dstType, l3, mac, PacketType, pktType, xmitRecursion } from "./skb.ts";

/** Entry RECEIVE: the wire delivers a frame (veth: __dev_forward_skb), if the device takes it at all. */
export function devReceive(context: Context): Proc {
  const body: Step[] = [
    set(dev, callNet(context, "dev_get_by_index", readColumn("device"))),
    when(eqz(dev), drop(DropReason.DEVICE_DOWN)),
    when(eqz(hasFlag(dev, "UP")), drop(DropReason.DEVICE_DOWN)),
    set(mac, readColumn("data")),
    guard(mac, ETHERNET_HEADER_BYTES, drop(DropReason.PKT_TOO_SMALL)),
    when(hasFlag(dev, "VETH"), [when(gt(sub(tail, mac), mostBytes(dev)), drop(DropReason.PKT_TOO_BIG))]),
    ...xdpHook(context),
    runNet(context, "netif_receive_skb"),
    ret(),
  ];
  return proc(context.name("dev_receive"), { comment: "netif_receive_skb (net/core/dev.c)" }, body);
}

/** `dev` receives the frame at `mac`: its hooks, then the protocol. Everything but IP is the host's. */
export function netifReceiveSkb(context: Context): Proc {
  const body: Step[] = [
    run(ETH_TYPE_TRANS),
    set(type, packet(mac, 12, 2)),
    set(tagged, type),
    when(isVlan(type), [set(tagged, call(SKB_VLAN_UNTAG, [])), whenCut, set(protocol, typeOf(tagged))]),
    ...ethProto,
    ...tcIngressHooks(context),
    when(isVlan(type), [
      set(tagged, call(VLAN_INNER, [tagged])),
      whenCut,
      when(vlanOf(tagged), [set(pktType, PacketType.OTHERHOST)]),
      set(type, typeOf(tagged)),
      set(protocol, type),
      when(or(eq(type, EtherType.IPV4), eq(type, EtherType.IPV6)), skbReorderVlanHeader),
    ]),
    when(eq(type, EtherType.IPV4), [runNet(context, "ip_rcv"), ret()]),
    when(eq(type, EtherType.IPV6), [runNet(context, "ipv6_rcv"), ret()]),
    writeColumn("verdict", Verdict.PASS),
    ret(),
  ];
  const requires = [{ cursor: mac, bytes: ETHERNET_HEADER_BYTES }];
  return proc(
    context.name("netif_receive_skb"),
    { comment: "__netif_receive_skb_core (net/core/dev.c)", requires },
    body,
  );
}

const tcIngressHooks = (context: Context): Step[] => [
  ...tcHook(context, "tc ingress", ifindexOf(dev)),
  ...nfHook(context, "netdev ingress", null, [ifindexOf(dev), 0]),
];
const ingressHooks = (context: Context): Step[] => [passHook("xdp", ifindexOf(dev), 0), ...tcIngressHooks(context)];

const type = local("type");
/** VLAN id << 16 | EtherType of what follows a tag, or CUT. */
const tagged = local("tagged");
const CUT = -1;
const vlanOf = (word: Reg): Expr => shr(word, 16);
const typeOf = (word: Reg): Expr => and(word, 0xffff);
const whenCut: Step = when(eq(tagged, CUT), drop(DropReason.NOT_SPECIFIED));

const [addressesHigh, addressesMiddle, addressesLow] = [local("high"), local("middle"), local("low")];
/** Closes the gap that tags have left behind the Ethernet addresses. */
const skbReorderVlanHeader: Step[] = [
  // Holds still, but a chain may have moved the cursor of what it sent elsewhere.
  guard(mac, ETHERNET_HEADER_BYTES, drop(DropReason.NOT_SPECIFIED)),
  set(addressesHigh, packet(mac, 0, 4)),
  set(addressesMiddle, packet(mac, 4, 4)),
  set(addressesLow, packet(mac, 8, 4)),
  set(mac, sub(l3, ETHERNET_HEADER_BYTES)),
  guard(mac, ETHERNET_HEADER_BYTES, drop(DropReason.NOT_SPECIFIED)),
  put(mac, 0, 4, addressesHigh),
  put(mac, 4, 4, addressesMiddle),
  put(mac, 8, 4, addressesLow),
];

const SKB_VLAN_UNTAG = "skb_vlan_untag";

/** `skb_vlan_untag()`: `l3` moves behind the tag it is at; what the tag says, or CUT when it is not all there. */
export function skbVlanUntag(): Proc {
  const id = and(packet(l3, 0, 2), VLAN_VID_MASK);
  const body: Step[] = [
    guard(l3, VLAN_HLEN + 2, [ret(CUT)]),
    set(tagged, or(shl(id, 16), packet(l3, 2, 2))),
    set(l3, add(l3, VLAN_HLEN)),
    ret(tagged),
  ];
  return proc(SKB_VLAN_UNTAG, { comment: "skb_vlan_untag (net/core/skbuff.c)", result: "i32" }, body);
}

const VLAN_INNER = "vlan_inner";
/** More than fit into the longest frame. */
const MAX_TAGS = 0x4000;

/** `vlan_inner(tagged)`: behind a priority tag there may be another; behind that of a VLAN, which has no device here, none counts. */
export function vlanInner(): Proc {
  const body: Step[] = [
    repeat(
      MAX_TAGS,
      "tags",
      [when(or(vlanOf(tagged), eqz(isVlan(typeOf(tagged)))), [ret(tagged)]), set(tagged, call(SKB_VLAN_UNTAG, []))],
      "tags",
    ),
    ret(CUT),
  ];
  const comment = "check_vlan_id in __netif_receive_skb_core (net/core/dev.c)";
  return proc(VLAN_INNER, { comment, params: [tagged], result: "i32" }, body);
}

/** Entry LOOPBACK: the copy of a broadcast or multicast is for this host, and its dst says so. */
export function devLoopbackReceive(context: Context): Proc {
  const device = [
    set(dev, callNet(context, "dev_get_by_index", readColumn("device"))),
    when(eqz(dev), drop(DropReason.DEVICE_DOWN)),
    set(pktType, PacketType.LOOPBACK),
  ];
  const body: Step[] = [
    whenIpv6([
      ...refuseHeader6,
      ...device,
      set(protocol, EtherType.IPV6),
      set(dstInput, DstInput.MULTICAST),
      set(dstIdev, dev),
      noteType(RouteTypeCode.multicast),
      ...ingressHooks(context),
      runNet(context, "ipv6_rcv"),
      ret(),
    ]),
    when(call(REFUSE_HEADER, []), [ret()]),
    guard(l3, IPHDR_BYTES, drop(DropReason.IP_INHDR)),
    ...device,
    set(protocol, EtherType.IPV4),
    set(dstInput, DstInput.LOCAL),
    set(dstType, select(isMulticast(iphdr.daddr), RouteTypeCode.multicast, RouteTypeCode.broadcast)),
    ...noteRoute(0, dstType),
    ...ingressHooks(context),
    runNet(context, "ip_rcv"),
    ret(),
  ];
  return proc(context.name("dev_loopback_receive"), { comment: "dev_loopback_xmit (net/core/dev.c)" }, body);
}

/** Entry XMIT: a frame that this host has made for a device (arp_xmit, nft_reject_queue_xmit). */
export function devDirectXmit(context: Context): Proc {
  const body: Step[] = [
    set(dev, callNet(context, "dev_get_by_index", readColumn("device"))),
    when(eqz(dev), drop(DropReason.DEVICE_DOWN)),
    guard(mac, ETHERNET_HEADER_BYTES, drop(DropReason.PKT_TOO_SMALL)),
    set(l3, add(mac, ETHERNET_HEADER_BYTES)),
    set(protocol, packet(mac, 12, 2)),
    ...ethProto,
    set(macHeader, 1),
    when(or(eq(protocol, EtherType.IPV4), eq(protocol, EtherType.IPV6)), [writeColumn("l3", l3)]),
    runNet(context, "dev_queue_xmit", dev),
    ret(),
  ];
  return proc(context.name("dev_direct_xmit"), { comment: "dev_queue_xmit (net/core/dev.c)" }, body);
}

const ETH_TYPE_TRANS = "eth_type_trans";

/** Sets `l3` behind the Ethernet header, and for whom the frame is; the device's own address leaves pkt_type as it was. */
export function ethTypeTrans(): Proc {
  const [high, low] = [packet(mac, 0, 4), packet(mac, 4, 2)];
  const group = and(packet(mac, 0, 1), 1);
  const broadcast = and(eq(high, 0xffffffff), eq(low, 0xffff));
  const groupType = select(broadcast, PacketType.BROADCAST, PacketType.MULTICAST);
  const body: Step[] = [
    set(l3, add(mac, ETHERNET_HEADER_BYTES)),
    set(protocol, packet(mac, 12, 2)),
    set(macHeader, 1),
    when(or(ne(high, macHigh(dev)), ne(low, macLow(dev))), [
      set(pktType, select(group, groupType, PacketType.OTHERHOST)),
    ]),
    ret(),
  ];
  const requires = [{ cursor: mac, bytes: ETHERNET_HEADER_BYTES }];
  return proc(ETH_TYPE_TRANS, { comment: "eth_type_trans (net/ethernet/eth.c)", requires }, body);
}

/** netif_rx: what a device without a wire was given to send comes back in, with the header that was put in front. */
export function netifRx(context: Context): Proc {
  const body: Step[] = [
    // Queued in the kernel, so transmissions made from here are not nested in the one before, and no socket owns the packet (skb_orphan).
    set(xmitRecursion, 0),
    set(dupRecursion, 0),
    set(skOwner, 0),
    set(sending, 0),
    set(skBound, 0),
    guard(mac, ETHERNET_HEADER_BYTES, drop(DropReason.NOT_SPECIFIED)),
    passHook("xdp", ifindexOf(dev), 0),
    runNet(context, "netif_receive_skb"),
    ret(),
  ];
  return proc(context.name("netif_rx"), { comment: "netif_rx (net/core/dev.c)" }, body);
}
