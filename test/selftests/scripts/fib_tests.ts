/**
 * fib_tests.sh: what becomes of routes when devices, addresses and other routes come and go. A case of the script that lists
 * a table is here a look-up of the route itself (`fibmatch`), bound to a device where a second route hides behind the first.
 *
 *   dummy0 198.51.100.1/24 2001:db8:1::1/64            root namespace
 */
import type { Query } from "../../../src/scenario.ts";
import { type Ask, type Command, frame, query, refused, type Script, type SelfTest } from "../selftest.ts";
import { udpFrame } from "./frames.ts";

const NETWORK: readonly Command[] = [
  "sysctl -qw net.ipv4.ip_forward=1",
  "sysctl -qw net.ipv6.conf.all.forwarding=1",
  "ip link add dummy0 type dummy",
  "ip link set dev dummy0 up",
  "ip addr add 198.51.100.1/24 dev dummy0",
  "ip -6 addr add 2001:db8:1::1/64 dev dummy0 nodad",
];

const NONE = "ENETUNREACH";
const match = (about: string, dst: string, expect: string, flow: Omit<Query, "dst"> = {}): Ask =>
  query(about, { dst, ...flow, fibmatch: true }, expect);

// ---- unregister, down -------------------------------------------------------------------------------------------------

const CONNECTED = "198.51.100.0/24 dev dummy0 table 254 src 198.51.100.1";
const CONNECTED6 = "2001:db8:1::/64 dev dummy0 table 254 metric 256";
const HOPS =
  "203.0.113.0/24 nexthop via 198.51.100.2 dev dummy0 weight 1 nexthop via 192.0.2.2 dev dummy1 weight 1 table 254";
const [HOP0, HOP1] = ["nexthop via 2001:db8:1::2 dev dummy0 weight 1", "nexthop via 2001:db8:2::2 dev dummy1 weight 1"];
const HOPS6 = (first: string, second: string): string => `2001:db8:3::/64 ${first} ${second} table 254 metric 1024`;

const single = (name: string, change: string): SelfTest => ({
  group: name,
  name: "single path",
  setup: [...NETWORK, change],
  asks: [match("IPv4", "198.51.100.2", NONE), match("IPv6", "2001:db8:1::2", NONE)],
});

const MULTIPATH: readonly Command[] = [
  ...NETWORK,
  "ip link add dummy1 type dummy",
  "ip link set dev dummy1 up",
  "ip addr add 192.0.2.1/24 dev dummy1",
  "ip -6 addr add 2001:db8:2::1/64 dev dummy1 nodad",
  "ip route add 203.0.113.0/24 nexthop via 198.51.100.2 dev dummy0 nexthop via 192.0.2.2 dev dummy1",
  "ip -6 route add 2001:db8:3::/64 nexthop via 2001:db8:1::2 dev dummy0 nexthop via 2001:db8:2::2 dev dummy1",
];

const multipath = (group: string, name: string, changes: readonly Command[], asks: readonly Ask[]): SelfTest => ({
  group,
  name,
  setup: [...MULTIPATH, ...changes],
  asks,
});

/** One device is down: the hop over it is dead, the other one lives. */
const oneDown = (down: string, up: string, changes: readonly Command[], first: string, second: string): SelfTest =>
  multipath("fib_down_multipath_test", `${down} down`, changes, [
    match("IPv4 on down device", "203.0.113.1", NONE, { oif: down }),
    match("IPv6 on down device", "2001:db8:3::1", NONE, { oif: down }),
    match("IPv4 on up device", "203.0.113.1", HOPS, { oif: up }),
    match("IPv6 on up device", "2001:db8:3::1", HOPS6(first, second), { oif: up }),
    query(
      "IPv4, the hop taken",
      { dst: "203.0.113.1" },
      `via ${up === "dummy0" ? "198.51.100.2" : "192.0.2.2"} dev ${up} table 254`,
    ),
    query(
      "IPv6, the hop taken",
      { dst: "2001:db8:3::1" },
      `via ${up === "dummy0" ? "2001:db8:1::2" : "2001:db8:2::2"} dev ${up} table 254 metric 1024`,
    ),
  ]);

