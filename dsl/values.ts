/**
 * From a word of the text to what it says. Each reader reports a word that it cannot read and answers something harmless:
 * the statement is broken then and its values are not used.
 */
import type { IToken } from "chevrotain";
import { bitsOf, type Family, familyOf, type Ip, type Prefix } from "../runtime/net/ip.ts";
import type { Mac } from "../runtime/net/mac.ts";
import { type Parsed, parseIp, parseMac, parsePrefix } from "./address.ts";
import type { Endpoint, Name, NextHopObject, Range, Spanned } from "./ast.ts";
import { ipProtocolNumber } from "./ip-protocols.ts";
import { suggest } from "./suggest.ts";
import type { SyntaxCode } from "./syntax-codes.ts";
import { didYouMean, replaceBy, type SyntaxReport, spanOf } from "./syntax-report.ts";
import { textOf } from "./tokens.ts";

export const MAX_U32 = 0xffffffff;

const spanned = <T>(token: IToken, value: T): Spanned<T> => ({ value, span: spanOf(token) });

export const name = (token: IToken): Name => spanned(token, textOf(token));

/** How a number fails to be one; the numbers of Linux' interfaces are unsigned and of 32 bits unless said otherwise. */
type NumberFault = { readonly reason: string; readonly hint: string; readonly instead?: string };
const NUMBER_FORM = "a number: decimal, or hexadecimal with `0x`";

function readNumber(text: string, max: number): number | NumberFault {
  if (/^0\d+$/.test(text)) {
    const octal = /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : null;
    const instead = text.replace(/^0+(?=\d)/, "");
    return {
      reason: `has a leading zero${octal === null ? "" : `, and iproute2 would read ${octal}`}`,
      hint: "",
      instead,
    };
  }
  if (!/^(\d+|0x[0-9a-fA-F]+)$/.test(text)) return { reason: "is not a number", hint: `expected ${NUMBER_FORM}` };
  const value = Number(text);
  return value <= max ? value : { reason: `is larger than ${max}`, hint: `at most ${max}` };
}

export function number(report: SyntaxReport, token: IToken, max = MAX_U32): Spanned<number> {
  const text = textOf(token);
  const value = readNumber(text, max);
  if (typeof value === "number") return spanned(token, value);
  report.error(token, "E0110", `\`${text}\` ${value.reason}`, {
    label: value.hint,
    help: value.instead === undefined ? [] : [replaceBy(token, value.instead)],
  });
  return spanned(token, 0);
}

/** `1000` or, as `ip rule show` prints it, `1000:`. */
export function preference(report: SyntaxReport, token: IToken): Spanned<number> {
  return number(report, { ...token, image: token.image.replace(/:$/, "") });
}

function address<T>(
  report: SyntaxReport,
  token: IToken,
  code: SyntaxCode,
  what: string,
  parsed: Parsed<T>,
  other: T,
): Spanned<T> {
  if (parsed.ok) return spanned(token, parsed.value);
  report.error(token, code, `\`${textOf(token)}\` is not ${what}: ${parsed.reason}`, {
    help: parsed.instead === undefined ? [] : [replaceBy(token, parsed.instead)],
  });
  return spanned(token, other);
}

export function ip(report: SyntaxReport, token: IToken, family?: Spanned<Family>): Spanned<Ip> {
  const parsed = parseIp(textOf(token));
  if (!parsed.ok && parsePrefix(textOf(token)).ok) {
    report.error(token, "E0111", `\`${textOf(token)}\` is a prefix, where an address is expected`, {
      help: [replaceBy(token, textOf(token).replace(/\/.*/, ""))],
    });
  }
  const value = address(report, token, "E0111", "an address", parsed, 0 as Ip);
  if (parsed.ok && family !== undefined && familyOf(value.value) !== family.value) wrongFamily(report, token, family);
  return value;
}

export function prefix(report: SyntaxReport, token: IToken): Spanned<Prefix> {
  return address(report, token, "E0112", "a prefix", parsePrefix(textOf(token)), { address: 0, length: 0 });
}

const EVERYTHING: readonly string[] = ["default", "all", "any"];

/** Null for `default`, `all` or `any`. */
export function prefixOrAll(report: SyntaxReport, token: IToken): Spanned<Prefix | null> {
  if (EVERYTHING.includes(token.image)) return spanned(token, null);
  const meant = suggest(token.image, EVERYTHING);
  if (/^[a-z]+$/i.test(token.image) && meant !== null && !parsePrefix(token.image).ok) {
    report.error(token, "E0112", `\`${token.image}\` is not a prefix`, { help: [didYouMean(token, meant)] });
  }
  return prefix(report, token);
}

export function wrongFamily(report: SyntaxReport, token: IToken, family: Spanned<Family>): void {
  const [said, found] = family.value === 4 ? ["inet", "IPv6"] : ["inet6", "IPv4"];
  report.error(token, "E0123", `\`${textOf(token)}\` is an ${found} address, after \`${said}\``, {
    label: `an ${found} address`,
    secondary: [{ span: family.span, message: `says IPv${family.value}` }],
  });
}

export function mac(report: SyntaxReport, token: IToken): Spanned<Mac> {
  return address(report, token, "E0113", "a link-layer address", parseMac(textOf(token)), 0);
}

/** iproute2 reads a TOS as hexadecimal, with `0x` or without: only what both readings agree on goes without. */
export function tos(report: SyntaxReport, token: IToken): Spanned<number> {
  const text = textOf(token);
  if (/^[0-9a-fA-F]{2}$/.test(text)) {
    const instead = `0x${text}`;
    report.error(token, "E0114", `\`${text}\` is a TOS without \`0x\``, {
      label: `iproute2 reads it as hexadecimal: ${Number(instead)}`,
      help: [replaceBy(token, instead)],
    });
  }
  return number(report, token, 0xff);
}

