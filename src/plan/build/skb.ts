/**
 * The packet in flight: registers that all procs share, named after the kernel's `struct sk_buff`, `struct flowi4` and
 * `struct fib_result`. Devices, routes and next hops are held as offsets of their records, 0 for none; the flow holds
 * ifindexes, because rules compare those.
 *
 *   mac         l3                              tail
 *    | Ethernet  | IP header, payload ...        |        mac and l3 are cursors; mac may be stale until a header is pushed
 */
import { THREAD_REGISTERS } from "../../../runtime/abi/program.ts";
import { type Reg, skbReg, tail } from "../ir.ts";
import { CHAIN_REGS } from "./netfilter/registers.ts";

/** Of a module for several threads: the area of the one that this is (runtime/abi/image.ts; the kernel's __per_cpu_offset). */
export const worker = skbReg("worker");

/** The same of a program for several threads, which the host gives it: how far its own is from the state's, and the area of the module's (abi/program.ts). */
export const own = skbReg(THREAD_REGISTERS.own);
export const area = skbReg(THREAD_REGISTERS.area);

/** Where the batch's row of this packet begins, and the distance between two columns, in bytes. */
export const row = skbReg("row");
export const stride = skbReg("stride");
/** First byte of the packet's slot. */
export const slot = skbReg("slot");

export const mac = skbReg("mac");
export const l3 = skbReg("l3");

/** skb->dev, a DEVICE; 0 for a packet of a socket that no device has touched yet. */
export const dev = skbReg("dev");
/** IPCB(skb)->iif as a DEVICE: the device that ip_rcv_core saw; 0 on the way out. */
export const iif = skbReg("iif");
/** IPSKB_L3SLAVE: a VRF took the packet over from `iif`. */
export const l3slave = skbReg("l3slave");
/** IPSKB_DOREDIRECT: its sender should be told of the better gateway. */
export const doredirect = skbReg("doredirect");
/** skb->pkt_type: one of PacketType. */
export const pktType = skbReg("pkt_type");
export const mark = skbReg("mark");
/** skb->ignore_df of an IPv6 packet: it is this host's own, and may be cut. */
export const ignoreDf = skbReg("ignore_df");
/** sk_mc_loop: of a multicast IPv6 packet that goes out this host may want a copy. */
export const mcLoop = skbReg("mc_loop");
/** VRF transmissions nested in each other (kernel: softnet_data.xmit.recursion). */
export const xmitRecursion = skbReg("xmit_recursion");

/** What happens to the packet after the present pass: one of Next. */
export const next = skbReg("next");

/** skb_dst(skb): what dst_input and dst_output do with the packet (DstInput, DstOutput), and the device it leaves by. */
export const dstInput = skbReg("dst_input");
export const dstOutput = skbReg("dst_output");
export const dstDev = skbReg("dst_dev");
/** NEXT_HOP whose gateway is a neighbour; 0: the destination itself is the next hop. */
export const dstGateway = skbReg("dst_gateway");
/** rt6i_idev: the DEVICE of the route's next hop, which for an own address is not `dst_dev`. IPv6 alone. */
export const dstIdev = skbReg("dst_idev");
/** RTN_* of the route. */
export const dstType = skbReg("dst_type");
/** RTAX_MTU of the route; 0: the device's. */
export const dstMtu = skbReg("dst_mtu");
/** rt->dst.error of a route that refuses. */
export const dstError = skbReg("dst_error");

/** The next hop of a packet that is about to leave: family (4 or 6), IPv4 address, or offset of 16 bytes of IPv6. */
export const nhFamily = skbReg("nh_family");
export const nhAddress = skbReg("nh_address");
/** Its link-layer address: the first four bytes and the last two. */
export const haHigh = skbReg("ha_high");
export const haLow = skbReg("ha_low");

