/** The six cases of one VRF with two slaves, step by step as kernel 6.1 was seen to take them. */
import { describe, expect, test } from "vitest";
import { hostOf, lookups, type PacketWords } from "./support.ts";

const SEED = `
sysctl net.ipv4.ip_forward = 1
vrf vrf { table 100 }
interface vethr1 { master vrf; address 10.0.0.1/24 }
interface vethr2 { master vrf; address 10.0.1.1/24 }
neighbour 10.0.0.7 lladdr 02:00:00:00:00:07 dev vethr1
neighbour 10.0.1.7 lladdr 02:00:00:00:01:07 dev vethr2
`;
const CASE_4 = `${SEED}\nroute 10.0.0.0/24 dev vrf`;
const CASE_5 = `${SEED}\nroute 10.0.0.0/24 dev vethr1`;
const CASE_6 = SEED.replace("vrf vrf { table 100 }", "vrf vrf { table 100; address 1.1.1.1/32 }").concat(
  "\ntable 100 { route 2.2.2.2/32 via 10.0.0.7 src 1.1.1.1 }",
);

const RECEIVED = "PREROUTING in=vethr1 | l3mdev vethr1>vrf | PREROUTING in=vrf";
const OUT_DIRECT =
  "vrf_l3_out vethr1>vrf direct | OUTPUT out=vrf | POSTROUTING out=vrf | OUTPUT out=vethr1 | POSTROUTING in=vrf out=vethr1";
const SENT = "neighbour 10.0.0.7 vethr1 | transmit vethr1";

describe("the six cases", () => {
  const cases: [string, string, "in" | "out", string, PacketWords, string][] = [
    [
      "1: forwarded between two slaves",
      SEED,
      "in",
      "vethr1",
      { from: "10.0.0.7", to: "10.0.1.7" },
      `${RECEIVED} | rpf vethr1 ok | route dev vethr2 src 10.0.0.7 | ip_forward ttl 64 | FORWARD in=vrf out=vethr2 | POSTROUTING in=vrf out=vethr2 | neighbour 10.0.1.7 vethr2 | transmit vethr2`,
    ],
    [
      "2: to the slave's own address",
      SEED,
      "in",
      "vethr1",
      { from: "10.0.0.7", to: "10.0.0.1" },
      `${RECEIVED} | rpf vethr1 ok | local vrf sdif vethr1 | INPUT in=vrf`,
    ],
    [
      "2b: to the other slave's address",
      SEED,
      "in",
      "vethr1",
      { from: "10.0.0.7", to: "10.0.1.1" },
      `${RECEIVED} | rpf vethr1 ok | local vrf sdif vethr1 | INPUT in=vrf`,
    ],
    [
      "2: the answer, from a socket that the kernel binds to the VRF",
      SEED,
      "out",
      "vrf",
      { from: "10.0.0.1", to: "10.0.0.7" },
      `route dev vethr1 src 10.0.0.1 | ${OUT_DIRECT} | ${SENT}`,
    ],
    [
      "3: bound to the VRF",
      SEED,
      "out",
      "vrf",
      { from: "0.0.0.0", to: "10.0.0.7" },
      `route dev vethr1 src 10.0.0.1 | ${OUT_DIRECT} | ${SENT}`,
    ],
    [
      "3: bound to the slave",
      SEED,
      "out",
      "vethr1",
      { from: "0.0.0.0", to: "10.0.0.7" },
      `route dev vethr1 src 10.0.0.1 | ${OUT_DIRECT} | ${SENT}`,
    ],
    [
      "4: main leads into the VRF device",
      CASE_4,
      "out",
      "",
      { from: "0.0.0.0", to: "10.0.0.7" },
      "route dev vrf src 10.0.0.1 | OUTPUT out=vrf | POSTROUTING out=vrf | neighbour 10.0.0.7 vrf | vrf_xmit vrf | route dev vethr1 src 10.0.0.1 " +
        `| OUTPUT out=vethr1 | POSTROUTING in=vrf out=vethr1 | ${SENT}`,
    ],
    [
      "5: main leads out of a slave",
      CASE_5,
      "out",
      "",
      { from: "0.0.0.0", to: "10.0.0.7" },
      `route dev vethr1 src 10.0.0.1 | ${OUT_DIRECT} | ${SENT}`,
    ],
    [
      "6: by a gateway, with a preferred source",
      CASE_6,
      "out",
      "vrf",
      { from: "0.0.0.0", to: "2.2.2.2" },
      `route via 10.0.0.7 dev vethr1 src 1.1.1.1 | ${OUT_DIRECT} | ${SENT}`,
    ],
    [
      "6: the answer, to an address of the VRF device",
      CASE_6,
      "in",
      "vethr1",
      { from: "2.2.2.2", to: "1.1.1.1" },
      `${RECEIVED} | rpf vethr1 ok | local vrf sdif vethr1 | INPUT in=vrf`,
    ],
    [
      "an own address, bound to the VRF",
      SEED,
      "out",
      "vrf",
      { from: "0.0.0.0", to: "10.0.0.1" },
      "route dev vrf src 10.0.0.1 | OUTPUT out=vrf | POSTROUTING out=vrf | neighbour 10.0.0.1 vrf | vrf_xmit vrf | route dev vrf src 10.0.0.1 " +
        "| vrf_local_xmit vrf | PREROUTING in=vrf | l3mdev vrf>vrf | local vrf sdif vrf | INPUT in=vrf",
    ],
  ];
  test.each(cases)("%s", (_, policy, way, device, packet, story) => {
    const host = hostOf(policy);
    const got = way === "in" ? host.receive(device, packet) : host.output(device, packet);
    expect(got.story).toBe(story);
  });
});

