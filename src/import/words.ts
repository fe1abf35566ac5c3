/**
 * The words of one command, read as iproute2 reads them: from left to right, keywords by any prefix (iproute2's
 * `matches()`: `ip l s eth0 up`), numbers in decimal, hexadecimal or octal, addresses with or without a length.
 *
 * Inside a command, what Linux or iproute2 would refuse is thrown as `Refused`, what vrfc has no words for as
 * `Unsupported`. Both are caught where the command is run (import.ts), so nothing leaves the importer by an exception.
 */
import type { Spanned } from "../../dsl/ast.ts";
import type { Label } from "../../dsl/diagnostic.ts";
import type { Span } from "../../dsl/span.ts";
import { bitsOf, type Family, familyOf, type Ip, mask4, type Prefix } from "../../runtime/net/ip.ts";
import type { Mac } from "../../runtime/net/mac.ts";
import type { Word } from "./shell.ts";

/** Linux (or the tool, before it asks Linux) would refuse this command; `message` is what it says, verbatim. */
export class Refused extends Error {
  /** Where; the whole command when absent. */
  readonly at: Span | undefined;
  /** The line that is in the way. */
  readonly because: Label | undefined;
  constructor(kernel: string, at?: Span, because?: Label) {
    super(kernel);
    this.at = at;
    this.because = because;
  }
}

/** vrfc cannot say this; `message` completes "not imported: …". */
export class Unsupported extends Error {
  readonly at: Span | undefined;
  readonly because: Label | undefined;
  constructor(what: string, at?: Span, because?: Label) {
    super(what);
    this.at = at;
    this.because = because;
  }
}

/** Words of rtnetlink errors as iproute2 prints them (`rtnl_talk`: extended error, else strerror). */
export const Errno = {
  EEXIST: "RTNETLINK answers: File exists",
  ENOENT: "RTNETLINK answers: No such file or directory",
  ESRCH: "RTNETLINK answers: No such process",
  EINVAL: "RTNETLINK answers: Invalid argument",
  EACCES: "RTNETLINK answers: Permission denied",
  EBUSY: "RTNETLINK answers: Device or resource busy",
  EOPNOTSUPP: "RTNETLINK answers: Operation not supported",
  EADDRNOTAVAIL: "RTNETLINK answers: Cannot assign requested address",
  EHOSTUNREACH: "RTNETLINK answers: No route to host",
} as const;

/** iproute2's `matches`: the word is a prefix of the keyword. */
export const matches = (word: string, keyword: string): boolean => word !== "" && keyword.startsWith(word);

/** First keyword of the list that the word abbreviates, in iproute2's order of comparison. */
export function choose<T extends string>(word: string, keywords: readonly T[]): T | null {
  return keywords.find((keyword) => matches(word, keyword)) ?? null;
}

/**
 * The keyword that a word is, in iproute2's order of comparison: an entry with `*` at its end is known by any prefix,
 * the others by themselves only. `keywordOf("pri", ["prio", "protocol*"])` is null, of `"pro"` it is "protocol".
 */
export function keywordOf(word: string, keywords: readonly string[]): string | null {
  for (const entry of keywords) {
    const isPrefixed = entry.endsWith("*");
    const keyword = isPrefixed ? entry.slice(0, -1) : entry;
    if (isPrefixed ? matches(word, keyword) : word === keyword) return keyword;
  }
  return null;
}

/** A cursor over the words that are left. */
export class Words {
  private position = 0;
  readonly list: readonly Word[];
  constructor(list: readonly Word[]) {
    this.list = list;
  }

  get isDone(): boolean {
    return this.position >= this.list.length;
  }

  peek(): Word | undefined {
    return this.list[this.position];
  }

  /** The next word; iproute2's NEXT_ARG, which ends the command when there is none. */
  next(): Word {
    const word = this.list[this.position];
    if (word === undefined) throw new Refused('Command line is not complete. Try option "help"');
    this.position++;
    return word;
  }

  /** Takes the next word if it is exactly one of these. */
  take(...texts: readonly string[]): boolean {
    const word = this.peek();
    if (word === undefined || !texts.includes(word.text)) return false;
    this.position++;
    return true;
  }

  /** Where the last word taken ends. */
  get lastEnd(): number {
    return this.list[this.position - 1]?.span.end ?? 0;
  }

  rest(): readonly Word[] {
    return this.list.slice(this.position);
  }
}

const wrong = (word: Word, why: string) => new Refused(`Error: argument "${word.text}" is wrong: ${why}`, word.span);

/** `strtoul(…, 0)`: decimal, 0x…, 0…; null when it is none of them. */
export function parseNumber(text: string, max = 0xffffffff): number | null {
  const value = /^0x[0-9a-f]+$/i.test(text)
    ? Number.parseInt(text, 16)
    : /^0[0-7]*$/.test(text)
      ? Number.parseInt(text, 8)
      : /^[1-9]\d*$/.test(text)
        ? Number.parseInt(text, 10)
        : Number.NaN;
  return Number.isFinite(value) && value <= max ? value : null;
}

/** A number argument; `why` are iproute2's words for a wrong one. */
export function numberWord(word: Word, why: string, max = 0xffffffff): Spanned<number> {
  const value = parseNumber(word.text, max);
  if (value === null) throw wrong(word, why);
  return { value, span: word.span };
}

/** Dotted quad; iproute2's get_addr_ipv4 also takes fewer bytes and fills up with zeros: `10` is 10.0.0.0. */
function parseIpv4(text: string): number | null {
  if (!/^\d{1,3}(\.\d{1,3}){0,3}$/.test(text)) return null;
  const bytes = text.split(".").map(Number);
  if (bytes.some((byte) => byte > 255)) return null;
  return [0, 1, 2, 3].reduce((value, i) => value * 256 + (bytes[i] ?? 0), 0);
}