const unregister: SelfTest[] = [
  {
    group: "fib_unreg_unicast_test",
    name: "start",
    setup: NETWORK,
    asks: [match("IPv4", "198.51.100.2", CONNECTED), match("IPv6", "2001:db8:1::2", CONNECTED6)],
  },
  single("fib_unreg_unicast_test", "ip link del dev dummy0"),
  multipath(
    "fib_unreg_multipath_test",
    "start",
    [],
    [match("IPv4", "203.0.113.1", HOPS), match("IPv6", "2001:db8:3::1", HOPS6(HOP0, HOP1), { oif: "dummy0" })],
  ),
  multipath(
    "fib_unreg_multipath_test",
    "one device deleted, IPv4: the whole route goes",
    ["ip link del dev dummy0"],
    [match("IPv4", "203.0.113.1", NONE)],
  ),
  multipath(
    "fib_unreg_multipath_test",
    "one device deleted, IPv6: the other hop is left",
    ["ip link del dev dummy0"],
    [match("IPv6", "2001:db8:3::1", "2001:db8:3::/64 via 2001:db8:2::2 dev dummy1 table 254 metric 1024")],
  ),
  multipath(
    "fib_unreg_multipath_test",
    "both devices deleted",
    ["ip link del dev dummy0", "ip link del dev dummy1"],
    [match("IPv6", "2001:db8:3::1", NONE)],
  ),
  single("fib_down_unicast_test", "ip link set dev dummy0 down"),
  oneDown("dummy0", "dummy1", ["ip link set dev dummy0 down"], HOP1, HOP0),
  oneDown(
    "dummy1",
    "dummy0",
    [
      "ip link set dev dummy0 down",
      // IPv6 addresses go when a device goes down; what is left is the link-local one of this MAC.
      "ip link set dev dummy0 address 02:00:00:00:00:0d",
      "ip link set dev dummy0 up",
      "ip link set dev dummy1 down",
    ],
    HOP0,
    HOP1,
  ),
  multipath(
    "fib_down_multipath_test",
    "both down",
    ["ip link set dev dummy0 down", "ip link set dev dummy1 down"],
    [match("IPv4", "203.0.113.1", NONE), match("IPv6", "2001:db8:3::1", NONE)],
  ),
];

// ---- rules ------------------------------------------------------------------------------------------------------------

const suppress: SelfTest = {
  group: "fib_suppress_test",
  name: "suppress_prefixlength 0",
  setup: [
    ...NETWORK,
    "ip link add dummy1 type dummy",
    "ip link set dummy1 up",
    "ip -6 route add default dev dummy1",
    "ip -6 rule add table main suppress_prefixlength 0",
    "ip route add default via 198.51.100.9",
    "ip rule add table main suppress_prefixlength 0",
    "ip -6 rule add pref 32766 unreachable",
    "ip -6 rule del pref 32766 lookup main",
  ],
  asks: [
    query("IPv6: the default route is passed over", { dst: "1234::1" }, NONE),
    query("IPv6: a longer one is not", { dst: "2001:db8:1::9" }, "dev dummy0 table 254 metric 256"),
    query("IPv4: the second rule finds it", { dst: "192.0.2.1" }, "via 198.51.100.9 dev dummy0 table 254"),
  ],
};

// ---- route add, append, replace, change -----------------------------------------------------------------------------

const ROUTES: readonly Command[] = [
  ...NETWORK,
  "ip netns add ns2",
  "ip link add veth1 type veth peer name veth2 netns ns2",
  "ip link add veth3 type veth peer name veth4 netns ns2",
  "ip link set veth1 up",
  "ip link set veth3 up",
  "ip -n ns2 link set veth2 up",
  "ip -n ns2 link set veth4 up",
  "ip addr add 172.16.101.1/24 dev veth1",
  "ip addr add 172.16.103.1/24 dev veth3",
  "ip -6 addr add 2001:db8:101::1/64 dev veth1 nodad",
  "ip -6 addr add 2001:db8:103::1/64 dev veth3 nodad",
];

