import { describe, expect, test } from "vitest";
import { parsePacketSpec } from "../../src/cli/packet-spec.ts";

describe("the packet of explain", () => {
  test.each([
    [
      "in vethr1 icmp 10.0.0.7 > 10.0.1.7",
      { direction: "in", device: "vethr1", protocol: 1, source: 0x0a000007, destination: 0x0a000107, ttl: 64 },
    ],
    ["in vethr1 10.0.0.7>10.0.1.7 ttl 1", { direction: "in", device: "vethr1", protocol: 1, ttl: 1 }],
    ["out 0.0.0.0 > 10.0.0.7", { direction: "out", device: "", protocol: 1, source: 0 }],
    [
      "out udp 0.0.0.0 > 10.0.0.7 dport 53 sport 1",
      { direction: "out", device: "", protocol: 17, dport: 53, sport: 1 },
    ],
    ["out vrf tcp 1.1.1.1 > 10.0.0.7 mark 0x10", { direction: "out", device: "vrf", protocol: 6, mark: 16 }],
    ["out udp tcp 1.1.1.1 > 10.0.0.7", { direction: "out", device: "udp", protocol: 6 }],
    ["in eth0 47 10.0.0.7 > 10.0.1.7 tos 0x10 uid 1000 length 0", { protocol: 47, tos: 16, uid: 1000, length: 0 }],
  ])("%s", (text, expected) => expect(parsePacketSpec(text)).toMatchObject(expected));

  test.each([
    ["", "expected `in DEVICE` or `out [DEVICE]`, found the end"],
    ["via vethr1 10.0.0.7 > 10.0.1.7", "found `via`"],
    ["in", "expected a device, found the end"],
    ["in vethr1 sctpx 10.0.0.7 > 10.0.1.7", "expected icmp, icmp6, udp, tcp or a protocol number, found `sctpx`"],
    ["in vethr1 icmp 10.0.0.300 > 10.0.1.7", "expected the source address, found `10.0.0.300`"],
    ["in vethr1 icmp 10.0.0.7 10.0.1.7", "expected `>`, found `10.0.1.7`"],
    ["in vethr1 icmp 10.0.0.7 >", "expected the destination address, found the end"],
    ["in vethr1 icmp 10.0.0.7 > 10.0.1.7 tll 1", "`ttl`?"],
    ["in vethr1 icmp 10.0.0.7 > 10.0.1.7 ttl 256", "expected a number from 0 to 255, found `256`"],
    ["in vethr1 icmp 10.0.0.7 > 10.0.1.7 ttl", "expected a number from 0 to 255, found the end"],
    ["in vethr1 icmp 10.0.0.7 > fe80::1", "different families"],
  ])("refuses `%s`", (text, message) => expect(() => parsePacketSpec(text)).toThrow(message));
});
