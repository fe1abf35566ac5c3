/**
 * Constants: what a word means depends on the type of what it is compared with. `http` is a port, `10.0.0.0/8` a range of
 * addresses, `syn,ack` bits, "eth*" several devices.
 */

import { lastAddress, network, parseIp } from "../../../runtime/net/ip.ts";
import type { Term } from "../../chain-ast.ts";
import type { Value } from "../../chain-model.ts";
import { suggest } from "../../suggest.ts";
import { deviceByName } from "../draft.ts";
import { type Datatype, TYPES } from "./datatypes.ts";
import type { TableScope } from "./scope.ts";

/** One value or an inclusive range; `mask` for a prefix, and for `VALUE / MASK`. */
export interface Constant {
  readonly first: bigint;
  readonly last: bigint;
  readonly mask?: bigint;
  /** Instead of a value: the ifindexes of devices whose names a pattern matches. */
  readonly devices?: readonly number[];
}

/** Compares unequal to every ifindex, which are positive 32-bit integers. */
export const NO_SUCH_DEVICE = 0xffffffff;

const single = (value: bigint): Constant => ({ first: value, last: value });
export const isSingle = ({ first, last, devices }: Constant): boolean => first === last && devices === undefined;
export const ones = (bits: number): bigint => (1n << BigInt(bits)) - 1n;
/** A number to 32 bits, a bigint above. */
export const asValue = (value: bigint, bits: number): Value => (bits <= 32 ? Number(value) : value);

/** Null after an error. */
export function constant(scope: TableScope, term: Term, type: Datatype): Constant | null {
  switch (term.kind) {
    case "word":
      return word(scope, term, type);
    case "range":
      return rangeOf(scope, term, type);
    case "list":
      return combined(scope, term.parts, type, term);
    case "binary":
      return binary(scope, term, type);
    case "field":
    case "raw":
    case "fib":
      return wrong(scope, term, "a constant is needed here, not a field of the packet");
    default:
      return wrong(scope, term, `a ${type.name} is needed here`);
  }
}

type Word = Extract<Term, { kind: "word" }>;

function word(scope: TableScope, term: Word, type: Datatype): Constant | null {
  const { text } = term;
  const symbol = type.symbols?.get(text);
  if (symbol !== undefined) return single(BigInt(symbol));
  if (type.name === "ifname") return deviceNames(scope, term);
  if (type.name === "iface_index" && !/^\d+$/.test(text)) return deviceIndex(scope, term);
  const plain = one(text, type);
  if (plain !== null) return inRange(scope, term, type, plain);
  const slash = /^(.+)\/(\d+)$/.exec(text);
  if (slash !== null) return prefix(scope, term, type, slash[1], Number(slash[2]));
  for (let dash = text.indexOf("-", 1); dash > 0; dash = text.indexOf("-", dash + 1)) {
    const first = symbolOrValue(text.slice(0, dash), type);
    const last = symbolOrValue(text.slice(dash + 1), type);
    if (first === null || last === null) continue;
    return ordered(scope, term, type, first, last);
  }
  if (/^0\d/.test(text) && /^\d+$/.test(text))
    return wrong(scope, term, "a leading zero would make the number octal", "E0402");
  const meant = type.symbols === undefined ? null : suggest(text, type.symbols.keys());
  scope.draft.report.error("E0402", term.span, `\`${text}\` is no ${described(type)}`, {
    help: meant === null ? [] : [{ message: `did you mean \`${meant}\`?`, edit: { span: term.span, text: meant } }],
  });
  return null;
}

const described = (type: Datatype): string => (type.name === "integer" ? `number of ${type.bits} bits` : type.name);

const symbolOrValue = (text: string, type: Datatype): bigint | null => {
  const symbol = type.symbols?.get(text);
  return symbol === undefined ? one(text, type) : BigInt(symbol);
};

/** A value written out. */
function one(text: string, type: Datatype): bigint | null {
  if (type.name === "ether_addr") {
    if (!/^[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}$/.test(text)) return null;
    return BigInt(
      `0x${text
        .split(":")
        .map((byte) => byte.padStart(2, "0"))
        .join("")}`,
    );
  }
  if (type.name === "ipv4_addr" || type.name === "ipv6_addr") {
    const address = parseIp(text);
    if (address === null || (typeof address === "number") !== (type.name === "ipv4_addr")) return null;
    return BigInt(address);
  }
  // Numbers may be masks of addresses: `ip saddr & 255.255.0.0` of raw fields.
  if (type.name === "tc_handle" && /^[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,4}$/.test(text)) {
    const [major, minor] = text.split(":");
    return (BigInt(`0x${major}`) << 16n) | BigInt(`0x${minor}`);
  }
  return /^(0x[0-9a-fA-F]+|0|[1-9]\d*)$/.test(text) ? BigInt(text) : null;
}

function inRange(scope: TableScope, term: Term, type: Datatype, value: bigint): Constant | null {
  if (value <= ones(type.bits)) return single(value);
  return wrong(scope, term, `${value} does not fit into ${type.bits} bits`);
}

