/** Rules and tables: selectors one by one, actions, suppression, goto, and what the three kernel profiles make of devices. */
import { describe, expect, test } from "vitest";
import { parseIp } from "../../runtime/net/ip.ts";
import { udpDatagram } from "../../runtime/net/udp.ts";
import { hostOf, lookups, type PacketWords } from "./support.ts";

/** Table 200 leads to 10.9.0.2, everything else to 10.8.0.2: the gateway tells which rule won. */
const TWO_WAYS = `
sysctl net.ipv4.ip_forward = 1
interface eth0 { address 10.0.0.1/24 }
interface eth8 { address 10.8.0.1/24 }
interface eth9 { address 10.9.0.1/24; group 7 }
route default via 10.8.0.2
table 200 { route default via 10.9.0.2 }
`;
const gatewayOf = (story: string): string => /route via (\S+)/.exec(story)?.[1] ?? story.split(" | ").at(-1)!;

const udp = (sport: number, dport: number): Partial<PacketWords> => ({
  protocol: 17,
  payload: udpDatagram(
    { sourcePort: sport, destinationPort: dport, data: new Uint8Array(4) },
    parseIp("10.0.0.7") as number,
    parseIp("9.9.9.9") as number,
  ),
});

describe("one selector of a rule at a time, on a forwarded packet", () => {
  const cases: [rule: string, packet: Partial<PacketWords>, matches: boolean][] = [
    ["from 10.0.0.0/24", {}, true],
    ["from 10.0.0.8", {}, false],
    ["to 9.9.9.0/24", {}, true],
    ["to 9.9.8.0/24", {}, false],
    ["iif eth0", {}, true],
    ["iif eth8", {}, false],
    ["iif lo", {}, false],
    ["oif eth9", {}, false],
    ["fwmark 0x1/0xff", { mark: 0xf01 }, true],
    ["fwmark 0x1", { mark: 0xf01 }, false],
    ["fwmark 0x80000000/0x80000000", { mark: 0xffffffff }, true],
    ["tos 0x10", { tos: 16 }, true],
    ["tos 0x10", { tos: 0x13 }, true], // ECN is not TOS
    ["tos 0x10", { tos: 0x90 }, true], // nor are the upper bits of DSCP, to IPv4
    ["tos 0x10", { tos: 8 }, false],
    ["ipproto udp", udp(1, 2), true],
    ["ipproto tcp", udp(1, 2), false],
    ["sport 1000-2000", udp(1500, 53), true],
    ["sport 1000-2000", udp(2001, 53), false],
    ["dport 53", udp(1500, 53), true],
    ["dport 53", udp(53, 1500), false],
    ["dport 2048", {}, false], // ICMP has no ports on the way in
    ["uidrange 0-0", {}, true], // forwarded packets are root's
    ["uidrange 1-1000", {}, false],
    ["not from 10.0.0.0/24", {}, false],
    ["not to 9.9.8.0/24", {}, true],
    ["not from 10.0.0.0/24 to 1.1.1.1", {}, true], // not inverts the conjunction
    ["l3mdev", {}, false],
  ];
  test.each(cases)("%s", (rule, packet, matches) => {
    const host = hostOf(`${TWO_WAYS}\nrule 100 ${rule}${rule === "l3mdev" ? "" : " lookup 200"}`);
    const { story } = host.receive("eth0", { from: "10.0.0.7", to: "9.9.9.9", ...packet });
    expect(gatewayOf(story)).toBe(matches ? "10.9.0.2" : "10.8.0.2");
  });
});

test("a rule's trace names the first selector that fails", () => {
  const host = hostOf(`${TWO_WAYS}
    rule 100 iif eth8 from 1.1.1.1 lookup 200
    rule 101 from 1.1.1.1 to 2.2.2.2 lookup 200
    rule 102 not from 10.0.0.7 lookup 200`);
  const { trace } = host.receive("eth0", { from: "10.0.0.7", to: "9.9.9.9" });
  expect(lookups(host.net, trace)).toContain(
    "rule 100 fails iif | rule 101 fails from | rule 102 fails inverted | rule 32766 | fib 254 0.0.0.0/0",
  );
});

