/**
 * A rule list as code: what IPv4 and IPv6 share (k:net/core/fib_rules.c fib_rules_lookup, fib_rule_match).
 *
 *     block to_7 {                      a `goto` breaks out to the first step of its target
 *       block rule_3 {                  "no match", "nothing here" and "suppressed" break out to the next rule
 *         if selector fails { trace; break rule_3 }
 *         err = fib_table_lookup(entry); if err is not EAGAIN { return err }
 *       }
 *       ...
 *     }
 *     block rule_7 { ... }
 *
 * Every selector is tested in the order of the kernel and the first that fails is traced. Long lists are data: rule_list.ts.
 */
import type { Range } from "../../../dsl/ast.ts";
import type { Rule, RuleDevice } from "../../../dsl/model.ts";
import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { RT_TABLE_MAIN, type RuleId, type TableId } from "../../../runtime/brand.ts";
import type { Prefix } from "../../../runtime/net/ip.ts";
import { LOOKUPS, type LookupKind, SELECTORS, type Selector } from "../../../runtime/trace.ts";
import { Errno } from "../../../runtime/verdict.ts";
import { isDomain } from "../../rules/classifier.ts";
import {
  and,
  block,
  type Expr,
  eq,
  eqz,
  gt,
  le,
  leave,
  local,
  ne,
  type Operand,
  type Reg,
  ret,
  type Step,
  select,
  set,
  sub,
  trace,
  when,
  xor,
} from "../ir.ts";
import { type Context, ifindexOrZero, routeOf } from "./context.ts";
import {
  FlowFlag,
  flDport,
  flFlags,
  flIif,
  flL3mdev,
  flMark,
  flOif,
  flProto,
  flSport,
  flTos,
  flUid,
  resAlias,
  resPrefixLength,
} from "./skb.ts";

/** Why a look-up is made, as the trace shows it: the argument of `fib_lookup`. */
export const lookupKind = (kind: LookupKind): number => LOOKUPS.indexOf(kind);

/** errno of the last table that was asked. */
export const err = local("err");
/** fib_lookup_arg.table, as the DEVICE of the VRF that the last l3mdev selector found. */
export const argTable = local("arg_table");

/** What a family adds (`struct fib_rules_ops`). */
export interface FibRulesOps {
  /** In the order in which selectors are tested. */
  readonly selectors: readonly Selector[];
  /** Not zero when the flow's address is not in the prefix. */
  outside(which: "from" | "to", prefix: Prefix): Expr;
  /** The same for the prefix of a RULE. */
  outsideOf(which: "from" | "to", rule: Reg): Expr;
  /** Not zero when the flow has an address to compare. */
  has(which: "from" | "to"): Expr;
  /** The flow's address, as tables of the family are asked for it. */
  address(which: "from" | "to"): Reg;
  /** Not zero when the flow's TOS is not the rule's. */
  tosDiffers(tos: Operand): Expr;
  /** The flow's TOS, as rules compare it. */
  readonly tos: Expr;
  /** Looks into a table: `err` and the result. */
  lookUp(id: TableId): Step[];
  /** Looks into the table of the VRF `argTable`. */
  lookUpVrf(): Step[];
  /** The TABLE of a VRF, 0: it has no route. */
  tableOf(vrf: Reg): Expr;
  /** Looks into a TABLE, 0: one without routes. */
  lookUpTable(table: Reg, id: Reg): Step[];
  /** Of the result, the device whose group suppress_ifgroup means. */
  readonly resultGroup: Expr;
  /** Of the result, RouteId + 1; for traces alone. */
  readonly resultRoute: Expr;
}

/** A goto's target closes the block that holds everything before it, so that `break` lands on it. */
export function fibRules(context: Context, ops: FibRulesOps, rules: readonly Rule[]): Step[] {
  const targets = new Set(rules.map(({ action }) => (action.kind === "goto" ? action.target : null)));
  let steps: Step[] = [];
  for (const rule of rules) {
    if (targets.has(rule.id)) steps = [block(targetLabel(rule.id), steps)];
    steps.push(block(ruleLabel(rule.id), [...matchSteps(context, ops, rule), ...actionSteps(ops, rule)]));
  }
  return steps;
}

