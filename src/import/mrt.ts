/**
 * Routes of an MRT dump: what RIPE RIS and RouteViews publish of a router's table (RFC 6396, TABLE_DUMP_V2; entries with path
 * identifiers, RFC 8050). Of each prefix the first entry's next hop counts: a dump does not say which one the router had chosen.
 *
 *   record    u32 time, u16 type 13, u16 subtype, u32 length, `length` bytes                             all in network order
 *   subtypes  2, 8: IPv4 unicast; 4, 10: IPv6 unicast (8 and 10 with path identifiers); others say nothing about unicast routes
 *   RIB       u32 sequence, u8 prefix length, its bytes, u16 entries, { u16 peer, u32 time, [u32 path], u16 length, attributes }
 *   attribute u8 flags, u8 type, u8 length (u16 when flags has 0x10), value: NEXT_HOP 3 is an address; of MP_REACH_NLRI 14 only
 *             u8 length and the next hop stand in a dump (section 4.3.4), one or two addresses long
 *
 *   5f 00 00 00  00 0d 00 02  00 00 00 1d | 00 00 00 00  08 0a  00 01 | 00 00  5f 00 00 00  00 07 | 40 03 04 c0 00 02 01   10.0.0.0/8 via 192.0.2.1
 */
import { type Family, type Ip, readIpv4, readIpv6 } from "../../runtime/net/ip.ts";

export interface MrtRoute {
  readonly family: Family;
  readonly address: Ip;
  /** Bits. */
  readonly length: number;
  readonly via: Ip;
}

/** What is wrong with a dump, with the byte that its record starts at. */
export class MrtError extends Error {}

const HEADER = 12;
const TABLE_DUMP_V2 = 13;
const SUBTYPES: Readonly<Record<number, { readonly family: Family; readonly hasPath: boolean } | undefined>> = {
  2: { family: 4, hasPath: false },
  4: { family: 6, hasPath: false },
  8: { family: 4, hasPath: true },
  10: { family: 6, hasPath: true },
};
const NEXT_HOP = 3;
const MP_REACH_NLRI = 14;
const EXTENDED_LENGTH = 0x10;

/** Begins the file as a dump does? No text has a zero byte where a record's type is. */
export const isMrt = (bytes: Uint8Array): boolean =>
  bytes.length >= HEADER && bytes[4] === 0 && bytes[5] === TABLE_DUMP_V2 && bytes[6] === 0;

/** @throws MrtError when a record or an entry ends too early, or a prefix is longer than an address */
export function readMrt(bytes: Uint8Array, visit: (route: MrtRoute) => void): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    const end = at + HEADER <= bytes.length ? at + HEADER + view.getUint32(at + 8) : Number.POSITIVE_INFINITY;
    if (end > bytes.length) throw new MrtError(`the record at byte ${at} ends behind the file`);
    const kind = view.getUint16(at + 4) === TABLE_DUMP_V2 ? SUBTYPES[view.getUint16(at + 6)] : undefined;
    if (kind !== undefined) {
      const record = new Body(bytes.subarray(at + HEADER, end), at);
      const route = ribRoute(record, kind);
      if (route !== null) visit(route);
    }
    at = end;
  }
}

/** Null when no entry has a next hop. */
function ribRoute(record: Body, { family, hasPath }: { family: Family; hasPath: boolean }): MrtRoute | null {
  record.skip(4);
  const length = record.u8();
  const bits = family === 4 ? 32 : 128;
  if (length > bits) throw record.error(`a prefix of ${length} bits`);
  const wire = new Uint8Array(16);
  wire.set(record.take(Math.ceil(length / 8)));
  if (length % 8 !== 0) wire[length >> 3] &= 0xff00 >> (length % 8);
  const address = family === 4 ? readIpv4(wire, 0) : readIpv6(wire, 0);
  let via: Ip | null = null;
  for (let entries = record.u16(); entries > 0; entries--) {
    record.skip(hasPath ? 10 : 6);
    via ??= nextHop(record.inner(record.u16()));
  }
  return via === null ? null : { family, address, length, via };
}

function nextHop(attributes: Body): Ip | null {
  let found: Ip | null = null;
  while (!attributes.isEmpty) {
    const flags = attributes.u8();
    const type = attributes.u8();
    const value = attributes.inner(flags & EXTENDED_LENGTH ? attributes.u16() : attributes.u8());
    if (type === NEXT_HOP) found ??= readIpv4(value.take(4), 0);
    if (type !== MP_REACH_NLRI) continue;
    const address = value.take(value.u8());
    if (address.length >= 16) found = readIpv6(address, 0);
    else if (address.length === 4) found = readIpv4(address, 0);
  }
  return found;
}

/** Bytes of a record, read from the front. */
class Body {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  #at = 0;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.#start = start;
  }

  get isEmpty(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(count: number): Uint8Array {
    const end = this.#at + count;
    if (end > this.#bytes.length) throw this.error("it ends too early");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  skip(count: number): void {
    this.take(count);
  }

  u8(): number {
    return this.take(1)[0];
  }

  u16(): number {
    const [high, low] = this.take(2);
    return (high << 8) | low;
  }

  inner(count: number): Body {
    return new Body(this.take(count), this.#start);
  }

  error(what: string): MrtError {
    return new MrtError(`the record at byte ${this.#start}: ${what}`);
  }
}
