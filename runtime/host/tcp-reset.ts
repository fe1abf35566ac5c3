/**
 * Verdict TCP_RESET: a chain rejects a TCP segment `with tcp reset`, and its sender gets one.
 * k:net/ipv4/netfilter/nf_reject_ipv4.c nf_send_reset; net/ipv6/netfilter/nf_reject_ipv6.c nf_send_reset6. Unlike the reset of a closed
 * port it has no TOS, and is sent to whom the segment came from, whoever this host thinks it is.
 */
import { PacketFlag } from "../batch.ts";
import { IpProtocol, Ipv4View, ipv4Packet } from "../net/ipv4.ts";
import { DEFAULT_HOP_LIMIT, Ipv6View, ipv6Packet, skipExtensionHeaders } from "../net/ipv6.ts";
import { TcpView, tcpReset, tcpSegment } from "../net/tcp.ts";
import type { OutputMeta } from "./stack.ts";

interface ResetStack {
  readonly defaultTtl: number;
  output(packet: Uint8Array, meta: OutputMeta): unknown;
}

/** @param packet the rejected packet, IP header first; @param device VRF, or bound device, that the answer is routed by, 0: none */
export function sendReset(stack: ResetStack, packet: Uint8Array, device: number): void {
  const flags = PacketFlag.ANYSRC | PacketFlag.OIF_UNBOUND | PacketFlag.KERNEL_SOCKET;
  const answer = packet[0] >>> 4 === 6 ? reset6(packet) : reset4(stack.defaultTtl, packet);
  if (answer !== null) stack.output(answer, { device, flags });
}

function reset4(ttl: number, packet: Uint8Array): Uint8Array {
  const ip = new Ipv4View(packet);
  const segment = tcpSegment(tcpReset(new TcpView(ip.payload)), ip.destination, ip.source);
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
  const segment = tcpSegment(tcpReset(new TcpView(packet.subarray(upper.offset))), destination, source);
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
