/** Rules: the clauses of one become its steps, in the order in which they stand, with what they imply before them. */
import { COUNTER_TYPE } from "../../../runtime/hooks.ts";
import type { Clause, FilterRule as RuleNode, Term } from "../../chain-ast.ts";
import type { Decision, Expr, FilterRule, SetId } from "../../chain-model.ts";
import type { Span } from "../../span.ts";
import { asValue, type Constant, constant, isSingle } from "./constants.ts";
import { TYPES } from "./datatypes.ts";
import { establish } from "./needs.ts";
import { reject } from "./reject.ts";
import { bitwise, type Operand, type RuleDraft, report, startRule } from "./rule-draft.ts";
import { isProgramHook, type RuleScope } from "./scope.ts";
import { literalSet, namedSet } from "./sets.ts";
import { counterOf, newLimit } from "./stateful.ts";
import { operand, operands } from "./terms.ts";
import { decision, mayDecide } from "./verdicts.ts";
import { assign, assigned } from "./writes.ts";

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
      if (decided !== null && staysHere(rule, decided, span)) rule.steps.push({ ...decided, span });
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
  if (!decisions.every((one) => staysHere(rule, one, span))) return false;
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

/** Outside of tables, chains of the IP layer and those of devices have the same names, and cannot lead to one another. */
function staysHere(rule: RuleDraft, decided: Decision, span: Span): boolean {
  const { draft, index } = rule.scope.table;
  const chain = "chain" in decided ? draft.chains[decided.chain] : undefined;
  if (chain === undefined || chain.table === index) return true;
  const name = `\`${chain.name}\``;
  report(rule).error(
    "E0406",
    span,
    `${name} is a chain of ${rule.scope.family === "netdev" ? "the IP layer" : "devices"}`,
    {
      label: "chains of the IP layer, and those of devices and programs, lead to chains of their own",
    },
  );
  return false;
}

const LEVELS = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
const DEFAULT_LEVEL = 4;
/** NF_LOG_PREFIXLEN, which counts the end. */
const LOG_PREFIX_MAX = 127;

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
  if (prefix !== undefined && prefix.value.length > LOG_PREFIX_MAX) {
    report(rule).error("E0402", prefix.span, "the prefix is too long", {
      label: `${prefix.value.length} characters, ${LOG_PREFIX_MAX} are possible`,
      kernel: "Error: Could not process rule: Numerical result out of range",
    });
    return;
  }
  const number = level === undefined ? DEFAULT_LEVEL : LEVELS.indexOf(level.value);
  if (number < 0 && level !== undefined) {
    report(rule).error("E0402", level.span, `\`${level.value}\` is no log level`, { label: LEVELS.join(", ") });
    return;
  }
  rule.steps.push({ kind: "log", prefix: prefix?.value ?? "", level: number, span });
}

// Verdicts that send something.

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
