/**
 * Commands are ordered and undo each other: what a kernel holds at the end, and what it refuses on the way. The expected
 * states and refusals were asked of Linux 6.1.
 */
import { describe, expect, it } from "vitest";
import { findings, modelOf, printed } from "./helpers.ts";

const RED = "ip link add red type vrf table 10\nip link set red up\n";
const D0 = "ip link add d0 type dummy\nip link set d0 up\n";

const STATES: readonly (readonly [what: string, script: string, policy: string])[] = [
  [
    "a device that is never brought up is down",
    "ip link add d0 type dummy\nip link add d1 up type dummy",
    "namespace host {\n  interface d0 { type dummy; down }\n  interface d1 { type dummy }\n}\n",
  ],
  ["a device created and deleted leaves nothing", `${D0}ip link del d0`, "namespace host {}\n"],
  [
    "enslaving keeps IPv4 addresses, and loses IPv6 ones, routes, neighbours and next hops",
    `${RED}${D0}ip addr add 10.0.0.1/24 dev d0
ip addr add 2001:db8::1/64 dev d0 nodad
ip route add 10.9.0.0/16 via 10.0.0.2
ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:01 dev d0
ip nexthop add id 5 via 10.0.0.3 dev d0
ip route add 10.8.0.0/16 nhid 5
ip link set d0 master red`,
    "namespace host {\n  vrf red { table 10 }\n  interface d0 { type dummy; master red; address 10.0.0.1/24 }\n}\n",
  ],
  [
    "IPv6 addresses survive with keep_addr_on_down",
    `sysctl -w net.ipv6.conf.all.keep_addr_on_down=1\n${D0}ip addr add 2001:db8::1/64 dev d0\nip link set d0 down\nip link set d0 up`,
    "namespace host {\n  sysctl net.ipv6.conf.all.keep_addr_on_down = 1\n\n  interface d0 { type dummy; address 2001:db8::1/64 }\n}\n",
  ],
  [
    "taking a device down loses the routes through it; addresses stay",
    `${D0}ip addr add 10.0.0.1/24 dev d0\nip route add 10.9.0.0/16 dev d0\nip route add unreachable 10.8.0.0/16\nip link set d0 down`,
    "namespace host {\n  interface d0 { type dummy; address 10.0.0.1/24; down }\n\n  route unreachable 10.8.0.0/16\n}\n",
  ],
  [
    "a multipath route outlives one of its devices going down, not being deleted",
    `${D0}ip addr add 10.0.0.1/24 dev d0\n${D0.replaceAll("d0", "d1")}ip addr add 10.0.1.1/24 dev d1
ip route add 10.9.0.0/16 nexthop via 10.0.0.2 dev d0 nexthop via 10.0.1.2 dev d1
ip link set d1 down\nip link set d1 up\nip route add 10.8.0.0/16 nexthop via 10.0.0.2 dev d0 nexthop via 10.0.1.2 dev d1\nip link del d1`,
    "namespace host {\n  interface d0 { type dummy; address 10.0.0.1/24 }\n}\n",
  ],
  [
    "the last IPv4 address takes the routes through the device along",
    `${D0}ip addr add 10.0.0.1/24 dev d0\nip route add 10.9.0.0/16 dev d0\nip addr del 10.0.0.1/24 dev d0`,
    "namespace host {\n  interface d0 { type dummy }\n}\n",
  ],
  [
    "a primary address takes its secondaries along, and routes that prefer them",
    `${D0}ip addr add 10.0.0.1/24 dev d0\nip addr add 10.0.0.2/24 dev d0\nip addr add 1.1.1.1/32 dev d0
ip route add 10.9.0.0/16 dev d0 src 10.0.0.2\nip route add 10.8.0.0/16 dev d0\nip addr del 10.0.0.1/24 dev d0`,
    "namespace host {\n  interface d0 { type dummy; address 1.1.1.1/32 }\n\n  route 10.8.0.0/16 dev d0\n}\n",
  ],
  [
    "deleting a VRF frees its slaves",
    `${RED}${D0}ip link set d0 master red\nip addr add 10.0.0.1/24 dev d0\nip route add 10.9.0.0/16 via 10.0.0.2 table 10
ip route add unreachable default table 10\nip link del red`,
    "namespace host {\n  interface d0 { type dummy; address 10.0.0.1/24 }\n\n  route unreachable default table 10\n  rule inet 1000 l3mdev proto kernel\n  rule inet6 1000 l3mdev proto kernel\n}\n",
  ],
  [
    "a veth moved to another namespace arrives there bare",
    "ip netns add a\nip link add v0 type veth peer name v1\nip addr add 10.0.0.2/24 dev v1\nip link set v1 up\nip link set v1 netns a",
    "namespace host {\n  interface v0 { peer a v1; down }\n}\n\nnamespace a {\n  interface lo { down }\n  interface v1 { down }\n}\n",
  ],
  [
    "a deleted namespace takes the other ends of its veth pairs along",
    "ip netns add a\nip link add v0 type veth peer name v1 netns a\nip netns del a",
    "namespace host {}\n",
  ],
  [
    "the end of a pair that is created first comes first",
    "ip link add v0 type veth peer name v1\nip link set v0 up\nip link set v1 up",
    "namespace host {\n  interface v1 { peer host v0 }\n  interface v0 {}\n}\n",
  ],
  [
    "a renamed device is meant by its new name",
    `${D0}ip route add 10.9.0.0/16 dev d0 metric 5\nip neigh add 10.0.0.9 lladdr 02:00:00:00:00:01 dev d0\nip link set d0 down
ip link set d0 name e0\nip link set e0 up\nip route add 10.8.0.0/16 dev e0`,
    "namespace host {\n  interface e0 { type dummy }\n\n  route 10.8.0.0/16 dev e0\n}\n",
  ],
  [
    "replace takes the place of what is there",
    `${D0}ip addr add 10.0.0.1/24 dev d0\nip route add 10.9.0.0/16 via 10.0.0.2\nip route replace 10.9.0.0/16 via 10.0.0.3\nip route change 10.9.0.0/16 via 10.0.0.4`,
    "namespace host {\n  interface d0 { type dummy; address 10.0.0.1/24 }\n\n  route 10.9.0.0/16 via 10.0.0.4\n}\n",
  ],
  [
    "a connected route stands behind that of a later device which was there before it",
    `${RED}${D0}ip link set d0 master red\nip link add d1 up type dummy\nip addr add 10.0.0.1/24 dev d0\nip addr add 10.0.0.2/24 dev d1\nip link set d0 nomaster`,
    "namespace host {\n  vrf red { table 10 }\n  interface d0 { type dummy; address 10.0.0.1/24 noprefixroute }\n  interface d1 { type dummy; address 10.0.0.2/24 }\n\n  route append 10.0.0.0/24 dev d0 proto kernel scope link src 10.0.0.1\n}\n",
  ],
  [
    "a next-hop group loses the member whose device went down, and keeps its routes",
    `${D0}ip link add d1 up type dummy\nip addr add 10.0.0.1/24 dev d0\nip addr add 10.0.1.1/24 dev d1\nip nexthop add id 1 via 10.0.0.2 dev d0\nip nexthop add id 2 via 10.0.1.2 dev d1\nip nexthop add id 3 group 1,5/2\nip route add 10.9.0.0/16 nhid 3\nip link set d0 down`,
    "namespace host {\n  interface d0 { type dummy; address 10.0.0.1/24; down }\n  interface d1 { type dummy; address 10.0.1.1/24 }\n\n  nexthop 2 via 10.0.1.2 dev d1\n  nexthop 3 group 2\n  route 10.9.0.0/16 nhid 3\n}\n",
  ],
  [
    "onlink: a route that refuses does not make the gateway one of another kind",
    `${RED}${D0}ip link set d0 master red\nip addr add 10.0.0.1/24 dev d0\nip route add unreachable default metric 9 table 10\nip route add 10.9.0.0/16 via 203.0.113.8 dev d0 onlink table 10`,
    "namespace host {\n  vrf red { table 10 }\n  interface d0 { type dummy; master red; address 10.0.0.1/24 }\n\n  table 10 {\n    route unreachable default metric 9\n    route 10.9.0.0/16 via 203.0.113.8 dev d0 onlink\n  }\n}\n",
  ],
  [
    "prepend stands before the connected routes of all devices",
    `${D0}ip link add d1 up type dummy\nip addr add 10.0.0.1/24 dev d0\nip addr add 10.0.0.2/24 dev d1\nip route prepend 10.0.0.0/24 via 10.0.0.9 dev d0`,
    "namespace host {\n  interface d0 { type dummy; address 10.0.0.1/24 noprefixroute }\n  interface d1 { type dummy; address 10.0.0.2/24 noprefixroute }\n\n  route 10.0.0.0/24 via 10.0.0.9 dev d0 onlink\n  route append 10.0.0.0/24 dev d0 proto kernel scope link src 10.0.0.1\n  route append 10.0.0.0/24 dev d1 proto kernel scope link src 10.0.0.2\n}\n",
  ],
  [
    "replace takes the place of the first connected route",
    `${D0}ip link add d1 up type dummy\nip addr add 10.0.0.1/24 dev d0\nip addr add 10.0.0.2/24 dev d1\nip route replace 10.0.0.0/24 via 10.0.0.9 dev d0`,
    "namespace host {\n  interface d0 { type dummy; address 10.0.0.1/24 noprefixroute }\n  interface d1 { type dummy; address 10.0.0.2/24 noprefixroute }\n\n  route 10.0.0.0/24 via 10.0.0.9 dev d0 onlink\n  route append 10.0.0.0/24 dev d1 proto kernel scope link src 10.0.0.2\n}\n",
  ],
  [
    "a further address of the device leaves the order of the others",
    `${D0}ip link add d1 up type dummy\nip addr add 10.0.0.1/24 dev d0\nip addr add 10.0.0.2/24 dev d1\nip addr add 10.0.9.1/24 dev d0`,
    "namespace host {\n  interface d0 { type dummy; address 10.0.0.1/24; address 10.0.9.1/24 }\n  interface d1 { type dummy; address 10.0.0.2/24 }\n}\n",
  ],
  [
    "a deleted connected route is one that the address does not make",
    `${D0}ip addr add 10.0.0.1/24 dev d0\nip route del 10.0.0.0/24`,
    "namespace host {\n  interface d0 { type dummy; address 10.0.0.1/24 noprefixroute }\n}\n",
  ],
  [
    "the rule for table local moved behind the VRFs",
    `ip rule add pref 32765 lookup local\nip rule del pref 0\n${RED}`,
    "namespace host {\n  vrf red { table 10 }\n\n  rule 32765 lookup local\n  no rule inet 0 lookup local\n}\n",
  ],
  [
    "automatic preferences go upwards from the second rule",
    "ip rule add lookup 5\nip rule add from 1.2.3.4 lookup 5\nip rule del lookup 5",
    "namespace host {\n  rule 32765 lookup 5\n}\n",
  ],
  [
    "routes of one table stand together",
    `${RED}${D0}ip link set d0 master red\nip route add 10.9.0.0/16 dev d0 vrf red\nip route add unreachable default table 10 metric 9\nip route add 10.8.0.0/16 dev d0\nip route add 10.7.0.0/16 dev d0 table 7`,
    "namespace host {\n  vrf red { table 10 }\n  interface d0 { type dummy; master red }\n\n  table 10 {\n    route 10.9.0.0/16 dev d0\n    route unreachable default metric 9\n  }\n  route 10.8.0.0/16 dev d0\n  route 10.7.0.0/16 dev d0 table 7\n}\n",
  ],
  [
    "IPv6 routes appended are one multipath route",
    `${D0}ip addr add 2001:db8::1/64 dev d0\nip -6 route add default via 2001:db8::2\nip -6 route append default via 2001:db8::3`,
    "namespace host {\n  interface d0 { type dummy; address 2001:db8::1/64 }\n\n  route default\n    nexthop via 2001:db8::2\n    nexthop via 2001:db8::3\n}\n",
  ],
  [
    "conf.default counts for devices created after it",
    `${D0}sysctl -w net.ipv4.conf.default.rp_filter=2\nip link add d1 up type dummy`,
    "namespace host {\n  # d0 was there before net.ipv4.conf.default.rp_filter was set\n  sysctl net.ipv4.conf.d0.rp_filter = 0\n  sysctl net.ipv4.conf.default.rp_filter = 2\n\n  interface d0 { type dummy }\n  interface d1 { type dummy }\n}\n",
  ],
  [
    "ip_forward writes through to every device",
    `${D0}sysctl -w net.ipv4.conf.d0.forwarding=0 net.ipv4.ip_forward=1`,
    "namespace host {\n  sysctl net.ipv4.ip_forward = 1\n\n  interface d0 { type dummy }\n}\n",
  ],
];

