/**
 * One run of iputils ping over a raw ICMP socket:
 *
 *   connect() of a UDP probe socket, to learn the source: two look-ups        fails: "ping: connect: ...", exit status 2
 *   echo request 1, 2, ... one a second through the output path               ping-run.ts
 */

import { ICMP_HEADER_BYTES, IcmpType, IcmpView, icmpMessage } from "../net/icmp.ts";
import { formatIp, type Ipv4 } from "../net/ip.ts";
import { IPV4_HEADER_BYTES, IpProtocol, type Ipv4View, ipv4Packet } from "../net/ipv4.ts";
import { RouteTypeCode } from "../net/route-types.ts";
import { udpDatagram } from "../net/udp.ts";
import { Errno, Verdict } from "../verdict.ts";
import { FIRST_EPHEMERAL_PORT } from "./config.ts";
import type { Judgement } from "./events.ts";
import { icmpErrorMessage } from "./messages.ts";
import { type PingHost, type PingOptions, PingRun, PROBE_PORT } from "./ping-run.ts";

export class Ping extends PingRun {
  /** inet_rcv_saddr of the socket: set by bind() only. */
  readonly boundAddress: Ipv4;
  #destination: Ipv4;

  constructor(host: PingHost, options: PingOptions & { readonly destination: Ipv4 }, identifier: number) {
    super(host, options, identifier);
    this.#destination = options.destination;
    this.boundAddress = typeof options.source === "number" ? options.source : 0;
  }

  start(): void {
    if (this.lacksDevice) {
      this.fail("SO_BINDTODEVICE", Errno.ENODEV, `SO_BINDTODEVICE ${this.options.device}`);
      return;
    }
    const source = this.boundAddress === 0 ? this.#probe() : this.#bind();
    if (source === null) return;
    if (this.#destination === 0) this.#destination = source;
    const { size } = this;
    const from = this.device !== 0 || this.boundAddress !== 0 ? `from ${formatIp(source)} ${this.deviceName}: ` : "";
    const target = `PING ${this.hostname} (${formatIp(this.#destination)})`;
    this.begin(`${target} ${from}${size}(${size + ICMP_HEADER_BYTES + IPV4_HEADER_BYTES}) bytes of data.`);
  }

  /** A packet that the raw socket takes (raw_rcv), ICMP checksum already verified. */
  receive(ip: Ipv4View): void {
    const icmp = new IcmpView(ip.payload);
    if (this.result !== null || icmp.type !== IcmpType.ECHO_REPLY || icmp.identifier !== this.identifier) return;
    const { source: from, ttl } = ip;
    this.replied({ from, ttl, seq: icmp.sequence, bytes: icmp.bytes.length }, formatIp(from));
  }

  /** An ICMP error on the socket's error queue (raw_err with IP_RECVERR). @param quoted the packet inside */
  receiveError(from: Ipv4, error: IcmpView, quoted: Ipv4View): void {
    const request = new IcmpView(quoted.payload);
    const ours =
      request.type === IcmpType.ECHO &&
      request.identifier === this.identifier &&
      quoted.destination === this.#destination;
    if (this.result !== null || !ours) return;
    const { type, code, rest: info } = error;
    const { sequence: seq } = request;
    this.failed({ from, type, code, info, seq }, formatIp(from), icmpErrorMessage(type, code, info));
  }

  protected sendRequest(seq: number, data: Uint8Array): Judgement {
    const echo = icmpMessage({ type: IcmpType.ECHO, code: 0, rest: (this.identifier << 16) | seq, data });
    return this.host.output(this.#packet(IpProtocol.ICMP, this.boundAddress, echo), this.meta);
  }

  /** bind() to the address of `-I`; no probe then. */
  #bind(): Ipv4 | null {
    if (this.host.mayBind(this.boundAddress, this.device)) return this.boundAddress;
    return this.fail("bind", Errno.EADDRNOTAVAIL, "bind");
  }

  /** connect() of the probe (ip_route_connect): a look-up without source, and one with the source it gave. */
  #probe(): Ipv4 | null {
    let source: Ipv4 = 0;
    for (let i = 0; i < 2; i++) {
      const found = this.host.lookup(this.#probePacket(source), this.meta);
      if (found.verdict !== Verdict.FOUND) return this.#connectFailed(found.error);
      if (found.routeType === RouteTypeCode.multicast) return this.unsupported("a ping to a multicast address");
      if (found.routeType === RouteTypeCode.broadcast) return this.#connectFailed(Errno.EACCES);
      if (typeof found.source === "number") source = found.source;
    }
    this.warnOfSource(source);
    return source;
  }

  #connectFailed(errno: number): null {
    if (errno !== Errno.EACCES) return this.fail("connect", errno, "connect");
    const hint = "Do you want to ping broadcast? Then -b. If not, check your local firewall rules";
    return this.fail("connect", errno, hint, "");
  }

  #probePacket(source: Ipv4): Uint8Array {
    const probe = { sourcePort: FIRST_EPHEMERAL_PORT, destinationPort: PROBE_PORT, data: new Uint8Array() };
    return this.#packet(IpProtocol.UDP, source, udpDatagram(probe, source, this.#destination));
  }

  #packet(protocol: number, source: Ipv4, payload: Uint8Array): Uint8Array {
    const { ttl = this.host.defaultTtl, tos = 0 } = this.options;
    const identification = this.host.nextIdentification();
    return ipv4Packet(
      { tos, identification, dontFragment: true, ttl, protocol, source, destination: this.#destination },
      payload,
    );
  }
}
