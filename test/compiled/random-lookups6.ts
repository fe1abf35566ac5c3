/** Random IPv6 look-ups over the addresses and devices of random-model.ts: made-up packets for entries LOOKUP and ROUTE_INPUT. */
import fc from "fast-check";
import { PacketFlag } from "../../runtime/batch.ts";
import { writeIpv6 } from "../../runtime/net/ip.ts";
import { NextHeader } from "../../runtime/net/ipv6.ts";
import { writeU16 } from "../../runtime/net/wire.ts";
import { Entry } from "../../runtime/verdict.ts";
import { anyAddress6, IFINDEXES } from "./random-model.ts";
import type { DrawnPacket } from "./random-packets.ts";

const HEADER_BYTES = 40;
const ICMPV6 = 58;

const anyHeader6 = fc.record({
  /** Version, traffic class and flow label. */
  first: fc.constantFrom(0x60000000, 0x60000000, 0x61000000, 0x61300000, 0x6fc12345),
  nextHeader: fc.constantFrom(6, 17, 17, 51, ICMPV6, ...Object.values(NextHeader)),
  source: fc.oneof(anyAddress6, fc.constant(0n)),
  destination: anyAddress6,
  payload: fc.uint8Array({ maxLength: 60, size: "max" }),
  /** What an ICMPv6 error quotes, or the ports. */
  ports: fc.tuple(fc.constantFrom(0, 7, 53, 0x0100, 0x8000), fc.constantFrom(0, 8, 1007, 2048)),
  cut: fc.oneof({ weight: 30, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(45) }),
});

export const anyIpv6Packet: fc.Arbitrary<Uint8Array> = anyHeader6.map((h) => {
  const bytes = new Uint8Array(HEADER_BYTES + 4 + h.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, h.first);
  writeU16(bytes, 4, bytes.length - HEADER_BYTES);
  bytes[6] = h.nextHeader;
  bytes[7] = 64;
  writeIpv6(bytes, 8, h.source as bigint);
  writeIpv6(bytes, 24, h.destination as bigint);
  writeU16(bytes, HEADER_BYTES, h.ports[0]);
  writeU16(bytes, HEADER_BYTES + 2, h.ports[1]);
  bytes.set(h.payload, HEADER_BYTES + 4);
  return bytes.slice(0, bytes.length - h.cut);
});

export const anyLookup6: fc.Arbitrary<DrawnPacket> = fc.record({
  entry: fc.constantFrom<number>(Entry.LOOKUP, Entry.LOOKUP, Entry.ROUTE_INPUT),
  device: fc.constantFrom(0, 0, ...IFINDEXES, 99),
  bytes: anyIpv6Packet,
  mark: fc.constantFrom(0, 0, 1, 2),
  uid: fc.constantFrom(0, 0, 53, 0xffffffff),
  flags: fc.constantFrom(0, 0, PacketFlag.OIF_UNBOUND, PacketFlag.RTM_GETROUTE, PacketFlag.ANYSRC),
  nextHop: fc.constant(new Uint8Array(16)),
});
