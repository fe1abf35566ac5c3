/** Rules: the clauses of one become its steps, in the order in which they stand, with what they imply before them. */

import { COUNTER_TYPE } from "../../../runtime/hooks.ts";
import type { Clause, Rate, FilterRule as RuleNode, Term } from "../../chain-ast.ts";
import {
  type Counter,
  type CounterId,
  counterId,
  type Decision,
  type Expr,
  type FilterRule,
  type Limit,
  type LimitId,
  limitId,
  META_KEYS,
  type MetaSetKey,
  type SetId,
  type Step,
} from "../../chain-model.ts";
import type { Span } from "../../span.ts";
import { asValue, type Constant, constant, isSingle, ones } from "./constants.ts";
import { ICMP_CODES, ICMPV6_CODES, TYPES } from "./datatypes.ts";
import { META, type Need } from "./fields.ts";
import { isProgramHook, type RuleScope, type TableScope } from "./scope.ts";
import { literalSet, namedSet, sameType } from "./sets.ts";
import {
  bitwise,
  establish,
  type Operand,
  operand,
  operands,
  payload,
  type RuleDraft,
  refusedByXdp,
  require,
  startRule,
} from "./terms.ts";
import { decision, mayDecide } from "./verdicts.ts";

export function filterRule(scope: RuleScope, node: RuleNode): FilterRule {
  const rule = startRule(scope);
  let terminal: Span | undefined;
  for (const one of node.clauses) {
    if (terminal !== undefined) {
      scope.table.draft.report.error("E0411", one.span, "nothing comes behind a verdict", {
        secondary: [{ span: terminal, message: "ends the rule" }],
        kernel: "Error: Statement after terminal statement has no effect",
      });
      break;
    }
    clause(rule, one);
    if (isTerminal(one)) terminal = one.span;
  }
  return { steps: rule.steps, comment: node.comment?.value ?? null, origin: { span: node.span } };
}

const isTerminal = (one: Clause): boolean =>
  one.kind === "verdict" || one.kind === "vmap" || one.kind === "reject" || (one.kind === "send" && one.how !== "dup");

function clause(rule: RuleDraft, one: Clause): void {
  const { span } = one;
  switch (one.kind) {
    case "match":
      match(rule, one);
      break;
    case "vmap":
      vmap(rule, one);
      break;
    case "assign":
      assign(rule, one);
      break;
    case "verdict": {
      const decided = decision(rule.scope, one);
      if (decided !== null) rule.steps.push({ ...decided, span });
      break;
    }
    case "counter": {
      if (one.of !== undefined) {
        count(rule, one.of, span);
        break;
      }
      const counter = counterOf(rule.scope.table, one);
      if (counter !== null) rule.steps.push({ kind: "counter", counter, span });
      break;
    }
    case "limit": {
      const entry = rule.scope.table.limits.get(one.name.value);
      if (entry === undefined) undefinedName(rule, "limit", one.name, rule.scope.table.limits.keys());
      else rule.steps.push({ kind: "limit", limit: entry.limit.id, span });
      break;
    }
    case "rate": {
      const limit = newLimit(rule.scope.table, one.rate, null);
      if (limit !== null) rule.steps.push({ kind: "limit", limit, span });
      break;
    }
    case "log":
      log(rule, one);
      break;
    case "reject":
      reject(rule, one);
      break;
    case "send":
      send(rule, one);
      break;
  }
}

/** The counter of a key: nft's `counter name KEY map @MAP`. */
function count(rule: RuleDraft, { key, map }: Extract<Term, { kind: "map" }>, span: Span): void {
  if (map.kind !== "ref") {
    report(rule).error("E0403", map.span, "counters are kept in a map with a name");
    return;
  }
  const parts = operands(rule, key);
  if (parts === null) return;
  const types = parts.map((part) => part.type);
  const entry = namedSet(rule.scope.table, map, types, "map");
  if (entry === null) return;
  if (entry.set.value === null || entry.set.value === "verdict" || entry.set.value.type !== COUNTER_TYPE) {
    report(rule).error("E0403", map.span, `\`${map.name}\` holds no counters`, {
      secondary: [{ span: entry.span, message: "declared here" }],
      label: "`type KEY : counter`",
    });
    return;
  }
  rule.steps.push({ kind: "count", map: entry.set.id, key: parts.map((part) => part.expr), span });
}

