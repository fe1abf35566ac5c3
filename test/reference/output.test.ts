/** Forwarding and sending: TTL, MTU, redirects, neighbours, the ways through a VRF device, sockets. */
import { describe, expect, test } from "vitest";
import { PacketFlag } from "../../runtime/batch.ts";
import { checksum } from "../../runtime/net/checksum.ts";
import { readIpv4 } from "../../runtime/net/ip.ts";
import { Ipv4View } from "../../runtime/net/ipv4.ts";
import { Entry } from "../../runtime/verdict.ts";
import { addressAt, hostOf, ipPacketOf, type PacketWords, PEER_MAC } from "./support.ts";

const ROUTER = `
sysctl net.ipv4.ip_forward = 1
interface eth0 { address 10.0.0.1/24 }
interface eth1 { address 10.0.1.1/24; mtu 600 }
interface dummy0 { type dummy; address 10.3.0.1/24 }
neighbour 10.0.1.7 lladdr 02:00:00:00:01:07 dev eth1
`;
const big = (bytes: number): Partial<PacketWords> => ({ payload: new Uint8Array(bytes), protocol: 17 });
const last = (story: string): string => story.split(" | ").at(-1)!;

describe("forwarding", () => {
  const cases: [what: string, packet: Partial<PacketWords>, verdict: string, why: string, ends: string][] = [
    ["TTL 2", { ttl: 2 }, "TRANSMIT", "", "transmit eth1"],
    ["TTL 1", { ttl: 1 }, "ICMP_ERROR", "11/0", "ip_forward ttl 1 | icmp_send 11/0"],
    ["TTL 0", { ttl: 0 }, "ICMP_ERROR", "11/0", "ip_forward ttl 0 | icmp_send 11/0"],
    ["as long as the MTU", { ...big(580), dontFragment: true }, "TRANSMIT", "", "transmit eth1"],
    ["longer, DF", { ...big(581), dontFragment: true }, "ICMP_ERROR", "3/4", "ip_forward ttl 64 | icmp_send 3/4"],
    [
      "longer, DF, TTL 1: the TTL is asked first",
      { ...big(581), dontFragment: true, ttl: 1 },
      "ICMP_ERROR",
      "11/0",
      "icmp_send 11/0",
    ],
    ["longer, to be cut", big(581), "FRAGMENT", "", "POSTROUTING in=eth0 out=eth1 | ip_fragment eth1 mtu 600"],
    ["to an unknown neighbour", { to: "10.0.1.8" }, "UNRESOLVED", "", "neighbour 10.0.1.8 eth1 unresolved"],
    ["to a device without ARP", { to: "10.3.0.9" }, "TRANSMIT", "", "neighbour 10.3.0.9 dummy0 | transmit dummy0"],
    ["to nobody", { to: "9.9.9.9" }, "ICMP_ERROR", "3/0", "PREROUTING in=eth0 | icmp_send 3/0"],
  ];
  test.each(cases)("%s", (_, packet, verdict, why, ends) => {
    const got = hostOf(ROUTER).receive("eth0", { from: "10.0.0.7", to: "10.0.1.7", ...packet });
    expect([got.verdict, got.why]).toEqual([verdict, why]);
    expect(got.story.endsWith(ends)).toBe(true);
  });

  test("the frame out: addresses, TTL one less, checksum right, the rest as it was", () => {
    const host = hostOf(ROUTER);
    const got = host.receive("eth0", { from: "10.0.0.7", to: "10.0.1.7", tos: 3 });
    const frame = Buffer.from(got.packet).toString("hex");
    expect(frame.slice(0, 28)).toBe(`020000000107${host.net.devices[2].mac.toString(16).padStart(12, "0")}0800`);
    const sent = ipPacketOf({ from: "10.0.0.7", to: "10.0.1.7", tos: 3, ttl: 63 });
    expect(frame.slice(28)).toBe(Buffer.from(sent).toString("hex"));
  });

  test("an ICMP error is about the packet as it came: TTL untouched", () => {
    const got = hostOf(ROUTER).receive("eth0", { from: "10.0.0.7", to: "10.0.1.7", ttl: 1 });
    expect([...got.packet]).toEqual([...ipPacketOf({ from: "10.0.0.7", to: "10.0.1.7", ttl: 1 })]);
  });

  test("a waiting packet goes on by Entry.NEIGHBOUR, once the neighbour is known", () => {
    const { engine } = hostOf(ROUTER);
    const { batch } = hostOf(ROUTER).receive("eth0", { from: "10.0.0.7", to: "10.0.1.8" });
    expect(addressAt(batch, "nextHop")).toBe("10.0.1.8");
    batch.column("entry")[0] = Entry.NEIGHBOUR;
    batch.column("device")[0] = batch.column("outDevice")[0];
    engine.process(batch);
    expect(batch.column("verdict")[0]).toBe(5);
    engine.setNeighbour(batch.column("device")[0], 0x0a000108, PEER_MAC);
    engine.process(batch);
    expect(batch.column("verdict")[0]).toBe(1);
    expect(Buffer.from(batch.packet(0).slice(0, 6)).toString("hex")).toBe("0200000000aa");
    expect(new Ipv4View(batch.packet(0).slice(14)).ttl).toBe(63);
  });

  test("a route's MTU counts, even above the device's", () => {
    const policy = ROUTER.replace("10.0.1.1/24; mtu 600", "10.0.1.1/24");
    const host = hostOf(`${policy}\nroute 9.0.0.0/8 via 10.0.1.7 mtu 576`);
    const got = host.receive("eth0", { from: "10.0.0.7", to: "9.9.9.9", ...big(600), dontFragment: true });
    expect([got.why, got.batch.column("info")[0]]).toEqual(["3/4", 576]);
  });
});

