/** Ethernet headers and VLAN tags behind them: what both sides of a device ask of a frame. k:net/ethernet/eth.c eth_type_trans. */
import { DEVICE } from "../../../runtime/abi/device.ts";
import { ETHERNET_HEADER_BYTES, EtherType, VLAN_TAG_BYTES } from "../../../runtime/net/ethernet.ts";
import {
  add,
  block,
  type Expr,
  eq,
  ge,
  guard,
  leave,
  type Operand,
  or,
  packet,
  type Step,
  select,
  set,
  when,
} from "../ir.ts";
import { field } from "./context.ts";
import { protocol } from "./netfilter/registers.ts";
import { l3 } from "./skb.ts";

export const VLAN_HLEN = VLAN_TAG_BYTES;
/** The longest frame that a device with a wire takes: is_skb_forwardable, xdp_ok_fwd_dev. */
export const mostBytes = (device: Operand): Expr => add(field(device, DEVICE.mtu), ETHERNET_HEADER_BYTES + VLAN_HLEN);
export const isVlan = (type: Operand): Expr => or(eq(type, EtherType.VLAN), eq(type, EtherType.VLAN_STACKED));

/** Below, the type is a length, and ETH_P_802_2 or ETH_P_802_3 the protocol. */
const ETH_P_802_3_MIN = 0x600;
const ETH_P_802_3 = 1;
const ETH_P_802_2 = 4;

/** Makes a protocol of the type field in `protocol`; `l3` stands behind it. */
export const ethProto: readonly Step[] = [
  block("typed", [
    when(ge(protocol, ETH_P_802_3_MIN), [leave("typed")]),
    set(protocol, ETH_P_802_2),
    guard(l3, 2, [leave("typed")]),
    set(protocol, select(eq(packet(l3, 0, 2), 0xffff), ETH_P_802_3, ETH_P_802_2)),
  ]),
];