const NET = "172.16.104.0/24";
const VETH1 = `${NET} via 172.16.101.2 dev veth1 table 254`;
const VETH3 = `${NET} via 172.16.103.2 dev veth3 table 254`;
const BOTH = `${NET} nexthop via 172.16.101.2 dev veth1 weight 1 nexthop via 172.16.103.2 dev veth3 weight 1 table 254`;
const ONE = `ip route add ${NET} via 172.16.101.2`;
const TWO = `ip route add ${NET} nexthop via 172.16.101.2 nexthop via 172.16.103.2`;
const EXISTS = "File exists";

const change = (group: string, name: string, commands: readonly Command[], ...asks: Ask[]): SelfTest => ({
  group,
  name,
  setup: [...ROUTES, ...commands],
  asks,
});
const found = (expect: string, flow: Omit<Query, "dst"> = {}): Ask =>
  match(flow.oif ?? "any device", "172.16.104.1", expect, flow);
const onVeth3 = (expect: string): Ask => found(expect, { oif: "veth3" });
const add = (name: string, commands: readonly Command[], ...asks: Ask[]): SelfTest =>
  change("ipv4_rt_add", name, commands, ...asks);
const replace = (name: string, commands: readonly Command[], ...asks: Ask[]): SelfTest =>
  change("ipv4_rt_replace", name, commands, ...asks);