describe("redirects: back out of the device it came from, to a neighbour of the sender", () => {
  const base = `
    sysctl net.ipv4.ip_forward = 1
    interface eth0 { address 10.0.0.1/24 }
    neighbour 10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0
    route 9.0.0.0/8 via 10.0.0.9
    route 172.16.0.0/16 via 10.0.0.8`;
  const off = "sysctl net.ipv4.conf.all.send_redirects = 0\nsysctl net.ipv4.conf.eth0.send_redirects = 0";
  const REJECT =
    "chain f { type filter hook forward priority 0; policy accept; icmp type echo-request reject with icmp host-prohibited }";
  test.each([
    ["10.0.0.7", "", 0x0a000009, "TRANSMIT"],
    ["172.16.0.1", "", null, "TRANSMIT"], // the sender is behind a gateway
    ["10.0.0.7", off, null, "TRANSMIT"],
    ["10.0.0.7", REJECT, 0x0a000009, "ICMP_ERROR"], // it is told of the gateway first
  ])("%s, %s", (from, more, gateway, verdict) => {
    const got = hostOf(`${base}\n${more}`).receive("eth0", { from, to: "9.9.9.9" });
    const redirect = got.batch.column("redirect")[0];
    expect([got.verdict, redirect === 0 ? null : readIpv4(got.batch.bytes, redirect)]).toEqual([verdict, gateway]);
    const told = gateway === null ? "" : "icmp_send 5/1 | ";
    expect(got.story).toContain(`ip_forward ttl 64 | ${told}FORWARD in=eth0 out=eth0`);
  });

  test("a packet that is cut: its MTU too", () => {
    const narrow = hostOf(base.replace("via 10.0.0.9", "via 10.0.0.9 mtu 600"));
    const { verdict, batch } = narrow.receive("eth0", { from: "10.0.0.7", to: "9.9.9.9", ...big(601) });
    const gateway = readIpv4(batch.bytes, batch.column("redirect")[0]);
    expect([verdict, batch.column("info")[0], gateway]).toEqual(["FRAGMENT", 600, 0x0a000009]);
  });
});

const LEAKS = `
sysctl net.ipv4.ip_forward = 1
vrf red { table 10 }
vrf blue { table 20 }
interface a { master red; address 10.0.0.1/24 }
interface b { master blue; address 10.0.1.1/24 }
neighbour 10.0.0.7 lladdr 02:00:00:00:00:07 dev a
neighbour 10.0.1.7 lladdr 02:00:00:00:01:07 dev b
`;

