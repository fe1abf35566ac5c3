/**
 * Fields of TCP options written, and the checksum mended.
 * k:net/netfilter/nft_exthdr.c nft_exthdr_tcp_set_eval; net/core/utils.c inet_proto_csum_replace4; include/net/checksum.h csum_replace4.
 */
import type { OptionWrite } from "../../../dsl/chain-model.ts";
import { wordSum } from "../../../runtime/net/checksum.ts";
import { TCP_CHECKSUM, TcpOption } from "../../../runtime/net/tcp.ts";
import { readU16, readU32, writeU16 } from "../../../runtime/net/wire.ts";
import { find_tcp_option } from "./nft_expr.ts";
import { bytesOf, type Change, nft_csum_replace } from "./nft_payload_set.ts";
import type { PktInfo } from "./pktinfo.ts";

/** @returns false: the expression breaks */
export function nft_exthdr_tcp_set_eval(write: OptionWrite, value: number, pkt: PktInfo): boolean {
  const option = find_tcp_option(write, pkt);
  if (option === "malformed") return false;
  if (option === null) return true;
  const { bytes } = pkt.skb;
  const at = option + write.offset;
  const old = write.length === 2 ? readU16(bytes, at) : readU32(bytes, at);
  if (old === value || (write.type === TcpOption.MSS && old < value)) return true;
  const field = bytes.subarray(at, at + write.length);
  const written = bytesOf(BigInt(value), write.length);
  const check = pkt.l4!.offset + TCP_CHECKSUM;
  writeU16(bytes, check, csum_replace4(readU16(bytes, check), { from: wordSum(field), to: wordSum(written) }));
  field.set(written);
  return true;
}

/**
 * The words count as if they stood at an even offset, wherever they are. The sum is of 32 bits and never 0, so that of the two forms of zero
 * this writes 0, and never 0xffff.
 */
function csum_replace4(sum: number, change: Change): number {
  const replaced = nft_csum_replace(sum, change);
  return replaced === 0xffff ? 0 : replaced;
}
