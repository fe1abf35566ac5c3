/**
 * The sockets of a host: those that listen, those that are connected, and raw ones; and the delivery of a packet to them.
 *
 *   UDP   a socket, or all that match when the destination is a group; none: port unreachable
 *   TCP   a connection, else a listener, which makes a connection; none: reset
 *
 * Listeners live as long as the host does, and so do connections; a UDP client closes when it has its answer.
 */

import type { Ip } from "../../net/ip.ts";
import { TcpView } from "../../net/tcp.ts";
import { UdpView } from "../../net/udp.ts";
import type { Errno } from "../../verdict.ts";
import { FIRST_EPHEMERAL_PORT } from "../config.ts";
import type { RawSocket } from "../deliver.ts";
import { bindError } from "./bind.ts";
import type { ClientHost, ConnectOptions } from "./client.ts";
import type { SocketError } from "./icmp-errno.ts";
import { lookupEstablished, lookupListener, lookupUdp, udpGroupReceivers } from "./lookup.ts";
import type { Arrived, Binding } from "./socket.ts";
import { TcpChild, TcpClient, type TcpConnection, type TcpListener, type TcpVerdict, tcpListener } from "./tcp.ts";
import { type Datagram, UdpClient, type UdpServer, type UdpSocket, udpServer } from "./udp.ts";

export interface ListenOptions {
  readonly transport: "tcp" | "udp";
  /** Null: any, of both families (an IPv6 socket without IPV6_V6ONLY). 0: any of IPv4, 0n: any of IPv6. */
  readonly address: Ip | null;
  readonly port: number;
  /** SO_BINDTODEVICE: an ifindex, 0: none. */
  readonly device?: number | undefined;
}

/** @returns null: it listens */
export type ListenError = { readonly kind: "error"; readonly call: "bind"; readonly errno: Errno };

/** A UDP datagram or a TCP segment for this host. */
export interface TransportPacket {
  readonly source: Ip;
  readonly destination: Ip;
  readonly ttl: number;
  /** From the transport header on, checked. */
  readonly payload: Uint8Array;
  /** skb->dev: the VRF for a slave. */
  readonly device: number;
  /** inet_iif. */
  readonly inetIif: number;
  readonly sdif: number;
  /** Its route is one of a group: broadcast or multicast. */
  readonly toGroup: boolean;
  /** The address to answer from (fib_compute_spec_dst). */
  readonly specificDestination: Ip;
}

/** An ICMP error, with what it quotes of the packet that caused it. */
export interface TransportError extends SocketError {
  readonly quotedSource: Ip;
  readonly quotedDestination: Ip;
  /** At least the first 8 bytes of the transport header. */
  readonly quoted: Uint8Array;
  readonly device: number;
  readonly inetIif: number;
  readonly sdif: number;
}

export class Sockets {
  #raw: readonly RawSocket[] = [];
  /** Those bound last first. */
  #udp: readonly UdpSocket[] = [];
  #listeners: readonly TcpListener[] = [];
  #connections: readonly TcpConnection[] = [];
  readonly #host: ClientHost;
  #nextPort = FIRST_EPHEMERAL_PORT;

  constructor(host: ClientHost) {
    this.#host = host;
  }

  get raw(): readonly RawSocket[] {
    return this.#raw;
  }
  get udp(): readonly UdpSocket[] {
    return this.#udp.filter(({ isOpen }) => isOpen);
  }
  get connections(): readonly TcpConnection[] {
    return this.#connections.filter(({ isOpen }) => isOpen);
  }
  /** What listeners have accepted. */
  get accepted(): readonly TcpChild[] {
    return this.#connections.filter((c) => c instanceof TcpChild).filter(({ state }) => state === "ESTABLISHED");
  }

  /** Those that have ended are forgotten. */
  addRaw(socket: RawSocket): void {
    this.#raw = [...this.#raw.filter(({ isOpen }) => isOpen), socket];
  }

