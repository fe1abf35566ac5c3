/**
 * `vrfc import nft-json FILE`: what `nft -j list ruleset` prints, or `nft -j -f` reads (libnftables-json(5)).
 *
 *   { "nftables": [ { "metainfo": ... }, OBJECT | { "add": OBJECT } | { "flush": { "ruleset": null } }, ... ] }
 *
 * Each entry becomes a command of nft (script.ts), a line each, which is what spans of the result point into.
 */
import type { File } from "../../../dsl/ast.ts";
import type { Diagnostic } from "../../../dsl/diagnostic.ts";
import type { Source } from "../../../dsl/span.ts";
import { Unsupported } from "../words.ts";
import { importNft } from "./import.ts";
import { type SetUse, SetUses } from "./json-gaps.ts";
import {
  set as elements,
  isObject,
  type Json,
  type JsonObject,
  numberOf,
  quoted,
  rate,
  statement,
  term,
} from "./json-terms.ts";

export interface JsonImport {
  readonly source: Source;
  readonly ast: File;
  readonly diagnostics: readonly Diagnostic[];
}

/** Is what nft prints as JSON: `{ "nftables": [...] }`. */
export const isNftJson = (value: unknown): value is { readonly nftables: readonly Json[] } =>
  typeof value === "object" && value !== null && Array.isArray((value as { nftables?: unknown }).nftables);

