/**
 * One run of iputils ping over a raw ICMP socket:
 *
 *   connect() of a UDP probe socket, to learn the source: two look-ups        fails: "ping: connect: ...", exit status 2
 *   echo request 1, 2, ... one a second through the output path               a failed send is silent, and counts as sent
 *   exit when every request was answered (by a reply or an error), or some time after the last: exit status 0 if any reply
 *
 * The identifier and the payload are the same in every run.
 */
import { RouteTypeCode } from "../abi.ts";
import { ICMP_HEADER_BYTES, IcmpType, IcmpView, icmpMessage } from "../net/icmp.ts";
import { formatIp, type Ipv4 } from "../net/ip.ts";
import { IPV4_HEADER_BYTES, IpProtocol, type Ipv4View, ipv4Packet } from "../net/ipv4.ts";
import { udpDatagram } from "../net/udp.ts";
import { Errno, Verdict } from "../verdict.ts";
import { type Clock, type Judgement, SECOND } from "./events.ts";
import { icmpErrorMessage, strerror } from "./messages.ts";

export interface PingOptions {
  readonly destination: Ipv4;
  /** `-I DEVICE`: ifindex or name; 0: none. */
  readonly device?: number | string | undefined;
  /** `-I ADDRESS`; 0: chosen by the route. */
  readonly source?: Ipv4 | undefined;
  readonly ttl?: number | undefined;
  readonly mark?: number | undefined;
  readonly tos?: number | undefined;
  /** `-s`: payload bytes, 56 by default. */
  readonly size?: number | undefined;
  /** `-c`, 1 by default. */
  readonly count?: number | undefined;
  /** `-W`: seconds to wait after the last request when nothing was answered, 10 by default. */
  readonly timeout?: number | undefined;
}

export type PingOutcome =
  | { readonly kind: "reply"; readonly from: Ipv4; readonly ttl: number; readonly seq: number }
  | {
      readonly kind: "icmp";
      readonly from: Ipv4;
      readonly type: number;
      readonly code: number;
      readonly info: number;
      readonly seq: number;
    }
  | {
      readonly kind: "error";
      readonly call: "SO_BINDTODEVICE" | "bind" | "connect" | "sendmsg";
      readonly errno: number;
    }
  /** Group destinations: one packet becomes several, which the output path here does not do. */
  | { readonly kind: "unsupported"; readonly why: string }
  | { readonly kind: "nothing" };

export interface PingResult {
  /** What the first answered request got; the send error when nothing was answered. */
  readonly outcome: PingOutcome;
  /** 0: a reply came, 1: none, 2: could not start. */
  readonly exitCode: 0 | 1 | 2;
  readonly transmitted: number;
  readonly received: number;
  readonly errors: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a ping asks of its host. */
export interface PingHost {
  readonly clock: Clock;
  readonly defaultTtl: number;
  /** Resolves `-I`; null: no such device. */
  device(
    nameOrIndex: number | string,
  ): { readonly ifindex: number; readonly name: string; readonly addresses: readonly Ipv4[] } | null;
  /** May a socket bound to `device` be bound to this address (raw_bind)? */
  mayBind(address: Ipv4, device: number): boolean;
  /** Entry.LOOKUP. */
  lookup(packet: Uint8Array, meta: { device: number; mark: number }): Judgement;
  /** Entry.OUTPUT, and everything that follows from the verdict. */
  output(packet: Uint8Array, meta: { device: number; mark: number }): Judgement;
  nextIdentification(): number;
}

const DEFAULT_SIZE = 56;
const DEFAULT_TIMEOUT_SECONDS = 10;
const INTERVAL = SECOND;
/** Port that ping's probe socket connects to, and the first of the range that the kernel takes its own port from. */
const PROBE_PORT = 1025;
const FIRST_EPHEMERAL_PORT = 32768;

export class Ping {
  result: PingResult | null = null;
  readonly device: number;
  /** inet_rcv_saddr of the socket: set by bind() only. */
  readonly boundAddress: Ipv4;
  readonly identifier: number;

  readonly #host: PingHost;
  readonly #options: PingOptions;
  readonly #deviceName: string;
  #destination: Ipv4;
  readonly #lines: string[] = [];
  readonly #warnings: string[] = [];
  readonly #started: number;
  readonly #sentAt = new Map<number, number>();
  readonly #roundTrips: number[] = [];
  #answered: PingOutcome | null = null;
  #sendError: PingOutcome | null = null;
  #transmitted = 0;
  #errors = 0;

