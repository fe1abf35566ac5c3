/** What rules write: `meta KEY set`, and fields of headers and of TCP options with the checksums that cover them. */
import type { Clause, Term } from "../../chain-ast.ts";
import { type Expr, type ExtensionHeader, META_KEYS, type MetaSetKey, type OptionWrite } from "../../chain-model.ts";
import { asValue, constant, isSingle, ones } from "./constants.ts";
import { META } from "./fields.ts";
import { bitwise, type Operand, payload, type RuleDraft, report } from "./rule-draft.ts";
import { isProgramHook } from "./scope.ts";
import { literalSet, namedSet, sameType } from "./sets.ts";
import { operand, operands, refusedByXdp } from "./terms.ts";

type Assign = Extract<Clause, { kind: "assign" }>;
const META_SET: readonly string[] = ["mark", "priority", "pkttype"] satisfies MetaSetKey[];

const PKTTYPE_HOOKS: ReadonlySet<string> = new Set(["prerouting", "netdev ingress"]);

export function assign(rule: RuleDraft, one: Assign): void {
  const { target, span } = one;
  if (target.kind === "field" && target.words[0] === "meta") {
    const [, key] = target.words;
    if (!META_SET.includes(key)) {
      report(rule).error("E0410", target.span, `\`meta ${key}\` cannot be set`, {
        label: "mark, priority and pkttype can",
      });
      return;
    }
    if (refusedByXdp(rule, key, target.span)) return;
    // nft_meta_set_validate
    const late = key === "pkttype" ? [...rule.scope.hooks].find((hook) => !PKTTYPE_HOOKS.has(hook)) : undefined;
    if (late !== undefined && !isProgramHook(late)) {
      report(rule).error("E0410", target.span, `\`meta pkttype\` cannot be set at ${late}`, {
        label: "at prerouting and netdev ingress only",
        kernel: "Error: Could not process rule: Operation not supported",
      });
      return;
    }
    const value = assigned(rule, one.value, { type: META[key].type, bits: META_KEYS[key as MetaSetKey] });
    if (value !== null) rule.steps.push({ kind: "set meta", key: key as MetaSetKey, value, span });
    return;
  }
  const what = operand(rule, target);
  if (what === null) return;
  if (what.payload !== undefined) writePayload(rule, what.payload, one);
  else if (what.expr.kind === "exthdr" && what.expr.op === "tcp") writeOption(rule, what.type, what.expr, one);
  else
    report(rule).error("E0410", target.span, "this cannot be set", { label: "fields of headers can, and `meta mark`" });
}

/** Of which lengths fields of options are written, and from where on: not an option's kind and length (nft_exthdr_tcp_set_init). */
const isWritable = (length: number): length is OptionWrite["length"] => length === 2 || length === 4;
const KIND_AND_LENGTH_BYTES = 2;

function writeOption(rule: RuleDraft, type: Operand["type"], option: ExtensionHeader, one: Assign): void {
  const { type: kind, offset, length } = option;
  if (!isWritable(length) || offset < KIND_AND_LENGTH_BYTES) {
    report(rule).error("E0410", one.target.span, "this cannot be set", {
      label: "of TCP options, `maxseg size`, `sack left`, `sack right`, `timestamp tsval` and `tsecr` can",
      kernel: "Error: Could not process rule: Operation not supported",
    });
    return;
  }
  const value = assigned(rule, one.value, { type, bits: 8 * length });
  if (value !== null) rule.steps.push({ kind: "write option", type: kind, offset, length, value, span: one.span });
}

interface Place {
  readonly type: Operand["type"];
  /** Width of what is written. */
  readonly bits: number;
}

