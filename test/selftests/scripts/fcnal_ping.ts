/**
 * fcnal-test.sh, ping groups: a ping out, in and to itself, with the socket bound to nothing, the device, the VRF or an
 * address, and what becomes of it when a rule or a route says no. `ip vrf exec red ping -I ADDRESS` of the script is
 * `ping -I red -I ADDRESS` here: both bind the socket to red.
 */
import { type Command, ping, type Script, type SelfTest } from "../selftest.ts";
import { A, A6, B, B6, inA, inB, LINK_LOCAL_B, WITH_VRF, WITHOUT_VRF } from "./fcnal_network.ts";

/** ENETUNREACH, what a look-up that nothing matches gives. */
const NO_ROUTE = "connect: Network is unreachable";
/** EHOSTUNREACH, what an `unreachable` route gives. */
const UNREACHABLE = "connect: No route to host";
/** EACCES, what `prohibit` gives; ping takes it for a broadcast address that it was not allowed. */
const PROHIBITED = "Do you want to ping broadcast? Then -b. If not, check your local firewall rules";
/** The same in IPv6. */
const PROHIBITED6 = "connect: Permission denied";
const test = (group: string, name: string, setup: readonly Command[], asks: SelfTest["asks"]): SelfTest => ({
  group,
  name,
  setup,
  asks,
});

const LOCAL_RULE_LAST = [
  "ip -n ns-A rule add pref 32765 from all lookup local",
  "ip -n ns-A rule del pref 0 from all lookup local",
];
const RULES = [`ip -n ns-A rule add pref 50 to ${B.lo} prohibit`, `ip -n ns-A rule add pref 51 from ${B.dev} prohibit`];

const novrf: SelfTest[] = [
  test("ipv4_ping_novrf", "out, in, local", WITHOUT_VRF, [
    ...[B.dev, B.lo].flatMap((to) => [
      ping("out", `${inA} ping -c1 -W1 ${to}`, `reply from ${to}`),
      ping("out, device bind", `${inA} ping -c1 -W1 -I eth1 ${to}`, `reply from ${to}`),
      ping("out, address bind", `${inA} ping -c1 -W1 -I ${A.lo} ${to}`, `reply from ${to}`),
    ]),
    ...[A.dev, A.lo].map((to) => ping("in", `${inB} ping -c1 -W1 ${to}`, `reply from ${to}`)),
    ...[A.dev, A.lo, "127.0.0.1"].map((to) => ping("local", `${inA} ping -c1 -W1 ${to}`, `reply from ${to}`)),
    ping("local, device bind", `${inA} ping -c1 -W1 -I eth1 ${A.dev}`, `reply from ${A.dev}`),
    // No route of eth1's leads there, so the kernel takes it for a neighbour on eth1, which does not answer ARP.
    ...[A.lo, "127.0.0.1"].map((to) =>
      ping("local, device bind, out of scope", `${inA} ping -c1 -W1 -I eth1 ${to}`, "silence"),
    ),
  ]),
  test(
    "ipv4_ping_novrf",
    "blocked by rule",
    [...WITHOUT_VRF, ...LOCAL_RULE_LAST, ...RULES],
    [ping("out", `${inA} ping -c1 -W1 ${B.lo}`, PROHIBITED), ping("in", `${inB} ping -c1 -W1 ${A.lo}`, "silence")],
  ),
  test(
    "ipv4_ping_novrf",
    "blocked by route",
    [...WITHOUT_VRF, `ip -n ns-A route replace unreachable ${B.lo}`, `ip -n ns-A route replace unreachable ${B.dev}`],
    [ping("out", `${inA} ping -c1 -W1 ${B.lo}`, UNREACHABLE), ping("in", `${inB} ping -c1 -W1 ${A.lo}`, "silence")],
  ),
  test(
    "ipv4_ping_novrf",
    "unreachable default route",
    [...WITHOUT_VRF, `ip -n ns-A route del ${B.lo}`],
    [ping("out", `${inA} ping -c1 -W1 ${B.lo}`, UNREACHABLE)],
  ),
];