  constructor(host: PingHost, options: PingOptions, identifier: number) {
    this.#host = host;
    this.#options = options;
    this.identifier = identifier;
    this.#destination = options.destination;
    this.#started = host.clock.now;
    this.boundAddress = options.source ?? 0;
    const wanted = options.device ?? 0;
    const device = wanted === 0 || wanted === "" ? null : host.device(wanted);
    this.device = device?.ifindex ?? 0;
    this.#deviceName = device?.name ?? "";
    if (wanted !== 0 && wanted !== "" && device === null)
      this.#fail("SO_BINDTODEVICE", Errno.ENODEV, `SO_BINDTODEVICE ${wanted}`);
  }

  start(): void {
    if (this.result !== null) return;
    const source = this.boundAddress === 0 ? this.#probe() : this.#bind();
    if (source === null) return;
    if (this.#destination === 0) this.#destination = source;
    const size = this.#size;
    const from = this.device !== 0 || this.boundAddress !== 0 ? `from ${formatIp(source)} ${this.#deviceName}: ` : "";
    const target = `PING ${formatIp(this.#options.destination)} (${formatIp(this.#destination)})`;
    this.#lines.push(`${target} ${from}${size}(${size + ICMP_HEADER_BYTES + IPV4_HEADER_BYTES}) bytes of data.`);
    this.#send(1);
  }

  /** A packet that the raw socket takes (raw_rcv), ICMP checksum already verified. */
  receive(ip: Ipv4View): void {
    const icmp = new IcmpView(ip.payload);
    if (this.result !== null || icmp.type !== IcmpType.ECHO_REPLY || icmp.identifier !== this.identifier) return;
    const { sequence: seq } = icmp;
    const roundTrip = this.#host.clock.now - (this.#sentAt.get(seq) ?? this.#host.clock.now);
    this.#roundTrips.push(roundTrip);
    this.#answered ??= { kind: "reply", from: ip.source, ttl: ip.ttl, seq };
    const time = this.#size < 16 ? "" : ` time=${milliseconds(roundTrip)} ms`;
    this.#lines.push(`${icmp.bytes.length} bytes from ${formatIp(ip.source)}: icmp_seq=${seq} ttl=${ip.ttl}${time}`);
    this.#finishIfAnswered();
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
    this.#errors++;
    this.#answered ??= { kind: "icmp", from, type, code, info, seq };
    this.#lines.push(`From ${formatIp(from)} icmp_seq=${seq} ${icmpErrorMessage(type, code, info)}`);
    this.#finishIfAnswered();
  }

  get isOpen(): boolean {
    return this.result === null;
  }

  get #size(): number {
    return this.#options.size ?? DEFAULT_SIZE;
  }
  get #count(): number {
    return this.#options.count ?? 1;
  }
  get #meta(): { device: number; mark: number } {
    return { device: this.device, mark: this.#options.mark ?? 0 };
  }

  /** bind() to the address of `-I`; no probe then. */
  #bind(): Ipv4 | null {
    if (this.#host.mayBind(this.boundAddress, this.device)) return this.boundAddress;
    return this.#fail("bind", Errno.EADDRNOTAVAIL, "bind");
  }

  /** connect() of the probe (ip_route_connect): a look-up without source, and one with the source it gave. */
  #probe(): Ipv4 | null {
    let source: Ipv4 = 0;
    for (let i = 0; i < 2; i++) {
      const found = this.#host.lookup(this.#probePacket(source), this.#meta);
      if (found.verdict !== Verdict.FOUND) return this.#fail("connect", found.error, "connect");
      if (found.routeType === RouteTypeCode.multicast) return this.#unsupported("a ping to a multicast address");
      if (found.routeType === RouteTypeCode.broadcast) return this.#fail("connect", Errno.EACCES, "connect");
      if (typeof found.source === "number") source = found.source;
    }
    if (this.device !== 0 && !this.#host.device(this.device)?.addresses.includes(source))
      this.#warnings.push(`ping: Warning: source address might be selected on device other than: ${this.#deviceName}`);
    return source;
  }

