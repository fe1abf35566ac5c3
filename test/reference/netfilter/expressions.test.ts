/** Every expression, on packets that it holds for and on others. A rule counts what all of its tests said yes to. */
import { describe, expect, test } from "vitest";
import { IpProtocol } from "../../../runtime/net/ipv4.ts";
import { TcpFlag } from "../../../runtime/net/tcp.ts";
import type { PacketWords } from "../support.ts";
import { chain, counted, datagram, routerWith, segment } from "./support.ts";

const A = "10.0.0.7";
const B = "10.0.1.7";
const A6 = "2001:db8::7";
const B6 = "2001:db8:1::7";
const tcp: PacketWords = { from: A, to: B, protocol: IpProtocol.TCP, payload: segment(A, B) };
const udp: PacketWords = { from: A, to: B, protocol: IpProtocol.UDP, payload: datagram(A, B) };
const echo: PacketWords = { from: A, to: B };
const echo6: PacketWords = { from: A6, to: B6 };
const tcp6: PacketWords = { from: A6, to: B6, protocol: IpProtocol.TCP, payload: segment(A6, B6) };

/** [rule, packet, does it match?], all at forward. */
const FORWARD: readonly (readonly [string, PacketWords, boolean])[] = [
  // nft_payload_eval, nft_cmp_eval
  ["tcp dport 80", tcp, true],
  ["tcp dport 80", udp, false],
  ["tcp dport 80", tcp6, true],
  ["tcp dport != 80", tcp, false],
  ["tcp dport < 80", tcp, false],
  ["tcp dport <= 80", tcp, true],
  ["tcp sport 1000-2000", tcp, true],
  ["tcp sport != 1000-2000", tcp, false],
  ["udp dport { 22, 53 }", udp, true],
  ["udp dport != { 22, 53 }", udp, false],
  ["ip saddr 10.0.0.0/24", echo, true],
  ["ip saddr 10.0.1.0/24", echo, false],
  ["ip saddr . ip daddr { 10.0.0.7 . 10.0.1.7 }", echo, true],
  ["ip saddr . tcp dport { 10.0.0.0/24 . 80-90 }", tcp, true],
  ["ip saddr . tcp dport { 10.0.0.0/24 . 80-90 }", { ...tcp, payload: segment(A, B, { dport: 91 }) }, false],
  ["ip6 saddr 2001:db8::/48", echo6, true],
  ["ip6 saddr 2001:db8::/48", echo, false],
  ["ip ttl 63", echo, true],
  ["ip6 hoplimit 63", echo6, true],
  ["ip dscp cs1", { ...echo, tos: 0x20 }, true],
  ["icmp type echo-request", echo, true],
  ["icmpv6 type echo-request", echo6, true],
  ["tcp flags syn", tcp, true],
  ["tcp flags & (syn | ack) == syn", tcp, true],
  ["tcp flags & (syn | ack) == syn", { ...tcp, payload: segment(A, B, { flags: TcpFlag.SYN | TcpFlag.ACK }) }, false],
  ["@nh,64,8 63", echo, true],
  ["@th,16,16 80", tcp, true],
  ["@th,16,16 53", udp, true],
  // Not behind the end of the packet.
  ["@th,480,16 0", tcp, false],
  ["@th,480,16 != 1", tcp, false],
  // nft_meta_get_eval
  ["meta l4proto tcp", tcp, true],
  ["meta l4proto { tcp, udp }", udp, true],
  ["meta nfproto ipv6", echo6, true],
  ["meta nfproto ipv4", echo6, false],
  ["meta protocol ip6", echo6, true],
  ["meta length 84", echo, true],
  ["meta mark 0x11", { ...echo, mark: 0x11 }, true],
  ["meta mark & 0xf == 0x1", { ...echo, mark: 0x11 }, true],
  ["meta pkttype host", echo, true],
  ['iifname "eth0"', echo, true],
  ['iifname != "eth0"', echo, false],
  ['oifname "eth1"', echo, true],
  ["meta skuid 0", echo, false],
  // rt_tos2priority
  ["meta priority 6", { ...echo, tos: 0x10 }, true],
  ["ct state untracked", echo, true],
  // nft_fib4_eval, nft_fib6_eval
  ["fib daddr type unicast", echo, true],
  ['fib saddr oifname "eth0"', echo, true],
  ['fib saddr . iif oifname "eth0"', echo, true],
  ['fib saddr oifname "eth1"', echo, false],
  ['fib saddr oifname "eth0"', echo6, true],
  ["fib daddr type unicast", echo6, true],
];

describe("expressions at forward", () => {
  test.each(FORWARD)("%s, case %#", (rule, packet, matches) => {
    const host = routerWith(chain("forward", `${rule} counter`));
    expect(host.receive("eth0", packet).verdict).toBe("TRANSMIT");
    expect(counted(host.engine)).toBe(matches ? 1 : 0);
  });
});

describe("expressions at other hooks", () => {
  test("a slave's packet passes prerouting twice, and the second time its device is the VRF", () => {
    const host = routerWith(chain("prerouting", 'iifname "red" counter'));
    host.receive("red0", { from: "10.2.0.7", to: "10.2.0.1" });
    expect(counted(host.engine)).toBe(1);
  });

  test("fib type in a VRF asks its table, and of the two devices only the slave leads to the address", () => {
    const host = routerWith(chain("prerouting", "fib daddr . iif type local counter"));
    host.receive("red0", { from: "10.2.0.7", to: "10.2.0.1" });
    expect(counted(host.engine)).toBe(1);
  });

  test("a later fragment is read where its first byte would have been a header (nft_payload_fast_eval)", () => {
    const host = routerWith(chain("prerouting", "udp dport != 53 counter"));
    const frame = fragmentFrame();
    host.receiveFrame("eth0", frame);
    expect(counted(host.engine)).toBe(1);
  });

  test("the Ethernet header is there for received packets", () => {
    const host = routerWith(chain("input", "ether saddr 02:00:00:00:00:aa counter"));
    host.receive("eth0", { from: A, to: "10.0.0.1" });
    expect(counted(host.engine)).toBe(1);
  });

  test("and breaks for what a socket sends", () => {
    const host = routerWith(chain("output", "ether saddr != 02:00:00:00:00:aa counter"));
    host.output("", { from: "0.0.0.0", to: B });
    expect(counted(host.engine)).toBe(0);
  });

  test("a socket's packet has an owner", () => {
    const host = routerWith(chain("output", "meta skuid 1000 counter"));
    host.output("", { from: "0.0.0.0", to: B, uid: 1000 });
    host.output("", { from: "0.0.0.0", to: B, uid: 1001 });
    expect(counted(host.engine)).toBe(1);
  });
});

/** UDP, offset 8: the bytes at the port's place are 0. */
function fragmentFrame(): Uint8Array {
  const header = [0x45, 0, 0, 28, 0, 1, 0, 1, 64, 17, 0, 0, 10, 0, 0, 7, 10, 0, 1, 7];
  const sum = header.reduce((total, byte, i) => total + (i % 2 === 0 ? byte << 8 : byte), 0);
  const check = ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
  header[10] = check >>> 8;
  header[11] = check & 0xff;
  const ethernet = [...host0Mac, 2, 0, 0, 0, 0, 0xaa, 8, 0];
  return Uint8Array.from([...ethernet, ...header, ...new Uint8Array(8)]);
}
const host0Mac = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
