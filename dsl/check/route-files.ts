/**
 * `routes from "rib.txt"`: a file of routes, one a line, in the words of `ip route`, so that the output of `ip route show`
 * and plain `PREFIX via ADDRESS` lists can be used as they are:
 *
 *   line  = [ TYPE ] PREFIX { option } { "nexthop" { hop option } }        "#" starts a comment
 *   hop   = "via" [ "inet6" ] ADDRESS | "dev" NAME | "weight" N | "onlink"
 *   option = hop | "src" ADDRESS | "metric" N | "proto" NAME | "scope" NAME | "tos" N | "mtu" N | "pref" NAME
 *
 * A wrong line is reported with file and line, and the others count. What a line says behind its prefix is read and checked once for as
 * long as the answer holds, and lines that say no more than where to become rows (dsl/route-columns.ts).
 */
import type { TableId } from "../../runtime/brand.ts";
import { inPrefix } from "../../runtime/net/ip.ts";
import { ROUTE_TYPES } from "../../runtime/net/route-types.ts";
import { parseIp, parsePrefix } from "../address.ts";
import type { Hop, Route, RoutesFrom } from "../ast.ts";
import type { Span } from "../span.ts";
import type { NetDraft } from "./draft.ts";
import type { RouteDraft } from "./fib.ts";
import { parseU32 } from "./names.ts";
import type { Finding, Reporter } from "./report.ts";
import { RouteLines } from "./route-lines.ts";
import { isReject } from "./route-types.ts";
import { draftOf, insertRoute } from "./routes.ts";

/** After this many findings in one file the rest is counted, not shown. */
const MOST_FINDINGS = 20;
/** A shorter file, of some forty lines, has no rows: it is as if it stood in the text. */
export const ROWS_FROM_BYTES = 1024;

/** A file's contents; a text is that in UTF-8. */
export type ReadFile = (path: string) => string | Uint8Array;