function ordered(scope: TableScope, term: Term, type: Datatype, first: bigint, last: bigint): Constant | null {
  if (first > last) return wrong(scope, term, "the range is empty: its first value is behind its last");
  if (last > ones(type.bits)) return wrong(scope, term, `${last} does not fit into ${type.bits} bits`);
  return { first, last };
}

function rangeOf(scope: TableScope, term: Extract<Term, { kind: "range" }>, type: Datatype): Constant | null {
  const first = constant(scope, term.first, type);
  const last = constant(scope, term.last, type);
  return first && last && ordered(scope, term, type, first.first, last.last);
}

function prefix(scope: TableScope, term: Word, type: Datatype, text: string, length: number): Constant | null {
  const value = one(text, type);
  if (value === null || length > type.bits) return wrong(scope, term, `\`${term.text}\` is no ${described(type)}`);
  if (length === type.bits) return single(value);
  const mask = ones(type.bits) ^ ones(type.bits - length);
  if (type.name === "ipv4_addr" || type.name === "ipv6_addr") {
    const address = type.name === "ipv4_addr" ? Number(value) : value;
    const first = network(address, length);
    return { first: BigInt(first), last: BigInt(lastAddress({ address: first, length })), mask };
  }
  return { first: value & mask, last: (value & mask) | (ones(type.bits) ^ mask), mask };
}

/** Bits said together: `syn,ack`, `(syn | ack)`. */
function combined(scope: TableScope, parts: readonly Term[], type: Datatype, whole: Term): Constant | null {
  if (type.flags === undefined) return wrong(scope, whole, `a list of ${type.name} stands between braces: { 22, 80 }`);
  let bits = 0n;
  for (const part of parts) {
    const value = constant(scope, part, type);
    if (value === null) return null;
    bits |= value.first;
  }
  return single(bits);
}

function binary(scope: TableScope, term: Extract<Term, { kind: "binary" }>, type: Datatype): Constant | null {
  const left = constant(scope, term.left, type);
  const right = constant(scope, term.right, term.op === "<<" || term.op === ">>" ? TYPES.integer : type);
  if (left === null || right === null) return null;
  if (!isSingle(left) || !isSingle(right)) return wrong(scope, term, "a range has no bits to calculate with");
  if (term.op === "/") return { ...left, mask: right.first };
  return inRange(scope, term, type, calculate(term.op, left.first, right.first));
}

function calculate(op: "&" | "|" | "^" | "<<" | ">>", a: bigint, b: bigint): bigint {
  switch (op) {
    case "&":
      return a & b;
    case "|":
      return a | b;
    case "^":
      return a ^ b;
    case "<<":
      return b > 128n ? 0n : a << b;
    case ">>":
      return a >> b;
  }
}

/** IFNAMSIZ, which counts the end. */
const IFNAME_MAX = 15;

function deviceNames(scope: TableScope, term: Word): Constant | null {
  const { net, report } = scope.draft;
  const { text } = term;
  if (text === "") return single(0n);
  if (text.length > IFNAME_MAX)
    return wrong(
      scope,
      term,
      `\`${text}\` is too long for the name of a device: ${IFNAME_MAX} characters are possible`,
    );
  if (text.endsWith("*")) {
    const devices = net.devices.filter((d) => d.name.startsWith(text.slice(0, -1))).map((d) => d.ifindex as number);
    if (devices.length > 0) return { ...single(BigInt(devices[0])), devices };
    report.warning("W0421", term.span, `no device is called \`${text}\``, { label: "never holds" });
    return single(BigInt(NO_SUCH_DEVICE));
  }
  const device = deviceByName(net, text);
  if (device === undefined) {
    const meant = suggest(
      text,
      net.devices.map((d) => d.name),
    );
    report.warning("W0421", term.span, `no device \`${text}\` in namespace \`${net.name}\``, {
      label: "never holds",
      help: meant === null ? [] : [{ message: `did you mean \`${meant}\`?` }],
    });
  }
  return single(BigInt(device?.ifindex ?? NO_SUCH_DEVICE));
}

function deviceIndex(scope: TableScope, term: Word): Constant | null {
  const { net, report } = scope.draft;
  const device = deviceByName(net, term.text);
  if (device !== undefined) return single(BigInt(device.ifindex));
  const meant = suggest(
    term.text,
    net.devices.map((d) => d.name),
  );
  report.error("E0202", term.span, `no device \`${term.text}\` in namespace \`${net.name}\``, {
    label: "not defined",
    kernel: "Error: Interface does not exist",
    help: meant === null ? [] : [{ message: `did you mean \`${meant}\`?`, edit: { span: term.span, text: meant } }],
  });
  return null;
}

function wrong(scope: TableScope, term: Term, message: string, code: "E0402" | "E0403" = "E0402"): null {
  scope.draft.report.error(code, term.span, message);
  return null;
}
