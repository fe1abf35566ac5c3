/**
 * Random Ethernet frames for a drawn network of wires: mostly good ones between addresses that mean something there, some of
 * them unusual (options, fragments, short TTLs, broadcast, ARP, VLAN tags), some damaged in one place.
 *
 *   frame = Ethernet( IPv4( UDP | TCP | ICMP | other ) | IPv6( [ extension headers ] UDP | TCP | ICMPv6 | other ) | ARP | else )
 */
import { checksum } from "../../runtime/net/checksum.ts";
import { type Ip, writeIpv4, writeIpv6 } from "../../runtime/net/ip.ts";
import { writeU16 } from "../../runtime/net/wire.ts";
import type { Random } from "../../src/bench/random.ts";
import type { Frame } from "../../src/scenario.ts";
import { between, bytes, pick } from "./draw.ts";
import type { DrawnDevice, DrawnNetwork } from "./network.ts";

export interface FrameKinds {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

export function drawFrame(random: Random, network: DrawnNetwork, kinds: FrameKinds): Frame {
  const i = random.below(network.devices.length);
  const drawing = new FrameDrawing(random, network, network.devices[i], i);
  const isIpv6 = kinds.ipv6 && (!kinds.ipv4 || random.chance(0.5));
  return { port: `w${i}`, hex: Buffer.from(drawing.frame(isIpv6)).toString("hex") };
}

const UDP = 17;
const TCP = 6;
const ICMP = 1;
const ICMPV6 = 58;
const ETHERNET = 14;

class FrameDrawing {
  readonly #random: Random;
  readonly #network: DrawnNetwork;
  readonly #device: DrawnDevice;
  readonly #index: number;

  constructor(random: Random, network: DrawnNetwork, device: DrawnDevice, index: number) {
    this.#random = random;
    this.#network = network;
    this.#device = device;
    this.#index = index;
  }

