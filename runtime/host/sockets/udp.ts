/**
 * UDP sockets (net/ipv4/udp.c, datagram.c): a server that echoes, and a client that sends one datagram and waits for the echo.
 *
 * The server is one that asks for IP_PKTINFO and gives it back, as servers on hosts with more than one address do: it answers from
 * the address that was asked, through the device that the question came in by. The client is connected, so that it takes datagrams of
 * the other end alone, and asks for IP_RECVERR, so that it is told every ICMP error, not only port unreachable.
 */
import type { Ip } from "../../net/ip.ts";
import { IpProtocol } from "../../net/ipv4.ts";
import { UDP_HEADER_BYTES, UdpView, udpDatagram } from "../../net/udp.ts";
import { Errno } from "../../verdict.ts";
import { sendErrno } from "../events.ts";
import { Client } from "./client.ts";
import type { SocketError } from "./icmp-errno.ts";
import { type IpMessage, ipPacket } from "./packet.ts";
import type { Binding, Socket, SocketHost } from "./socket.ts";

/** A datagram for a socket. */
export interface Datagram {
  readonly source: Ip;
  readonly destination: Ip;
  readonly ttl: number;
  /** UDP header and data, checked. */
  readonly bytes: Uint8Array;
  /** ipi_ifindex: the slave for what came in by a VRF, the device of the address for what this host sent itself. */
  readonly pktinfoDevice: number;
  /** ipi_spec_dst: the address to answer from. */
  readonly specificDestination: Ip;
}

export interface UdpSocket extends Socket {
  readonly isOpen: boolean;
  receive(datagram: Datagram): void;
  receiveError(error: SocketError): void;
}

export interface UdpServer extends UdpSocket {
  /** What came, in order: `ipi_ifindex` of each. */
  readonly received: readonly { readonly from: Ip; readonly pktinfoDevice: number }[];
}

export function udpServer(host: SocketHost, binding: Binding): UdpServer {
  const received: { from: Ip; pktinfoDevice: number }[] = [];
  return {
    ...binding,
    remote: null,
    isOpen: true,
    received,
    receive({ source, bytes, pktinfoDevice, specificDestination }) {
      received.push({ from: source, pktinfoDevice });
      const question = new UdpView(bytes);
      const data = bytes.subarray(UDP_HEADER_BYTES, question.length);
      const message = datagram(specificDestination, question.destinationPort, source, question.sourcePort, data);
      host.output(ipPacket(host, message), { device: pktinfoDevice });
    },
    receiveError() {},
  };
}

const GREETING = new TextEncoder().encode("Hello world");

export class UdpClient extends Client implements UdpSocket {
  protected readonly groupError = { broadcast: Errno.EACCES, multicast: 0 } as const;
  /** inet_autobind comes before connect(). */
  protected get portAtConnect(): number {
    return this.localPort;
  }

  get isOpen(): boolean {
    return this.result === null;
  }

  receive({ source, ttl }: Datagram): void {
    this.finish({ kind: "reply", from: source, ttl });
  }

  protected begin(): void {
    const { host, localAddress, remote } = this;
    if (localAddress === null || remote === null) return;
    const sent = host.output(
      ipPacket(host, datagram(localAddress, this.localPort, remote.address, remote.port, GREETING)),
      this.meta,
    );
    const errno = sendErrno(sent);
    if (errno !== 0) this.finish({ kind: "error", call: "sendmsg", errno });
  }

  protected probe(source: Ip, sourcePort: number, destination: Ip): IpMessage {
    return datagram(source, sourcePort, destination, this.options.port, new Uint8Array());
  }
}

function datagram(
  source: Ip,
  sourcePort: number,
  destination: Ip,
  destinationPort: number,
  data: Uint8Array,
): IpMessage {
  const payload = udpDatagram({ sourcePort, destinationPort, data }, source, destination);
  return { protocol: IpProtocol.UDP, source, destination, payload };
}
