/**
 * fib_rule_tests.sh: a rule to a table with a default route of its own, and a look-up that the rule is to catch.
 *
 *   root namespace: dummy0 192.51.100.1/24 2001:db8:1::1/64       table 100: default via .2 dev dummy0 onlink
 *
 * A second look-up without the property shows that it is the rule that decides.
 */
import type { Query } from "../../../src/scenario.ts";
import { type Command, query, refused, type Script, type SelfTest } from "../selftest.ts";

interface Family {
  readonly group: string;
  readonly ip: string;
  readonly gateway: string;
  readonly source: string;
  /** The route without any rule. */
  readonly direct: string;
  readonly redirected: string;
  readonly icmp: readonly [name: string, number: number];
}
const IPV4: Family = {
  group: "fib_rule4_test",
  ip: "ip",
  gateway: "192.51.100.2",
  source: "192.51.100.3",
  direct: "dev dummy0 table 254",
  redirected: "via 192.51.100.2 dev dummy0 table 100",
  icmp: ["icmp", 1],
};
const IPV6: Family = {
  group: "fib_rule6_test",
  ip: "ip -6",
  gateway: "2001:db8:1::2",
  source: "2001:db8:1::3",
  direct: "dev dummy0 table 254 metric 256",
  redirected: "via 2001:db8:1::2 dev dummy0 table 100 metric 1024",
  icmp: ["ipv6-icmp", 58],
};

const network = ({ ip, gateway }: Family): Command[] => [
  "ip link add dummy0 type dummy",
  "ip link set dev dummy0 up",
  "ip addr add 192.51.100.1/24 dev dummy0",
  "ip -6 addr add 2001:db8:1::1/64 dev dummy0 nodad",
  `${ip} route add table 100 default via ${gateway} dev dummy0 onlink`,
];

/** What a rule matches on, flows that it catches, and flows that it does not. */
function matches(
  family: Family,
  match: string,
  caught: readonly Omit<Query, "dst">[],
  others: readonly Omit<Query, "dst">[],
): SelfTest {
  const ask = (flow: Omit<Query, "dst">, expect: string) =>
    query(Object.entries(flow).join(" ").replaceAll(",", " "), { dst: family.gateway, ...flow }, expect);
  return {
    group: family.group,
    name: match,
    setup: [
      ...network(family),
      // As the script does: source and destination are of one subnet, and the packet leaves where it came in.
      "sysctl -qw net.ipv4.ip_forward=1",
      "sysctl -qw net.ipv6.conf.all.forwarding=1",
      "sysctl -qw net.ipv4.conf.dummy0.rp_filter=0",
      `${family.ip} rule add ${match} table 100`,
    ],
    asks: [...caught.map((flow) => ask(flow, family.redirected)), ...others.map((flow) => ask(flow, family.direct))],
  };
}

/** Deleted by its preference, the rule catches nothing. */
const deleted = (family: Family): SelfTest => ({
  group: family.group,
  name: "del by pref",
  setup: [...network(family), `${family.ip} rule add fwmark 0x64 table 100`, `${family.ip} rule del pref 32765`],
  asks: [query("mark 100", { dst: family.gateway, mark: 100 }, family.direct)],
});

const rejects = (family: Family): SelfTest => ({
  group: family.group,
  name: "dsfield with ECN bits",
  setup: [
    ...network(family),
    ...[1, 2, 3].map((tos) =>
      refused(`${family.ip} rule add dsfield ${tos} table 100`, "Invalid dsfield (tos): ECN bits must be 0."),
    ),
  ],
  asks: [query("tos 1", { dst: family.gateway, tos: 1 }, family.direct)],
});

function testsOf(family: Family): SelfTest[] {
  const { source } = family;
  const [icmp, icmpNumber] = family.icmp;
  return [
    matches(family, "oif dummy0", [{ oif: "dummy0" }], [{}]),
    matches(family, `from ${source} iif dummy0`, [{ src: source, iif: "dummy0" }], [{}]),
    matches(
      family,
      "tos 0x10",
      [0x10, 0x11, 0x12, 0x13].map((tos) => ({ tos })),
      [{ tos: 0x08 }, {}],
    ),
    matches(family, "fwmark 0x64", [{ mark: 0x64 }], [{ mark: 0x65 }, {}]),
    matches(family, "uidrange 100-100", [{ uid: 100 }], [{ uid: 101 }, {}]),
    matches(
      family,
      "sport 666 dport 777",
      [{ sport: 666, dport: 777 }],
      [{ sport: 666, dport: 778 }, { sport: 667, dport: 777 }, {}],
    ),
    matches(family, "ipproto tcp", [{ proto: 6 }], [{ proto: 17 }, {}]),
    matches(family, `ipproto ${icmp}`, [{ proto: icmpNumber }], [{ proto: 6 }, {}]),
    rejects(family),
    deleted(family),
  ];
}

export const fibRuleTests: Script = { script: "fib_rule_tests.sh", tests: [...testsOf(IPV4), ...testsOf(IPV6)] };
