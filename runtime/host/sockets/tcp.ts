/**
 * TCP (RFC 9293, net/ipv4/tcp_ipv4.c, tcp_input.c) as far as connections are set up and refused:
 *
 *   TcpClient    SYN-SENT ---------- SYN,ACK / ACK ------------> ESTABLISHED: connected
 *                   | RST,ACK: refused    | ICMP error, or nothing for too long: so told
 *
 *   TcpListener  LISTEN --- SYN / SYN,ACK ---> TcpChild SYN-RECEIVED --- ACK ---> ESTABLISHED
 *
 * A child is bound to the device that its listener is bound to; with tcp_l3mdev_accept, and a listener on no device, to the VRF that
 * the SYN came in by (inet_request_bound_dev_if): its segments find their way back in that VRF. To a link-local address they find it by
 * the device that received the SYN.
 *
 * Segments have no options. Not here: data, closing, simultaneous open, the listener's own retransmission (the client's SYN
 * makes it answer again).
 */
import type { Ip } from "../../net/ip.ts";
import { IpProtocol } from "../../net/ipv4.ts";
import { isLinkLocal6 } from "../../net/ipv6.ts";
import { TcpFlag, type TcpSegment, type TcpView, tcpSegment } from "../../net/tcp.ts";
import { Errno } from "../../verdict.ts";
import { type Clock, SECOND } from "../events.ts";
import { Client } from "./client.ts";
import { type IpMessage, ipPacket } from "./packet.ts";
import type { Binding, Endpoint, Socket, SocketHost } from "./socket.ts";

/** A segment for a socket. */
export interface Segment {
  readonly source: Ip;
  readonly destination: Ip;
  /** TCP header and data, checked. */
  readonly tcp: TcpView;
  /** l3mdev_master_ifindex of the device that it came in by, 0: in no VRF. */
  readonly domain: number;
  /** The device that received it: the slave, where it came in by a VRF. */
  readonly receivedBy: number;
}

/** What becomes of a segment: taken, or answered with a reset (tcp_v4_send_reset). */
export type TcpVerdict = "taken" | "reset";

export interface TcpConnection extends Socket {
  readonly isOpen: boolean;
  /** tcp_rcv_state_process, tcp_check_req. */
  receive(segment: Segment): TcpVerdict;
}

export interface TcpListener extends Socket {
  /**
   * tcp_conn_request. @returns a child that is still to answer, once it can be found; null: not a SYN, and nothing comes of it but
   * what `verdict` says
   */
  accept(segment: Segment): { readonly child: TcpChild | null; readonly verdict: TcpVerdict };
}

export interface TcpHost extends SocketHost {
  readonly clock: Clock;
}

/** First retransmission after one second, each following after twice the time (RFC 6298); tcp_syn_retries of them. */
const TCP_TIMEOUT_INIT = SECOND;
const TCP_SYN_RETRIES = 6;
const WINDOW = 0xfaf0;

export class TcpClient extends Client implements TcpConnection {
  protected readonly groupError = { broadcast: Errno.ENETUNREACH, multicast: Errno.ENETUNREACH } as const;
  #established = false;
  #initialSequence = 0;
  #next = 0;

  /** bind() takes a port, even port 0; else one is chosen behind the first look-up. */
  protected get portAtConnect(): number {
    return this.options.source === undefined ? 0 : this.localPort;
  }

  get isOpen(): boolean {
    return this.result === null || this.#established;
  }

  receive({ tcp }: Segment): TcpVerdict {
    if (this.#established) return this.#receiveEstablished(tcp);
    const acknowledges = (tcp.flags & TcpFlag.ACK) !== 0;
    const isOurs = tcp.acknowledgment === (this.#initialSequence + 1) >>> 0;
    if (acknowledges && !isOurs) return "reset";
    if ((tcp.flags & TcpFlag.RST) !== 0) {
      if (acknowledges && this.remote !== null) this.finish({ kind: "refused", from: this.remote.address });
    } else if (acknowledges && (tcp.flags & TcpFlag.SYN) !== 0) {
      this.#established = true;
      this.#next = (tcp.sequence + 1) >>> 0;
      this.#acknowledge();
      this.finish({ kind: "connected" });
    }
    return "taken";
  }

  protected begin(): void {
    this.#initialSequence = initialSequence(this.host);
    this.#sendSyn(0);
  }

  protected probe(source: Ip, sourcePort: number, destination: Ip): IpMessage {
    return message({ address: source, port: sourcePort }, { address: destination, port: this.options.port }, {});
  }

  /** tcp_send_challenge_ack: a repeated SYN,ACK is acknowledged again (RFC 5961 section 4). */
  #receiveEstablished(tcp: TcpView): TcpVerdict {
    if ((tcp.flags & TcpFlag.SYN) !== 0) this.#acknowledge();
    return "taken";
  }

  #sendSyn(retries: number): void {
    if (this.result !== null) return;
    this.#send({ flags: TcpFlag.SYN, sequence: this.#initialSequence });
    if (retries < TCP_SYN_RETRIES)
      this.host.clock.after(TCP_TIMEOUT_INIT * 2 ** retries, () => this.#sendSyn(retries + 1));
  }

  #acknowledge(): void {
    const sequence = (this.#initialSequence + 1) >>> 0;
    this.#send({ flags: TcpFlag.ACK, sequence, acknowledgment: this.#next });
  }

  #send(segment: Partial<TcpSegment>): void {
    const { localAddress: address, localPort: port, remote, host } = this;
    if (address !== null && remote !== null)
      host.output(ipPacket(host, message({ address, port }, remote, segment)), this.meta);
  }
}

