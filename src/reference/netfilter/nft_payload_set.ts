/**
 * Header fields written, and checksums mended.
 * k:net/netfilter/nft_payload.c nft_payload_set_eval, nft_payload_csum_inet, nft_payload_l4csum_update, nft_payload_l4csum_offset.
 */
import type { PayloadWrite } from "../../../dsl/chain-model.ts";
import { wordSum } from "../../../runtime/net/checksum.ts";
import { readU16, writeU16 } from "../../../runtime/net/wire.ts";
import { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE } from "../in.ts";
import { IPPROTO_ICMPV6 } from "../ipv6/ipv6hdr.ts";
import type { SkBuff } from "../skb.ts";
import { packet_end, payload_base } from "./nft_expr.ts";
import type { PktInfo } from "./pktinfo.ts";

/** @returns false: the expression breaks */
export function nft_payload_set_eval(write: PayloadWrite, value: bigint, pkt: PktInfo): boolean {
  const { skb } = pkt;
  const start = write.base === "link" ? skb.mac_header : payload_base(write.base, pkt);
  if (start === null) return false;
  const at = start + write.offset;
  if (at + write.length > packet_end(skb)) return false;
  const field = skb.bytes.subarray(at, at + write.length);
  const bytes = bytesOf(value, write.length);
  const change = { from: wordSum(field), to: wordSum(bytes) };
  if (write.checksum !== null && !replace(skb, start + write.checksum, change)) return false;
  if (write.pseudo && !nft_payload_l4csum_update(pkt, change)) return false;
  field.set(bytes);
  return true;
}

export const bytesOf = (value: bigint, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => Number((value >> BigInt(8 * (length - 1 - i))) & 0xffn));

/** Sums of 16-bit words of the bytes before and after. */
export interface Change {
  readonly from: number;
  readonly to: number;
}

/** nft_payload_csum_inet. A checksum of 0 (UDP: none) is mended like any other. */
function replace(skb: SkBuff, at: number, change: Change): boolean {
  if (at + 2 > packet_end(skb)) return false;
  writeU16(skb.bytes, at, nft_csum_replace(readU16(skb.bytes, at), change));
  return true;
}

/** RFC 1624: ~(~sum + ~from + to); what becomes 0 is written as its other form, CSUM_MANGLED_0. */
export function nft_csum_replace(sum: number, { from, to }: Change): number {
  const replaced = ~fold((~sum & 0xffff) + (~fold(from) & 0xffff) + to) & 0xffff;
  return replaced === 0 ? 0xffff : replaced;
}

function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return sum;
}

/** The transport checksum covers addresses too. Where there is none, nothing is to be done. */
function nft_payload_l4csum_update(pkt: PktInfo, change: Change): boolean {
  const at = nft_payload_l4csum_offset(pkt);
  return at === null || replace(pkt.skb, at, change);
}

function nft_payload_l4csum_offset({ skb, l4 }: PktInfo): number | null {
  if (l4 === null || l4.fragoff !== 0) return null;
  switch (l4.protocol) {
    case IPPROTO_TCP:
      return l4.offset + 16;
    case IPPROTO_UDP: {
      const there = l4.offset + 8 <= packet_end(skb) && readU16(skb.bytes, l4.offset + 6) !== 0;
      return there ? l4.offset + 6 : null;
    }
    case IPPROTO_UDPLITE:
      return l4.offset + 6;
    case IPPROTO_ICMPV6:
      return l4.offset + 2;
    default:
      return null;
  }
}
