/**
 * `struct iphdr` over the bytes of a packet (RFC 791 section 3.1; drawn in runtime/net/ipv4.ts). Fields are read and written in
 * place; the caller knows that the header is there.
 */
import { checksum } from "../../runtime/net/checksum.ts";
import { readIpv4, writeIpv4 } from "../../runtime/net/ip.ts";
import { readU16, writeU16 } from "../../runtime/net/wire.ts";

export const IP_DF = 0x4000;
const IP_MF = 0x2000;
export const IP_OFFSET = 0x1fff;
export const IPHDR_BYTES = 20;

export class Iphdr {
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
  /** In words of four bytes. */
  get ihl(): number {
    return this.bytes[this.offset] & 15;
  }
  get tos(): number {
    return this.bytes[this.offset + 1];
  }
  get tot_len(): number {
    return readU16(this.bytes, this.offset + 2);
  }
  set tot_len(value: number) {
    writeU16(this.bytes, this.offset + 2, value);
  }
  get frag_off(): number {
    return readU16(this.bytes, this.offset + 6);
  }
  get ttl(): number {
    return this.bytes[this.offset + 8];
  }
  set ttl(value: number) {
    this.bytes[this.offset + 8] = value;
  }
  get protocol(): number {
    return this.bytes[this.offset + 9];
  }
  get check(): number {
    return readU16(this.bytes, this.offset + 10);
  }
  set check(value: number) {
    writeU16(this.bytes, this.offset + 10, value);
  }
  get saddr(): number {
    return readIpv4(this.bytes, this.offset + 12);
  }
  set saddr(value: number) {
    writeIpv4(this.bytes, this.offset + 12, value);
  }
  get daddr(): number {
    return readIpv4(this.bytes, this.offset + 16);
  }
  set daddr(value: number) {
    writeIpv4(this.bytes, this.offset + 16, value);
  }
}

/** k:include/net/ip.h */
export const ip_is_fragment = (iph: Iphdr): boolean => (iph.frag_off & (IP_MF | IP_OFFSET)) !== 0;

/** Checksum over the header as it stands: 0 when its own checksum is right. */
export const ip_fast_csum = (iph: Iphdr): number => checksum(iph.bytes.subarray(iph.offset, iph.offset + iph.ihl * 4));

/** k:net/ipv4/ip_output.c */
export function ip_send_check(iph: Iphdr): void {
  iph.check = 0;
  iph.check = ip_fast_csum(iph);
}

/**
 * k:include/net/ip.h; RFC 1141: TTL is the high byte of its word, so one less of it is 0x0100 more in the complement.
 * The sum is one's complement: a carry goes back in, and 0xffff becomes 0x0000: check 0xfeff + 0x0100 = 0xffff -> 0x0000.
 */
export function ip_decrease_ttl(iph: Iphdr): void {
  const check = iph.check + 0x0100;
  iph.check = (check + (check >= 0xffff ? 1 : 0)) & 0xffff;
  iph.ttl = iph.ttl - 1;
}
