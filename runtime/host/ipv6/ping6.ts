/**
 * One run of iputils ping over a raw ICMPv6 socket (ping6_common.c):
 *
 *   connect() of a UDP probe socket, to learn the source: one look-up     fails: "ping: connect: ...", exit status 2
 *   echo request 1, 2, ... one a second through the output path           ../ping-run.ts
 *
 * iputils 20221126 asks for no route to a link-local destination: it fills in the family of the address that it connects to only
 * when that is not link-local, and connect() to AF_UNSPEC dissolves the association. So such a ping starts always, "from ::".
 */

import { PacketFlag } from "../../batch.ts";
import { Icmp6Type, Icmp6View, icmp6Message } from "../../net/icmp6.ts";
import { formatIp, type Ipv6 } from "../../net/ip.ts";
import { IpProtocol } from "../../net/ipv4.ts";
import {
  DEFAULT_HOP_LIMIT,
  Ipv6View,
  ipv6Packet,
  isLinkLocal6,
  isMulticast6,
  skipExtensionHeaders,
} from "../../net/ipv6.ts";
import { udpDatagram } from "../../net/udp.ts";
import { Errno, Verdict } from "../../verdict.ts";
import { FIRST_EPHEMERAL_PORT } from "../config.ts";
import type { Judgement } from "../events.ts";
import { icmp6ErrorMessage } from "../messages.ts";
import { isNamed, type PingHost, type PingOptions, PingRun, PROBE_PORT } from "../ping-run.ts";
import type { OutputMeta } from "../stack.ts";
import { inet6Iif, type RawSocket6 } from "./deliver.ts";
import type { Upper6 } from "./stack.ts";

/** IPV6_DEFAULT_MCASTHOPS */
const DEFAULT_MULTICAST_HOPS = 1;
const LOOPBACK: Ipv6 = 1n;

export class Ping6 extends PingRun implements RawSocket6 {
  readonly boundAddress: Ipv6;
  /** sin6_scope_id of the destination, 0: none. */
  readonly #zone: number;
  readonly #destination: Ipv6;

  constructor(host: PingHost, options: PingOptions & { readonly destination: Ipv6 }, identifier: number) {
    super(host, options, identifier);
    this.#destination = options.destination;
    this.boundAddress = typeof options.source === "bigint" ? options.source : 0n;
    this.#zone = isNamed(options.zone) ? (host.device(options.zone)?.ifindex ?? 0) : 0;
  }

