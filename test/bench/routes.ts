/** Routes from a file: `PREFIX NUMBER` a line, `#` begins a comment, gzip where the first bytes say so. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { columnsOf, type PrefixColumns, sortColumns, wordsOf } from "../../runtime/lpm/columns.ts";
import type { LpmEntry } from "../../runtime/lpm/lpm.ts";
import { bitsOf, type Family, familyOf, network, parseIp } from "../../runtime/net/ip.ts";

/** What is wrong with a file, with its line. */
export class RoutesError extends Error {}

/** @returns the routes of a family, sorted; of a prefix that stands there twice the last */
export function readRoutes(path: string, family: Family): PrefixColumns {
  const raw = readFileSync(path);
  const text = (raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw).toString("latin1");
  const entries: LpmEntry[] = [];
  let number = 0;
  for (let at = 0; at < text.length; number++) {
    const end = text.indexOf("\n", at);
    const line = text.slice(at, end < 0 ? text.length : end);
    at = end < 0 ? text.length : end + 1;
    const words = line.replace(/#.*/, "").trim();
    if (words === "") continue;
    const entry = parseRoute(words);
    if (entry === null) throw new RoutesError(`${path}:${number + 1}: not a prefix and a number: ${words}`);
    if (familyOf(entry.address) === family) entries.push(entry);
  }
  return withoutDoubles(sortColumns(columnsOf(family, entries)));
}

/** Of equal prefixes side by side the last: sorting kept their order. */
function withoutDoubles({ family, words, lengths, values }: PrefixColumns): PrefixColumns {
  const width = wordsOf(family);
  const last = (i: number): boolean => {
    if (i + 1 === lengths.length || lengths[i] !== lengths[i + 1]) return true;
    for (let w = 0; w < width; w++) if (words[i * width + w] !== words[(i + 1) * width + w]) return true;
    return false;
  };
  const kept = (_: number, i: number): boolean => last(i);
  return {
    family,
    words: words.filter((_, w) => last(Math.floor(w / width))),
    lengths: lengths.filter(kept),
    values: values.filter(kept),
  };
}

function parseRoute(words: string): LpmEntry | null {
  const [prefix, number, ...rest] = words.split(/\s+/);
  const [ip, bits, ...more] = prefix.split("/");
  const address = parseIp(ip);
  const [length, value] = [Number(bits), Number(number)];
  if (address === null || rest.length > 0 || more.length > 0 || !(value >= 1 && value < 2 ** 31)) return null;
  if (!Number.isInteger(value) || !Number.isInteger(length) || length < 0) return null;
  if (length > bitsOf(familyOf(address)) || network(address, length) !== address) return null;
  return { address, length, value };
}