describe("sockets: flows of this host", () => {
  const cases: [rule: string, device: string, packet: Partial<PacketWords>, matches: boolean][] = [
    ["iif lo", "", {}, true],
    ["oif eth9", "eth9", {}, true],
    ["oif eth8", "", {}, false],
    ["uidrange 1000-1999", "", { uid: 1000 }, true],
    ["uidrange 1000-1999", "", { uid: 2000 }, false],
    ["dport 2048", "", {}, true], // type and code of an echo request share their place with the ports
    ["dport 53", "", udp(1, 53), true],
    ["fwmark 7", "", { mark: 7 }, true],
  ];
  test.each(cases)("%s, bound to '%s'", (rule, device, packet, matches) => {
    const host = hostOf(`${TWO_WAYS}\nrule 100 ${rule} lookup 200`);
    const { story } = host.output(device, { from: "0.0.0.0", to: "9.9.9.9", ...packet });
    expect(gatewayOf(story)).toBe(matches ? "10.9.0.2" : "10.8.0.2");
  });
});

describe("actions", () => {
  const cases: [rules: string, end: string][] = [
    ["rule 100 unreachable", "icmp_send 3/0"],
    ["rule 100 prohibit", "icmp_send 3/13"],
    ["rule 100 blackhole", "drop BLACKHOLE"],
    ["rule 100 nop", "10.8.0.2"],
    ["rule 100 goto 300; rule 200 blackhole; rule 300 lookup 200", "10.9.0.2"],
    ["rule 100 goto 300; rule 200 lookup 200", "10.9.0.2"], // no such target: skipped
    ["rule 100 goto 300; rule 200 blackhole; rule 300 from 1.1.1.1 lookup 200", "10.8.0.2"], // the target's own selectors count
    ["rule 100 lookup 200 suppress_prefixlength 0", "10.8.0.2"],
    ["rule 100 lookup 200 suppress_ifgroup 7", "10.8.0.2"],
    ["rule 100 lookup 200 suppress_ifgroup 8", "10.9.0.2"],
    ["table 300 { route unreachable default }; rule 100 lookup 300 suppress_prefixlength 0", "icmp_send 3/1"], // an error is no result
    ["table 300 { route throw default }; rule 100 lookup 300", "10.8.0.2"],
    ["table 300 { route prohibit default }; rule 100 lookup 300", "icmp_send 3/13"],
    ["table 300 { route blackhole default }; rule 100 lookup 300", "drop BLACKHOLE"],
    ["rule 100 lookup 999", "10.8.0.2"], // no such table
  ];
  test.each(cases)("%s", (rules, end) => {
    const host = hostOf(TWO_WAYS + rules.replaceAll("; ", "\n"));
    expect(gatewayOf(host.receive("eth0", { from: "10.0.0.7", to: "9.9.9.9" }).story)).toBe(end);
  });
});

test("suppressed: the trace shows what was found and thrown away", () => {
  const host = hostOf(`${TWO_WAYS}\nrule 100 lookup 200 suppress_prefixlength 0`);
  expect(lookups(host.net, host.receive("eth0", { from: "10.0.0.7", to: "9.9.9.9" }).trace)).toContain(
    "rule 100 | fib 200 0.0.0.0/0 | suppress 0.0.0.0/0 | rule 32766 | fib 254 0.0.0.0/0 | result 0.0.0.0/0",
  );
});

