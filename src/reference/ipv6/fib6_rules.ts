/**
 * IPv6's part of policy rules, and the look-up that all of IPv6 routing starts from.
 * k:net/ipv6/fib6_rules.c. Unlike in IPv4 a look-up always ends with an entry: a refusal is an entry with an error. Not here:
 * FIB_RULE_FIND_SADDR, which `ip rule` cannot set; so `from` matches no flow without a source.
 */
import type { Rule } from "../../../dsl/model.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN, tableId } from "../../../runtime/brand.ts";
import { inPrefix } from "../../../runtime/net/ip.ts";
import type { LookupKind } from "../../../runtime/trace.ts";
import { Errno } from "../../../runtime/verdict.ts";
import { FibLookupArg, type FibRulesOps, fib_rule_error, fib_rule_get_table, fib_rules_lookup } from "../fib_rules.ts";
import { type Flowi6, INET_DSCP_MASK, traced6 } from "../flow.ts";
import { l3mdev_update_flow } from "../l3mdev.ts";
import type { NetNamespace } from "../net.ts";
import { ip6_error_entry, ip6_null_entry, type LookupFlags, type Rt6Info } from "./route.ts";

/** Asks one table; null: it holds nothing. */
type PolLookup = (table: number) => Rt6Info | null;

export function fib6_rule_lookup(
  net: NetNamespace,
  kind: LookupKind,
  fl6: Flowi6,
  flags: LookupFlags,
  lookup: PolLookup,
): Rt6Info {
  const custom = fib6_has_custom_rules(net);
  if (custom) l3mdev_update_flow(net, fl6);
  net.record({ step: "lookup", kind, flow: traced6(fl6) });
  const arg = new FibLookupArg<Rt6Info>();
  if (custom) fib_rules_lookup(net, fib6_rules_ops(flags, lookup), fl6, arg);
  else arg.result = local_then_main(net, lookup);
  const rt = arg.result ?? ip6_null_entry(net);
  recordResult(net, arg.rule, rt);
  return rt;
}

/** What the kernel does while no rule was ever added, whatever was taken away. */
function local_then_main(net: NetNamespace, lookup: PolLookup): Rt6Info | null {
  for (const table of [RT_TABLE_LOCAL, RT_TABLE_MAIN]) {
    const rt = fib6_table_answer(net, table, lookup);
    if (rt !== null && rt.error !== Errno.EAGAIN) return rt;
  }
  return null;
}

/** Asks a table, and tells what it answered. */
export function fib6_table_answer(net: NetNamespace, table: number, lookup: PolLookup): Rt6Info | null {
  const rt = lookup(table);
  const error = rt === null ? Errno.EAGAIN : rt.error;
  net.record({ step: "fib", table: tableId(table), route: rt?.from?.route.id ?? null, error });
  return rt;
}

export const recordResult = (net: NetNamespace, rule: Rule | null, rt: Rt6Info): void =>
  net.record({ step: "result", rule: rule?.id ?? null, route: rt.from?.route.id ?? null, error: rt.error });

/** The kernel keeps a flag that nothing clears; the model knows only the rules that there are, and so only those that are not its own. */
const fib6_has_custom_rules = (net: NetNamespace): boolean =>
  net.rules6.some((rule) => rule.origin.kernel === undefined || rule.l3mdev);

const fib6_rules_ops = (flags: LookupFlags, lookup: PolLookup): FibRulesOps<Flowi6, Rt6Info> => ({
  rules: (net) => net.rules6,
  match: (rule, fl6) => fib6_rule_match(rule, fl6, flags),
  action: (net, rule, _fl6, arg) => fib6_rule_action(net, rule, arg, lookup),
  suppress: fib6_rule_suppress,
});

/** The first selector that does not match; all six bits of the DSCP count. */
function fib6_rule_match(
  rule: Rule,
  fl6: Flowi6,
  { hasSaddr }: LookupFlags,
): ReturnType<FibRulesOps<Flowi6, Rt6Info>["match"]> {
  if (rule.to !== null && !inPrefix(rule.to, fl6.daddr)) return "to";
  if (rule.from !== null && rule.from.length > 0 && !(hasSaddr && inPrefix(rule.from, fl6.saddr))) return "from";
  if (rule.tos !== 0 && rule.tos !== (fl6.tos & INET_DSCP_MASK)) return "tos";
  if (rule.ipproto !== 0 && rule.ipproto !== fl6.protocol) return "ipproto";
  if (rule.sport !== null && (fl6.sport < rule.sport.first || fl6.sport > rule.sport.last)) return "sport";
  if (rule.dport !== null && (fl6.dport < rule.dport.first || fl6.dport > rule.dport.last)) return "dport";
  return null;
}

/** A table that holds nothing, and a throw route, are no answer. A refusal is one, with its error. */
function fib6_rule_action(net: NetNamespace, rule: Rule, arg: FibLookupArg<Rt6Info>, lookup: PolLookup): Errno | 0 {
  const error = fib_rule_error(rule);
  arg.result =
    error === 0 ? fib6_table_answer(net, fib_rule_get_table(rule, arg), lookup) : ip6_error_entry(net, error);
  if (arg.result !== null && arg.result.error !== Errno.EAGAIN) return arg.result.error;
  arg.result = null;
  return Errno.EAGAIN;
}

function fib6_rule_suppress(net: NetNamespace, rule: Rule, arg: FibLookupArg<Rt6Info>): boolean {
  const { route, nh } = arg.result!.from!;
  const group = net.dev_get_by_index(nh.device)?.group;
  const suppressed =
    route.prefix.length <= rule.suppressPrefixLength || (rule.suppressIfGroup !== -1 && group === rule.suppressIfGroup);
  if (suppressed) {
    net.record({ step: "suppress", rule: rule.id, route: route.id });
    arg.result = null;
  }
  return suppressed;
}
