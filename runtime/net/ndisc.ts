/**
 * Messages of neighbour discovery (RFC 4861 section 4), from the ICMPv6 header on.
 *
 *   solicitation, advertisement:  | ICMPv6 header (8) | target (16) | options ...
 *   redirect:                     | ICMPv6 header (8) | target (16) | destination (16) | options ...
 *   option:                       | type (1) | length in 8 bytes (1) | ...
 *       1 source, 2 target link-layer address | 6 bytes         4 redirected header | 6 bytes 0 | start of the packet
 */
import { ICMP6_HEADER_BYTES, Icmp6Type, Icmp6View, icmp6Message } from "./icmp6.ts";
import { type Ipv6, readIpv6, writeIpv6 } from "./ip.ts";
import { IPV6_HEADER_BYTES, IPV6_MIN_MTU } from "./ipv6.ts";
import { type Mac, readMac, writeMac } from "./mac.ts";

const TARGET = ICMP6_HEADER_BYTES;
/** Of a solicitation and an advertisement (k: struct nd_msg). */
const ND_MESSAGE_BYTES = TARGET + 16;
/** Of a redirect (k: struct rd_msg). */
const REDIRECT_BYTES = ND_MESSAGE_BYTES + 16;

/** Nobody off the link can send a packet that arrives with it. */
export const ND_HOP_LIMIT = 255;

const OptionType = { SOURCE_LL_ADDR: 1, TARGET_LL_ADDR: 2, REDIRECT_HDR: 4 } as const;
/** Type, length and an Ethernet address. */
const LL_ADDR_BYTES = 8;

/** Flags of an advertisement, as they stand in the second word of the header. */
export const AdvertisementFlag = { ROUTER: 0x80000000, SOLICITED: 0x40000000, OVERRIDE: 0x20000000 } as const;

export interface NeighbourMessage {
  readonly target: Ipv6;
  /** AdvertisementFlag bits; 0 in a solicitation. */
  readonly flags: number;
  /** Of a solicitation the source's, of an advertisement the target's. */
  readonly linkLayer: Mac | null;
}

/**
 * ndisc_recv_ns, ndisc_recv_na: the message, unless its options are malformed (ndisc_parse_options).
 * @param bytes from the ICMPv6 header on
 */
export function parseNeighbourMessage(bytes: Uint8Array): NeighbourMessage | null {
  if (bytes.length < ND_MESSAGE_BYTES) return null;
  const { type, rest } = new Icmp6View(bytes);
  const wanted = type === Icmp6Type.NEIGHBOUR_ADVERTISEMENT ? OptionType.TARGET_LL_ADDR : OptionType.SOURCE_LL_ADDR;
  const options = parseOptions(bytes, ND_MESSAGE_BYTES);
  if (options === null) return null;
  const option = options.find((o) => o.type === wanted);
  // ndisc_opt_addr_data: an address of another length is no address.
  if (option !== undefined && option.length !== LL_ADDR_BYTES) return null;
  return {
    target: readIpv6(bytes, TARGET),
    flags: type === Icmp6Type.NEIGHBOUR_ADVERTISEMENT ? rest : 0,
    linkLayer: option === undefined ? null : readMac(bytes, option.at + 2),
  };
}

/** ndisc_recv_rs: a router solicitation has no target; null: malformed. */
export function parseRouterSolicitation(bytes: Uint8Array): { readonly linkLayer: Mac | null } | null {
  const options = bytes.length < ICMP6_HEADER_BYTES ? null : parseOptions(bytes, ICMP6_HEADER_BYTES);
  if (options === null) return null;
  const option = options.find((o) => o.type === OptionType.SOURCE_LL_ADDR);
  if (option !== undefined && option.length !== LL_ADDR_BYTES) return null;
  return { linkLayer: option === undefined ? null : readMac(bytes, option.at + 2) };
}

interface NdOption {
  readonly type: number;
  readonly at: number;
  readonly length: number;
}

