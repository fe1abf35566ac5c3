/** Fields become expressions; what they need is tested before (needs.ts). */
import type { Hook } from "../../../runtime/hooks.ts";
import type { Term } from "../../chain-ast.ts";
import type { Expr, Payload } from "../../chain-model.ts";
import type { Span } from "../../span.ts";
import { suggest } from "../../suggest.ts";
import { wordTable } from "../../word-table.ts";
import { constant, ones } from "./constants.ts";
import { type Datatype, integer, TYPES } from "./datatypes.ts";
import {
  type Extension,
  HEADERS,
  type Header,
  type HeaderField,
  IP_OPTIONS,
  IPV6_EXTENSIONS,
  META,
  TCP_OPTIONS,
  tcpOptionOf,
} from "./fields.ts";
import { metaExpr, require } from "./needs.ts";
import { bitwise, type Operand, payload, type RuleDraft, report } from "./rule-draft.ts";
import { isProgramHook } from "./scope.ts";

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
  const extension = table[name] ?? (protocol === "tcp" ? tcpOptionOf(name) : null);
  if (extension === null) return unknown(rule, term, `${protocol} option`, name, Object.keys(table));
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