  frame(isIpv6: boolean): Uint8Array {
    const random = this.#random;
    if (!isIpv6 && random.chance(0.02)) return this.#arp();
    const [packet, destination] = isIpv6 ? this.#ipv6() : this.#ipv4();
    let [type, content] = [isIpv6 ? 0x86dd : 0x0800, packet];
    if (random.chance(0.01)) type = pick(random, [0x88cc, 0x0600, 0x05dc, isIpv6 ? 0x0800 : 0x86dd]);
    if (random.chance(0.01)) {
      content = new Uint8Array([0, random.below(4), type >>> 8, type & 0xff, ...content]);
      type = 0x8100;
    }
    if (random.chance(0.03)) content = new Uint8Array([...content, ...bytes(random, between(random, 1, 30))]);
    const frame = new Uint8Array(ETHERNET + content.length);
    frame.set(this.#macTo(destination), 0);
    frame.set([2, 0xaa, 0, 0, 0, this.#index], 6);
    writeU16(frame, 12, type);
    frame.set(content, ETHERNET);
    return random.chance(0.015) ? frame.slice(0, between(random, ETHERNET, frame.length)) : frame;
  }

  /** The device's own, mostly; to a group, the group's; sometimes another's. */
  #macTo(destination: Ip): number[] {
    const random = this.#random;
    const own = [2, 0, 0, 0, 0, 0x10 + this.#index];
    if (random.chance(0.02)) return pick(random, [[2, 0, 0, 0, 0, 0x99], BROADCAST, [1, 0, 0x5e, 1, 2, 3]]);
    if (typeof destination === "bigint") {
      const last = [24n, 16n, 8n, 0n].map((bits) => Number((destination >> bits) & 0xffn));
      return destination >> 120n === 0xffn ? [0x33, 0x33, ...last] : own;
    }
    if (destination === 0xffffffff || (this.#isBroadcast(destination) && random.chance(0.7))) return BROADCAST;
    if (destination >>> 28 !== 0xe) return own;
    return [1, 0, 0x5e, (destination >>> 16) & 0x7f, (destination >>> 8) & 0xff, destination & 0xff];
  }

  #isBroadcast(ip: number): boolean {
    return this.#broadcasts().includes(ip);
  }

  #broadcasts(): number[] {
    const subnets = this.#network.devices.flatMap((device) => device.subnets);
    return subnets.flatMap(({ own, length }) =>
      typeof own === "number" && length < 31 ? [(own | (0xffffffff >>> length)) >>> 0] : [],
    );
  }

  #ofFamily(ips: readonly Ip[], isIpv6: boolean): Ip[] {
    return ips.filter((ip) => (typeof ip === "bigint") === isIpv6);
  }

  #sender(isIpv6: boolean): Ip {
    const behind = this.#ofFamily(
      this.#device.subnets.flatMap((subnet) => subnet.neighbours),
      isIpv6,
    );
    const { neighbours, far, own } = this.#network;
    const odd: Ip[] = isIpv6 ? ODD6 : [...ODD4, ...this.#broadcasts()];
    const lists: [number, readonly Ip[]][] = [
      [0.65, behind],
      [0.8, this.#ofFamily(neighbours, isIpv6)],
      [0.92, this.#ofFamily(far, isIpv6)],
      [0.95, this.#ofFamily(own, isIpv6)],
      [1, odd],
    ];
    return this.#fromOne(lists, odd);
  }

  #receiver(isIpv6: boolean): Ip {
    const { neighbours, far, own } = this.#network;
    const odd: Ip[] = isIpv6 ? ODD6 : [...ODD4, ...this.#broadcasts()];
    const lists: [number, readonly Ip[]][] = [
      [0.25, this.#ofFamily(own, isIpv6)],
      [0.6, this.#ofFamily(neighbours, isIpv6)],
      [0.9, this.#ofFamily(far, isIpv6)],
      [1, odd],
    ];
    return this.#fromOne(lists, odd);
  }

  #fromOne(lists: readonly (readonly [number, readonly Ip[]])[], fallback: readonly Ip[]): Ip {
    const at = this.#random.unit();
    const list = lists.find(([limit]) => at < limit)![1];
    return pick(this.#random, list.length > 0 ? list : fallback);
  }

  #length(): number {
    const random = this.#random;
    if (random.chance(0.04)) return between(random, 1200, 1460);
    return random.chance(0.1) ? between(random, 200, 1000) : random.below(64);
  }

  // ---- IPv4 ------------------------------------------------------------------------------------------------------------

  #ipv4(): [packet: Uint8Array, destination: number] {
    const random = this.#random;
    const [source, destination] = [this.#sender(false) as number, this.#receiver(false) as number];
    const protocol = pick(random, [
      UDP,
      UDP,
      TCP,
      TCP,
      ICMP,
      ICMP,
      ICMP,
      pick(random, [2, 4, 47, 50, 51, 89, 132, 136, 255]),
    ]);
    const options = random.chance(0.07) ? this.#options(source, destination) : new Uint8Array(0);
    const header = 20 + options.length;
    const pseudo = new Uint8Array(12);
    writeIpv4(pseudo, 0, source);
    writeIpv4(pseudo, 4, destination);
    pseudo[9] = protocol;
    const payload = this.#payload(protocol, pseudo, 10);
    const packet = new Uint8Array(header + payload.length);
    packet[0] = 0x40 | (header / 4);
    packet[1] = pick(random, [0, 0, 0, 0x10, 0x08, 0x04, 0xb8, random.below(256)]);
    writeU16(packet, 2, packet.length);
    writeU16(packet, 4, random.below(65536));
    writeU16(packet, 6, this.#fragment());
    packet[8] = random.chance(0.1) ? pick(random, [0, 1, 1, 2, 255]) : 64;
    packet[9] = protocol;
    writeIpv4(packet, 12, source);
    writeIpv4(packet, 16, destination);
    packet.set(options, 20);
    packet.set(payload, header);
    writeU16(packet, 10, checksum(packet.subarray(0, header)));
    if (random.chance(0.04)) this.#damage4(packet, header);
    return [packet, destination];
  }

  #fragment(): number {
    const random = this.#random;
    if (random.chance(0.06)) return pick(random, [0x2000, 0x0005, 0x2010, 0x6000, 0x4003]);
    return random.chance(0.6) ? 0x4000 : random.chance(0.05) ? 0x8000 : 0;
  }

  /** One place is wrong; the checksum is right again unless it is the place. */
  #damage4(packet: Uint8Array, header: number): void {
    const random = this.#random;
    const kind = pick(random, ["checksum", "version", "ihl", "length", "transport"]);
    if (kind === "transport") packet[packet.length - 1] ^= 0x40;
    if (kind === "version") packet[0] = (packet[0] & 0x0f) | pick(random, [0x00, 0x50, 0x60, 0xf0]);
    if (kind === "ihl") packet[0] = (packet[0] & 0xf0) | pick(random, [0, 4, 6, 15]);
    if (kind === "length") writeU16(packet, 2, pick(random, [0, 19, 20, packet.length - 1, packet.length + 1, 65535]));
    const claimed = Math.min(Math.max((packet[0] & 0x0f) * 4, header), packet.length);
    writeU16(packet, 10, 0);
    writeU16(packet, 10, checksum(packet.subarray(0, claimed)) ^ (kind === "checksum" ? 0x0101 : 0));
  }

  #options(source: number, destination: number): Uint8Array {
    const random = this.#random;
    const address = (ip: Ip): number[] => {
      const field = new Uint8Array(4);
      writeIpv4(field, 0, ip as number);
      return [...field];
    };
    const other = pick(random, this.#ofFamily(this.#network.far, false));
    const drawn = pick(random, [
      () => [1, 1, 1],
      () => [7, 11, pick(random, [4, 8, 12, 3, 5]), 0, 0, 0, 0, 0, 0, 0, 0],
      () => [7, 39, 4, ...new Array<number>(36).fill(0)],
      () => [68, 12, pick(random, [5, 9, 13, 6]), pick(random, [0, 0x10, 0xf0, 0x20]), 0, 0, 0, 0, 0, 0, 0, 0],
      () => [68, 12, 5, pick(random, [1, 3]), ...address(pick(random, [destination, source, other])), 0, 0, 0, 0],
      () => [148, 4, 0, 0],
      () => [pick(random, [131, 137]), 7, 4, ...address(other)],
      () => [130, 11, ...bytes(random, 9)],
      () => [134, 8, ...bytes(random, 6)],
      () => [pick(random, [25, 94, 205]), pick(random, [2, 4, 0, 1, 60]), ...bytes(random, 2)],
      () => [...bytes(random, between(random, 1, 12))],
    ])();
    const padded = [...drawn, ...new Array<number>(-drawn.length & 3).fill(0)];
    return Uint8Array.from(padded.slice(0, 40));
  }

  // ---- IPv6 ------------------------------------------------------------------------------------------------------------

  #ipv6(): [packet: Uint8Array, destination: bigint] {
    const random = this.#random;
    const [source, destination] = [this.#sender(true) as bigint, this.#receiver(true) as bigint];
    const protocol = pick(random, [
      UDP,
      UDP,
      TCP,
      TCP,
      ICMPV6,
      ICMPV6,
      ICMPV6,
      pick(random, [0, 2, 4, 41, 47, 50, 59, 89, 253]),
    ]);
    const pseudo = new Uint8Array(40);
    writeIpv6(pseudo, 0, source);
    writeIpv6(pseudo, 16, destination);
    pseudo[39] = protocol;
    const payload = this.#payload(protocol, pseudo, 34);
    const [first, extensions] = random.chance(0.1) ? this.#extensions(protocol) : [protocol, new Uint8Array(0)];
    const packet = new Uint8Array(40 + extensions.length + payload.length);
    const traffic = pick(random, [0, 0, 0, 0x10, 0x08, 0xb8, random.below(256)]);
    packet[0] = 0x60 | (traffic >>> 4);
    packet[1] = ((traffic << 4) & 0xf0) | random.below(16);
    writeU16(packet, 2, random.below(65536));
    writeU16(packet, 4, packet.length - 40);
    packet[6] = first;
    packet[7] = random.chance(0.1) ? pick(random, [0, 1, 1, 2, 255]) : 64;
    writeIpv6(packet, 8, source);
    writeIpv6(packet, 24, destination);
    packet.set(extensions, 40);
    packet.set(payload, 40 + extensions.length);
    if (random.chance(0.03)) this.#damage6(packet);
    return [packet, destination];
  }

  #damage6(packet: Uint8Array): void {
    const random = this.#random;
    const kind = pick(random, ["version", "length", "next header", "transport"]);
    if (kind === "transport") packet[packet.length - 1] ^= 0x40;
    if (kind === "version") packet[0] = (packet[0] & 0x0f) | pick(random, [0x00, 0x40, 0x70]);
    if (kind === "length") writeU16(packet, 4, pick(random, [0, 1, packet.length - 41, packet.length - 39, 65535]));
    if (kind === "next header") packet[6] = random.below(256);
  }

  /** One or two headers, in any order, and now and then wrong. */
  #extensions(protocol: number): [first: number, headers: Uint8Array] {
    const random = this.#random;
    let [next, headers] = [protocol, new Uint8Array(0)];
    for (let n = between(random, 1, 2); n > 0; n--) {
      const [kind, body] = pick(random, [
        () => [0, [0, 1, 4, 0, 0, 0, 0]],
        () => [0, [0, 5, 2, 0, 0, 1, 0]], // router alert
        () => [0, [0, pick(random, [0x1e, 0x5e, 0x9e, 0xde]), 4, 0, 0, 0, 0]], // unknown option, with each action
        () => [60, [0, 1, 4, 0, 0, 0, 0]],
        () => [60, [0, pick(random, [0x1e, 0x5e, 0x9e, 0xde]), 4, 0, 0, 0, 0]],
        () => [43, [0, pick(random, [0, 4, 7]), pick(random, [0, 1]), 0, 0, 0, 0]],
        () => [44, [0, pick(random, [0, 8]), pick(random, [0, 1]), ...bytes(random, 4)]],
      ] as (() => [number, number[]])[])();
      headers = Uint8Array.from([next, ...body, ...headers]);
      next = kind;
    }
    return [next, headers];
  }

  // ---- what IP carries -------------------------------------------------------------------------------------------------

  /** @param lengthAt where the pseudo header holds the length (two bytes, the low ones) */
  #payload(protocol: number, pseudo: Uint8Array, lengthAt: number): Uint8Array {
    const random = this.#random;
    const data = bytes(random, this.#length());
    const port = () => pick(random, [53, 80, 1500, 40000, between(random, 900, 2100)]);
    const ports = [port(), port()].flatMap((n) => [n >>> 8, n & 0xff]);
    const message = (header: readonly number[], checksumAt: number, covered: Uint8Array): Uint8Array => {
      const whole = Uint8Array.from([...header, ...data]);
      const sum = covered.slice();
      if (sum.length > 0) writeU16(sum, lengthAt, whole.length);
      writeU16(whole, checksumAt, checksum(Uint8Array.from([...sum, ...whole])));
      return whole;
    };
    switch (protocol) {
      case UDP: {
        const length = 8 + data.length;
        return message([...ports, length >>> 8, length & 0xff, 0, 0], 6, pseudo);
      }
      case TCP: {
        const flags = pick(random, [0x02, 0x02, 0x10, 0x11, 0x18, 0x04, 0x12, 0x00]);
        const options = random.chance(0.25) ? this.#tcpOptions() : [];
        const header = ((20 + options.length) / 4) << 4;
        return message([...ports, ...bytes(random, 8), header, flags, 0xff, 0xff, 0, 0, 0, 0, ...options], 16, pseudo);
      }
      case ICMP:
        return message(this.#icmp(), 2, new Uint8Array(0));
      case ICMPV6:
        return message([pick(random, [128, 128, 128, 129, 1, 3, 200]), 0, 0, 0, ...bytes(random, 4)], 2, pseudo);
      default:
        return data;
    }
  }

  /** Good ones, and some whose lengths lie. */
  #tcpOptions(): number[] {
    const random = this.#random;
    const one = (): number[] =>
      pick(random, [
        () => [2, 4, 5, 180],
        () => [2, 4, 1, 0],
        () => [4, 2],
        () => [1],
        () => [0],
        () => [3, 3, 7],
        () => [pick(random, [2, 4]), pick(random, [0, 1, 3, 40])],
        () => [8, 10, ...bytes(random, 8)],
      ])();
    const drawn = Array.from({ length: between(random, 1, 4) }, one).flat();
    return [...drawn, ...new Array<number>(-drawn.length & 3).fill(random.chance(0.5) ? 0 : 1)];
  }

  /** An echo mostly; else an answer, an error about a packet of this network, or a kind of old. */
  #icmp(): number[] {
    const random = this.#random;
    if (random.chance(0.7)) return [8, 0, 0, 0, ...bytes(random, 4)];
    const type = pick(random, [0, 3, 3, 5, 11, 12, 13, 15, 17, 200]);
    return [type, type === 3 ? pick(random, [0, 1, 3, 4, 13, 16]) : 0, 0, 0, ...bytes(random, 4)];
  }

  #arp(): Uint8Array {
    const random = this.#random;
    const frame = new Uint8Array(60);
    frame.set(random.chance(0.8) ? BROADCAST : [2, 0, 0, 0, 0, 0x10 + this.#index]);
    frame.set([2, 0xaa, 0, 0, 0, this.#index, 8, 6, 0, 1, 8, 0, 6, 4, 0, pick(random, [1, 1, 2, 3])], 6);
    frame.set([2, 0xaa, 0, 0, 0, this.#index], 22);
    writeIpv4(frame, 28, this.#sender(false) as number);
    writeIpv4(frame, 38, this.#receiver(false) as number);
    return frame;
  }
}

const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const ODD4 = [
  ...[0, 0x00000005, 0x7f000001, 0x7f000009, 0xe0000001, 0xe0000005, 0xef010101],
  ...[0xffffffff, 0xf0000001, 0xa9fe0001, 0x08080808],
];
const ODD6 = [
  ...[0n, 1n, (0xff02n << 112n) | 1n, (0xff02n << 112n) | 2n, (0xff0en << 112n) | 0x123n, (0xff01n << 112n) | 1n],
  ...[(0xfe80n << 112n) | 7n, (0x2001_4860n << 96n) | 0x8888n, 0xffff_0a00_0001n, (0xfec0n << 112n) | 1n],
];