export function addRoutesFrom(
  net: NetDraft,
  node: RoutesFrom,
  table: TableId,
  read: ReadFile | undefined,
  report: Reporter,
): void {
  const { value: name, span } = node.file;
  const bytes = readBytes(node, read, report);
  if (bytes === undefined) return;
  let findings = 0;
  const lines = new RouteLines(bytes);
  const rows = bytes.length < ROWS_FROM_BYTES ? null : net.fib.rows(table);
  const known = new Sayings();
  while (lines.next()) {
    const { address, length, number } = lines;
    const said = length < 0 ? -1 : known.find(lines);
    if (rows !== null && said >= 0 && net.fib.isFree(table, address, length)) {
      rows.add(address, length, said, number);
      known.hasChanged(address, length);
      continue;
    }
    const content = lines.text;
    const words = content.replace(/#.*/, "").trim().split(/\s+/);
    if (words[0] === "") continue;
    const before = findings;
    const at = lineReporter(report, span, `${name}:${number}`, () => ++findings <= MOST_FINDINGS);
    const route = parseLine(words, span);
    if (typeof route === "string") {
      at.error("E0256", span, route, { label: content.trim() });
      continue;
    }
    const origin = { span: node.span, file: { name, line: number } };
    const draft = draftOf(net, route, table, origin, at);
    if (draft === undefined) continue;
    const isRow = rows !== null && length >= 0 && !rows.isFull && findings === before && isPlain(draft, table);
    if (isRow && net.fib.isFree(table, address, length)) {
      const { prefix: _, ...rest } = draft;
      const place = rows.sayings.push({ ...rest, origin: { span: node.span, file: { name, line: 0 } } }) - 1;
      known.add(lines, place, draft);
      rows.add(address, length, place, number);
      known.hasChanged(address, length);
    } else {
      insertRoute(net, route, draft, at);
      known.clear();
    }
  }
  if (findings > MOST_FINDINGS) {
    report.error("E0256", span, `${name}: ${findings - MOST_FINDINGS} more lines with errors`);
  }
}

/** Lines to other prefixes that say the same become the same route, and nothing treats one otherwise than the other. */
const isPlain = ({ family, table: own, tos, prefsrc, type }: RouteDraft, table: TableId): boolean =>
  family === 4 && own === table && tos === 0 && prefsrc === null && (type === "unicast" || isReject(type));

interface Saying {
  readonly place: number;
  readonly rest: RouteLines["rest"];
}

const NEAR_BITS = 12;

/**
 * What lines say behind their prefixes, as long as it is known to be right: of what a file adds to a table, only a route that holds a
 * gateway can change what the checks say of it.
 */
class Sayings {
  readonly #byHash = new Map<number, Saying[]>();
  readonly #gateways = new Set<number>();
  /** By the first bits of a gateway. */
  #near: Uint8Array | null = null;

  /** The place of the saying; -1: it is not known. */
  find(lines: RouteLines): number {
    const found = this.#byHash.get(lines.hash);
    if (found === undefined) return -1;
    for (const { place, rest } of found) if (lines.says(rest)) return place;
    return -1;
  }

  add(lines: RouteLines, place: number, { nexthops }: RouteDraft): void {
    const same = this.#byHash.get(lines.hash);
    const saying = { place, rest: lines.rest };
    if (same === undefined) this.#byHash.set(lines.hash, [saying]);
    else same.push(saying);
    for (const { gateway } of nexthops) {
      if (typeof gateway !== "number") continue;
      this.#near ??= new Uint8Array(1 << NEAR_BITS);
      this.#near[gateway >>> (32 - NEAR_BITS)] = 1;
      this.#gateways.add(gateway);
    }
  }

  /** A route to this prefix has come. */
  hasChanged(address: number, length: number): void {
    if (this.#near === null || (length >= NEAR_BITS && this.#near[address >>> (32 - NEAR_BITS)] === 0)) return;
    if ([...this.#gateways].some((gateway) => inPrefix({ address, length }, gateway))) this.clear();
  }

  clear(): void {
    this.#byHash.clear();
    this.#gateways.clear();
    this.#near = null;
  }
}

function readBytes(node: RoutesFrom, read: ReadFile | undefined, report: Reporter): Uint8Array | undefined {
  const { value: name, span } = node.file;
  if (read === undefined) {
    report.error("E0255", span, `cannot read ${name}: no files are available here`);
    return undefined;
  }
  try {
    const contents = read(name);
    return typeof contents === "string" ? new TextEncoder().encode(contents) : contents;
  } catch (error) {
    report.error("E0255", span, `cannot read ${name}`, {
      label: error instanceof Error ? error.message : String(error),
    });
    return undefined;
  }
}

/** Findings about a line of the file point at its name in the text; edits of the text would not help. */
function lineReporter(report: Reporter, span: Span, where: string, count: () => boolean): Reporter {
  const say =
    (severity: "error" | "warning" | "note") =>
    (code: Parameters<Reporter["error"]>[0], _: Span, message: string, finding: Finding = {}) => {
      const help = (finding.help ?? []).map((h) => ({ message: h.message }));
      const secondary = (finding.secondary ?? []).filter((label) => label.span !== span);
      if (count()) report[severity](code, span, `${where}: ${message}`, { ...finding, help, secondary });
    };
  return { ...report, error: say("error"), warning: say("warning"), note: say("note") };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** The line as the AST would have it, or what is wrong with it. All spans are the file name's. */
function parseLine(words: readonly string[], span: Span): Route | string {
  const rest = [...words];
  const spanned = <T>(value: T) => ({ value, span });
  const typed = ROUTE_TYPES.some((t) => t === rest[0]) ? rest.shift()! : undefined;
  const target = rest.shift();
  if (target === undefined) return `\`${typed}\` what? A prefix is missing`;
  const parsed = target === "default" ? { ok: true as const, value: null } : parsePrefix(target);
  if (!parsed.ok) return `\`${target}\` is not a prefix: ${parsed.reason}`;
  const hops: Writable<Hop>[] = [{ span }];
  const route: Writable<Route> = { kind: "route", span, prefix: spanned(parsed.value), hops };
  if (typed) route.type = spanned(typed);
  while (rest.length > 0) {
    const word = rest.shift()!;
    const fault = word === "nexthop" ? startHop(hops, span) : option(route, hops[hops.length - 1], word, rest, span);
    if (fault !== undefined) return fault;
  }
  const said = hops.filter((h) => h.via || h.dev);
  return { ...route, hops: said };
}

function startHop(hops: Writable<Hop>[], span: Span): undefined {
  hops.push({ span });
}

/** One option with its value; what is wrong with it, if anything. */
function option(
  route: Writable<Route>,
  hop: Writable<Hop>,
  word: string,
  rest: string[],
  span: Span,
): string | undefined {
  if (word === "onlink") {
    hop.onlink = true;
    return undefined;
  }
  // Shown by `ip route` for what a route's state is, not for what it says.
  if (word === "linkdown" || word === "dead") return undefined;
  if (word === "via" && (rest[0] === "inet6" || rest[0] === "inet")) rest.shift();
  const text = rest.shift();
  if (text === undefined) return `\`${word}\` what? Its value is missing`;
  const ip = word === "via" || word === "src" ? parseIp(text) : undefined;
  if (ip?.ok === false) return `\`${text}\` is not an address: ${ip.reason}`;
  const number = NUMBERS.includes(word) ? parseU32(text) : undefined;
  const name = { value: text, span };
  if (ip !== undefined) {
    if (word === "via") hop.via = { value: ip.value, span };
    else route.src = { value: ip.value, span };
  } else if (number !== undefined) {
    if (word === "weight") hop.weight = { value: number, span };
    else route[word as "metric" | "tos" | "mtu"] = { value: number, span };
  } else if (word === "dev") hop.dev = name;
  else if (word === "proto" || word === "protocol") route.protocol = name;
  else if (word === "scope") route.scope = name;
  else if (word === "table") route.table = name;
  else if (word !== "pref") return NUMBERS.includes(word) ? `\`${text}\` is not a number` : `unknown word \`${word}\``;
  return undefined;
}

const NUMBERS = ["metric", "tos", "mtu", "weight"];
