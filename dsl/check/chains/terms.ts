/**
 * Fields become expressions, and what they imply becomes tests before them: `tcp dport` in a table of both IP families is a
 * test of the L4 protocol and a load of two bytes. What a rule has tested already is not tested again.
 *
 *   known        what the rule's tests before have established: the IP family, the L4 protocol, Ethernet, a VLAN tag
 */

import type { Hook } from "../../../runtime/hooks.ts";
import { ARPHRD_ETHER } from "../../../runtime/net/arp.ts";
import { EtherType } from "../../../runtime/net/ethernet.ts";
import type { Term } from "../../chain-ast.ts";
import { type Expr, META_KEYS, type Payload, type Step, type Value } from "../../chain-model.ts";
import type { Span } from "../../span.ts";
import { suggest } from "../../suggest.ts";
import { wordTable } from "../../word-table.ts";
import { anonymousSet } from "./anonymous.ts";
import { asValue, constant, ones } from "./constants.ts";
import { type Datatype, integer, TYPES } from "./datatypes.ts";
import {
  type Extension,
  HEADERS,
  type Header,
  type HeaderField,
  IP_OPTIONS,
  IPV6_EXTENSIONS,
  META,
  type Need,
  TCP_OPTIONS,
} from "./fields.ts";
import { isProgramHook, type RuleScope } from "./scope.ts";

/** A rule under construction. */
export interface RuleDraft {
  readonly scope: RuleScope;
  readonly steps: Step[];
  readonly known: {
    family: 4 | 6 | "arp" | null;
    l4proto: number | null;
    ethernet: boolean;
    vlan: boolean;
    /** The ICMP types that a test before has left. */
    icmpTypes: readonly number[] | null;
  };
}

export function startRule(scope: RuleScope): RuleDraft {
  const family = scope.family === "ip" ? 4 : scope.family === "ip6" ? 6 : null;
  return { scope, steps: [], known: { family, l4proto: null, ethernet: false, vlan: false, icmpTypes: null } };
}

/** An expression and its type. `raw` has the field's bits where they are; `expr` has them at the end, as a number. */
export interface Operand {
  readonly expr: Expr;
  readonly type: Datatype;
  /** For fields that do not end at a byte: the bytes masked, and how far the field is from the end. */
  readonly raw?: { readonly expr: Expr; readonly shift: number };
  /** What a test for equality with a constant establishes. */
  readonly establishes?: "family" | "l4proto" | "protocol" | "icmp type" | "ether type";
  /** What `set` needs to know. */
  readonly payload?: HeaderField & { readonly header: Header | null; readonly name: string };
}

export const report = (rule: RuleDraft) => rule.scope.table.draft.report;

/** Null after an error. */
export function operand(rule: RuleDraft, term: Term): Operand | null {
  switch (term.kind) {
    case "field":
      return field(rule, term);
    case "raw":
      return rawPayload(rule, term);
    case "fib":
      return fib(rule, term);
    case "binary":
      return calculation(rule, term);
    default:
      report(rule).error("E0403", term.span, "a field of the packet is needed here");
      return null;
  }
}

/** The parts of `a . b`, or the one. */
export function operands(rule: RuleDraft, term: Term): Operand[] | null {
  const parts = (term.kind === "concat" ? term.parts : [term]).map((part) => operand(rule, part));
  return parts.every((part) => part !== null) ? parts : null;
}

type FieldTerm = Extract<Term, { kind: "field" }>;

function field(rule: RuleDraft, term: FieldTerm): Operand | null {
  const [first, second] = term.words;
  if (first === "meta") return meta(rule, term, second);
  if (first === "ct") return conntrack(rule, term, second);
  if (second === "option") return option(rule, term);
  if (first === "exthdr") return extensionPresent(rule, term, second);
  const extension = IPV6_EXTENSIONS[first];
  if (extension !== undefined) return extensionField(rule, term, extension, second);
  const header = HEADERS[first];
  const spec = header?.fields[second];
  if (spec === undefined) return unknown(rule, term, first, second, Object.keys(header?.fields ?? {}));
  for (const need of [...header.needs, ...(spec.needs ?? [])]) if (!require(rule, need, term.span, first)) return null;
  return headerField(spec, term.span, header, `${first} ${second}`);
}

