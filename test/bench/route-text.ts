/**
 * `PREFIX NUMBER` a line, a million lines: numbers straight from the bytes. What is written as programs write it is read here;
 * any other line (comments, blanks, `::ffff:1.2.3.4`, and all that is wrong) goes to `parseRoute`, the slow twin.
 *
 *   10.1.0.0/16 7          2001:db8::/32 7
 */
import { type PrefixColumns, wordsOf } from "../../runtime/lpm/columns.ts";
import type { LpmEntry } from "../../runtime/lpm/lpm.ts";
import { bitsOf, type Family, familyOf, network, parseIp } from "../../runtime/net/ip.ts";

const LINE = 10;
const SPACE = 32;
const SLASH = 47;
const DOT = 46;
const COLON = 58;

/**
 * @param wrong called with the number of each line (1 is the first) that is not a route, and what it says
 * @returns the routes of a family, in order
 */
export function readRouteText(bytes: Uint8Array, family: Family, wrong: (line: number, words: string) => void) {
  let lines = 1;
  for (let at = bytes.indexOf(LINE); at >= 0; at = bytes.indexOf(LINE, at + 1)) lines++;
  const width = wordsOf(family);
  const words = new Uint32Array(lines * width);
  const lengths = new Uint8Array(lines);
  const values = new Uint32Array(lines);
  const scanner = new Scanner(bytes);
  let count = 0;
  for (let line = 1; line <= lines; line++) {
    const start = scanner.at;
    if (!scanner.line()) {
      const end = bytes.indexOf(LINE, start);
      scanner.at = end < 0 ? bytes.length : end + 1;
      const text = new TextDecoder().decode(bytes.subarray(start, end < 0 ? bytes.length : end));
      const content = text.replace(/#.*/, "").trim();
      if (content === "") continue;
      const entry = parseRoute(content);
      if (entry === null) wrong(line, content);
      if (entry === null || !scanner.takes(entry)) continue;
    }
    if (scanner.family !== family) continue;
    for (let w = 0; w < width; w++) words[width * count + w] = scanner.words[w];
    lengths[count] = scanner.length;
    values[count++] = scanner.value;
  }
  const columns: PrefixColumns = {
    family,
    words: words.subarray(0, width * count),
    lengths: lengths.subarray(0, count),
    values: values.subarray(0, count),
  };
  return columns;
}

/** The words of a line as a route; null when they are none. */
export function parseRoute(words: string): LpmEntry | null {
  const [prefix, number, ...rest] = words.split(/\s+/);
  const [ip, bits, ...more] = prefix.split("/");
  const address = parseIp(ip);
  const isNumber = (text: string | undefined): boolean => text !== undefined && /^\d+$/.test(text);
  if (address === null || rest.length > 0 || more.length > 0 || !isNumber(bits) || !isNumber(number)) return null;
  const [length, value] = [Number(bits), Number(number)];
  if (value < 1 || value >= 2 ** 31 || length > bitsOf(familyOf(address))) return null;
  return network(address, length) === address ? { address, length, value } : null;
}

/** Reads a line in the plain form, and says no, wherever it then stands, to any other. */
class Scanner {
  at = 0;
  family: Family = 4;
  readonly words = new Uint32Array(4);
  length = 0;
  value = 0;
  readonly #bytes: Uint8Array;
  readonly #groups = new Uint16Array(8);

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** As if it had read the route. */
  takes({ address, length, value }: LpmEntry): true {
    this.family = familyOf(address);
    this.length = length;
    this.value = value;
    if (typeof address === "number") this.words[0] = address;
    else for (let w = 0; w < 4; w++) this.words[w] = Number((address >> BigInt(96 - 32 * w)) & 0xffffffffn);
    return true;
  }

  line(): boolean {
    const start = this.at;
    if (this.#ipv4()) this.family = 4;
    else {
      this.at = start;
      if (!this.#ipv6()) return false;
      this.family = 6;
    }
    if (this.#bytes[this.at++] !== SLASH) return false;
    this.length = this.#number(3);
    if (this.length < 0 || this.length > bitsOf(this.family) || this.#hasHostBits()) return false;
    if (this.#bytes[this.at++] !== SPACE) return false;
    this.value = this.#number(10);
    if (this.value < 1 || this.value >= 2 ** 31) return false;
    return this.at === this.#bytes.length || this.#bytes[this.at++] === LINE;
  }

  /** Decimal, without zeros in front; -1 when there is none of at most so many digits. */
  #number(most: number): number {
    const start = this.at;
    let n = 0;
    for (let digit = this.#bytes[this.at] - 48; digit >= 0 && digit <= 9; digit = this.#bytes[++this.at] - 48)
      n = n * 10 + digit;
    const digits = this.at - start;
    return digits === 0 || digits > most || (digits > 1 && this.#bytes[start] === 48) ? -1 : n;
  }

  #ipv4(): boolean {
    let ip = 0;
    for (let i = 0; i < 4; i++) {
      if (i > 0 && this.#bytes[this.at++] !== DOT) return false;
      const octet = this.#number(3);
      if (octet < 0 || octet > 255) return false;
      ip = (ip << 8) | octet;
    }
    this.words[0] = ip;
    return true;
  }

  #ipv6(): boolean {
    const bytes = this.#bytes;
    const groups = this.#groups.fill(0);
    let count = 0;
    let gap = -1; // groups in front of the "::"
    let wantsGroup = false; // behind a single colon
    if (bytes[this.at] === COLON && bytes[this.at + 1] === COLON) {
      gap = 0;
      this.at += 2;
    }
    while (count < 8) {
      const group = this.#hex();
      if (group < 0) break;
      groups[count++] = group;
      wantsGroup = false;
      if (bytes[this.at] !== COLON) break;
      this.at++;
      if (bytes[this.at] !== COLON) wantsGroup = true;
      else if (gap >= 0) return false;
      else {
        gap = count;
        this.at++;
      }
    }
    if (wantsGroup || (gap < 0 ? count !== 8 : count === 8)) return false;
    if (gap >= 0) {
      groups.copyWithin(8 - (count - gap), gap, count);
      groups.fill(0, gap, 8 - (count - gap));
    }
    for (let w = 0; w < 4; w++) this.words[w] = (groups[2 * w] << 16) | groups[2 * w + 1];
    return true;
  }

  /** One to four digits; -1 when there are none, or more. */
  #hex(): number {
    const start = this.at;
    let n = 0;
    for (let digit = hexDigit(this.#bytes[this.at]); digit >= 0; digit = hexDigit(this.#bytes[++this.at]))
      n = (n << 4) | digit;
    const digits = this.at - start;
    return digits === 0 || digits > 4 ? -1 : n;
  }

  #hasHostBits(): boolean {
    for (let w = 0; w < (this.family === 4 ? 1 : 4); w++) {
      const bits = this.length - 32 * w;
      const host = bits <= 0 ? 0xffffffff : bits >= 32 ? 0 : 0xffffffff >>> bits;
      if ((this.words[w] & host) !== 0) return true;
    }
    return false;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
