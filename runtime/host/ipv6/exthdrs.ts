/**
 * Extension headers at the destination (net/ipv6/exthdrs.c). Hop-by-hop options are not here: every node on the way reads them, so
 * the engine does.
 *
 *   destination options   read; what is unknown is skipped, drops the packet, or is reported besides, as its type says
 *   routing header        nobody's turn any more: skipped; else reported, or dropped where Linux could but is not told to (types 2, 3, 4)
 */
import { ParameterProblem6 } from "../../net/icmp6.ts";
import {
  extensionHeaderBytes,
  Ipv6Option,
  isMulticast6,
  MAX_OPTION_PADDING,
  MAX_OPTIONS,
  NextHeader,
} from "../../net/ipv6.ts";

/** What comes of a header: the next one, an error for the sender, or silence. */
export type HeaderResult =
  | { readonly kind: "next"; readonly offset: number }
  | { readonly kind: "problem"; readonly code: number; readonly pointer: number }
  | { readonly kind: "drop" };

export const DROP: HeaderResult = { kind: "drop" };
export const problem = (code: number, pointer: number): HeaderResult => ({ kind: "problem", code, pointer });

const RoutingType = { HOME_ADDRESS: 2, RPL: 3, SEGMENT_ROUTING: 4 } as const;

/** ipv6_rthdr_rcv with accept_source_route, seg6_enabled and rpl_seg_enabled 0. */
export function routingHeader(
  packet: Uint8Array,
  offset: number,
  destination: bigint,
  groupFrame: boolean,
): HeaderResult {
  const end = offset + extensionHeaderBytes(packet, offset, NextHeader.ROUTING);
  if (offset + 8 > packet.length || end > packet.length) return DROP;
  if (isMulticast6(destination) || groupFrame) return DROP;
  const [type, segmentsLeft] = [packet[offset + 2], packet[offset + 3]];
  if (type === RoutingType.SEGMENT_ROUTING || type === RoutingType.RPL || type === RoutingType.HOME_ADDRESS)
    return DROP;
  return segmentsLeft === 0 ? { kind: "next", offset: end } : problem(ParameterProblem6.HDR_FIELD, offset + 2);
}

/** ipv6_destopt_rcv and ip6_parse_tlv. */
export function destinationOptions(packet: Uint8Array, offset: number, destination: bigint): HeaderResult {
  const end = offset + extensionHeaderBytes(packet, offset, NextHeader.DEST);
  if (offset + 8 > packet.length || end > packet.length) return DROP;
  let [options, padding] = [0, 0];
  for (let at = offset + 2; at < end; ) {
    const type = packet[at];
    const length = type === Ipv6Option.PAD1 ? 1 : at + 1 < end ? packet[at + 1] + 2 : Number.POSITIVE_INFINITY;
    if (at + length > end) return DROP;
    if (type === Ipv6Option.PAD1 || type === Ipv6Option.PADN) {
      padding += length;
      if (padding > MAX_OPTION_PADDING || packet.subarray(at + 2, at + length).some((byte) => byte !== 0)) return DROP;
    } else {
      padding = 0;
      options++;
      if (options > MAX_OPTIONS) return DROP;
      const result = unknownOption(type, at, destination);
      if (result !== null) return result;
    }
    at += length;
  }
  return { kind: "next", offset: end };
}

/** ip6_tlvopt_unknown: the two highest bits of the type say what to do. Null: skip it. A home address is nobody's here. */
function unknownOption(type: number, at: number, destination: bigint): HeaderResult | null {
  if (type === Ipv6Option.HOME_ADDRESS) return DROP;
  switch (type >>> 6) {
    case 0:
      return null;
    case 1:
      return DROP;
    case 3:
      return isMulticast6(destination) ? DROP : problem(ParameterProblem6.UNK_OPTION, at);
    default:
      return problem(ParameterProblem6.UNK_OPTION, at);
  }
}