function unknown(rule: RuleDraft, term: FieldTerm, what: string, name: string, names: readonly string[]): null {
  const meant = suggest(name, names);
  report(rule).error("E0401", term.span, `\`${what}\` has no field \`${name}\``, {
    label: names.length === 0 ? "not supported" : "",
    help:
      meant === null
        ? names.length === 0
          ? []
          : [{ message: `there are ${names.map((n) => `\`${n}\``).join(", ")}` }]
        : [{ message: `did you mean \`${what} ${meant}\`?`, edit: { span: term.span, text: `${what} ${meant}` } }],
  });
  return null;
}

/** The bytes that hold bits `offset` to `offset + bits`, as loaded, masked and shifted. */
function headerField(spec: HeaderField, span: Span, header: Header | null, name: string): Operand {
  const { base, offset, type } = spec;
  const from = Math.floor(offset / 8);
  const length = Math.ceil((offset + type.bits) / 8) - from;
  const load = payload(base, from, length, span);
  const shift = (from + length) * 8 - offset - type.bits;
  return {
    ...bitsOf(load, type, shift, span),
    payload: { ...spec, header, name },
    ...(ESTABLISHES[name] === undefined ? {} : { establishes: ESTABLISHES[name] }),
  };
}

const ESTABLISHES: Readonly<Record<string, Operand["establishes"]>> = {
  "ether type": "ether type",
  "ip protocol": "l4proto",
  "ip6 nexthdr": "l4proto",
  "icmp type": "icmp type",
  "icmpv6 type": "icmp type",
};

const registerBits = (bits: number): number => (bits <= 32 ? 32 : bits <= 64 ? 64 : 128);

/** `type.bits` bits of `load`, `shift` bits from its end. */
function bitsOf(load: Expr, type: Datatype, shift: number, span: Span): Operand {
  if (load.bits === type.bits) return { expr: load, type };
  const mask = ones(type.bits) << BigInt(shift);
  const masked = bitwise(load, mask, 0n, span);
  if (shift === 0) return { expr: masked, type, raw: { expr: masked, shift } };
  // As wide as what was loaded, unless a smaller register holds it: 32 bits may lie in five bytes.
  const bits = registerBits(load.bits) === registerBits(type.bits) ? load.bits : type.bits;
  const expr: Expr = { kind: "shift", operand: masked, direction: "right", by: shift, bits, span };
  return { expr, type, raw: { expr: masked, shift } };
}

export const payload = (base: Payload["base"], offset: number, length: number, span: Span): Expr => ({
  kind: "payload",
  base,
  offset,
  length,
  bits: 8 * length,
  span,
});

/** `(operand & mask) ^ xor`; two in a row become one. */
export function bitwise(operand: Expr, mask: bigint, xor: bigint, span: Span): Expr {
  const { bits } = operand;
  if (operand.kind === "bitwise") {
    const inner = { mask: BigInt(operand.mask), xor: BigInt(operand.xor) };
    return bitwise(operand.operand, inner.mask & mask, (inner.xor & mask) ^ xor, span);
  }
  return { kind: "bitwise", operand, mask: asValue(mask, bits), xor: asValue(xor, bits), bits, span };
}

// What is implied.

const NFPROTO = { 4: 2, 6: 10 } as const;
const ETH_P = { 4: 0x0800, 6: 0x86dd, arp: 0x0806 } as const;
const FAMILY_NAME = { 4: "IPv4", 6: "IPv6", arp: "ARP" } as const;

