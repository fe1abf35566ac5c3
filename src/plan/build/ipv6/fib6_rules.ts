/**
 * fib6_rule_lookup: IPv6's rule list as code (../fib_rules.ts), the tables as calls of ip6_pol_route.
 * k:net/ipv6/fib6_rules.c. Without rules but the kernel's own two, table local is asked and then main, whatever rules there are left.
 */

import { DEVICE } from "../../../../runtime/abi/device.ts";
import { NEXT_HOP } from "../../../../runtime/abi/fib.ts";
import { RULE } from "../../../../runtime/abi/rules.ts";
import { TraceEvent } from "../../../../runtime/abi/trace.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN, type TableId } from "../../../../runtime/brand.ts";
import type { Selector } from "../../../../runtime/trace.ts";
import { Errno } from "../../../../runtime/verdict.ts";
import {
  and,
  type Expr,
  eq,
  eqz,
  i32,
  load,
  local,
  ne,
  type Operand,
  or,
  type Proc,
  type Reg,
  type Step,
  select,
  set,
  when,
  xor,
} from "../../ir.ts";
import { type Context, callNet, field, proc, routeOf, runNet } from "../context.ts";
import { switchKind, switchKindOf, tableLookup } from "../devinet.ts";
import { answer, argTable, err, type FibRulesOps, lookupKind, refuse, traceFib, traceLookup } from "../fib_rules.ts";
import { ruleList } from "../rule_list.ts";
import { flDaddr, flIif, flOif, flSaddr, flTos, resAlias, resHop } from "../skb.ts";
import { ipv6AddrAny, ipv6PrefixEqual, words6 } from "./in6.ts";

/** fib_rule_match, fib6_rule_match: the destination before the source. */
const SELECTORS6: readonly Selector[] = [
  ...(["iif", "oif", "fwmark", "l3mdev", "uidrange", "to", "from", "tos"] as const),
  ...(["ipproto", "sport", "dport"] as const),
];

const INET_DSCP_MASK = 0xfc;

const kind = local("kind");
const iface = local("iface");
/** Not 0: the flow is of a packet that was received, at `l3`. */
const skb = local("skb");
const isInput = eq(kind, lookupKind("input"));
const entry = local("entry");
const table = local("table");

/** `fib6_rule_lookup(kind, iface, skb)`: 0 and the result registers, or an errno and the alias that refuses, if one does. */
export function fib6RuleLookup(context: Context): Proc {
  const body = ruleLookup6(context, {
    kind,
    hasSaddr: or(ne(skb, 0), eqz(ipv6AddrAny(flSaddr))),
    // A received flow prefers next hops by the device it came in by.
    table: (entry) => callNet(context, "ip6_pol_route", entry, select(isInput, flIif, flOif), iface, skb),
  });
  const comment = "fib6_rule_lookup (net/ipv6/fib6_rules.c)";
  return proc(context.name("fib6_rule_lookup"), { comment, params: [kind, iface, skb], result: "i32" }, body);
}

/** A look-up through the rules. */
interface RuleLookup6 {
  readonly kind: Operand;
  /** RT6_LOOKUP_F_HAS_SADDR: a source that is still to be chosen matches no `from`. 1 or 0. */
  readonly hasSaddr: Expr;
  /** What a table says whose longest match is `entry`: 0 and the result registers, or an errno. */
  table(entry: Operand): Expr;
}

export function ruleLookup6(context: Context, look: RuleLookup6): Step[] {
  const rules = context.net.rules.filter((rule) => rule.family === 6);
  const hasCustomRules = rules.some((rule) => rule.origin.kernel === undefined || rule.l3mdev);
  return hasCustomRules
    ? [
        runNet(context, "l3mdev_update_flow"),
        set(argTable, 0),
        traceLookup6(look.kind),
        ...ruleList(context, fib6RulesOps(context, look), 6),
        ...refuse(null, Errno.ENETUNREACH),
      ]
    : [traceLookup6(look.kind), ...localThenMain(context, look), ...refuse(null, Errno.ENETUNREACH)];
}

export const traceLookup6 = (kind: Operand): Step =>
  traceLookup(TraceEvent.lookup6, kind, [...words6(flSaddr), ...words6(flDaddr)]);

const localThenMain = (context: Context, look: RuleLookup6): Step[] =>
  [RT_TABLE_LOCAL, RT_TABLE_MAIN].flatMap((id) => [
    ...polLookup(look, inTable(context, id), id),
    when(ne(err, Errno.EAGAIN), answer(null, err)),
  ]);

const fib6RulesOps = (context: Context, look: RuleLookup6): FibRulesOps => ({
  selectors: SELECTORS6,
  outside: (which, prefix) => {
    if (prefix.length === 0) return i32(0);
    if (which === "to") return eqz(ipv6PrefixEqual(flDaddr, prefix));
    return or(eqz(look.hasSaddr), eqz(ipv6PrefixEqual(flSaddr, prefix)));
  },
  outsideOf: (which, rule) => {
    const masked = ([0, 8] as const).map((at) => {
      const [own, asked, mask] = [
        load("image", 8, addressOf(which), at),
        load("image", 8, rule, RULE[which] + at),
        load("image", 8, rule, RULE[`${which}Mask`] + at),
      ];
      return and(xor(own, asked), mask);
    });
    const differs = eqz(eqz(or(masked[0], masked[1])));
    return which === "to" ? differs : or(eqz(look.hasSaddr), differs);
  },
  has: (which) => (which === "to" ? i32(1) : look.hasSaddr),
  address: addressOf,
  tosDiffers: (tos) => ne(and(flTos, INET_DSCP_MASK), tos),
  tos: and(flTos, INET_DSCP_MASK),
  lookUp: (id) => polLookup(look, inTable(context, id), id),
  lookUpVrf: () => [...lookUpIn6(context, entry, argTable), ...polLookup(look, entry, field(argTable, DEVICE.tableId))],
  tableOf: (vrf) => field(vrf, DEVICE.table6),
  lookUpTable: (table, id) => [
    set(entry, 0),
    when(table, switchKindOf(context.layout.tables6.values(), entry, table, flDaddr, 6)),
    ...polLookup(look, entry, id),
  ],
  resultGroup: field(field(resHop, NEXT_HOP.device), DEVICE.group),
  resultRoute: routeOf(resAlias),
});

const addressOf = (which: "from" | "to"): Reg => (which === "from" ? flSaddr : flDaddr);

const inTable = (context: Context, id: TableId): Expr => tableLookup(context.layout.tables6.get(id), flDaddr, 6);

/** Sets `entry` to what the VRF's table holds for the flow's destination; 0: nothing. */
export const lookUpIn6 = (context: Context, entry: typeof table, vrf: Operand): Step[] => [
  set(table, field(vrf, DEVICE.table6)),
  set(entry, 0),
  when(table, switchKind(context, entry, table, flDaddr, 6)),
];

const polLookup = (look: RuleLookup6, entry: Operand, id: Operand): Step[] => [
  set(err, look.table(entry)),
  traceFib(id),
];
