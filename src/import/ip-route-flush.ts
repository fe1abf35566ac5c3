/**
 * `ip route flush`: iproute2's iproute_flush.
 *
 *   flush { table T | vrf V | dev D | proto P | type T | [root | exact] PREFIX | … }
 */
import { RT_TABLE_MAIN } from "../../runtime/brand.ts";
import { type Family, familyOf, inPrefix } from "../../runtime/net/ip.ts";
import { removeRoute } from "./fib.ts";
import { kernelRoutes } from "./lookup.ts";
import type { Run } from "./run.ts";
import type { Word } from "./shell.ts";
import { type Device, type FibRoute, Route } from "./state.ts";
import { addressWord, keywordOf, prefixWord, Refused, scopeWord, tableWord, Unsupported, type Words } from "./words.ts";

type Wanted = (route: FibRoute) => boolean;

/** The words of `ip route flush` with one argument, and which routes each means. */
const FILTERS: Readonly<Record<string, (run: Run, value: Word) => Wanted>> = {
  protocol:
    (_, { text }) =>
    (route) =>
      text === (route instanceof Route ? (route.node.protocol?.value ?? "boot") : "kernel"),
  type:
    (_, { text }) =>
    (route) =>
      route.type === text,
  scope: (_, word) => {
    const { value } = scopeWord(word, "invalid scope\n");
    return (route) => route.scope === value;
  },
  dev: (run, word) => hasDevice(run.device(word)),
  oif: (run, word) => hasDevice(run.device(word)),
  via: (_, word) => {
    const { value } = addressWord(word);
    return (route) => route.hops.some((hop) => hop.gateway === value);
  },
  src: (_, word) => {
    const { value } = addressWord(word);
    return (route) => route instanceof Route && route.node.src?.value === value;
  },
  root: (_, word) => {
    const { value } = prefixWord(word);
    return ({ prefix }) => value === null || (inPrefix(value, prefix.address) && prefix.length >= value.length);
  },
  table: (run, word) => {
    if (word.text === "all") return () => true;
    const { value } = tableWord(word, run.network.tables, "table id value is invalid\n");
    return (route) => route.table === value;
  },
  vrf: (run, word) => {
    const table = run.vrfTable(word);
    return (route) => route.table === table;
  },
};
const FLUSH_KEYWORDS = [
  "table*",
  "vrf*",
  "cached*",
  "cloned*",
  "protocol*",
  "scope*",
  "type*",
  "dev",
  "oif",
  "via",
  "src",
];
const FLUSH_RANGES = ["from*", "to*", "root*", "match*", "exact*"];

const hasDevice =
  (device: Device): Wanted =>
  (route) =>
    route.hops.some((hop) => hop.device === device);

export function flush(run: Run, words: Words): void {
  if (words.isDone) throw new Refused('"ip route flush" requires arguments.');
  const wanted: Wanted[] = [];
  let hasTable = false;
  let family: Family = run.family ?? 4;
  while (!words.isDone) {
    const word = words.next();
    const keyword = keywordOf(word.text, [...FLUSH_KEYWORDS, ...FLUSH_RANGES]);
    // The route cache is of no table.
    if (keyword === "cached" || keyword === "cloned" || (keyword === "table" && words.peek()?.text === "cache")) return;
    if (keyword === "from" || keyword === "match")
      throw new Unsupported(`\`${keyword}\` of \`ip route flush\``, word.span);
    hasTable ||= keyword === "table" || keyword === "vrf";
    if (keyword !== null && Object.hasOwn(FILTERS, keyword)) wanted.push(FILTERS[keyword](run, words.next()));
    else if (keyword !== "to" || !["root", "exact", "match"].includes(words.peek()?.text ?? "")) {
      const { value } = prefixWord(keyword === null ? word : words.next());
      if (value) family = familyOf(value.address);
      wanted.push(
        ({ prefix }) => prefix.length === (value?.length ?? 0) && (value === null || prefix.address === value.address),
      );
    }
  }
  if (!hasTable) wanted.push((route) => route.table === RT_TABLE_MAIN);
  for (const route of [...run.ns.routes, ...kernelRoutes(run.ns, family)])
    if (route.family === family && wanted.every((fits) => fits(route))) removeRoute(run.ns, route);
}
