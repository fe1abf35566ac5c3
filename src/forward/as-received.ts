/** A packet of a judged batch as it was before: what the host asks for besides the verdict. */
import { HEADROOM, type PacketBatch } from "../../runtime/batch.ts";
import { checksum } from "../../runtime/net/checksum.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { IPV4_HEADER_BYTES } from "../../runtime/net/ipv4.ts";
import { writeU16 } from "../../runtime/net/wire.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";

const IP4 = { ttl: 8, checksum: 10 } as const;
const IP6_HOP_LIMIT = 7;

/** Verdicts of packets that went through ip_forward. */
const FORWARDED: ReadonlySet<number> = new Set([
  Verdict.TRANSMIT,
  Verdict.UNRESOLVED,
  Verdict.FRAGMENT,
  Verdict.DROP,
  Verdict.TCP_RESET,
]);

/** A frame for RECEIVE, an IP packet for OUTPUT. Of one that was forwarded the IP packet counts; its link-layer addresses are gone. */
export function asReceived(batch: PacketBatch, i: number): Uint8Array {
  if (batch.column("entry")[i] !== Entry.RECEIVE) return batch.packet(i);
  const end = batch.column("data")[i] + batch.column("length")[i];
  const l3 = batch.column("l3")[i];
  if (l3 === 0 || !FORWARDED.has(batch.column("verdict")[i])) return batch.bytes.slice(batch.slot(i) + HEADROOM, end);
  const packet = batch.bytes.slice(l3, end);
  const isIpv6 = packet[0] >>> 4 === 6;
  if (isIpv6) packet[IP6_HOP_LIMIT]++;
  else if (packet.length >= IPV4_HEADER_BYTES) {
    packet[IP4.ttl]++;
    writeU16(packet, IP4.checksum, 0);
    writeU16(packet, IP4.checksum, checksum(packet.subarray(0, (packet[0] & 0xf) * 4)));
  }
  const type = isIpv6 ? EtherType.IPV6 : EtherType.IPV4;
  return ethernetFrame({ destination: 0, source: 0, type }, packet);
}
