/** Wire formats: what is emitted parses back, into dirty buffers too; printing any bytes never throws. */
import fc from "fast-check";
import { expect, describe as suite, test } from "vitest";
import { ARP_BYTES, emitArp, parseArp } from "../../runtime/net/arp.ts";
import { checksum, foldChecksum, wordSum } from "../../runtime/net/checksum.ts";
import { describe, describeFrame } from "../../runtime/net/describe.ts";
import { ETHERNET_HEADER_BYTES, EthernetView, emitEthernet, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { IcmpView, icmpMessage } from "../../runtime/net/icmp.ts";
import { formatIp, type Ipv4, parseIp } from "../../runtime/net/ip.ts";
import { emitIpv4, IPV4_HEADER_BYTES, IpProtocol, Ipv4View, ipv4Packet } from "../../runtime/net/ipv4.ts";
import { formatMac, parseMac } from "../../runtime/net/mac.ts";
import { TcpFlag, TcpView, tcpSegment } from "../../runtime/net/tcp.ts";
import { UdpView, udpDatagram } from "../../runtime/net/udp.ts";

const ip = (text: string): Ipv4 => parseIp(text) as Ipv4;
const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const mac = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const bytes = (maxLength = 80) => fc.uint8Array({ maxLength });
const ipv4Header = fc.record({
  tos: u8,
  identification: u16,
  dontFragment: fc.boolean(),
  ttl: u8,
  protocol: u8,
  source: u32,
  destination: u32,
});

suite("checksum", () => {
  test("the example of RFC 1071 section 3", () => {
    const words = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
    expect(wordSum(words)).toBe(0x2ddf0);
    expect(foldChecksum(0x2ddf0)).toBe(0x220d);
  });
  test("an odd last byte is the high byte of its word", () => {
    expect(checksum(Uint8Array.of(0x12))).toBe(0xedff);
  });
});

suite("round trips", () => {
  test("Ethernet, over dirty bytes", () => {
    fc.assert(
      fc.property(mac, mac, u16, bytes(), (destination, source, type, payload) => {
        const dirty = new Uint8Array(ETHERNET_HEADER_BYTES).fill(0xa5);
        emitEthernet({ destination, source, type }, dirty);
        const frame = new EthernetView(ethernetFrame({ destination, source, type }, payload));
        expect(frame.bytes.subarray(0, ETHERNET_HEADER_BYTES)).toEqual(dirty);
        expect([frame.destination, frame.source, frame.type]).toEqual([destination, source, type]);
        expect(frame.payload).toEqual(payload);
      }),
    );
  });

  test("ARP, over dirty bytes", () => {
    fc.assert(
      fc.property(
        fc.record({ operation: u16, senderMac: mac, senderIp: u32, targetMac: mac, targetIp: u32 }),
        u8,
        (packet, dirt) => {
          const dirty = new Uint8Array(ARP_BYTES).fill(dirt);
          emitArp(packet, dirty);
          expect(parseArp(dirty)).toEqual(packet);
        },
      ),
    );
  });

  test("IPv4, over dirty bytes, padding left out", () => {
    fc.assert(
      fc.property(ipv4Header, bytes(), u8, (header, payload, dirt) => {
        const dirty = new Uint8Array(IPV4_HEADER_BYTES + payload.length).fill(dirt);
        dirty.set(payload, IPV4_HEADER_BYTES);
        emitIpv4(header, dirty);
        expect(dirty).toEqual(ipv4Packet(header, payload));
        const padded = new Uint8Array(dirty.length + 7).fill(dirt);
        padded.set(dirty);
        const view = new Ipv4View(padded);
        expect(view.check()).toBeNull();
        expect(view).toMatchObject({ ...header, payload });
      }),
    );
  });

  test("ICMP", () => {
    fc.assert(
      fc.property(fc.record({ type: u8, code: u8, rest: u32, data: bytes() }), (message) => {
        const view = new IcmpView(icmpMessage(message));
        expect(view.check()).toBeNull();
        expect(view).toMatchObject(message);
      }),
    );
  });

  test("UDP and TCP, checksums over the pseudo header", () => {
    fc.assert(
      fc.property(u16, u16, u32, u32, bytes(), (sourcePort, destinationPort, source, destination, data) => {
        const udp = new UdpView(udpDatagram({ sourcePort, destinationPort, data }, source, destination));
        expect(udp.check(source, destination)).toBeNull();
        expect([udp.sourcePort, udp.destinationPort, udp.length]).toEqual([
          sourcePort,
          destinationPort,
          8 + data.length,
        ]);
        const segment = {
          sourcePort,
          destinationPort,
          sequence: source,
          acknowledgment: destination,
          flags: TcpFlag.RST,
          window: 0,
        };
        const tcp = new TcpView(tcpSegment(segment, source, destination));
        expect(tcp.check(source, destination)).toBeNull();
        expect([tcp.sequence, tcp.acknowledgment, tcp.flags]).toEqual([source, destination, TcpFlag.RST]);
      }),
    );
  });

  test("one flipped bit is noticed by the checksums", () => {
    const header = {
      tos: 0,
      identification: 1,
      dontFragment: true,
      ttl: 64,
      protocol: 1,
      source: ip("10.0.0.7"),
      destination: ip("10.0.1.7"),
    };
    const packet = ipv4Packet(
      header,
      icmpMessage({ type: 8, code: 0, rest: 0x00010001, data: Uint8Array.of(1, 2, 3) }),
    );
    for (let bit = 0; bit < packet.length * 8; bit++) {
      const copy = packet.slice();
      copy[bit >> 3] ^= 1 << (bit & 7);
      const view = new Ipv4View(copy);
      expect(view.check() ?? new IcmpView(view.payload).check(), `bit ${bit}`).not.toBeNull();
    }
  });
});

suite("IPv4 checks, in ip_rcv_core's order", () => {
  const good = ipv4Packet(
    { tos: 0, identification: 0, dontFragment: false, ttl: 1, protocol: 1, source: 1, destination: 2 },
    new Uint8Array(8),
  );
  const cases: readonly [string, (b: Uint8Array) => Uint8Array, string | null][] = [
    ["whole", (b) => b, null],
    ["empty", () => new Uint8Array(), "0 bytes hold no IPv4 header"],
    ["version before header length", (b) => set(b, 0, 0x60), "IP version 6"],
    ["short header", (b) => set(b, 0, 0x44), "header length 16"],
    ["header beyond the end", (b) => set(b.subarray(0, 24), 0, 0x4f), "header of 60 bytes in 24"],
    ["checksum before length", (b) => set(b, 3, 99), "bad header checksum"],
    ["truncated", (b) => b.subarray(0, 27), "truncated: 27 of 28 bytes"],
  ];
  test.each(cases)("%s", (_, change, message) => {
    expect(new Ipv4View(change(good.slice())).check()).toBe(message);
  });
});

function set(b: Uint8Array, at: number, value: number): Uint8Array {
  b[at] = value;
  return b;
}

suite("describe", () => {
  const header = {
    tos: 0,
    identification: 1,
    dontFragment: true,
    ttl: 64,
    source: ip("10.0.0.7"),
    destination: ip("10.0.1.7"),
  };
  const echo = ipv4Packet(
    { ...header, protocol: IpProtocol.ICMP },
    icmpMessage({ type: 8, code: 0, rest: 0x00010001, data: new Uint8Array(56) }),
  );
  const quoted = icmpMessage({ type: 11, code: 0, rest: 0, data: echo.subarray(0, 28) });
  const arp = (operation: number) => {
    const packet = new Uint8Array(ARP_BYTES);
    emitArp(
      { operation, senderMac: 0x0200000000ff, senderIp: ip("10.0.0.7"), targetMac: 0, targetIp: ip("10.0.0.1") },
      packet,
    );
    return ethernetFrame({ destination: 0xffffffffffff, source: 0x0200000000ff, type: 0x806 }, packet);
  };
  const fragment = echo.slice();
  fragment.set([0x20, 0x02], 6);
  fragment.set([0, 0], 10);
  const sum = checksum(fragment.subarray(0, 20));
  fragment.set([sum >> 8, sum & 255], 10);

  const cases: readonly [string, string][] = [
    [describe(echo), "icmp echo request 10.0.0.7 > 10.0.1.7 ttl 64 id 1 seq 1"],
    [
      describe(ipv4Packet({ ...header, protocol: 1 }, quoted)),
      "icmp time to live exceeded 10.0.0.7 > 10.0.1.7 ttl 64 (for icmp echo request 10.0.0.7 > 10.0.1.7 ttl 64 id 1 seq 1)",
    ],
    [
      describe(
        ipv4Packet(
          { ...header, protocol: 17 },
          udpDatagram({ sourcePort: 1024, destinationPort: 53, data: new Uint8Array(20) }, 0, 0),
        ),
      ),
      "udp 10.0.0.7:1024 > 10.0.1.7:53 ttl 64 length 20",
    ],
    [describe(fragment), "icmp 10.0.0.7 > 10.0.1.7 ttl 64 fragment 16+"],
    [
      describe(ipv4Packet({ ...header, protocol: 132 }, new Uint8Array(4))),
      "protocol 132 10.0.0.7 > 10.0.1.7 ttl 64 length 4",
    ],
    [describe(echo.subarray(0, 50)), "malformed ipv4 (truncated: 50 of 84 bytes, 50 bytes)"],
    [describeFrame(arp(1)), "arp who-has 10.0.0.1 tell 10.0.0.7"],
    [describeFrame(arp(2)), "arp 10.0.0.7 is-at 02:00:00:00:00:ff"],
    [describeFrame(new Uint8Array(5)), "malformed frame (5 bytes hold no Ethernet header)"],
  ];
  test.each(cases)("%s", (got, want) => {
    expect(got).toBe(want);
  });

  test("never throws, whatever the bytes", () => {
    const mutated = fc
      .tuple(
        fc.constantFrom(echo, ipv4Packet({ ...header, protocol: 1 }, quoted), arp(1)),
        fc.array(fc.tuple(fc.nat(90), u8)),
        fc.nat(100),
      )
      .map(([base, changes, length]) => {
        const copy = base.slice();
        for (const [at, value] of changes) copy[at % copy.length] = value;
        return copy.subarray(0, length);
      });
    fc.assert(
      fc.property(fc.oneof(bytes(200), mutated), (any) => {
        expect(typeof describe(any)).toBe("string");
        expect(typeof describeFrame(any)).toBe("string");
      }),
      { numRuns: 2000 },
    );
  });
});

suite("addresses as text", () => {
  test("what is printed parses back", () => {
    fc.assert(fc.property(u32, (a) => parseIp(formatIp(a)) === a));
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), (a) => parseIp(formatIp(a)) === a));
    fc.assert(fc.property(mac, (a) => parseMac(formatMac(a)) === a));
  });
  test.each([
    "",
    "1",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "01.2.3.4",
    "1.2.3.4 ",
    "0x1.2.3.4",
    ":",
    ":::",
    "1::2::3",
    "fe80::1%eth0",
    "12345::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "::1.2.3",
    "1.2.3.4::",
    "1:2:3:4:5:6:7:8::",
  ])("%j is no address", (text) => {
    expect(parseIp(text)).toBeNull();
  });
  test.each([
    ["::", 0n],
    ["::1", 1n],
    ["1::", 1n << 112n],
    ["2001:db8::ff", (0x2001n << 112n) | (0xdb8n << 96n) | 0xffn],
    ["::ffff:10.0.0.1", 0xffff0a000001n],
    ["1:2:3:4:5:6:7::", 0x00010002000300040005000600070000n],
  ] as const)("%s", (text, value) => {
    expect(parseIp(text)).toBe(value);
  });
  test.each(["", "02:00:00:00:00", "02:00:00:00:00:0g", "02:00:00:00:00:00:00", "2:0:0:0:0:0", "02-00-00-00-00-00"])(
    "%j is no MAC",
    (text) => {
      expect(parseMac(text)).toBeNull();
    },
  );
});
