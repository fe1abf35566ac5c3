/** Random packets for chains: those of random-packets.ts, IPv4 with options, IPv6, and TCP with options. */
import fc from "fast-check";
import { withOptions } from "../../runtime/host/options.ts";
import { checksum } from "../../runtime/net/checksum.ts";
import { EtherType } from "../../runtime/net/ethernet.ts";
import { IpProtocol } from "../../runtime/net/ipv4.ts";
import { BROADCAST_MAC, writeMac } from "../../runtime/net/mac.ts";
import { TCP_CHECKSUM, TCP_HEADER_BYTES } from "../../runtime/net/tcp.ts";
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

/** One TCP option, most often of its own length. */
const anyTcpOption = fc
  .record({
    option: fc.constantFrom([0, 1], [1, 1], [2, 4], [2, 4], [2, 4], [3, 3], [5, 10], [8, 10], [8, 10], [99, 2]),
    lie: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, -1, -2, 1, 40),
    value: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  })
  .map(({ option: [kind, length], lie, value }) => [kind, (length + lie) & 0xff, ...value].slice(0, length));

/** A TCP header with options over what stands behind the IP header, as much of it as the packet has room for. */
const anyTcp: fc.Arbitrary<DrawnPacket> = fc
  .record({
    drawn: fc.oneof(anyPacket, anyIpv6),
    options: fc.array(anyTcpOption, { maxLength: 4 }).map((options) => options.flat().slice(0, 40)),
    lie: fc.constantFrom(0, 0, 0, 0, 0, -1, 1, 5),
    check: fc.constantFrom(0, 0xffff, 0x1234),
  })
  .map(({ drawn, options, lie, check }) => {
    const at = drawn.entry === Entry.RECEIVE ? ETHERNET : 0;
    const bytes = drawn.bytes.slice();
    const isIpv4 = isPlainIpv4(bytes, at);
    if (!isIpv4 && !(bytes.length >= at + 40 && bytes[at] >>> 4 === 6)) return drawn;
    bytes[at + (isIpv4 ? 9 : 6)] = IpProtocol.TCP;
    if (isIpv4) {
      writeU16(bytes, at + 10, 0);
      writeU16(bytes, at + 10, checksum(bytes.subarray(at, at + 20)));
    }
    const l4 = at + (isIpv4 ? 20 : 40);
    const header = new Uint8Array(TCP_HEADER_BYTES + ((options.length + 3) & ~3));
    header[12] = ((header.length / 4 + lie) & 15) << 4;
    writeU16(header, 2, 80);
    writeU16(header, TCP_CHECKSUM, check);
    header.set(options, TCP_HEADER_BYTES);
    bytes.set(header.subarray(0, Math.max(0, bytes.length - l4)), l4);
    return { ...drawn, bytes };
  });

export const anyChainPacket: fc.Arbitrary<DrawnPacket> = fc.oneof(
  { weight: 5, arbitrary: anyPacket },
  { weight: 2, arbitrary: anyWithOptions },
  { weight: 3, arbitrary: anyIpv6 },
  { weight: 2, arbitrary: anyTcp },
);
