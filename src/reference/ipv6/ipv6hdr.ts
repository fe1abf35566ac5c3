/**
 * `struct ipv6hdr` over the bytes of a packet (RFC 8200 section 3; drawn in runtime/net/ipv6.ts), and `struct icmp6hdr` as far as routing
 * reads it. Fields are read and written in place; the caller knows that the header is there.
 */
import { readIpv6, writeIpv6 } from "../../../runtime/net/ip.ts";
import { IPV6_HEADER_BYTES } from "../../../runtime/net/ipv6.ts";
import { readU16, readU32, writeU16 } from "../../../runtime/net/wire.ts";
import type { SkBuff } from "../skb.ts";

export const ICMP6HDR_BYTES = 8;

export class Ipv6hdr {
  readonly bytes: Uint8Array;
  /** Of the first byte. */
  readonly offset: number;

  constructor(bytes: Uint8Array, offset: number) {
    this.bytes = bytes;
    this.offset = offset;
  }

  get version(): number {
    return this.bytes[this.offset] >>> 4;
  }
  /** The traffic class: DSCP and ECN. */
  get dsfield(): number {
    return (readU16(this.bytes, this.offset) >>> 4) & 0xff;
  }
  get flowlabel(): number {
    return readU32(this.bytes, this.offset) & 0xfffff;
  }
  get payload_len(): number {
    return readU16(this.bytes, this.offset + 4);
  }
  set payload_len(value: number) {
    writeU16(this.bytes, this.offset + 4, value);
  }
  get nexthdr(): number {
    return this.bytes[this.offset + 6];
  }
  get hop_limit(): number {
    return this.bytes[this.offset + 7];
  }
  set hop_limit(value: number) {
    this.bytes[this.offset + 7] = value;
  }
  get saddr(): bigint {
    return readIpv6(this.bytes, this.offset + 8);
  }
  set saddr(value: bigint) {
    writeIpv6(this.bytes, this.offset + 8, value);
  }
  get daddr(): bigint {
    return readIpv6(this.bytes, this.offset + 24);
  }
  set daddr(value: bigint) {
    writeIpv6(this.bytes, this.offset + 24, value);
  }
}

/** The header at the packet's network header. Valid once 40 bytes are known to stand there. */
export const ipv6_hdr = (skb: SkBuff): Ipv6hdr => new Ipv6hdr(skb.bytes, skb.network_header);

/** Type of the ICMPv6 message that follows the IPv6 header at once; null: something else does, or less than a header. */
export function icmp6_type(skb: SkBuff): number | null {
  const iph = ipv6_hdr(skb);
  const at = iph.offset + IPV6_HEADER_BYTES;
  return iph.nexthdr === IPPROTO_ICMPV6 && at + ICMP6HDR_BYTES <= skb.data + skb.len ? skb.bytes[at] : null;
}

export const IPPROTO_ICMPV6 = 58;
