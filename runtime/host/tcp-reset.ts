/**
 * Verdict TCP_RESET: a chain rejects a TCP segment `with tcp reset`, and its sender gets one.
 * k:net/ipv4/netfilter/nf_reject_ipv4.c nf_send_reset; net/ipv6/netfilter/nf_reject_ipv6.c nf_send_reset6. Unlike the reset of a closed
 * port it has no TOS, and is sent to whom the segment came from, whoever this host thinks it is.
 */
import { PacketFlag } from "../batch.ts";
import { IpProtocol, Ipv4View, ipv4Packet } from "../net/ipv4.ts";
import { Ipv6View, ipv6Packet, skipExtensionHeaders } from "../net/ipv6.ts";
import { TcpFlag, type TcpSegment, TcpView, tcpSegment } from "../net/tcp.ts";
import type { OutputMeta } from "./stack.ts";

interface ResetStack {
  readonly defaultTtl: number;
  output(packet: Uint8Array, meta: OutputMeta): unknown;
}

const DEFAULT_HOP_LIMIT = 64;

/** @param packet the rejected packet, IP header first; @param device VRF, or bound device, that the answer is routed by, 0: none */
export function sendReset(stack: ResetStack, packet: Uint8Array, device: number): void {
  const flags = PacketFlag.ANYSRC | PacketFlag.OIF_UNBOUND | PacketFlag.KERNEL_SOCKET;
  const answer = packet[0] >>> 4 === 6 ? reset6(packet) : reset4(stack.defaultTtl, packet);
  if (answer !== null) stack.output(answer, { device, flags });
}

function reset4(ttl: number, packet: Uint8Array): Uint8Array {
  const ip = new Ipv4View(packet);
  const segment = tcpSegment(resetOf(new TcpView(ip.payload)), ip.destination, ip.source);
  const header = {
    tos: 0,
    identification: 0,
    dontFragment: true,
    ttl,
    protocol: IpProtocol.TCP,
    source: ip.destination,
    destination: ip.source,
  };
  return ipv4Packet(header, segment);
}

function reset6(packet: Uint8Array): Uint8Array | null {
  const { source, destination } = new Ipv6View(packet);
  const upper = skipExtensionHeaders(packet);
  if (upper === null) return null;
  const segment = tcpSegment(resetOf(new TcpView(packet.subarray(upper.offset))), destination, source);
  const header = {
    trafficClass: 0,
    flowLabel: 0,
    nextHeader: IpProtocol.TCP,
    hopLimit: DEFAULT_HOP_LIMIT,
    source: destination,
    destination: source,
  };
  return ipv6Packet(header, segment);
}

/** RFC 9293 section 3.10.7.1; nf_reject_ip_tcphdr_put. */
function resetOf(tcp: TcpView): TcpSegment {
  const { sourcePort, destinationPort, sequence, acknowledgment, flags, headerLength, bytes } = tcp;
  const has = (flag: number) => ((flags & flag) === 0 ? 0 : 1);
  const consumed = has(TcpFlag.SYN) + has(TcpFlag.FIN) + bytes.length - headerLength;
  const ports = { sourcePort: destinationPort, destinationPort: sourcePort, window: 0 };
  return has(TcpFlag.ACK) === 1
    ? { ...ports, sequence: acknowledgment, acknowledgment: 0, flags: TcpFlag.RST }
    : { ...ports, sequence: 0, acknowledgment: (sequence + consumed) >>> 0, flags: TcpFlag.RST | TcpFlag.ACK };
}
