/** What a host answers to packets for it, and when it must stay silent. */
import { describe, expect, test } from "vitest";
import type { NetConfig } from "../../runtime/host/config.ts";
import { Host } from "../../runtime/host/host.ts";
import { EventQueue } from "../../runtime/lab/queue.ts";
import { checksum } from "../../runtime/net/checksum.ts";
import { EthernetView, EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { IcmpType, IcmpView, icmpMessage } from "../../runtime/net/icmp.ts";
import { IpProtocol, type Ipv4Header, Ipv4View, ipv4Packet } from "../../runtime/net/ipv4.ts";
import { BROADCAST_MAC, type Mac } from "../../runtime/net/mac.ts";
import { TcpFlag, TcpView, tcpSegment } from "../../runtime/net/tcp.ts";
import { udpDatagram } from "../../runtime/net/udp.ts";
import { writeU16 } from "../../runtime/net/wire.ts";
import { Entry } from "../../runtime/verdict.ts";
import { config, device, FakeEngine, ip } from "./fake-engine.ts";

const PEER = ip("10.0.0.7");
const SELF = ip("10.0.0.1");
const ETH0 = 2;
const PEER_MAC: Mac = 0x0200000000aa;

/** A host 10.0.0.1/24 on eth0 (ifindex 2), which knows its peer 10.0.0.7; sent packets are collected. */
function oneHost(change: Partial<NetConfig["sysctl"]> = {}) {
  const base = config("host", [device(ETH0, "eth0", ["10.0.0.1/24"])], change);
  const net = { ...base, neighbours: [{ device: ETH0, address: "10.0.0.7", mac: "02:00:00:00:00:aa" }] };
  const engine = new FakeEngine(net);
  const clock = new EventQueue();
  const sent: Uint8Array[] = [];
  const host = new Host({
    engine,
    config: net,
    net: 0,
    clock,
    transmit: (_, frame) => sent.push(frame),
    record: () => {},
  });
  const receive = (packet: Uint8Array, destination: Mac = 0x020000000001) => {
    sent.length = 0;
    host.receive(ETH0, ethernetFrame({ destination, source: PEER_MAC, type: EtherType.IPV4 }, packet));
    return sent.map((frame) => new Ipv4View(new EthernetView(frame).payload));
  };
  return { engine, clock, host, receive };
}

const header = (change: Partial<Ipv4Header> = {}): Ipv4Header => ({
  tos: 0,
  identification: 77,
  dontFragment: true,
  ttl: 9,
  protocol: IpProtocol.ICMP,
  source: PEER,
  destination: SELF,
  ...change,
});
const echo = (change: Partial<Ipv4Header> = {}, size = 56) =>
  ipv4Packet(
    header(change),
    icmpMessage({ type: IcmpType.ECHO, code: 0, rest: 0x12340007, data: new Uint8Array(size).fill(0x5a) }),
  );

/** The same packet as a fragment at `offset` bytes. */
function asFragment(packet: Uint8Array, offset: number, more: boolean): Uint8Array {
  writeU16(packet, 6, (offset >> 3) | (more ? 0x2000 : 0));
  writeU16(packet, 10, 0);
  writeU16(packet, 10, checksum(packet.subarray(0, 20)));
  return packet;
}

describe("echo", () => {
  test("the data comes back, with the request's TOS, the default TTL and DF clear", () => {
    const { engine, receive } = oneHost();
    const [reply, ...more] = receive(echo({ tos: 0x13 }));
    expect(more).toEqual([]);
    expect(reply.check()).toBeNull();
    expect([reply.source, reply.destination, reply.tos, reply.ttl, reply.dontFragment]).toEqual([
      SELF,
      PEER,
      0x13,
      64,
      false,
    ]);
    const icmp = new IcmpView(reply.payload);
    expect([icmp.check(), icmp.type, icmp.rest, icmp.data]).toEqual([
      null,
      0,
      0x12340007,
      new Uint8Array(56).fill(0x5a),
    ]);
    expect(engine.seen.at(-1)).toMatchObject({ entry: Entry.OUTPUT, device: 0, mark: 0 });
  });

  test.each<[string, Partial<NetConfig["sysctl"]>, Uint8Array, number]>([
    ["icmp_echo_ignore_all", { icmpEchoIgnoreAll: true }, echo(), 0],
    ["a broadcast, by default", {}, echo({ destination: ip("10.0.0.255") }), 0],
    [
      "a broadcast, with icmp_echo_ignore_broadcasts off",
      { icmpEchoIgnoreBroadcasts: false },
      echo({ destination: ip("10.0.0.255") }),
      1,
    ],
    ["a wrong ICMP checksum", {}, echo().map((byte, i) => (i === 40 ? byte ^ 1 : byte)), 0],
    ["a fragment", {}, asFragment(echo(), 0, true), 0],
    [
      "an echo reply nobody waits for",
      {},
      ipv4Packet(header(), icmpMessage({ type: 0, code: 0, rest: 1, data: new Uint8Array() })),
      0,
    ],
    [
      "a timestamp request",
      {},
      ipv4Packet(header(), icmpMessage({ type: 13, code: 0, rest: 1, data: new Uint8Array(12) })),
      1,
    ],
    [
      "a timestamp request that is cut off",
      {},
      ipv4Packet(header(), icmpMessage({ type: 13, code: 0, rest: 1, data: new Uint8Array() })),
      0,
    ],
  ])("%s: %#", (_, sysctl, packet, answers) => {
    expect(oneHost(sysctl).receive(packet)).toHaveLength(answers);
  });

  test("a broadcast is answered from the address that its sender is reached by", () => {
    const [reply] = oneHost({ icmpEchoIgnoreBroadcasts: false }).receive(echo({ destination: ip("10.0.0.255") }));
    expect([reply.source, reply.destination]).toEqual([SELF, PEER]);
  });
});

describe("errors", () => {
  const unroutable = { destination: ip("192.0.2.1") };

  test("net unreachable: source by route, TOS with internetwork control, the packet quoted as it came", () => {
    const cause = echo({ ...unroutable, tos: 0x15 });
    const [error] = oneHost().receive(cause);
    expect(error.check()).toBeNull();
    expect([error.source, error.destination, error.tos, error.ttl, error.dontFragment]).toEqual([
      SELF,
      PEER,
      0xd4,
      64,
      false,
    ]);
    const icmp = new IcmpView(error.payload);
    expect([icmp.check(), icmp.type, icmp.code, icmp.rest]).toEqual([null, 3, 0, 0]);
    expect(icmp.data).toEqual(cause);
  });

  test("no error exceeds 576 bytes", () => {
    const [error] = oneHost().receive(echo(unroutable, 1400));
    expect(error.totalLength).toBe(576);
    expect(new IcmpView(error.payload).check()).toBeNull();
  });

  const about = (type: number) =>
    ipv4Packet(header(unroutable), icmpMessage({ type, code: 0, rest: 0, data: new Uint8Array(28) }));
  test.each<[string, Uint8Array, Mac | undefined, number]>([
    ["an echo request", about(8), undefined, 1],
    ["an echo reply", about(0), undefined, 1],
    ["destination unreachable", about(3), undefined, 0],
    ["a redirect", about(5), undefined, 0],
    ["time exceeded", about(11), undefined, 0],
    ["an ICMP type that nobody knows", about(42), undefined, 0],
    ["ICMP without a header", ipv4Packet(header(unroutable), new Uint8Array()), undefined, 0],
    ["a first fragment", asFragment(echo(unroutable), 0, true), undefined, 1],
    ["a later fragment", asFragment(echo(unroutable), 8, false), undefined, 0],
    ["a frame to the broadcast address", about(8), BROADCAST_MAC, 0],
  ])("about %s: %#", (_, packet, mac, answers) => {
    expect(oneHost().receive(packet, mac)).toHaveLength(answers);
  });

  test("time exceeded has no rate limit, missing routes have", () => {
    const { clock, receive } = oneHost();
    const expired = echo({ destination: ip("10.0.0.9"), ttl: 1 });
    expect([receive(expired).length, receive(expired).length]).toEqual([1, 1]);
    expect(receive(echo(unroutable))).toHaveLength(0);
    clock.runUntil(1_100_000);
    expect(receive(echo(unroutable))).toHaveLength(1);
  });
});

describe("transport without a socket", () => {
  const udp = udpDatagram({ sourcePort: 1000, destinationPort: 53, data: Uint8Array.of(1, 2, 3) }, PEER, SELF);

  test("UDP: port unreachable from the address asked, quoting no more than the datagram", () => {
    const padded = new Uint8Array(udp.length + 9);
    padded.set(udp);
    const [error] = oneHost().receive(ipv4Packet(header({ protocol: IpProtocol.UDP }), padded));
    const icmp = new IcmpView(error.payload);
    expect([error.source, icmp.type, icmp.code, icmp.data.length]).toEqual([SELF, 3, 3, 20 + udp.length]);
  });

  test.each<[string, Uint8Array]>([
    [
      "wrong checksum",
      ipv4Packet(
        header({ protocol: IpProtocol.UDP }),
        udp.map((byte, i) => (i === 8 ? byte ^ 1 : byte)),
      ),
    ],
    ["shorter than its length field", ipv4Packet(header({ protocol: IpProtocol.UDP }), udp.subarray(0, 10))],
    ["broadcast", ipv4Packet(header({ protocol: IpProtocol.UDP, destination: ip("10.0.0.255") }), udp)],
  ])("UDP, silently dropped: %s", (_, packet) => {
    expect(oneHost().receive(packet)).toEqual([]);
  });

  test("an unknown protocol: protocol unreachable; IGMP: nothing", () => {
    const { receive } = oneHost();
    const [error] = receive(ipv4Packet(header({ protocol: 200 }), new Uint8Array(4)));
    expect([new IcmpView(error.payload).type, new IcmpView(error.payload).code]).toEqual([3, 2]);
    expect(receive(ipv4Packet(header({ protocol: IpProtocol.IGMP }), new Uint8Array(8)))).toEqual([]);
  });

  const segment = (flags: number, data = new Uint8Array()) => {
    const tcp = {
      sourcePort: 1000,
      destinationPort: 80,
      sequence: 0xfffffffe,
      acknowledgment: 500,
      flags,
      window: 1,
      data,
    };
    return ipv4Packet(header({ protocol: IpProtocol.TCP, tos: 0x13 }), tcpSegment(tcp, PEER, SELF));
  };
  test.each([
    ["SYN", TcpFlag.SYN, 0, [TcpFlag.RST | TcpFlag.ACK, 0, 0xffffffff]],
    ["SYN with 5 bytes", TcpFlag.SYN, 5, [TcpFlag.RST | TcpFlag.ACK, 0, 4]],
    ["ACK", TcpFlag.ACK, 0, [TcpFlag.RST, 500, 0]],
  ])("TCP %s: reset", (_, flags, length, [replyFlags, sequence, acknowledgment]) => {
    const [reset] = oneHost().receive(segment(flags, new Uint8Array(length)));
    const tcp = new TcpView(reset.payload);
    expect(tcp.check(SELF, PEER)).toBeNull();
    expect([tcp.flags, tcp.sequence, tcp.acknowledgment]).toEqual([replyFlags, sequence, acknowledgment]);
    expect([tcp.sourcePort, tcp.destinationPort]).toEqual([80, 1000]);
    expect([reset.dontFragment, reset.identification, reset.tos]).toEqual([true, 0, 0x10]);
  });
  test("TCP: a reset is not answered, nor what came to a group address", () => {
    expect(oneHost().receive(segment(TcpFlag.RST))).toEqual([]);
    expect(oneHost().receive(segment(TcpFlag.SYN), BROADCAST_MAC)).toEqual([]);
  });
});
