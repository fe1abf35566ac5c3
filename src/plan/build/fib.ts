/**
 * fib_table_lookup after the longest match: which route of the prefix, and which of its next hops. The longest match may
 * be rejected; then the search backs up along `cover` to shorter prefixes.
 *
 *   entry 10.0.1.0/24 ----cover----> entry 10.0.0.0/16 ----cover----> entry 0.0.0.0/0 ----> 0
 *     alias tos 0x10                   alias                            alias
 *     alias                              hop dev 2, hop dev 3             hop dev 2
 */

import {
  FIB_ALIAS,
  FIB_ALIAS_BYTES,
  FIB_ENTRY,
  FIB_ENTRY_BYTES,
  FibEntryFlag,
  NEXT_HOP,
  NEXT_HOP_BYTES,
  NextHopFlag,
} from "../../../runtime/abi.ts";
import { Errno } from "../../../runtime/verdict.ts";
import {
  add,
  and,
  block,
  type Expr,
  eq,
  eqz,
  leave,
  local,
  ne,
  or,
  type Proc,
  repeat,
  ret,
  type Step,
  set,
  when,
} from "../ir.ts";
import { type Context, field, ifindexOf, proc } from "./context.ts";
import { resAlias, resHop, resPrefixLength, resType } from "./skb.ts";

/** Prefixes of one table that can contain an IPv4 address: lengths 0 .. 32. */
const MAX_COVERS = 33;

const entry = local("entry");
const oif = local("oif");
const flTos = local("fl_tos");
const alias = local("alias");
const hop = local("hop");
const tos = local("tos");

/**
 * `fib_table_lookup(entry, oif, tos)`: 0 and the result registers, or an errno and the alias that refuses; EAGAIN and no
 * alias when nothing answers. The flow's oif and TOS are arguments, because some ask with neither.
 */
export function fibTableLookup(context: Context): Proc {
  const body: Step[] = [
    when(entry, [when(and(eqz(oif), isSettled), settled)]),
    repeat(
      MAX_COVERS,
      "covers",
      [
        when(eqz(entry), [leave("covers")]),
        set(alias, add(entry, FIB_ENTRY_BYTES)),
        repeat(
          field(entry, FIB_ENTRY.aliases),
          "aliases",
          [tryAlias, set(alias, add(alias, FIB_ALIAS_BYTES))],
          "aliases",
        ),
        set(entry, field(entry, FIB_ENTRY.cover)),
      ],
      "covers",
    ),
    set(resAlias, 0),
    ret(Errno.EAGAIN),
  ];
  const comment = "fib_table_lookup (net/ipv4/fib_trie.c)";
  return proc(context.name("fib_table_lookup"), { comment, params: [entry, oif, flTos], result: "i32" }, body);
}

/** Not zero; the flag is bit 0, so that `and` with another condition works. */
const isSettled: Expr = eq(and(field(entry, FIB_ENTRY.flags), FibEntryFlag.SETTLED), FibEntryFlag.SETTLED);

/** Takes `alias` and `hop`, 0 for a route that refuses. */
const take: Step[] = [
  set(resAlias, alias),
  set(resHop, hop),
  set(resType, field(alias, FIB_ALIAS.type)),
  set(resPrefixLength, field(entry, FIB_ENTRY.prefixLength)),
  ret(field(alias, FIB_ALIAS.error)),
];

const settled: Step[] = [set(alias, add(entry, FIB_ENTRY_BYTES)), set(hop, field(alias, FIB_ALIAS.nextHops)), ...take];

/** One alias: passed over when its TOS is not the flow's or no next hop is good. */
const tryAlias: Step = block("next_alias", [
  set(tos, field(alias, FIB_ALIAS.tos)),
  when(tos, [when(ne(tos, flTos), [leave("next_alias")])]),
  set(hop, 0),
  when(field(alias, FIB_ALIAS.error), take),
  set(hop, field(alias, FIB_ALIAS.nextHops)),
  repeat(
    field(alias, FIB_ALIAS.hopCount),
    "hops",
    [when(isGoodHop(), take), set(hop, add(hop, NEXT_HOP_BYTES))],
    "hops",
  ),
]);

/** fib_lookup_good_nhc: alive, and out of the device that the flow is bound to, if it is. */
function isGoodHop(): Expr {
  const alive = eqz(and(field(hop, NEXT_HOP.flags), NextHopFlag.DEAD));
  const oifFits = or(eqz(oif), eq(oif, ifindexOf(field(hop, NEXT_HOP.device))));
  return and(alive, oifFits);
}
