/** Routes from a file: `PREFIX NUMBER` a line (`#` begins a comment) or an MRT dump; gzip where the first bytes say so. */
import { columnsOf, type PrefixColumns, sortColumns, wordsOf } from "../../runtime/lpm/columns.ts";
import type { LpmEntry } from "../../runtime/lpm/lpm.ts";
import { type Family, type Ip, network } from "../../runtime/net/ip.ts";
import { readPlain } from "../../src/cli/route-file.ts";
import { isMrt, MrtError, readMrt } from "../../src/import/mrt.ts";
import { readRouteText } from "./route-text.ts";

/** What is wrong with a file, with its line. */
export class RoutesError extends Error {}

/** @returns the routes of a family, sorted; of a prefix that stands there twice the last */
export function readRoutes(path: string, family: Family): PrefixColumns {
  const bytes = readPlain(path);
  if (isMrt(bytes)) return withoutDoubles(sortColumns(mrtColumns(path, bytes, family)));
  const columns = readRouteText(bytes, family, (line, words) => {
    throw new RoutesError(`${path}:${line}: not a prefix and a number: ${words}`);
  });
  return withoutDoubles(sortColumns(columns));
}

/** Next hops are numbered as they appear, of both families. */
function mrtColumns(path: string, bytes: Uint8Array, family: Family): PrefixColumns {
  const entries: LpmEntry[] = [];
  const hops = new Map<Ip, number>();
  try {
    readMrt(bytes, (route) => {
      const value = hops.get(route.via) ?? hops.size + 1;
      hops.set(route.via, value);
      if (route.family === family) entries.push({ ...route, address: network(route.address, route.length), value });
    });
  } catch (error) {
    if (error instanceof MrtError) throw new RoutesError(`${path}: ${error.message}`);
    throw error;
  }
  return columnsOf(family, entries);
}

/** Of equal prefixes side by side the last: sorting kept their order. */
function withoutDoubles({ family, words, lengths, values }: PrefixColumns): PrefixColumns {
  const width = wordsOf(family);
  const last = (i: number): boolean => {
    if (i + 1 === lengths.length || lengths[i] !== lengths[i + 1]) return true;
    for (let w = 0; w < width; w++) if (words[i * width + w] !== words[(i + 1) * width + w]) return true;
    return false;
  };
  if (lengths.every((_, i) => last(i))) return { family, words, lengths, values };
  const kept = (_: number, i: number): boolean => last(i);
  return {
    family,
    words: words.filter((_, w) => last(Math.floor(w / width))),
    lengths: lengths.filter(kept),
    values: values.filter(kept),
  };
}
