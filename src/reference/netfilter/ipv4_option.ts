/**
 * An option in an IPv4 header, of a packet that no socket of this host has set it in.
 * k:net/netfilter/nft_exthdr.c ipv4_find_option; net/ipv4/ip_options.c __ip_options_compile without a packet: a source route must then be
 * whole and unused.
 */
import { IPHDR_BYTES } from "../iphdr.ts";

/** IPOPT_*. */
const IpOption = { END: 0, NOP: 1, RR: 7, TIMESTAMP: 68, LSRR: 131, CIPSO: 134, SSRR: 137, RA: 148 } as const;

/** What chains ask of `struct ip_options`: offsets in the buffer, null: there is none. */
interface Found {
  recordRoute: number | null;
  timestamp: number | null;
  sourceRoute: number | null;
  strict: boolean;
  routerAlert: number | null;
}

/**
 * @param at of the header in the buffer @param end of the packet
 * @returns where the option starts; null: there is none, or one of the options is wrong
 */
export function ipv4_find_option(bytes: Uint8Array, at: number, end: number, type: number): number | null {
  if (at + IPHDR_BYTES > end) return null;
  const behind = at + (bytes[at] & 15) * 4;
  if (behind <= at + IPHDR_BYTES || behind > end) return null;
  const found = ip_options_compile(bytes.subarray(0, behind), at + IPHDR_BYTES);
  switch (type) {
    case IpOption.RR:
      return found?.recordRoute ?? null;
    case IpOption.RA:
      return found?.routerAlert ?? null;
    case IpOption.SSRR:
      return found?.strict === true ? found.sourceRoute : null;
    case IpOption.LSRR:
      return found?.strict === false ? found.sourceRoute : null;
    default:
      return null;
  }
}

/** @param header up to the end of the options @returns null: one of them is wrong */
function ip_options_compile(header: Uint8Array, first: number): Found | null {
  const found: Found = { recordRoute: null, timestamp: null, sourceRoute: null, strict: false, routerAlert: null };
  for (let at = first; at < header.length && header[at] !== IpOption.END; ) {
    if (header[at] === IpOption.NOP) {
      at++;
      continue;
    }
    const length = header[at + 1] ?? 0;
    if (length < 2 || at + length > header.length) return null;
    if (!compile_one(header.subarray(at, at + length), at, found)) return null;
    at += length;
  }
  return found;
}

/** @returns false: the option is wrong */
function compile_one(option: Uint8Array, at: number, found: Found): boolean {
  const { length } = option;
  const pointer = option[2] ?? 0;
  switch (option[0]) {
    case IpOption.LSRR:
    case IpOption.SSRR: {
      const twice = found.sourceRoute !== null;
      found.sourceRoute = at;
      found.strict = option[0] === IpOption.SSRR;
      return !twice && length >= 7 && pointer === 4 && (length - 3) % 4 === 0;
    }
    case IpOption.RR: {
      const twice = found.recordRoute !== null;
      found.recordRoute = at;
      return !twice && length >= 3 && pointer >= 4 && (pointer > length || pointer + 3 <= length);
    }
    case IpOption.TIMESTAMP: {
      const twice = found.timestamp !== null;
      found.timestamp = at;
      return !twice && length >= 4 && pointer >= 5 && has_room(option, pointer);
    }
    case IpOption.RA:
      if (length >= 4 && option[2] === 0 && option[3] === 0) found.routerAlert = at;
      return length >= 4;
    // cipso_v4_validate: no domain of interpretation is known here.
    case IpOption.CIPSO:
      return false;
    default:
      return true;
  }
}

/** IPOPT_TS_TSANDADDR, IPOPT_TS_PRESPEC */
const [TS_TSANDADDR, TS_PRESPEC] = [1, 3];

/** An entry fits, or, where none does any more, the number of those that did not has not come to its end. */
function has_room(option: Uint8Array, pointer: number): boolean {
  const flag = option[3] & 15;
  if (pointer > option.length) return flag === TS_PRESPEC || option[3] >>> 4 !== 15;
  const entry = flag === TS_TSANDADDR || flag === TS_PRESPEC ? 7 : 3;
  return pointer + entry <= option.length;
}
