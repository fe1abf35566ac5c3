/**
 * fib_table_lookup after the longest match: which route of the prefix, and which of its next hops. The longest match may
 * be rejected; then the search backs up along `cover` to shorter prefixes.
 *
 *   entry 10.0.1.0/24 ----cover----> entry 10.0.0.0/16 ----cover----> entry 0.0.0.0/0 ----> 0
 *     alias tos 0x10                   alias                            alias
 *     alias                              hop dev 2, hop dev 3             hop dev 2
 *
 * In a table that has changed, prefixes that say the same share an entry (FibEntryFlag.IN_TRIE). Its answer is as good as theirs where it
 * is settled; all else is asked of the table's trie, from the longest match upwards.
 */

import {
  FIB_ALIAS,
  FIB_ALIAS_BYTES,
  FIB_ENTRY,
  FIB_ENTRY_BYTES,
  FIB_NODE,
  FIB_NODE_BYTES,
  FibEntryFlag,
  NEXT_HOP,
  NEXT_HOP_BYTES,
  NextHopFlag,
  TABLE,
} from "../../../runtime/abi/fib.ts";
import { Errno } from "../../../runtime/verdict.ts";
import {
  add,
  and,
  block,
  call,
  type Expr,
  eq,
  eqz,
  leave,
  local,
  ne,
  type Operand,
  or,
  type Proc,
  type Reg,
  repeat,
  ret,
  type Step,
  select,
  set,
  shl,
  shr,
  sub,
  when,
  xor,
} from "../ir.ts";
import { type Context, field, ifindexOf, proc } from "./context.ts";
import { resAlias, resHop, resPrefixLength, resType } from "./skb.ts";

/** Prefixes of one table that can contain an IPv4 address: lengths 0 .. 32. */
const MAX_COVERS = 33;

const entry = local("entry");
const table = local("table");
const node = local("node");
const below = local("below");
const number = local("number");
const prefixLength = local("prefixlen");
const daddr = local("daddr");
const oif = local("oif");
const flTos = local("fl_tos");
const alias = local("alias");
const hop = local("hop");
const tos = local("tos");

/**
 * `fib_table_lookup(entry, daddr, oif, tos)`: 0 and the result registers, or an errno and the alias that refuses; EAGAIN and no
 * alias when nothing answers. The flow's oif and TOS are arguments, because some ask with neither.
 * @param entry what the table's structure says of `daddr`
 */
export function fibTableLookup(context: Context): Proc {
  const body: Step[] = [
    when(entry, [
      when(and(eqz(oif), isSettled), settled),
      when(isInTrie, [ret(call(FIB_TRIE_LOOKUP, [field(entry, FIB_ENTRY.cover), daddr, oif, flTos]))]),
    ]),
    repeat(
      MAX_COVERS,
      "covers",
      [
        when(eqz(entry), [leave("covers")]),
        set(prefixLength, field(entry, FIB_ENTRY.prefixLength)),
        ...tryAliases,
        set(entry, field(entry, FIB_ENTRY.cover)),
      ],
      "covers",
    ),
    ...nothing,
  ];
  const comment = "fib_table_lookup (net/ipv4/fib_trie.c)";
  return proc(context.name("fib_table_lookup"), { comment, params: [entry, daddr, oif, flTos], result: "i32" }, body);
}

const FIB_TRIE_LOOKUP = "fib_trie_lookup";

/** `fib_trie_lookup(table, daddr, oif, tos)`: as fib_table_lookup, of a table that has changed. */
export function fibTrieLookup(): Proc {
  const body: Step[] = [
    ...longestMatch,
    ...upwards([set(entry, entryOf(number)), set(prefixLength, field(node, FIB_NODE.length)), ...tryAliases]),
    ...nothing,
  ];
  const comment = "fib_table_lookup (net/ipv4/fib_trie.c), of a table that has changed";
  return proc(FIB_TRIE_LOOKUP, { comment, params: [table, daddr, oif, flTos], result: "i32" }, body);
}

const FIB_TRIE_ROUTE = "fib_trie_route";

