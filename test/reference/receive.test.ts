/** Receiving: what ip_rcv_core refuses and in which order, martians, source validation, broadcast and multicast. */
import { describe, expect, test } from "vitest";
import { checksum } from "../../runtime/net/checksum.ts";
import { BROADCAST_MAC } from "../../runtime/net/mac.ts";
import { writeU16 } from "../../runtime/net/wire.ts";
import { frameOf, hostOf, type PacketWords } from "./support.ts";

const ROUTER = `
sysctl net.ipv4.ip_forward = 1
interface eth0 { address 10.0.0.1/24 }
interface eth1 { address 10.0.1.1/24 }
neighbour 10.0.1.7 lladdr 02:00:00:00:01:07 dev eth1
`;
const IP = 14;

interface Spoil {
  /** Bytes to overwrite, by offset in the frame. */
  readonly set?: Readonly<Record<number, number>>;
  /** Offsets whose lowest bit is turned over. */
  readonly flip?: readonly number[];
  /** Cut or padded to so many bytes. */
  readonly length?: number;
  /** Mends the header checksum afterwards. */
  readonly checksummed?: true;
}

/** A good frame, spoilt. */
function spoilt({ set = {}, flip = [], length, checksummed }: Spoil): Uint8Array {
  const good = frameOf({ from: "10.0.0.7", to: "10.0.1.7" }, hostOf(ROUTER).net.devices[1].mac);
  for (const [at, byte] of Object.entries(set)) good[Number(at)] = byte;
  for (const at of flip) good[at] ^= 1;
  const frame = new Uint8Array(length ?? good.length).fill(0xee);
  frame.set(good.subarray(0, frame.length));
  if (checksummed) {
    writeU16(frame, IP + 10, 0);
    writeU16(frame, IP + 10, checksum(frame.subarray(IP, IP + (frame[IP] & 15) * 4)));
  }
  return frame;
}

describe("ip_rcv_core", () => {
  const cases: [what: string, spoil: Spoil, why: string][] = [
    ["another station's frame", { flip: [5] }, "OTHERHOST"],
    ["that, and a bad checksum: the station is asked first", { flip: [5, IP + 10] }, "OTHERHOST"],
    ["19 bytes of IP", { length: IP + 19 }, "IP_INHDR"],
    ["version 5", { set: { [IP]: 0x55 }, checksummed: true }, "IP_INHDR"],
    ["ihl 4", { set: { [IP]: 0x44 } }, "IP_INHDR"],
    ["ihl 15 in 40 bytes", { set: { [IP]: 0x4f }, length: IP + 40 }, "IP_INHDR"],
    ["bad checksum", { flip: [IP + 11] }, "IP_CSUM"],
    ["bad checksum, total length too long: the checksum is asked first", { set: { [IP + 2]: 0xff } }, "IP_CSUM"],
    ["total length beyond the frame", { set: { [IP + 3]: 85 }, checksummed: true }, "PKT_TOO_SMALL"],
    ["total length below the header", { set: { [IP + 3]: 19 }, checksummed: true }, "IP_INHDR"],
  ];
  test.each(cases)("%s", (_, spoil, why) => {
    const got = hostOf(ROUTER).receiveFrame("eth0", spoilt(spoil));
    expect([got.verdict, got.why, got.steps.split(" | ").at(-1)]).toEqual(["DROP", why, `drop ${why}`]);
  });

  test("padding is cut off: the frame out is as long as the packet", () => {
    const length = spoilt({}).length;
    const got = hostOf(ROUTER).receiveFrame("eth0", spoilt({ length: length + 20 }));
    expect([got.verdict, got.packet.length]).toEqual(["TRANSMIT", length]);
  });
});

describe("before IP", () => {
  const down = `${ROUTER}\ninterface eth2 { address 10.0.2.1/24; down }`;
  test.each([
    ["a device that is down", "eth2", 60, "DROP", "DEVICE_DOWN"],
    ["13 bytes", "eth0", 13, "DROP", "PKT_TOO_SMALL"],
    ["more than the MTU and a tagged header", "eth0", 1519, "DROP", "PKT_TOO_BIG"],
    ["just that", "eth0", 1518, "PASS", ""], // EtherType 0
  ])("%s", (_, device, length, verdict, why) => {
    const host = hostOf(down);
    const frame = new Uint8Array(length);
    frame.fill(0xff, 0, Math.min(6, length));
    const got = host.receiveFrame(device, frame);
    expect([got.verdict, got.why]).toEqual([verdict, why]);
  });

  test.each([
    ["ARP", 0x0806],
    ["802.1Q", 0x8100],
    ["MPLS", 0x8847],
  ])("%s passes the device's hooks and is the host's", (_, type) => {
    const got = hostOf(ROUTER).receiveFrame("eth0", spoilt({ set: { 12: type >> 8, 13: type & 255 } }));
    expect([got.verdict, got.steps]).toEqual(["PASS", "xdp eth0 | tc ingress eth0 | netdev ingress eth0"]);
  });
});