describe("what a script leaves behind", () => {
  it.each(STATES)("%s", (_, script, policy) => {
    expect(findings(script)).toEqual([]);
    expect(printed(script)).toBe(policy);
    expect(modelOf(script).errors).toEqual([]);
  });
});

/** A set-up, a command, and the words of Linux 6.1 and iproute2 6.1 for it. */
const RED_D0 = `${RED}${D0}ip link set d0 master red\nip addr add 10.0.0.1/24 dev d0\n`;
const REFUSALS: readonly (readonly [setup: string, command: string, kernel: string])[] = [
  [RED_D0, "ip addr add 10.0.0.1/24 dev d0", "RTNETLINK answers: File exists"],
  [RED_D0, "ip addr add 10.0.0.9/24 dev d9", 'Cannot find device "d9"'],
  [RED_D0, "ip addr del 10.0.0.8/24 dev d0", "RTNETLINK answers: Cannot assign requested address"],
  [RED_D0, "ip addr add 10.0.0.5/24", 'Not enough information: "dev" argument is required.'],
  [RED_D0, "ip addr add 10.0.0.300/24 dev d0", 'Error: any valid prefix is expected rather than "10.0.0.300/24".'],
  [RED_D0, "ip addr flush dev d9", 'Device "d9" does not exist.'],
  [RED_D0, "ip link add d0 type dummy", "RTNETLINK answers: File exists"],
  [RED_D0, "ip link set d9 up", 'Cannot find device "d9"'],
  [RED_D0, "ip link set d0 master nope", 'Error: argument "nope" is wrong: Device does not exist'],
  [D0, "ip link set d0 master lo", "RTNETLINK answers: Operation not supported"],
  [RED_D0, "ip link del lo", "RTNETLINK answers: Operation not supported"],
  [RED_D0, "ip link set lo master red", "Error: Can not enslave loopback device to a VRF."],
  [RED_D0, "ip link add blue type vrf", "Error: VRF table id is missing."],
  [RED_D0, "ip link add blue type vrf table 0", "Error: Invalid VRF table id."],
  [
    `${RED}ip link add blue type vrf table 20\n`,
    "ip link set blue master red",
    "Error: Can not enslave an L3 master device to a VRF.",
  ],
  [RED_D0, "ip link set d0 name d7", "RTNETLINK answers: Device or resource busy"],
  [RED_D0, "ip link set d0 netns n9", 'Error: argument "n9" is wrong: Invalid "netns" value'],
  [RED_D0, "ip link set d0 master", 'Command line is not complete. Try option "help"'],
  [
    RED_D0,
    "ip route add 10.7.0.0/16 via 10.0.0.2 table 10; ip route add 10.7.0.0/16 via 10.0.0.3 table 10",
    "RTNETLINK answers: File exists",
  ],
  [RED_D0, "ip route add 10.0.0.0/24 dev d0 table 10", "RTNETLINK answers: File exists"],
  [RED_D0, "ip route add 10.6.0.0/16 via 10.55.0.2", "Error: Nexthop has invalid gateway."],
  [RED_D0, "ip route add 10.6.0.0/16 via 10.0.0.2", "Error: Nexthop has invalid gateway."],
  [RED_D0, "ip route del 10.6.0.0/16", "RTNETLINK answers: No such process"],
  [RED_D0, "ip route add 10.5.0.0/16 dev d0 src 9.9.9.9", "Error: Invalid prefsrc address."],
  [RED_D0, "ip route change 10.4.0.0/16 dev d0", "RTNETLINK answers: No such file or directory"],
  [RED_D0, "ip route add 10.3.0.0/16 nhid 77", "Error: Nexthop id does not exist."],
  [RED_D0, "ip route add 10.3.0.0/16 vrf nope dev d0", 'Error: argument "nope" is wrong: Invalid VRF'],
  [RED_D0, "ip route add 10.0.0.0/8 frob 3", 'Error: either "to" is duplicate, or "frob" is a garbage.'],
  [RED_D0, "ip route add 10.0.0.0/8 dev d0 table frob", 'Error: argument "frob" is wrong: "table" value is invalid'],
  ["ip link add d1 type dummy\n", "ip route add default dev d1", "Error: Device for nexthop is not up."],
  ["ip link add d1 type dummy\n", "ip -6 route add 2001:db8:3::/64 dev d1", "Error: Nexthop device is not up."],
  [RED_D0, "ip -6 route add 2001:db8:1::/64 via 2001:db9::1", "RTNETLINK answers: No route to host"],
  [RED_D0, "ip -6 route del 2001:db8:9::/64", "RTNETLINK answers: No such process"],
  ["", "ip rule add pref 100 lookup 5; ip rule add pref 100 lookup 5", "RTNETLINK answers: File exists"],
  ["", "ip rule del pref 777", "RTNETLINK answers: No such file or directory"],
  ["", "ip rule add pref 10 goto 5", "Error: Backward goto not supported."],
  ["", "ip rule add pref 11 l3mdev table 5", "table can not be specified for l3mdev rules"],
  ["", "ip rule add 10.0.0.0/8 lookup 5", 'Error: argument "10.0.0.0/8" is wrong: Failed to parse rule type'],
  [
    RED_D0,
    "ip neigh add 10.0.0.3 lladdr 02:00:00:00:00:01 dev d0; ip neigh add 10.0.0.3 lladdr 02:00:00:00:00:01 dev d0",
    "RTNETLINK answers: File exists",
  ],
  [RED_D0, "ip neigh del 10.0.0.4 dev d0", "RTNETLINK answers: No such file or directory"],
  [RED_D0, "ip nexthop add id 7 group 5/6", "Error: Invalid nexthop id."],
  [RED_D0, "ip nexthop del id 6", "RTNETLINK answers: No such file or directory"],
  ["", "ip netns add n1; ip netns add n1", 'Cannot create namespace file "/run/netns/n1": File exists'],
  ["", "ip netns del n2", 'Cannot remove namespace file "/run/netns/n2": No such file or directory'],
  ["", "ip -n n9 link set lo up", 'Cannot open network namespace "n9": No such file or directory'],
  ["", "ip foo", 'Object "foo" is unknown, try "ip help".'],
  ["", "ip link frob d0", 'Command "frob" is unknown, try "ip link help".'],
];

