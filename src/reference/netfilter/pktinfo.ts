/**
 * `struct nft_pktinfo`: a packet at a hook, with what expressions ask of it.
 * k:include/net/netfilter/nf_tables.h, nf_tables_ipv4.h nft_set_pktinfo_ipv4, nf_tables_ipv6.h nft_set_pktinfo_ipv6;
 * net/netfilter/nft_chain_filter.c; net/ipv6/exthdrs_core.c ipv6_find_hdr.
 */

import type { ChainHook } from "../../../dsl/chain-model.ts";
import type { Device } from "../../../dsl/model.ts";
import type { Hook, ProgramHook } from "../../../runtime/hooks.ts";
import { EtherType } from "../../../runtime/net/ethernet.ts";
import { IPV6_HEADER_BYTES, isExtensionHeader, NextHeader } from "../../../runtime/net/ipv6.ts";
import { readU16 } from "../../../runtime/net/wire.ts";
import { IP_OFFSET, IPHDR_BYTES } from "../iphdr.ts";
import type { NetNamespace } from "../net.ts";
import type { SkBuff } from "../skb.ts";

/** NFPROTO_*. */
export const NfProto = { IPV4: 2, NETDEV: 5, IPV6: 10 } as const;

export const isProgramHook = (hook: Hook): hook is ProgramHook =>
  hook === "xdp" || hook === "tc ingress" || hook === "tc egress";

export interface PktInfo {
  readonly net: NetNamespace;
  readonly skb: SkBuff;
  readonly hook: ChainHook | ProgramHook;
  readonly in: Device | null;
  readonly out: Device | null;
  readonly pf: (typeof NfProto)[keyof typeof NfProto];
  /** NFT_PKTINFO_L4PROTO; null: not known, and neither is where its header stands. */
  readonly l4: { readonly protocol: number; readonly offset: number; readonly fragoff: number } | null;
}

/** @param hook a hook of the IP layer: `network_header` stands at an IP header that was found good */
export function nft_set_pktinfo(
  net: NetNamespace,
  skb: SkBuff,
  hook: ChainHook,
  input: Device | null,
  output: Device | null,
): PktInfo {
  const ipv6 = skb.protocol === EtherType.IPV6;
  const pf = ipv6 ? NfProto.IPV6 : NfProto.IPV4;
  return { net, skb, hook, in: input, out: output, pf, l4: ipv6 ? ipv6_l4(skb) : ipv4_l4(skb) };
}

/** At a device's hook headers are looked at, not trusted. */
export function nft_set_pktinfo_netdev(
  net: NetNamespace,
  skb: SkBuff,
  hook: ChainHook | ProgramHook,
  input: Device | null,
  output: Device | null,
): PktInfo {
  const ipv4 = skb.protocol === EtherType.IPV4 && nft_ipv4_valid(skb);
  const ipv6 = skb.protocol === EtherType.IPV6 && nft_ipv6_valid(skb);
  const l4 = ipv4 ? ipv4_l4(skb) : ipv6 ? ipv6_l4(skb) : null;
  return { net, skb, hook, in: input, out: output, pf: NfProto.NETDEV, l4 };
}

/** Bytes from the network header on. */
export const network_length = (skb: SkBuff): number => skb.data + skb.len - skb.network_header;

/** __nft_set_pktinfo_ipv4_validate */
function nft_ipv4_valid(skb: SkBuff): boolean {
  const length = network_length(skb);
  if (length < IPHDR_BYTES) return false;
  const { ihl, version, tot_len } = skb.iphdr;
  return ihl >= 5 && version === 4 && tot_len <= length && ihl * 4 <= tot_len;
}

/** __nft_set_pktinfo_ipv6_validate */
function nft_ipv6_valid(skb: SkBuff): boolean {
  const length = network_length(skb);
  if (length < IPV6_HEADER_BYTES || skb.bytes[skb.network_header] >>> 4 !== 6) return false;
  return readU16(skb.bytes, skb.network_header + 4) + IPV6_HEADER_BYTES <= length;
}

function ipv4_l4(skb: SkBuff): PktInfo["l4"] {
  const { protocol, ihl, frag_off } = skb.iphdr;
  return { protocol, offset: skb.network_header + ihl * 4, fragoff: frag_off & IP_OFFSET };
}

function ipv6_l4(skb: SkBuff): PktInfo["l4"] {
  const found = ipv6_find_hdr(skb, -1);
  return found && { protocol: found.type, offset: found.offset, fragoff: found.fragoff };
}

const { AUTH, NONE } = NextHeader;

/**
 * The header of type `target`, or (-1) the first that is no extension header; an authentication header ends that search too.
 * @returns null: none, or the headers are malformed
 */
export function ipv6_find_hdr(
  skb: SkBuff,
  target: number,
): { readonly type: number; readonly offset: number; readonly fragoff: number } | null {
  const end = skb.data + skb.len;
  let start = skb.network_header + IPV6_HEADER_BYTES;
  let type = skb.bytes[skb.network_header + 6];
  for (;;) {
    if (!isExtensionHeader(type) || type === NONE)
      return target < 0 || type === target ? { type, offset: start, fragoff: 0 } : null;
    if (start + 2 > end) return null;
    const next = skb.bytes[start];
    const found = type === target;
    if (type === NextHeader.ROUTING && start + 4 > end) return null;
    let length = (skb.bytes[start + 1] + 1) << 3;
    if (type === NextHeader.FRAGMENT) {
      if (start + 4 > end) return null;
      const fragoff = readU16(skb.bytes, start + 2) & ~7;
      if (fragoff !== 0) {
        // The header is in the first fragment: the offset is left at the start of what the hook sees.
        if (target < 0 && (!isExtensionHeader(next) || next === NONE)) return { type: next, offset: skb.data, fragoff };
        return found ? { type, offset: start, fragoff } : null;
      }
      length = 8;
    } else if (type === AUTH) {
      if (target < 0) return { type, offset: start, fragoff: 0 };
      length = (skb.bytes[start + 1] + 2) << 2;
    }
    if (found) return { type, offset: start, fragoff: 0 };
    if (end - start < length) return null;
    type = next;
    start += length;
  }
}
