/**
 * Keys and values as text, in nft's words, and as numbers: what a host gives to a map and gets from it.
 *
 *   key    = part { " . " part }                               a part for each field
 *   part   = value | value "-" value | address "/" length      ranges where the set may hold them
 *   value  = address | link-layer address | number (decimal, 0x...) | name of a device
 */
import { formatIp, network, parseIp, prefixLength } from "../net/ip.ts";
import { formatMac, parseMac } from "../net/mac.ts";
import { asWidth, type KeyRange, type Value } from "./shape.ts";

export interface Field {
  /** nft's name of the type. */
  readonly type: string;
  readonly bits: number;
}

/** Ifindex of a device by its name, null: there is none. */
export type DeviceByName = (name: string) => number | null;

/** One value, of any form. @throws RangeError when the field cannot hold it */
export function parseValue(field: Field, given: Value | string, device: DeviceByName): Value {
  const value = typeof given === "string" ? fromText(field, given.trim(), device) : fromNumber(given);
  if (value === null) throw new RangeError(`"${given}" is no ${field.type}`);
  if (value < 0 || value >= limitOf(field))
    throw new RangeError(`${given} does not fit into ${field.bits} bits (${field.type})`);
  return typeof value === "number" && field.bits <= 32 ? value : asWidth(BigInt(value), field.bits);
}

/** First number that a field cannot hold. */
const limitOf = ({ bits }: Field): Value => (bits <= 32 ? 2 ** bits : 1n << BigInt(bits));

function fromNumber(given: Value): Value | null {
  return typeof given === "bigint" || Number.isSafeInteger(given) ? given : null;
}

function fromText({ type }: Field, text: string, device: DeviceByName): Value | null {
  if (type === "ipv4_addr" || type === "ipv6_addr") {
    const ip = parseIp(text);
    return ip === null || (typeof ip === "number") !== (type === "ipv4_addr") ? null : ip;
  }
  if (type === "ether_addr") return parseMac(text);
  if (/^(0x[0-9a-f]+|\d+)$/i.test(text)) return BigInt(text);
  return DEVICES.includes(type) ? device(text.replace(/^"(.*)"$/, "$1")) : null;
}

/** Types whose values are devices: ifindexes, in the image. */
const DEVICES: readonly string[] = ["ifname", "iface_index", "device"];

/** A part of a key. @throws RangeError when it is malformed, or a range where none may be */
export function parseRange(field: Field, given: Value | string, ranges: boolean, device: DeviceByName): KeyRange {
  const [first, last] = bounds(field, given, device);
  if (last < first) throw new RangeError(`${given}: the range ends before it begins`);
  if (first !== last && !ranges) throw new RangeError(`${given}: this set holds single values`);
  return { first, last };
}

function bounds(field: Field, given: Value | string, device: DeviceByName): readonly [Value, Value] {
  if (typeof given !== "string") return same(parseValue(field, given, device));
  if (given.includes("/")) return prefixBounds(field, given);
  const range = given.includes("-") ? /^([^-]+)-([^-]+)$/.exec(given) : null;
  if (range === null) return same(parseValue(field, given, device));
  return [parseValue(field, range[1], device), parseValue(field, range[2], device)];
}
const same = (value: Value): [Value, Value] => [value, value];

function prefixBounds({ type, bits }: Field, given: string): readonly [Value, Value] {
  const prefix = /^([0-9a-f.:]+)\/(\d+)$/i.exec(given.trim());
  const ip = prefix === null ? null : parseIp(prefix[1]);
  const length = Number(prefix?.[2]);
  if (ip === null || (typeof ip === "number" ? "ipv4_addr" : "ipv6_addr") !== type || length > bits)
    throw new RangeError(`"${given}" is no ${type} prefix`);
  const first = network(ip, length);
  if (typeof first === "number") return [first, first + (2 ** (32 - length) - 1)];
  return [first, first | ((1n << BigInt(bits - length)) - 1n)];
}

/** As the host reads it: a prefix as one, other ranges with a dash. */
export function formatRange(field: Field, range: KeyRange): string {
  const { first, last } = range;
  if (first === last) return formatValue(field, first);
  const isAddress = field.type === "ipv4_addr" || field.type === "ipv6_addr";
  const length = isAddress ? prefixLength(range, field.bits) : null;
  return `${formatValue(field, first)}${length === null ? `-${formatValue(field, last)}` : `/${length}`}`;
}

export function formatValue({ type }: Field, value: Value): string {
  if (type === "ipv4_addr") return formatIp(Number(value));
  if (type === "ipv6_addr") return formatIp(BigInt(value));
  return type === "ether_addr" ? formatMac(Number(value)) : `${value}`;
}
