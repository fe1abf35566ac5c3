/**
 * Addresses, prefixes and link-layer addresses as users write them: strict, and when something is wrong, exact about what.
 *
 *   IPv4    four decimal octets without leading zeros: Linux' own readers take 010 for 8, and fill up short forms
 *   IPv6    RFC 4291 section 2.2: eight groups, `::` once for the longest run of zeros, a dotted tail
 *   prefix  ADDRESS [ "/" LENGTH ]; without a length the host alone
 *
 * Readers of what machines wrote need no reasons and use `parseIp` of runtime/net/ip.ts, which this one stands on.
 */
import { bitsOf, familyOf, type Ip, type Prefix, parseIp as parseKnownGood } from "../runtime/net/ip.ts";
import type { Mac } from "../runtime/net/mac.ts";

/** `reason` completes "`text` is not an address: ..."; `instead` is what was probably meant. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string; readonly instead?: string };

const ok = <T>(value: T): Parsed<T> => ({ ok: true, value });
const bad = (reason: string, instead?: string) =>
  ({ ok: false, reason, ...(instead === undefined ? {} : { instead }) }) as const;

export function parseIp(text: string): Parsed<Ip> {
  const value = parseKnownGood(text);
  return value !== null ? ok(value) : text.includes(":") ? ipv6Fault(text) : ipv4Fault(text);
}

/** Host bits are kept: `10.0.0.1/24` is an address of a device as well as a sloppy network. */
export function parsePrefix(text: string): Parsed<Prefix> {
  const slash = text.indexOf("/");
  if (slash < 0) {
    const ip = parseIp(text);
    return ip.ok ? ok({ address: ip.value, length: bitsOf(familyOf(ip.value)) }) : ip;
  }
  const lengthText = text.slice(slash + 1);
  const ip = parseIp(text.slice(0, slash));
  if (!ip.ok) return ip.instead === undefined ? ip : { ...ip, instead: `${ip.instead}/${lengthText}` };
  const bits = bitsOf(familyOf(ip.value));
  const length = prefixLength(lengthText, bits);
  return typeof length === "number" ? ok({ address: ip.value, length }) : withAddress(length, text.slice(0, slash));
}

type Fault = ReturnType<typeof bad>;

const withAddress = (fault: Fault, address: string): Fault =>
  fault.instead === undefined ? fault : { ...fault, instead: `${address}/${fault.instead}` };

function prefixLength(text: string, bits: 32 | 128): number | Fault {
  if (text === "") return bad("the prefix length behind `/` is missing");
  const mask = text.includes(".") ? parseKnownGood(text) : null;
  if (typeof mask === "number" && bits === 32)
    return bad("a netmask, where a prefix length is written", maskLength(mask));
  if (!/^\d+$/.test(text)) return bad(`\`${text}\` is not a prefix length`);
  if (/^0./.test(text)) return bad(`prefix length ${text} has a leading zero`, text.replace(/^0+(?=.)/, ""));
  const length = Number(text);
  if (length > bits) return bad(`prefix length ${text} is larger than ${bits}`);
  return length;
}

/** "24" of 255.255.255.0; undefined for a mask with holes. */
function maskLength(mask: number): string | undefined {
  const zeros = Math.clz32(~mask);
  return mask === (zeros === 0 ? 0 : (0xffffffff << (32 - zeros)) >>> 0) ? String(zeros) : undefined;
}

function ipv4Fault(text: string): Fault {
  if (text === "") return bad("it is empty");
  if (text.includes("%")) return bad("a zone belongs behind IPv6 addresses; say the device with `dev`");
  if (!/^[\d.]+$/.test(text)) return bad("an IPv4 address is four numbers with dots, an IPv6 address has colons");
  const octets = text.split(".");
  if (octets.includes("")) return bad("there is no number between two dots or at an end");
  for (const octet of octets) {
    if (/^0./.test(octet)) return bad(`octet ${octet} has a leading zero, which some readers take for octal`);
    if (Number(octet) > 255) return bad(`octet ${octet} is larger than 255`);
  }
  const zeros = Math.max(0, 4 - octets.length);
  if (zeros === 0) return bad(`it has ${octets.length} octets instead of 4`);
  return bad(`it has ${octets.length} of 4 octets`, [...octets, ...Array<string>(zeros).fill("0")].join("."));
}

function ipv6Fault(text: string): Fault {
  const zone = text.indexOf("%");
  if (zone >= 0) {
    const address = text.slice(0, zone);
    const instead = parseKnownGood(address) === null ? undefined : address;
    return bad(`\`${text.slice(zone)}\` is a zone; say the device with \`dev\``, instead);
  }
  const strange = /[^0-9a-fA-F:.]/.exec(text);
  if (strange !== null) return bad(`\`${strange[0]}\` is not a hexadecimal digit`);
  if (text.includes(":::")) return bad("three colons in a row");
  const halves = text.split("::");
  if (halves.length > 2) return bad("`::` may stand once only");
  if (/^:[^:]|[^:]:$/.test(text)) return bad("a single colon at an end");
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  const dotted = groups.findIndex((group) => group.includes("."));
  if (dotted >= 0) {
    if (dotted !== groups.length - 1) return bad("a dotted IPv4 address may stand at the end only");
    const tail = parseIp(groups[dotted]);
    if (!tail.ok) return bad(`in the dotted tail: ${tail.reason}`);
  }
  const long = groups.find((group) => !group.includes(".") && group.length > 4);
  if (long !== undefined) return bad(`group ${long} has more than 4 digits`);
  const count = groups.length + (dotted >= 0 ? 1 : 0);
  if (halves.length === 1 && count < 8) return bad(`it has ${count} of 8 groups, and no \`::\` for the others`);
  return bad(
    halves.length === 1
      ? `it has ${count} groups instead of 8`
      : `\`::\` stands for no group: there are ${count} already`,
  );
}

const MAC = /^[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}$/;

/** Six groups cannot be an IPv6 address, so an `address` in this form is a link-layer address. */
export const looksLikeMac = (text: string): boolean => MAC.test(text);

export function parseMac(text: string): Parsed<Mac> {
  if (MAC.test(text)) return ok(Number.parseInt(text.replaceAll(":", ""), 16));
  const digits = text.replaceAll(/[-.]/g, "").toLowerCase();
  const meant = /^[0-9a-f]{12}$/.test(digits) ? digits.replace(/(..)(?!$)/g, "$1:") : undefined;
  return bad("those are six bytes of two hexadecimal digits with colons", meant);
}
