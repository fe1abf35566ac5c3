/**
 * Policy rules: the kernel's own (0 local, 1000 l3mdev once there is a VRF, 32766 main, and for IPv4 32767 default) and
 * the text's, in the order of text among equal preferences (kernel net/core/fib_rules.c `fib_nl_newrule`, `fib_nl_delrule`).
 */
import type { Priority, TableId } from "../../runtime/brand.ts";
import { priority, RT_TABLE_DEFAULT, RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import type { Family, Prefix } from "../../runtime/net/ip.ts";
import { bitsOf, familyOf, network } from "../../runtime/net/ip.ts";
import type { Range, Rule, Spanned } from "../ast.ts";
import type { Span } from "../span.ts";
import type { NetDraft, RuleDraft } from "./draft.ts";
import { kernelOrigin } from "./draft.ts";
import { definedAt, protocolOf, requireTable } from "./names.ts";
import type { Reporter } from "./report.ts";
import { removal } from "./report.ts";
import { ruleDevice } from "./rule-devices.ts";

/** Kernel: include/uapi/linux/fib_rules.h and drivers/net/vrf.c `FIB_RULE_PREF`. */
const L3MDEV_PREF = priority(1000);
const MAIN_PREF = priority(32766);
const DEFAULT_PREF = priority(32767);

const blankRule: Omit<RuleDraft, "family" | "pref" | "action" | "origin"> = {
  not: false,
  from: null,
  to: null,
  iif: null,
  oif: null,
  fwmark: null,
  tos: 0,
  ipproto: 0,
  sport: null,
  dport: null,
  uidrange: null,
  l3mdev: false,
  suppressPrefixLength: -1,
  suppressIfGroup: -1,
  protocol: "kernel",
};

/** Kernel: `fib_default_rules_init`, `fib6_rules_net_init`, and `vrf_add_fib_rules` with the first VRF. */
export function addKernelRules(net: NetDraft): void {
  const vrf = net.devices.find((d) => d.kind === "vrf");
  const add = (family: Family, pref: Priority, table: TableId | null, what: string, span?: Span) =>
    net.rules[family].push({
      ...blankRule,
      family,
      pref,
      l3mdev: table === null,
      action: { kind: "lookup", table },
      origin: kernelOrigin(what, span),
    });
  for (const family of [4, 6] as const) {
    add(family, priority(0), RT_TABLE_LOCAL, "rule of every namespace");
    if (vrf) add(family, L3MDEV_PREF, null, `rule added with the first VRF, ${vrf.name}`, vrf.nameSpan);
    add(family, MAIN_PREF, RT_TABLE_MAIN, "rule of every namespace");
  }
  add(4, DEFAULT_PREF, RT_TABLE_DEFAULT, "rule of every namespace");
}

/** Adds or takes away one rule of the text, in each family that it is for. */
export function applyRule(net: NetDraft, rule: Rule, report: Reporter): void {
  for (const family of familiesOf(rule, report)) {
    const draft = draftOf(net, rule, family, report);
    if (draft === undefined) continue;
    if (rule.delete) removeRule(net, rule, draft, report);
    else insertRule(net, rule, draft, report);
  }
}

function familiesOf(rule: Rule, report: Reporter): Family[] {
  const said = [
    rule.family,
    ...[rule.from, rule.to].map((p) => p && { value: familyOf(p.value.address), span: p.span }),
  ];
  const families = said.filter((s): s is Spanned<Family> => s !== undefined);
  const other = families.find((f) => f.value !== families[0].value);
  if (other !== undefined) {
    report.error("E0260", other.span, "a rule is for one family", {
      label: `IPv${other.value}`,
      secondary: [{ span: families[0].span, message: `IPv${families[0].value}` }],
      help: [{ message: "write two rules" }],
    });
    return [];
  }
  if (families.length > 0) return [families[0].value];
  return rule.l3mdev ? [4, 6] : [4];
}

function draftOf(net: NetDraft, rule: Rule, family: Family, report: Reporter): RuleDraft | undefined {
  const pref = rule.pref?.value ?? defaultPref(net, family);
  const valid = [
    checkPref(rule, report),
    checkPrefix(rule.from, report),
    checkPrefix(rule.to, report),
    checkTos(rule, family, report),
    checkRange("sport", rule.sport, 1, 0xfffe, report),
    checkRange("dport", rule.dport, 1, 0xfffe, report),
    checkRange("uidrange", rule.uidrange, 0, 0xfffffffe, report),
    checkNumber("ipproto", rule.ipproto, 0, 255, report),
    checkNumber("suppress_prefixlength", rule.suppressPrefixLength, 0, 0x7fffffff, report),
    checkNumber("suppress_ifgroup", rule.suppressIfGroup, 0, 0x7fffffff, report),
  ];
  const action = actionOf(net, rule, priority(pref), report);
  if (action === undefined || valid.includes(false)) return undefined;
  const fwmark = rule.fwmark?.value;
  const removed = rule.delete === true;
  return {
    family,
    pref: priority(pref),
    not: rule.not ?? false,
    from: maskedOf(rule.from),
    to: maskedOf(rule.to),
    iif: ruleDevice({ net, family, word: "iif", removed }, rule.iif, report),
    oif: ruleDevice({ net, family, word: "oif", removed }, rule.oif, report),
    // Kernel: fib_nl2rule: a mark of 0 without a mask selects nothing, hence everything.
    fwmark: fwmark === undefined || (fwmark.mark === 0 && fwmark.mask === 0) ? null : fwmark,
    tos: rule.tos?.value ?? 0,
    ipproto: rule.ipproto?.value ?? 0,
    sport: rule.sport?.value ?? null,
    dport: rule.dport?.value ?? null,
    uidrange: rule.uidrange?.value ?? null,
    l3mdev: rule.l3mdev !== undefined,
    suppressPrefixLength: rule.suppressPrefixLength?.value ?? -1,
    suppressIfGroup: rule.suppressIfGroup?.value ?? -1,
    protocol: protocolOf(rule.protocol, "unspec", report),
    action,
    origin: { span: rule.span },
  };
}

/** Kernel: `fib_default_rule_pref`: just before the second rule; 0 when that cannot be. */
function defaultPref(net: NetDraft, family: Family): number {
  const second = net.rules[family][1];
  return second !== undefined && second.pref > 0 ? second.pref - 1 : 0;
}

function checkPref({ pref }: Rule, report: Reporter): boolean {
  return checkNumber("the preference", pref, 0, 0xffffffff, report);
}

function checkNumber(
  what: string,
  number: Spanned<number> | undefined,
  least: number,
  most: number,
  report: Reporter,
): boolean {
  if (number === undefined || (number.value >= least && number.value <= most)) return true;
  report.error("E0261", number.span, `${what} ${number.value} is out of range`, { label: `${least} to ${most}` });
  return false;
}

/** Kernel: `fib_rule_port_range_valid`, `uid_lte`: inclusive, and the first not behind the last. */
function checkRange(
  what: string,
  range: Spanned<Range> | undefined,
  least: number,
  most: number,
  report: Reporter,
): boolean {
  if (range === undefined) return true;
  const { first, last } = range.value;
  if (first >= least && last <= most && first <= last) return true;
  const reversed = first > last;
  report.error("E0262", range.span, `${first}-${last} is not a range for ${what}`, {
    label: reversed ? "the first is behind the last" : `${least} to ${most}`,
    kernel: `Error: Invalid ${what === "uidrange" ? "uid" : what} range.`,
    ...(reversed ? { help: [{ message: "turn it round", edit: { span: range.span, text: `${last}-${first}` } }] } : {}),
  });
  return false;
}

function checkPrefix(prefix: Spanned<Prefix> | undefined, report: Reporter): boolean {
  if (prefix === undefined || prefix.value.length <= bitsOf(familyOf(prefix.value.address))) return true;
  report.error("E0244", prefix.span, `/${prefix.value.length} is no prefix length`, {
    label: `0 to ${bitsOf(familyOf(prefix.value.address))}`,
  });
  return false;
}

/** Bits beyond the length do not take part in the match; length 0 matches all. */
function maskedOf(prefix: Spanned<Prefix> | undefined): Prefix | null {
  if (prefix === undefined || prefix.value.length === 0) return null;
  const { address, length } = prefix.value;
  return { address: network(address, length), length };
}

/** Kernel: `fib4_rule_configure`: IPv4 compares bits 0x1c only and takes no others but 0x02; ECN bits are never selected. */
function checkTos({ tos }: Rule, family: Family, report: Reporter): boolean {
  if (tos === undefined) return true;
  const ecn = (tos.value & 3) !== 0;
  const inRange = tos.value >= 0 && tos.value <= 255;
  if (inRange && !ecn && (family === 6 || (tos.value & ~0x1e) === 0)) return true;
  report.error("E0263", tos.span, `0x${tos.value.toString(16)} is not a TOS that a rule can select`, {
    label: ecn || !inRange ? "eight bits, of which the lowest two (ECN) are 0" : "IPv4 rules see bits 0x1c only",
    kernel: ecn ? "Error: Invalid dsfield (tos): ECN bits must be 0." : "Error: Invalid tos.",
  });
  return false;
}

function actionOf(net: NetDraft, rule: Rule, pref: Priority, report: Reporter): RuleDraft["action"] | undefined {
  const { action } = rule;
  if (action === undefined) return { kind: "lookup", table: rule.l3mdev ? null : RT_TABLE_MAIN };
  if (action.kind === "lookup") {
    const table = requireTable(net, action.table, report);
    if (table === undefined || !rule.l3mdev) return table && { kind: "lookup", table };
    report.error("E0264", action.span, "an `l3mdev` rule looks up the VRF's table, no other", {
      label: "a second table",
      secondary: [{ span: rule.l3mdev.span, message: "the table follows from the VRF" }],
      kernel: "table can not be specified for l3mdev rules",
      help: [{ message: "leave one of the two out" }],
    });
    return undefined;
  }
  if (action.kind !== "goto") return { kind: action.kind };
  const target = priority(action.target.value);
  if (rule.delete || target > pref) return { kind: "goto", pref: target };
  report.error("E0265", action.target.span, `\`goto ${target}\` does not lead forward from ${pref}`, {
    label: "rules only go to a higher preference",
    kernel: "Error: Backward goto not supported.",
  });
  return undefined;
}

function insertRule(net: NetDraft, node: Rule, rule: RuleDraft, report: Reporter): void {
  const rules = net.rules[rule.family];
  const twin = rules.find((r) => exists(r, rule));
  if (twin !== undefined) {
    report.error("E0266", node.span, `preference ${rule.pref} already has this rule`, {
      label: "the same selectors and action",
      ...definedAt(twin.origin.span, twin.origin.kernel ?? "first here"),
      kernel: "RTNETLINK answers: File exists",
      help: [{ message: "remove it", edit: removal(report.source, node.span) }],
    });
    return;
  }
  const behind = rules.findIndex((r) => r.pref > rule.pref);
  rules.splice(behind < 0 ? rules.length : behind, 0, rule);
}

const same = (a: unknown, b: unknown): boolean => printed(a) === printed(b);
const printed = (value: unknown): string =>
  JSON.stringify(value, (_, v: unknown) => (typeof v === "bigint" ? `${v}n` : v)) ?? "";

/** The table of a rule as the kernel numbers it: 0 without one. */
const tableNumber = ({ action }: RuleDraft): number => (action.kind === "lookup" ? (action.table ?? 0) : 0);

/**
 * Kernel: `rule_exists`. As there, the new rule's addresses and TOS count only where it has any, and `not` and the target of
 * a goto do not count at all.
 */
function exists(old: RuleDraft, rule: RuleDraft): boolean {
  return (
    old.pref === rule.pref &&
    old.action.kind === rule.action.kind &&
    tableNumber(old) === tableNumber(rule) &&
    old.iif?.name === rule.iif?.name &&
    old.oif?.name === rule.oif?.name &&
    same(old.fwmark, rule.fwmark) &&
    old.l3mdev === rule.l3mdev &&
    same(old.uidrange, rule.uidrange) &&
    old.ipproto === rule.ipproto &&
    old.protocol === rule.protocol &&
    same(old.sport, rule.sport) &&
    same(old.dport, rule.dport) &&
    old.suppressIfGroup === rule.suppressIfGroup &&
    old.suppressPrefixLength === rule.suppressPrefixLength &&
    addressesFit(old, rule)
  );
}

/** Kernel: `fib4_rule_compare`, `fib6_rule_compare`. */
const addressesFit = (old: RuleDraft, rule: RuleDraft): boolean =>
  (rule.from === null || same(old.from, rule.from)) &&
  (rule.to === null || same(old.to, rule.to)) &&
  (rule.tos === 0 || old.tos === rule.tos);

/** Kernel: `rule_find`: the first that has everything that was said. */
function removeRule(net: NetDraft, node: Rule, rule: RuleDraft, report: Reporter): void {
  const rules = net.rules[rule.family];
  const found = rules.findIndex(
    (r) =>
      (node.pref === undefined || r.pref === rule.pref) &&
      (node.action === undefined || (r.action.kind === rule.action.kind && tableNumber(r) === tableNumber(rule))) &&
      (rule.iif === null || r.iif?.name === rule.iif.name) &&
      (rule.oif === null || r.oif?.name === rule.oif.name) &&
      (rule.fwmark === null || same(r.fwmark, rule.fwmark)) &&
      (!rule.l3mdev || r.l3mdev) &&
      (rule.uidrange === null || same(r.uidrange, rule.uidrange)) &&
      (rule.ipproto === 0 || r.ipproto === rule.ipproto) &&
      (node.protocol === undefined || r.protocol === rule.protocol) &&
      (rule.sport === null || same(r.sport, rule.sport)) &&
      (rule.dport === null || same(r.dport, rule.dport)) &&
      (rule.suppressIfGroup < 0 || r.suppressIfGroup === rule.suppressIfGroup) &&
      (rule.suppressPrefixLength < 0 || r.suppressPrefixLength === rule.suppressPrefixLength) &&
      addressesFit(r, rule),
  );
  if (found >= 0) {
    rules.splice(found, 1);
    return;
  }
  report.error("E0267", node.span, `there is no such IPv${rule.family} rule to take away`, {
    label: "nothing matches",
    kernel: "RTNETLINK answers: No such file or directory",
    help: [{ message: `the rules here are of preference ${rules.map((r) => r.pref).join(", ") || "(none)"}` }],
  });
}