/** ndisc_parse_options: options of length 0 or beyond the end make the whole message void. */
function parseOptions(bytes: Uint8Array, start: number): readonly NdOption[] | null {
  const options: NdOption[] = [];
  for (let at = start; at < bytes.length; ) {
    const length = at + 1 < bytes.length ? bytes[at + 1] * 8 : 0;
    if (length === 0 || at + length > bytes.length) return null;
    options.push({ type: bytes[at], at, length });
    at += length;
  }
  return options;
}

/** Where a message is from and to: its checksum covers that. */
export interface Endpoints {
  readonly source: Ipv6;
  readonly destination: Ipv6;
}

/** ndisc_ns_create. @param linkLayer null: no option (a source of `::` has none) */
export const neighbourSolicitation = (target: Ipv6, linkLayer: Mac | null, ends: Endpoints): Uint8Array =>
  neighbourMessage(Icmp6Type.NEIGHBOUR_SOLICITATION, 0, target, OptionType.SOURCE_LL_ADDR, linkLayer, ends);

/** ndisc_send_na. @param flags AdvertisementFlag bits @param linkLayer null: no option */
export const neighbourAdvertisement = (
  target: Ipv6,
  flags: number,
  linkLayer: Mac | null,
  ends: Endpoints,
): Uint8Array =>
  neighbourMessage(Icmp6Type.NEIGHBOUR_ADVERTISEMENT, flags, target, OptionType.TARGET_LL_ADDR, linkLayer, ends);

function neighbourMessage(
  type: number,
  flags: number,
  target: Ipv6,
  option: number,
  linkLayer: Mac | null,
  { source, destination }: Endpoints,
): Uint8Array {
  const data = new Uint8Array(16 + (linkLayer === null ? 0 : LL_ADDR_BYTES));
  writeIpv6(data, 0, target);
  if (linkLayer !== null) writeLinkLayer(data, 16, option, linkLayer);
  return icmp6Message({ type, code: 0, rest: flags, data }, source, destination);
}

function writeLinkLayer(bytes: Uint8Array, at: number, option: number, mac: Mac): void {
  bytes[at] = option;
  bytes[at + 1] = LL_ADDR_BYTES / 8;
  writeMac(bytes, at + 2, mac);
}

/**
 * ndisc_send_redirect: as much of the packet as fits the minimal MTU, in whole 8 bytes.
 * @param linkLayer of the target, null: not known
 * @param packet the redirected one, from its IPv6 header on
 */
export function redirectMessage(
  target: Ipv6,
  linkLayer: Mac | null,
  packet: Uint8Array,
  redirected: Ipv6,
  { source, destination }: Endpoints,
): Uint8Array {
  const addressBytes = linkLayer === null ? 0 : LL_ADDR_BYTES;
  const room = IPV6_MIN_MTU - IPV6_HEADER_BYTES - REDIRECT_BYTES - addressBytes;
  const headerBytes = Math.min(room, packet.length + 8) & ~7;
  const data = new Uint8Array(32 + addressBytes + headerBytes);
  writeIpv6(data, 0, target);
  writeIpv6(data, 16, redirected);
  if (linkLayer !== null) writeLinkLayer(data, 32, OptionType.TARGET_LL_ADDR, linkLayer);
  const at = 32 + addressBytes;
  data[at] = OptionType.REDIRECT_HDR;
  data[at + 1] = headerBytes / 8;
  data.set(packet.subarray(0, headerBytes - 8), at + 8);
  return icmp6Message({ type: Icmp6Type.REDIRECT, code: 0, rest: 0, data }, source, destination);
}

/** Of a redirect: the better next hop, and for which destination. */
export function redirectEnds(bytes: Uint8Array): { readonly target: Ipv6; readonly destination: Ipv6 } | null {
  if (bytes.length < REDIRECT_BYTES) return null;
  return { target: readIpv6(bytes, TARGET), destination: readIpv6(bytes, ND_MESSAGE_BYTES) };
}
