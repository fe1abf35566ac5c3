/**
 * IP options (RFC 791 section 3.1) as net/ipv4/ip_options.c treats those of received packets.
 *
 *   header -> scanOptions     is there something wrong with them, is there a source route: what the engine is told
 *          -> compileOptions  __ip_options_compile: record route and timestamp get this host's entry, in place
 *                |-> forwardOptions  ip_forward_options: the recorded route names the address of the device it leaves by
 *                '-> echoOptions     __ip_options_echo: what an answer carries; then `withOptions` (ip_options_build)
 *
 *     0                   1                   2                   3
 *   +---------------+---------------+---------------+---------------+
 *   |  7 (RR)       |  length       |  pointer      |  address ...  |      pointer: of the next free byte, counted from 1
 *   |  68 (TS)      |  length       |  pointer      | overflow| flag|  address, time ...
 *   +---------------+---------------+---------------+---------------+
 *
 * Source routes are refused (accept_source_route is off), so none is ever echoed.
 */
import { type Ipv4, readIpv4, writeIpv4 } from "../net/ip.ts";
import { IPV4_HEADER_BYTES, Ipv4View, sendCheck, TOTAL_LENGTH } from "../net/ipv4.ts";
import { writeU16, writeU32 } from "../net/wire.ts";

const END = 0;
const NOOP = 1;
const RECORD_ROUTE = 7;
const TIMESTAMP = 68;
const LOOSE_SOURCE_ROUTE = 131;
const STRICT_SOURCE_ROUTE = 137;
const CIPSO = 134;
const CIPSO_LEAST_BYTES = 8;
const ROUTER_ALERT = 148;

export { END as IPOPT_END, NOOP as IPOPT_NOOP, TIMESTAMP as IPOPT_TIMESTAMP };

/** Low four bits of a timestamp option's fourth byte. */
export const TimestampFlag = { TIME: 0, ADDRESS: 1, PRESPECIFIED: 3 } as const;

/** `struct ip_options`: offsets are from the start of the IP header, 0: not there. */
export interface IpOptions {
  recordRoute: number;
  recordRouteNeedsAddress: boolean;
  timestamp: number;
  timestampNeedsAddress: boolean;
  timestampNeedsTime: boolean;
  sourceRoute: number;
  cipso: number;
  /** Bytes were changed, so that a forwarded header needs a new checksum. */
  changed: boolean;
  /** Offset of the byte that a parameter problem points at; null: the options are good. */
  problem: number | null;
}

/** What compiling fills in. */
export interface OptionEntries {
  /** The address of this host to record (fib_compute_spec_dst). */
  readonly address: () => Ipv4;
  /** Milliseconds since midnight UTC (inet_current_timestamp). */
  readonly time: number;
  /** inet_addr_type(address) is RTN_UNICAST: none of this host's. */
  readonly isUnicast: (address: Ipv4) => boolean;
}

const NO_ENTRIES: OptionEntries = { address: () => 0, time: 0, isUnicast: () => false };

/** Whether a header, which is all there, has options at all. */
export const hasOptions = (header: Uint8Array): boolean => headerLength(header) > IPV4_HEADER_BYTES;

/** Looks at the options without changing them. */
export const scanOptions = (header: Uint8Array): IpOptions =>
  compileOptions(header.slice(0, headerLength(header)), NO_ENTRIES);

/** @param header an IP header that is all there, changed in place; what follows a problem stays as it was */
export function compileOptions(header: Uint8Array, entries: OptionEntries): IpOptions {
  const options: IpOptions = {
    recordRoute: 0,
    recordRouteNeedsAddress: false,
    timestamp: 0,
    timestampNeedsAddress: false,
    timestampNeedsTime: false,
    sourceRoute: 0,
    cipso: 0,
    changed: false,
    problem: null,
  };
  const end = headerLength(header);
  for (let at = IPV4_HEADER_BYTES; at < end; ) {
    if (header[at] === END) {
      clearTail(header, at + 1, end, options);
      break;
    }
    if (header[at] === NOOP) {
      at++;
      continue;
    }
    const length = at + 1 < end ? header[at + 1] : 0;
    options.problem = length < 2 || at + length > end ? at : compileOne(header, at, length, options, entries);
    if (options.problem !== null) break;
    at += length;
  }
  return options;
}

function clearTail(header: Uint8Array, from: number, end: number, options: IpOptions): void {
  if (header.subarray(from, end).every((byte) => byte === END)) return;
  header.fill(END, from, end);
  options.changed = true;
}

/** @returns where the problem is, null: none */
function compileOne(
  header: Uint8Array,
  at: number,
  length: number,
  options: IpOptions,
  entries: OptionEntries,
): number | null {
  switch (header[at]) {
    case LOOSE_SOURCE_ROUTE:
    case STRICT_SOURCE_ROUTE:
      if (length < 3) return at + 1;
      if (header[at + 2] < 4) return at + 2;
      if (options.sourceRoute !== 0) return at;
      options.sourceRoute = at;
      return null;
    case RECORD_ROUTE:
      return compileRecordRoute(header, at, length, options, entries);
    case TIMESTAMP:
      return compileTimestamp(header, at, length, options, entries);
    case ROUTER_ALERT:
      return length < 4 ? at + 1 : null;
    case CIPSO:
      if (options.cipso !== 0) return at;
      options.cipso = at;
      // cipso_v4_validate: no domain of interpretation is configured, so none is known.
      return length < CIPSO_LEAST_BYTES ? at + 1 : at + 2;
    default:
      return null;
  }
}