/** False after an error. `word` is what needs it. */
export function require(rule: RuleDraft, need: Need, span: Span, word: string): boolean {
  const { known, scope } = rule;
  switch (need.kind) {
    case "family":
      return requireFamily(rule, need.family, span, word);
    case "usual family":
      return known.family !== null || known.l4proto !== null || requireFamily(rule, need.family, span, word);
    case "l4proto":
      if (known.l4proto === null) test(rule, metaExpr("l4proto", span), need.protocol, span);
      else if (known.l4proto !== need.protocol) {
        report(rule).error("E0404", span, `the rule is about protocol ${protocolName(known.l4proto)} already`, {
          label: `\`${word}\` is ${protocolName(need.protocol)}: no packet is both`,
          kernel: `Error: conflicting protocols specified: ${protocolName(known.l4proto)} vs. ${protocolName(need.protocol)}`,
        });
        return false;
      }
      known.l4proto = need.protocol;
      return true;
    case "ethernet":
      if (!known.ethernet && scope.program === null) test(rule, metaExpr("iiftype", span), ARPHRD_ETHER, span);
      known.ethernet = true;
      return true;
    case "vlan":
      if (!known.vlan) test(rule, payload("link", 12, 2, span), EtherType.VLAN, span);
      known.vlan = true;
      return true;
    case "icmp type": {
      if (known.icmpTypes?.some((type) => need.types.includes(type))) return true;
      const load = payload("transport", 0, 1, span);
      if (need.types.length === 1) test(rule, load, need.types[0], span);
      else {
        const elements = need.types
          .toSorted((a, b) => a - b)
          .map((t) => ({ key: [{ first: t, last: t }], value: null }));
        const key = [{ type: "icmp_type", bits: 8 }];
        const set = anonymousSet(scope.table, key, null, false, elements, span);
        rule.steps.push({ kind: "lookup", not: false, set, key: [load], span });
      }
      known.icmpTypes = need.types;
      return true;
    }
  }
}

const protocolName = (protocol: number): string =>
  [...(TYPES.inet_proto.symbols ?? [])].find(([, number]) => number === protocol)?.[0] ?? String(protocol);

function requireFamily(rule: RuleDraft, family: 4 | 6 | "arp", span: Span, word: string): boolean {
  const { known, scope } = rule;
  if (known.family === family) return true;
  const sees = known.family === null ? null : FAMILY_NAME[known.family];
  if (sees !== null || (family === "arp" && scope.family !== "netdev")) {
    report(rule).error(
      "E0404",
      span,
      `\`${word}\` is ${FAMILY_NAME[family]}, and no ${FAMILY_NAME[family]} packet comes here`,
      {
        label: sees === null ? `a table of family \`${scope.family}\` sees no ARP` : `all packets here are ${sees}`,
        kernel: `Error: conflicting protocols specified: ${known.family === 6 ? "ip6" : scope.family} vs. ${word}`,
      },
    );
    return false;
  }
  if (scope.family === "inet") test(rule, metaExpr("nfproto", span), NFPROTO[family as 4], span);
  else if (known.vlan) test(rule, payload("link", 16, 2, span), ETH_P[family], span);
  else test(rule, metaExpr("protocol", span), ETH_P[family], span);
  known.family = family;
  return true;
}

function test(rule: RuleDraft, left: Expr, right: Value, span: Span): void {
  rule.steps.push({ kind: "compare", op: "eq", left, right, span });
}

export const metaExpr = (key: keyof typeof META_KEYS, span: Span): Expr => ({
  kind: "meta",
  key,
  bits: META_KEYS[key],
  span,
});

