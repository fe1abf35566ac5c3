/**
 * Receiving IPv6: the order of ip6_rcv_core's checks, hop-by-hop options, what a VRF does with link-local, multicast and neighbour
 * discovery, forwarding. Sources are named in src/reference/ipv6.
 */
import { describe, expect, test } from "vitest";
import { readIpv6 } from "../../runtime/net/ip.ts";
import { BROADCAST_MAC } from "../../runtime/net/mac.ts";
import { frameOf, hostOf, type Outcome, type PacketWords } from "./support.ts";

const ROUTER = `
sysctl net.ipv6.conf.all.forwarding = 1
vrf red { table 10 }
interface eth0 { master red; address 2001:db8::1/64 }
interface eth1 { master red; address 2001:db8:1::1/64; mtu 1400 }
interface eth2 { address 2001:db8:2::1/64 }
table 10 { route 2001:db8:9::/64 via 2001:db8::9; route prohibit 2001:db8:e::/64 }
neighbour 2001:db8:1::7 lladdr 02:00:00:00:01:07 dev eth1
neighbour 2001:db8::9 lladdr 02:00:00:00:00:09 dev eth0
`;
const host = hostOf(ROUTER);
const IP = 14;

const eth0 = host.net.devices.find(({ name }) => name === "eth0")!;

/** A good frame with bytes overwritten, by offset from the IPv6 header, and a length. */
function spoilt(set: Readonly<Record<number, number>>, length?: number, words: Partial<PacketWords> = {}): Uint8Array {
  const good = frameOf({ from: "2001:db8::7", to: "2001:db8:1::7", ...words }, eth0.mac);
  const frame = new Uint8Array(length === undefined ? good.length : IP + length).fill(0xee);
  frame.set(good.subarray(0, frame.length));
  for (const [at, byte] of Object.entries(set)) frame[IP + Number(at)] = byte;
  return frame;
}

const ended = ({ verdict, why }: Outcome): string[] => [verdict, why];

describe("ip6_rcv_core", () => {
  const VERSION = { 0: 0x40 };
  test.each<[string, Uint8Array, string]>([
    ["another station's frame is not looked at", spoilt(VERSION, undefined, { mac: 0x02ff00000000 }), "OTHERHOST"],
    ["39 bytes", spoilt({}, 39), "IP_INHDR"],
    ["version 4", spoilt(VERSION), "UNHANDLED_PROTO"],
    ["from ::1", spoilt({}, undefined, { from: "::1" }), "IP_INHDR"],
    ["to ::1", spoilt({}, undefined, { to: "::1" }), "IP_INHDR"],
    ["to a group of this node alone", spoilt({}, undefined, { to: "ff01::1" }), "IP_INHDR"],
    ["to a group of the reserved scope", spoilt({}, undefined, { to: "ff00::1" }), "IP_INHDR"],
    ["from a group", spoilt({}, undefined, { from: "ff02::1" }), "IP_INHDR"],
    ["from a group, and truncated: addresses are asked first", spoilt({}, 50, { from: "ff02::1" }), "IP_INHDR"],
    ["payload length beyond the frame", spoilt({}, 50), "PKT_TOO_SMALL"],
  ])("%s", (_, frame, why) => {
    const got = host.receiveFrame("eth0", frame);
    expect(ended(got)).toEqual(["DROP", why]);
    expect(got.story).toBe(`drop ${why}`);
  });

  test("disable_ipv6 is asked before the header", () => {
    const off = hostOf(`interface eth0 { }\nsysctl net.ipv6.conf.eth0.disable_ipv6 = 1`);
    const mac = off.net.devices[1].mac;
    expect(off.receive("eth0", { from: "2001:db8::7", to: "2001:db8::1" }).why).toBe("IPV6DISABLED");
    expect(off.receiveFrame("eth0", spoilt({}, 39, { mac })).why).toBe("IPV6DISABLED");
  });

  test("drop_unicast_in_l2_multicast", () => {
    const strict = hostOf(`${ROUTER}\nsysctl net.ipv6.conf.eth0.drop_unicast_in_l2_multicast = 1`);
    const to = (address: string) => strict.receive("eth0", { from: "2001:db8::7", to: address, mac: BROADCAST_MAC });
    expect(ended(to("2001:db8::1"))).toEqual(["DROP", "UNICAST_IN_L2_MULTICAST"]);
    expect(to("ff02::1").verdict).toBe("LOCAL");
    expect(host.receive("eth0", { from: "2001:db8::7", to: "2001:db8::1", mac: BROADCAST_MAC }).verdict).toBe("LOCAL");
  });

  test("padding is cut off", () => {
    const { length } = spoilt({});
    expect(host.receiveFrame("eth0", spoilt({}, length - IP + 9)).packet.length).toBe(length);
  });
});

