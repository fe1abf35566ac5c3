/**
 * A Fib as text, one prefix a line, its further aliases and hops indented:
 *
 *   fib net 0 inet table 100: 3 entries
 *     10.0.0.0/24          settled            route 4 unicast scope 253 dev 2 src 10.0.0.1
 *     10.0.0.1/32          settled  cover 0   route 5 local scope 254 dev 2 src 10.0.0.1
 *     10.0.1.0/24                             route 6 unicast tos 0x10 via 10.0.0.7 dev 2 dead
 */
import { formatIp, formatPrefix } from "../../runtime/net/ip.ts";
import { Errno, nameOf } from "../../runtime/verdict.ts";
import { withoutRows } from "./build.ts";
import type { Fib, FibAlias, FibEntry, FibHop } from "./fib.ts";

export const printFibs = (fibs: readonly Fib[]): string => fibs.map(printFib).join("\n");

export function printFib(built: Fib): string {
  const fib = withoutRows(built);
  const title = `fib net ${fib.net} ${fib.family === 4 ? "inet" : "inet6"} table ${fib.table}: ${fib.entries.length} entries\n`;
  return title + fib.entries.map((entry, i) => printEntry(fib, entry, i)).join("");
}

function printEntry(fib: Fib, entry: FibEntry, index: number): string {
  const cover = entry.cover === null ? "" : `cover ${entry.cover}`;
  const head = `${String(index).padStart(4)}  ${formatPrefix(entry.prefix).padEnd(20)} ${(entry.settled ? "settled" : "").padEnd(8)} ${cover.padEnd(10)} `;
  const [first, ...rest] = entry.aliases.map((alias) => printAlias(fib, alias));
  const indent = " ".repeat(head.length);
  return [head + first, ...rest.map((alias) => indent + alias)].map((line) => `${line}\n`).join("");
}

function printAlias(fib: Fib, { route, error, hops }: FibAlias): string {
  const words = [`route ${route.id} ${route.type}`];
  if (error !== 0) words.push(`error ${nameOf(Errno, error)}`);
  if (route.tos !== 0) words.push(`tos 0x${route.tos.toString(16)}`);
  if (route.metric !== 0) words.push(`metric ${route.metric}`);
  if (error === 0) words.push(`scope ${route.scope}`);
  if (route.prefsrc !== null) words.push(`prefsrc ${formatIp(route.prefsrc)}`);
  const list = fib.hopLists[hops];
  return [words.join(" "), ...list.map((hop) => printHop(hop, list.length > 1))].join(" ");
}

function printHop({ hop, upperBound }: FibHop, multipath: boolean): string {
  const words = hop.gateway === null ? [] : [`via ${formatIp(hop.gateway)}`];
  words.push(`dev ${hop.device} src ${formatIp(hop.source)}`);
  if (hop.onlink) words.push("onlink");
  if (hop.dead) words.push("dead");
  if (multipath) words.push(`bound ${upperBound}`);
  return words.join(" ");
}