const routes: SelfTest[] = [
  add(
    "duplicates",
    [
      ONE,
      refused(`ip route add ${NET} via 172.16.103.2`, EXISTS),
      refused(`ip route add ${NET} dev veth3`, EXISTS),
      refused(`ip route add unreachable ${NET}`, EXISTS),
    ],
    found(VETH1),
  ),
  add("prepend", [ONE, `ip route prepend ${NET} via 172.16.103.2`], found(VETH3), found(VETH1, { oif: "veth1" })),
  add("append, gateway", [ONE, `ip route append ${NET} via 172.16.103.2`], found(VETH1), onVeth3(VETH3)),
  add(
    "append, device only",
    [ONE, `ip route append ${NET} dev veth3`],
    found(VETH1),
    onVeth3(`${NET} dev veth3 table 254`),
  ),
  add("append, reject route", [ONE, `ip route append unreachable ${NET}`], found(VETH1), onVeth3("EHOSTUNREACH")),
  add(
    "append to a reject route, gateway",
    [`ip route add unreachable ${NET}`, `ip route append ${NET} via 172.16.103.2`],
    found("EHOSTUNREACH"),
  ),
  add(
    "append to a reject route, device",
    [`ip route add unreachable ${NET}`, `ip route append ${NET} dev veth3`],
    found("EHOSTUNREACH"),
  ),
  add("multipath", [TWO, refused(TWO, EXISTS)], found(BOTH)),
  add(
    "metrics",
    [ONE, `ip route add ${NET} via 172.16.103.2 metric 512`, `ip route add ${NET} via 172.16.103.3 metric 256`],
    found(VETH1),
    onVeth3(`${NET} via 172.16.103.3 dev veth3 table 254 metric 256`),
  ),
  add(
    "delete by metric",
    [
      ONE,
      `ip route add ${NET} via 172.16.103.2 metric 256`,
      `ip route add ${NET} via 172.16.103.3 metric 512`,
      `ip route del ${NET} metric 256`,
    ],
    found(VETH1),
    onVeth3(`${NET} via 172.16.103.3 dev veth3 table 254 metric 512`),
  ),
  replace("single with single", [ONE, `ip route replace ${NET} via 172.16.103.2`], found(VETH3)),
  replace(
    "single with multipath",
    [ONE, `ip route replace ${NET} nexthop via 172.16.101.2 nexthop via 172.16.103.2`],
    found(BOTH),
  ),
  replace("single with reject", [ONE, `ip route replace unreachable ${NET}`], found("EHOSTUNREACH")),
  replace("single with a list of one", [ONE, `ip route replace ${NET} nexthop via 172.16.103.2`], found(VETH3)),
  replace(
    "multipath with multipath",
    [TWO, `ip route replace ${NET} nexthop via 172.16.101.3 nexthop via 172.16.103.3`],
    found(`${NET} nexthop via 172.16.101.3 dev veth1 weight 1 nexthop via 172.16.103.3 dev veth3 weight 1 table 254`),
  ),
  replace("multipath with single", [TWO, `ip route replace ${NET} via 172.16.103.2`], found(VETH3)),
  replace("multipath with a list of one", [TWO, `ip route replace ${NET} nexthop via 172.16.103.2`], found(VETH3)),
  replace("multipath with reject", [TWO, `ip route replace unreachable ${NET}`], found("EHOSTUNREACH")),
  replace(
    "multipath, refused",
    [
      TWO,
      refused(
        `ip route replace ${NET} nexthop via 172.16.111.3 nexthop via 172.16.103.3`,
        "Nexthop has invalid gateway",
      ),
      refused(
        `ip route replace ${NET} nexthop via 172.16.101.3 nexthop via 172.16.113.3`,
        "Nexthop has invalid gateway",
      ),
      refused(
        "ip route change 172.16.105.0/24 nexthop via 172.16.101.3 nexthop via 172.16.103.3",
        "No such file or directory",
      ),
    ],
    found(BOTH),
  ),
  change(
    "ipv4_rt_dsfield",
    "ECN bits are no part of the DSCP",
    [
      ...[1, 2, 3].map((tos) =>
        refused(`ip route add 172.16.102.0/24 dsfield 0x0${tos} via 172.16.101.2`, "ECN bits must be 0"),
      ),
      "ip route add 172.16.102.0/24 via 172.16.101.2",
      "ip route add 172.16.102.0/24 dsfield 0x10 via 172.16.103.2",
    ],
    ...[0x10, 0x11, 0x12, 0x13].map((tos) =>
      match(`tos ${tos}`, "172.16.102.1", "172.16.102.0/24 via 172.16.103.2 dev veth3 table 254", { tos }),
    ),
    ...[0x14, 0x15, 0x16, 0x17, 0, 1, 2, 3].map((tos) =>
      match(`tos ${tos}`, "172.16.102.1", "172.16.102.0/24 via 172.16.101.2 dev veth1 table 254", { tos }),
    ),
  ),
  change(
    "ipv4_route_v6_gw_test",
    "IPv6 gateways",
    [
      "ip route add 172.16.105.0/24 via inet6 2001:db8:101::2",
      "ip route del 172.16.105.0/24 via inet6 2001:db8:101::2",
      `ip route add ${NET} via inet6 2001:db8:101::2`,
    ],
    found(`${NET} via 2001:db8:101::2 dev veth1 table 254`),
    match("deleted", "172.16.105.1", NONE),
  ),
  change(
    "ipv4_route_v6_gw_test",
    "multipath, one hop of each family",
    [
      `ip route add ${NET} nexthop via inet6 2001:db8:101::2 dev veth1 nexthop via 172.16.103.2 dev veth3`,
      refused(
        `ip route del ${NET} nexthop via 172.16.103.2 dev veth3 nexthop via inet6 2001:db8:101::2 dev veth1`,
        "No such process",
      ),
    ],
    query("IPv6", { dst: "172.16.104.1", oif: "veth1" }, "via 2001:db8:101::2 dev veth1 table 254"),
    query("IPv4", { dst: "172.16.104.1", oif: "veth3" }, "via 172.16.103.2 dev veth3 table 254"),
  ),
];

// ---- address metrics --------------------------------------------------------------------------------------------------

const PREFIX = "172.16.104.0/24";
const DUMMIES: readonly Command[] = [
  ...NETWORK,
  "ip link add dummy1 type dummy",
  "ip link add dummy2 type dummy",
  "ip link set dummy1 up",
  "ip link set dummy2 up",
];
const connected = (dev: number, metric: number): string =>
  `${PREFIX} dev dummy${dev} table 254${metric === 0 ? "" : ` metric ${metric}`} src 172.16.104.${dev}`;