describe("from one VRF into another", () => {
  const cases: [how: string, policy: string, to: string, story: string][] = [
    [
      "by the other's device: its output hooks too, the TTL one less once",
      "table 10 { route 10.0.1.0/24 dev blue }",
      "10.0.1.7",
      "ip_forward ttl 64 | FORWARD in=red out=blue | POSTROUTING in=red out=blue | neighbour 10.0.1.7 blue | vrf_xmit blue | " +
        "route dev b src 10.0.0.7 | OUTPUT out=b | POSTROUTING in=blue out=b | neighbour 10.0.1.7 b | transmit b",
    ],
    [
      "by a slave of the other: no output hooks",
      "table 10 { route 10.0.1.0/24 dev b }",
      "10.0.1.7",
      "ip_forward ttl 64 | FORWARD in=red out=b | POSTROUTING in=red out=b | neighbour 10.0.1.7 b | transmit b",
    ],
    [
      "to an address of the other",
      "table 10 { route 10.0.1.0/24 dev blue }",
      "10.0.1.1",
      "ip_forward ttl 64 | FORWARD in=red out=blue | POSTROUTING in=red out=blue | neighbour 10.0.1.1 blue | vrf_xmit blue | " +
        "route dev blue src 10.0.0.7 | vrf_local_xmit blue | PREROUTING in=blue | l3mdev blue>blue | local blue sdif blue | INPUT in=blue",
    ],
  ];
  test.each(cases)("%s", (_, policy, to, story) => {
    const got = hostOf(LEAKS + policy).receive("a", { from: "10.0.0.7", to });
    expect(got.story.split("src 10.0.0.7 | ").slice(1).join("src 10.0.0.7 | ")).toBe(story);
  });

  test("nothing there: the VRF device drops it", () => {
    const got = hostOf(`${LEAKS}\ntable 10 { route 9.0.0.0/8 dev blue }`).receive("a", {
      from: "10.0.0.7",
      to: "9.9.9.9",
    });
    expect(last(got.story)).toBe("drop IP_OUTNOROUTES");
  });

  test("by lo: round and round until the TTL ends, each time past PREROUTING", () => {
    const got = hostOf(`${LEAKS}\ntable 10 { route 9.0.0.0/8 dev lo }`).receive("a", {
      from: "10.0.0.7",
      to: "9.9.9.9",
      ttl: 5,
    });
    expect(got.story.match(/FORWARD in=\S+ out=lo/g)).toEqual([
      "FORWARD in=red out=lo",
      "FORWARD in=lo out=lo",
      "FORWARD in=lo out=lo",
      "FORWARD in=lo out=lo",
    ]);
    expect(got.why).toBe("11/0");
  });

  test("two VRF devices that point at each other: nine transmissions, then the kernel sees a dead loop", () => {
    const loop = "table 10 { route 9.9.9.9/32 dev blue }\ntable 20 { route 9.9.9.9/32 dev red }";
    const got = hostOf(LEAKS + loop).output("red", { from: "10.0.0.1", to: "9.9.9.9" });
    expect(got.story.match(/vrf_xmit/g)).toHaveLength(9);
    expect(got.why).toBe("RECURSION");
  });
});

describe("out by a slave", () => {
  const red = (device: string) =>
    `vrf red { table 10${device} }\ninterface a { master red; address 10.0.0.1/24 }\nneighbour 10.0.0.7 lladdr 02:00:00:00:00:07 dev a\nroute 10.0.0.0/24 dev a`;
  test("a VRF with a qdisc: redirected, and looked up again", () => {
    const got = hostOf(red("; qdisc pfifo")).output("", { from: "0.0.0.0", to: "10.0.0.7" });
    expect(got.story).toBe(
      "route dev a src 10.0.0.1 | vrf_l3_out a>red redirect | OUTPUT out=red | POSTROUTING out=red | neighbour 10.0.0.7 red | vrf_xmit red | " +
        "route dev a src 10.0.0.1 | OUTPUT out=a | POSTROUTING in=red out=a | neighbour 10.0.0.7 a | transmit a",
    );
  });
  test("a VRF that is down: redirected into a device that drops all", () => {
    const got = hostOf(red("; down")).output("", { from: "0.0.0.0", to: "10.0.0.7" });
    expect(got.story).toBe(
      "route dev a src 10.0.0.1 | vrf_l3_out a>red redirect | OUTPUT out=red | POSTROUTING out=red | neighbour 10.0.0.7 red | drop DEVICE_DOWN",
    );
  });
  test("bound to a VRF that is down: no route", () => {
    expect(hostOf(red("; down")).output("red", { from: "0.0.0.0", to: "10.0.0.7" }).why).toBe("ENETUNREACH");
  });
  test("a broadcast comes back to its sender as a copy, by Entry.LOOPBACK", () => {
    const host = hostOf(red(""));
    const { batch } = host.output("a", { from: "10.0.0.1", to: "255.255.255.255" });
    expect(batch.column("flags")[0] & PacketFlag.LOOP_BACK).not.toBe(0);
    expect(host.loopBack("a", { from: "10.0.0.1", to: "255.255.255.255" }).story).toBe(
      "PREROUTING in=a | l3mdev a>red | local red sdif a | INPUT in=red",
    );
  });

  test("multicast and limited broadcast are not diverted to the VRF", () => {
    expect(hostOf(red("")).output("a", { from: "0.0.0.0", to: "255.255.255.255" }).story).toBe(
      "route dev a src 10.0.0.1 | OUTPUT out=a | POSTROUTING out=a | POSTROUTING out=a | neighbour 255.255.255.255 a | transmit a",
    );
    const group = hostOf(red("")).output("a", { from: "0.0.0.0", to: "224.1.2.3" });
    expect(group.story).toBe(
      "route dev a src 10.0.0.1 | OUTPUT out=a | POSTROUTING out=a | neighbour 224.1.2.3 a | transmit a",
    );
    expect(Buffer.from(group.packet.slice(0, 6)).toString("hex")).toBe("01005e010203");
    expect(hostOf(red("")).output("red", { from: "0.0.0.0", to: "224.0.0.1" }).why).toBe("ENETUNREACH");
  });
});

