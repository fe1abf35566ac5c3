/**
 * Sending IPv6: the two look-ups of a socket, the ways through a VRF device, multicast and its copies, neighbour discovery, sizes, and how
 * flows spread over next hops. Sources are named in src/reference/ipv6.
 */
import { describe, expect, test } from "vitest";
import { PacketFlag } from "../../runtime/batch.ts";
import { parseIp } from "../../runtime/net/ip.ts";
import { ipv6Packet } from "../../runtime/net/ipv6.ts";
import { addressAt, frameOf, type Host, hostOf, type Outcome, type PacketWords } from "./support.ts";

const HOST = `
vrf red { table 10; address 2001:db8:aa::1/128 }
vrf blue { table 20 }
interface eth0 { master red; address 2001:db8::1/64 }
interface eth1 { master red; address 2001:db8:1::1/64 }
interface eth2 { address 2001:db8:2::1/64 }
interface eth3 { master blue; address 2001:db8:3::1/64 }
table 10 { route 2001:db8:3::/64 dev blue; route unreachable 2001:db8:e::/64 }
route 2001:db8:c::/64 dev red
table 10 { route 2001:db8:c::/64 via 2001:db8:1::9 dev eth1 }
neighbour 2001:db8::9 lladdr 02:00:00:00:00:09 dev eth0
neighbour 2001:db8:1::9 lladdr 02:00:00:00:01:09 dev eth1
neighbour 2001:db8:2::9 lladdr 02:00:00:00:02:09 dev eth2
neighbour 2001:db8:3::9 lladdr 02:00:00:00:03:09 dev eth3
neighbour fe80::9 lladdr 02:00:00:00:00:99 dev eth0
`;
const host = hostOf(HOST);
const ended = ({ verdict, why }: Outcome): string[] => [verdict, why];
const to = (address: string, words: Partial<PacketWords> = {}): PacketWords => ({ from: "::", to: address, ...words });

describe("the ways out (ip6_local_out)", () => {
  test.each<[string, string, string, string]>([
    [
      "through the VRF",
      "red",
      "2001:db8::9",
      "route dev eth0 src 2001:db8::1 | vrf_l3_out eth0>red direct | OUTPUT out=red | POSTROUTING out=red | OUTPUT out=eth0 | POSTROUTING in=red out=eth0 | neighbour 2001:db8::9 eth0 | transmit eth0",
    ],
    [
      "outside of VRFs",
      "",
      "2001:db8:2::9",
      "route dev eth2 src 2001:db8:2::1 | OUTPUT out=eth2 | POSTROUTING out=eth2 | neighbour 2001:db8:2::9 eth2 | transmit eth2",
    ],
    [
      "link-local: not diverted",
      "eth0",
      "fe80::9",
      "OUTPUT out=eth0 | POSTROUTING out=eth0 | neighbour fe80::9 eth0 | transmit eth0",
    ],
    [
      "out of the VRF device: vrf_xmit routes anew",
      "",
      "2001:db8:c::5",
      "route dev red src 2001:db8:aa::1 | OUTPUT out=red | POSTROUTING out=red | neighbour 2001:db8:c::5 red | vrf_xmit red | route via 2001:db8:1::9 dev eth1 src 2001:db8:aa::1 | OUTPUT out=eth1 | POSTROUTING in=red out=eth1 | neighbour 2001:db8:1::9 eth1 | transmit eth1",
    ],
    [
      "a leak into another VRF",
      "red",
      "2001:db8:3::9",
      "route dev blue src 2001:db8:aa::1 | OUTPUT out=blue | POSTROUTING out=blue | neighbour 2001:db8:3::9 blue | vrf_xmit blue | route dev eth3 src 2001:db8:aa::1 | OUTPUT out=eth3 | POSTROUTING in=blue out=eth3 | neighbour 2001:db8:3::9 eth3 | transmit eth3",
    ],
    [
      "an own address in a VRF; it came in by the device that has it",
      "red",
      "2001:db8::1",
      "route dev red src 2001:db8::1 | OUTPUT out=red | POSTROUTING out=red | neighbour 2001:db8::1 red | vrf_xmit red | route dev red src 2001:db8::1 | vrf_local_xmit red | PREROUTING in=red | l3mdev red>red | ip6_input red sdif eth0 | INPUT in=red",
    ],
    [
      "nobody is oneself",
      "",
      "::",
      "route dev lo src ::1 | OUTPUT out=lo | POSTROUTING out=lo | neighbour ::1 lo | PREROUTING in=lo | ip6_input lo | INPUT in=lo",
    ],
  ])("%s", (_, device, address, ends) => {
    const { story } = host.output(device, to(address));
    expect(story.endsWith(ends) ? ends : story).toBe(ends);
  });

  test("a VRF with a qdisc: redirected to the device", () => {
    const queued = hostOf(HOST.replace("vrf red { table 10;", "vrf red { table 10; qdisc pfifo;"));
    expect(queued.output("red", to("2001:db8::9")).story).toContain(
      "vrf_l3_out eth0>red redirect | OUTPUT out=red | POSTROUTING out=red | neighbour 2001:db8::9 red | vrf_xmit red",
    );
  });

  test.each<[string, string, string, string]>([
    ["a VRF has no link", "red", "fe80::9", "ENETUNREACH"],
    ["nor groups", "red", "ff02::1", "ENETUNREACH"],
    ["a route that refuses", "red", "2001:db8:e::1", "EHOSTUNREACH"],
    ["no route", "", "2001:db8:77::1", "ENETUNREACH"],
    ["bound to a device that the route does not leave by", "eth1", "2001:db8::9", "ENETUNREACH"],
  ])("%s", (_, device, address, why) => {
    expect(ended(host.output(device, to(address)))).toEqual(["SEND_ERROR", why]);
    expect(ended(host.lookup(device, to(address)))).toEqual(["SEND_ERROR", why]);
  });

  test("bytes: payload length, source; nothing else", () => {
    const { packet } = host.output("red", to("2001:db8::9"));
    const sent = frameOf({ from: "2001:db8::1", to: "2001:db8::9" }, 0);
    expect(Buffer.from(packet.subarray(14)).toString("hex")).toBe(Buffer.from(sent.subarray(14)).toString("hex"));
  });
});