const ruleLabel = (rule: RuleId): string => `rule_${rule}`;
const targetLabel = (rule: RuleId): string => `to_${rule}`;
/** On to the next rule. */
const nextRule = (rule: Rule): Step => leave(ruleLabel(rule.id));

/** The flow, traced. @param addresses as `event` has them */
export const traceLookup = (event: TraceEvent, kind: Operand, addresses: readonly Operand[]): Step => {
  const ports = [flProto, flSport, flDport];
  return trace(event, [kind, flIif, flOif, ifindexOrZero(flL3mdev), ...addresses, flMark, flTos, ...ports, flUid]);
};

/** What a table said, traced. */
export const traceFib = (id: Operand, route: Expr = routeOf(resAlias)): Step => trace(TraceEvent.fib, [id, route, err]);

/** End of the walk: `rule` decided (null: none did). An error stops it, EAGAIN does not come here. */
export const answer = (rule: Rule | null, error: Operand, route: Expr = routeOf(resAlias)): Step[] =>
  answerOf(rule === null ? 0 : rule.id + 1, error, route);
/** The same without a route. */
export const refuse = (rule: Rule | null, error: Errno): Step[] => [set(resAlias, 0), ...answer(rule, error)];
/** @param id of the rule that decided, plus 1 */
export const answerOf = (id: Operand, error: Operand, route: Expr = routeOf(resAlias)): Step[] => [
  trace(TraceEvent.result, [id, route, error]),
  ret(error),
];

/** fib_rule_match: afterwards the rule matches, or the walk went on to the next. */
function matchSteps(context: Context, ops: FibRulesOps, rule: Rule): Step[] {
  const matched = traceRule(rule, true, null);
  if (!rule.not)
    return [...selectors(context, ops, rule, (failed) => [traceRule(rule, false, failed), nextRule(rule)]), matched];
  const label = `not_${rule.id}`;
  const conjunction = selectors(context, ops, rule, () => [leave(label)]);
  return [block(label, [...conjunction, traceRule(rule, false, null), nextRule(rule)]), matched];
}

const traceRule = (rule: Rule, matched: boolean, failed: Selector | null): Step => {
  const selector = failed === null ? 0 : SELECTORS.indexOf(failed) + 1;
  return trace(TraceEvent.rule, [rule.id, matched ? 1 : 0, selector], `pref ${rule.pref}`);
};

/** The rule's selectors in the kernel's order; the first that does not match takes the steps of `fails`. */
function selectors(context: Context, ops: FibRulesOps, rule: Rule, fails: (failed: Selector) => Step[]): Step[] {
  return ops.selectors.flatMap((selector) => {
    const mismatch = mismatchOf(context, ops, rule, selector);
    if (mismatch === null) return [];
    const test = when(mismatch, fails(selector));
    return selector === "l3mdev" ? [test, set(argTable, flL3mdev)] : [test];
  });
}

/** Not zero when the flow does not match the selector; null when the rule does not set it. */
function mismatchOf(context: Context, ops: FibRulesOps, rule: Rule, selector: Selector): Expr | null {
  switch (selector) {
    case "iif":
      return rule.iif && (isDomainOf(context, rule.iif) ? outOfDomain : iifDiffers)(rule.iif.ifindex);
    case "oif":
      return rule.oif && (isDomainOf(context, rule.oif) ? oifOutOfDomain : oifDiffers)(rule.oif.ifindex);
    case "fwmark":
      return rule.fwmark && and(xor(flMark, rule.fwmark.mark), rule.fwmark.mask);
    case "l3mdev":
      return rule.l3mdev ? eqz(flL3mdev) : null;
    case "uidrange":
      return rule.uidrange && outside(flUid, rule.uidrange);
    case "from":
      return rule.from && ops.outside("from", rule.from);
    case "to":
      return rule.to && ops.outside("to", rule.to);
    case "tos":
      return rule.tos === 0 ? null : ops.tosDiffers(rule.tos);
    case "ipproto":
      return rule.ipproto === 0 ? null : ne(flProto, rule.ipproto);
    case "sport":
      return rule.sport && outside(flSport, rule.sport);
    case "dport":
      return rule.dport && outside(flDport, rule.dport);
  }
}

