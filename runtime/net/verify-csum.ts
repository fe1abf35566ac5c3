/** Whether a checksum is looked at before a packet is rejected: nf_reject_verify_csum (k:include/net/netfilter/nf_reject.h). */
import { IpProtocol } from "./ipv4.ts";
import { UDP_CHECKSUM, UDP_HEADER_BYTES } from "./udp.ts";
import { readU16 } from "./wire.ts";

const { DCCP, GRE, ESP, AH, SCTP, UDPLITE } = IpProtocol;
/** Their checksum is none, optional, or no sum over all of the payload. */
export const UNSUMMED: ReadonlySet<number> = new Set([DCCP, GRE, ESP, AH, SCTP, UDPLITE]);

export const isSummed = (protocol: number, payload: Uint8Array): boolean =>
  protocol === IpProtocol.UDP
    ? payload.length < UDP_HEADER_BYTES || readU16(payload, UDP_CHECKSUM) !== 0
    : !UNSUMMED.has(protocol);