/** The text of a rule set as a value; integers that JavaScript's numbers do not hold are left as their digits. Throws what JSON.parse does. */
export const parseNftJson = (text: string): unknown =>
  JSON.parse(
    text.replace(/"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])\d{16,}(?![\d.eE])/g, (one) => (one[0] === '"' ? one : `"${one}"`)),
  );

/** Imports a rule set. Never throws. */
export function importNftJson(value: { readonly nftables: readonly Json[] }, name = "ruleset.json"): JsonImport {
  let text = "";
  const lost: Diagnostic[] = [];
  const uses = new SetUses(value.nftables);
  for (const entry of value.nftables) {
    const line = lineOf(entry, uses);
    if (line === null) continue;
    const start = text.length;
    text += `${line.text}\n`;
    if (line.why === undefined) continue;
    const span = { start, end: start + line.text.length };
    const message = `not imported: ${line.why}`;
    lost.push({ code: "W0501", severity: "warning", message, primary: { span, message: "" }, secondary: [], help: [] });
  }
  const source = { name, text };
  const { ast, diagnostics } = importNft(source);
  const all = [...lost, ...diagnostics].sort((a, b) => a.primary.span.start - b.primary.span.start);
  return { source, ast, diagnostics: all };
}

interface Line {
  readonly text: string;
  /** What is lost. */
  readonly why?: string;
}

/** The command, or a comment in its place with the reason. */
function lineOf(entry: Json, uses: SetUses): Line | null {
  if (isObject(entry) && "metainfo" in entry) return null;
  try {
    return command(entry, uses);
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    const json = JSON.stringify(entry);
    return { text: `# not imported (${error.message}): ${json.slice(0, JSON_SHOWN)}`, why: error.message };
  }
}
const JSON_SHOWN = 300;

const VERBS: ReadonlySet<string> = new Set(["add", "create", "insert", "delete", "flush", "destroy"]);

function command(entry: Json, uses: SetUses): Line {
  if (!isObject(entry)) throw new Unsupported("an entry is not an object");
  const [[word, value] = ["", null]] = Object.entries(entry);
  if (!VERBS.has(word)) return object("add", word, value, uses);
  if (!isObject(value)) throw new Unsupported(`\`${word}\` of nothing`);
  const [[kind, what] = ["", null]] = Object.entries(value);
  return object(word, kind, what, uses);
}

function object(verb: string, kind: string, value: Json, uses: SetUses): Line {
  if (kind === "ruleset")
    return { text: ["flush ruleset", ...(isObject(value) ? [quoted(value.family)] : [])].join(" ") };
  if (!isObject(value)) throw new Unsupported(`\`${kind}\` is not an object`);
  const why = verb === "add" && kind === "chain" ? lostOfChain(value) : undefined;
  const text = objectText(verb, kind, value, uses);
  return { text: `${noteOf(kind, value)}${text}`, ...(why === undefined ? {} : { why }) };
}

/** A comment of nft's as one of the text; that of a rule stands in the rule. */
const noteOf = (kind: string, { comment }: JsonObject): string =>
  kind !== "rule" && typeof comment === "string" ? `# ${comment.replaceAll("\n", " ")}\n` : "";

/** nft to 1.0.6 at least: the JSON of a chain at a device does not say which. */
const lostOfChain = ({ family, hook, dev }: JsonObject): string | undefined =>
  family === "netdev" && hook !== undefined && dev === undefined
    ? `the device of this chain at ${hook} is not in the JSON: what \`nft list ruleset\` prints has it`
    : undefined;

function objectText(verb: string, kind: string, value: JsonObject, uses: SetUses): string {
  if (kind === "table") return `${verb} table ${quoted(value.family)} ${quoted(value.name)}`;
  const table = `${quoted(value.family)} ${quoted(value.table)}`;
  if (verb === "delete" || verb === "destroy" || verb === "flush") {
    if (kind === "rule" || kind === "element") throw new Unsupported(`\`${verb} ${kind}\` is not supported`);
    return `${verb} ${kind} ${table} ${quoted(value.name)}`;
  }
  switch (kind) {
    case "chain":
      return `${verb} chain ${table} ${quoted(value.name)}${chainBlock(value)}`;
    case "rule":
      return `${verb} rule ${table} ${quoted(value.chain)}${place(value)} ${rule(value)}`;
    case "set":
    case "map":
      return `${verb} ${kind} ${table} ${quoted(value.name)} { ${setBlock(value, uses.of(value))}; }`;
    case "element":
      return `${verb} element ${table} ${quoted(value.name)} ${elements(value.elem)}`;
    case "counter":
      return `${verb} counter ${table} ${quoted(value.name)} { packets ${numberOf(value.packets ?? 0)} bytes ${numberOf(value.bytes ?? 0)}; }`;
    case "limit":
      return `${verb} limit ${table} ${quoted(value.name)} { ${rate(value)}; }`;
    default:
      throw new Unsupported(`\`${kind}\` is not supported`);
  }
}

function chainBlock(chain: JsonObject): string {
  const { type, hook, prio, dev, policy } = chain;
  if (hook === undefined || lostOfChain(chain) !== undefined) return "";
  const devices = Array.isArray(dev) ? dev : dev === undefined ? [] : [dev];
  const on =
    devices.length === 0
      ? ""
      : devices.length === 1
        ? ` device ${quoted(devices[0])}`
        : ` devices = { ${devices.map(quoted).join(", ")} }`;
  const decided = policy === undefined ? "" : ` policy ${quoted(policy)};`;
  return ` { type ${quoted(type)} hook ${quoted(hook)}${on} priority ${numberOf(prio)};${decided} }`;
}

const place = ({ index }: JsonObject): string => (index === undefined ? "" : ` index ${numberOf(index)}`);

function rule({ expr, comment }: JsonObject): string {
  if (!Array.isArray(expr)) throw new Unsupported("a rule without `expr`");
  const statements = expr.map((one: Json) => statement(one));
  if (comment === undefined) return statements.join(" ");
  if (typeof comment !== "string" || /["\n]/.test(comment)) throw new Unsupported("the comment is no text");
  return [...statements, `comment "${comment}"`].join(" ");
}

function setBlock(set: JsonObject, use: SetUse): string {
  const { type, map, flags, size, elem, timeout, policy: _policy, ...more } = set;
  if (timeout !== undefined || "gc-interval" in more) throw new Unsupported("a `timeout` of elements is not supported");
  const lines = [typeLine(type, map, use)];
  const said = (Array.isArray(flags) ? flags : flags === undefined ? [] : [flags]).map(quoted);
  const [other] = said.filter((flag) => !["interval", "constant"].includes(flag));
  if (other !== undefined) throw new Unsupported(`sets with \`flags ${other}\` are not supported`);
  if (said.length > 0) lines.push(`flags ${said.join(", ")}`);
  if (more["auto-merge"] === true) lines.push("auto-merge");
  if (size !== undefined) lines.push(`size ${numberOf(size)}`);
  if (elem !== undefined) lines.push(`elements = ${elements(elem)}`);
  return lines.join("; ");
}

function typeLine(type: Json, map: Json | undefined, use: SetUse): string {
  const isTypeof = isObject(type) && "typeof" in type;
  if (!isTypeof && !isOfIntegers(type) && !isOfIntegers(map))
    return `type ${typeText(type)}${map === undefined ? "" : ` : ${typeText(map)}`}`;
  const key = isTypeof ? type.typeof : use.key;
  const value = map === undefined || map === "verdict" ? map : use.value;
  if (key === undefined || (map !== undefined && value === undefined))
    throw new Unsupported("how wide its integers are is not in the JSON: what `nft list ruleset` prints has it");
  return `typeof ${term(key)}${value === undefined ? "" : ` : ${term(value)}`}`;
}

const isOfIntegers = (type: Json | undefined): boolean =>
  type !== undefined && (Array.isArray(type) ? type : [type]).includes("integer");
const typeText = (type: Json): string => (Array.isArray(type) ? type.map(quoted).join(" . ") : quoted(type));