describe("look-ups of the six cases: rules and tables in order", () => {
  test("forwarded: the route, then the source", () => {
    const host = hostOf(SEED);
    expect(lookups(host.net, host.receive("vethr1", { from: "10.0.0.7", to: "10.0.1.7" }).trace)).toBe(
      "lookup input 10.0.0.7>10.0.1.7 iif=vethr1 l3mdev=vrf | rule 0 | fib 255 EAGAIN | rule 1000 | fib 100 10.0.1.0/24 | result 10.0.1.0/24 | " +
        "lookup source 10.0.1.7>10.0.0.7 iif=vethr2 l3mdev=vrf | rule 0 | fib 255 EAGAIN | rule 1000 | fib 100 10.0.0.0/24 | result 10.0.0.0/24",
    );
  });
  test("unbound, into the VRF device: twice", () => {
    const host = hostOf(CASE_4);
    expect(lookups(host.net, host.output("", { from: "0.0.0.0", to: "10.0.0.7" }).trace)).toBe(
      "lookup output 0.0.0.0>10.0.0.7 iif=lo protocol=1 dport=2048 | rule 0 | fib 255 EAGAIN | rule 1000 fails l3mdev | rule 32766 | fib 254 10.0.0.0/24 | result 10.0.0.0/24 | " +
        "lookup vrf_xmit 10.0.0.1>10.0.0.7 iif=lo l3mdev=vrf protocol=1 | rule 0 | fib 255 EAGAIN | rule 1000 | fib 100 10.0.0.0/24 | result 10.0.0.0/24",
    );
  });
});

test("hooks of devices: in this order, and of the VRF device too", () => {
  const host = hostOf(SEED);
  const hooks = (steps: string) => steps.split(" | ").filter((s) => /^(xdp|tc|netdev) /.test(s));
  expect(hooks(host.receive("vethr1", { from: "10.0.0.7", to: "10.0.1.7" }).steps)).toEqual([
    "xdp vethr1",
    "tc ingress vethr1",
    "netdev ingress vethr1",
    "netdev egress vethr2",
    "tc egress vethr2",
  ]);
  expect(hooks(host.output("vrf", { from: "0.0.0.0", to: "10.0.0.1" }).steps)).toEqual([
    "netdev egress vrf",
    "tc egress vrf",
    "xdp vrf",
    "tc ingress vrf",
    "netdev ingress vrf",
  ]);
});
