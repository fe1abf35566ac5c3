/**
 * vrf_strict_mode_test.sh: in strict mode a table belongs to one VRF; the mode is a namespace's own, and cannot be entered
 * while a table is shared.
 */
import { type Command, query, refused, type Script } from "../selftest.ts";

type Where = "init" | "testns";
const ip = (ns: Where): string => (ns === "init" ? "ip" : "ip -n testns");
const add = (ns: Where, vrf: string, table: number): string => `${ip(ns)} link add ${vrf} type vrf table ${table}`;
const used = (ns: Where, vrf: string, table: number): Command =>
  refused(add(ns, vrf, table), "Table is used by another VRF");
const up = (ns: Where, vrf: string, address: string): string[] => [
  `${ip(ns)} link set dev ${vrf} up`,
  `${ip(ns)} addr add ${address} dev ${vrf}`,
];
const strict = (ns: Where, on: 0 | 1): string =>
  `${ns === "init" ? "" : "ip netns exec testns "}sysctl -qw net.vrf.strict_mode=${on}`;

const INIT: readonly Command[] = [
  add("init", "vrf100", 100),
  ...up("init", "vrf100", "172.16.100.1/24"),
  strict("init", 1),
  used("init", "vrf101", 100),
  strict("init", 0),
  add("init", "vrf101", 100),
  ...up("init", "vrf101", "172.16.101.1/24"),
  refused(strict("init", 1), "Device or resource busy"),
  "ip link del vrf101",
  strict("init", 1),
  add("init", "vrf102", 102),
  ...up("init", "vrf102", "172.16.102.1/24"),
];

const TESTNS: readonly Command[] = [
  "ip netns add testns",
  "ip -n testns link set lo up",
  strict("testns", 1),
  add("testns", "vrf100", 100),
  ...up("testns", "vrf100", "10.0.100.1/24"),
  used("testns", "vrf101", 100),
  used("testns", "vrf102", 100),
  add("testns", "vrf200", 200),
  strict("testns", 0),
  add("testns", "vrf101", 100),
  add("testns", "vrf102", 100),
];

export const vrfStrictModeTest: Script = {
  script: "vrf_strict_mode_test.sh",
  tests: [
    {
      group: "vrf_strict_mode_tests_init",
      name: "root namespace",
      // That the mode is on at the end is seen from what is refused.
      setup: [...INIT, used("init", "vrf103", 102)],
      asks: [
        query("vrf100", { dst: "172.16.100.9", oif: "vrf100" }, "dev vrf100 table 100"),
        query("vrf102", { dst: "172.16.102.9", oif: "vrf102" }, "dev vrf102 table 102"),
      ],
    },
    { group: "vrf_strict_mode_tests_testns", name: "another namespace", setup: TESTNS, asks: [] },
    {
      group: "vrf_strict_mode_tests_mix",
      name: "both",
      setup: [
        ...INIT,
        ...TESTNS,
        used("init", "vrf103", 102),
        add("testns", "vrf103", 100),
        ...["vrf101", "vrf102", "vrf103"].map((vrf) => `ip -n testns link del ${vrf}`),
        strict("init", 0),
        strict("testns", 1),
        strict("init", 1),
        strict("init", 1),
        strict("testns", 0),
        strict("testns", 0),
        used("init", "vrf103", 102),
        add("testns", "vrf103", 100),
      ],
      asks: [],
    },
  ],
};
