/**
 * What the pings of both families have in common (iputils ping_common.c): requests one a second, statistics, and when it ends.
 *
 *   exit when every request was answered (by a reply or an error), or some time after the last: exit status 0 if any reply
 *
 * A send that fails is silent, and counts as sent. The identifier and the payload are the same in every run.
 */
import { formatIp, type Ip } from "../net/ip.ts";
import { type Clock, type Judgement, SECOND, sendErrno } from "./events.ts";
import { strerror } from "./messages.ts";
import type { OutputMeta } from "./stack.ts";

export interface PingOptions {
  readonly destination: Ip;
  /** `%DEVICE` behind a link-local destination: ifindex or name; 0 or empty: none. */
  readonly zone?: number | string | undefined;
  /** The destination as it was typed; by default as the C library would print it. */
  readonly hostname?: string | undefined;
  /** `-I DEVICE`: ifindex or name; 0: none. */
  readonly device?: number | string | undefined;
  /** `-I ADDRESS`, of the destination's family; 0, 0n: chosen by the route. */
  readonly source?: Ip | undefined;
  /** Hop limit, too. */
  readonly ttl?: number | undefined;
  readonly mark?: number | undefined;
  /** Traffic class, too. */
  readonly tos?: number | undefined;
  /** `-s`: payload bytes, 56 by default. */
  readonly size?: number | undefined;
  /** `-c`, 1 by default. */
  readonly count?: number | undefined;
  /** `-W`: seconds to wait after the last request when nothing was answered, 10 by default. */
  readonly timeout?: number | undefined;
}

export type PingCall = "getaddrinfo" | "SO_BINDTODEVICE" | "bind" | "connect" | "sendmsg";

export type PingOutcome =
  | { readonly kind: "reply"; readonly from: Ip; readonly ttl: number; readonly seq: number }
  | {
      readonly kind: "icmp";
      readonly from: Ip;
      /** As the family of `from` numbers them. */
      readonly type: number;
      readonly code: number;
      readonly info: number;
      readonly seq: number;
    }
  | { readonly kind: "error"; readonly call: PingCall; readonly errno: number }
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

export interface PingDevice {
  readonly ifindex: number;
  readonly name: string;
  /** Of both families. */
  readonly addresses: readonly Ip[];
}

/** What a ping asks of its host. */
export interface PingHost {
  readonly clock: Clock;
  readonly defaultTtl: number;
  /** Resolves `-I`; null: no such device. */
  device(nameOrIndex: number | string): PingDevice | null;
  /** May a socket bound to `device` be bound to this address (raw_bind, rawv6_bind)? */
  mayBind(address: Ip, device: number): boolean;
  /** Entry.LOOKUP. */
  lookup(packet: Uint8Array, meta: OutputMeta): Judgement;
  /** Entry.LOOKUP, left out of the record. */
  route(packet: Uint8Array, meta: OutputMeta): Judgement;
  /** Entry.OUTPUT, and everything that follows from the verdict. */
  output(packet: Uint8Array, meta: OutputMeta): Judgement;
  nextIdentification(): number;
}

const DEFAULT_SIZE = 56;
const DEFAULT_TIMEOUT_SECONDS = 10;
const INTERVAL = SECOND;
/** A payload too short to hold a struct timeval has no time in it. */
const TIMEVAL_BYTES = 16;
/** Port that ping's probe socket connects to, and the first of the range that the kernel takes its own port from. */
export const PROBE_PORT = 1025;

export abstract class PingRun {
  result: PingResult | null = null;
  readonly device: number;
  readonly identifier: number;

  protected readonly host: PingHost;
  protected readonly options: PingOptions;
  protected readonly deviceName: string;
  protected readonly warnings: string[] = [];
  readonly #lines: string[] = [];
  readonly #started: number;
  readonly #sentAt = new Map<number, number>();
  readonly #roundTrips: number[] = [];
  #answered: PingOutcome | null = null;
  #sendError: PingOutcome | null = null;
  #transmitted = 0;
  #errors = 0;

  constructor(host: PingHost, options: PingOptions, identifier: number) {
    this.host = host;
    this.options = options;
    this.identifier = identifier;
    this.#started = host.clock.now;
    const device = isNamed(options.device) ? host.device(options.device) : null;
    this.device = device?.ifindex ?? 0;
    this.deviceName = device?.name ?? "";
  }

  /** Sends a request. @returns what became of it, or the errno of a send that the socket itself refused */
  protected abstract sendRequest(seq: number, data: Uint8Array): Judgement | number;

  get isOpen(): boolean {
    return this.result === null;
  }

  /** The destination as ping repeats it. */
  protected get hostname(): string {
    return this.options.hostname ?? formatIp(this.options.destination);
  }
  protected get size(): number {
    return this.options.size ?? DEFAULT_SIZE;
  }
  protected get count(): number {
    return this.options.count ?? 1;
  }
  protected get meta(): OutputMeta {
    return { device: this.device, mark: this.options.mark ?? 0 };
  }

