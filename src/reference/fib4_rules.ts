/**
 * IPv4's part of policy rules, and the look-up that all of routing starts from.
 * k:net/ipv4/fib_rules.c, include/net/ip_fib.h.
 */
import { deviceOf, type Rule } from "../../dsl/model.ts";
import { LOOPBACK_IFINDEX, RT_TABLE_DEFAULT, RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import { inPrefix } from "../../runtime/net/ip.ts";
import type { LookupKind, Selector } from "../../runtime/trace.ts";
import { Errno } from "../../runtime/verdict.ts";
import { FibLookupArg, type FibRulesOps, fib_rule_error, fib_rule_get_table, fib_rules_lookup } from "./fib_rules.ts";
import { type FibResult, traced_fib_table_lookup } from "./fib_trie.ts";
import { type Flowi4, traced } from "./flow.ts";
import { l3mdev_update_flow } from "./l3mdev.ts";
import type { NetNamespace } from "./net.ts";

/** The first selector that does not match; null: all do. */
function fib4_rule_match(rule: Rule, fl4: Flowi4): Selector | null {
  if (rule.from !== null && !inPrefix(rule.from, fl4.saddr)) return "from";
  if (rule.to !== null && !inPrefix(rule.to, fl4.daddr)) return "to";
  if (rule.tos !== 0 && rule.tos !== fl4.tos) return "tos";
  if (rule.ipproto !== 0 && rule.ipproto !== fl4.protocol) return "ipproto";
  if (rule.sport !== null && (fl4.sport < rule.sport.first || fl4.sport > rule.sport.last)) return "sport";
  if (rule.dport !== null && (fl4.dport < rule.dport.first || fl4.dport > rule.dport.last)) return "dport";
  return null;
}

function fib4_rule_action(net: NetNamespace, rule: Rule, fl: Flowi4, arg: FibLookupArg<FibResult>): Errno | 0 {
  arg.result = null;
  arg.reject = null;
  const error = fib_rule_error(rule);
  if (error !== 0) return error;
  const answer = traced_fib_table_lookup(net, fib_rule_get_table(rule, arg), fl);
  if (answer.err === 0) arg.result = answer.res;
  else arg.reject = answer.reject;
  return answer.err;
}

/** A route that was found may be thrown away again: too short a prefix, or a device of the wrong group. */
function fib4_rule_suppress(net: NetNamespace, rule: Rule, arg: FibLookupArg<FibResult>): boolean {
  const { route } = arg.result!;
  const dev = route.nexthops.length === 0 ? undefined : deviceOf(net.model, route.nexthops[0].device);
  const suppressed =
    route.prefix.length <= rule.suppressPrefixLength ||
    (rule.suppressIfGroup !== -1 && dev?.group === rule.suppressIfGroup);
  if (suppressed) net.record({ step: "suppress", rule: rule.id, route: route.id });
  return suppressed;
}

const fib4_rules_ops: FibRulesOps<Flowi4, FibResult> = {
  rules: (net) => net.rules,
  match: fib4_rule_match,
  action: fib4_rule_action,
  suppress: fib4_rule_suppress,
};

/**
 * __fib_lookup: the rules, after the flow's VRF is known. `fl` is changed by l3mdev_update_flow.
 * The kernel asks one trie for local and main together while no rule was ever added or removed; we ask the rules always. That
 * differs only where main holds a longer prefix than a table-local route that matches too (127/8, or a local prefix by hand).
 */
export function fib_lookup(
  net: NetNamespace,
  kind: LookupKind,
  fl: Flowi4,
): { err: Errno | 0; arg: FibLookupArg<FibResult> } {
  const arg = new FibLookupArg<FibResult>();
  l3mdev_update_flow(net, fl);
  net.record({ step: "lookup", kind, flow: traced(fl) });
  let err = fib_rules_lookup(net, fib4_rules_ops, fl, arg);
  if (err === Errno.ESRCH) {
    err = Errno.ENETUNREACH;
    arg.reject = null;
  }
  const route = err === 0 ? arg.result!.route.id : arg.reject;
  net.record({ step: "result", rule: arg.rule?.id ?? null, route, error: err });
  return { err, arg };
}

/** Does any rule look at protocol or ports? Only then are received packets dissected for the flow. */
export const fib_rules_require_fldissect = (rules: readonly Rule[]): boolean => rules.some(fib_rule_requires_fldissect);

const fib_rule_requires_fldissect = (rule: Rule): boolean =>
  rule.iif?.ifindex !== LOOPBACK_IFINDEX && (rule.ipproto !== 0 || rule.sport !== null || rule.dport !== null);

/**
 * Was a rule ever added or taken away? The kernel keeps a flag that nothing clears; the model knows only the rules that there
 * are, so it is told from those: anything but the three that every namespace starts with.
 */
export function fib4_has_custom_rules(rules: readonly Rule[]): boolean {
  const kinds = rules
    .filter((rule) => rule.family === 4)
    .map((rule) => (isPlainLookup(rule) ? `${rule.pref} ${rule.action.table}` : ""));
  return kinds.join() !== DEFAULT_RULES;
}

/** k:net/ipv4/fib_rules.c fib_default_rules_init */
const DEFAULT_RULES = [`0 ${RT_TABLE_LOCAL}`, `32766 ${RT_TABLE_MAIN}`, `32767 ${RT_TABLE_DEFAULT}`].join();

/** fib4_rule_default's question: no selector at all, and a table of its own. */
const isPlainLookup = (rule: Rule): rule is Rule & { action: { kind: "lookup" } } =>
  rule.action.kind === "lookup" &&
  !rule.not &&
  !rule.l3mdev &&
  rule.from === null &&
  rule.to === null &&
  rule.iif === null &&
  rule.oif === null &&
  rule.fwmark === null &&
  rule.tos === 0 &&
  rule.ipproto === 0 &&
  rule.sport === null &&
  rule.dport === null &&
  rule.uidrange === null &&
  rule.suppressPrefixLength === -1 &&
  rule.suppressIfGroup === -1;
