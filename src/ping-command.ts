/**
 * A ping command line as scenarios have it: `[ip netns exec NS] ping [options] ADDRESS`, iputils' options in getopt's
 * spelling (`-c1` and `-c 1`), anywhere in the line.
 */
import { type Ipv4, parseIp } from "../runtime/net/ip.ts";

export interface PingCommand {
  /** "." is the root namespace. */
  readonly namespace: string;
  readonly destination: Ipv4;
  /** `-I NAME`, empty: none. */
  readonly device: string;
  /** `-I ADDRESS`, 0: none. */
  readonly source: Ipv4;
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
const SILENT = new Set(["n", "q", "4"]);

/** @returns the command, or why it is not one that can be answered */
export function parsePingCommand(text: string): PingCommand | { readonly unsupported: string } {
  const words = text.trim().split(/\s+/);
  const namespace = words[0] === "ip" && words[1] === "netns" && words[2] === "exec" ? words.splice(0, 4)[3] : ".";
  if (words.shift() !== "ping" || SHELL_SYNTAX.test(text)) return { unsupported: `not a plain ping command: ${text}` };
  const draft: Draft = { device: "", source: 0, destination: null };
  while (words.length > 0) {
    const word = words.shift() as string;
    const problem = word.startsWith("-") ? takeOption(draft, word, words) : takeDestination(draft, word);
    if (problem !== null) return { unsupported: problem };
  }
  const { destination, count, device, source, timeout, ttl, mark, size, tos } = draft;
  if (destination === null) return { unsupported: "ping without a destination" };
  if (count === undefined) return { unsupported: "ping without -c never ends" };
  return { namespace, destination, device, source, count, timeout, ttl, mark, size, tos };
}

const SHELL_SYNTAX = /[|&;<>()$`"'\\*?]/;

type Draft = { -readonly [K in (typeof NUMERIC)[string][0]]?: number } & {
  device: string;
  source: Ipv4;
  destination: Ipv4 | null;
};

function takeDestination(draft: Draft, word: string): string | null {
  const address = parseIp(word);
  if (typeof address !== "number" || draft.destination !== null) return `ping destination ${word}`;
  draft.destination = address;
  return null;
}

/** @param rest the words that follow; an option's value is taken from it @returns what is wrong, or null */
function takeOption(draft: Draft, word: string, rest: string[]): string | null {
  const letter = word[1] ?? "";
  if (word.length === 2 && SILENT.has(letter)) return null;
  if (letter !== "I" && !Object.hasOwn(NUMERIC, letter)) return `ping option ${word}`;
  const value = word.slice(2) || rest.shift() || "";
  return letter === "I" ? takeBinding(draft, value) : takeNumber(draft, letter, value);
}

/** `-I` may stand twice, for a device and an address. */
function takeBinding(draft: Draft, value: string): string | null {
  const address = parseIp(value);
  if (typeof address === "number") draft.source = address;
  else if (address === null && value !== "") draft.device = value;
  else return `ping -I ${value}`;
  return null;
}

function takeNumber(draft: Draft, letter: string, value: string): string | null {
  const [key, low, high] = NUMERIC[letter];
  const number = value === "" ? Number.NaN : Number(value);
  if (!(number >= low && number <= high)) return `ping -${letter} ${value}`;
  draft[key] = number;
  return null;
}
