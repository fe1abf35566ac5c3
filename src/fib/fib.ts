/**
 * The forwarding information base: the routes of one table as look-ups want them, one entry for each prefix.
 *
 *   fib   = net, family, table, { entry }              by address, then length; hop lists shared between routes
 *   entry = prefix, settled, cover, { alias }          aliases in the order of fib_table_lookup
 *   alias = route, error, hops                         hops: index of a hop list
 *   rows  = columns, { alias }                         IPv4: what lines of files say (dsl/route-columns.ts), an alias for each saying
 *
 * Linux may reject the longest match: an alias by TOS, a next hop because it is dead or leads out of another device than
 * the flow is bound to. Then it goes on with the next alias, and after the last one with the next shorter prefix. What of
 * this the routes alone decide is settled here:
 *
 *   settled   IPv4: the first alias has no TOS and either refuses (blackhole, unreachable, prohibit, throw) or has a live first
 *             next hop: then it answers every flow without oif, and no list has to be walked.
 *             IPv6, whose received flows have an oif too, and prefer next hops by it: the entry has one next hop in all, and it
 *             is alive: then it answers every flow that does not insist on a device
 *   cover     the entry that back-tracking goes on with: the longest shorter prefix of the table around this one
 *
 * In IPv6 every next hop stands for itself (`struct fib6_info`); those with a gateway, of all routes of one prefix and metric, are
 * the siblings of one multipath route, and share the hashes. A route that refuses has lo as its next hop.
 *
 * Scope never rejects: every flow of the packet path has scope universe, the least there is.
 */
import type { NextHop, Route } from "../../dsl/model.ts";
import type { RouteColumns, SaidRoute } from "../../dsl/route-columns.ts";
import type { TableId } from "../../runtime/brand.ts";
import type { Family, Prefix } from "../../runtime/net/ip.ts";
import type { Errno } from "../../runtime/verdict.ts";

export interface Fib {
  /** Index of the net in the model. */
  readonly net: number;
  readonly family: Family;
  readonly table: TableId;
  readonly entries: readonly FibEntry[];
  /** Prefixes beyond those of `entries`, each with one route; covers do not count them. */
  readonly rows: FibRows | null;
  /** Lists of next hops; routes with equal ones share a list. List 0 is empty. */
  readonly hopLists: readonly (readonly FibHop[])[];
}

export interface FibEntry {
  readonly prefix: Prefix;
  /** Never empty. */
  readonly aliases: readonly FibAlias[];
  readonly settled: boolean;
  /** Index in `Fib.entries`; null: no shorter prefix of this table contains this one. */
  readonly cover: number | null;
}

export interface FibRows {
  readonly columns: RouteColumns;
  /** By `columns.said`. */
  readonly aliases: readonly FibAlias<SaidRoute>[];
}

export const prefixCount = ({ entries, rows }: Fib): number => entries.length + (rows?.columns.lengths.length ?? 0);

export interface FibAlias<R extends SaidRoute = Route> {
  readonly route: R;
  /** What fib_props says of the type: an errno for those that refuse. */
  readonly error: Errno | 0;
  /** Index in `Fib.hopLists`. */
  readonly hops: number;
}

export interface FibHop {
  readonly hop: NextHop;
  /** fib_select_multipath, fib6_select_path take the first hop whose bound is not below the flow's 31-bit hash. */
  readonly upperBound: number;
}