describe("hop-by-hop options (ip6_parse_tlv)", () => {
  const withOptions = (...options: number[]): PacketWords => ({
    from: "2001:db8::7",
    to: "2001:db8:1::7",
    protocol: 0,
    payload: new Uint8Array([17, (options.length + 2) / 8 - 1, ...options, ...new Uint8Array(16)]),
  });
  test.each<[string, number[], string, number]>([
    ["PadN", [1, 4, 0, 0, 0, 0], "", 0],
    ["seven bytes of padding", [0, 1, 4, 0, 0, 0, 0, 0x1e, 5, 0, 0, 0, 0, 0], "", 0],
    ["eight bytes of padding", [0, 0, 1, 4, 0, 0, 0, 0, 0x1e, 4, 0, 0, 0, 0], "IP_INHDR", 0],
    ["padding with something in it", [1, 4, 0, 0, 0, 1], "IP_INHDR", 0],
    ["longer than the header", [0x1e, 9, 0, 0, 0, 0], "IP_INHDR", 0],
    ["one byte left", [1, 3, 0, 0, 0, 0x1e], "IP_INHDR", 0],
    ["router alert", [5, 2, 0, 0, 1, 0], "", 0],
    ["router alert of a wrong length", [5, 1, 0, 1, 1, 0], "IP_INHDR", 0],
    ["IOAM out of line", [0x31, 4, 0, 0, 0, 0], "IP_INHDR", 0],
    ["jumbo in a packet with a length", [0xc2, 4, 0, 1, 0, 0], "4/0", 42],
    ["jumbo of a small packet", [0xc2, 4, 0, 0, 0, 9], "4/0", 44],
    ["jumbo of a wrong length", [0xc2, 3, 0, 0, 0, 0], "IP_INHDR", 0],
    ["unknown, to be skipped", [0x1e, 4, 0, 0, 0, 0], "", 0],
    ["unknown, to be discarded", [0x5e, 4, 0, 0, 0, 0], "UNHANDLED_PROTO", 0],
    ["unknown, to be reported", [0x9e, 4, 0, 0, 0, 0], "4/2", 42],
    ["unknown, to be reported unless multicast", [0xde, 4, 0, 0, 0, 0], "4/2", 42],
    ["eight options", [...Array(8).fill([0x1e, 0]).flat(), 1, 4, 0, 0, 0, 0], "", 0],
    ["nine options", [...Array(9).fill([0x1e, 0]).flat(), 1, 2, 0, 0], "IP_INHDR", 0],
  ])("%s", (_, options, why, pointer) => {
    const got = host.receive("eth0", withOptions(...options));
    expect([got.why, got.batch.column("info")[0]]).toEqual([why, pointer]);
    // PREROUTING comes after the options.
    expect(got.story.startsWith("PREROUTING")).toBe(why === "");
  });

  test("a group's packet is not reported where it says so", () => {
    const got = host.receive("eth0", { ...withOptions(0xde, 4, 0, 0, 0, 0), to: "ff02::1" });
    expect(ended(got)).toEqual(["DROP", "UNHANDLED_PROTO"]);
  });

  test("a header that is not all there", () => {
    const short = host.receive("eth0", { ...withOptions(), payload: new Uint8Array([17, 5, 1, 4, 0, 0, 0, 0]) });
    expect(ended(short)).toEqual(["DROP", "NOT_SPECIFIED"]);
  });
});