describe("sockets", () => {
  const cases: [what: string, device: string, packet: Partial<PacketWords>, first: string][] = [
    ["the source is the device's, in the next hop's subnet", "", { to: "10.0.1.7" }, "route dev eth1 src 10.0.1.1"],
    ["a source that is not ours", "", { from: "8.8.8.8", to: "10.0.1.7" }, "send_error ENETUNREACH"],
    ["a multicast source", "", { from: "224.0.0.1", to: "10.0.1.7" }, "send_error EINVAL"],
    ["no route", "", { to: "9.9.9.9" }, "send_error ENETUNREACH"],
    ["an own address: by lo", "", { to: "10.0.0.1" }, "route dev lo src 10.0.0.1"],
    ["127/8", "", { to: "127.0.0.5" }, "route dev lo src 127.0.0.1"],
    ["to 0.0.0.0: to oneself", "", { to: "0.0.0.0" }, "route dev lo src 127.0.0.1"],
    ["from 127/8 out of a device", "eth1", { from: "127.0.0.1", to: "10.0.1.7" }, "send_error EINVAL"],
    [
      "longer than the MTU, DF",
      "",
      { to: "10.0.1.7", ...big(600), dontFragment: true },
      "route dev eth1 src 10.0.1.1 | send_error EMSGSIZE",
    ],
  ];
  test.each(cases)("%s", (_, device, packet, first) => {
    const { story } = hostOf(ROUTER).output(device, { from: "0.0.0.0", to: "10.0.1.7", ...packet });
    expect(story.slice(0, first.length)).toBe(first);
  });

  test("an own address: out by lo and in again, not routed a second time", () => {
    const got = hostOf(ROUTER).output("", { from: "0.0.0.0", to: "10.0.0.1" });
    expect(got.story).toBe(
      "route dev lo src 10.0.0.1 | OUTPUT out=lo | POSTROUTING out=lo | neighbour 10.0.0.1 lo | PREROUTING in=lo | local lo | INPUT in=lo",
    );
    expect([got.verdict, new Ipv4View(got.packet).check()]).toEqual(["LOCAL", null]);
  });

  test("the source and the checksum are filled in", () => {
    const got = hostOf(ROUTER).output("", { from: "0.0.0.0", to: "10.0.1.7" });
    const ip = got.packet.slice(14);
    expect([new Ipv4View(ip).source, checksum(ip.subarray(0, 20))]).toEqual([0x0a000101, 0]);
  });

  test("connect(): what it finds, and nothing is sent", () => {
    const got = hostOf(`${ROUTER}\nroute 9.0.0.0/8 via 10.0.1.7`).lookup("", { from: "0.0.0.0", to: "9.9.9.9" });
    expect([got.verdict, got.story]).toEqual(["FOUND", "route via 10.0.1.7 dev eth1 src 10.0.1.1"]);
    expect([addressAt(got.batch, "nextHop"), addressAt(got.batch, "source")]).toEqual(["10.0.1.7", "10.0.1.1"]);
    expect(hostOf(ROUTER).lookup("", { from: "0.0.0.0", to: "9.9.9.9" }).why).toBe("ENETUNREACH");
  });

  test("an IPv6 next hop of an IPv4 route is resolved as such", () => {
    const host = hostOf(`${ROUTER}\nroute 9.0.0.0/8 via fe80::7 dev eth1`);
    const got = host.output("", { from: "0.0.0.0", to: "9.9.9.9" });
    expect([got.verdict, addressAt(got.batch, "nextHop", true), got.batch.column("flags")[0]]).toEqual([
      "UNRESOLVED",
      "fe80::7",
      2,
    ]);
    host.engine.setNeighbour(3, 0xfe800000000000000000000000000007n, PEER_MAC);
    expect(host.output("", { from: "0.0.0.0", to: "9.9.9.9" }).verdict).toBe("TRANSMIT");
  });
});

describe("source selection stays in the VRF", () => {
  const cases: [what: string, policy: string, device: string, source: string][] = [
    ["the slave's own", "", "red", "10.0.0.1"],
    [
      "the VRF device's, when the slave has none",
      "interface c { master red }\ntable 10 { route 10.7.0.0/24 dev c }",
      "red",
      "10.5.0.1",
    ],
    ["leaking by the other VRF's slave: still one of ours", "table 10 { route 10.7.0.0/24 dev b }", "red", "10.5.0.1"],
  ];
  test.each(cases)("%s", (_, policy, device, source) => {
    const host = hostOf(`${LEAKS.replace("table 10 }", "table 10; address 10.5.0.1/32 }")}\n${policy}`);
    const to = policy === "" ? "10.0.0.7" : "10.7.0.7";
    expect(addressAt(host.lookup(device, { from: "0.0.0.0", to }).batch, "source")).toBe(source);
  });
});
