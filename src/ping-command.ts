/**
 * A ping command line as scenarios have it: `[ip netns exec NS] ping [options] ADDRESS`, iputils' options in getopt's
 * spelling (`-c1` and `-c 1`), anywhere in the line.
 */
import { familyOf, type Ip, parseIp } from "../runtime/net/ip.ts";
import { isLinkLocal6, isMulticast6 } from "../runtime/net/ipv6.ts";

export interface PingCommand {
  /** "." is the root namespace. */
  readonly namespace: string;
  readonly destination: Ip;
  /** As it is written. */
  readonly hostname: string;
  /** `%NAME` behind a link-local destination, empty: none. */
  readonly zone: string;
  /** `-I NAME`, empty: none. */
  readonly device: string;
  /** `-I ADDRESS`, of the destination's family; 0: none. */
  readonly source: Ip;
  readonly count: number;
  /** `-W`, seconds. */
  readonly timeout: number | undefined;
  readonly ttl: number | undefined;
  readonly mark: number | undefined;
  readonly size: number | undefined;
  readonly tos: number | undefined;
}

/** Options that say something numeric, with the range in which they mean what we do with them. */
const NUMERIC: Readonly<
  Record<string, readonly ["count" | "timeout" | "ttl" | "mark" | "size" | "tos", number, number]>
> = {
  c: ["count", 1, 1000],
  W: ["timeout", 0.001, 1000],
  t: ["ttl", 1, 255],
  m: ["mark", 0, 0xffffffff],
  s: ["size", 0, 65_507],
  Q: ["tos", 0, 255],
};
/** Change only what is printed. */
const SILENT = new Set(["n", "q"]);

/** @returns the command, or why it is not one that can be answered */
export function parsePingCommand(text: string): PingCommand | { readonly unsupported: string } {
  const words = text.trim().split(/\s+/);
  const namespace = words[0] === "ip" && words[1] === "netns" && words[2] === "exec" ? words.splice(0, 4)[3] : ".";
  if (words.shift() !== "ping" || SHELL_SYNTAX.test(text)) return { unsupported: `not a plain ping command: ${text}` };
  const draft: Draft = { device: "", source: 0, destination: null, hostname: "", zone: "", family: null };
  while (words.length > 0) {
    const word = words.shift() as string;
    const problem = word.startsWith("-") ? takeOption(draft, word, words) : takeDestination(draft, word);
    if (problem !== null) return { unsupported: problem };
  }
  const { destination, count, family, source, ...rest } = draft;
  if (destination === null) return { unsupported: "ping without a destination" };
  if (family !== null && family !== familyOf(destination))
    return { unsupported: `ping -${family} of the other family` };
  if (source !== 0 && familyOf(source) !== familyOf(destination)) return { unsupported: "ping -I of the other family" };
  if (count === undefined) return { unsupported: "ping without -c never ends" };
  return { namespace, destination, count, source, ...NO_NUMBERS, ...rest };
}

const SHELL_SYNTAX = /[|&;<>()$`"'\\*?]/;

const NO_NUMBERS = { timeout: undefined, ttl: undefined, mark: undefined, size: undefined, tos: undefined };

type Draft = { -readonly [K in (typeof NUMERIC)[string][0]]?: number } & {
  device: string;
  source: Ip;
  destination: Ip | null;
  hostname: string;
  zone: string;
  /** `-4`, `-6`. */
  family: 4 | 6 | null;
};

function takeDestination(draft: Draft, word: string): string | null {
  const { address, zone } = zoned(word);
  const isOfLink = typeof address === "bigint" && (isLinkLocal6(address) || isMulticast6(address));
  const isRefused = address === null || isV4Mapped(address) || (zone !== "" && !isOfLink);
  if (isRefused || draft.destination !== null) return `ping destination ${word}`;
  Object.assign(draft, { destination: address, hostname: word, zone });
  return null;
}

/** @param rest the words that follow; an option's value is taken from it @returns what is wrong, or null */
function takeOption(draft: Draft, word: string, rest: string[]): string | null {
  const letter = word[1] ?? "";
  if (word === "-4" || word === "-6") draft.family = word === "-4" ? 4 : 6;
  if (word === "-4" || word === "-6") return null;
  if (word.length === 2 && SILENT.has(letter)) return null;
  if (letter !== "I" && !Object.hasOwn(NUMERIC, letter)) return `ping option ${word}`;
  const value = word.slice(2) || rest.shift() || "";
  return letter === "I" ? takeBinding(draft, value) : takeNumber(draft, letter, value);
}

/** `-I` may stand twice, for a device and an address. */
function takeBinding(draft: Draft, value: string): string | null {
  const { address, zone } = zoned(value);
  if (address !== null && isV4Mapped(address)) return `ping -I ${value}`;
  if (address === null && (value === "" || value.includes(":"))) return `ping -I ${value}`;
  if (address === null) draft.device = value;
  else draft.source = address;
  // An address with a zone stands for the device, too.
  if (address !== null && zone !== "") draft.device = zone;
  return null;
}

/** An address, of IPv6 with `%DEVICE` behind it. */
function zoned(word: string): { address: Ip | null; zone: string } {
  const [text, zone = ""] = word.includes(":") ? word.split("%", 2) : [word];
  return { address: parseIp(text), zone };
}

/** An IPv4 address in IPv6's clothes (::ffff:a.b.c.d): not a matter of either path. */
const isV4Mapped = (address: Ip): boolean => typeof address === "bigint" && address >> 32n === 0xffffn;

function takeNumber(draft: Draft, letter: string, value: string): string | null {
  const [key, low, high] = NUMERIC[letter];
  const number = value === "" ? Number.NaN : Number(value);
  if (!(number >= low && number <= high)) return `ping -${letter} ${value}`;
  draft[key] = number;
  return null;
}