const vrf: SelfTest[] = [
  test("ipv4_ping_vrf", "out, in, local", WITH_VRF, [
    ...[B.dev, B.lo].flatMap((to) => [
      ping("out, VRF bind", `${inA} ping -c1 -W1 -I red ${to}`, `reply from ${to}`),
      ping("out, device bind", `${inA} ping -c1 -W1 -I eth1 ${to}`, `reply from ${to}`),
      ping("out, VRF and device address bind", `${inA} ping -c1 -W1 -I red -I ${A.dev} ${to}`, `reply from ${to}`),
      ping("out, VRF and VRF address bind", `${inA} ping -c1 -W1 -I red -I ${A.vrf} ${to}`, `reply from ${to}`),
    ]),
    ...[A.dev, A.vrf].map((to) => ping("in", `${inB} ping -c1 -W1 ${to}`, `reply from ${to}`)),
    ...[A.dev, A.vrf, "127.0.0.1"].map((to) =>
      ping("local, VRF bind", `${inA} ping -c1 -W1 -I red ${to}`, `reply from ${to}`),
    ),
    ping("local, device bind", `${inA} ping -c1 -W1 -I eth1 ${A.dev}`, `reply from ${A.dev}`),
    ...[A.vrf, "127.0.0.1"].map((to) =>
      ping("local, device bind, out of scope", `${inA} ping -c1 -W1 -I eth1 ${to}`, UNREACHABLE),
    ),
  ]),
  test(
    "ipv4_ping_vrf",
    "blocked by rule",
    [...WITH_VRF, ...RULES],
    [
      ping("out, VRF bind", `${inA} ping -c1 -W1 -I red ${B.lo}`, PROHIBITED),
      ping("out, device bind", `${inA} ping -c1 -W1 -I eth1 ${B.lo}`, PROHIBITED),
      ping("in", `${inB} ping -c1 -W1 ${A.lo}`, "silence"),
    ],
  ),
  test(
    "ipv4_ping_vrf",
    "unreachable route",
    [...WITH_VRF, `ip -n ns-A route del vrf red ${B.lo}`],
    [
      ping("out, VRF bind", `${inA} ping -c1 -W1 -I red ${B.lo}`, UNREACHABLE),
      ping("out, device bind", `${inA} ping -c1 -W1 -I eth1 ${B.lo}`, UNREACHABLE),
      ping("in", `${inB} ping -c1 -W1 ${A.lo}`, `${A.dev}: Destination Host Unreachable`),
    ],
  ),
];

const LOCAL_RULE_LAST6 = [
  "ip -n ns-A -6 rule add pref 32765 from all lookup local",
  "ip -n ns-A -6 rule del pref 0 from all lookup local",
];
const RULES6 = [
  `ip -n ns-A -6 rule add pref 50 to ${B6.lo} prohibit`,
  `ip -n ns-A -6 rule add pref 51 from ${B6.dev} prohibit`,
];

const novrf6: SelfTest[] = [
  test("ipv6_ping_novrf", "out, in, local", WITHOUT_VRF, [
    ...[B6.dev, B6.lo].map((to) => ping("out", `${inA} ping -c1 -W1 ${to}`, `reply from ${to}`)),
    ping("out, link-local", `${inA} ping -c1 -W1 ${B6.link}%eth1`, `reply from ${B6.link}%eth1`),
    ...[B6.dev, B6.lo].flatMap((to) => [
      ping("out, device bind", `${inA} ping -c1 -W1 -I eth1 ${to}`, `reply from ${to}`),
      ping("out, loopback address bind", `${inA} ping -c1 -W1 -I ${A6.lo} ${to}`, `reply from ${to}`),
    ]),
    ...[A6.dev, A6.lo].map((to) => ping("in", `${inB} ping -c1 -W1 ${to}`, `reply from ${to}`)),
    ping("in, link-local", `${inB} ping -c1 -W1 ${A6.link}%eth1`, `reply from ${A6.link}%eth1`),
    ...[A6.dev, A6.lo, "::1"].map((to) => ping("local, no bind", `${inA} ping -c1 -W1 ${to}`, `reply from ${to}`)),
    ping("local, link-local", `${inA} ping -c1 -W1 ${A6.link}%eth1`, `reply from ${A6.link}%eth1`),
    ping("local, device bind", `${inA} ping -c1 -W1 -I eth1 ${A6.dev}`, `reply from ${A6.dev}`),
    ...[A6.lo, "::1"].map((to) =>
      ping("local, device bind, out of scope", `${inA} ping -c1 -W1 -I eth1 ${to}`, NO_ROUTE),
    ),
  ]),
  test(
    "ipv6_ping_novrf",
    "blocked by rule",
    [...WITHOUT_VRF, ...LOCAL_RULE_LAST6, ...RULES6],
    [
      ping("out", `${inA} ping -c1 -W1 ${B6.lo}`, PROHIBITED6),
      ping("out, device bind", `${inA} ping -c1 -W1 -I eth1 ${B6.lo}`, PROHIBITED6),
      ping("in", `${inB} ping -c1 -W1 ${A6.lo}`, "silence"),
    ],
  ),
  test(
    "ipv6_ping_novrf",
    "blocked by route",
    [
      ...WITHOUT_VRF,
      `ip -n ns-A -6 route del ${B6.lo}`,
      `ip -n ns-A -6 route add unreachable ${B6.lo} metric 10`,
      `ip -n ns-A -6 route add unreachable ${B6.dev} metric 10`,
    ],
    [
      ping("out", `${inA} ping -c1 -W1 ${B6.lo}`, UNREACHABLE),
      ping("out, device bind", `${inA} ping -c1 -W1 -I eth1 ${B6.lo}`, NO_ROUTE),
      ping("in", `${inB} ping -c1 -W1 ${A6.lo}`, "silence"),
    ],
  ),
  test(
    "ipv6_ping_novrf",
    "unreachable default route",
    [...WITHOUT_VRF, `ip -n ns-A -6 route del ${B6.lo}`],
    [
      ping("out", `${inA} ping -c1 -W1 ${B6.lo}`, UNREACHABLE),
      ping("out, device bind", `${inA} ping -c1 -W1 -I eth1 ${B6.lo}`, NO_ROUTE),
    ],
  ),
];

