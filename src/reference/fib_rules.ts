/**
 * Policy rules: which table is asked, in which order.
 * k:net/core/fib_rules.c fib_rule_match, fib_rules_lookup; include/net/fib_rules.h. The family's part (addresses, TOS, ports, actions)
 * is fib4_rules.ts, ipv6/fib6_rules.ts.
 */
import type { Rule } from "../../dsl/model.ts";
import { type RouteId, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import type { Selector } from "../../runtime/trace.ts";
import { Errno } from "../../runtime/verdict.ts";
import { FlowFlag, type Flowi } from "./flow.ts";
import { l3mdev_fib_rule_match } from "./l3mdev.ts";
import { type NetNamespace, netif_is_l3_master, RT_TABLE_UNSPEC } from "./net.ts";

/** What a family adds (`struct fib_rules_ops`). */
export interface FibRulesOps<Flow extends Flowi, Result> {
  /** In the order they are tried. */
  rules(net: NetNamespace): readonly Rule[];
  /** The first selector that does not match; null: all do. */
  match(rule: Rule, fl: Flow): Selector | null;
  /** 0 with `arg.result`, or an errno. */
  action(net: NetNamespace, rule: Rule, fl: Flow, arg: FibLookupArg<Result>): Errno | 0;
  /** Is what was found to be thrown away again? */
  suppress(net: NetNamespace, rule: Rule, arg: FibLookupArg<Result>): boolean;
}

/** `struct fib_lookup_arg`: what a look-up finds on its way. */
export class FibLookupArg<Result> {
  /** The table that the last l3mdev selector to match stands for; kept from rule to rule. */
  table: number = RT_TABLE_UNSPEC;
  /** The rule that ended the look-up. */
  rule: Rule | null = null;
  result: Result | null = null;
  /** The route that refused, when one did. */
  reject: RouteId | null = null;
}

/** The first selector that does not match, in the kernel's order; null: all do. */
function fib_rule_mismatch<Flow extends Flowi, Result>(
  net: NetNamespace,
  ops: FibRulesOps<Flow, Result>,
  rule: Rule,
  fl: Flow,
  arg: FibLookupArg<Result>,
): Selector | null {
  if (rule.iif !== null && !fib_rule_iif_match(net, rule.iif.ifindex, fl)) return "iif";
  if (rule.oif !== null && !fib_rule_oif_match(net, rule.oif.ifindex, fl)) return "oif";
  if (rule.fwmark !== null && ((rule.fwmark.mark ^ fl.mark) & rule.fwmark.mask) !== 0) return "fwmark";
  if (rule.l3mdev) {
    const table = l3mdev_fib_rule_match(net, fl);
    if (table === 0) return "l3mdev";
    arg.table = table;
  }
  if (rule.uidrange !== null && (fl.uid < rule.uidrange.first || fl.uid > rule.uidrange.last)) return "uidrange";
  return ops.match(rule, fl);
}

/** Since 6.15 a VRF as iif stands for its whole domain, unless the flow is bound to the VRF by its oif. */
function fib_rule_iif_match(net: NetNamespace, ifindex: number, fl: Flowi): boolean {
  if (!is_l3_master_rule(net, ifindex)) return ifindex === fl.iif;
  return (fl.flags & FlowFlag.L3MDEV_OIF) === 0 && fl.l3mdev === ifindex;
}

function fib_rule_oif_match(net: NetNamespace, ifindex: number, fl: Flowi): boolean {
  if (!is_l3_master_rule(net, ifindex)) return ifindex === fl.oif;
  return (fl.flags & FlowFlag.L3MDEV_OIF) !== 0 && fl.l3mdev === ifindex;
}

/** `iif_is_l3_master` of a rule, which only 6.15 knows. A device that does not exist (-1) is none. */
function is_l3_master_rule(net: NetNamespace, ifindex: number): boolean {
  const dev = net.dev_get_by_index(ifindex);
  return net.kernel === "6.15" && dev !== undefined && netif_is_l3_master(dev);
}

/** `not` inverts the conjunction of all selectors. */
function fib_rule_match<Flow extends Flowi, Result>(
  net: NetNamespace,
  ops: FibRulesOps<Flow, Result>,
  rule: Rule,
  fl: Flow,
  arg: FibLookupArg<Result>,
): boolean {
  const failed = fib_rule_mismatch(net, ops, rule, fl, arg);
  const matched = (failed === null) !== rule.not;
  net.record({ step: "rule", rule: rule.id, matched, failed: rule.not ? null : failed });
  return matched;
}

/**
 * Tries the rules in order until one gives anything but "not here" (EAGAIN). goto leads forward only, so this ends.
 * @returns 0 with `arg.result`, or the errno of the rule or route that refused, or ESRCH
 */
export function fib_rules_lookup<Flow extends Flowi, Result>(
  net: NetNamespace,
  ops: FibRulesOps<Flow, Result>,
  fl: Flow,
  arg: FibLookupArg<Result>,
): Errno | 0 {
  const rules = ops.rules(net);
  for (let i = 0; i < rules.length; ) {
    const rule = rules[i++];
    if (!fib_rule_match(net, ops, rule, fl, arg)) continue;
    if (rule.action.kind === "goto") {
      const { target } = rule.action;
      if (target !== null) i = rules.findIndex((r) => r.id === target);
      continue;
    }
    if (rule.action.kind === "nop") continue;
    const err = ops.action(net, rule, fl, arg);
    if (err === 0 && ops.suppress(net, rule, arg)) continue;
    if (err !== Errno.EAGAIN) {
      arg.rule = rule;
      return err;
    }
  }
  return Errno.ESRCH;
}

/** The rule's table; an l3mdev rule's is what its selector found. fib_get_table and fib6_get_table take RT_TABLE_UNSPEC for main. */
export function fib_rule_get_table(rule: Rule, arg: FibLookupArg<unknown>): number {
  const table = rule.action.kind === "lookup" && rule.action.table !== null ? rule.action.table : arg.table;
  return table === RT_TABLE_UNSPEC ? RT_TABLE_MAIN : table;
}

/** The errno of a rule that asks no table; 0: it asks one. */
export function fib_rule_error(rule: Rule): Errno | 0 {
  switch (rule.action.kind) {
    case "lookup":
      return 0;
    case "unreachable":
      return Errno.ENETUNREACH;
    case "prohibit":
      return Errno.EACCES;
    default:
      return Errno.EINVAL;
  }
}
