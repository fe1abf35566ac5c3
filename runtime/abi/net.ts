/** What a namespace has in the image, and what it counts. */
import { DropReason, Verdict } from "../verdict.ts";

/**
 *      0          4          8          12
 *   0  devices    deviceCount tables    tableCount       first DEVICE; first TABLE
 *  16  neighbours counters   addresses  tables6           the NEIGHBOUR_TABLE in use; COUNTERS
 *  32  tableCount6 filterState filterStateBytes           tables: of IPv4; tables6: of IPv6; filterState: first FILTER_COUNTER
 *  48  clock (u64)           linked                       linked: a bit for each of LINK_POINTS where programs are attached
 *  64  links                                              first LINK of each of LINK_POINTS, in their order
 *                                   120 ruleList   ruleList6        RULE_LIST of each family; 0: the rules are code
 *
 * From `filterState` on stand the FILTER_COUNTERs and, behind them, the LIMITs: all that chains remember from packet to packet.
 * `clock` is the host's, in nanoseconds.
 * `addresses` is a TABLE of this host's IPv4 addresses; a look-up gives the DEVICE that has the address. Those of IPv6 stand
 * with their devices.
 */
export const NET = {
  devices: 0,
  deviceCount: 4,
  tables: 8,
  tableCount: 12,
  neighbours: 16,
  counters: 20,
  addresses: 24,
  tables6: 28,
  tableCount6: 32,
  filterState: 36,
  filterStateBytes: 40,
  clock: 48,
  linked: 56,
  links: 64,
  ruleList: 120,
  ruleList6: 124,
} as const;

/** Behind the last of LINK_POINTS, rounded up. */
export const NET_BYTES = 128;

/** u64 per verdict, then u64 per drop reason, in the order of their numbers. */
export const COUNTERS = { verdicts: 0, reasons: 16 * 8 } as const;
export const COUNTERS_BYTES = (16 + 64) * 8;
if (Math.max(...Object.values(Verdict)) >= 16 || Math.max(...Object.values(DropReason)) >= 64)
  throw new RangeError("COUNTERS has no room for the last verdict or drop reason");
