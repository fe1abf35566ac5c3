/**
 * One routing table: longest prefix first, and within a prefix the routes in their order.
 * k:net/ipv4/fib_trie.c fib_table_lookup. The trie is the kernel's way to find the prefixes; here they are sorted anew each
 * time. What matters is the same: a longest match may be refused, by TOS or because no next hop fits, and then the next one
 * is tried (the kernel's back-tracking). All flows have scope universe, so scope never refuses.
 */
import type { NextHop, Route } from "../../dsl/model.ts";
import { type RouteId, tableId } from "../../runtime/brand.ts";
import { inPrefix } from "../../runtime/net/ip.ts";
import { Errno } from "../../runtime/verdict.ts";
import { fib_props } from "./fib_semantics.ts";
import { FlowFlag, type Flowi4 } from "./flow.ts";
import type { NetNamespace } from "./net.ts";

/** `struct fib_result`: the route, and the next hop of it that was chosen. */
export interface FibResult {
  readonly route: Route;
  nhc: NextHop;
}

/** What a table answers: a result, or an errno and the route that refuses, if one does. */
export type FibTableAnswer =
  | { readonly err: 0; readonly res: FibResult }
  | { readonly err: Errno; readonly reject: RouteId | null };

export function fib_table_lookup(net: NetNamespace, id: number, flp: Flowi4): FibTableAnswer {
  const matching = net.fib_get_table(id).filter((route) => inPrefix(route.prefix, flp.daddr));
  matching.sort((a, b) => b.prefix.length - a.prefix.length); // stable: routes of a prefix keep their order
  for (const route of matching) {
    if (route.tos !== 0 && route.tos !== flp.tos) continue;
    const err = fib_props[route.type].error;
    if (err !== 0) return { err, reject: route.id };
    const nhc = route.nexthops.find((hop) => fib_lookup_good_nhc(hop, flp));
    if (nhc !== undefined) return { err: 0, res: { route, nhc } };
  }
  return { err: Errno.EAGAIN, reject: null };
}

/** Alive, and leaving by the device that the flow is bound to. */
function fib_lookup_good_nhc(nhc: NextHop, flp: Flowi4): boolean {
  if (nhc.dead) return false;
  if ((flp.flags & FlowFlag.SKIP_NH_OIF) !== 0) return true;
  return flp.oif === 0 || flp.oif === nhc.device;
}

/** fib_table_lookup as a step of a look-up's trace. */
export function traced_fib_table_lookup(net: NetNamespace, id: number, flp: Flowi4): FibTableAnswer {
  const answer = fib_table_lookup(net, id, flp);
  const route = answer.err === 0 ? answer.res.route.id : answer.reject;
  net.record({ step: "fib", table: tableId(id), route, error: answer.err });
  return answer;
}