  listen({ transport, address, port, device = 0 }: ListenOptions): UdpServer | TcpListener | ListenError {
    const binding: Binding = { ...addressOf(address), device, localPort: port };
    const others = transport === "udp" ? this.udp : this.#tcpNear(device);
    const errno = bindError(this.#host, binding, others);
    if (errno !== 0) return { kind: "error", call: "bind", errno };
    return transport === "udp" ? this.#listenUdp(binding) : this.#listenTcp(binding);
  }

  connect(options: ConnectOptions): UdpClient | TcpClient {
    const port = this.#nextPort++;
    return options.transport === "udp" ? this.#connectUdp(options, port) : this.#connectTcp(options, port);
  }

  /** __udp4_lib_rcv, __udp6_lib_rcv. @returns false: nobody has the port */
  deliverUdp(packet: TransportPacket): boolean {
    const accept = this.#host.sysctl.udpL3mdevAccept;
    const udp = new UdpView(packet.payload);
    const { toGroup, device, inetIif } = packet;
    // __udp4_lib_mcast_deliver compares skb->dev, the look-up of one socket inet_iif.
    const by = arrived(packet, udp, toGroup ? device : inetIif);
    const datagram: Datagram = { ...packet, bytes: packet.payload, pktinfoDevice: pktinfoDevice(packet) };
    const found = toGroup ? udpGroupReceivers(this.udp, accept, by) : one(lookupUdp(this.udp, accept, by));
    for (const socket of found) socket.receive(datagram);
    return toGroup || found.length > 0;
  }

  /** tcp_v4_rcv, tcp_v6_rcv. @returns "reset": nobody has the port, or it does not fit what they expect */
  deliverTcp(packet: TransportPacket): TcpVerdict {
    const accept = this.#host.sysctl.tcpL3mdevAccept;
    const tcp = new TcpView(packet.payload);
    const by = arrived(packet, tcp, packet.inetIif);
    const domain = this.#host.devices.l3mdevMaster(packet.device);
    const { source, destination } = packet;
    const segment = { source, destination, tcp, domain, receivedBy: packet.sdif || packet.inetIif };
    const connection = lookupEstablished(this.connections, accept, by);
    if (connection !== null) return connection.receive(segment);
    const listener = lookupListener(this.#listeners, accept, by);
    if (listener === null) return "reset";
    if (packet.toGroup) return "taken";
    const { child, verdict } = listener.accept(segment);
    if (child === null) return verdict;
    this.#connections = [child, ...this.#connections];
    // A client of this same host answers at once.
    child.sendSynAck();
    return verdict;
  }

  /** __udp4_lib_err, __udp6_lib_err: which device they compare differs. */
  udpError(error: TransportError): void {
    const by = answerTo(error, isIpv4(error) ? error.device : error.inetIif, error.sdif);
    lookupUdp(this.udp, this.#host.sysctl.udpL3mdevAccept, by)?.receiveError(error);
  }

  /**
   * tcp_v4_err, tcp_v6_err. IPv4 looks up without sdif: what is bound to a slave does not hear of errors from the wire, what is bound
   * to the VRF not of an unresolved neighbour, which the host tells itself from the slave's address.
   */
  tcpError(error: TransportError): void {
    const by = isIpv4(error) ? answerTo(error, error.inetIif, 0) : answerTo(error, error.device, error.sdif);
    const found = lookupEstablished(this.connections, this.#host.sysctl.tcpL3mdevAccept, by);
    if (found instanceof TcpClient) found.receiveError(error);
  }

  /** inet_sk_bound_l3mdev: without tcp_l3mdev_accept each VRF has its ports for itself. */
  #tcpNear(device: number): readonly Binding[] {
    const { sysctl, devices } = this.#host;
    const domain = (ifindex: number) => (sysctl.tcpL3mdevAccept ? 0 : devices.l3mdevMaster(ifindex));
    const bound = [...this.#listeners, ...this.connections.filter((c) => c instanceof TcpClient)];
    return bound.filter((socket) => domain(socket.device) === domain(device));
  }

  #listenUdp(binding: Binding): UdpServer {
    const server = udpServer(this.#host, binding);
    this.#udp = [server, ...this.#udp];
    return server;
  }

  #listenTcp(binding: Binding): TcpListener {
    const listener = tcpListener(this.#host, binding);
    this.#listeners = [listener, ...this.#listeners];
    return listener;
  }

  #connectUdp(options: ConnectOptions, port: number): UdpClient {
    const client = new UdpClient(this.#host, options, port);
    this.#udp = [client, ...this.#udp];
    client.start(this.udp.filter((socket) => socket !== client));
    return client;
  }

  #connectTcp(options: ConnectOptions, port: number): TcpClient {
    const client = new TcpClient(this.#host, options, port);
    this.#connections = [client, ...this.#connections];
    client.start(this.#tcpNear(client.device).filter((socket) => socket !== client));
    return client;
  }
}

const one = <T>(found: T | null): readonly T[] => (found === null ? [] : [found]);

function addressOf(address: Ip | null): Pick<Binding, "family" | "v6only" | "localAddress"> {
  if (address === null) return { family: 6, v6only: false, localAddress: null };
  const isAny = address === 0 || address === 0n;
  return { family: typeof address === "number" ? 4 : 6, v6only: true, localAddress: isAny ? null : address };
}

interface Ports {
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** @param dif the device that the protocol compares */
function arrived(
  { source, destination, sdif }: TransportPacket,
  { sourcePort, destinationPort }: Ports,
  dif: number,
): Arrived {
  return { source, sourcePort, destination, destinationPort, dif, sdif };
}

const isIpv4 = ({ quotedSource }: TransportError): boolean => typeof quotedSource === "number";

/** The sender of a quoted packet received, so to speak, what the other end would have answered. */
function answerTo({ quotedSource, quotedDestination, quoted }: TransportError, dif: number, sdif: number): Arrived {
  // TCP has its ports where UDP has them.
  const { sourcePort, destinationPort } = new UdpView(quoted);
  return {
    source: quotedDestination,
    sourcePort: destinationPort,
    destination: quotedSource,
    destinationPort: sourcePort,
    dif,
    sdif,
  };
}

/** ipv4_pktinfo_prepare. */
function pktinfoDevice({ device, inetIif, sdif }: TransportPacket): number {
  if (inetIif !== device) return inetIif;
  return sdif === 0 ? device : sdif;
}