  /** `-I` names a device that is not there. */
  protected get lacksDevice(): boolean {
    return isNamed(this.options.device) && this.device === 0;
  }

  protected begin(headline: string): void {
    this.#lines.push(headline);
    this.#send(1);
  }

  /** @param from the sender, as it is printed */
  protected replied(reply: { from: Ip; ttl: number; seq: number; bytes: number }, from: string): void {
    const { seq, bytes, ttl } = reply;
    const roundTrip = this.host.clock.now - (this.#sentAt.get(seq) ?? this.host.clock.now);
    this.#roundTrips.push(roundTrip);
    this.#answered ??= { kind: "reply", from: reply.from, ttl, seq };
    const time = this.size < TIMEVAL_BYTES ? "" : ` time=${milliseconds(roundTrip)} ms`;
    this.#lines.push(`${bytes} bytes from ${from}: icmp_seq=${seq} ttl=${ttl}${time}`);
    this.#finishIfAnswered();
  }

  /** @param from the sender, as it is printed @param message what the error says */
  protected failed(error: Omit<PingOutcome & { kind: "icmp" }, "kind">, from: string, message: string): void {
    this.#errors++;
    this.#answered ??= { kind: "icmp", ...error };
    this.#lines.push(`From ${from} icmp_seq=${error.seq} ${message}`);
    this.#finishIfAnswered();
  }

  protected warnOfSource(source: Ip): void {
    if (this.device !== 0 && !this.host.device(this.device)?.addresses.includes(source))
      this.warnings.push(`ping: Warning: source address might be selected on device other than: ${this.deviceName}`);
  }

  /** @param what what ping says failed @param why by default what the errno says */
  protected fail(call: PingCall, errno: number, what: string, why = `: ${strerror(errno)}`): null {
    this.warnings.push(`ping: ${what}${why}`);
    this.result = { ...this.#report({ kind: "error", call, errno }), exitCode: 2 };
    return null;
  }

  protected unsupported(why: string): null {
    this.result = { ...this.#report({ kind: "unsupported", why }), exitCode: 2 };
    return null;
  }

  #send(seq: number): void {
    if (this.result !== null) return;
    const data = Uint8Array.from({ length: this.size }, (_, i) => i & 0xff);
    this.#transmitted++;
    this.#sentAt.set(seq, this.host.clock.now);
    if (seq < this.count) this.host.clock.after(INTERVAL, () => this.#send(seq + 1));
    const sent = this.sendRequest(seq, data);
    const errno = typeof sent === "number" ? sent : sendErrno(sent);
    if (errno !== 0) this.#sendError ??= { kind: "error", call: "sendmsg", errno };
    if (seq === this.count) this.#scheduleExit();
  }

  /** __schedule_exit: a second when something was received already, else `-W`. */
  #scheduleExit(): void {
    const linger = this.#roundTrips.length > 0 ? INTERVAL : (this.options.timeout ?? DEFAULT_TIMEOUT_SECONDS) * SECOND;
    this.host.clock.after(linger, () => this.#finish());
  }

  #finishIfAnswered(): void {
    if (this.#roundTrips.length + this.#errors >= this.count) this.#finish();
  }

  #finish(): void {
    if (this.result !== null) return;
    const received = this.#roundTrips.length;
    const loss = Math.round(((this.#transmitted - received) * 100) / this.#transmitted);
    const errors = this.#errors > 0 ? ` +${this.#errors} errors,` : "";
    const elapsed = Math.round((this.host.clock.now - this.#started) / 1000);
    this.#lines.push("", `--- ${this.hostname} ping statistics ---`);
    this.#lines.push(
      `${this.#transmitted} packets transmitted, ${received} received,${errors} ${loss}% packet loss, time ${elapsed}ms`,
    );
    if (received > 0 && this.size >= TIMEVAL_BYTES) this.#lines.push(rttLine(this.#roundTrips));
    const outcome = this.#answered ?? this.#sendError ?? { kind: "nothing" };
    this.result = { ...this.#report(outcome), exitCode: received > 0 ? 0 : 1 };
  }

  #report(outcome: PingOutcome): Omit<PingResult, "exitCode"> {
    return {
      outcome,
      transmitted: this.#transmitted,
      received: this.#roundTrips.length,
      errors: this.#errors,
      stdout: this.#lines.join("\n"),
      stderr: this.warnings.join("\n"),
    };
  }
}

/** Does an option name a device? */
export const isNamed = (device: number | string | undefined): device is number | string =>
  device !== undefined && device !== 0 && device !== "";

const milliseconds = (microseconds: number): string => (microseconds / 1000).toFixed(3);

/** `rtt min/avg/max/mdev = ...`; mdev is the standard deviation. */
function rttLine(times: readonly number[]): string {
  const average = times.reduce((a, b) => a + b, 0) / times.length;
  const mdev = Math.sqrt(Math.max(0, times.reduce((a, b) => a + b * b, 0) / times.length - average * average));
  const values = [Math.min(...times), average, Math.max(...times), mdev];
  return `rtt min/avg/max/mdev = ${values.map(milliseconds).join("/")} ms`;
}