describe("look-ups (ip6_dst_lookup_tail)", () => {
  const picky = hostOf(
    `${HOST}\nrule 500 from 2001:db8:2::/64 lookup 77\ntable 77 { route 2001:db8:77::/64 dev eth2 }`,
  );

  test("failed without a source, it is made again with the one that would be taken", () => {
    const got = picky.lookup("", to("2001:db8:77::1"));
    expect(got.steps.match(/lookup output/g)).toHaveLength(2);
    expect([got.verdict, addressAt(got.batch, "source", true)]).toEqual(["FOUND", "2001:db8:2::1"]);
  });

  test("but not by `ip route get`", () => {
    const got = picky.lookup("", to("2001:db8:77::1", { flags: PacketFlag.RTM_GETROUTE }));
    expect(got.steps.match(/lookup output/g)).toHaveLength(1);
    expect(ended(got)).toEqual(["SEND_ERROR", "ENETUNREACH"]);
  });

  test("an oif without a socket bound to it is a wish", () => {
    const words = to("2001:db8::9", { from: "2001:db8:1::1" });
    expect(host.lookup("eth1", words).why).toBe("ENETUNREACH");
    const got = host.lookup("eth1", { ...words, flags: PacketFlag.OIF_UNBOUND });
    expect([got.verdict, addressAt(got.batch, "nextHop", true)]).toEqual(["FOUND", "2001:db8::9"]);
  });

  test.each<[string, string, string, string]>([
    ["a route", "eth0", "2001:db8:c::5", "FOUND"],
    ["a group", "eth0", "ff02::1", "SEND_ERROR EMSGSIZE"],
    ["nothing", "eth2", "2001:db8:77::1", "SEND_ERROR ENETUNREACH"],
  ])("ROUTE_INPUT finds %s", (_, device, address, wanted) => {
    const got = host.routeInput(device, { from: "2001:db8::7", to: address });
    expect(ended(got).join(" ").trim()).toBe(wanted);
  });
});

describe("multicast (ip6_finish_output2)", () => {
  const loops = ({ batch }: Outcome): boolean => (batch.column("flags")[0] & PacketFlag.LOOP_BACK) !== 0;

  test("one's own group: a copy comes back, which passes POSTROUTING too", () => {
    const got = host.output("eth0", to("ff02::1"));
    expect([got.verdict, loops(got)]).toEqual(["TRANSMIT", true]);
    expect(got.story).toContain(
      "OUTPUT out=eth0 | POSTROUTING out=eth0 | POSTROUTING out=eth0 | neighbour ff02::1 eth0",
    );
    expect(Buffer.from(got.packet.subarray(0, 6)).toString("hex")).toBe("333300000001");
  });

  test("and is for this host", () => {
    const words = { from: "fe80::1", to: "ff02::1" };
    expect(host.loopBack("eth0", words).story).toBe(
      "PREROUTING in=eth0 | l3mdev eth0>red | ip6_input red sdif eth0 | INPUT in=red",
    );
  });

  test("another's group: no copy", () => expect(loops(host.output("eth0", to("ff02::77")))).toBe(false));

  test.each<[string, PacketWords, boolean]>([
    ["hop limit 0", to("ff02::1", { ttl: 0 }), true],
    ["the scope of this node", to("ff01::1"), true],
    ["the scope of this node, another's group", to("ff01::77"), false],
  ])("%s does not leave it", (_, words, copied) => {
    const got = host.output("eth0", words);
    expect([...ended(got), loops(got)]).toEqual(["DROP", "NOT_SPECIFIED", copied]);
  });
});

