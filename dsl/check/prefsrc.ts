/** `src`: the source address that a route prescribes must be this host's (kernel: `fib_valid_prefsrc`, `ipv6_chk_addr`). */
import type { TableId } from "../../runtime/brand.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import type { Family, Ip, Prefix } from "../../runtime/net/ip.ts";
import { familyOf, formatIp } from "../../runtime/net/ip.ts";
import type { RouteType } from "../../runtime/net/route-types.ts";
import type { Spanned } from "../ast.ts";
import type { NextHop } from "../model.ts";
import type { NetDraft } from "./draft.ts";
import { deviceByIndex } from "./draft.ts";
import { ownAddress6, validPrefsrc4 } from "./lookup.ts";
import type { Reporter } from "./report.ts";
import { isReject } from "./route-types.ts";

/** The route that the source is for; `nexthops` undefined when they are wrong already. */
export interface PrefsrcContext {
  readonly net: NetDraft;
  readonly family: Family;
  readonly type: RouteType;
  readonly prefix: Prefix;
  readonly table: TableId;
  readonly nexthops: readonly NextHop[] | undefined;
}

/** Null: none given; undefined after an error. */
export function prefsrcOf(
  context: PrefsrcContext,
  src: Spanned<Ip> | undefined,
  report: Reporter,
): Ip | null | undefined {
  if (src === undefined) return null;
  const { net, family } = context;
  const { value, span } = src;
  if (familyOf(value) !== family) {
    report.error("E0252", span, `source ${formatIp(value)} is not of the route's family`, {
      label: `the route is IPv${family}`,
    });
    return undefined;
  }
  if (context.nexthops === undefined || valid(context, value, context.nexthops)) return value;
  const owner = net.devices.find((d) => d.addresses.some((a) => a.prefix.address === value));
  const given = owner?.addresses.find((a) => a.prefix.address === value)?.origin.span;
  const where = owner ? " that the route's table knows" : "";
  report.error("E0253", span, `source ${formatIp(value)} is not an address of this host${where}`, {
    label: owner ? `\`${owner.name}\` has it, in another VRF` : "no device has it",
    secondary: given ? [{ span: given, message: "assigned here" }] : [],
    kernel: family === 4 ? "Error: Invalid prefsrc address." : "Error: Invalid source address.",
  });
  return undefined;
}

/** IPv4 does not look at the source of a route that rejects, and lets a local route name itself; IPv6 then looks from `lo`. */
function valid({ net, type, prefix, table }: PrefsrcContext, source: Ip, nexthops: readonly NextHop[]): boolean {
  if (typeof source === "number") {
    if (isReject(type) || (type === "local" && prefix.address === source)) return true;
    return validPrefsrc4(net, source, table === RT_TABLE_MAIN ? RT_TABLE_LOCAL : table);
  }
  const device = nexthops.length > 0 ? deviceByIndex(net, nexthops[0].device) : net.devices[0];
  return device !== undefined && ownAddress6(net, source, device);
}
