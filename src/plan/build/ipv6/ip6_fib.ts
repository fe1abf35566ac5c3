/**
 * One IPv6 table: which prefix, which of its next hops, and which of a multipath route's.
 * k:net/ipv6/route.c ip6_pol_route, fib6_table_lookup, rt6_select, find_rr_leaf, rt6_score_route, fib6_select_path;
 * net/ipv6/ip6_fib.c fib6_backtrack.
 *
 *   entry 2001:db8:1::/64 ----cover----> entry ::/0 ----> 0
 *     alias metric 256                     alias metric 1024
 *       hop dev 2                            hop via fe80::1 dev 3
 *     alias metric 1024
 *       hop via .. dev 2, hop via .. dev 3
 *
 * Every next hop competes for itself. Those of the lowest metric come first; only when none of them will do, all others do, whatever
 * their metrics. One by the device asked for beats one by another device, which is impossible under RT6_LOOKUP_F_IFACE.
 */

import {
  FIB_ALIAS,
  FIB_ALIAS6_BYTES,
  FIB_ENTRY,
  FIB_ENTRY_BYTES,
  FibEntryFlag,
  NEXT_HOP,
  NEXT_HOP_BYTES,
  NextHopFlag,
} from "../../../../runtime/abi/fib.ts";
import { LOOPBACK_IFINDEX } from "../../../../runtime/brand.ts";
import { Errno } from "../../../../runtime/verdict.ts";
import {
  add,
  and,
  binary,
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
  run,
  type Step,
  set,
  when,
} from "../../ir.ts";
import { type Context, callNet, field, ifindexOf, proc } from "../context.ts";
import { nextHopOif } from "../fib_rules.ts";
import { flIif, resAlias, resHop, resPrefixLength, resType } from "../skb.ts";

/** Prefixes of one table that can contain an IPv6 address: lengths 0 .. 128. */
export const MAX_COVERS = 129;

const entry = local("entry");
const oif = local("oif");
const ifindex = local("ifindex");
/** Not 0: RT6_LOOKUP_F_IFACE, only next hops by the device asked for. */
const iface = local("iface");
/** Not 0: the packet at `l3` is received. */
const received = local("received");
const alias = local("alias");
const hop = local("hop");
const metric = local("metric");
/** The first next hop by another device, while one by the right device is looked for; 0: none yet. */
const second = local("second");
const secondAlias = local("second_alias");
/** Not 0: those of the lowest metric are through, and none of them will do. */
const others = local("others");
const hash = local("hash");

/**
 * `ip6_pol_route(entry, ifindex, iface, received)`: what the table whose longest match is `entry` says: 0 and the result registers, or an errno and the
 * alias that refuses; EAGAIN and no alias when it holds nothing. `ifindex` is the flow's oif, or, when the
 * packet is received, its iif.
 */
export function ip6PolRoute(context: Context): Proc {
  // Of a flow of this host that is bound to the next hop's device.
  const haveOifMatch = and(eq(flIif, LOOPBACK_IFINDEX), eq(ifindexOf(field(resHop, NEXT_HOP.device)), oif));
  const body: Step[] = [
    set(oif, nextHopOif(context, ifindex)),
    set(entry, callNet(context, "fib6_table_lookup", entry, oif, iface)),
    when(eqz(entry), [set(resAlias, 0), ret(Errno.EAGAIN)]),
    // A settled entry has one next hop, and no siblings.
    when(and(eqz(isSettled), ne(field(resHop, NEXT_HOP.family), 0)), [
      when(eqz(haveOifMatch), [
        set(hash, callNet(context, "rt6_multipath_hash", received)),
        run(FIB6_SELECT_PATH, [add(entry, FIB_ENTRY_BYTES), field(entry, FIB_ENTRY.aliases), hash, oif, iface]),
      ]),
    ]),
    ret(field(resAlias, FIB_ALIAS.error)),
  ];
  const comment = "ip6_pol_route (net/ipv6/route.c)";
  return proc(
    context.name("ip6_pol_route"),
    { comment, params: [entry, ifindex, iface, received], result: "i32" },
    body,
  );
}

