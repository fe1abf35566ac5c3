/**
 * `routes from "rib.txt"`: a file of routes, one a line, in the words of `ip route`, so that the output of `ip route show`
 * and plain `PREFIX via ADDRESS` lists can be used as they are:
 *
 *   line  = [ TYPE ] PREFIX { option } { "nexthop" { hop option } }        "#" starts a comment
 *   hop   = "via" [ "inet6" ] ADDRESS | "dev" NAME | "weight" N | "onlink"
 *   option = hop | "src" ADDRESS | "metric" N | "proto" NAME | "scope" NAME | "tos" N | "mtu" N | "pref" NAME
 *
 * A wrong line is reported with file and line, and the others count.
 */
import type { TableId } from "../../runtime/brand.ts";
import { parseIp, parsePrefix } from "../address.ts";
import type { Hop, Route, RoutesFrom } from "../ast.ts";
import { ROUTE_TYPES } from "../model.ts";
import type { Span } from "../span.ts";
import type { NetDraft } from "./draft.ts";
import { parseU32 } from "./names.ts";
import type { Finding, Reporter } from "./report.ts";
import { addRoute } from "./routes.ts";

/** After this many findings in one file the rest is counted, not shown. */
const MOST_FINDINGS = 20;

export type ReadFile = (path: string) => string;

export function addRoutesFrom(
  net: NetDraft,
  node: RoutesFrom,
  table: TableId,
  read: ReadFile | undefined,
  report: Reporter,
): void {
  const { value: name, span } = node.file;
  const text = readText(node, read, report);
  if (text === undefined) return;
  let findings = 0;
  for (const [i, content] of text.split(/\r?\n/).entries()) {
    const words = content.replace(/#.*/, "").trim().split(/\s+/);
    if (words[0] === "") continue;
    const at = lineReporter(report, span, `${name}:${i + 1}`, () => ++findings <= MOST_FINDINGS);
    const route = parseLine(words, span);
    if (typeof route === "string") at.error("E0256", span, route, { label: content.trim() });
    else addRoute(net, route, table, { span: node.span, file: { name, line: i + 1 } }, at);
  }
  if (findings > MOST_FINDINGS) {
    report.error("E0256", span, `${name}: ${findings - MOST_FINDINGS} more lines with errors`);
  }
}

function readText(node: RoutesFrom, read: ReadFile | undefined, report: Reporter): string | undefined {
  const { value: name, span } = node.file;
  if (read === undefined) {
    report.error("E0255", span, `cannot read ${name}: no files are available here`);
    return undefined;
  }
  try {
    return read(name);
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
