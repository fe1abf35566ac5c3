/**
 * vrf_route_leaking.sh: who answers, and through which VRF, when a packet that crosses from VRF blue to VRF red dies on the
 * way.
 *
 *   symmetric     h1 .1 ---- 172.16.1.0/24 ---- .253 blue [ r1 ] red .253 ---- 172.16.2.0/24 ---- .2 h2      (red: MTU 1400)
 *
 *   asymmetric    red has no route back to blue; h2's packets to h1 go through a second router
 *
 *                 h1 .1 ---- 172.16.1.0/24 ---- .253 blue [ r1 ] red .253 ---- 172.16.2.0/24 ---- .2 h2
 *                    .1 ---- 172.16.3.0/24 ---- .254      [ r2 ]     .254 ---- 172.16.4.0/24 ---- .2
 *
 * In the script both routers share the subnets of h1 and h2 through bridges; here the second router has its own.
 * `traceroute` is a ping of each TTL.
 */
import { type Ask, type Command, ping, type Script, type SelfTest } from "../selftest.ts";

const node = (ns: string): Command[] => [
  `ip netns add ${ns}`,
  `ip -n ${ns} link set lo up`,
  `ip netns exec ${ns} sysctl -qw net.ipv6.conf.default.accept_dad=0`,
];
const router = (ns: string): Command[] => [
  ...node(ns),
  `ip netns exec ${ns} sysctl -qw net.ipv4.ip_forward=1`,
  `ip netns exec ${ns} sysctl -qw net.ipv6.conf.all.forwarding=1`,
];

/** The address of a host in subnet N, and its end of the wire. */
const up = (ns: string, dev: string, n: number, host: number): Command[] => [
  `ip -n ${ns} link set ${dev} up`,
  `ip -n ${ns} addr add dev ${dev} 172.16.${n}.${host}/24`,
  `ip -n ${ns} -6 addr add dev ${dev} 2001:db8:16:${n}::${host}/64 nodad`,
];

const createVrf = (vrf: string, table: number): Command[] => [
  `ip -n r1 link add ${vrf} type vrf table ${table}`,
  `ip -n r1 link set ${vrf} up`,
  `ip -n r1 route add vrf ${vrf} unreachable default metric 8192`,
  `ip -n r1 -6 route add vrf ${vrf} unreachable default metric 8192`,
  `ip -n r1 addr add 127.0.0.1/8 dev ${vrf}`,
  `ip -n r1 -6 addr add ::1 dev ${vrf} nodad`,
];

const COMMON: readonly Command[] = [
  ...node("h1"),
  ...node("h2"),
  ...router("r1"),
  "ip -n h1 link add eth0 type veth peer name eth0 netns r1",
  "ip -n h2 link add eth0 type veth peer name eth1 netns r1",
  ...up("h1", "eth0", 1, 1),
  ...up("h2", "eth0", 2, 2),
  "ip -n r1 rule del pref 0",
  "ip -n r1 rule add pref 32765 from all lookup local",
  "ip -n r1 -6 rule del pref 0",
  "ip -n r1 -6 rule add pref 32765 from all lookup local",
  ...createVrf("blue", 1101),
  ...createVrf("red", 1102),
  "ip -n r1 link set mtu 1400 dev eth1",
  "ip -n r1 link set eth0 master blue",
  "ip -n r1 link set eth1 master red",
  ...up("r1", "eth0", 1, 253),
  ...up("r1", "eth1", 2, 253),
  "ip -n h1 route add 172.16.2.0/24 via 172.16.1.253 dev eth0",
  "ip -n h1 -6 route add 2001:db8:16:2::/64 via 2001:db8:16:1::253 dev eth0",
  "ip -n r1 route add vrf blue 172.16.2.0/24 dev red",
  "ip -n r1 -6 route add vrf blue 2001:db8:16:2::/64 dev red",
];

const SYMMETRIC: readonly Command[] = [
  ...COMMON,
  "ip -n h2 route add default via 172.16.2.253 dev eth0",
  "ip -n h2 -6 route add default via 2001:db8:16:2::253 dev eth0",
  "ip -n r1 route add vrf red 172.16.1.0/24 dev blue",
  "ip -n r1 -6 route add vrf red 2001:db8:16:1::/64 dev blue",
];

const ASYMMETRIC: readonly Command[] = [
  ...COMMON,
  ...router("r2"),
  "ip -n h1 link add eth1 type veth peer name eth0 netns r2",
  "ip -n h2 link add eth1 type veth peer name eth1 netns r2",
  ...up("h1", "eth1", 3, 1),
  ...up("h2", "eth1", 4, 2),
  ...up("r2", "eth0", 3, 254),
  ...up("r2", "eth1", 4, 254),
  "ip -n h2 route add default via 172.16.4.254 dev eth1",
  "ip -n h2 -6 route add default via 2001:db8:16:4::254 dev eth1",
  "ip -n r2 route add 172.16.1.0/24 via 172.16.3.1 dev eth0",
  "ip -n r2 -6 route add 2001:db8:16:1::/64 via 2001:db8:16:3::1 dev eth0",
];

interface Family {
  readonly prefix: string;
  readonly h2: string;
  /** r1's address in blue, and in red: the packet is found too big once it is red's. */
  readonly r1: string;
  readonly r1Red: string;
  readonly ttl: string;
  readonly tooBig: string;
}
const IPV4: Family = {
  prefix: "ipv4",
  h2: "172.16.2.2",
  r1: "172.16.1.253",
  r1Red: "172.16.2.253",
  ttl: "Time to live exceeded",
  tooBig: "Frag needed and DF set (mtu = 1400)",
};
const IPV6: Family = {
  prefix: "ipv6",
  h2: "2001:db8:16:2::2",
  r1: "2001:db8:16:1::253",
  r1Red: "2001:db8:16:2::253",
  ttl: "Time exceeded: Hop limit",
  tooBig: "Packet too big: mtu=1400",
};

function testsOf({ prefix, h2, r1, r1Red, ttl, tooBig }: Family): SelfTest[] {
  const fromH1 = (about: string, options: string, expect: string): Ask =>
    ping(about, `ip netns exec h1 ping -c1 -W1 ${options}${h2}`, expect);
  const connectivity = fromH1("connectivity", "", `reply from ${h2}`);
  const hops = [fromH1("first hop", "-t1 ", `${r1}: ${ttl}`), fromH1("second hop", "-t2 ", `reply from ${h2}`)];
  return [
    { group: `${prefix}_traceroute`, name: "symmetric", setup: SYMMETRIC, asks: [connectivity, ...hops] },
    { group: `${prefix}_traceroute_asym`, name: "asymmetric", setup: ASYMMETRIC, asks: [connectivity, ...hops] },
    {
      group: `${prefix}_ping_frag`,
      name: "symmetric",
      setup: SYMMETRIC,
      asks: [connectivity, fromH1("1450 bytes", "-s 1450 ", `${r1Red}: ${tooBig}`)],
    },
  ];
}

export const vrfRouteLeaking: Script = { script: "vrf_route_leaking.sh", tests: [...testsOf(IPV4), ...testsOf(IPV6)] };