const report = (rule: RuleDraft) => rule.scope.table.draft.report;

function undefinedName(
  rule: RuleDraft,
  what: string,
  name: { value: string; span: Span },
  known: Iterable<string>,
): void {
  const names = [...known].map((one) => `\`${one}\``);
  report(rule).error("E0405", name.span, `no ${what} \`${name.value}\` in ${rule.scope.table.label}`, {
    label: names.length === 0 ? "" : `there is ${names.join(", ")}`,
    kernel: "Error: Could not process rule: No such file or directory",
  });
}

// Matches.

type Match = Extract<Clause, { kind: "match" }>;

function match(rule: RuleDraft, { left, op, right, span }: Match): void {
  if (right.kind === "set" || right.kind === "ref") {
    lookup(rule, left, op, right, span);
    return;
  }
  if (left.kind === "concat") {
    report(rule).error("E0403", span, "concatenations are looked up in sets", {
      label: "put braces around the value",
      kernel: "Error: Use concatenations with sets and maps, not singleton values",
    });
    return;
  }
  if (left.kind === "fib" && right.kind === "word" && (right.text === "exists" || right.text === "missing")) {
    fibPresent(rule, left, op, right.text, span);
    return;
  }
  const what = operand(rule, left);
  const value = what && constant(rule.scope.table, right, what.type);
  if (what === null || value === null) return;
  compare(rule, what, op, value, left, right, span);
}

const OPS = { "==": "eq", "!=": "ne", "!": "eq", "<": "lt", "<=": "le", ">": "gt", ">=": "ge" } as const;

function compare(
  rule: RuleDraft,
  what: Operand,
  op: Match["op"],
  value: Constant,
  left: Term,
  right: Term,
  span: Span,
): void {
  const { steps } = rule;
  const negated = op === "!=";
  const equality = op === null || op === "==" || negated;
  if (op === "!" && what.type.flags === undefined) {
    report(rule).error("E0403", span, `\`!\` is of bits, and a ${what.type.name} has none with a name`, {
      label: "another value is said by `!=`",
    });
    return;
  }
  if (!equality && !isSingle(value)) {
    report(rule).error("E0403", span, `\`${op}\` compares with one value`);
    return;
  }
  if (value.devices !== undefined) {
    const elements = value.devices.map((d) => ({
      key: { kind: "word" as const, text: String(d), quoted: false, span: right.span },
    }));
    const literal = { kind: "set" as const, elements, span: right.span };
    const set = literalSet(rule.scope, literal, [TYPES.iface_index], null);
    if (set !== null) steps.push({ kind: "lookup", not: negated, set, key: [what.expr], span });
    return;
  }
  // Fields that do not end at a byte are compared where they are.
  const { expr, shift } = what.raw ?? { expr: what.expr, shift: 0 };
  const at = (big: bigint) => asValue(big << BigInt(shift), expr.bits);
  const bits = (mask: bigint): Expr => bitwise(expr, mask << BigInt(shift), 0n, span);
  if (value.mask !== undefined) {
    steps.push({
      kind: "compare",
      op: negated ? "ne" : "eq",
      left: bits(value.mask),
      right: at(value.first & value.mask),
      span,
    });
  } else if (!isSingle(value)) {
    steps.push({ kind: "range", not: negated, left: expr, first: at(value.first), last: at(value.last), span });
  } else if (op === "!" || (op === null && what.type.flags && left.kind !== "binary")) {
    steps.push({ kind: "compare", op: op === "!" ? "eq" : "ne", left: bits(value.first), right: at(0n), span });
  } else {
    steps.push({ kind: "compare", op: op === null ? "eq" : OPS[op], left: expr, right: at(value.first), span });
    if (op === null || op === "==") establish(rule, what, value.first);
  }
}