/** `fib6_table_lookup(entry, oif, iface)`: the FIB_ENTRY that answers, and the result registers; 0: none does. */
export function fib6TableLookup(context: Context): Proc {
  const body: Step[] = [
    repeat(
      MAX_COVERS,
      "covers",
      [
        when(eqz(entry), [leave("covers")]),
        set(alias, add(entry, FIB_ENTRY_BYTES)),
        when(and(isSettled, eqz(iface)), [set(hop, field(alias, FIB_ALIAS.nextHops)), ...take]),
        ...rt6Select,
        set(entry, field(entry, FIB_ENTRY.cover)),
      ],
      "covers",
    ),
    ret(0),
  ];
  const comment = "fib6_table_lookup, rt6_select (net/ipv6/route.c)";
  return proc(context.name("fib6_table_lookup"), { comment, params: [entry, oif, iface], result: "i32" }, body);
}

/** 1 or 0, so that `and` with another condition works. */
const isSettled: Expr = and(field(entry, FIB_ENTRY.flags), FibEntryFlag.SETTLED);

/** Takes `alias` and `hop`. */
const take: Step[] = [
  set(resAlias, alias),
  set(resHop, hop),
  set(resType, field(alias, FIB_ALIAS.type)),
  set(resPrefixLength, field(entry, FIB_ENTRY.prefixLength)),
  ret(entry),
];

const takeSecond: Step[] = [when(second, [set(alias, secondAlias), set(hop, second), ...take])];

const isByDevice: Expr = or(eqz(oif), eq(oif, ifindexOf(field(hop, NEXT_HOP.device))));

/** rt6_select from `alias` on: returns with the best next hop of the entry, if one will do. */
const rt6Select: Step[] = [
  set(metric, field(alias, FIB_ALIAS.metric)),
  set(second, 0),
  set(secondAlias, 0),
  set(others, 0),
  repeat(
    field(entry, FIB_ENTRY.aliases),
    "aliases",
    [
      // The lowest metric is through: what it has, even if by another device, beats all others, which are of one kind among themselves.
      when(and(eqz(others), ne(field(alias, FIB_ALIAS.metric), metric)), [...takeSecond, set(others, 1)]),
      set(hop, field(alias, FIB_ALIAS.nextHops)),
      repeat(
        field(alias, FIB_ALIAS.hopCount),
        "hops",
        [
          block("next_hop", [
            when(and(field(hop, NEXT_HOP.flags), NextHopFlag.DEAD), [leave("next_hop")]),
            when(isByDevice, take),
            when(and(eqz(iface), eqz(second)), [set(second, hop), set(secondAlias, alias)]),
          ]),
          set(hop, add(hop, NEXT_HOP_BYTES)),
        ],
        "hops",
      ),
      set(alias, add(alias, FIB_ALIAS6_BYTES)),
    ],
    "aliases",
  ),
  ...takeSecond,
];

export const FIB6_SELECT_PATH = "fib6_select_path";

/**
 * `fib6_select_path(alias, aliases, hash, oif, iface)`: the result's next hop becomes the one of its siblings that the hash picks, if the flow
 * may go there. Siblings are the next hops with a gateway of all aliases of the entry, from `alias` on, of the same metric.
 */
export function fib6SelectPath(): Proc {
  const aliases = local("aliases");
  const isSibling = ne(field(hop, NEXT_HOP.family), 0);
  const isPicked = eqz(binary("gt_s", hash, field(hop, NEXT_HOP.upperBound)));
  const body: Step[] = [
    set(metric, field(resAlias, FIB_ALIAS.metric)),
    repeat(
      aliases,
      "aliases",
      [
        when(eq(field(alias, FIB_ALIAS.metric), metric), [
          set(hop, field(alias, FIB_ALIAS.nextHops)),
          repeat(
            field(alias, FIB_ALIAS.hopCount),
            "hops",
            [
              when(and(isSibling, isPicked), [
                when(or(eqz(iface), isByDevice), [
                  set(resAlias, alias),
                  set(resHop, hop),
                  set(resType, field(alias, FIB_ALIAS.type)),
                ]),
                ret(),
              ]),
              set(hop, add(hop, NEXT_HOP_BYTES)),
            ],
            "hops",
          ),
        ]),
        set(alias, add(alias, FIB_ALIAS6_BYTES)),
      ],
      "aliases",
    ),
    ret(),
  ];
  const comment = "fib6_select_path (net/ipv6/route.c)";
  return proc(FIB6_SELECT_PATH, { comment, params: [alias, aliases, hash, oif, iface] }, body);
}
