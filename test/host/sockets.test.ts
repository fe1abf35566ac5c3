/** Which socket takes a packet, as compute_score, inet_lookup_listener and inet_bound_dev_eq decide. */
import { describe, expect, test } from "vitest";
import { lookupEstablished, lookupListener, lookupUdp, udpGroupReceivers } from "../../runtime/host/sockets/lookup.ts";
import type { Arrived, Socket } from "../../runtime/host/sockets/socket.ts";

const [A, B, CLIENT] = [0x0a000001, 0x0a000002, 0x0a000007];
const [RED, SLAVE, OTHER] = [6, 7, 8];

const socket = (what: Partial<Socket> = {}): Socket => ({
  family: 4,
  v6only: true,
  device: 0,
  localAddress: null,
  localPort: 53,
  remote: null,
  ...what,
});
const packet = (what: Partial<Arrived> = {}): Arrived => ({
  source: CLIENT,
  sourcePort: 40000,
  destination: A,
  destinationPort: 53,
  dif: RED,
  sdif: SLAVE,
  ...what,
});
const OUTSIDE = { dif: OTHER, sdif: 0 };

describe("a socket on", () => {
  test.each([
    ["no device, in a VRF", {}, {}, false, false],
    ["no device, in a VRF, with l3mdev_accept", {}, {}, true, true],
    ["no device, outside", {}, OUTSIDE, false, true],
    ["the VRF", { device: RED }, {}, false, true],
    ["the slave", { device: SLAVE }, {}, false, true],
    ["another slave", { device: OTHER }, {}, true, false],
    ["the VRF, outside", { device: RED }, OUTSIDE, true, false],
    ["another port", { localPort: 54 }, {}, true, false],
    ["another address", { localAddress: B }, {}, true, false],
    ["both families", { family: 6, v6only: false } as const, {}, true, true],
    ["IPv6 alone", { family: 6 } as const, {}, true, false],
  ])("%s", (_, its, arrived, accept, takes) => {
    const only = socket(its);
    const wanted = takes ? only : null;
    expect(lookupUdp([only], accept, packet(arrived))).toBe(wanted);
    expect(lookupListener([only], accept, packet(arrived))).toBe(wanted);
    expect(udpGroupReceivers([only], accept, packet(arrived))).toEqual(takes ? [only] : []);
  });
});

describe("of two sockets", () => {
  const remote = { address: CLIENT, port: 40000 };
  test.each([
    ["the address before the device", { localAddress: A }, { device: RED }, "first", "first"],
    ["the device before none", {}, { device: SLAVE }, "second", "second"],
    ["the connected before the device", { remote }, { device: RED }, "first", null],
    ["the newest of equals", { device: RED }, { device: SLAVE }, "first", "first"],
    ["IPv4 alone before both families", { family: 6, v6only: false } as const, {}, "second", "second"],
    [
      "for TCP a device is worth no more than a family",
      { family: 6, v6only: false, device: RED } as const,
      {},
      "first",
      "first",
    ],
    ["for TCP, the other way round", {}, { family: 6, v6only: false, device: RED } as const, "second", "first"],
  ])("%s", (_, a, b, udp, tcp) => {
    const [first, second] = [socket(a), socket(b)];
    const named = (found: Socket | null) => (found === first ? "first" : found === second ? "second" : "none");
    expect(named(lookupUdp([first, second], true, packet()))).toBe(udp);
    if (tcp !== null) expect(named(lookupListener([first, second], true, packet()))).toBe(tcp);
  });

  test("a copy for each when it goes to a group", () => {
    const group = [
      socket(),
      socket({ device: RED }),
      socket({ localAddress: 0xe0000001 }),
      socket({ localAddress: A }),
    ];
    expect(udpGroupReceivers(group, true, packet({ destination: 0xe0000001 }))).toEqual(group.slice(0, 3));
  });
});

describe("a connection", () => {
  const connection = socket({ localAddress: A, remote: { address: CLIENT, port: 40000 }, device: SLAVE });
  test.each([
    ["is found by both ends", {}, true],
    ["not by another port of the other end", { sourcePort: 40001 }, false],
    ["not by another address of this end", { destination: B }, false],
    ["not by another device", { dif: RED, sdif: OTHER }, false],
    ["not without the slave that it is bound to, as for ICMP errors", { sdif: 0 }, false],
  ])("%s", (_, what, found) => {
    expect(lookupEstablished([connection], true, packet(what))).toBe(found ? connection : null);
  });
});
