/** Random packets for chains: those of random-packets.ts, IPv4 with options, and IPv6. */
import fc from "fast-check";
import { withOptions } from "../../runtime/host/options.ts";
import { EtherType } from "../../runtime/net/ethernet.ts";
import { BROADCAST_MAC, writeMac } from "../../runtime/net/mac.ts";
import { writeU16 } from "../../runtime/net/wire.ts";
import { Entry } from "../../runtime/verdict.ts";
import { anyIpv6Packet } from "./random-lookups6.ts";
import { IFINDEXES, macOf } from "./random-model.ts";
import { anyPacket, type DrawnPacket } from "./random-packets.ts";

const ETHERNET = 14;

/** One option: kind, length, pointer and what follows; now and then the length lies. */
const anyOption = fc
  .record({
    kind: fc.constantFrom(0, 1, 7, 7, 68, 131, 137, 148, 148, 134, 99),
    length: fc.constantFrom(3, 4, 4, 7, 7, 8, 11, 12),
    pointer: fc.constantFrom(0, 4, 4, 4, 5, 8, 9, 255),
    flag: fc.constantFrom(0, 0, 1, 3, 0xf0, 0x13),
    lie: fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 40, -6),
  })
  .map(({ kind, length, pointer, flag, lie }) => {
    if (kind < 2) return [kind];
    const alert = kind === 148 && flag === 0;
    return [kind, (length + lie) & 0xff, alert ? 0 : pointer, flag, ...new Array<number>(length).fill(9)].slice(
      0,
      length,
    );
  });

const anyOptions = fc
  .array(anyOption, { minLength: 1, maxLength: 4 })
  .map((options) => options.flat().slice(0, 40))
  .map((bytes) => Uint8Array.from([...bytes, ...new Array<number>(-bytes.length & 3).fill(0)]));

const isPlainIpv4 = (bytes: Uint8Array, at: number): boolean => bytes.length >= at + 20 && bytes[at] === 0x45;

const anyWithOptions: fc.Arbitrary<DrawnPacket> = fc.tuple(anyPacket, anyOptions).map(([drawn, options]) => {
  const at = drawn.entry === Entry.RECEIVE ? ETHERNET : 0;
  const { bytes } = drawn;
  if (!isPlainIpv4(bytes, at)) return drawn;
  const packet = withOptions(bytes.slice(at), options);
  return { ...drawn, bytes: Uint8Array.from([...bytes.subarray(0, at), ...packet]) };
});

const anyIpv6: fc.Arbitrary<DrawnPacket> = fc
  .record({
    entry: fc.constantFrom<number>(Entry.RECEIVE, Entry.RECEIVE, Entry.RECEIVE, Entry.OUTPUT, Entry.LOOPBACK),
    device: fc.constantFrom(...IFINDEXES),
    bound: fc.boolean(),
    packet: anyIpv6Packet,
    group: fc.constantFrom(0, 0, 0, 0x333300000001, BROADCAST_MAC),
    mark: fc.constantFrom(0, 0, 1, 2),
    uid: fc.constantFrom(0, 53),
    flags: fc.constantFrom(0, 0, 32, 128),
  })
  .map(({ entry, device, bound, packet, group, ...meta }) => {
    const drawn = { ...meta, entry, device, nextHop: new Uint8Array(16) };
    if (entry !== Entry.RECEIVE)
      return { ...drawn, device: entry === Entry.OUTPUT && !bound ? 0 : device, bytes: packet };
    const bytes = new Uint8Array(ETHERNET + packet.length);
    writeMac(bytes, 0, group === 0 ? macOf(device) : group);
    writeMac(bytes, 6, 0x020000000707);
    writeU16(bytes, 12, EtherType.IPV6);
    bytes.set(packet, ETHERNET);
    return { ...drawn, bytes };
  });

export const anyChainPacket: fc.Arbitrary<DrawnPacket> = fc.oneof(
  { weight: 5, arbitrary: anyPacket },
  { weight: 2, arbitrary: anyWithOptions },
  { weight: 3, arbitrary: anyIpv6 },
);