function parseIpv6(text: string): bigint | null {
  if (!text.includes(":") || !/^[0-9a-f:.]+$/i.test(text) || /:::|::.*::/.test(text)) return null;
  // An embedded IPv4 address is two groups.
  const embedded = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const quad = embedded === null ? null : parseIpv4(embedded[2]);
  if (embedded !== null && quad === null) return null;
  const hex =
    embedded === null || quad === null
      ? text
      : `${embedded[1]}${(quad >>> 16).toString(16)}:${(quad & 0xffff).toString(16)}`;
  const [head, tail] = hex.split("::");
  const groups = (part: string | undefined): string[] => (part === undefined || part === "" ? [] : part.split(":"));
  const [before, after] = [groups(head), groups(tail)];
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const all = [...before, ...Array.from({ length: missing }, () => "0"), ...after];
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

export const parseIp = (text: string): Ip | null => (text.includes(":") ? parseIpv6(text) : parseIpv4(text));

/** What iproute2 expects to see: `inet` after -4, `inet6` after -6. */
const familyName = (family: Family | null): string => (family === null ? "any valid" : family === 4 ? "inet" : "inet6");

/** An address argument without a length; of one family after `-4` or `-6`. */
export function addressWord(word: Word, family: Family | null = null): Spanned<Ip> {
  const value = parseIp(word.text);
  if (value === null || (family !== null && familyOf(value) !== family))
    throw new Refused(`Error: ${familyName(family)} address is expected rather than "${word.text}".`, word.span);
  return { value, span: word.span };
}

/** `default`, `any` and `all` are null; a missing length is the full one; `255.255.255.0` works as a length. */
export function prefixWord(word: Word, family: Family | null = null): Spanned<Prefix | null> {
  if (["default", "any", "all"].includes(word.text)) return { value: null, span: word.span };
  const [addressText, lengthText, more] = word.text.split("/");
  const address = parseIp(addressText);
  const bits = address === null ? 32 : bitsOf(familyOf(address));
  const length = lengthText === undefined ? bits : (maskLength(lengthText) ?? parseNumber(lengthText, bits));
  const isOther = address !== null && family !== null && familyOf(address) !== family;
  if (address === null || length === null || more !== undefined || isOther)
    throw new Refused(`Error: ${familyName(family)} prefix is expected rather than "${word.text}".`, word.span);
  return { value: { address, length }, span: word.span };
}

/** `maskLength("255.255.255.0")` is 24; null for what is no netmask. */
export function maskLength(text: string): number | null {
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(text)) return null;
  const mask = parseIpv4(text);
  for (let length = 0; length <= 32; length++) if (mask === mask4(length)) return length;
  return null;
}

/** `short` makes the refusal of one that is well-formed, but not of six bytes. */
export function macWord(
  word: Word,
  short = (_bytes: number): string => `"${word.text}" is invalid lladdr.`,
): Spanned<Mac> {
  const bytes = word.text.split(":");
  if (bytes.length > 1 && bytes.length !== 6 && bytes.every((byte) => /^[0-9a-f]{1,2}$/i.test(byte)))
    throw new Refused(short(bytes.length), word.span);
  if (bytes.length !== 6 || !bytes.every((byte) => /^[0-9a-f]{1,2}$/i.test(byte)))
    throw new Refused(`"${word.text}" is invalid lladdr.`, word.span);
  return { value: bytes.reduce((value, byte) => value * 256 + Number.parseInt(byte, 16), 0), span: word.span };
}

/** rt_tables of every distribution; a script can add to it (`echo "100 red" >> /etc/iproute2/rt_tables`). */
const WELL_KNOWN_TABLES: Readonly<Record<string, number>> = { unspec: 0, default: 253, main: 254, local: 255 };

export type TableNames = Map<string, number>;
export const tableNames = (): TableNames => new Map(Object.entries(WELL_KNOWN_TABLES));

/** A table argument: number or name; `why` are iproute2's words. */
export function tableWord(word: Word, names: TableNames, why: string): Spanned<number> {
  const value = names.get(word.text) ?? parseNumber(word.text);
  if (value === null) throw wrong(word, why);
  return { value, span: word.span };
}

/** How a table is written in vrfc: the kernel's own by name, others by number. */
export function tableText(table: number): string {
  return Object.entries(WELL_KNOWN_TABLES).find(([, id]) => id === table && id !== 0)?.[0] ?? `${table}`;
}

const SCOPES = new Map(Object.entries({ global: 0, site: 200, link: 253, host: 254, nowhere: 255 }));

export function scopeWord(word: Word, why: string): Spanned<number> & { readonly name: string } {
  const value = SCOPES.get(word.text) ?? parseNumber(word.text, 255);
  if (value === null) throw wrong(word, why);
  return { value, name: word.text, span: word.span };
}

/** /etc/iproute2/rt_dsfield: the names that scripts use. */
const DSFIELDS = new Map(Object.entries({ default: 0, lowdelay: 0x10, throughput: 0x08, reliability: 0x04 }));

/** rtnl_dsfield_a2n reads hexadecimal, with or without 0x: `tos 10` is 0x10. */
export function tosWord(word: Word, why: string): Spanned<number> {
  const hex = /^(0x)?[0-9a-f]{1,2}$/i.test(word.text) ? Number.parseInt(word.text, 16) : null;
  const value = DSFIELDS.get(word.text) ?? hex;
  if (value === null) throw wrong(word, why);
  return { value, span: word.span };
}

/** Device groups by name as in /etc/iproute2/group. */
export function groupWord(word: Word, why: string): Spanned<number> {
  return word.text === "default" ? { value: 0, span: word.span } : numberWord(word, why);
}