/** Remembers what a test for equality with one value has established. */
export function establish(rule: RuleDraft, { establishes }: Operand, value: bigint): void {
  const { known } = rule;
  if (establishes === "l4proto") known.l4proto = Number(value);
  else if (establishes === "icmp type") known.icmpTypes = [Number(value)];
  else if (establishes === "ether type") known.vlan ||= value === BigInt(EtherType.VLAN);
  else if (establishes === "family") known.family ??= value === 2n ? 4 : value === 10n ? 6 : null;
  else if (establishes === "protocol") known.family ??= value === 0x0800n ? 4 : value === 0x86ddn ? 6 : null;
}

// Other fields.

/** Where a device key has no value: it would compare as no device, always. */
const WITHOUT_OUTPUT: ReadonlySet<Hook> = new Set(["xdp", "tc ingress", "netdev ingress", "prerouting", "input"]);
const WITHOUT_INPUT: ReadonlySet<Hook> = new Set(["output", "tc egress", "netdev egress"]);

/** What nft knows of the host that a packet is on, and there is none of here. */
const META_OF_HOSTS: ReadonlySet<string> = new Set([
  ...["cpu", "cgroup", "rtclassid", "nftrace", "random", "secmark", "ipsec", "time", "day", "hour", "bri_iifname"],
  ...["bri_oifname", "iifkind", "oifkind", "ibrname", "obrname", "secpath"],
]);

function meta(rule: RuleDraft, term: FieldTerm, name: string): Operand | null {
  const spec = META[name];
  if (META_OF_HOSTS.has(name)) {
    report(rule).error("E0414", term.span, `\`meta ${name}\` is not supported`);
    return null;
  }
  if (spec === undefined) return unknown(rule, term, "meta", name, Object.keys(META));
  if (name === "nfproto" && rule.scope.family !== "inet") {
    report(rule).error("E0403", term.span, "`meta nfproto` tells apart what chains of family inet see", {
      label: rule.scope.family === "netdev" ? "`meta protocol ip` here" : `all is ${rule.scope.family} here`,
      kernel: "Error: meta nfproto is only useful in the inet family",
    });
    return null;
  }
  const { hooks } = rule.scope;
  // At netdev egress iiftype is that of the one device there is.
  const ofEitherDevice = name === "iiftype" && hooks.has("netdev egress");
  const direction = name.startsWith("oif") ? "output" : name.startsWith("iif") && !ofEitherDevice ? "input" : null;
  const without = direction === "output" ? WITHOUT_OUTPUT : WITHOUT_INPUT;
  if (direction !== null && rule.scope.base && hooks.size > 0 && [...hooks].every((hook) => without.has(hook))) {
    report(rule).error("E0409", term.span, `there is no ${direction} device at ${[...hooks].join(", ")}`, {
      label:
        direction === "output"
          ? "where the packet goes is decided later, by the look-up"
          : "the packet was made here; `oifname` says where it goes",
    });
    return null;
  }
  if (refusedByXdp(rule, name, term.span)) return null;
  const establishes =
    name === "l4proto" ? "l4proto" : name === "nfproto" ? "family" : name === "protocol" ? "protocol" : undefined;
  return {
    expr: metaExpr(spec.key, term.span),
    type: spec.type,
    ...(establishes === undefined ? {} : { establishes }),
  };
}

/** What struct xdp_md and the frame tell: the device, and what the bytes say. */
const META_OF_FRAMES: ReadonlySet<string> = new Set([
  "iif",
  "iifname",
  "iiftype",
  "iftype",
  "length",
  "protocol",
  "l4proto",
]);

/** True after an error. A chain is refused what one of the programs that lead to it does not have. */
export function refusedByXdp(rule: RuleDraft, name: string, span: Span): boolean {
  if (!rule.scope.hooks.has("xdp") || META_OF_FRAMES.has(name)) return false;
  report(rule).error("E0409", span, `there is no \`meta ${name}\` at xdp`, {
    label: "an XDP program judges the frame before it becomes a packet (skb); tc programs know it",
  });
  return true;
}

