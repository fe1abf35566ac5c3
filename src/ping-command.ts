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
  if (words.shift() !== "ping" || /[|&;<>()$`"'\\*?]/.test(text))
    return { unsupported: `not a plain ping command: ${text}` };
  const numbers: Partial<Record<(typeof NUMERIC)[string][0], number>> = {};
  let [device, source] = ["", 0];
  let destination: Ipv4 | null = null;
  while (words.length > 0) {
    const word = words.shift() as string;
    const letter = word[1] ?? "";
    if (!word.startsWith("-")) {
      const address = parseIp(word);
      if (typeof address !== "number" || destination !== null) return { unsupported: `destination ${word}` };
      destination = address;
    } else if (word.length === 2 && SILENT.has(letter)) {
    } else if (letter === "I" || letter in NUMERIC) {
      const value = word.slice(2) || words.shift() || "";
      const address = parseIp(value);
      if (letter === "I" && typeof address === "number") source = address;
      else if (letter === "I" && address === null && value !== "") device = value;
      else if (letter === "I") return { unsupported: `ping -I ${value}` };
      else {
        const [key, low, high] = NUMERIC[letter];
        const number = value === "" ? Number.NaN : Number(value);
        if (!(number >= low && number <= high)) return { unsupported: `ping -${letter} ${value}` };
        numbers[key] = number;
      }
    } else return { unsupported: `ping option ${word}` };
  }
  if (destination === null) return { unsupported: "ping without a destination" };
  const { count = 1, timeout, ttl, mark, size, tos } = numbers;
  if (!text.includes("-c")) return { unsupported: "ping without -c never ends" };
  return { namespace, destination, device, source, count, timeout, ttl, mark, size, tos };
}