describe("martians", () => {
  const cases: [from: string, to: string, end: string][] = [
    ["224.0.0.1", "10.0.1.7", "drop MARTIAN_SOURCE"],
    ["255.255.255.255", "10.0.1.7", "drop MARTIAN_SOURCE"],
    ["0.0.0.0", "10.0.1.7", "drop MARTIAN_SOURCE"],
    ["127.0.0.1", "10.0.1.7", "drop MARTIAN_SOURCE"],
    ["10.0.0.7", "0.0.0.0", "drop MARTIAN_DESTINATION"],
    ["10.0.0.7", "127.0.0.1", "drop MARTIAN_DESTINATION"],
    ["10.0.0.1", "10.0.1.7", "drop MARTIAN_SOURCE"], // our own address
    ["10.0.0.7", "0.0.0.5", "icmp_send 3/0"], // the rest of 0/8 is unicast
    ["240.0.0.1", "10.0.1.7", "transmit eth1"], // and so is class E
    ["10.0.1.7", "10.0.1.7", "transmit eth1"], // source and destination may be the same
    ["0.0.0.0", "255.255.255.255", "INPUT in=eth0"],
    ["0.0.0.0", "0.0.0.0", "INPUT in=eth0"],
    ["10.0.0.7", "255.255.255.255", "INPUT in=eth0"],
    ["10.0.0.7", "10.0.0.255", "INPUT in=eth0"],
    ["10.0.0.7", "10.0.1.255", "INPUT in=eth0"], // another device's broadcast too
    ["10.0.0.7", "224.0.0.1", "INPUT in=eth0"],
    ["10.0.0.7", "224.0.0.251", "drop NOT_JOINED"],
    ["0.0.0.0", "224.0.0.1", "INPUT in=eth0"],
    ["127.0.0.1", "224.0.0.1", "drop MARTIAN_SOURCE"],
    ["224.0.0.5", "224.0.0.1", "drop MARTIAN_SOURCE"],
  ];
  test.each(cases)("%s > %s", (from, to, end) => {
    const { story } = hostOf(ROUTER).receive("eth0", { from, to });
    expect(story.split(" | ").at(-1)).toBe(end);
  });

  test("route_localnet lets 127/8 in", () => {
    const host = hostOf(`${ROUTER}\nsysctl net.ipv4.conf.eth0.route_localnet = 1`);
    expect(host.receive("eth0", { from: "10.0.0.7", to: "127.0.0.1" }).verdict).toBe("LOCAL");
  });

  test("bc_forwarding forwards a subnet's broadcast, to all stations", () => {
    const sysctl = "sysctl net.ipv4.conf.all.bc_forwarding = 1\nsysctl net.ipv4.conf.eth0.bc_forwarding = 1";
    const got = hostOf(`${ROUTER}\n${sysctl}`).receive("eth0", { from: "10.0.0.7", to: "10.0.1.255" });
    expect(got.story).toContain("ip_forward ttl 64 | FORWARD in=eth0 out=eth1");
    expect([...got.packet.slice(0, 6)]).toEqual([255, 255, 255, 255, 255, 255]);
  });
});

describe("link-layer broadcast and multicast with a unicast destination", () => {
  const cases: [to: string, drop: number, end: string][] = [
    ["10.0.0.1", 0, "INPUT in=eth0"],
    ["10.0.0.1", 1, "drop UNICAST_IN_L2_MULTICAST"],
    ["10.0.1.7", 0, "drop NOT_SPECIFIED"], // never forwarded
    ["10.0.0.255", 1, "INPUT in=eth0"],
  ];
  test.each(cases)("%s, drop_unicast_in_l2_multicast=%d", (to, drop, end) => {
    const host = hostOf(`${ROUTER}\nsysctl net.ipv4.conf.eth0.drop_unicast_in_l2_multicast = ${drop}`);
    for (const mac of [BROADCAST_MAC, 0x01005e000001]) {
      const { story } = host.receive("eth0", { from: "10.0.0.7", to, mac });
      expect(story.split(" | ").at(-1)).toBe(end);
    }
  });
});