describe("a VRF (vrf_ip6_rcv)", () => {
  const ns = new Uint8Array(24);
  ns[0] = 135;
  test.each<[string, Partial<PacketWords>, string]>([
    [
      "unicast",
      { to: "2001:db8::1" },
      "PREROUTING in=eth0 | l3mdev eth0>red | PREROUTING in=red | ip6_input red sdif eth0 | INPUT in=red",
    ],
    [
      "multicast: no second PREROUTING",
      { to: "ff02::1" },
      "PREROUTING in=eth0 | l3mdev eth0>red | ip6_input red sdif eth0 | INPUT in=red",
    ],
    [
      "neighbour discovery stays with the slave",
      { to: "2001:db8::1", payload: ns },
      "PREROUTING in=eth0 | l3mdev eth0>red | PREROUTING in=red | ip6_input eth0 | INPUT in=eth0",
    ],
    [
      "also to a group",
      { to: "ff02::1:ff00:1", payload: ns },
      "PREROUTING in=eth0 | l3mdev eth0>red | PREROUTING in=red | ip6_input eth0 | INPUT in=eth0",
    ],
    ["a group nobody joined", { to: "ff02::77" }, "PREROUTING in=eth0 | l3mdev eth0>red | drop NOT_JOINED"],
    [
      "the routers' group",
      { to: "ff05::2" },
      "PREROUTING in=eth0 | l3mdev eth0>red | ip6_input red sdif eth0 | INPUT in=red",
    ],
    [
      "the anycast address of the subnet",
      { to: "2001:db8::" },
      "PREROUTING in=eth0 | l3mdev eth0>red | PREROUTING in=red | ip6_input red sdif eth0 | INPUT in=red",
    ],
    [
      "its solicited-node group",
      { to: "ff02::1:ff00:0" },
      "PREROUTING in=eth0 | l3mdev eth0>red | ip6_input red sdif eth0 | INPUT in=red",
    ],
  ])("%s", (_, packet, story) => {
    expect(host.receive("eth0", { from: "2001:db8::7", to: "::", ...packet }).story).toBe(story);
  });

  test("rules see the VRF as iif, and have no say in what is link-local", () => {
    const got = host.receive("eth0", { from: "2001:db8::7", to: "2001:db8::1" });
    expect(got.steps).toContain("lookup input 2001:db8::7>2001:db8::1 iif=red l3mdev=red protocol=58");
    const strict = host.receive("eth0", { from: "fe80::7", to: "fe80::8" });
    expect(strict.steps).toContain(
      "lookup link_scope fe80::7>fe80::8 iif=eth0 protocol=58 | fib 10 fe80::/64 | result fe80::/64",
    );
    expect(strict.steps).not.toContain("rule");
  });
});