export const flIif = skbReg("fl_iif");
export const flOif = skbReg("fl_oif");
/** flowi_l3mdev as a DEVICE. */
export const flL3mdev = skbReg("fl_l3mdev");
/** IPv4 addresses, or offsets of 16 bytes of IPv6 (ipv6/in6.ts). */
export const flSaddr = skbReg("fl_saddr");
export const flDaddr = skbReg("fl_daddr");
export const flMark = skbReg("fl_mark");
export const flTos = skbReg("fl_tos");
export const flProto = skbReg("fl_proto");
export const flSport = skbReg("fl_sport");
export const flDport = skbReg("fl_dport");
export const flUid = skbReg("fl_uid");
/** FlowFlag bits. */
export const flFlags = skbReg("fl_flags");

/** fib_result: FIB_ALIAS, NEXT_HOP, RTN_* and prefix length. Valid after a look-up that returned 0. */
export const resAlias = skbReg("res_alias");
export const resHop = skbReg("res_hop");
export const resType = skbReg("res_type");
export const resPrefixLength = skbReg("res_prefixlen");

/** The flow, the result of a look-up, the dst. */
export const FLOW_REGS: readonly Reg[] = [
  ...[flIif, flOif, flL3mdev, flSaddr, flDaddr, flMark, flTos, flProto, flSport, flDport, flUid, flFlags],
];
export const RESULT_REGS: readonly Reg[] = [resAlias, resHop, resType, resPrefixLength];
export const DST_REGS: readonly Reg[] = [
  ...[dstInput, dstOutput, dstDev, dstGateway, dstIdev, dstType, dstMtu, dstError],
];

export const SKB_REGS: readonly Reg[] = [
  ...[
    tail,
    row,
    stride,
    slot,
    mac,
    l3,
    dev,
    iif,
    l3slave,
    doredirect,
    pktType,
    mark,
    xmitRecursion,
    next,
    ignoreDf,
    mcLoop,
  ],
  ...DST_REGS,
  ...[nhFamily, nhAddress, haHigh, haLow],
  ...FLOW_REGS,
  ...RESULT_REGS,
  ...CHAIN_REGS,
];

/** skb->pkt_type (linux/if_packet.h). */
export const PacketType = { HOST: 0, BROADCAST: 1, MULTICAST: 2, OTHERHOST: 3, LOOPBACK: 5 } as const;

/** Passes of one packet through the IP layer follow each other as the devices themselves hand it on. */
export const Next = {
  /** The verdict stands. */
  DONE: 0,
  /** netif_rx: `dev` (lo, or a VRF) receives what it was given to send; the packet keeps its dst. */
  NETIF_RX: 1,
  /** `dev`, a VRF, has the packet to send. */
  VRF_XMIT: 2,
  /** A program redirects the packet: `dev` has it to send. */
  DEV_QUEUE_XMIT: 3,
} as const;

/** FLOWI_FLAG_*, whose values differ between releases and mean nothing outside, and what else a flow says of itself. */
export const FlowFlag = {
  /** The source need not be an address of this host. */
  ANYSRC: 1,
  /** Profile 5.4: the VRF took the place of oif, so next hops need not leave by it (FLOWI_FLAG_SKIP_NH_OIF). */
  SKIP_NH_OIF: 2,
  /** Profile 6.15: l3mdev follows from oif, not from iif (FLOWI_FLAG_L3MDEV_OIF). */
  L3MDEV_OIF: 4,
  /** IPv6: a socket is bound to oif, so that no other device will do (sk_bound_dev_if). */
  BOUND: 8,
  /** IPv6: its flow label is 0, whatever the packet's is. */
  UNLABELLED: 16,
} as const;

/** dst->input; NONE: the packet has no dst; MULTICAST: ip6_mc_input. */
export const DstInput = { NONE: 0, LOCAL: 1, FORWARD: 2, ERROR: 3, DISCARD: 4, MULTICAST: 5 } as const;
/** dst->output. */
export const DstOutput = { IP: 0, IP_MC: 1, VRF: 2 } as const;