  #probePacket(source: Ipv4): Uint8Array {
    const probe = { sourcePort: FIRST_EPHEMERAL_PORT, destinationPort: PROBE_PORT, data: new Uint8Array() };
    const destination = this.#destination;
    return this.#packet(IpProtocol.UDP, source, udpDatagram(probe, source, destination));
  }

  #packet(protocol: number, source: Ipv4, payload: Uint8Array): Uint8Array {
    const { ttl = this.#host.defaultTtl, tos = 0 } = this.#options;
    const identification = this.#host.nextIdentification();
    return ipv4Packet(
      { tos, identification, dontFragment: true, ttl, protocol, source, destination: this.#destination },
      payload,
    );
  }

  #send(seq: number): void {
    if (this.result !== null) return;
    const data = Uint8Array.from({ length: this.#size }, (_, i) => i & 0xff);
    const echo = icmpMessage({ type: IcmpType.ECHO, code: 0, rest: (this.identifier << 16) | seq, data });
    this.#transmitted++;
    this.#sentAt.set(seq, this.#host.clock.now);
    if (seq < this.#count) this.#host.clock.after(INTERVAL, () => this.#send(seq + 1));
    const judged = this.#host.output(this.#packet(IpProtocol.ICMP, this.boundAddress, echo), this.#meta);
    if (judged.verdict === Verdict.SEND_ERROR)
      this.#sendError ??= { kind: "error", call: "sendmsg", errno: judged.error };
    if (seq === this.#count) this.#scheduleExit();
  }

  /** __schedule_exit: a second when something was received already, else `-W`. */
  #scheduleExit(): void {
    const linger = this.#roundTrips.length > 0 ? INTERVAL : (this.#options.timeout ?? DEFAULT_TIMEOUT_SECONDS) * SECOND;
    this.#host.clock.after(linger, () => this.#finish());
  }

  #finishIfAnswered(): void {
    if (this.#roundTrips.length + this.#errors >= this.#count) this.#finish();
  }

  #finish(): void {
    if (this.result !== null) return;
    const received = this.#roundTrips.length;
    const loss = Math.round(((this.#transmitted - received) * 100) / this.#transmitted);
    const errors = this.#errors > 0 ? ` +${this.#errors} errors,` : "";
    const elapsed = Math.round((this.#host.clock.now - this.#started) / 1000);
    this.#lines.push("", `--- ${formatIp(this.#options.destination)} ping statistics ---`);
    this.#lines.push(
      `${this.#transmitted} packets transmitted, ${received} received,${errors} ${loss}% packet loss, time ${elapsed}ms`,
    );
    if (received > 0 && this.#size >= 16) this.#lines.push(rttLine(this.#roundTrips));
    const outcome = this.#answered ?? this.#sendError ?? { kind: "nothing" };
    this.result = { ...this.#report(outcome), exitCode: received > 0 ? 0 : 1 };
  }

  #fail(call: (PingOutcome & { kind: "error" })["call"], errno: number, what: string): null {
    const broadcast = call === "connect" && errno === Errno.EACCES;
    const message = broadcast
      ? "Do you want to ping broadcast? Then -b. If not, check your local firewall rules"
      : `${what}: ${strerror(errno)}`;
    this.#warnings.push(`ping: ${message}`);
    this.result = { ...this.#report({ kind: "error", call, errno }), exitCode: 2 };
    return null;
  }

  #unsupported(why: string): null {
    this.result = { ...this.#report({ kind: "unsupported", why }), exitCode: 2 };
    return null;
  }

  #report(outcome: PingOutcome): Omit<PingResult, "exitCode"> {
    return {
      outcome,
      transmitted: this.#transmitted,
      received: this.#roundTrips.length,
      errors: this.#errors,
      stdout: this.#lines.join("\n"),
      stderr: this.#warnings.join("\n"),
    };
  }
}

const milliseconds = (microseconds: number): string => (microseconds / 1000).toFixed(3);

/** `rtt min/avg/max/mdev = ...`; mdev is the standard deviation. */
function rttLine(times: readonly number[]): string {
  const average = times.reduce((a, b) => a + b, 0) / times.length;
  const mdev = Math.sqrt(Math.max(0, times.reduce((a, b) => a + b * b, 0) / times.length - average * average));
  const values = [Math.min(...times), average, Math.max(...times), mdev];
  return `rtt min/avg/max/mdev = ${values.map(milliseconds).join("/")} ms`;
}
