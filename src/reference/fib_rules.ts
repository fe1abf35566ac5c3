/**
 * Policy rules: which table is asked, in which order.
 * k:net/core/fib_rules.c fib_rule_match, fib_rules_lookup. The family's part (addresses, TOS, ports, actions) is fib4_rules.ts.
 */
import type { Rule } from "../../dsl/model.ts";
import type { RouteId } from "../../runtime/brand.ts";
import type { Selector } from "../../runtime/trace.ts";
import { Errno } from "../../runtime/verdict.ts";
import type { FibResult } from "./fib_trie.ts";
import { fib4_rule_action, fib4_rule_match, fib4_rule_suppress } from "./fib4_rules.ts";
import { FlowFlag, type Flowi4 } from "./flow.ts";
import { l3mdev_fib_rule_match } from "./l3mdev.ts";
import { type NetNamespace, netif_is_l3_master, RT_TABLE_UNSPEC } from "./net.ts";

/** `struct fib_lookup_arg`: what a look-up finds on its way. */
export class FibLookupArg {
  /** The table that the last l3mdev selector to match stands for; kept from rule to rule. */
  table: number = RT_TABLE_UNSPEC;
  /** The rule that ended the look-up. */
  rule: Rule | null = null;
  result: FibResult | null = null;
  /** The route that refused, when one did. */
  reject: RouteId | null = null;
}

/** The first selector that does not match, in the kernel's order; null: all do. */
function fib_rule_mismatch(net: NetNamespace, rule: Rule, fl: Flowi4, arg: FibLookupArg): Selector | null {
  if (rule.iif !== null && !fib_rule_iif_match(net, rule.iif.ifindex, fl)) return "iif";
  if (rule.oif !== null && !fib_rule_oif_match(net, rule.oif.ifindex, fl)) return "oif";
  if (rule.fwmark !== null && ((rule.fwmark.mark ^ fl.mark) & rule.fwmark.mask) !== 0) return "fwmark";
  if (rule.l3mdev) {
    const table = l3mdev_fib_rule_match(net, fl);
    if (table === 0) return "l3mdev";
    arg.table = table;
  }
  if (rule.uidrange !== null && (fl.uid < rule.uidrange.first || fl.uid > rule.uidrange.last)) return "uidrange";
  return fib4_rule_match(rule, fl);
}

/** Since 6.15 a VRF as iif stands for its whole domain, unless the flow is bound to the VRF by its oif. */
function fib_rule_iif_match(net: NetNamespace, ifindex: number, fl: Flowi4): boolean {
  if (!is_l3_master_rule(net, ifindex)) return ifindex === fl.iif;
  return (fl.flags & FlowFlag.L3MDEV_OIF) === 0 && fl.l3mdev === ifindex;
}

function fib_rule_oif_match(net: NetNamespace, ifindex: number, fl: Flowi4): boolean {
  if (!is_l3_master_rule(net, ifindex)) return ifindex === fl.oif;
  return (fl.flags & FlowFlag.L3MDEV_OIF) !== 0 && fl.l3mdev === ifindex;
}

/** `iif_is_l3_master` of a rule, which only 6.15 knows. A device that does not exist (-1) is none. */
function is_l3_master_rule(net: NetNamespace, ifindex: number): boolean {
  const dev = net.dev_get_by_index(ifindex);
  return net.kernel === "6.15" && dev !== undefined && netif_is_l3_master(dev);
}

/** `not` inverts the conjunction of all selectors. */
export function fib_rule_match(net: NetNamespace, rule: Rule, fl: Flowi4, arg: FibLookupArg): boolean {
  const failed = fib_rule_mismatch(net, rule, fl, arg);
  const matched = (failed === null) !== rule.not;
  net.record({ step: "rule", rule: rule.id, matched, failed: rule.not ? null : failed });
  return matched;
}

/**
 * Tries the rules in order until one gives anything but "not here" (EAGAIN). goto leads forward only, so this ends.
 * @returns 0 with `arg.result`, or the errno of the rule or route that refused, or ESRCH
 */
export function fib_rules_lookup(net: NetNamespace, fl: Flowi4, arg: FibLookupArg): Errno | 0 {
  const { rules } = net;
  for (let i = 0; i < rules.length; ) {
    const rule = rules[i++];
    if (!fib_rule_match(net, rule, fl, arg)) continue;
    if (rule.action.kind === "goto") {
      const { target } = rule.action;
      if (target !== null) i = rules.findIndex((r) => r.id === target);
      continue;
    }
    if (rule.action.kind === "nop") continue;
    const err = fib4_rule_action(net, rule, fl, arg);
    if (err === 0 && fib4_rule_suppress(net, rule, arg)) continue;
    if (err !== Errno.EAGAIN) {
      arg.rule = rule;
      return err;
    }
  }
  return Errno.ESRCH;
}
