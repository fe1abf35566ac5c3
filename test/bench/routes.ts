/** Routes from a file: `PREFIX NUMBER` a line, `#` begins a comment, gzip where the first bytes say so. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { columnsOf, type PrefixColumns } from "../../runtime/lpm/columns.ts";
import type { LpmEntry } from "../../runtime/lpm/lpm.ts";
import { bitsOf, type Family, familyOf, network, parseIp } from "../../runtime/net/ip.ts";

/** What is wrong with a file, with its line. */
export class RoutesError extends Error {}

/** @returns the routes of a family; of a prefix that stands there twice the last */
export function readRoutes(path: string, family: Family): PrefixColumns {
  const raw = readFileSync(path);
  const text = (raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw).toString();
  const entries = new Map<string, LpmEntry>();
  text.split("\n").forEach((line, i) => {
    const words = line.replace(/#.*/, "").trim();
    if (words === "") return;
    const entry = parseRoute(words);
    if (entry === null) throw new RoutesError(`${path}:${i + 1}: not a prefix and a number: ${words}`);
    if (familyOf(entry.address) === family) entries.set(words.split(/\s/, 1)[0], entry);
  });
  return columnsOf(family, [...entries.values()]);
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