  start(): void {
    const problem = this.#problem();
    const source = problem ?? (this.boundAddress === 0n ? this.#probe() : this.#bind());
    if (source === null || this.result !== null) return;
    const bound = this.device !== 0 || this.boundAddress !== 0n;
    const from = bound ? `from ${this.#zoned(source, this.device)} ${this.deviceName}: ` : "";
    const target = `PING ${this.hostname}(${this.#zoned(this.#destination, this.#zone)})`;
    this.begin(`${target} ${from}${this.size} data bytes`);
  }

  receive({ source: from, payload, packet }: Upper6): void {
    const icmp = new Icmp6View(payload);
    if (this.result !== null || icmp.type !== Icmp6Type.ECHO_REPLY || icmp.identifier !== this.identifier) return;
    const { hopLimit: ttl } = new Ipv6View(packet.bytes);
    const reply = { from, ttl, seq: icmp.sequence, bytes: payload.length };
    this.replied(reply, this.#zoned(from, inet6Iif(packet)));
  }

  receiveError(from: Ipv6, error: Icmp6View, quoted: Uint8Array, receivedBy: number): void {
    const upper = skipExtensionHeaders(quoted);
    if (this.result !== null || upper === null) return;
    const request = new Icmp6View(quoted.subarray(upper.offset));
    const { destination } = new Ipv6View(quoted);
    const isOurs = request.type === Icmp6Type.ECHO_REQUEST && request.identifier === this.identifier;
    if (!isOurs || destination !== this.#destination) return;
    const { type, code, rest: info } = error;
    const { sequence: seq } = request;
    this.failed({ from, type, code, info, seq }, this.#zoned(from, receivedBy), icmp6ErrorMessage(type, code, info));
  }

  /** rawv6_sendmsg, ip6_datagram_send_ctl: the zone of the destination and the device of `-I` must be the same. */
  protected sendRequest(seq: number, data: Uint8Array): Judgement | number {
    if (this.device !== 0 && this.#zone !== 0 && this.device !== this.#zone) return Errno.EINVAL;
    const rest = ((this.identifier << 16) | seq) >>> 0;
    const { destination, boundAddress: source } = this;
    const echo = (from: Ipv6) => icmp6Message({ type: Icmp6Type.ECHO_REQUEST, code: 0, rest, data }, from, destination);
    const meta: OutputMeta =
      this.device === 0 && this.#zone !== 0
        ? { ...this.meta, device: this.#zone, flags: PacketFlag.OIF_UNBOUND }
        : this.meta;
    // The checksum needs the source that the output path is going to choose (rawv6_push_pending_frames).
    const found = source === 0n ? this.host.route(this.#packet(IpProtocol.ICMPV6, 0n, echo(0n)), meta) : null;
    const from = typeof found?.source === "bigint" ? found.source : source;
    return this.host.output(this.#packet(IpProtocol.ICMPV6, source, echo(from)), meta);
  }

  /** :: means loopback. */
  get destination(): Ipv6 {
    return this.#destination === 0n ? LOOPBACK : this.#destination;
  }

  /** What keeps ping from starting; null: nothing. */
  #problem(): null {
    if (isNamed(this.options.zone) && this.#zone === 0)
      return this.fail("getaddrinfo", Errno.ENODEV, this.hostname, ": Name or service not known");
    if (this.lacksDevice)
      return this.fail("SO_BINDTODEVICE", Errno.ENODEV, `unknown iface: ${this.options.device}`, "");
    if (isMulticast6(this.#destination) && this.count > 1) return this.unsupported("several requests to a group");
    return null;
  }

  /** bind() to the address of `-I`; no probe then. */
  #bind(): Ipv6 | null {
    if (this.result !== null) return null;
    const { boundAddress, device } = this;
    if (isLinkLocal6(boundAddress) && device === 0) return this.fail("bind", Errno.EINVAL, "bind icmp socket");
    if (this.host.mayBind(boundAddress, device)) return boundAddress;
    return this.fail("bind", Errno.EADDRNOTAVAIL, "bind icmp socket");
  }

  /** connect() of the probe. */
  #probe(): Ipv6 | null {
    if (this.result !== null) return null;
    let source: Ipv6 = 0n;
    if (!isOfLink(this.#destination)) {
      const { destination } = this;
      const probe = { sourcePort: FIRST_EPHEMERAL_PORT, destinationPort: PROBE_PORT, data: new Uint8Array() };
      const found = this.host.lookup(this.#packet(IpProtocol.UDP, 0n, udpDatagram(probe, 0n, destination)), this.meta);
      if (found.verdict !== Verdict.FOUND) return this.fail("connect", found.error, "connect");
      if (typeof found.source === "bigint") source = found.source;
    }
    this.warnOfSource(source);
    return source;
  }

  #packet(nextHeader: number, source: Ipv6, payload: Uint8Array): Uint8Array {
    const { destination } = this;
    const hops = isMulticast6(destination) ? DEFAULT_MULTICAST_HOPS : DEFAULT_HOP_LIMIT;
    const { ttl: hopLimit = hops, tos: trafficClass = 0 } = this.options;
    return ipv6Packet({ trafficClass, flowLabel: 0, nextHeader, hopLimit, source, destination }, payload);
  }

  /** An address with its zone, as getnameinfo writes it. @param zone ifindex, 0: not known */
  #zoned(address: Ipv6, zone: number): string {
    const device = isOfLink(address) ? this.host.device(zone) : null;
    return device === null ? formatIp(address) : `${formatIp(address)}%${device.name}`;
  }
}

/** Link-local, unicast or multicast. */
const isOfLink = (address: Ipv6): boolean =>
  isLinkLocal6(address) || (isMulticast6(address) && ((address >> 112n) & 0xfn) === 2n);
