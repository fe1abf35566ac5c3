/**
 * Keys and values as text, in nft's words, and as numbers: what a host gives to a map and gets from it.
 *
 *   key    = part { " . " part }                               a part for each field
 *   part   = value | value "-" value | address "/" length      ranges where the set may hold them
 *   value  = address | link-layer address | number (decimal, 0x...) | name of a device
 */
import { formatIp, network, parseIp } from "../net/ip.ts";
import { formatMac, parseMac } from "../net/mac.ts";
import type { KeyRange, Value } from "./structure.ts";

export interface Field {
  /** nft's name of the type. */
  readonly type: string;
  readonly bits: number;
}

/** Ifindex of a device by its name, null: there is none. */
export type DeviceByName = (name: string) => number | null;

/** One value, of any form. @throws RangeError when the field cannot hold it */
export function parseValue(field: Field, given: Value | string, device: DeviceByName): bigint {
  const value = typeof given === "string" ? fromText(field, given.trim(), device) : fromNumber(given);
  if (value === null) throw new RangeError(`"${given}" is no ${field.type}`);
  if (value < 0n || value >> BigInt(field.bits) !== 0n)
    throw new RangeError(`${given} does not fit into ${field.bits} bits (${field.type})`);
  return value;
}

function fromNumber(given: Value): bigint | null {
  if (typeof given === "bigint") return given;
  return Number.isInteger(given) ? BigInt(given) : null;
}

function fromText({ type }: Field, text: string, device: DeviceByName): bigint | null {
  if (type === "ipv4_addr" || type === "ipv6_addr") {
    const ip = parseIp(text);
    return ip === null || (typeof ip === "number") !== (type === "ipv4_addr") ? null : BigInt(ip);
  }
  if (type === "ether_addr") {
    const mac = parseMac(text);
    return mac === null ? null : BigInt(mac);
  }
  if (/^(0x[0-9a-f]+|\d+)$/i.test(text)) return BigInt(text);
  if (!DEVICES.includes(type)) return null;
  const ifindex = device(text.replace(/^"(.*)"$/, "$1"));
  return ifindex === null ? null : BigInt(ifindex);
}

/** Types whose values are devices: ifindexes, in the image. */
const DEVICES: readonly string[] = ["ifname", "iface_index", "device"];

/** A part of a key. @throws RangeError when it is malformed, or a range where none may be */
export function parseRange(field: Field, given: Value | string, ranges: boolean, device: DeviceByName): KeyRange {
  const [first, last] = bounds(field, given, device);
  if (last < first) throw new RangeError(`${given}: the range ends before it begins`);
  if (first !== last && !ranges) throw new RangeError(`${given}: this set holds single values`);
  return field.bits <= 32 ? { first: Number(first), last: Number(last) } : { first, last };
}

function bounds(field: Field, given: Value | string, device: DeviceByName): [bigint, bigint] {
  if (typeof given !== "string") return same(parseValue(field, given, device));
  const prefix = /^([0-9a-f.:]+)\/(\d+)$/i.exec(given.trim());
  if (prefix !== null) {
    const ip = parseIp(prefix[1]);
    const length = Number(prefix[2]);
    if (ip === null || (typeof ip === "number" ? "ipv4_addr" : "ipv6_addr") !== field.type || length > field.bits)
      throw new RangeError(`"${given}" is no ${field.type} prefix`);
    const first = BigInt(network(ip, length));
    return [first, first | ((1n << BigInt(field.bits - length)) - 1n)];
  }
  const range = /^([^-]+)-([^-]+)$/.exec(given);
  if (range === null) return same(parseValue(field, given, device));
  return [parseValue(field, range[1], device), parseValue(field, range[2], device)];
}
const same = (value: bigint): [bigint, bigint] => [value, value];

/** As the host reads it: a prefix as one, other ranges with a dash. */
export function formatRange(field: Field, { first, last }: KeyRange): string {
  if (first === last) return formatValue(field, first);
  const [low, high] = [BigInt(first), BigInt(last)];
  const size = high - low + 1n;
  const isAddress = field.type === "ipv4_addr" || field.type === "ipv6_addr";
  if (isAddress && (size & (size - 1n)) === 0n && low % size === 0n)
    return `${formatValue(field, first)}/${field.bits - (size.toString(2).length - 1)}`;
  return `${formatValue(field, first)}-${formatValue(field, last)}`;
}

export function formatValue({ type }: Field, value: Value): string {
  if (type === "ipv4_addr") return formatIp(Number(value));
  if (type === "ipv6_addr") return formatIp(BigInt(value));
  return type === "ether_addr" ? formatMac(Number(value)) : `${value}`;
}
