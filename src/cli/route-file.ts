/** Files that `routes from` names: text, an MRT dump, or either of them compressed by gzip. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { formatIp, formatPrefix } from "../../runtime/net/ip.ts";
import { isMrt, readMrt } from "../import/mrt.ts";

/** The bytes of a file, without its gzip. */
export function readPlain(path: string): Uint8Array {
  const raw = readFileSync(path);
  return raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw;
}

/** The file as `routes from` reads it; of a dump `PREFIX via ADDRESS` a line. @throws MrtError, and what the file system and zlib throw */
export function readRouteFile(path: string): Uint8Array {
  const bytes = readPlain(path);
  if (!isMrt(bytes)) return bytes;
  const lines: string[] = [];
  readMrt(bytes, (route) => lines.push(`${formatPrefix(route)} via ${formatIp(route.via)}`));
  return new TextEncoder().encode(lines.join("\n"));
}
