/** The IPv6 parts of a host that need no engine: fragments, reassembly, extension headers, limits, and neighbour discovery's messages. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SECOND } from "../../runtime/host/events.ts";
import { destinationOptions, routingHeader } from "../../runtime/host/ipv6/exthdrs.ts";
import { fragment6 } from "../../runtime/host/ipv6/fragment.ts";
import { PeerLimit, REDIRECT_COST } from "../../runtime/host/ipv6/peer-limit.ts";
import { Reassembly } from "../../runtime/host/ipv6/reassembly.ts";
import { EventQueue } from "../../runtime/lab/queue.ts";
import { Icmp6View } from "../../runtime/net/icmp6.ts";
import { parseIp } from "../../runtime/net/ip.ts";
import { ipv6Packet } from "../../runtime/net/ipv6.ts";
import { AdvertisementFlag, neighbourAdvertisement, parseNeighbourMessage } from "../../runtime/net/ndisc.ts";

const ip = (text: string): bigint => parseIp(text) as bigint;
const ENDS = { source: ip("2001:db8::1"), destination: ip("2001:db8::2") };
const packet = (payload: Uint8Array, nextHeader = 17) =>
  ipv6Packet({ trafficClass: 0, flowLabel: 0, nextHeader, hopLimit: 64, ...ENDS }, payload);
const local = (bytes: Uint8Array) => ({ bytes, device: 2, receivedBy: 2, sdif: 0, routeType: 2, groupFrame: false });

describe("fragments", () => {
  test("in any order give the packet back, and none is larger than the MTU", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1500, maxLength: 5000 }),
        fc.integer({ min: 1280, max: 1500 }),
        fc.nat(),
        (payload, mtu, seed) => {
          const whole = packet(payload);
          const pieces = fragment6(whole, mtu, 7);
          expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThanOrEqual(mtu);
          const rotated = [...pieces.slice(seed % pieces.length), ...pieces.slice(0, seed % pieces.length)];
          const reassembly = new Reassembly(new EventQueue(), () => {});
          const results = rotated.map((piece) => reassembly.add(local(piece), { namedAt: 6, offset: 40 }));
          expect(results.map(({ kind }) => kind)).toEqual([...pieces.slice(1).map(() => "drop"), "whole"]);
          expect(results.at(-1)).toEqual({ kind: "whole", bytes: whole });
        },
      ),
    );
  });

  test("overlapping ones are all forgotten; a late packet is reported with its first fragment", () => {
    const clock = new EventQueue();
    const expired: Uint8Array[] = [];
    const reassembly = new Reassembly(clock, ({ bytes }) => expired.push(bytes));
    const [first, second] = fragment6(packet(new Uint8Array(2000).fill(1)), 1280, 9);
    const add = (bytes: Uint8Array) => reassembly.add(local(bytes), { namedAt: 6, offset: 40 }).kind;
    const overlapping = second.slice();
    overlapping[43] -= 8;
    expect([add(first), add(overlapping), add(second)]).toEqual(["drop", "drop", "drop"]);
    clock.runUntil(61 * SECOND);
    expect(expired).toEqual([]);
    add(first);
    clock.runUntil(130 * SECOND);
    expect(expired).toEqual([first]);
  });
});

describe("extension headers at the destination", () => {
  const header = (...bytes: number[]) => packet(Uint8Array.from(bytes));
  test.each([
    ["padding", [59, 0, 1, 4, 0, 0, 0, 0], { kind: "next", offset: 48 }],
    ["padding that is not zero", [59, 0, 1, 4, 0, 0, 0, 1], { kind: "drop" }],
    ["unknown, skip", [59, 0, 0x1e, 4, 0, 0, 0, 0], { kind: "next", offset: 48 }],
    ["unknown, discard", [59, 0, 0x5e, 4, 0, 0, 0, 0], { kind: "drop" }],
    ["unknown, report", [59, 0, 0x9e, 4, 0, 0, 0, 0], { kind: "problem", code: 2, pointer: 42 }],
    ["an option beyond the header", [59, 0, 0x1e, 9, 0, 0, 0, 0], { kind: "drop" }],
  ])("destination options: %s", (_, bytes, result) => {
    expect(destinationOptions(header(...bytes), 40, ENDS.destination)).toEqual(result);
  });
  test.each([
    ["type 0, nobody's turn", [59, 0, 0, 0, 0, 0, 0, 0], { kind: "next", offset: 48 }],
    ["type 0, segments left", [59, 0, 0, 1, 0, 0, 0, 0], { kind: "problem", code: 0, pointer: 42 }],
    ["segment routing", [59, 0, 4, 0, 0, 0, 0, 0], { kind: "drop" }],
    ["cut off", [59, 1, 0, 0, 0, 0, 0, 0], { kind: "drop" }],
  ])("routing header: %s", (_, bytes, result) => {
    expect(routingHeader(header(...bytes), 40, ENDS.destination, false)).toEqual(result);
  });
});

test("six redirects at once, then one a second", () => {
  const clock = new EventQueue();
  const limit = new PeerLimit(clock);
  const burst = Array.from({ length: 8 }, () => limit.allow(ENDS.source, REDIRECT_COST));
  expect(burst).toEqual([true, true, true, true, true, true, false, false]);
  clock.runUntil(SECOND);
  expect([limit.allow(ENDS.source, REDIRECT_COST), limit.allow(ENDS.source, REDIRECT_COST)]).toEqual([true, false]);
});

test("an advertisement is read back, its checksum right; options of no length make it void", () => {
  const target = ip("fe80::7");
  const flags = AdvertisementFlag.SOLICITED | AdvertisementFlag.OVERRIDE;
  const message = neighbourAdvertisement(target, flags, 0x020000000007, ENDS);
  expect(new Icmp6View(message).check(ENDS.source, ENDS.destination)).toBe(null);
  expect(parseNeighbourMessage(message)).toEqual({ target, flags: flags >>> 0, linkLayer: 0x020000000007 });
  message[25] = 0;
  expect(parseNeighbourMessage(message)).toBe(null);
});
