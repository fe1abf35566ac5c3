/**
 * The hash that picks among the siblings of an IPv6 multipath route (k:net/ipv6/route.c rt6_multipath_hash). Drawn in
 * runtime/multipath.ts; an address takes part as the exclusive or of its four words.
 */

import { call, type Expr, type Operand, xor } from "../../ir.ts";
import type { Context } from "../context.ts";
import { HASH } from "../multipath.ts";
import { flDaddr, flProto, flSaddr } from "../skb.ts";
import { words6 } from "./in6.ts";

/** The exclusive or of the four words. */
const fold = (address: Operand): Expr => words6(address).reduce(xor);

export const rt6MultipathHash = (_context: Context): Expr => call(HASH, [fold(flSaddr), fold(flDaddr), 0, 0, flProto]);
