/** ARP: who is answered, who is learned, and what waits for an answer. */
import { describe, expect, test } from "vitest";
import { Host } from "../../runtime/host/host.ts";
import { GC_THRESH3 } from "../../runtime/host/neighbours.ts";
import { EventQueue } from "../../runtime/lab/queue.ts";
import { ARP_BYTES, ArpOperation, type ArpPacket, emitArp, parseArp } from "../../runtime/net/arp.ts";
import { describeFrame } from "../../runtime/net/describe.ts";
import { EthernetView, EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { Ipv4View, ipv4Packet } from "../../runtime/net/ipv4.ts";
import { BROADCAST_MAC, type Mac, parseMac } from "../../runtime/net/mac.ts";
import { config, device, FakeEngine, ip } from "./fake-engine.ts";

const ETH0 = 2;
const PEER_MAC: Mac = 0x0200000000aa;
const OTHER_MAC: Mac = 0x0200000000bb;
const PACKET = ipv4Packet(
  { tos: 0, identification: 1, dontFragment: false, ttl: 64, protocol: 1, source: 0, destination: 0 },
  new Uint8Array(8),
);

function oneHost(permanent = false) {
  const base = config("host", [device(ETH0, "eth0", ["10.0.0.1/24", "10.0.9.1/24"])]);
  const net = permanent
    ? { ...base, neighbours: [{ device: ETH0, address: "10.0.0.7", mac: "02:00:00:00:00:aa" }] }
    : base;
  const mac = parseMac(net.devices[1].mac) as Mac;
  const clock = new EventQueue();
  const sent: EthernetView[] = [];
  const host = new Host({
    engine: new FakeEngine(net),
    config: net,
    net: 0,
    clock,
    transmit: (_, f) => sent.push(new EthernetView(f)),
    record: () => {},
  });
  const receive = (arp: Partial<ArpPacket>, destination: Mac = BROADCAST_MAC) => {
    const bytes = new Uint8Array(ARP_BYTES);
    const defaults = {
      operation: ArpOperation.REQUEST,
      senderMac: PEER_MAC,
      senderIp: ip("10.0.0.7"),
      targetMac: 0,
      targetIp: ip("10.0.0.1"),
    };
    emitArp({ ...defaults, ...arp }, bytes);
    sent.length = 0;
    host.receive(ETH0, ethernetFrame({ destination, source: PEER_MAC, type: EtherType.ARP }, bytes));
    return sent.map((frame) => parseArp(frame.payload));
  };
  /** Sends a packet to the peer; gives the link-layer destination, or what was sent instead. */
  const send = (to: string, identification = 1, source = 0) => {
    sent.length = 0;
    const header = { tos: 0, identification, dontFragment: false, ttl: 64, protocol: 1, source, destination: ip(to) };
    host.output(ipv4Packet(header, new Uint8Array(8)), { device: 0 });
    return sent.map((frame) => (frame.type === EtherType.IPV4 ? frame.destination : describeFrame(frame.bytes)));
  };
  return { host, clock, mac, sent, receive, send };
}

describe("requests", () => {
  test("for an address of ours: answered to the asker, who is learned", () => {
    const { mac, sent, receive, send } = oneHost();
    const reply = {
      operation: ArpOperation.REPLY,
      senderMac: mac,
      senderIp: ip("10.0.0.1"),
      targetMac: PEER_MAC,
      targetIp: ip("10.0.0.7"),
    };
    expect(receive({})).toEqual([reply]);
    expect(sent[0].destination).toBe(PEER_MAC);
    expect(send("10.0.0.7")).toEqual([PEER_MAC]);
  });

  test.each<[string, Partial<ArpPacket>, Mac | undefined]>([
    ["for another host", { targetIp: ip("10.0.0.2") }, undefined],
    ["for a multicast address", { targetIp: ip("224.0.0.1") }, undefined],
    ["for a loopback address", { targetIp: ip("127.0.0.1") }, undefined],
    ["in a frame for another host", {}, OTHER_MAC],
    ["of another operation", { operation: 9 }, undefined],
  ])("%s: no answer, nothing learned", (_, arp, destination) => {
    const { receive, send } = oneHost();
    expect(receive(arp, destination)).toEqual([]);
    expect(send("10.0.0.7")).toEqual(["arp who-has 10.0.0.7 tell 10.0.0.1"]);
  });

  test("duplicate address detection: answered, not learned", () => {
    const { receive, send } = oneHost();
    expect(receive({ senderIp: 0 })).toHaveLength(1);
    expect(receive({ senderIp: 0, targetIp: ip("10.0.0.2") })).toEqual([]);
    expect(send("10.0.0.7")).toEqual(["arp who-has 10.0.0.7 tell 10.0.0.1"]);
  });
});

describe("learning", () => {
  const REPLY = { operation: ArpOperation.REPLY };
  test("a reply nobody asked for is ignored", () => {
    const { receive, send } = oneHost();
    receive(REPLY);
    expect(send("10.0.0.7")).toEqual(["arp who-has 10.0.0.7 tell 10.0.0.1"]);
  });
  test("a known neighbour that moves is followed; a permanent one is not", () => {
    const moving = oneHost();
    moving.receive({});
    moving.receive({ ...REPLY, senderMac: OTHER_MAC });
    expect(moving.send("10.0.0.7")).toEqual([OTHER_MAC]);
    const fixed = oneHost(true);
    fixed.receive({ ...REPLY, senderMac: OTHER_MAC });
    expect(fixed.send("10.0.0.7")).toEqual([PEER_MAC]);
  });
});

describe("waiting for a neighbour", () => {
  test("one request for many packets; they leave in order when the answer comes", () => {
    const { sent, receive, send } = oneHost();
    expect([send("10.0.0.7", 1), send("10.0.0.7", 2), send("10.0.0.7", 3)]).toEqual([
      ["arp who-has 10.0.0.7 tell 10.0.0.1"],
      [],
      [],
    ]);
    receive({ operation: ArpOperation.REPLY });
    expect(sent.map((frame) => [frame.destination, new Ipv4View(frame.payload).identification])).toEqual(
      [1, 2, 3].map((id) => [PEER_MAC, id]),
    );
  });

  test("a full queue loses its oldest packet", () => {
    const { sent, receive, send } = oneHost();
    for (let id = 1; id <= 102; id++) send("10.0.0.7", id);
    receive({ operation: ArpOperation.REPLY });
    expect(sent.map((frame) => new Ipv4View(frame.payload).identification)).toEqual(
      Array.from({ length: 101 }, (_, i) => i + 2),
    );
  });

  test("asks from the packet's own source, or from an address in the target's subnet", () => {
    expect(oneHost().send("10.0.0.7", 1, ip("10.0.9.1"))).toEqual(["arp who-has 10.0.0.7 tell 10.0.9.1"]);
    expect(oneHost().send("10.0.9.7", 1, ip("192.0.2.1"))).toEqual(["arp who-has 10.0.9.7 tell 10.0.9.1"]);
  });

  test("after three requests it is forgotten, and asked for anew", () => {
    const { clock, sent, send } = oneHost();
    send("10.0.0.7");
    clock.runUntil(10_000_000);
    expect(sent.filter((frame) => frame.type === EtherType.ARP)).toHaveLength(3);
    expect(send("10.0.0.7")).toEqual(["arp who-has 10.0.0.7 tell 10.0.0.1"]);
  });
});

test("frames that are neither IPv4 nor ARP are counted", () => {
  const { host } = oneHost();
  host.receive(ETH0, ethernetFrame({ destination: 1, source: 2, type: 0x88cc }, new Uint8Array(46)));
  expect(host.passed).toBe(1);
});

describe("many on a link", () => {
  const asked = (first: number, count: number) =>
    Array.from({ length: count }, (_, i) => ip("10.0.0.0") + 256 * first + 256 * i + 9);

  test("no more are learned than GC_THRESH3, and who is not learned is not answered", () => {
    const { host, receive } = oneHost();
    const answered = asked(256, GC_THRESH3 + 100).filter((senderIp) => receive({ senderIp }).length === 1);
    expect(answered).toEqual(asked(256, GC_THRESH3));
    expect(host.neighbours.has(ETH0, answered[0])).toBe(true);
  });

  test("those not heard of for five seconds make room, the oldest first", () => {
    const { host, clock, receive } = oneHost();
    const old = asked(256, GC_THRESH3);
    for (const senderIp of old) receive({ senderIp });
    clock.runUntil(clock.now + 6_000_000);
    receive({ senderIp: old[0] });
    const [late] = asked(4096, 1);
    expect(receive({ senderIp: late })).toHaveLength(1);
    const known = old.filter((address) => host.neighbours.has(ETH0, address));
    expect(known).toEqual([old[0], ...old.slice(513)]);
  });

  test("packets for more than that are lost, and so is none when others have failed", () => {
    const { host, clock, send } = oneHost();
    const all = asked(256, GC_THRESH3);
    for (const address of all)
      host.neighbours.queue(ETH0, address, { packet: PACKET, receivedBy: 0, mark: 0, priority: 0 });
    expect(send("10.0.0.77")).toEqual([]);
    clock.runUntil(clock.now + 4_000_000);
    expect(send("10.0.0.77")).toHaveLength(1);
  });

  test("those of the configuration do not count", () => {
    const { receive, send } = oneHost(true);
    for (const senderIp of asked(256, GC_THRESH3)) receive({ senderIp });
    expect(send("10.0.0.7")).toEqual([PEER_MAC]);
  });
});