/**
 * `fib_trie_route(alias, daddr)`: RouteId + 1 of an alias that answered, 0 for none. Of an entry that prefixes share it is that of
 * the longest which has it: a longer one that said the same would have answered.
 */
export function fibTrieRoute(): Proc {
  const shared = local("shared");
  const body: Step[] = [
    when(eqz(alias), [ret(0)]),
    when(field(alias, FIB_ALIAS.route), [ret(field(alias, FIB_ALIAS.route))]),
    set(shared, sub(alias, FIB_ENTRY_BYTES)),
    set(table, field(shared, FIB_ENTRY.cover)),
    ...longestMatch,
    ...upwards([when(eq(entryOf(number), shared), [ret(field(node, FIB_NODE.route))])]),
    ret(0),
  ];
  return proc(FIB_TRIE_ROUTE, { comment: "which route answered", params: [alias, daddr], result: "i32" }, body);
}

/** What a trace says of the alias that answered. */
export const answeringRoute = (address: Operand): Expr => call(FIB_TRIE_ROUTE, [resAlias, address]);

const nodeAt = (which: Operand): Expr => add(field(table, TABLE.trie), shl(which, Math.log2(FIB_NODE_BYTES)));
const entryOf = (which: Reg): Expr => field(add(field(table, TABLE.results), shl(which, 2)), 0);
/** Of a difference of addresses, what is in the first `bits`. */
const inFirst = (difference: Expr, bits: Reg): Expr => select(bits, shr(difference, sub(32, bits)), 0);

/** `node`: the last that holds `daddr`, 0: none. */
const longestMatch: Step[] = [
  set(node, 0),
  set(number, field(table, TABLE.root)),
  repeat(
    MAX_COVERS,
    "down",
    [
      when(eqz(number), [leave("down")]),
      set(below, nodeAt(number)),
      set(prefixLength, field(below, FIB_NODE.length)),
      when(inFirst(xor(field(below, FIB_NODE.key), daddr), prefixLength), [leave("down")]),
      set(node, below),
      when(eq(prefixLength, 32), [leave("down")]),
      set(below, add(below, shl(and(shr(daddr, sub(31, prefixLength)), 1), 2))),
      set(number, field(below, FIB_NODE.below)),
    ],
    "covers",
  ),
];

/** From `node` to the root, steps for each that has routes: `number` is that of its entry. */
const upwards = (steps: readonly Step[]): Step[] => [
  repeat(
    MAX_COVERS,
    "up",
    [
      when(eqz(node), [leave("up")]),
      set(number, field(node, FIB_NODE.result)),
      when(number, steps),
      set(number, field(node, FIB_NODE.above)),
      set(node, select(number, nodeAt(number), 0)),
    ],
    "covers",
  ),
];

/** Not zero; the flag is bit 0, so that `and` with another condition works. */
const isSettled: Expr = eq(and(field(entry, FIB_ENTRY.flags), FibEntryFlag.SETTLED), FibEntryFlag.SETTLED);

const isInTrie: Expr = and(field(entry, FIB_ENTRY.flags), FibEntryFlag.IN_TRIE);

/** Takes `alias` and `hop`, 0 for a route that refuses. */
const take: Step[] = [
  set(resAlias, alias),
  set(resHop, hop),
  set(resType, field(alias, FIB_ALIAS.type)),
  set(resPrefixLength, prefixLength),
  ret(field(alias, FIB_ALIAS.error)),
];

const settled: Step[] = [
  set(prefixLength, field(entry, FIB_ENTRY.prefixLength)),
  set(alias, add(entry, FIB_ENTRY_BYTES)),
  set(hop, field(alias, FIB_ALIAS.nextHops)),
  ...take,
];

const nothing: Step[] = [set(resAlias, 0), ret(Errno.EAGAIN)];

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

/** The aliases of `entry`, one after the other. */
const tryAliases: Step[] = [
  set(alias, add(entry, FIB_ENTRY_BYTES)),
  repeat(field(entry, FIB_ENTRY.aliases), "aliases", [tryAlias, set(alias, add(alias, FIB_ALIAS_BYTES))], "aliases"),
];
