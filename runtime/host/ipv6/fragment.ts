/**
 * ip6_fragment: cuts an IPv6 packet of this host so that no piece exceeds the MTU. What every router on the way reads stays in each.
 *
 *   | IPv6 | hop-by-hop, routing | rest |   ->   | IPv6 | hop-by-hop, routing | fragment header | part of the rest | ...
 */
import {
  extensionHeaderBytes,
  FRAGMENT_HEADER_BYTES,
  IPV6_HEADER_BYTES,
  NextHeader,
  PAYLOAD_LENGTH,
} from "../../net/ipv6.ts";
import { writeU16, writeU32 } from "../../net/wire.ts";

/** @param identification of the packet @param mtu at least 1280 */
export function fragment6(packet: Uint8Array, mtu: number, identification: number): Uint8Array[] {
  const { offset, namedAt } = unfragmentable(packet);
  const head = packet.slice(0, offset);
  const next = packet[namedAt];
  head[namedAt] = NextHeader.FRAGMENT;
  const rest = packet.subarray(offset);
  const room = (mtu - offset - FRAGMENT_HEADER_BYTES) & ~7;
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < rest.length; at += room) {
    const data = rest.subarray(at, at + room);
    const more = at + room < rest.length;
    const piece = new Uint8Array(offset + FRAGMENT_HEADER_BYTES + data.length);
    piece.set(head);
    piece[offset] = next;
    writeU16(piece, offset + 2, at | (more ? 1 : 0));
    writeU32(piece, offset + 4, identification);
    piece.set(data, offset + FRAGMENT_HEADER_BYTES);
    writeU16(piece, PAYLOAD_LENGTH, piece.length - IPV6_HEADER_BYTES);
    pieces.push(piece);
  }
  return pieces;
}

/** ip6_find_1stfragopt: hop-by-hop options, a routing header, and destination options before it. */
function unfragmentable(packet: Uint8Array): { offset: number; namedAt: number } {
  let [offset, namedAt, foundRouting] = [IPV6_HEADER_BYTES, 6, false];
  for (;;) {
    const header = packet[namedAt];
    if (header === NextHeader.ROUTING) foundRouting = true;
    else if (header !== NextHeader.HOP && (header !== NextHeader.DEST || foundRouting)) return { offset, namedAt };
    const length = extensionHeaderBytes(packet, offset, header);
    if (offset + length > packet.length) return { offset, namedAt };
    namedAt = offset;
    offset += length;
  }
}
