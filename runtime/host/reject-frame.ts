/**
 * Verdict REJECT_FRAME: a device's chain rejects a frame, and its sender gets an ICMP error or a TCP reset by the way that it came: no
 * route is looked up, link-layer and network addresses change sides. Nothing limits the rate.
 * k:net/netfilter/nft_reject_netdev.c; net/ipv4/netfilter/nf_reject_ipv4.c nf_reject_skb_v4_unreach, nf_reject_skb_v4_tcp_reset;
 * net/ipv6/netfilter/nf_reject_ipv6.c nf_reject_skb_v6_unreach, nf_reject_skb_v6_tcp_reset; as of 6.1.192.
 *
 * No answer is made of a packet that is not whole, of a fragment but the first, of a wrong transport checksum (of IPv4 the header's too, as
 * the sum begins there), of "unreachable" and of a reset. Padding of the link counts as the packet's: it is quoted, and as it
 * belongs to no TCP segment, its checksum is wrong.
 */
import { checksum, foldChecksum, pseudoHeaderSum, wordSum } from "../net/checksum.ts";
import { EthernetView, EtherType, ethernetFrame, isVlan, VLAN_TAG_BYTES } from "../net/ethernet.ts";
import { IcmpType, IcmpView, icmpMessage } from "../net/icmp.ts";
import { Icmp6Type, Icmp6View, icmp6Message } from "../net/icmp6.ts";
import { IPV4_HEADER_BYTES, IpProtocol, Ipv4View } from "../net/ipv4.ts";
import { IPV6_HEADER_BYTES, Ipv6View, NextHeader, skipExtensionHeaders, type UpperLayer } from "../net/ipv6.ts";
import { TCP_HEADER_BYTES, TcpFlag, TcpView, tcpReset } from "../net/tcp.ts";
import { isSummed } from "../net/verify-csum.ts";
import { rejectPacket4, rejectPacket6 } from "./reject-packet.ts";

/** Bytes of the rejected packet that an error quotes (RFC 1812 section 4.3.2.3; RFC 4443 section 3.1). */
const QUOTED = 536;
const QUOTED6 = 1220;

/**
 * @param ttl of the answer, IPv4; IPv6 has the default of all devices
 * @param frame with the tag that was taken off, if there was one
 * @param error type << 8 | code of the ICMP error; 0: a TCP reset
 * @returns the frame that answers; null: nobody is told
 */
export function rejectFrame(ttl: number, frame: Uint8Array, error: number): Uint8Array | null {
  const { destination, source, type: outer } = new EthernetView(frame);
  const { type, payload: packet } = isVlan(outer)
    ? new EthernetView(frame.subarray(VLAN_TAG_BYTES))
    : new EthernetView(frame);
  const answer = type === EtherType.IPV6 ? reject6(packet, error) : reject4(ttl, packet, error);
  return answer && ethernetFrame({ destination: source, source: destination, type }, answer);
}

// ---- IPv4

function reject4(ttl: number, packet: Uint8Array, error: number): Uint8Array | null {
  const ip = new Ipv4View(packet);
  if (!isWhole4(ip) || ip.fragmentOffset !== 0) return null;
  const payload = error === 0 ? reset4(ip) : unreachable4(ip, error);
  if (payload === null) return null;
  return rejectPacket4(ip, ttl, error === 0 ? IpProtocol.TCP : IpProtocol.ICMP, payload);
}

/** nf_reject_iphdr_validate: not the checksum. */
const isWhole4 = ({ bytes, version, headerLength, totalLength }: Ipv4View): boolean =>
  bytes.length >= IPV4_HEADER_BYTES &&
  version === 4 &&
  headerLength >= IPV4_HEADER_BYTES &&
  totalLength >= headerLength &&
  totalLength <= bytes.length;