function conntrack(rule: RuleDraft, term: FieldTerm, key: string): Operand | null {
  if (rule.scope.hooks.has("xdp")) {
    report(rule).error("E0409", term.span, "there are no connections at xdp");
    return null;
  }
  if (key !== "state") {
    report(rule).error("E0414", term.span, `\`ct ${key}\` is not supported`, {
      label: "there is no connection tracking",
    });
    return null;
  }
  return { expr: { kind: "ct", key: "state", bits: 32, span: term.span }, type: TYPES.ct_state };
}

const BASES: Readonly<Record<string, Payload["base"]>> = wordTable({
  ...{ ll: "link", nh: "network", th: "transport", ih: "inner" },
} as const);
const MAX_RAW_BITS = 128;

function rawPayload(rule: RuleDraft, term: Extract<Term, { kind: "raw" }>): Operand | null {
  if (term.bits < 1 || term.bits > MAX_RAW_BITS || term.offset > 0xffff) {
    report(rule).error("E0401", term.span, `a raw field has 1 to ${MAX_RAW_BITS} bits`);
    return null;
  }
  if ((term.offset % 8) + term.bits > MAX_RAW_BITS) {
    report(rule).error("E0401", term.span, `a raw field lies in ${MAX_RAW_BITS / 8} bytes at most`, {
      label: `these ${term.bits} bits begin at bit ${term.offset % 8} of a byte, and reach into one more`,
    });
    return null;
  }
  const spec: HeaderField = { base: BASES[term.base], offset: term.offset, type: integer(term.bits) };
  return headerField(spec, term.span, null, `@${term.base},${term.offset},${term.bits}`);
}

const FIB_FLAGS = ["saddr", "daddr", "mark", "iif", "oif"];

function fib(rule: RuleDraft, term: Extract<Term, { kind: "fib" }>): Operand | null {
  const { flags, result, span } = term;
  const wrong = flags.find((flag) => !FIB_FLAGS.includes(flag));
  const addresses = flags.filter((flag) => flag === "saddr" || flag === "daddr");
  if (wrong !== undefined || addresses.length !== 1 || (flags.includes("iif") && flags.includes("oif"))) {
    report(rule).error("E0401", span, "`fib` takes `saddr` or `daddr`, and `mark`, `iif` or `oif` beside it", {
      label: wrong === undefined ? "" : `\`${wrong}\` is not one of them`,
    });
    return null;
  }
  if ([...rule.scope.hooks].some(isProgramHook)) {
    report(rule).error("E0409", span, "programs look up no routes", { label: "chains at netdev ingress do" });
    return null;
  }
  if (result !== "type" && result !== "oif" && result !== "oifname") {
    report(rule).error("E0401", span, "`fib` gives `type`, `oif` or `oifname`", { label: `not \`${result}\`` });
    return null;
  }
  const refusal = fibRefusal(rule, result, flags);
  if (refusal !== null) {
    report(rule).error("E0409", span, refusal, { kernel: "Error: Could not process rule: Operation not supported" });
    return null;
  }
  const type = result === "type" ? TYPES.fib_addrtype : result === "oif" ? TYPES.iface_index : TYPES.ifname;
  return {
    type,
    expr: {
      kind: "fib",
      result: result === "type" ? "type" : "oif",
      address: addresses[0] as "saddr",
      mark: flags.includes("mark"),
      iif: flags.includes("iif"),
      oif: flags.includes("oif"),
      present: false,
      bits: 32,
      span,
    },
  };
}

/** Kernel: nft_fib_validate. */
function fibRefusal(rule: RuleDraft, result: string, flags: readonly string[]): string | null {
  const { hooks, family } = rule.scope;
  const incoming: readonly Hook[] = ["prerouting", "input", "forward"];
  const outgoing: readonly Hook[] = ["output", "postrouting", "forward"];
  const wanted = result !== "type" || flags.includes("iif") ? incoming : flags.includes("oif") ? outgoing : null;
  if (family === "netdev" || wanted === null) return null;
  const hook = [...hooks].find((one) => !wanted.includes(one));
  return hook === undefined ? null : `this \`fib\` has no meaning at ${hook}: ${wanted.join(", ")} have it`;
}