/** A mark without a mask is compared whole; but 0 without a mask selects nothing (kernel: fib_nl2rule). */
export function mark(report: SyntaxReport, token: IToken): Spanned<{ mark: number; mask: number }> {
  const [markText, maskText, ...more] = textOf(token).split("/");
  const read = (text: string): number => {
    const value = more.length > 0 ? { reason: "is not a mark", hint: "" } : readNumber(text, MAX_U32);
    if (typeof value === "number") return value;
    const whole = more.length > 0 ? textOf(token) : text;
    report.error(token, "E0118", `\`${whole}\` ${value.reason}`, { label: "a mark: VALUE or VALUE/MASK" });
    return 0;
  };
  const value = read(markText);
  return spanned(token, { mark: value, mask: maskText === undefined ? defaultMask(value) : read(maskText) });
}
export const defaultMask = (value: number): number => (value === 0 ? 0 : MAX_U32);

export const MAX_PORT = 0xffff;

/** `80`, `*:80`, `10.0.0.1:80`, `[2001:db8::1]:80` */
export function endpoint(report: SyntaxReport, token: IToken): Spanned<Endpoint> {
  const text = textOf(token);
  const [, host, bracketed, portText] = /^(?:(\[(.*)\]|[^:]*):)?([^:\]]*)$/.exec(text) ?? [];
  const port = portText === undefined ? null : readNumber(portText, MAX_PORT);
  const parsed = host === undefined || host === "*" ? null : parseIp(bracketed ?? host);
  const wellFormed = parsed === null || (parsed.ok && (familyOf(parsed.value) === 6) === (bracketed !== undefined));
  if (typeof port === "number" && port > 0 && wellFormed)
    return spanned(token, { address: parsed?.ok ? parsed.value : null, port });
  const whole = parseIp(text);
  const bare = whole.ok && familyOf(whole.value) === 6 && portText === undefined;
  report.error(token, "E0119", `\`${text}\` is not an address and a port`, {
    label: endpointFault(whole.ok, parsed, port),
    help: bare ? [{ message: `an IPv6 address stands in brackets: \`[${text}]:80\`` }] : [],
  });
  return spanned(token, { address: null, port: 0 });
}

function endpointFault(isAddress: boolean, parsed: Parsed<Ip> | null, port: number | NumberFault | null): string {
  if (isAddress) return "the port is missing";
  if (parsed !== null && !parsed.ok) return parsed.reason;
  if (port === 0) return "ports are 1 to 65535";
  if (port !== null && typeof port !== "number") return `the port ${port.reason}`;
  return "PORT, ADDRESS:PORT or [IPV6]:PORT";
}

export function range(report: SyntaxReport, token: IToken, max: number): Spanned<Range> {
  const text = textOf(token);
  const [first, last = first, ...more] = text.split("-").map((part) => readNumber(part, max));
  if (more.length > 0) {
    report.error(token, "E0115", `\`${text}\` is not a range`, { label: "FIRST-LAST, or a single number" });
  }
  for (const [i, bound] of [first, last].entries()) {
    if (typeof bound === "number") continue;
    const part = text.split("-")[i];
    if (part === "") report.error(token, "E0115", `the range \`${text}\` has no ${i === 0 ? "beginning" : "end"}`);
    const help = bound.instead === undefined ? [] : [replaceBy(token, text.replace(part, bound.instead))];
    report.error(token, "E0115", `\`${text}\` is not a range: \`${part}\` ${bound.reason}`, { help });
  }
  if (typeof first !== "number" || typeof last !== "number") return spanned(token, { first: 0, last: 0 });
  if (first > last) {
    report.error(token, "E0115", `the range \`${text}\` ends before it begins`, {
      help: [replaceBy(token, `${last}-${first}`)],
    });
  }
  return spanned(token, { first, last });
}

export function ipProtocol(report: SyntaxReport, token: IToken): Spanned<number> {
  const text = textOf(token);
  const known = ipProtocolNumber.get(text.toLowerCase());
  if (known !== undefined) return spanned(token, known);
  if (/^\d/.test(text)) return number(report, token, 0xff);
  const meant = suggest(text, ipProtocolNumber.keys());
  report.error(token, "E0116", `no IP protocol \`${text}\``, {
    label: "a name of protocols(5), or a number to 255",
    help: meant === null ? [] : [didYouMean(token, meant)],
  });
  return spanned(token, 0);
}

/** `ID[,WEIGHT]/ID[,WEIGHT]...` */
export function nexthopGroup(report: SyntaxReport, token: IToken): NonNullable<NextHopObject["group"]> {
  const text = textOf(token);
  let start = token.startOffset;
  return text.split("/").map((member) => {
    const span = { start, end: start + member.length };
    start = span.end + 1;
    const [id, weight = 1, ...more] = member.split(",").map((part) => readNumber(part, MAX_U32));
    if (typeof id === "number" && typeof weight === "number" && more.length === 0) {
      return { id: { value: id, span: { start: span.start, end: span.start + member.split(",")[0].length } }, weight };
    }
    report.error(token, "E0117", `\`${member}\` is not a member of a nexthop group`, {
      label: "ID or ID,WEIGHT",
      span,
    });
    return { id: { value: 0, span }, weight: 1 };
  });
}

/** A host address of the device, with the length of its subnet. */
export const isHost = (value: Prefix): boolean => value.length === bitsOf(familyOf(value.address));
