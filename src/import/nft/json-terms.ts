/**
 * Expressions and statements of libnftables-json(5) as text of nft.
 *
 *   { "match": { "op": "==", "left": { "payload": { "protocol": "tcp", "field": "dport" } }, "right": 22 } }     tcp dport 22
 *   { "mangle": { "key": { "meta": { "key": "mark" } }, "value": 1 } }                                  meta mark set 1
 *
 * What has no text throws `Unsupported`, which the reader of objects (json.ts) catches.
 */
import { isNftWord } from "../../../dsl/nft/tokens.ts";
import { Unsupported } from "../words.ts";

export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isArray = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);

/** The one key of `{ "key": value }`. */
function only(value: JsonObject): readonly [string, Json] {
  const entries = Object.entries(value);
  if (entries.length !== 1) throw new Unsupported(`expected one key, found ${entries.length}`);
  return entries[0];
}

/** A word as it is, anything else between quotes. */
export function quoted(text: Json | undefined): string {
  if (typeof text === "number") return String(text);
  if (typeof text !== "string" || /["\n]/.test(text)) throw new Unsupported("a name or word is missing");
  return isNftWord(text) ? text : `"${text}"`;
}
const stringOf = (text: Json | undefined): string => {
  if (typeof text !== "string" || /["\n]/.test(text)) throw new Unsupported("a text is missing");
  return `"${text}"`;
};
export function numberOf(value: Json | undefined): number {
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  throw new Unsupported("a number is missing");
}
/** What a reader of JSON has rounded is not what was meant: `parseNftJson` keeps such numbers as text. */
function integerText(value: number): string {
  if (Number.isSafeInteger(value)) return String(value);
  throw new Unsupported(`the number ${value} is not exact`);
}
const objectOf = (value: Json | undefined, what: string): JsonObject => {
  if (isObject(value)) return value;
  throw new Unsupported(`\`${what}\` is not an object`);
};

/** The text nests as the value does, and a reader of text goes only so deep. */
export const DEPTH_MAX = 100;

// Expressions.

export function term(value: Json, depth = 0): string {
  if (depth > DEPTH_MAX) throw new Unsupported("the expression is too deep to be meant");
  if (typeof value === "string") return /^@[A-Za-z_][\w.\\/-]*$/.test(value) || value === "*" ? value : quoted(value);
  if (typeof value === "number") return integerText(value);
  if (typeof value === "boolean") return value ? "exists" : "missing";
  if (isArray(value)) return value.map((one) => term(one, depth + 1)).join(",");
  if (!isObject(value)) throw new Unsupported("an expression is missing");
  return expression(...only(value), depth + 1);
}

const BINARY: ReadonlySet<string> = new Set(["|", "^", "&", "<<", ">>"]);

function expression(kind: string, value: Json, depth: number): string {
  if (BINARY.has(kind)) return binary(kind, value, depth);
  switch (kind) {
    case "concat":
      return listOf(value, kind)
        .map((one) => term(one, depth))
        .join(" . ");
    case "set":
      return set(value, depth);
    case "map": {
      const { key, data } = objectOf(value, kind);
      return `${term(key, depth)} map ${term(data, depth)}`;
    }
    case "prefix": {
      const { addr, len } = objectOf(value, kind);
      return `${term(addr, depth)}/${numberOf(len)}`;
    }
    case "range":
      return range(value, depth);
    case "elem":
      return element(value, depth);
    default:
      return field(kind, objectOf(value, kind), depth);
  }
}

const listOf = (value: Json | undefined, what: string): readonly Json[] => {
  if (isArray(value)) return value;
  throw new Unsupported(`\`${what}\` is not a list`);
};

function binary(op: string, value: Json, depth: number): string {
  const inner = (one: Json): string => {
    if (isArray(one)) return `(${one.map((part) => term(part, depth)).join(" | ")})`;
    const text = term(one, depth);
    return isObject(one) && BINARY.has(Object.keys(one)[0]) ? `(${text})` : text;
  };
  return listOf(value, op).map(inner).join(` ${op} `);
}

function range(value: Json, depth: number): string {
  const [first, last] = listOf(value, "range").map((one) => term(one, depth));
  const isPlain = [first, last].every((one) => /^[\w.:]+$/.test(one));
  return isPlain ? `${first}-${last}` : `${first} - ${last}`;
}

/** A set is a list; `{ "set": 22 }` is a set of one. */
export function set(value: Json, depth = 0): string {
  const elements = isArray(value) ? value : [value];
  if (elements.length === 0) return "{ }";
  return `{ ${elements.map((one) => element(one, depth + 1)).join(", ")} }`;
}

/** `KEY`, `[KEY, VALUE]`, or `{ "elem": { "val": KEY, "comment": TEXT } }`. */
function element(value: Json, depth: number): string {
  if (isArray(value) && value.length === 2) {
    const [key, mapped] = value;
    const isVerdict = isObject(mapped) && VERDICTS.has(Object.keys(mapped)[0]);
    return `${element(key, depth)} : ${isVerdict ? statement(mapped) : term(mapped, depth)}`;
  }
  if (!isObject(value) || !("elem" in value)) {
    const text = term(value, depth);
    return isObject(value) && BINARY.has(Object.keys(value)[0]) ? `(${text})` : text;
  }
  const { val, comment, counter: _counter, ...more } = objectOf(value.elem, "elem");
  const [other] = Object.keys(more);
  if (other !== undefined) throw new Unsupported(`elements with \`${other}\` are not in vrfc`);
  return comment === undefined ? element(val, depth) : `${element(val, depth)} comment ${stringOf(comment)}`;
}

const BASES: ReadonlySet<Json | undefined> = new Set(["ll", "nh", "th", "ih"]);

function field(kind: string, value: JsonObject, depth: number): string {
  const word = (key: string): string => wordOf(value[key]);
  switch (kind) {
    case "payload":
      if (BASES.has(value.base)) return `@${value.base},${numberOf(value.offset)},${numberOf(value.len)}`;
      return `${word("protocol")} ${word("field")}`;
    case "exthdr":
      return value.field === undefined ? `exthdr ${word("name")}` : `${word("name")} ${word("field")}`;
    case "tcp option":
    case "ip option":
      // `tcp option 254 exists`: nft says one that it has no name for by its first byte.
      if (value.base !== undefined && value.offset === 0 && value.len === 8) return `${kind} ${numberOf(value.base)}`;
      return value.field === undefined ? `${kind} ${word("name")}` : `${kind} ${word("name")} ${word("field")}`;
    case "meta":
      return `meta ${word("key")}`;
    case "ct":
      return `ct ${word("key")}`;
    case "fib": {
      const flags = isArray(value.flags) ? value.flags : [value.flags];
      return `fib ${flags.map((one) => wordOf(one)).join(" . ")} ${word("result")}`;
    }
    default:
      throw new Unsupported(`\`${kind}\` is not supported${depth > DEPTH_MAX ? " here" : ""}`);
  }
}

/** A word of the language. */
function wordOf(value: Json | undefined): string {
  if (typeof value === "string" && /^[\w-]+$/.test(value)) return value;
  throw new Unsupported("a word is missing");
}

// Statements.

const VERDICTS: ReadonlySet<string> = new Set(["accept", "drop", "continue", "return", "jump", "goto"]);

export function statement(value: Json): string {
  const [kind, said] = only(objectOf(value, "expr"));
  switch (kind) {
    case "accept":
    case "drop":
    case "continue":
    case "return":
      return kind;
    case "jump":
    case "goto":
      return `${kind} ${quoted(objectOf(said, kind).target)}`;
    case "match":
      return match(objectOf(said, kind));
    case "vmap": {
      const { key, data } = objectOf(said, kind);
      return `${term(key)} vmap ${term(data)}`;
    }
    case "mangle": {
      const { key, value: to } = objectOf(said, kind);
      return `${term(key)} set ${term(to)}`;
    }
    case "counter":
      return counter(said);
    case "limit":
      return isObject(said) ? `limit ${rate(said)}` : `limit name ${quoted(said)}`;
    case "log":
      return log(said === null ? {} : objectOf(said, kind));
    case "reject":
      return reject(said === null ? {} : objectOf(said, kind));
    case "dup":
      return `dup to ${deviceOf(said, kind)}`;
    case "fwd":
      return `fwd to ${deviceOf(said, kind)}`;
    case "set": {
      const { op } = objectOf(said, kind);
      throw new Unsupported(`\`${typeof op === "string" ? op : "set"}\` of elements by packets is not supported`);
    }
    case "xt":
      throw new Unsupported("extensions of iptables (`xt`) are not supported");
    default:
      throw new Unsupported(`\`${kind}\` is not supported`);
  }
}

/** Left of these `==` need not be said: nobody tests bits of them. */
function match({ op, left, right }: JsonObject): string {
  const isLookup = isObject(right) ? ["set", "range", "prefix"].includes(Object.keys(right)[0]) : /^@/.test(`${right}`);
  const isBits = isObject(left) && BINARY.has(Object.keys(left)[0]);
  const isFlags = /^(tcp flags|ct \w+)$/.test(term(left));
  const isPlain = isLookup || typeof right === "boolean" || !(isBits || isFlags);
  const sign = op === "in" || op === undefined || (op === "==" && isPlain) ? "" : ` ${signOf(op)}`;
  return `${term(left)}${sign} ${term(right)}`;
}

const SIGNS: readonly Json[] = ["==", "!=", "!", "<", "<=", ">", ">="];
const signOf = (op: Json): Json => {
  if (SIGNS.includes(op)) return op;
  throw new Unsupported(`the operator \`${op}\` is not known`);
};

function counter(said: Json): string {
  if (said === null) return "counter";
  if (!isObject(said)) return `counter name ${quoted(said)}`;
  if (said.map !== undefined) return `counter name ${term(said, 0)}`;
  return `counter packets ${numberOf(said.packets ?? 0)} bytes ${numberOf(said.bytes ?? 0)}`;
}

export function rate({ rate: amount, rate_unit, per, burst, burst_unit, inv }: JsonObject): string {
  const isPackets = rate_unit === undefined || rate_unit === "packets";
  const speed = isPackets ? `${numberOf(amount)}/` : `${numberOf(amount)} ${wordOf(rate_unit)}/`;
  const unit = isPackets ? "packets" : wordOf(burst_unit ?? "bytes");
  const more = numberOf(burst ?? 0) === 0 ? "" : ` burst ${numberOf(burst)} ${unit}`;
  return `rate ${inv === true ? "over " : ""}${speed}${wordOf(per ?? "second")}${more}`;
}

function log({ prefix, level, flags, ...numbers }: JsonObject): string {
  const words = ["log"];
  if (prefix !== undefined) words.push(`prefix ${stringOf(prefix)}`);
  if (level !== undefined) words.push(`level ${wordOf(level)}`);
  for (const [word, number] of Object.entries(numbers)) {
    if (!LOG_NUMBERS.has(word)) throw new Unsupported(`\`log ${word}\` is not supported`);
    words.push(`${word} ${numberOf(number)}`);
  }
  const named = isArray(flags) ? flags : flags === undefined ? [] : [flags];
  words.push(...named.map((flag) => `flags ${LOG_FLAGS.get(flag) ?? wordOf(flag)}`));
  return words.join(" ");
}

const LOG_NUMBERS: ReadonlySet<string> = new Set(["group", "snaplen", "queue-threshold"]);
const LOG_FLAGS: ReadonlyMap<Json, string> = new Map([
  ["tcp sequence", "tcp sequence"],
  ["tcp options", "tcp options"],
  ["ip options", "ip options"],
]);

function reject({ type, expr }: JsonObject): string {
  if (type === undefined) return "reject";
  if (type === "tcp reset") return "reject with tcp reset";
  return expr === undefined ? "reject" : `reject with ${wordOf(type)} ${term(expr)}`;
}

/** nft 1.0.6 calls the device of `dup` an address, and so do later versions in netdev. */
function deviceOf(said: Json, kind: string): string {
  const { addr, dev = addr, ...more } = objectOf(said, kind);
  const [other] = addr === undefined || dev === addr ? Object.keys(more) : ["addr"];
  if (other !== undefined) throw new Unsupported(`\`${kind}\` to an address is not supported`);
  return term(dev);
}
