/** IPv6 route commands drawn at random, as script.ts has them for IPv4. */
import fc from "fast-check";
import { drawn } from "./script.ts";

/** A VRF of two interfaces, one interface outside, one that is down, one without IPv6. */
export const SETUP6 = `
sysctl -w net.ipv6.conf.all.forwarding=1
ip link add red type vrf table 10
ip link set red up
ip link add r1 type dummy
ip link add r2 type dummy
ip link add m1 type dummy
ip link add down type dummy
ip link set r1 master red
ip link set r2 master red
ip link set r1 up
ip link set r2 up
ip link set m1 up
ip addr add 2001:db8:1::1/64 dev r1
ip addr add 2001:db8:2::1/64 dev r2
ip addr add 2001:db8:3::1/64 dev m1
ip route add 2001:db8:9::/48 via 2001:db8:3::7
ip route add default via 2001:db8:1::7 dev r1 table 10
ip route add 2001:db8:8::/48 via 2001:db8:3::8 table 100
ip rule add to 2001:db8:3::/64 lookup main pref 900
`;

const prefix = fc.constantFrom(
  "::/0",
  "2001:db8::/32",
  "2001:db8:9::/48",
  "2001:db8:9:1::/64",
  "2001:db8:9:1::/64",
  "2001:db8:9:1::/64",
  "2001:db8:9:1::5",
  "2001:db8:9:1::5/60",
  "2001:db8:8::/48",
  "2002::/16",
  "fc00::/7",
  "8000::/1",
);
const table = fc.constantFrom("", " table 10", " table 10", " vrf red", " table 100", " table main");
const hop = fc.constantFrom(
  " via 2001:db8:1::7",
  " via 2001:db8:1::7 dev r1",
  " via 2001:db8:1::8 dev r1",
  " via 2001:db8:2::7",
  " via 2001:db8:2::7 dev r2",
  " via fe80::7 dev r1",
  " via fe80::7 dev r2",
  " via fe80::7",
  " dev r1",
  " dev r2",
  " dev m1",
  " via 2001:db8:3::7",
  " via 2001:db8:3::8 dev m1",
  " via 2001:db8:77::1 dev m1 onlink",
  " nexthop via 2001:db8:1::7 weight 1 nexthop via 2001:db8:2::7 weight 3",
  " nexthop via fe80::9 dev r1 nexthop via fe80::9 dev r2 nexthop via fe80::8 dev r1 weight 9",
  " nexthop via fe80::9 dev r1 nexthop via fe80::9 dev r1",
  " nexthop dev r1 nexthop via fe80::9 dev r1",
  " via 2001:db8:9::1",
  " via 2001:db8:1::1 dev r1",
  " via 2001:db8:1::1",
  " via ff02::1 dev r1",
  " via :: dev r1",
  " dev down",
  " dev nowhere",
  " via fe80::1 dev lo",
);
const extras = fc.constantFrom("", "", "", " metric 10", " metric 20", " tos 0x10");
/** Words behind `ip -6 route`. Not deleted by gateway: the importer holds siblings for one route. */
export const commands6 = drawn({
  verbs: ["add", "append", "append", "replace", "replace", "prepend", "change"],
  ...{ prefix, table, hop, extras },
  deleted: [fc.constantFrom("", "", " dev r1", " dev m1"), fc.constantFrom("", "", " metric 10")],
});