describe("forwarding (ip6_forward)", () => {
  const size = (bytes: number): Partial<PacketWords> => ({ protocol: 17, payload: new Uint8Array(bytes - 40) });
  test.each<[string, Partial<PacketWords>, string, string]>([
    ["hop limit 2", { ttl: 2 }, "TRANSMIT", ""],
    ["hop limit 1", { ttl: 1 }, "ICMP_ERROR", "3/0"],
    ["hop limit 1 is asked before the source", { ttl: 1, from: "fe80::7" }, "ICMP_ERROR", "3/0"],
    ["from a link-local address", { from: "fe80::7" }, "ICMP_ERROR", "1/2"],
    ["from ::", { from: "::" }, "DROP", "IP_INADDRERRORS"],
    ["as large as the MTU", size(1400), "TRANSMIT", ""],
    ["larger", size(1401), "ICMP_ERROR", "2/0"],
    ["the source is asked before the size", { ...size(1401), from: "fe80::7" }, "ICMP_ERROR", "1/2"],
    ["in a broadcast frame", { mac: BROADCAST_MAC }, "DROP", "NOT_SPECIFIED"],
    ["no route", { to: "2001:db8:77::1" }, "ICMP_ERROR", "1/0"],
    ["a route that prohibits", { to: "2001:db8:e::1" }, "ICMP_ERROR", "1/1"],
  ])("%s", (_, packet, verdict, why) => {
    expect(ended(host.receive("eth0", { from: "2001:db8::7", to: "2001:db8:1::7", ...packet }))).toEqual([
      verdict,
      why,
    ]);
  });

  test("the frame out: hop limit one less, the rest as it was", () => {
    const words = { from: "2001:db8::7", to: "2001:db8:1::7", tos: 0xb9 };
    const got = host.receive("eth0", words);
    const eth1 = host.net.devices.find(({ name }) => name === "eth1")!;
    const wanted = frameOf({ ...words, ttl: 63, mac: 0x020000000107 }, 0);
    for (let i = 0; i < 6; i++) wanted[6 + i] = Math.floor(eth1.mac / 2 ** (40 - 8 * i)) & 255;
    expect(Buffer.from(got.packet).toString("hex")).toBe(Buffer.from(wanted).toString("hex"));
  });

  test("packet too big: the outgoing device is the error's", () => {
    const got = host.receive("eth0", { from: "2001:db8::7", to: "2001:db8:1::7", ...size(1401) });
    const column = (name: "info" | "skbDevice" | "sdif") => got.batch.column(name)[0];
    const index = (name: string) => host.net.devices.find((dev) => dev.name === name)!.ifindex;
    expect([column("info"), column("skbDevice"), column("sdif")]).toEqual([1400, index("eth1"), index("eth0")]);
  });

  test("a redirect, besides: its target is the gateway, and nobody looks at the source", () => {
    const got = host.receive("eth0", { from: "fe80::7", to: "2001:db8:9::1" });
    expect(got.verdict).toBe("TRANSMIT");
    expect(got.story).toContain("ip6_forward hop limit 64 | icmpv6_send 137/0 | FORWARD in=red out=eth0");
    expect(readIpv6(got.batch.bytes, got.batch.column("redirect")[0])).toBe(0x20010db8000000000000000000000009n);
  });

  test("a redirect, and then the packet is too big", () => {
    const narrow = hostOf(ROUTER.replace("2001:db8::1/64", "2001:db8::1/64; mtu 1300"));
    const got = narrow.receive("eth0", { from: "2001:db8::7", to: "2001:db8:9::1", ...size(1301) });
    expect([got.verdict, got.why, got.batch.column("info")[0]]).toEqual(["ICMP_ERROR", "2/0", 1300]);
    expect(readIpv6(got.batch.bytes, got.batch.column("redirect")[0])).toBe(0x20010db8000000000000000000000009n);
  });

  test("net.ipv6.conf.all.forwarding alone decides; a device's own joins groups", () => {
    const own = hostOf(ROUTER.replace("conf.all.forwarding = 1", "conf.eth0.forwarding = 1"));
    const words = { from: "2001:db8::7", to: "2001:db8:1::7" };
    expect(own.receive("eth0", words).story).toBe(
      "PREROUTING in=eth0 | l3mdev eth0>red | PREROUTING in=red | route dev eth1 src 2001:db8::7 | drop IP_INADDRERRORS",
    );
    expect(own.receive("eth0", { ...words, to: "ff02::2" }).verdict).toBe("LOCAL");
    expect(own.receive("eth1", { ...words, to: "ff02::2" }).why).toBe("NOT_JOINED");
    // What there is no route for is answered all the same.
    expect(own.receive("eth0", { ...words, to: "2001:db8:77::1" }).why).toBe("1/0");
  });
});