describe("what Linux refuses", () => {
  it.each(REFUSALS.map(([setup, command, kernel]) => ({ setup, command, kernel })))(
    "$command",
    ({ setup, command, kernel }) => {
      const line = setup.split("\n").length;
      expect(findings(setup + command, { assumeDevices: false })).toEqual([`E0501 ${line}: ${kernel}`]);
      const [first] = command.split("; ");
      // What is refused has no effect, and its line is kept.
      const without = command.includes("; ") ? setup + first : setup;
      const kept = printed(setup + command, { assumeDevices: false });
      expect(kept).toContain(`# fails (${kernel}): ${command.split("; ").at(-1)}`);
      expect(kept.replace(/^\s*# fails .*\n/gm, "").replace(/\n+$/, "\n")).toBe(
        printed(without, { assumeDevices: false }),
      );
    },
  );

  it("points at the line that is in the way", () => {
    const script = `${RED_D0}ip route add 10.0.0.0/24 dev d0 table 10`;
    const span = modelOf(script).model?.nets[0].devices.find((d) => d.name === "d0")?.addresses[0].origin.span;
    expect(span && script.slice(span.start, span.end)).toBe("ip addr add 10.0.0.1/24 dev d0");
  });

  it("is a note where the script expects it", () => {
    const script =
      "ip link del d0 2>/dev/null || true\nip netns del x &>/dev/null\nip rule del pref 5 || ip rule add pref 5 lookup 5";
    expect(findings(script).map((text) => text.slice(0, 7))).toEqual(["E0501 1", "E0501 2", "E0501 3"]);
    expect(printed(script)).toContain("rule 5 lookup 5");
  });

  it("skips what `&&` makes depend on it, and says so", () => {
    expect(findings("ip link set d0 up && ip link add d1 type dummy", { assumeDevices: false })).toEqual([
      'E0501 1: Cannot find device "d0"',
      "W0501 1: not imported: the command before `&&` fails",
    ]);
  });
});