/** fib_rule_iif_match: since 6.15 a VRF as iif stands for its whole domain, unless the flow is bound by its oif. */
export const outOfDomain = (ifindex: Operand): Expr => ne(iifDomain, ifindex);
export const oifOutOfDomain = (ifindex: Operand): Expr => ne(oifDomain, ifindex);
export const iifDiffers = (ifindex: Operand): Expr => ne(flIif, ifindex);
export const oifDiffers = (ifindex: Operand): Expr => ne(flOif, ifindex);

/** The VRF whose domain the flow is in, as iif and as oif; 0: none. */
export const iifDomain: Expr = select(and(flFlags, FlowFlag.L3MDEV_OIF), 0, ifindexOrZero(flL3mdev));
export const oifDomain: Expr = select(and(flFlags, FlowFlag.L3MDEV_OIF), ifindexOrZero(flL3mdev), 0);

const isDomainOf = ({ net, kernel }: Context, { ifindex }: RuleDevice): boolean => isDomain(net, kernel, ifindex);

/** One comparison: `value - first` wraps beyond `last - first` for what is below `first`. */
const outside = (value: Reg, { first, last }: Range): Expr => gt(sub(value, first), last - first);

function actionSteps(ops: FibRulesOps, rule: Rule): Step[] {
  switch (rule.action.kind) {
    case "lookup":
      return lookupSteps(ops, rule, rule.action.table);
    case "goto":
      return rule.action.target === null ? [] : [leave(targetLabel(rule.action.target))];
    case "nop":
      return [];
    case "unreachable":
      return refuse(rule, Errno.ENETUNREACH);
    case "prohibit":
      return refuse(rule, Errno.EACCES);
    case "blackhole":
      return refuse(rule, Errno.EINVAL);
  }
}

/** fib_rules_ops.action: look into the table; what is found may be suppressed, EAGAIN goes on with the next rule. */
const lookupSteps = (ops: FibRulesOps, rule: Rule, id: TableId | null): Step[] => [
  ...(id === null ? vrfTable(ops, rule) : ops.lookUp(id)),
  ...suppressSteps(ops, rule),
  when(ne(err, Errno.EAGAIN), answer(rule, err, ops.resultRoute)),
];

/**
 * Looks into the table of the flow's VRF. The inverted rule (`not l3mdev`) also comes here with no VRF, and then asks for
 * table 0, which is main (fib_get_table), or for that of the VRF that an earlier rule noted.
 */
const vrfTable = (ops: FibRulesOps, rule: Rule): Step[] =>
  rule.not ? [when(argTable, ops.lookUpVrf(), ops.lookUp(RT_TABLE_MAIN))] : ops.lookUpVrf();

/** fib_rules_ops.suppress: a route that was found may be too general, or lead to a device of an unwanted group. */
function suppressSteps({ resultGroup, resultRoute }: FibRulesOps, rule: Rule): Step[] {
  const suppress = [traceSuppress(rule, resultRoute), nextRule(rule)];
  const steps: Step[] = [];
  if (rule.suppressPrefixLength >= 0) steps.push(when(le(resPrefixLength, rule.suppressPrefixLength), suppress));
  if (rule.suppressIfGroup !== -1) steps.push(when(eq(resultGroup, rule.suppressIfGroup), suppress));
  return steps.length === 0 ? [] : [when(eqz(err), steps)];
}

const traceSuppress = (rule: Rule, route: Expr): Step =>
  trace(TraceEvent.suppress, [rule.id, sub(route, 1)], `pref ${rule.pref}`);

/** The device that next hops must leave by. Up to 5.17 a VRF stands in the flow's place, and is not asked of them. */
export const nextHopOif = ({ kernel }: Context, oif: Operand): Operand =>
  kernel === "5.4" ? select(and(flFlags, FlowFlag.SKIP_NH_OIF), 0, oif) : oif;