const vrf6: SelfTest[] = [
  test("ipv6_ping_vrf", "out, in, local", WITH_VRF, [
    ...[B6.dev, B6.lo].map((to) => ping("out, VRF bind", `${inA} ping -c1 -W1 -I red ${to}`, `reply from ${to}`)),
    ping("out, link-local of the VRF", `${inA} ping -c1 -W1 ${B6.link}%red`, "silence"),
    ...[B6.dev, B6.lo].map((to) => ping("out, device bind", `${inA} ping -c1 -W1 -I eth1 ${to}`, `reply from ${to}`)),
    ping("out, link-local, device bind", `${inA} ping -c1 -W1 -I eth1 ${B6.link}%eth1`, `reply from ${B6.link}%red`),
    ...[B6.dev, B6.lo].map((to) =>
      ping("out, VRF and VRF address bind", `${inA} ping -c1 -W1 -I red -I ${A6.vrf} ${to}`, `reply from ${to}`),
    ),
    ...[A6.dev, A6.vrf].map((to) => ping("in", `${inB} ping -c1 -W1 ${to}`, `reply from ${to}`)),
    ping("in, link-local", `${inB} ping -c1 -W1 ${A6.link}%eth1`, `reply from ${A6.link}%eth1`),
    ping("in, out of VRF scope", `${inB} ping -c1 -W1 ${A6.lo}`, `${A6.dev}: Destination unreachable: No route`),
    ...[A6.dev, A6.vrf, "::1"].map((to) =>
      ping("local, VRF bind", `${inA} ping -c1 -W1 -I red ${to}`, `reply from ${to}`),
    ),
    ping("local, device bind", `${inA} ping -c1 -W1 -I eth1 ${A6.dev}`, `reply from ${A6.dev}`),
    ping("local, link-local, device bind", `${inA} ping -c1 -W1 -I eth1 ${A6.link}%eth1`, `reply from ${A6.link}%eth1`),
  ]),
  test("ipv6_ping_vrf", "from a link-local to a global address", LINK_LOCAL_B, [
    ping("in", `${inB} ping -c1 -W1 ${A6.dev}`, `reply from ${A6.dev}`),
  ]),
  test(
    "ipv6_ping_vrf",
    "blocked by rule",
    [...WITH_VRF, ...RULES6],
    [
      ping("out", `${inA} ping -c1 -W1 ${B6.lo}`, PROHIBITED6),
      ping("out, device bind", `${inA} ping -c1 -W1 -I eth1 ${B6.lo}`, PROHIBITED6),
      ping("in", `${inB} ping -c1 -W1 ${A6.lo}`, `${A6.dev}: Destination unreachable: Administratively prohibited`),
    ],
  ),
  test(
    "ipv6_ping_vrf",
    "unreachable route",
    [...WITH_VRF, `ip -n ns-A -6 route del ${B6.lo} vrf red`, `ip -n ns-B -6 route del ${A6.lo}`],
    [
      ping("out", `${inA} ping -c1 -W1 ${B6.lo}`, UNREACHABLE),
      ping("out, device bind", `${inA} ping -c1 -W1 -I eth1 ${B6.lo}`, NO_ROUTE),
      ping("in", `${inB} ping -c1 -W1 ${A6.lo}`, UNREACHABLE),
    ],
  ),
];

export const fcnalPing: Script = { script: "fcnal-test.sh", tests: [...novrf, ...vrf, ...novrf6, ...vrf6] };