const NO_OPTIONS: Readonly<Record<string, Extension>> = wordTable({});

function option(rule: RuleDraft, term: FieldTerm): Operand | null {
  const [protocol, , name, fieldName] = term.words;
  const table = protocol === "tcp" ? TCP_OPTIONS : protocol === "ip" ? IP_OPTIONS : NO_OPTIONS;
  const extension = table[name];
  if (extension === undefined) return unknown(rule, term, `${protocol} option`, name, Object.keys(table));
  if (protocol === "ip" && !require(rule, { kind: "family", family: 4 }, term.span, "ip")) return null;
  if (fieldName === undefined) return present(extension, term.span);
  return extensionValue(rule, term, extension, `${protocol} option ${name}`, fieldName);
}

function extensionField(rule: RuleDraft, term: FieldTerm, extension: Extension, name: string): Operand | null {
  if (!require(rule, { kind: "family", family: 6 }, term.span, term.words[0])) return null;
  return extensionValue(rule, term, extension, term.words[0], name);
}

function extensionPresent(rule: RuleDraft, term: FieldTerm, name: string): Operand | null {
  const extension = IPV6_EXTENSIONS[name];
  if (extension === undefined) return unknown(rule, term, "exthdr", name, Object.keys(IPV6_EXTENSIONS));
  if (!require(rule, { kind: "family", family: 6 }, term.span, "exthdr")) return null;
  return present(extension, term.span);
}

const present = ({ op, number }: Extension, span: Span): Operand => ({
  type: TYPES.boolean,
  expr: { kind: "exthdr", op, type: number, offset: 0, length: 1, present: true, bits: 8, span },
});

function extensionValue(
  rule: RuleDraft,
  term: FieldTerm,
  extension: Extension,
  what: string,
  name: string,
): Operand | null {
  const spec = extension.fields[name];
  if (spec === undefined) return unknown(rule, term, what, name, Object.keys(extension.fields));
  const [at, type] = spec;
  const offset = Math.floor(at / 8);
  const length = Math.ceil((at + type.bits) / 8) - offset;
  const { op, number } = extension;
  const { span } = term;
  const load: Expr = { kind: "exthdr", op, type: number, offset, length, present: false, bits: 8 * length, span };
  return bitsOf(load, type, (offset + length) * 8 - at - type.bits, span);
}

/** `meta mark & 0xff | 0x10`: a field with constants. */
function calculation(rule: RuleDraft, term: Extract<Term, { kind: "binary" }>): Operand | null {
  const left = operand(rule, term.left);
  if (left === null) return null;
  const { type, expr } = left;
  const right = constant(rule.scope.table, term.right, term.op === "<<" || term.op === ">>" ? TYPES.integer : type);
  if (right === null) return null;
  const all = ones(expr.bits);
  const value = right.first;
  switch (term.op) {
    case "&":
      return { type, expr: bitwise(expr, value, 0n, term.span) };
    case "|":
      return { type, expr: bitwise(expr, all ^ value, value, term.span) };
    case "^":
      return { type, expr: bitwise(expr, all, value, term.span) };
    case "<<":
    case ">>": {
      const by = Number(value);
      if (BigInt(expr.bits) <= value) {
        report(rule).error("E0402", term.right.span, `a value of ${expr.bits} bits is shifted by less`);
        return null;
      }
      return {
        type,
        expr: {
          kind: "shift",
          operand: expr,
          direction: term.op === "<<" ? "left" : "right",
          by,
          bits: expr.bits,
          span: term.span,
        },
      };
    }
    case "/":
      report(rule).error("E0403", term.span, "`/` stands between constants: `tcp flags syn / syn,ack`");
      return null;
  }
}