const metrics = (name: string, commands: readonly Command[], ...asks: Ask[]): SelfTest => ({
  group: "ipv4_addr_metric_test",
  name,
  setup: [...DUMMIES, ...commands],
  asks,
});
const prefix = (expect: string, oif?: string): Ask =>
  match(oif ?? "any device", "172.16.104.9", expect, oif === undefined ? {} : { oif });
const addr = (dev: number, rest = ""): string => `ip addr add dev dummy${dev} 172.16.104.${dev}/24${rest}`;

const addrMetric: SelfTest[] = [
  metrics("default metric", [addr(1), addr(2)], prefix(connected(1, 0)), prefix(connected(2, 0), "dummy2")),
  metrics(
    "on the first device",
    [addr(1, " metric 257"), addr(2)],
    prefix(connected(2, 0)),
    prefix(connected(1, 257), "dummy1"),
  ),
  metrics(
    "on both",
    [addr(2, " metric 258"), addr(1, " metric 257")],
    prefix(connected(1, 257)),
    prefix(connected(2, 258), "dummy2"),
  ),
  metrics(
    "first address deleted",
    [addr(2, " metric 258"), addr(1, " metric 257"), "ip addr del dev dummy1 172.16.104.1/24 metric 257"],
    prefix(connected(2, 258)),
  ),
  metrics(
    "metric changed",
    [addr(2, " metric 258"), "ip addr change dev dummy2 172.16.104.2/24 metric 259"],
    prefix(connected(2, 259)),
  ),
  metrics("link down", [addr(2, " metric 259"), "ip link set dev dummy2 down"], prefix(NONE)),
  metrics(
    "link down and up",
    [addr(2, " metric 259"), "ip link set dev dummy2 down", "ip link set dev dummy2 up"],
    prefix(connected(2, 259)),
  ),
  metrics(
    "peer",
    ["ip addr add dev dummy2 172.16.104.1/32 peer 172.16.104.2 metric 260"],
    match("peer", "172.16.104.2", "172.16.104.2/32 dev dummy2 table 254 metric 260 src 172.16.104.1"),
  ),
];

// ---- addresses deleted ------------------------------------------------------------------------------------------------

const DELETED: readonly Command[] = [
  ...DUMMIES,
  "ip link add red type vrf table 1111",
  "ip link set red up",
  "ip route add vrf red unreachable default",
  "ip link set dummy2 master red",
  ...[1, 11, 12, 13].map((last) => `ip addr add dev dummy1 172.16.104.${last}/24`),
  ...[1, 11, 12].map((last) => `ip addr add dev dummy2 172.16.104.${last}/24`),
  "ip route add 172.16.105.0/24 via 172.16.104.2 src 172.16.104.11",
  "ip route add 172.16.106.0/24 dev lo src 172.16.104.12",
  "ip route add 172.16.107.0/24 via 172.16.104.2 src 172.16.104.13",
  "ip route add vrf red 172.16.105.0/24 via 172.16.104.2 src 172.16.104.11",
  "ip route add vrf red 172.16.106.0/24 dev lo src 172.16.104.12",
];
const inMain105 = "172.16.105.0/24 via 172.16.104.2 dev dummy1 table 254 src 172.16.104.11";
const inRed105 = "172.16.105.0/24 via 172.16.104.2 dev dummy2 table 1111 src 172.16.104.11";
const inMain106 = "172.16.106.0/24 dev lo table 254 src 172.16.104.12";
const inRed106 = "172.16.106.0/24 dev lo table 1111 src 172.16.104.12";
const fate = (name: string, change: string, dst: string, main: string, red: string): SelfTest => ({
  group: "ipv4_del_addr_test",
  name,
  setup: [...DELETED, change],
  asks: [match("default VRF", dst, main), match("red", dst, red, { oif: "red" })],
});