describe("tables", () => {
  const cases: [routes: string, packet: Partial<PacketWords>, end: string][] = [
    ["route 9.9.9.0/24 via 10.9.0.2", {}, "10.9.0.2"],
    ["route 9.9.9.0/24 via 10.9.0.2 metric 10; route 9.9.9.0/24 via 10.8.0.3 metric 5", {}, "10.8.0.3"],
    [
      "route 9.9.9.0/24 tos 0x10 via 10.9.0.2 metric 9; route 9.9.9.0/24 via 10.8.0.3 metric 5",
      { tos: 16 },
      "10.9.0.2",
    ],
    ["route 9.9.9.0/24 tos 0x10 via 10.9.0.2 metric 9; route 9.9.9.0/24 via 10.8.0.3 metric 5", { tos: 8 }, "10.8.0.3"],
    ["route 9.9.9.9/32 tos 0x10 via 10.9.0.2; route 9.9.0.0/16 via 10.8.0.3", {}, "10.8.0.3"], // back-tracks
    ["route blackhole 9.9.9.0/24; route 9.9.9.9/32 via 10.9.0.2", {}, "10.9.0.2"],
    ["route throw 9.9.9.0/24", {}, "icmp_send 3/0"],
  ];
  test.each(cases)("%s", (routes, packet, end) => {
    const host = hostOf(TWO_WAYS + routes.replaceAll("; ", "\n"));
    expect(gatewayOf(host.receive("eth0", { from: "10.0.0.7", to: "9.9.9.9", ...packet }).story)).toBe(end);
  });

  test("a socket bound to a device takes only next hops that leave by it, back-tracking if it must", () => {
    const host = hostOf(`${TWO_WAYS}\nroute 9.9.9.0/24 via 10.9.0.2\nroute 9.9.9.9/32 via 10.8.0.3`);
    const bound = (device: string) => gatewayOf(host.output(device, { from: "0.0.0.0", to: "9.9.9.9" }).story);
    expect([bound(""), bound("eth8"), bound("eth9")]).toEqual(["10.8.0.3", "10.8.0.3", "10.9.0.2"]);
  });

  test("bound to a device that no route leaves by: the destination counts as on its link", () => {
    const { story } = hostOf(TWO_WAYS).output("eth0", { from: "0.0.0.0", to: "9.9.9.9" });
    expect(story).toContain("route dev eth0 src 10.0.0.1");
  });
});

const VRF = `
sysctl net.ipv4.ip_forward = 1
vrf red { table 10 }
interface a { master red; address 10.0.0.1/24 }
interface b { master red; address 10.0.1.1/24 }
interface c { address 10.2.0.1/24 }
`;

describe("VRF tables", () => {
  const cases: [extra: string, end: string][] = [
    ["", "icmp_send 3/0"],
    ["route default via 10.2.0.2", "10.2.0.2"], // a miss leaks into main
    ["route default via 10.2.0.2; table 10 { route throw default }", "10.2.0.2"], // and so does throw
    ["route default via 10.2.0.2; table 10 { route unreachable default metric 4278198272 }", "icmp_send 3/1"],
    ["route default via 10.2.0.2; rule 1001 l3mdev unreachable", "icmp_send 3/0"],
    ["rule 900 not l3mdev blackhole", "icmp_send 3/0"],
  ];
  test.each(cases)("%s", (extra, end) => {
    const host = hostOf(VRF + extra.replaceAll("; ", "\n"));
    expect(gatewayOf(host.receive("a", { from: "10.0.0.7", to: "9.9.9.9" }).story)).toBe(end);
  });

  test("an inverted l3mdev rule asks the table that l3mdev found, when another selector fails it", () => {
    const extra =
      "route default via 10.2.0.2\ntable 10 { route default via 10.0.1.2 }\nrule 900 not l3mdev from 1.1.1.1";
    const { trace } = hostOf(VRF + extra).receive("a", { from: "10.0.0.7", to: "9.9.9.9" });
    expect(lookups(hostOf(VRF + extra).net, trace)).toContain("rule 900 | fib 10 0.0.0.0/0 | result 0.0.0.0/0");
  });
});
