/** Random packets over the addresses and devices of random-model.ts: mostly good ones, spoilt here and there, and any bytes. */
import fc from "fast-check";
import { PacketFlag } from "../../runtime/batch.ts";
import { checksum } from "../../runtime/net/checksum.ts";
import { writeIpv4 } from "../../runtime/net/ip.ts";
import { BROADCAST_MAC, writeMac } from "../../runtime/net/mac.ts";
import { writeU16, writeU32 } from "../../runtime/net/wire.ts";
import { Entry } from "../../runtime/verdict.ts";
import { anyAddress, IFINDEXES, macOf, UNICAST } from "./random-model.ts";

export interface DrawnPacket {
  readonly entry: number;
  readonly device: number;
  readonly mark: number;
  readonly uid: number;
  readonly flags: number;
  readonly bytes: Uint8Array;
  /** Entry NEIGHBOUR: the 16 bytes that `nextHop` points at. */
  readonly nextHop: Uint8Array;
}

/** `usual` but for one in `odds`. */
const rarely = <T>(usual: T, rare: fc.Arbitrary<T>, odds = 40): fc.Arbitrary<T> =>
  fc.oneof({ weight: odds - 1, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: rare });

const anyHeader = fc.record({
  ihl: rarely(5, fc.integer({ min: 0, max: 15 }), 10),
  version: rarely(4, fc.constantFrom(0, 5, 6)),
  tos: fc.constantFrom(0, 0, 0x10, 0x13, 0x08, 0xb8),
  fragment: fc.constantFrom(0x4000, 0x4000, 0, 0, 0, 0x2000, 0x0005),
  ttl: rarely(64, fc.constantFrom(0, 1, 2, 255), 8),
  protocol: fc.constantFrom(1, 1, 17, 6, 2, 50, 51, 99),
  source: anyAddress,
  destination: anyAddress,
  payload: fc.uint8Array({ maxLength: 140, size: "max" }),
  icmpType: fc.constantFrom(8, 0, 3, 11, 5),
  badChecksum: rarely(false, fc.constant(true)),
  /** Added to the total length, which then lies. */
  lie: rarely(0, fc.constantFrom(-60, -1, 1, 500)),
  padding: rarely(0, fc.constantFrom(1, 26), 10),
  cut: rarely(0, fc.integer({ min: 1, max: 60 })),
});

/** The IP packet, as its header says; `lie`, `padding` and `cut` spoil it. */
const anyIpPacket = anyHeader.map((h): Uint8Array => {
  const header = Math.max(20, h.ihl * 4);
  const length = header + h.payload.length;
  const bytes = new Uint8Array(length + h.padding).fill(0xee);
  bytes.fill(1, 0, header); // options: no operation
  bytes[0] = (h.version << 4) | h.ihl;
  bytes[1] = h.tos;
  writeU16(bytes, 2, (length + h.lie) & 0xffff);
  writeU16(bytes, 4, 0x1234);
  writeU16(bytes, 6, h.fragment);
  bytes[8] = h.ttl;
  bytes[9] = h.protocol;
  writeIpv4(bytes, 12, h.source);
  writeIpv4(bytes, 16, h.destination);
  bytes.set(h.payload, header);
  if (h.protocol === 1 && h.payload.length > 0) bytes[header] = h.icmpType;
  writeU16(bytes, 10, 0);
  writeU16(bytes, 10, checksum(bytes.subarray(0, header)) ^ (h.badChecksum ? 0x0101 : 0));
  return bytes.slice(0, bytes.length - h.cut);
});

const anyFrame = fc
  .record({
    device: fc.constantFrom(...IFINDEXES),
    packet: anyIpPacket,
    mac: rarely("own", fc.constantFrom("broadcast", "multicast", "other"), 10),
    type: rarely(0x0800, fc.constantFrom(0x0806, 0x8100, 0x86dd)),
    tags: rarely<number[]>(
      [],
      fc.array(fc.constantFrom(0x81000000, 0x8100e000, 0x88a80000, 0x81000005), { maxLength: 3 }),
      8,
    ),
    cut: rarely(0, fc.integer({ min: 1, max: 40 })),
  })
  .map(({ device, packet, mac, type, tags, cut }) => {
    const header = 14 + 4 * tags.length;
    const bytes = new Uint8Array(header + packet.length);
    const destinations: Record<string, number> = {
      own: macOf(device),
      broadcast: BROADCAST_MAC,
      multicast: 0x01005e000001,
    };
    writeMac(bytes, 0, destinations[mac] ?? 0x02ffffffffff);
    writeMac(bytes, 6, 0x020000000707);
    for (const [k, tag] of tags.entries()) writeU32(bytes, 12 + 4 * k, tag);
    writeU16(bytes, header - 2, type);
    bytes.set(packet, header);
    return { entry: Entry.RECEIVE as number, device, bytes: bytes.slice(0, bytes.length - cut) };
  });

const anySend = fc.record({
  entry: fc.constantFrom<number>(
    Entry.OUTPUT,
    Entry.OUTPUT,
    Entry.LOOKUP,
    Entry.NEIGHBOUR,
    Entry.ROUTE_INPUT,
    Entry.LOOPBACK,
    Entry.LOCAL_IN,
    Entry.XMIT,
  ),
  device: fc.constantFrom(0, 0, 0, ...IFINDEXES, 99),
  bytes: anyIpPacket.map((bytes) => {
    // Sockets mostly leave the source to the kernel.
    const open = bytes.slice();
    if (open.length >= 20 && open[13] % 2 === 0) writeIpv4(open, 12, 0);
    return open;
  }),
});

const anyBytes = fc.record({
  entry: fc.integer({ min: 0, max: 8 }),
  device: fc.constantFrom(0, ...IFINDEXES),
  bytes: fc.uint8Array({ maxLength: 300, size: "max" }),
});

const anyNextHop = fc.oneof(
  fc.constantFrom(...UNICAST).map((address) => {
    const field = new Uint8Array(16);
    writeIpv4(field, 0, address);
    return field;
  }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
);

export const anyPacket: fc.Arbitrary<DrawnPacket> = fc
  .tuple(
    fc.oneof({ weight: 6, arbitrary: anyFrame }, { weight: 5, arbitrary: anySend }, { weight: 1, arbitrary: anyBytes }),
    fc.record({
      mark: fc.constantFrom(0, 0, 1, 2),
      uid: fc.constantFrom(0, 0, 53, 2048),
      flags: fc.oneof(fc.constant(0), fc.constantFrom(...Object.values(PacketFlag))),
      nextHop: anyNextHop,
    }),
  )
  .map(([packet, meta]) => ({ ...packet, ...meta }));
