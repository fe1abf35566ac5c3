/** Devices of a namespace, with their addresses. */
import { CACHE_LINE } from "./image.ts";

/**
 *      0          4          8          12
 *   0  ifindex    flags      master     table            master: DEVICE of the VRF (0: no slave);
 *  16  tableId    mtu        group      rpFilter         table: TABLE of a VRF, and of its slaves, for IPv4 (0: it has no route)
 *  32  mac (6 bytes, as on the wire), 2 bytes 0          tableId: RT_TABLE of a VRF, 0 otherwise
 *  40  sourceHost sourceLink                             inet_select_addr(device, 0, scope) for IPv4, 0: none
 *  48  sourceUniverse table6 addresses6 addressCount6    table6: as table, for IPv6; addresses6: first ADDRESS6
 *  64  groups6    groupCount6                            groups6: IPv6 groups that the device has joined, 16 bytes each, as on the wire
 *
 * The records of a net stand in the order of the model's devices, so `lo` is first. What the short way reads is in the first cache line.
 */
export const DEVICE = {
  ifindex: 0,
  flags: 4,
  master: 8,
  table: 12,
  tableId: 16,
  mtu: 20,
  group: 24,
  rpFilter: 28,
  mac: 32,
  sourceHost: 40,
  sourceLink: 44,
  sourceUniverse: 48,
  table6: 52,
  addresses6: 56,
  addressCount6: 60,
  groups6: 64,
  groupCount6: 68,
} as const;
export const DEVICE_BYTES = 2 * CACHE_LINE;
export const GROUP6_BYTES = 16;

/**
 * An IPv6 address of a device, in the order in which they were added, with what source address selection (RFC 6724) asks of it.
 *
 *      0          4          8          12
 *   0  address (16 bytes, as on the wire)
 *  16  prefixLength scope    label      orchid           scope: as ipv6_addr_src_scope; orchid: 0 or 1
 */
export const ADDRESS6 = { address: 0, prefixLength: 16, scope: 20, label: 24, orchid: 28 } as const;
export const ADDRESS6_BYTES = 32;

/** Bits of `DEVICE.flags`: interface flags and the per-device sysctls that packets ask for. */
export const DeviceFlag = {
  UP: 1 << 0,
  LOOPBACK: 1 << 1,
  /** An L3 master: a VRF device. */
  VRF: 1 << 2,
  /** IFF_NOARP or IFF_LOOPBACK: sends to its own link-layer address, without a neighbour entry. */
  NOARP: 1 << 3,
  FORWARDING: 1 << 4,
  ACCEPT_LOCAL: 1 << 5,
  ROUTE_LOCALNET: 1 << 6,
  BC_FORWARDING: 1 << 7,
  SEND_REDIRECTS: 1 << 8,
  DROP_UNICAST_IN_L2_MULTICAST: 1 << 9,
  /** A VRF without a qdisc of its own: vrf_l3_out goes direct. */
  QDISC_DEFAULT: 1 << 10,
  /** Has an address (kernel: in_dev->ifa_list is not empty). */
  HAS_ADDRESS: 1 << 11,
  /** One end of a veth: frames larger than its MTU and a VLAN tag do not arrive (is_skb_forwardable). */
  VETH: 1 << 12,
  FORWARDING6: 1 << 13,
  /** net.ipv6.conf.DEVICE.drop_unicast_in_l2_multicast */
  DROP_UNICAST_IN_L2_MULTICAST6: 1 << 14,
  /** net.ipv6.conf.DEVICE.disable_ipv6 */
  DISABLE_IPV6: 1 << 15,
  /** net.ipv4.conf.DEVICE.ignore_routes_with_linkdown */
  IGNORE_LINKDOWN: 1 << 16,
} as const;