export function tcpListener(host: TcpHost, binding: Binding): TcpListener {
  return {
    ...binding,
    remote: null,
    accept(segment) {
      const { flags } = segment.tcp;
      if ((flags & TcpFlag.RST) !== 0) return { child: null, verdict: "taken" };
      if ((flags & TcpFlag.ACK) !== 0) return { child: null, verdict: "reset" };
      if ((flags & TcpFlag.SYN) === 0 || (flags & TcpFlag.FIN) !== 0) return { child: null, verdict: "taken" };
      const device = requestDevice(host, binding, segment);
      return { child: new TcpChild(host, { ...binding, device }, segment), verdict: "taken" };
    },
  };
}

/** inet_request_bound_dev_if; tcp_v6_init_req: what a link-local address means only its link knows. */
function requestDevice(host: TcpHost, { device }: Binding, { source, domain, receivedBy }: Segment): number {
  const isOfLink = typeof source === "bigint" && isLinkLocal6(source);
  if (isOfLink && (device === 0 || domain !== 0)) return receivedBy;
  return device !== 0 ? device : host.sysctl.tcpL3mdevAccept ? domain : 0;
}

/** What a listener makes of a SYN: first a request, then the connection. */
export class TcpChild implements TcpConnection {
  readonly family: 4 | 6;
  readonly v6only: boolean;
  /** ir_iif, later sk_bound_dev_if. */
  readonly device: number;
  readonly localAddress: Ip;
  readonly localPort: number;
  readonly remote: Endpoint;
  state: "SYN-RECEIVED" | "ESTABLISHED" | "CLOSED" = "SYN-RECEIVED";
  readonly #host: TcpHost;
  readonly #initialSequence: number;
  readonly #theirSequence: number;

  constructor(host: TcpHost, { family, v6only, device }: Binding, { source, destination, tcp }: Segment) {
    this.family = family;
    this.v6only = v6only;
    this.device = device;
    this.localAddress = destination;
    this.localPort = tcp.destinationPort;
    this.remote = { address: source, port: tcp.sourcePort };
    this.#host = host;
    this.#initialSequence = initialSequence(host);
    this.#theirSequence = tcp.sequence;
  }

  get isOpen(): boolean {
    return this.state !== "CLOSED";
  }

  receive({ tcp }: Segment): TcpVerdict {
    const { flags, sequence, acknowledgment } = tcp;
    if ((flags & TcpFlag.RST) !== 0) {
      if (sequence === (this.#theirSequence + 1) >>> 0) this.state = "CLOSED";
    } else if (this.state === "ESTABLISHED") {
      return "taken";
    } else if ((flags & TcpFlag.SYN) !== 0) {
      if (sequence === this.#theirSequence) this.sendSynAck();
    } else if ((flags & TcpFlag.ACK) !== 0) {
      if (acknowledgment !== (this.#initialSequence + 1) >>> 0) return "reset";
      this.state = "ESTABLISHED";
    }
    return "taken";
  }

  /** tcp_v4_send_synack. */
  sendSynAck(): void {
    const { localAddress: address, localPort: port, remote, device } = this;
    const acknowledgment = (this.#theirSequence + 1) >>> 0;
    const segment = { flags: TcpFlag.SYN | TcpFlag.ACK, sequence: this.#initialSequence, acknowledgment };
    this.#host.output(ipPacket(this.#host, message({ address, port }, remote, segment)), { device });
  }
}

/** A clock of 4 microseconds a tick (RFC 9293 section 3.4.1), not hashed: every run is the same. */
const initialSequence = ({ clock }: TcpHost): number => Math.floor(clock.now / 4) >>> 0;

function message(from: Endpoint, to: Endpoint, segment: Partial<TcpSegment>): IpMessage {
  const [source, destination] = [from.address, to.address];
  const whole = { sourcePort: from.port, destinationPort: to.port, window: WINDOW, ...segment };
  const payload = tcpSegment({ flags: TcpFlag.SYN, sequence: 0, acknowledgment: 0, ...whole }, source, destination);
  return { protocol: IpProtocol.TCP, source, destination, payload };
}
