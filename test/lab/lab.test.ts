/** Wires: what is carried, and what is lost. */
import { describe, expect, test } from "vitest";
import type { DeviceConfig } from "../../runtime/host/config.ts";
import type { LabEvent } from "../../runtime/host/events.ts";
import { createLab } from "../../runtime/lab/lab.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { IpProtocol, ipv4Packet } from "../../runtime/net/ipv4.ts";
import { parseMac } from "../../runtime/net/mac.ts";
import { udpDatagram } from "../../runtime/net/udp.ts";
import { config, device, FakeEngine, ip } from "../host/fake-engine.ts";

const ETH0 = 2;

/** a 10.0.0.1 -- 10.0.0.2 b */
function pair(changeA: Partial<DeviceConfig> = {}, changeB: Partial<DeviceConfig> = {}) {
  const a = config("a", [{ ...device(ETH0, "wire-a", ["10.0.0.1/24"], [1, ETH0]), ...changeA }]);
  const b = config("b", [{ ...device(ETH0, "wire-bb", ["10.0.0.2/24"], [0, ETH0]), ...changeB }]);
  return createLab([a, b].map((net) => ({ config: net, engine: new FakeEngine(net) })));
}

const datagram = (source: string, destination: string) => {
  const header = {
    tos: 0,
    identification: 5,
    dontFragment: false,
    ttl: 64,
    protocol: IpProtocol.UDP,
    source: ip(source),
    destination: ip(destination),
  };
  return ipv4Packet(
    header,
    udpDatagram({ sourcePort: 7, destinationPort: 9, data: new Uint8Array(3) }, header.source, header.destination),
  );
};
const told = (events: readonly LabEvent[]) =>
  events.flatMap((e) =>
    e.kind === "frame" ? [`${"ab"[e.net]} ${e.to === null ? "lost" : "sent"} ${e.description}`] : [],
  );

describe("a wire", () => {
  test("carries frames to the device at its other end, in time", () => {
    const lab = pair();
    const events = lab.send(0, datagram("10.0.0.1", "10.0.0.2"), { device: 0 });
    expect(told(events)).toEqual([
      "a sent arp who-has 10.0.0.2 tell 10.0.0.1",
      expect.stringMatching(/^b sent arp 10\.0\.0\.2 is-at /),
      "a sent udp 10.0.0.1:7 > 10.0.0.2:9 ttl 64 length 3",
      "b sent icmp destination port unreachable 10.0.0.2 > 10.0.0.1 ttl 64 (for udp 10.0.0.1:7 > 10.0.0.2:9 ttl 64 length 3)",
    ]);
    const times = events.map((event) => event.time);
    expect(times).toEqual([...times].sort((x, y) => x - y));
    expect(new Set(times).size).toBe(5);
  });

  test.each<[string, Partial<DeviceConfig>, Partial<DeviceConfig>]>([
    ["its own end is down", { up: false }, {}],
    ["the other end is down", {}, { up: false }],
    ["there is no other end", { peer: null }, {}],
    ["the other end is in no namespace here", { peer: { net: 9, ifindex: 2 } }, {}],
  ])("loses frames when %s", (_, a, b) => {
    const events = pair(a, b).send(0, datagram("10.0.0.1", "10.0.0.2"), { device: 0 });
    expect(told(events)).toEqual(["a lost arp who-has 10.0.0.2 tell 10.0.0.1"]);
    expect(events.some((event) => event.net === 1)).toBe(false);
  });
});

test("a frame can be put in by hand; each record starts anew", () => {
  const lab = pair();
  const mac = parseMac(lab.nets[1].devices[1].mac) ?? 0;
  const frame = ethernetFrame({ destination: mac, source: 2, type: EtherType.IPV4 }, datagram("10.0.0.1", "10.0.0.2"));
  const told = (events: readonly LabEvent[]) =>
    events.map((event) => `${event.net} ${event.kind} ${event.description.split(" ")[0]}`);
  const first = lab.inject(1, ETH0, frame);
  expect(told(first).slice(0, 3)).toEqual(["1 packet udp", "1 packet icmp", "1 frame arp"]);
  const second = lab.inject(1, ETH0, frame);
  expect(told(second)).toEqual(["1 packet udp", "1 packet icmp", "1 frame icmp", "0 packet icmp"]);
  expect(told(first)[2]).toBe("1 frame arp");
});