describe("source validation", () => {
  const plain = `${ROUTER}\nroute 172.16.0.0/16 via 10.0.1.7`;
  const ruled = `${plain}\nrule 30000 to 203.0.113.1 lookup main`; // any rule of one's own makes the look-up full
  const red = `
    sysctl net.ipv4.ip_forward = 1
    vrf red { table 10 }
    interface a { master red; address 10.0.0.1/24 }
    interface b { master red; address 10.0.1.1/24 }
    neighbour 10.0.1.7 lladdr 02:00:00:00:01:07 dev b`;
  const filter = (mode: number) => `\nsysctl net.ipv4.conf.all.rp_filter = ${mode}`;
  const cases: [what: string, policy: string, device: string, from: string, end: string][] = [
    ["off, no rules: any source but an own address", plain, "eth0", "8.8.8.8", "transmit eth1"],
    ["off, no rules: an own address", plain, "eth0", "10.0.1.1", "drop MARTIAN_SOURCE"],
    ["off, rules: no way back passes", ruled, "eth0", "8.8.8.8", "transmit eth1"],
    ["off, rules: an own address does not", ruled, "eth0", "10.0.1.1", "drop MARTIAN_SOURCE"],
    ["off, rules: nor a broadcast address", ruled, "eth0", "10.0.1.255", "drop MARTIAN_SOURCE"],
    ["strict: the way back leads out of the device", plain + filter(1), "eth0", "10.0.0.7", "transmit eth1"],
    ["strict: it leads out of another", plain + filter(1), "eth0", "172.16.0.1", "drop IP_RPFILTER"],
    ["strict: there is none", plain + filter(1), "eth0", "8.8.8.8", "drop IP_RPFILTER"],
    ["loose: it leads out of another", plain + filter(2), "eth0", "172.16.0.1", "transmit eth1"],
    ["loose: there is none", plain + filter(2), "eth0", "8.8.8.8", "drop IP_RPFILTER"],
    ["VRF, off: back by a sibling", red, "a", "10.0.1.9", "transmit b"],
    ["VRF, strict: back by a sibling", red + filter(1), "a", "10.0.1.9", "drop IP_RPFILTER"],
    ["VRF, loose: back by a sibling", red + filter(2), "a", "10.0.1.9", "transmit b"],
    ["VRF, loose: no way back", red + filter(2), "a", "8.8.8.8", "drop IP_RPFILTER"],
    ["VRF, off: an address of the other slave", red, "a", "10.0.1.1", "drop MARTIAN_SOURCE"],
  ];
  test.each(cases)("%s", (_, policy, device, from, end) => {
    const { story } = hostOf(policy).receive(device, { from, to: "10.0.1.7" });
    expect(story.split(" | ").at(-1)).toBe(end);
  });

  test("loose asks a second time, for the device itself", () => {
    const { trace } = hostOf(plain + filter(2)).receive("eth0", { from: "172.16.0.1", to: "10.0.1.7" });
    expect(trace.filter((s) => s.step === "lookup").map((s) => [s.kind, s.flow.oif])).toEqual([
      ["input", 0],
      ["source", 0],
      ["source", 2],
    ]);
  });
});

describe("no forwarding: the receiving device decides, silently", () => {
  const policy = (slave: number, vrf: number) => `
    vrf red { table 10 }
    interface a { master red; address 10.0.0.1/24 }
    interface b { master red; address 10.0.1.1/24 }
    neighbour 10.0.1.7 lladdr 02:00:00:00:01:07 dev b
    sysctl net.ipv4.ip_forward = 1
    sysctl net.ipv4.conf.a.forwarding = ${slave}
    sysctl net.ipv4.conf.red.forwarding = ${vrf}`;
  const cases: [slave: number, vrf: number, to: string, end: string][] = [
    [0, 1, "10.0.1.7", "drop IP_INADDRERRORS"],
    [0, 1, "9.9.9.9", "drop IP_INADDRERRORS"],
    [1, 0, "10.0.1.7", "transmit b"],
    [1, 0, "9.9.9.9", "icmp_send 3/0"],
    [0, 0, "10.0.0.1", "INPUT in=red"],
  ];
  test.each(cases)("slave %d, VRF %d: %s", (slave, vrf, to, end) => {
    const { story } = hostOf(policy(slave, vrf)).receive("a", { from: "10.0.0.7", to });
    expect(story.split(" | ").at(-1)).toBe(end);
  });
});

describe("multicast and fragments in a VRF", () => {
  const red = "vrf red { table 10 }\ninterface a { master red; address 10.0.0.1/24 }";
  const cases: [what: string, words: Partial<PacketWords>, story: string][] = [
    [
      "multicast: no second PREROUTING",
      { to: "224.0.0.1", mac: 0x01005e000001 },
      "PREROUTING in=a | l3mdev a>red | rpf a ok | local red sdif a | INPUT in=red",
    ],
    [
      "broadcast",
      { to: "255.255.255.255", mac: BROADCAST_MAC },
      "PREROUTING in=a | l3mdev a>red | PREROUTING in=red | rpf a ok | local red sdif a | INPUT in=red",
    ],
  ];
  test.each(cases)("%s", (_, words, story) => {
    expect(hostOf(red).receive("a", { from: "10.0.0.7", to: "10.0.0.1", ...words }).story).toBe(story);
  });

  test("a fragment is the host's to put together, before INPUT", () => {
    const host = hostOf(ROUTER);
    const fragment = spoilt({ set: { [IP + 6]: 0x20, [IP + 18]: 0, [IP + 19]: 1 }, checksummed: true });
    const got = host.receiveFrame("eth0", fragment);
    expect([got.verdict, got.story]).toEqual(["LOCAL", "PREROUTING in=eth0 | rpf eth0 ok | local eth0"]);
  });
});
