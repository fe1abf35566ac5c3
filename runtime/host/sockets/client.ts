/**
 * What a client that connects has in common with every other: bind(), connect()'s look-ups, a result that is there at once or
 * after some time, at the latest when the client's patience ends.
 */
import { familyOf, type Ip } from "../../net/ip.ts";
import { RouteTypeCode } from "../../net/route-types.ts";
import { type Errno, Verdict } from "../../verdict.ts";
import { type Clock, SECOND } from "../events.ts";
import type { OutputMeta } from "../stack.ts";
import { bindError } from "./bind.ts";
import { type ErrorOutcome, errorOutcome, type SocketError } from "./icmp-errno.ts";
import { type IpMessage, ipPacket } from "./packet.ts";
import type { Binding, Endpoint, Socket, SocketHost } from "./socket.ts";

export interface ConnectOptions {
  readonly transport: "tcp" | "udp";
  readonly address: Ip;
  readonly port: number;
  /** SO_BINDTODEVICE: an ifindex, 0: none. */
  readonly device?: number | undefined;
  /** bind(): the source address. */
  readonly source?: Ip | undefined;
  /** SO_MARK. */
  readonly mark?: number | undefined;
  /** Seconds until the client gives up, 5 by default. */
  readonly timeout?: number | undefined;
}

export type ConnectOutcome =
  /** TCP: the handshake is done. */
  | { readonly kind: "connected" }
  /** UDP: a datagram came back. */
  | { readonly kind: "reply"; readonly from: Ip; readonly ttl: number }
  | ErrorOutcome
  | { readonly kind: "error"; readonly call: "bind" | "connect" | "sendmsg"; readonly errno: number }
  | { readonly kind: "timeout" };

export interface ClientHost extends SocketHost {
  readonly clock: Clock;
}

const DEFAULT_TIMEOUT_SECONDS = 5;
const ANY = { 4: 0, 6: 0n } as const;

export abstract class Client implements Socket {
  result: ConnectOutcome | null = null;
  readonly family: 4 | 6;
  readonly v6only = false;
  readonly device: number;
  localAddress: Ip | null;
  readonly localPort: number;
  remote: Endpoint | null = null;
  protected readonly host: ClientHost;
  protected readonly options: ConnectOptions;

  /** @param localPort a free one */
  constructor(host: ClientHost, options: ConnectOptions, localPort: number) {
    this.host = host;
    this.options = options;
    this.family = familyOf(options.address);
    this.device = options.device ?? 0;
    this.localAddress = options.source ?? null;
    this.localPort = localPort;
  }

  /** @param others sockets of the same protocol */
  start(others: readonly Binding[]): void {
    const refused = this.localAddress === null ? 0 : bindError(this.host, this, others);
    if (refused !== 0) this.finish({ kind: "error", call: "bind", errno: refused });
    else if (this.connect()) {
      this.host.clock.after((this.options.timeout ?? DEFAULT_TIMEOUT_SECONDS) * SECOND, () =>
        this.finish({ kind: "timeout" }),
      );
      this.begin();
    }
  }

  /** An ICMP error about a packet of this socket. */
  receiveError(error: SocketError): void {
    this.finish(errorOutcome(error));
  }

  /** Sends the first packet: the socket is connected. */
  protected abstract begin(): void;
  /** A packet of this socket as the look-ups see it: the transport header matters by its ports. */
  protected abstract probe(source: Ip, sourcePort: number, destination: Ip): IpMessage;
  /** connect() towards a group is refused; with which error? */
  protected abstract readonly groupError: Readonly<Record<"broadcast" | "multicast", Errno | 0>>;
  /** The source port of the look-ups before a port is chosen. */
  protected abstract get portAtConnect(): number;

  protected finish(outcome: ConnectOutcome): void {
    this.result ??= outcome;
  }

  protected get meta(): OutputMeta {
    return { device: this.device, mark: this.options.mark ?? 0 };
  }

  /** ip_route_connect: a look-up without source, and one with the source it gave. */
  private connect(): boolean {
    const any = ANY[this.family];
    let destination = this.options.address;
    let source = this.localAddress ?? any;
    for (let tries = source === any || destination === any ? 2 : 1; tries > 0; tries--) {
      const found = this.look(source, this.portAtConnect, destination);
      if (found === null) return false;
      source = found;
      if (destination === any) destination = found;
    }
    // ip_route_newports
    if (this.portAtConnect !== this.localPort && this.look(source, this.localPort, destination) === null) return false;
    this.localAddress = source;
    this.remote = { address: destination, port: this.options.port };
    return true;
  }

  /** @returns the source; null when connect() fails */
  private look(source: Ip, sourcePort: number, destination: Ip): Ip | null {
    const found = this.host.lookup(ipPacket(this.host, this.probe(source, sourcePort, destination)), this.meta);
    const errno = found.verdict === Verdict.FOUND ? this.errorOfType(found.routeType) : found.error;
    if (errno === 0) return found.source ?? source;
    this.finish({ kind: "error", call: "connect", errno });
    return null;
  }

  private errorOfType(routeType: number): Errno | 0 {
    if (routeType === RouteTypeCode.broadcast) return this.groupError.broadcast;
    return routeType === RouteTypeCode.multicast ? this.groupError.multicast : 0;
  }
}