function unreachable4(ip: Ipv4View, error: number): Uint8Array | null {
  const { bytes, payload, protocol, totalLength } = ip;
  if (protocol === IpProtocol.ICMP && payload.length > 0 && new IcmpView(payload).type === IcmpType.DEST_UNREACH)
    return null;
  if (isSummed(protocol, payload) && !checksumHolds4(ip, bytes.subarray(0, totalLength))) return null;
  return icmpMessage({ type: error >>> 8, code: error & 0xff, rest: 0, data: bytes.subarray(0, QUOTED) });
}

function reset4(ip: Ipv4View): Uint8Array | null {
  const segment = ip.bytes.subarray(ip.headerLength);
  if (ip.protocol !== IpProtocol.TCP || !mayReset(segment) || !checksumHolds4(ip, ip.bytes)) return null;
  return tcpReset(new TcpView(segment), ip.destination, ip.source);
}

/** nf_ip_checksum. @param packet header included, whose own sum is 0 when it is right */
function checksumHolds4({ source, destination, protocol, headerLength }: Ipv4View, packet: Uint8Array): boolean {
  if (protocol !== IpProtocol.TCP && protocol !== IpProtocol.UDP) return checksum(packet) === 0;
  const pseudo = pseudoHeaderSum(source, destination, protocol, packet.length - headerLength);
  return foldChecksum(wordSum(packet) + pseudo) === 0;
}

// ---- IPv6

function reject6(packet: Uint8Array, error: number): Uint8Array | null {
  const ip = new Ipv6View(packet);
  if (!isWhole6(ip)) return null;
  const payload = error === 0 ? reset6(packet) : unreachable6(packet, error);
  if (payload === null) return null;
  return rejectPacket6(ip, error === 0 ? IpProtocol.TCP : IpProtocol.ICMPV6, payload);
}

/** nf_reject_ip6hdr_validate */
const isWhole6 = (ip: Ipv6View): boolean =>
  ip.bytes.length >= IPV6_HEADER_BYTES && ip.version === 6 && IPV6_HEADER_BYTES + ip.payloadLength <= ip.bytes.length;

/** nf_reject_v6_csum_ok. */
function unreachable6(packet: Uint8Array, error: number): Uint8Array | null {
  const { source, destination, payloadLength } = new Ipv6View(packet);
  const trimmed = payloadLength === 0 ? packet : packet.subarray(0, IPV6_HEADER_BYTES + payloadLength);
  const upper = skipExtensionHeaders(trimmed);
  if (upper === null || upper.offset >= trimmed.length || upper.protocol === NextHeader.FRAGMENT) return null;
  const payload = trimmed.subarray(upper.offset);
  if (upper.protocol === IpProtocol.ICMPV6 && new Icmp6View(payload).type === Icmp6Type.DEST_UNREACH) return null;
  if (isSummed(upper.protocol, payload) && !checksumHolds6(trimmed, upper)) return null;
  const message = { type: error >>> 8, code: error & 0xff, rest: 0, data: packet.subarray(0, QUOTED6) };
  return icmp6Message(message, destination, source);
}

function reset6(packet: Uint8Array): Uint8Array | null {
  const { source, destination } = new Ipv6View(packet);
  const upper = skipExtensionHeaders(packet);
  if (upper === null || upper.protocol !== IpProtocol.TCP) return null;
  const segment = packet.subarray(upper.offset);
  if (!mayReset(segment) || !checksumHolds6(packet, upper)) return null;
  return tcpReset(new TcpView(segment), destination, source);
}

/** nf_ip6_checksum. */
function checksumHolds6(packet: Uint8Array, { offset, protocol }: UpperLayer): boolean {
  const { source, destination } = new Ipv6View(packet);
  const segment = packet.subarray(offset);
  return foldChecksum(wordSum(segment) + pseudoHeaderSum(source, destination, protocol, segment.length)) === 0;
}

// ---- both

/** The TCP header is there, and is no reset itself. */
const mayReset = (segment: Uint8Array): boolean =>
  segment.length >= TCP_HEADER_BYTES && (new TcpView(segment).flags & TcpFlag.RST) === 0;
