/**
 * The network of fcnal-test.sh:
 *
 *        ns-A                          |  ns-B
 *        lo    172.16.2.1   ...:2::1   |  lo    172.16.2.2   ...:2::2
 *        eth1  172.16.1.1   ...:1::1 --|- eth1  172.16.1.2   ...:1::2
 *        red   172.16.3.1   ...:3::1   |                                 2001:db8 in front of all IPv6 addresses
 *              127.0.0.1    ::1        |
 *
 * With a VRF, eth1 of ns-A is red's (table 1101, `unreachable default metric 8192`), and the local rule comes after the
 * VRF's. The MACs of eth1 are fixed here, and with them its link-local addresses.
 */
import { type Command, commandOf } from "../selftest.ts";

export const A = { dev: "172.16.1.1", lo: "172.16.2.1", vrf: "172.16.3.1" } as const;
export const B = { dev: "172.16.1.2", lo: "172.16.2.2" } as const;
export const A6 = { dev: "2001:db8:1::1", lo: "2001:db8:2::1", vrf: "2001:db8:3::1", link: "fe80::ff:fe00:a" } as const;
export const B6 = { dev: "2001:db8:1::2", lo: "2001:db8:2::2", link: "fe80::ff:fe00:b" } as const;
export const inA = "ip netns exec ns-A";
export const inB = "ip netns exec ns-B";

const createNs = (ns: string, lo: string, lo6: string): Command[] => [
  `ip netns add ${ns}`,
  `ip -n ${ns} link set lo up`,
  `ip -n ${ns} addr add dev lo ${lo}/32`,
  `ip -n ${ns} -6 addr add dev lo ${lo6}/128`,
  `ip -n ${ns} route add unreachable default metric 8192`,
  `ip -n ${ns} -6 route add unreachable default metric 8192`,
  `ip netns exec ${ns} sysctl -qw net.ipv4.ip_forward=1`,
  `ip netns exec ${ns} sysctl -qw net.ipv6.conf.all.forwarding=1`,
  `ip netns exec ${ns} sysctl -qw net.ipv6.conf.default.accept_dad=0`,
];

const connect = [
  "ip -n ns-A link add eth1 address 02:00:00:00:00:0a type veth peer name eth1 address 02:00:00:00:00:0b netns ns-B",
  "ip -n ns-A link set eth1 up",
  "ip -n ns-B link set eth1 up",
  `ip -n ns-A addr add dev eth1 ${A.dev}/24`,
  `ip -n ns-B addr add dev eth1 ${B.dev}/24`,
  `ip -n ns-A -6 addr add dev eth1 ${A6.dev}/64 nodad`,
  `ip -n ns-B -6 addr add dev eth1 ${B6.dev}/64 nodad`,
];

const createVrf = (ns: string): Command[] => [
  `ip -n ${ns} link add red type vrf table 1101`,
  `ip -n ${ns} link set red up`,
  `ip -n ${ns} route add vrf red unreachable default metric 8192`,
  `ip -n ${ns} -6 route add vrf red unreachable default metric 8192`,
  `ip -n ${ns} addr add 127.0.0.1/8 dev red`,
  `ip -n ${ns} -6 addr add ::1 dev red nodad`,
  `ip -n ${ns} addr add dev red ${A.vrf}`,
  `ip -n ${ns} -6 addr add dev red ${A6.vrf}`,
  `ip -n ${ns} rule del pref 0`,
  `ip -n ${ns} rule add pref 32765 from all lookup local`,
  `ip -n ${ns} -6 rule del pref 0`,
  `ip -n ${ns} -6 rule add pref 32765 from all lookup local`,
];

const fromB = [
  `ip -n ns-B route add ${A.lo}/32 via ${A.dev} dev eth1`,
  `ip -n ns-B -6 route add ${A6.lo}/128 via ${A6.dev} dev eth1`,
];

export const WITHOUT_VRF: readonly Command[] = [
  ...createNs("ns-A", A.lo, A6.lo),
  ...createNs("ns-B", B.lo, B6.lo),
  ...connect,
  `ip -n ns-A route add ${B.lo}/32 via ${B.dev} dev eth1`,
  `ip -n ns-A -6 route add ${B6.lo}/128 via ${B6.dev} dev eth1`,
  ...fromB,
];

export const WITH_VRF: readonly Command[] = [
  ...createNs("ns-A", A.lo, A6.lo),
  ...createNs("ns-B", B.lo, B6.lo),
  ...connect,
  ...createVrf("ns-A"),
  "ip -n ns-A link set dev eth1 master red",
  // Moving into a VRF takes the IPv6 addresses away; the script has the kernel keep them (keep_addr_on_down).
  `ip -n ns-A -6 addr add dev eth1 ${A6.dev}/64 nodad`,
  `ip -n ns-A route add vrf red ${B.lo}/32 via ${B.dev} dev eth1`,
  `ip -n ns-A -6 route add vrf red ${B6.lo}/128 via ${B6.dev} dev eth1`,
  `ip -n ns-B route add ${A.vrf}/32 via ${A.dev} dev eth1`,
  `ip -n ns-B -6 route add ${A6.vrf}/128 via ${A6.dev} dev eth1`,
  ...fromB,
];

/** ns-B has no IPv6 address but its link-local one, and reaches ns-A through ns-A's link-local one. */
export const LINK_LOCAL_B: readonly Command[] = [
  ...WITH_VRF.filter((command) => !/^ip -n ns-B -6 .* 2001:db8:/.test(commandOf(command))),
  `ip -n ns-B -6 route add ${A6.dev}/128 via ${A6.link} dev eth1`,
];
