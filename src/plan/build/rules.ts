/**
 * __fib_lookup: IPv4's rule list as code (fib_rules.ts), the tables as calls.
 * k:net/ipv4/fib_rules.c __fib_lookup, fib4_rule_match, fib4_rule_action, fib4_rule_suppress.
 */
import { DEVICE } from "../../../runtime/abi/device.ts";
import { FIB_ALIAS, NEXT_HOP } from "../../../runtime/abi/fib.ts";
import { RULE } from "../../../runtime/abi/rules.ts";
import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { mask4 } from "../../../runtime/net/ip.ts";
import { SELECTORS } from "../../../runtime/trace.ts";
import { Errno } from "../../../runtime/verdict.ts";
import {
  and,
  type Expr,
  expr,
  i32,
  local,
  ne,
  type Operand,
  type Proc,
  type Reg,
  type Step,
  set,
  when,
  xor,
} from "../ir.ts";
import { type Context, callNet, field, proc, routeOf, runNet } from "./context.ts";
import { switchKind, switchKindOf, tableLookup } from "./devinet.ts";
import { answeringRoute } from "./fib.ts";
import { argTable, err, type FibRulesOps, nextHopOif, refuse, traceFib, traceLookup } from "./fib_rules.ts";
import { ruleList } from "./rule_list.ts";
import { flDaddr, flOif, flSaddr, flTos, resAlias } from "./skb.ts";

const entry = local("entry");
const table = local("table");
const route = local("route");

/** The namespace's rule list for IPv4. */
export function fibLookup(context: Context): Proc {
  const kind = local("kind");
  const body: Step[] = [
    runNet(context, "l3mdev_update_flow"),
    set(argTable, 0),
    traceLookup(TraceEvent.lookup, kind, [flSaddr, flDaddr]),
    ...ruleList(context, fib4RulesOps(context), 4),
    ...refuse(null, Errno.ENETUNREACH),
  ];
  const comment = "__fib_lookup, fib_rules_lookup (net/ipv4/fib_rules.c, net/core/fib_rules.c)";
  return proc(context.name("fib_lookup"), { comment, params: [kind], result: "i32" }, body);
}

const resultRoute = ({ traced }: Context): Expr => (traced ? expr(route) : routeOf(resAlias));

const fib4RulesOps = (context: Context): FibRulesOps => ({
  selectors: SELECTORS,
  outside: (which, { address, length }) => and(xor(addressOf(which), address as number), mask4(length)),
  outsideOf: (which, rule) => and(xor(addressOf(which), field(rule, RULE[which])), field(rule, RULE[`${which}Mask`])),
  has: () => i32(1),
  address: addressOf,
  tosDiffers: (tos) => ne(flTos, tos),
  tos: expr(flTos),
  lookUp: (id) => fibTableLookup(context, tableLookup(context.layout.tables.get(id), flDaddr), id),
  lookUpVrf: () => [
    set(table, field(argTable, DEVICE.table)),
    set(entry, 0),
    when(table, switchKind(context, entry, table, flDaddr)),
    ...fibTableLookup(context, entry, field(argTable, DEVICE.tableId)),
  ],
  tableOf: (vrf) => field(vrf, DEVICE.table),
  lookUpTable: (table, id) => [
    set(entry, 0),
    when(table, switchKindOf(context.layout.tables.values(), entry, table, flDaddr, 4)),
    ...fibTableLookup(context, entry, id),
  ],
  // The first next hop's, not the chosen one's.
  resultGroup: field(field(field(resAlias, FIB_ALIAS.nextHops), NEXT_HOP.device), DEVICE.group),
  resultRoute: resultRoute(context),
});

const addressOf = (which: "from" | "to"): Reg => (which === "from" ? flSaddr : flDaddr);

const fibTableLookup = (context: Context, entry: Operand, id: Operand): Step[] => [
  set(err, callNet(context, "fib_table_lookup", entry, flDaddr, nextHopOif(context, flOif), flTos)),
  ...(context.traced ? [set(route, answeringRoute(flDaddr))] : []),
  traceFib(id, resultRoute(context)),
];
