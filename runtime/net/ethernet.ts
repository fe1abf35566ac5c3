/**
 * Ethernet II (IEEE 802.3 clause 3.2.6, "length/type" as a type).
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                     destination (6 bytes)                     |
 *   +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                               |                               |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+       source (6 bytes)        +
 *   |                                                               |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |             type              |   payload ...
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { type Mac, readMac, writeMac } from "./mac.ts";
import { readU16, writeU16 } from "./wire.ts";

const DESTINATION = 0;
const SOURCE = 6;
const TYPE = 12;
/** Of a tag's control information, the VLAN (IEEE 802.1Q section 9.6); 0: the tag says no more than the priority. */
export const VLAN_VID_MASK = 0xfff;
/** k:include/linux/if_vlan.h eth_type_vlan */
export const isVlan = (type: number): boolean => type === EtherType.VLAN || type === EtherType.VLAN_STACKED;
export const VLAN_TAG_BYTES = 4;

export const ETHERNET_HEADER_BYTES = 14;

export const EtherType = { IPV4: 0x0800, ARP: 0x0806, VLAN: 0x8100, VLAN_STACKED: 0x88a8, IPV6: 0x86dd } as const;

export interface EthernetHeader {
  readonly destination: Mac;
  readonly source: Mac;
  readonly type: number;
}

export class EthernetView {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  check(): string | null {
    return this.bytes.length < ETHERNET_HEADER_BYTES ? `${this.bytes.length} bytes hold no Ethernet header` : null;
  }

  get destination(): Mac {
    return readMac(this.bytes, DESTINATION);
  }
  get source(): Mac {
    return readMac(this.bytes, SOURCE);
  }
  get type(): number {
    return readU16(this.bytes, TYPE);
  }
  /** What follows the header, padding included; a view of the same memory. */
  get payload(): Uint8Array {
    return this.bytes.subarray(ETHERNET_HEADER_BYTES);
  }
}

/** @param bytes at least ETHERNET_HEADER_BYTES long */
export function emitEthernet(header: EthernetHeader, bytes: Uint8Array): void {
  writeMac(bytes, DESTINATION, header.destination);
  writeMac(bytes, SOURCE, header.source);
  writeU16(bytes, TYPE, header.type);
}

/** A new frame around `payload`, not padded (veth does not pad). */
export function ethernetFrame(header: EthernetHeader, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER_BYTES + payload.length);
  emitEthernet(header, frame);
  frame.set(payload, ETHERNET_HEADER_BYTES);
  return frame;
}

/** The frame without the priority tags in front of its payload; as it is if it has none. */
export function withoutPriorityTags(frame: Uint8Array): Uint8Array {
  let at = TYPE;
  const isPriorityTag = () =>
    at + 2 + VLAN_TAG_BYTES <= frame.length &&
    isVlan(readU16(frame, at)) &&
    (readU16(frame, at + 2) & VLAN_VID_MASK) === 0;
  while (isPriorityTag()) at += VLAN_TAG_BYTES;
  if (at === TYPE) return frame;
  const bytes = frame.slice(at - TYPE);
  bytes.set(frame.subarray(0, TYPE));
  return bytes;
}
