/**
 * Verdict TCP_RESET: a chain rejects a TCP segment `with tcp reset`, and its sender gets one.
 * k:net/ipv4/netfilter/nf_reject_ipv4.c nf_send_reset; net/ipv6/netfilter/nf_reject_ipv6.c nf_send_reset6. Unlike the reset of a closed
 * port it has no TOS, and is sent to whom the segment came from, whoever this host thinks it is.
 */
import { PacketFlag } from "../batch.ts";
import { IpProtocol, Ipv4View } from "../net/ipv4.ts";
import { Ipv6View, skipExtensionHeaders } from "../net/ipv6.ts";
import { TcpView, tcpReset } from "../net/tcp.ts";
import { rejectPacket4, rejectPacket6 } from "./reject-packet.ts";
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
  return rejectPacket4(ip, ttl, IpProtocol.TCP, tcpReset(new TcpView(ip.payload), ip.destination, ip.source));
}

function reset6(packet: Uint8Array): Uint8Array | null {
  const ip = new Ipv6View(packet);
  const upper = skipExtensionHeaders(packet);
  if (upper === null) return null;
  const segment = packet.subarray(upper.offset);
  return rejectPacket6(ip, IpProtocol.TCP, tcpReset(new TcpView(segment), ip.destination, ip.source));
}