function compileRecordRoute(
  header: Uint8Array,
  at: number,
  length: number,
  options: IpOptions,
  { address }: OptionEntries,
): number | null {
  if (options.recordRoute !== 0) return at;
  if (length < 3) return at + 1;
  const pointer = header[at + 2];
  if (pointer < 4) return at + 2;
  if (pointer <= length) {
    if (pointer + 3 > length) return at + 2;
    writeIpv4(header, at + pointer - 1, address());
    header[at + 2] += 4;
    options.changed = true;
    options.recordRouteNeedsAddress = true;
  }
  options.recordRoute = at;
  return null;
}

function compileTimestamp(
  header: Uint8Array,
  at: number,
  length: number,
  options: IpOptions,
  entries: OptionEntries,
): number | null {
  if (options.timestamp !== 0) return at;
  if (length < 4) return at + 1;
  const pointer = header[at + 2];
  if (pointer < 5) return at + 2;
  const flag = header[at + 3] & 0xf;
  if (pointer <= length) {
    if (pointer + 3 > length) return at + 2;
    if (!stamp(header, at, length, flag, options, entries)) return at + 2;
  } else if (flag !== TimestampFlag.PRESPECIFIED) {
    const overflow = header[at + 3] >>> 4;
    if (overflow === 15) return at + 3;
    header[at + 3] = flag | ((overflow + 1) << 4);
    options.changed = true;
  }
  options.timestamp = at;
  return null;
}

/** One more entry. @returns false when it has no room */
function stamp(
  header: Uint8Array,
  at: number,
  length: number,
  flag: number,
  options: IpOptions,
  { address, time, isUnicast }: OptionEntries,
): boolean {
  const pointer = header[at + 2];
  const place = at + pointer - 1;
  if (flag === TimestampFlag.TIME) {
    writeU32(header, place, time);
    header[at + 2] += 4;
  } else if (flag === TimestampFlag.ADDRESS || flag === TimestampFlag.PRESPECIFIED) {
    if (pointer + 7 > length) return false;
    if (flag === TimestampFlag.PRESPECIFIED && isUnicast(readIpv4(header, place))) return true;
    if (flag === TimestampFlag.ADDRESS) {
      writeIpv4(header, place, address());
      options.timestampNeedsAddress = true;
    }
    writeU32(header, place + 4, time);
    header[at + 2] += 8;
  } else return true;
  options.timestampNeedsTime = true;
  options.changed = true;
  return true;
}

/** @param packet compiled with `options`; changed in place. @param source of the device it leaves by (ip_rt_get_source) */
export function forwardOptions(packet: Uint8Array, options: IpOptions, source: () => Ipv4): void {
  if (options.recordRouteNeedsAddress) {
    const at = options.recordRoute;
    writeIpv4(packet, at + packet[at + 2] - 5, source());
  }
  if (options.changed) sendCheck(packet);
}

/** The options of an answer, with the entries that this host adds to them as it sends; empty: none. Null: none can be made. */
export function echoOptions(
  header: Uint8Array,
  options: IpOptions,
  entries: { readonly source: Ipv4 } & OptionEntries,
): Uint8Array | null {
  const parts: number[] = [];
  if (options.recordRoute !== 0) {
    const route = copyOf(header, options.recordRoute);
    const pointer = route[2];
    if (options.recordRouteNeedsAddress && pointer <= route.length) {
      if (pointer + 3 > route.length) return null;
      writeIpv4(route, pointer - 1, entries.source);
      route[2] += 4;
    }
    parts.push(...route);
  }
  if (options.timestamp !== 0) {
    const stamps = copyOf(header, options.timestamp);
    if (!echoTimestamp(stamps, options, entries)) return null;
    parts.push(...stamps);
  }
  if (options.cipso !== 0) parts.push(...copyOf(header, options.cipso));
  while (parts.length % 4 !== 0) parts.push(END);
  return Uint8Array.from(parts);
}

const copyOf = (header: Uint8Array, at: number): Uint8Array => header.slice(at, at + header[at + 1]);

/** @returns false when an entry that was there on the way in has no room on the way out */
function echoTimestamp(
  stamps: Uint8Array,
  { timestampNeedsAddress, timestampNeedsTime }: IpOptions,
  { source, time, isUnicast }: { readonly source: Ipv4 } & OptionEntries,
): boolean {
  let pointer = stamps[2];
  if (pointer > stamps.length) return true;
  if (timestampNeedsAddress) {
    if (pointer + 3 > stamps.length) return false;
    writeIpv4(stamps, pointer - 1, source);
    pointer += 4;
  }
  if (timestampNeedsTime) {
    if (pointer + 3 > stamps.length) return false;
    if ((stamps[3] & 0xf) !== TimestampFlag.PRESPECIFIED) {
      writeU32(stamps, pointer - 1, time);
      pointer += 4;
    } else if (pointer + 7 <= stamps.length && !isUnicast(readIpv4(stamps, pointer - 1))) {
      writeU32(stamps, pointer + 3, time);
      pointer += 8;
    }
  }
  stamps[2] = pointer;
  return true;
}

/** A packet without options, with these. */
export function withOptions(packet: Uint8Array, options: Uint8Array): Uint8Array {
  if (options.length === 0) return packet;
  const bytes = new Uint8Array(packet.length + options.length);
  bytes.set(packet.subarray(0, IPV4_HEADER_BYTES));
  bytes.set(options, IPV4_HEADER_BYTES);
  bytes.set(packet.subarray(IPV4_HEADER_BYTES), IPV4_HEADER_BYTES + options.length);
  bytes[0] += options.length >>> 2;
  writeU16(bytes, TOTAL_LENGTH, bytes.length);
  sendCheck(bytes);
  return bytes;
}

const headerLength = (header: Uint8Array): number => new Ipv4View(header).headerLength;