const delAddr: SelfTest[] = [
  fate("of the VRF", "ip addr del dev dummy2 172.16.104.11/24", "172.16.105.1", inMain105, "EHOSTUNREACH"),
  fate("of the default VRF", "ip addr del dev dummy1 172.16.104.11/24", "172.16.105.1", NONE, inRed105),
  fate(
    "of the VRF, routes alike but for the table",
    "ip addr del dev dummy2 172.16.104.12/24",
    "172.16.106.1",
    inMain106,
    "EHOSTUNREACH",
  ),
  fate("of the default VRF, routes alike", "ip addr del dev dummy1 172.16.104.12/24", "172.16.106.1", NONE, inRed106),
];

// ---- next hops --------------------------------------------------------------------------------------------------------

const [LL_DUMMY0, LL_VETH1] = ["fe80::ff:fe00:d", "fe80::ff:fe00:b"];
const LOCAL_GATEWAY = "Gateway can not be a local address";
const nexthop: SelfTest = {
  group: "fib6_nexthop",
  name: "gateways",
  setup: [
    "sysctl -qw net.ipv6.conf.all.forwarding=1",
    "ip rule add pref 32765 table local",
    "ip rule del pref 0",
    "ip -6 rule add pref 32765 table local",
    "ip -6 rule del pref 0",
    "ip link add dummy0 address 02:00:00:00:00:0d type dummy",
    "ip link set dev dummy0 up",
    "ip -6 addr add 2001:db8:1::1/64 dev dummy0 nodad",
    "ip link add red type vrf table 10",
    "ip link set red up",
    "ip -6 route add vrf red unreachable default metric 4278198272",
    "ip link add veth0 address 02:00:00:00:00:0a type veth peer name veth1 address 02:00:00:00:00:0b",
    "ip link set dev veth0 up",
    "ip -6 addr add 2001:db8:51::1/64 dev veth0 nodad",
    "ip link set dev veth1 master red",
    "ip link set dev veth1 up",
    "ip -6 addr add 2001:db8:51::2/64 dev veth1 nodad",
    "ip link add dummy1 type dummy",
    "ip link set dev dummy1 master red",
    "ip link set dev dummy1 up",
    "ip -6 addr add 2001:db8:2::1/64 dev dummy1 nodad",
    "ip -6 route add 2001:db8:101::/64 via 2001:db8:1::2",
    "ip -6 route add 2001:db8:102::/64 via 2001:db8:1::2 dev dummy0",
    `ip -6 route add 2001:db8:103::/64 via ${LL_VETH1} dev veth0`,
    refused(`ip -6 route add 2001:db8:104::/64 via ${LL_VETH1}`, "Egress device not specified"),
    refused("ip -6 route add 2001:db8:105::/64 via 2001:db8:1::1", LOCAL_GATEWAY),
    refused("ip -6 route add 2001:db8:106::/64 via 2001:db8:1::1 dev dummy0", LOCAL_GATEWAY),
    refused(`ip -6 route add 2001:db8:107::/64 via ${LL_DUMMY0} dev dummy0`, LOCAL_GATEWAY),
    "ip -6 route add 2001:db8:108::/64 via 2001:db8:51::2",
    "ip -6 route add 2001:db8:109::/64 via 2001:db8:51::2 dev veth0",
    "ip -6 route add 2001:db8:111::/64 dev red",
    "ip -6 route add vrf red 2001:db8:112::/64 via 2001:db8:51::1",
    refused("ip -6 route add vrf red 2001:db8:113::/64 via 2001:db8:2::1", LOCAL_GATEWAY),
    refused("ip -6 route add vrf red 2001:db8:114::/64 via 2001:db8:2::1 dev dummy1", LOCAL_GATEWAY),
  ],
  asks: [
    query("directly connected", { dst: "2001:db8:101::1" }, "via 2001:db8:1::2 dev dummy0 table 254 metric 1024"),
    query("link-local", { dst: "2001:db8:103::1" }, `via ${LL_VETH1} dev veth0 table 254 metric 1024`),
    query("local in a VRF", { dst: "2001:db8:108::1" }, "via 2001:db8:51::2 dev veth0 table 254 metric 1024"),
    query("to the VRF", { dst: "2001:db8:111::1" }, "dev red table 254 metric 1024"),
    query("in the VRF", { dst: "2001:db8:112::1", oif: "red" }, "via 2001:db8:51::1 dev veth1 table 10 metric 1024"),
  ],
};