function lookup(rule: RuleDraft, left: Term, op: Match["op"], right: Term, span: Span): void {
  if (op !== null && op !== "==" && op !== "!=") {
    report(rule).error("E0403", span, `\`${op}\` does not go with a set`, {
      label: "a key is in a set, or not (`!=`)",
    });
    return;
  }
  const key = operands(rule, left);
  if (key === null) return;
  const types = key.map((part) => part.type);
  const set =
    right.kind === "set"
      ? literalSet(rule.scope, right, types, null)
      : right.kind === "ref"
        ? (namedSet(rule.scope.table, right, types, "set")?.set.id ?? null)
        : null;
  if (set !== null) rule.steps.push({ kind: "lookup", not: op === "!=", set, key: key.map((part) => part.expr), span });
}

function fibPresent(rule: RuleDraft, left: Term, op: Match["op"], word: string, span: Span): void {
  const what = operand(rule, left);
  if (what?.expr.kind !== "fib") return;
  const expr: Expr = { ...what.expr, present: true, bits: 8 };
  rule.steps.push({
    kind: "compare",
    op: op === "!=" ? "ne" : "eq",
    left: expr,
    right: word === "exists" ? 1 : 0,
    span,
  });
}

function vmap(rule: RuleDraft, { key, map, span }: Extract<Clause, { kind: "vmap" }>): void {
  const parts = operands(rule, key);
  if (parts === null) return;
  const types = parts.map((part) => part.type);
  const found =
    map.kind === "set"
      ? literalSet(rule.scope, map, types, "verdict")
      : map.kind === "ref"
        ? (namedSet(rule.scope.table, map, types, "verdict")?.set.id ?? null)
        : null;
  if (found === null || !vmapFits(rule, found, map.span)) return;
  rule.steps.push({ kind: "vmap", map: found, key: parts.map((part) => part.expr), span });
}

function vmapFits(rule: RuleDraft, id: SetId, span: Span): boolean {
  const decisions = rule.scope.table.draft.sets[id].elements.map(({ value }) => value as Decision);
  const misfit = decisions.find((one) => !mayDecide(rule.scope, one));
  if (misfit === undefined) return true;
  const what = misfit.kind === "xdp" ? "an XDP program" : "a tc program";
  report(rule).error(
    "E0410",
    span,
    `the map holds \`${"action" in misfit ? misfit.action : misfit.kind}\`, a verdict of ${what}`,
    {
      label: "`accept` and `drop` mean something everywhere",
    },
  );
  return false;
}

// What is written.

type Assign = Extract<Clause, { kind: "assign" }>;
const META_SET: readonly string[] = ["mark", "priority", "pkttype"] satisfies MetaSetKey[];

const PKTTYPE_HOOKS: ReadonlySet<string> = new Set(["prerouting", "netdev ingress"]);

function assign(rule: RuleDraft, one: Assign): void {
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
  if (what.payload === undefined) {
    report(rule).error("E0410", target.span, "this cannot be set", { label: "fields of headers can, and `meta mark`" });
    return;
  }
  writePayload(rule, what.payload, one);
}

interface Place {
  readonly type: Operand["type"];
  /** Width of what is written. */
  readonly bits: number;
}

