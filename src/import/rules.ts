/**
 * Policy rules while a script runs: their order, automatic preferences, duplicates (fib_nl_newrule, fib_nl_delrule).
 *
 *   list of a family = sorted by preference, equal ones in the order added
 *   0: lookup local   1000: l3mdev (with the first VRF)   32766: lookup main   32767: lookup default (IPv4)
 */
import type { Rule as RuleNode } from "../../dsl/ast.ts";
import type { Span } from "../../dsl/span.ts";
import { type Family, familyOf } from "../../runtime/net/ip.ts";
import { type NetNs, type RuleEntry, RuleRemoval } from "./state.ts";
import { Errno, Refused, Unsupported } from "./words.ts";

/** fib_default_rule_pref: one less than the second rule's, so each new one goes above the last. */
export function automaticPref(list: readonly RuleEntry[]): number {
  const second = list[1];
  return second !== undefined && second.pref > 0 ? second.pref - 1 : 0;
}

/** A goto leads forward only; asked of a deletion as well (fib_nl2rule). */
export function checkGoto({ node: { action }, pref }: RuleEntry): void {
  if (action?.kind === "goto" && action.target.value <= pref)
    throw new Refused("Error: Backward goto not supported.", action.target.span);
}

/** fib_nl2rule, fib4_rule_configure, fib6_rule_configure. */
export function checkRule({ node, family, table }: RuleEntry): void {
  const { from, to, tos, uidrange, action } = node;
  if (to && familyOf(to.value.address) !== family) throw new Refused("Error: Invalid source address.", to.span);
  if (uidrange && (uidrange.value.first > uidrange.value.last || uidrange.value.last === 0xffffffff))
    throw new Refused("Error: Invalid uid range.", uidrange.span);
  for (const key of ["sport", "dport"] as const) {
    const range = node[key];
    if (range && (range.value.first === 0 || range.value.first > range.value.last || range.value.last >= 0xffff))
      throw new Refused(`Error: Invalid ${key} range.`, range.span);
  }
  if (tos && tos.value & 3) throw new Refused("Error: Invalid dsfield (tos): ECN bits must be 0.", tos.span);
  // IPTOS_RT_MASK
  if (tos && family === 4 && tos.value & ~0x1c) throw new Refused("Error: Invalid tos.", tos.span);
  if (from && familyOf(from.value.address) !== family) throw new Refused("Error: Invalid source address.", from.span);
  if (action?.kind !== "lookup" || table !== 0) return;
  if (family === 6) throw new Refused("Error: Invalid table.", action.span);
  throw new Unsupported("a rule whose table the kernel chooses", action.span);
}

export function addRule(ns: NetNs, entry: RuleEntry): void {
  const list = ns.rules[entry.family];
  const twin = list.find((other) => other.pref === entry.pref && exists(other, entry));
  if (twin)
    throw new Refused(
      Errno.EEXIST,
      entry.node.span,
      twin.isKernel ? undefined : { span: twin.node.span, message: "Linux takes this rule for the same" },
    );
  const at = list.findIndex((other) => other.pref > entry.pref);
  list.splice(at < 0 ? list.length : at, 0, entry);
  ns.entered.push(entry);
}

/** Deletes the first rule that has everything the command names (rule_find). */
export function deleteRule(ns: NetNs, wanted: RuleEntry, hasPref: boolean): RuleEntry {
  const named = Object.entries(selectors(wanted)).filter(([, value]) => value !== undefined);
  const isWanted = (other: RuleEntry): boolean => {
    const has = selectors(other);
    return (!hasPref || other.pref === wanted.pref) && named.every(([key, value]) => has[key] === value);
  };
  const found = ns.rules[wanted.family].find(isWanted);
  if (found === undefined) throw new Refused(Errno.ENOENT, wanted.node.span);
  removeRule(ns, found, wanted.node.span);
  return found;
}

export function removeRule(ns: NetNs, rule: RuleEntry, span: Span): void {
  const list = ns.rules[rule.family];
  list.splice(list.indexOf(rule), 1);
  ns.entered.push(new RuleRemoval(rule, span));
}

/** `ip rule flush`: everything but preference 0 goes. */
export function flushRules(ns: NetNs, family: Family, span: Span): void {
  for (const rule of ns.rules[family].filter((entry) => entry.pref !== 0)) removeRule(ns, rule, span);
}

/** What the kernel compares of two rules, as comparable text. `not` and the target of a goto are not among it. */
function selectors({ node, table }: RuleEntry): Record<string, string | undefined> {
  const ip = (value: RuleNode["from"]): string | undefined => value && `${value.value.address}/${value.value.length}`;
  const range = (value: RuleNode["sport"]): string | undefined => value && `${value.value.first}-${value.value.last}`;
  return {
    from: ip(node.from),
    to: ip(node.to),
    tos: node.tos?.value.toString(),
    iif: node.iif?.value,
    oif: node.oif?.value,
    fwmark: node.fwmark && `${node.fwmark.value.mark}/${node.fwmark.value.mask}`,
    ipproto: node.ipproto?.value.toString(),
    sport: range(node.sport),
    dport: range(node.dport),
    uidrange: range(node.uidrange),
    l3mdev: node.l3mdev && "l3mdev",
    suppressPrefixLength: node.suppressPrefixLength?.value.toString(),
    suppressIfGroup: node.suppressIfGroup?.value.toString(),
    protocol: node.protocol?.value,
    action: node.action?.kind ?? (node.l3mdev ? "lookup" : undefined),
    table: table === 0 ? undefined : `${table}`,
  };
}

/** rule_exists: as there, addresses and TOS of the new rule count only where it has any. */
function exists(old: RuleEntry, rule: RuleEntry): boolean {
  const [has, wants] = [selectors(old), selectors(rule)];
  const onlyIfSaid = ["from", "to", "tos"];
  return Object.keys(wants).every(
    (key) => has[key] === wants[key] || (onlyIfSaid.includes(key) && wants[key] === undefined),
  );
}