test("neighbour discovery is neither routed nor diverted (ndisc_send_skb)", () => {
  const unicast = host.neighbourDiscovery("eth0", to("2001:db8::9", { from: "2001:db8::1" }));
  expect(unicast.story).toBe(
    "OUTPUT out=eth0 | POSTROUTING in=eth0 out=eth0 | neighbour 2001:db8::9 eth0 | transmit eth0",
  );
  // Its own group, but no copy.
  const group = host.neighbourDiscovery("eth0", to("ff02::1", { from: "2001:db8::1" }));
  expect(group.story).toBe("OUTPUT out=eth0 | POSTROUTING in=eth0 out=eth0 | neighbour ff02::1 eth0 | transmit eth0");
});

describe("sizes (ip6_fragment)", () => {
  const large = { protocol: 17, payload: new Uint8Array(1461) };
  test("a socket's packet is cut", () => {
    const got = host.output("red", to("2001:db8::9", large));
    expect(got.verdict).toBe("FRAGMENT");
    expect(got.story.endsWith("POSTROUTING in=red out=eth0 | ip6_fragment eth0 mtu 1500")).toBe(true);
    expect([got.batch.column("info")[0], addressAt(got.batch, "nextHop", true)]).toEqual([1500, "2001:db8::9"]);
  });

  test("a router says so, by the route's MTU only after POSTROUTING", () => {
    const router = hostOf(
      `sysctl net.ipv6.conf.all.forwarding = 1\n${HOST}\nroute 2001:db8:d::/64 via 2001:db8:2::9 mtu 1300\ninterface eth4 { address 2001:db8:4::1/64 }`,
    );
    const got = router.receive("eth4", {
      from: "2001:db8:4::7",
      to: "2001:db8:d::1",
      protocol: 17,
      payload: new Uint8Array(1300),
    });
    expect([...ended(got), got.batch.column("info")[0]]).toEqual(["ICMP_ERROR", "2/0", 1300]);
    expect(got.story.endsWith("FORWARD in=eth4 out=eth2 | POSTROUTING in=eth4 out=eth2 | icmpv6_send 2/0")).toBe(true);
  });
});

describe("multipath (rt6_multipath_hash)", () => {
  const paths = (policy: number): Host =>
    hostOf(`sysctl net.ipv6.conf.all.forwarding = 1
      sysctl net.ipv6.fib_multipath_hash_policy = ${policy}
      interface eth0 { address 2001:db8::1/64 }
      interface eth1 { address 2001:db8:1::1/64 }
      interface eth2 { address 2001:db8:2::1/64 }
      route 2001:db8:77::/64 nexthop via 2001:db8:1::9 weight 1 nexthop via 2001:db8:2::9 weight 1`);
  const outDevices = (router: Host, packets: readonly PacketWords[]): Set<number> =>
    new Set(packets.map((words) => router.receive("eth0", words).batch.column("outDevice")[0]));
  const udp = (sport: number): PacketWords => ({
    from: "2001:db8::7",
    to: "2001:db8:77::1",
    protocol: 17,
    payload: new Uint8Array([sport >>> 8, sport & 255, 0, 53, 0, 8, 0, 0]),
  });
  const flows = Array.from({ length: 24 }, (_, i) => udp(1000 + i));

  test.each([
    [0, 1],
    [1, 2],
    [2, 1],
    [3, 1],
  ])("policy %i: flows that differ in ports take %i of two paths", (policy, used) => {
    expect(outDevices(paths(policy), flows).size).toBe(used);
  });

  test("an ICMPv6 error takes the path of the flow that it is about", () => {
    const router = paths(0);
    for (let i = 0; i < 16; i++) {
      const source = `2001:db8:77::${i + 1}`;
      // The flow goes out to `source`, the error about its answer too.
      const flow = outDevices(router, [{ ...udp(1), to: source }]);
      const quoted = ipv6Packet(
        {
          trafficClass: 0,
          flowLabel: 0,
          nextHeader: 17,
          hopLimit: 9,
          source: parseIp(source) as bigint,
          destination: parseIp("2001:db8::7") as bigint,
        },
        new Uint8Array(8),
      );
      const payload = new Uint8Array([3, 0, 0, 0, 0, 0, 0, 0, ...quoted]);
      expect(outDevices(router, [{ from: "2001:db8:0:0:1::1", to: source, payload }])).toEqual(flow);
    }
  });
});
