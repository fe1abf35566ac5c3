/**
 * ARP for IPv4 over Ethernet (RFC 826).
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |     hardware type (ar$hrd)    |     protocol type (ar$pro)    |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   | hlen (ar$hln) | plen (ar$pln) |       operation (ar$op)       |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |              sender hardware address (ar$sha, 6)              |
 *   +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                               | sender protocol address (4)   |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |   ... (ar$spa)                | target hardware address (6)   |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
 *   |   ... (ar$tha)                                                |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                 target protocol address (ar$tpa)              |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { EtherType } from "./ethernet.ts";
import { type Ipv4, readIpv4, writeIpv4 } from "./ip.ts";
import { type Mac, readMac, writeMac } from "./mac.ts";
import { type Malformed, readU16, writeU16 } from "./wire.ts";

const HARDWARE_TYPE = 0;
const PROTOCOL_TYPE = 2;
const HARDWARE_LENGTH = 4;
const PROTOCOL_LENGTH = 5;
const OPERATION = 6;
const SENDER_MAC = 8;
const SENDER_IP = 14;
const TARGET_MAC = 18;
const TARGET_IP = 24;
export const ARP_BYTES = 28;

export const ARPHRD_ETHER = 1;
/** Devices of type Ethernet take packets that say IEEE 802 too (arp_process). */
const ARPHRD_IEEE802 = 6;

export const ArpOperation = { REQUEST: 1, REPLY: 2 } as const;

export interface ArpPacket {
  /** ArpOperation; others exist (RARP, InARP) and are ignored by hosts. */
  readonly operation: number;
  readonly senderMac: Mac;
  readonly senderIp: Ipv4;
  /** 0 in a request. */
  readonly targetMac: Mac;
  readonly targetIp: Ipv4;
}

/** Checks as arp_rcv and arp_process do: length, address lengths, hardware and protocol type. Trailing bytes are padding. */
export function parseArp(bytes: Uint8Array): ArpPacket | Malformed {
  if (bytes.length < ARP_BYTES) return { malformed: `${bytes.length} bytes hold no ARP packet` };
  if (bytes[HARDWARE_LENGTH] !== 6 || bytes[PROTOCOL_LENGTH] !== 4)
    return { malformed: "ARP address lengths are not 6 and 4" };
  const hardware = readU16(bytes, HARDWARE_TYPE);
  if (hardware !== ARPHRD_ETHER && hardware !== ARPHRD_IEEE802) return { malformed: `ARP hardware type ${hardware}` };
  const protocol = readU16(bytes, PROTOCOL_TYPE);
  if (protocol !== EtherType.IPV4) return { malformed: `ARP protocol type 0x${protocol.toString(16)}` };
  return {
    operation: readU16(bytes, OPERATION),
    senderMac: readMac(bytes, SENDER_MAC),
    senderIp: readIpv4(bytes, SENDER_IP),
    targetMac: readMac(bytes, TARGET_MAC),
    targetIp: readIpv4(bytes, TARGET_IP),
  };
}

/** @param bytes at least ARP_BYTES long */
export function emitArp(packet: ArpPacket, bytes: Uint8Array): void {
  writeU16(bytes, HARDWARE_TYPE, ARPHRD_ETHER);
  writeU16(bytes, PROTOCOL_TYPE, EtherType.IPV4);
  bytes[HARDWARE_LENGTH] = 6;
  bytes[PROTOCOL_LENGTH] = 4;
  writeU16(bytes, OPERATION, packet.operation);
  writeMac(bytes, SENDER_MAC, packet.senderMac);
  writeIpv4(bytes, SENDER_IP, packet.senderIp);
  writeMac(bytes, TARGET_MAC, packet.targetMac);
  writeIpv4(bytes, TARGET_IP, packet.targetIp);
}