/** The expression that `set` writes. Null after an error. */
export function assigned(rule: RuleDraft, term: Term, { type, bits }: Place): Expr | null {
  if (term.kind === "map") return mapped(rule, term, type);
  if (
    term.kind === "field" ||
    term.kind === "raw" ||
    term.kind === "fib" ||
    (term.kind === "binary" && holdsField(term))
  ) {
    const what = operand(rule, term);
    if (what === null) return null;
    if (what.expr.bits === bits && sameType(what.type, type)) return what.expr;
    report(rule).error("E0403", term.span, `a ${type.name} is needed here, and this is a ${what.type.name}`, {
      kernel: "Error: datatype mismatch",
    });
    return null;
  }
  const value = constant(rule.scope.table, term, type);
  if (value === null) return null;
  if (isSingle(value)) return { kind: "const", value: asValue(value.first, bits), bits, span: term.span };
  report(rule).error("E0403", term.span, "one value is needed here, not a range");
  return null;
}

const holdsField = (term: Term): boolean =>
  term.kind === "field" ||
  term.kind === "raw" ||
  (term.kind === "binary" && (holdsField(term.left) || holdsField(term.right)));

function mapped(rule: RuleDraft, term: Extract<Term, { kind: "map" }>, type: Operand["type"]): Expr | null {
  const key = operands(rule, term.key);
  if (key === null) return null;
  const types = key.map((part) => part.type);
  let map = null;
  if (term.map.kind === "set") map = literalSet(rule.scope, term.map, types, type);
  else if (term.map.kind === "ref") {
    const entry = namedSet(rule.scope.table, term.map, types, "map");
    if (entry !== null && entry.value !== null && entry.value !== "verdict" && !sameType(entry.value, type)) {
      report(rule).error("E0403", term.map.span, `the map gives a ${entry.value.name}, and a ${type.name} is needed`, {
        secondary: [{ span: entry.span, message: "declared here" }],
        kernel: "Error: datatype mismatch",
      });
      return null;
    }
    map = entry?.set.id ?? null;
  }
  if (map === null) return null;
  return { kind: "map", map, key: key.map((part) => part.expr), bits: type.bits, span: term.span };
}

/** Fields that are in the pseudo header of TCP and UDP (nft: payload_needs_l4csum_update_pseudohdr). */
const PSEUDO: readonly string[] = [
  ...["ip saddr", "ip daddr", "ip protocol", "ip length", "ip6 saddr", "ip6 daddr", "ip6 nexthdr", "ip6 length"],
];

/**
 * Checksums are over pairs of bytes: an odd field is written together with its neighbour, and one that does not end at a byte
 * with the bits around it. Only constants can be written then, because two values cannot be put together.
 */
function writePayload(rule: RuleDraft, field: NonNullable<Operand["payload"]>, { value: term, span }: Assign): void {
  const { base, offset, type, header, name } = field;
  const checksum = header?.checksum ?? null;
  const aligned = offset % 8 === 0 && type.bits % 8 === 0;
  const even = offset % 16 === 0 && type.bits % 16 === 0;
  const pseudo = PSEUDO.includes(name);
  const write = (at: number, length: number, value: Expr): void => {
    rule.steps.push({ kind: "write payload", base, offset: at, length, value, checksum, pseudo, span });
  };
  if (aligned && (even || checksum === null)) {
    const value = assigned(rule, term, { type, bits: type.bits });
    if (value !== null) write(offset / 8, type.bits / 8, value);
    return;
  }
  if (term.kind === "map" || term.kind === "field" || term.kind === "raw") {
    report(rule).error("E0410", term.span, `\`${name}\` can be set to a constant only`, {
      label: "it shares its bytes with other fields",
    });
    return;
  }
  const value = constant(rule.scope.table, term, type);
  if (value === null) return;
  const from = Math.floor(offset / 16) * 2;
  const length = Math.ceil((offset + type.bits) / 16) * 2 - from;
  const shift = BigInt((from + length) * 8 - offset - type.bits);
  const mask = ones(type.bits) << shift;
  write(from, length, bitwise(payload(base, from, length, span), ones(8 * length) ^ mask, value.first << shift, span));
}