// ---- frames -------------------------------------------------------------------------------------------------------------
// The script redirects packets between devices with tc so that they come in by lo. Here the same sources come in by a wire.

const MAC = "02:00:00:00:00:11";
const wires = (rest: readonly Command[]): Command[] => [
  "ip netns add r",
  "ip -n r link set lo up",
  ...[1, 2].flatMap((n) => [
    `ip link add w${n} type veth peer name p${n} address 02:00:00:00:00:1${n} netns r`,
    `ip link set dev w${n} up`,
    `ip -n r link set dev p${n} up`,
  ]),
  ...rest,
  "ip netns exec r sysctl -qw net.ipv4.ip_forward=1",
];
const sent = (from: string, to: string) => udpFrame({ port: "w1", from, to, mac: MAC });
const forwarded = (from: string, to: string): string => `w2: udp ${from}:54321 > ${to}:12345 ttl 63 length 8`;

const rpFilter = (mode: 0 | 1 | 2): SelfTest => {
  const to = "198.51.100.2";
  const ask = (about: string, from: string, passes: readonly number[]): Ask =>
    frame(about, sent(from, to), passes.includes(mode) ? forwarded(from, to) : "nothing");
  return {
    group: "fib_rp_filter_test",
    name: `rp_filter=${mode}`,
    setup: wires([
      "ip -n r addr add 192.0.2.1/24 dev p1",
      "ip -n r addr add 198.51.100.1/24 dev p2",
      "ip -n r neigh add 198.51.100.2 lladdr 02:00:00:00:00:99 nud permanent dev p2",
      `ip netns exec r sysctl -qw net.ipv4.conf.all.rp_filter=${mode}`,
      "ip netns exec r sysctl -qw net.ipv4.conf.all.accept_local=1",
      "ip netns exec r sysctl -qw net.ipv4.conf.all.route_localnet=1",
    ]),
    asks: [
      ask("a neighbour", "192.0.2.2", [0, 1, 2]),
      ask("an own address", "192.0.2.1", [0, 1, 2]),
      ask("a loopback address", "127.0.0.1", [0, 2]),
      ask("of the other side", "198.51.100.9", [0, 2]),
      ask("of nowhere", "203.0.113.1", [0]),
    ],
  };
};

const bcastNeigh: SelfTest = {
  group: "ipv4_bcast_neigh_test",
  name: "a neighbour entry from before the address was a broadcast address",
  setup: wires([
    "ip -n r addr add 192.0.2.1/24 dev p1",
    "ip -n r neigh add 198.51.100.255 lladdr 00:11:22:33:44:55 nud permanent dev p2",
    "ip -n r neigh add 198.51.100.111 lladdr 00:11:22:33:44:55 nud permanent dev p2",
    "ip -n r addr add 198.51.100.1/24 dev p2",
    "ip netns exec r sysctl -qw net.ipv4.conf.all.bc_forwarding=1",
    "ip netns exec r sysctl -qw net.ipv4.conf.p1.bc_forwarding=1",
  ]),
  asks: [
    frame("to the broadcast address", sent("192.0.2.2", "198.51.100.255"), forwarded("192.0.2.2", "198.51.100.255")),
    frame("to another", sent("192.0.2.2", "198.51.100.111"), forwarded("192.0.2.2", "198.51.100.111")),
  ],
};

export const fibTests: Script = {
  script: "fib_tests.sh",
  tests: [
    ...unregister,
    nexthop,
    suppress,
    ...routes,
    ...addrMetric,
    ...delAddr,
    ...([0, 1, 2] as const).map(rpFilter),
    bcastNeigh,
  ],
};
