/**
 * ip_do_fragment: cuts an IPv4 packet so that no piece, header included, exceeds the MTU.
 *
 *   | header | 1400 bytes |  mtu 596  ->  | header | 576 MF | header | 576 MF offset 576 | header | 248 offset 1152 |
 *
 * Every piece but the last carries a multiple of 8 bytes. The first keeps all options; the others keep those with the
 * "copied" flag, the rest become no-operations (ip_options_fragment). DF is cleared.
 */
import { FLAGS_OFFSET, IPV4_HEADER_BYTES, Ipv4View, MORE_FRAGMENTS, sendCheck, TOTAL_LENGTH } from "../net/ipv4.ts";
import { readU16, writeU16 } from "../net/wire.ts";

const IPOPT_END = 0;
const IPOPT_NOOP = 1;
const IPOPT_COPIED = 0x80;

/** @param packet a checked IPv4 packet; it may itself be a fragment. @param mtu at least the header and 8 bytes */
export function fragment(packet: Uint8Array, mtu: number): Uint8Array[] {
  const view = new Ipv4View(packet);
  const { headerLength, payload, fragmentOffset, moreFragments } = view;
  const room = (mtu - headerLength) & ~7;
  const header = packet.slice(0, headerLength);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < payload.length; ) {
    const fits = payload.length - at <= mtu - headerLength;
    const length = fits ? payload.length - at : room;
    pieces.push(piece(header, payload.subarray(at, at + length), fragmentOffset + at, moreFragments || !fits));
    if (at === 0) dropUncopiedOptions(header);
    at += length;
  }
  return pieces;
}

function piece(header: Uint8Array, payload: Uint8Array, offset: number, more: boolean): Uint8Array {
  const bytes = new Uint8Array(header.length + payload.length);
  bytes.set(header);
  bytes.set(payload, header.length);
  writeU16(bytes, TOTAL_LENGTH, bytes.length);
  writeU16(bytes, FLAGS_OFFSET, (offset >>> 3) | (more ? MORE_FRAGMENTS : 0));
  sendCheck(bytes);
  return bytes;
}

/** ip_options_fragment. */
function dropUncopiedOptions(header: Uint8Array): void {
  for (let at = IPV4_HEADER_BYTES; at < header.length; ) {
    const kind = header[at];
    if (kind === IPOPT_END) return;
    const length = kind === IPOPT_NOOP ? 1 : readU16(header, at) & 0xff;
    if (length < 1 || at + length > header.length || (kind !== IPOPT_NOOP && length < 2)) return;
    if ((kind & IPOPT_COPIED) === 0) header.fill(IPOPT_NOOP, at, at + length);
    at += length;
  }
}
