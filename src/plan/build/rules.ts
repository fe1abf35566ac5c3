/**
 * __fib_lookup: IPv4's rule list as code (fib_rules.ts), the tables as calls.
 * k:net/ipv4/fib_rules.c __fib_lookup, fib4_rule_match, fib4_rule_action, fib4_rule_suppress.
 */
import { DEVICE, FIB_ALIAS, NEXT_HOP, TraceEvent } from "../../../runtime/abi.ts";
import { mask4 } from "../../../runtime/net/ip.ts";
import { SELECTORS } from "../../../runtime/trace.ts";
import { Errno } from "../../../runtime/verdict.ts";
import { and, type Expr, expr, local, ne, type Operand, type Proc, type Step, set, when, xor } from "../ir.ts";
import { type Context, callNet, field, proc, routeOf, runNet } from "./context.ts";
import { switchKind, tableLookup } from "./devinet.ts";
import { answeringRoute } from "./fib.ts";
import { argTable, err, type FibRulesOps, fibRules, nextHopOif, refuse, traceFib, traceLookup } from "./fib_rules.ts";
import { flDaddr, flOif, flSaddr, flTos, resAlias } from "./skb.ts";

const entry = local("entry");
const table = local("table");
const route = local("route");

/** The namespace's rule list for IPv4. */
export function fibLookup(context: Context): Proc {
  const kind = local("kind");
  const rules = context.net.rules.filter((rule) => rule.family === 4);
  const body: Step[] = [
    runNet(context, "l3mdev_update_flow"),
    set(argTable, 0),
    traceLookup(TraceEvent.lookup, kind, [flSaddr, flDaddr]),
    ...fibRules(context, fib4RulesOps(context), rules),
    ...refuse(null, Errno.ENETUNREACH),
  ];
  const comment = "__fib_lookup, fib_rules_lookup (net/ipv4/fib_rules.c, net/core/fib_rules.c)";
  return proc(context.name("fib_lookup"), { comment, params: [kind], result: "i32" }, body);
}

const resultRoute = ({ traced }: Context): Expr => (traced ? expr(route) : routeOf(resAlias));

const fib4RulesOps = (context: Context): FibRulesOps => ({
  selectors: SELECTORS,
  outside: (which, { address, length }) =>
    and(xor(which === "from" ? flSaddr : flDaddr, address as number), mask4(length)),
  tosDiffers: (tos) => ne(flTos, tos),
  lookUp: (id) => fibTableLookup(context, tableLookup(context.layout.tables.get(id), flDaddr), id),
  lookUpVrf: () => [
    set(table, field(argTable, DEVICE.table)),
    set(entry, 0),
    when(table, switchKind(context, entry, table, flDaddr)),
    ...fibTableLookup(context, entry, field(argTable, DEVICE.tableId)),
  ],
  // The first next hop's, not the chosen one's.
  resultGroup: field(field(field(resAlias, FIB_ALIAS.nextHops), NEXT_HOP.device), DEVICE.group),
  resultRoute: resultRoute(context),
});

const fibTableLookup = (context: Context, entry: Operand, id: Operand): Step[] => [
  set(err, callNet(context, "fib_table_lookup", entry, flDaddr, nextHopOif(context, flOif), flTos)),
  ...(context.traced ? [set(route, answeringRoute(flDaddr))] : []),
  traceFib(id, resultRoute(context)),
];