/** The expression that `set` writes. Null after an error. */
function assigned(rule: RuleDraft, term: Term, { type, bits }: Place): Expr | null {
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

// State.

export function counterOf(scope: TableScope, node: Extract<Clause, { kind: "counter" }>): CounterId | null {
  const { counters, report } = scope.draft;
  if (node.name !== undefined) {
    const entry = scope.counters.get(node.name.value);
    if (entry !== undefined) return entry.counter.id;
    report.error("E0405", node.name.span, `no counter \`${node.name.value}\` in ${scope.label}`, {
      kernel: "Error: Could not process rule: No such file or directory",
    });
    return null;
  }
  const { packets, bytes, span } = node;
  return newCounter(scope, null, packets?.value ?? 0n, bytes?.value ?? 0n, span, counters).id;
}

export function newCounter(
  { index }: TableScope,
  name: string | null,
  packets: bigint,
  bytes: bigint,
  span: Span,
  counters: Counter[],
): Counter {
  const counter: Counter = { id: counterId(counters.length), table: index, name, packets, bytes, span };
  counters.push(counter);
  return counter;
}

const NANOSECONDS: Readonly<Record<string, bigint>> = {
  second: 1_000_000_000n,
  minute: 60_000_000_000n,
  hour: 3_600_000_000_000n,
  day: 86_400_000_000_000n,
  week: 604_800_000_000_000n,
};
const BYTE_UNITS: Readonly<Record<string, bigint>> = { bytes: 1n, kbytes: 1024n, mbytes: 1048576n };
/** NFT_LIMIT_PKT_BURST_DEFAULT. */
const PACKET_BURST = 5;

/** Null after an error. */
export function newLimit(scope: TableScope, rate: Rate, name: string | null): LimitId | null {
  const { report, limits } = scope.draft;
  const per = NANOSECONDS[rate.per.value];
  const scale = rate.unit === undefined ? 1n : BYTE_UNITS[rate.unit.value];
  if (per === undefined || scale === undefined || rate.amount.value === 0n) {
    report.error("E0402", rate.span, "this is no rate", {
      label: "`rate 10/second`, `rate 5 mbytes/minute burst 10 kbytes`",
    });
    return null;
  }
  const packets = rate.unit === undefined;
  const unit = rate.burst?.unit?.value;
  const burstScale = unit === undefined || unit === "packets" ? 1n : BYTE_UNITS[unit];
  const burst = Number(BigInt(rate.burst?.amount.value ?? (packets ? PACKET_BURST : 0)) * burstScale);
  const speed = rate.amount.value * scale;
  const max = packets ? (per / speed) * BigInt(burst) : per * (speed + BigInt(burst));
  if (max >= 1n << 64n) {
    report.error("E0402", rate.span, "the rate is too high", {
      label: "its tokens do not fit into 64 bits",
      kernel: "Error: Could not process rule: Value too large for defined data type",
    });
    return null;
  }
  const limit: Limit = {
    id: limitId(limits.length),
    table: scope.index,
    name,
    unit: packets ? "packets" : "bytes",
    rate: speed,
    per,
    burst,
    over: rate.over,
    max: packets ? max : max / speed,
    span: rate.span,
  };
  limits.push(limit);
  return limit.id;
}

const LEVELS = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
const DEFAULT_LEVEL = 4;

function log(rule: RuleDraft, { prefix, level, options, span }: Extract<Clause, { kind: "log" }>): void {
  if (options !== undefined) {
    const at = { start: options[0].span.start, end: options.at(-1)!.span.end };
    if (level !== undefined && options.some(({ value }) => value === "group")) {
      report(rule).error("E0403", at, "`level` and `group` exclude each other", {
        label: "a group is read by a program, a level by syslog",
        kernel: "Error: level and group are mutually exclusive",
      });
    }
    report(rule).note("W0423", at, "these words of `log` change nothing here");
  }
  const number = level === undefined ? DEFAULT_LEVEL : LEVELS.indexOf(level.value);
  if (number < 0 && level !== undefined) {
    report(rule).error("E0402", level.span, `\`${level.value}\` is no log level`, { label: LEVELS.join(", ") });
    return;
  }
  rule.steps.push({ kind: "log", prefix: prefix?.value ?? "", level: number, span });
}

// Verdicts that send something.

/** `icmpx` codes: what they are in each family (nft_reject_icmp_code, nft_reject_icmpv6_code). */
const ICMPX: Readonly<Record<string, readonly [number, number]>> = {
  "no-route": [0, 0],
  "port-unreachable": [3, 4],
  "host-unreachable": [1, 3],
  "admin-prohibited": [13, 1],
};

/** What a `reject` implies stands in front of the rule, so that nothing is counted that is not rejected (stmt_reject_gen_dependency). */
function requireFirst(rule: RuleDraft, need: Need, span: Span, word: string): boolean {
  const before = rule.steps.length;
  const holds = require(rule, need, span, word);
  rule.steps.unshift(...rule.steps.splice(before));
  return holds;
}

function reject(rule: RuleDraft, node: Extract<Clause, { kind: "reject" }>): void {
  const { scope } = rule;
  const { span } = node;
  const ofProgram = [...scope.hooks].some(isProgramHook);
  const misplaced = [...scope.hooks].find((hook) => hook === "postrouting" || hook === "netdev egress");
  if (misplaced !== undefined || ofProgram) {
    report(rule).error("E0410", span, `nothing is rejected at ${ofProgram ? "a program's hook" : misplaced}`, {
      label: "`drop` it",
      kernel: "Error: Could not process rule: Operation not supported",
    });
    return;
  }
  const kind = node.with?.[0];
  const code = node.with?.[1];
  const step = (icmp: number | null, icmp6: number | null, tcpReset = false): Step => ({
    kind: "reject",
    icmp,
    icmp6,
    tcpReset,
    span,
  });
  if (kind === undefined || code === undefined) {
    const { family } = rule.known;
    rule.steps.push(step(family === 6 ? null : 3, family === 4 ? null : 4));
    return;
  }
  if (kind.value === "tcp") {
    if (requireFirst(rule, { kind: "l4proto", protocol: 6 }, span, "tcp reset"))
      rule.steps.push(step(null, null, true));
    return;
  }
  const tables: Readonly<Record<string, Readonly<Record<string, number>>>> = {
    icmp: ICMP_CODES,
    icmpv6: ICMPV6_CODES,
    icmpx: { "no-route": 0, "port-unreachable": 1, "host-unreachable": 2, "admin-prohibited": 3 },
  };
  const codes = tables[kind.value];
  const number = codes?.[code.value] ?? (/^\d{1,3}$/.test(code.value) ? Number(code.value) : undefined);
  if (codes === undefined || number === undefined) {
    report(rule).error("E0402", (codes === undefined ? kind : code).span, "a packet is not rejected like this", {
      label: codes === undefined ? "icmp, icmpv6, icmpx or `tcp reset`" : Object.keys(codes).join(", "),
    });
    return;
  }
  if (kind.value === "icmpx") {
    const pair = Object.values(ICMPX)[number] ?? ICMPX["port-unreachable"];
    const named =
      ICMPX[code.value] ??
      [ICMPX["no-route"], ICMPX["port-unreachable"], ICMPX["host-unreachable"], ICMPX["admin-prohibited"]][number] ??
      pair;
    rule.steps.push(step(named[0], named[1]));
  } else if (requireFirst(rule, { kind: "family", family: kind.value === "icmp" ? 4 : 6 }, span, kind.value)) {
    rule.steps.push(kind.value === "icmp" ? step(number, null) : step(null, number));
  }
}

function send(rule: RuleDraft, { how, to, span }: Extract<Clause, { kind: "send" }>): void {
  const { program, family, hooks } = rule.scope;
  const ofChains = family === "netdev" && ![...hooks].some(isProgramHook);
  const allowed = how === "redirect" ? program !== null : ofChains;
  if (!allowed) {
    report(rule).error("E0410", span, `\`${how === "redirect" ? "REDIRECT" : how}\` has no meaning here`, {
      label:
        how === "redirect"
          ? "programs redirect, and chains that only they lead to; chains of netdev hooks say `fwd to`"
          : "chains of netdev hooks only; programs say `REDIRECT`",
      kernel: "Error: Could not process rule: Operation not supported",
    });
    return;
  }
  const device = assigned(rule, to, { type: TYPES.iface_index, bits: 32 });
  if (device !== null) rule.steps.push({ kind: how, device, span });
}
